"""Measuring character vectors: who it is, and how it feels; never on the points that a probe was fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from comictool.core.errors import InputError, UsageError
from comictool.elric.data import Pictures, large_enough
from comictool.elric.emotions import feeling_figures
from comictool.elric.figures import (
    Pooled,
    knn_within_comics,
    linear_within_comics,
    pages_of,
    retrieval_within_comics,
)
from comictool.elric.sources import Character, open_source
from comictool.measure.figures import Figure
from comictool.measure.points import Points
from comictool.measure.probes import knn, linear_probe, retrieval_probe
from comictool.plugins.encoder import Encoder
from comictool.plugins.load import EncoderSpec, load_encoder

FOLDS = 5
BATCH = 256


@dataclass(frozen=True)
class EvaluationOptions:
    """What is measured.

    Attributes:
        neighbours: k of k-NN.
        linear: also fit linear probes.
        feelings: also valence and arousal, where they are annotated.
        min_side: characters with fewer pixels on the shorter side are left out.
        seed: of folds and shuffles.
    """

    neighbours: int = 5
    linear: bool = True
    feelings: bool = True
    min_side: int = 16
    seed: int = 0


@dataclass(frozen=True)
class Gathered:
    """Characters of one split with their pictures."""

    characters: list[Character]
    pictures: Pictures
    left_out: int


def gather(path: Path, split: str, least: int, limit: int | None = None) -> Gathered:
    """The characters of a split.

    Raises:
        InputError: there are none.
    """
    source = open_source(path, split)
    numbers, problems = large_enough(source, range(len(source.characters)), least)
    numbers = numbers[:limit] if limit else numbers
    if not numbers:
        raise InputError(f"{path} holds no character of {least} pixels or more in {split}")
    characters = [source.characters[number] for number in numbers]
    return Gathered(characters, Pictures(source, numbers), len(source.problems) + len(problems))


def load_models(
    models: Sequence[EncoderSpec], beside: Sequence[EncoderSpec], *, untrained: bool
) -> list[tuple[str, Encoder]]:
    """Encoders with the names that they have in the figures.

    Args:
        models: what is measured.
        beside: what stands beside it, when it is another.
        untrained: also load each model that has weights without them, the same initial ones every time.

    Raises:
        ComicError: what `load_encoder` raises.
    """
    found: list[tuple[str, Encoder]] = []
    for spec in models:
        encoder = load_encoder(spec)
        found.append((spec.name_or_path, encoder))
        if untrained and encoder.heavy and spec.weights is None and not encoder.manifest.runs_code:
            found.append((f"{spec.name_or_path}, untrained", load_encoder(replace(spec, random_weights=True))))
    names = {name for name, _ in found}
    return found + [(spec.name_or_path, load_encoder(spec)) for spec in beside if spec.name_or_path not in names]


def embed_characters(encoder: Encoder, gathered: Gathered) -> np.ndarray:
    """(N, D) unit vectors, a few hundred pictures in memory at a time."""
    steps = range(0, len(gathered.pictures), BATCH)
    return np.concatenate(
        [encoder.embed([gathered.pictures[i] for i in range(s, min(s + BATCH, len(gathered.pictures)))]) for s in steps]
    )


def evaluate_characters(
    encoders: Sequence[tuple[str, Encoder]],
    queries: Gathered,
    bank: Gathered | None = None,
    options: EvaluationOptions | None = None,
) -> tuple[list[Figure], dict[str, Any]]:
    """Figures of one or more encoders on the same characters.

    Within comics: each character is asked about among those of its comic on other pages. With a bank whose identities
    occur in the queries (a corpus split by page): also from the bank alone. A split by comic shares no identity.

    Args:
        encoders: names and encoders; the name stands before each figure.
        queries: who is asked about.
        bank: whom the answers come from, none of whom are among the queries.

    Returns:
        Figures, and facts: counts, and what was left out.

    Raises:
        UsageError: nothing to measure with.
        InputError: bank and queries share pages, or no identity stands on two pages.
    """
    if not encoders:
        raise UsageError("there is no model to measure", hint="--plugin runs/first/model")
    chosen = options or EvaluationOptions()
    known = bank is not None and bool({c.label for c in bank.characters} & {c.label for c in queries.characters})
    facts: dict[str, Any] = {
        "characters": len(queries.characters),
        "identities": len({character.label for character in queries.characters}),
        "comics": len({character.comic for character in queries.characters}),
        "left out": queries.left_out,
    }
    if bank is not None:
        facts["bank"] = len(bank.characters) if known else "shares no identity with the queries; each comic asks itself"
    figures: list[Figure] = []
    for name, encoder in encoders:
        vectors = embed_characters(encoder, queries)
        figures += identity_figures(name, vectors, queries.characters, chosen)
        if bank is not None and known:
            figures += bank_figures(
                name, embed_characters(encoder, bank), bank.characters, vectors, queries.characters, chosen
            )
        for what in ("valence", "arousal") if chosen.feelings else ():
            found, counts = feeling_figures(
                vectors, queries.characters, what, name, k=chosen.neighbours, seed=chosen.seed
            )
            facts[what] = counts
            figures += [figure for figure in found if figure.count]
    if not any(figure.count for figure in figures):
        raise InputError(
            "no character can be asked about", cause="no identity stands on two pages of one comic",
            hint="measure more pages, or another split: --split all",
        )  # fmt: skip
    return figures, facts


def identity_figures(
    name: str, vectors: np.ndarray, characters: Sequence[Character], options: EvaluationOptions
) -> list[Figure]:
    """Identity within comics: k-NN, retrieval, linear probe."""
    title = f"{name}: within comics,"
    figures = knn_within_comics(vectors, characters, options.neighbours).figures(f"{title} {options.neighbours}-NN")
    figures += retrieval_within_comics(vectors, characters, title)
    if options.linear:
        probe: Pooled = linear_within_comics(vectors, characters, folds=FOLDS, seed=options.seed)
        figures += probe.figures(f"{title} linear probe")
    return figures


def bank_figures(
    name: str,
    bank: np.ndarray,
    bank_characters: Sequence[Character],
    vectors: np.ndarray,
    characters: Sequence[Character],
    options: EvaluationOptions,
) -> list[Figure]:
    """Identity from a bank: the probes are fitted on one split and asked about the other."""
    fitted, asked = (
        Points(part, np.array([c.label for c in who], dtype=str), pages_of(who))
        for part, who in ((bank, bank_characters), (vectors, characters))
    )
    title = f"{name}: from the bank,"
    k = options.neighbours
    figures = knn(fitted, asked, (k,))[k].figures(f"{title} {k}-NN")
    figures += retrieval_probe(fitted, asked, name=title, ranks=(1,))
    if options.linear:
        figures += linear_probe(fitted, asked, seed=options.seed).figures(f"{title} linear probe")
    return figures
