"""How much a feature pack holds of identities, comics or comic-level classes (`evaluate features`)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from comictool.core.errors import InputError, UsageError
from comictool.corpus.packs.features import FeaturePack
from comictool.measure.figures import Figure
from comictool.measure.points import Points, take
from comictool.measure.probes import NEIGHBOURS, knn, linear_probe, linear_probe_folds, retrieval_probe

APART = ("panel", "page", "comic")
IDENTITY, COMIC = "identity", "comic"
MOST_QUERIES = 5000
Label = Callable[[str, str], str | None]


def probe_pack(
    bank: Path, queries: Path | None = None, *, labels: str = IDENTITY, apart: str | None = None,
    ks: Sequence[int] = NEIGHBOURS, linear: bool = True, most: int = MOST_QUERIES, token: int | None = None,
    seed: int = 0,
) -> tuple[list[Figure], dict[str, Any]]:  # fmt: skip
    """k-NN, linear probe and retrieval on feature packs.

    Args:
        bank: the pack that probes are fitted on.
        queries: the pack that is scored; None: the bank's own points, each answered by those of other groups.
        labels: `identity` (characters, by comic and name), `comic`, or a `classification.json` of `data classes`.
        apart: what is never both fitted and scored, `panel`, `page` or `comic`; None: pages, and for classes comics.
        ks: numbers of neighbours.
        linear: also the linear probe.
        most: queries of k-NN and retrieval at most, drawn by the seed; the bank is always whole.
        token: for packs of several vectors a row.

    Returns:
        The figures, and what they were measured on.

    Raises:
        InputError: a pack or label file cannot be read, or no query can be answered.
        UsageError: an unknown `apart`.
    """
    apart = apart or ("page" if labels in (IDENTITY, COMIC) else "comic")
    if apart not in APART:
        raise UsageError(f"points are kept apart by {', '.join(APART)}, not by {apart!r}")
    label = _labeller(labels)
    fitted = points_of(FeaturePack(bank, token=token), label, apart)
    scored = fitted if queries is None else points_of(FeaturePack(queries, token=token), label, apart)
    if not len(fitted) or not len(scored):
        raise InputError(f"no vector of {bank if not len(fitted) else queries} has a label {labels}")
    drawn = np.sort(np.random.default_rng(seed).permutation(len(scored))[:most])
    asked = take(scored, drawn)
    what = labels if labels in (IDENTITY, COMIC) else "class"
    found = knn(fitted, asked, ks)
    answered = len(found[ks[0]].asked)
    if not answered:
        raise InputError(
            f"no query can be answered: no {what} occurs in two {apart}s",
            cause="bank and queries have no label in common" if queries is not None else "",
            hint="give one pack only: each point is then answered by the others" if queries is not None else "",
        )
    figures = [figure for k, answers in found.items() for figure in answers.figures(f"{what}, {k}-NN")]
    if linear:
        probe = linear_probe_folds(fitted, seed=seed) if queries is None else linear_probe(fitted, scored, seed=seed)
        figures += probe.figures(f"{what}, linear")
    figures += retrieval_probe(fitted, asked, name=f"{what}, retrieval")
    facts = {
        "bank": str(bank),
        "queries": str(queries or bank),
        "labels": labels,
        "apart": apart,
        "points": len(fitted),
        "classes": len(np.unique(fitted.labels)),
        "asked": len(asked),
        "answered": answered,
        "dimension": int(fitted.vectors.shape[1]),
        "seed": seed,
    }
    return figures, facts


def points_of(pack: FeaturePack, label: Label, apart: str) -> Points:
    """The vectors of a pack that have a label, in its order, with the group that each belongs to."""
    stacked = pack.stacked()
    labels: list[str] = []
    groups: list[str] = []
    rows: list[int] = []
    for row, (number, name) in enumerate(zip(stacked.comic_of_row(), stacked.names, strict=True)):
        comic = stacked.comics[number]
        own = label(comic, name)
        if own is not None:
            labels.append(own)
            groups.append("/".join([comic, *name.split("_")[: APART[::-1].index(apart)]]))
            rows.append(row)
    return Points(stacked.vectors[rows], np.array(labels, dtype=str), np.array(groups, dtype=str))


def _labeller(labels: str) -> Label:
    if labels == IDENTITY:
        return _identity
    if labels == COMIC:
        return lambda comic, name: comic
    classes = _classes(Path(labels))
    return lambda comic, name: classes.get(comic)


def _identity(comic: str, name: str) -> str | None:
    """`<page>_<panel>_<identity>`: identities count within their comic, since files number them by comic."""
    parts = name.split("_", 2)
    return f"{comic}/{parts[2]}" if len(parts) == 3 and parts[2] else None


def _classes(file: Path) -> dict[str, str]:
    try:
        value = json.loads(file.read_text("utf-8"))
        names = {number: str(label) for label, number in value["cls_to_label"].items()}
        return {str(comic): names.get(number, str(number)) for comic, number in value["comic_to_cls"].items()}
    except FileNotFoundError as error:
        raise InputError(
            f"{file} does not exist", hint=f"labels are {IDENTITY}, {COMIC}, or a file of `comictool data classes`"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{file} is not a classification.json of `comictool data classes`") from error
