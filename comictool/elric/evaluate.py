"""Measuring character vectors: who it is, and how it feels; never on the points that a probe was fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from comictool.core.errors import InputError, UsageError
from comictool.elric.emotions import emotion_metrics
from comictool.elric.identity import Pooled, knn_within_comics, linear_within_comics, pages_of, retrieval_within_comics
from comictool.elric.sources import Character, open_source
from comictool.measure.metrics import Metric
from comictool.measure.points import Points
from comictool.measure.probes import knn, linear_probe, retrieval_probe
from comictool.plugins.load import EncoderSpec
from comictool.selfsup.held_pictures import large_enough
from comictool.vectors.encoders import LazyEncoder
from comictool.vectors.pictures import Picture
from comictool.vectors.stream import EmbeddingStream

FOLDS = 5


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
    """Characters of one split, and the pictures whose parts they are."""

    characters: list[Character]
    pictures: list[Picture]
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
    return Gathered(characters, source.pictures_of(numbers), len(source.problems) + len(problems))


def load_models(
    models: Sequence[EncoderSpec], beside: Sequence[EncoderSpec], *, untrained: bool
) -> list[tuple[str, LazyEncoder]]:
    """Encoders with the names that they have in the metrics.

    Args:
        models: what is measured.
        beside: what stands beside it, when it is another.
        untrained: also load each model that has weights without them, the same initial ones every time.

    Raises:
        ComicError: what `load_encoder` raises.
    """
    found: list[tuple[str, LazyEncoder]] = []
    for spec in models:
        encoder = LazyEncoder(spec)
        found.append((spec.name_or_path, encoder))
        if untrained and encoder.needs_torch and spec.weights is None and not encoder.manifest.runs_code:
            found.append((f"{spec.name_or_path}, untrained", LazyEncoder(replace(spec, random_weights=True))))
    names = {name for name, _ in found}
    found += [(spec.name_or_path, LazyEncoder(spec)) for spec in beside if spec.name_or_path not in names]
    for _, encoder in found:
        encoder.loaded()  # what cannot be loaded is reported before anything is measured
    return found


def embed_characters(encoder: LazyEncoder, gathered: Gathered) -> tuple[np.ndarray, list[Character]]:
    """(N, D) unit vectors of the characters whose pictures can be read, and these."""
    found = list(EmbeddingStream(encoder).embed(gathered.pictures))
    present = np.concatenate([picture.present for picture in found])
    vectors = np.concatenate([picture.vectors for picture in found])[present]
    return vectors, [character for character, there in zip(gathered.characters, present, strict=True) if there]


def evaluate_characters(
    encoders: Sequence[tuple[str, LazyEncoder]],
    queries: Gathered,
    bank: Gathered | None = None,
    options: EvaluationOptions | None = None,
) -> tuple[list[Metric], dict[str, Any]]:
    """Metrics of one or more encoders on the same characters.

    Within comics: each character is asked about among those of its comic on other pages. With a bank whose identities
    occur in the queries (a corpus split by page): also from the bank alone. A split by comic shares no identity.

    Args:
        encoders: names and encoders; the name stands before each metric.
        queries: who is asked about.
        bank: whom the answers come from, none of whom are among the queries.

    Returns:
        Metrics, and facts: counts, and what was left out.

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
    metrics: list[Metric] = []
    for name, encoder in encoders:
        vectors, characters = embed_characters(encoder, queries)
        facts["left out"] = queries.left_out + len(queries.characters) - len(characters)
        metrics += identity_metrics(name, vectors, characters, chosen)
        if bank is not None and known:
            metrics += bank_metrics(name, *embed_characters(encoder, bank), vectors, characters, chosen)
        for what in ("valence", "arousal") if chosen.feelings else ():
            found, counts = emotion_metrics(vectors, characters, what, name, k=chosen.neighbours, seed=chosen.seed)
            facts[what] = counts
            metrics += [metric for metric in found if metric.count]
    if not any(metric.count for metric in metrics):
        raise InputError(
            "no character can be asked about",
            cause="no identity stands on two pages of one comic",
            hint="measure more pages, or another split: --split all",
        )
    return metrics, facts


def identity_metrics(
    name: str, vectors: np.ndarray, characters: Sequence[Character], options: EvaluationOptions
) -> list[Metric]:
    """Identity within comics: k-NN, retrieval, linear probe."""
    title = f"{name}: within comics,"
    metrics = knn_within_comics(vectors, characters, options.neighbours).metrics(f"{title} {options.neighbours}-NN")
    metrics += retrieval_within_comics(vectors, characters, title)
    if options.linear:
        probe: Pooled = linear_within_comics(vectors, characters, folds=FOLDS, seed=options.seed)
        metrics += probe.metrics(f"{title} linear probe")
    return metrics


def bank_metrics(
    name: str,
    bank: np.ndarray,
    bank_characters: Sequence[Character],
    vectors: np.ndarray,
    characters: Sequence[Character],
    options: EvaluationOptions,
) -> list[Metric]:
    """Identity from a bank: the probes are fitted on one split and asked about the other."""
    fitted, asked = (
        Points(part, np.array([c.label for c in who], dtype=str), pages_of(who))
        for part, who in ((bank, bank_characters), (vectors, characters))
    )
    title = f"{name}: from the bank,"
    k = options.neighbours
    metrics = knn(fitted, asked, (k,))[k].metrics(f"{title} {k}-NN")
    metrics += retrieval_probe(fitted, asked, name=title, ranks=(1,))
    if options.linear:
        metrics += linear_probe(fitted, asked, seed=options.seed).metrics(f"{title} linear probe")
    return metrics
