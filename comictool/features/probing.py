"""How much a feature pack holds of identities, comics or comic-level classes (`evaluate features`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from comictool.core.errors import InputError, UsageError
from comictool.datasets.classes import read_classes
from comictool.measure.metrics import Metric
from comictool.measure.points import Points, take
from comictool.measure.probes import NEIGHBOURS, knn, linear_probe, linear_probe_folds, retrieval_probe
from comictool.vectors.tables import Table, read_pack

GROUPS = ("panel", "page", "comic")
IDENTITY, COMIC = "identity", "comic"
MOST_QUERIES = 5000
Label = Callable[[str, str], str | None]


def probe_pack(
    bank: Path,
    queries: Path | None = None,
    *,
    labels: str = IDENTITY,
    group_by: str | None = None,
    ks: Sequence[int] = NEIGHBOURS,
    linear: bool = True,
    most: int = MOST_QUERIES,
    token: int | None = None,
    seed: int = 0,
) -> tuple[list[Metric], dict[str, Any]]:
    """k-NN, linear probe and retrieval on feature packs.

    Args:
        bank: the pack that probes are fitted on.
        queries: the pack that is scored; None: the bank's own points, each answered by those of other groups.
        labels: `identity` (characters, by comic and name), `comic`, or a `classification.json` of `data classes`.
        group_by: what is never both fitted and scored, `panel`, `page` or `comic`; None: pages, and for classes comics.
        ks: numbers of neighbours.
        linear: also the linear probe.
        most: queries of k-NN and retrieval at most, drawn by the seed; the bank is always whole.
        token: for packs of several vectors a row.

    Returns:
        The metrics, and what they were measured on.

    Raises:
        InputError: a pack or label file cannot be read, or no query can be answered.
        UsageError: an unknown `group_by`.
    """
    group_by = group_by or ("page" if labels in (IDENTITY, COMIC) else "comic")
    if group_by not in GROUPS:
        raise UsageError(f"points are grouped by {', '.join(GROUPS)}, not by {group_by!r}")
    label = _labeller(labels)
    fitted = points_of(read_pack(bank, token=token), label, group_by)
    scored = fitted if queries is None else points_of(read_pack(queries, token=token), label, group_by)
    if not len(fitted) or not len(scored):
        raise InputError(f"no vector of {bank if not len(fitted) else queries} has a label {labels}")
    drawn = np.sort(np.random.default_rng(seed).permutation(len(scored))[:most])
    asked = take(scored, drawn)
    what = labels if labels in (IDENTITY, COMIC) else "class"
    found = knn(fitted, asked, ks)
    answered = len(found[ks[0]].asked)
    if not answered:
        raise InputError(
            f"no query can be answered: no {what} occurs in two {group_by}s",
            cause="bank and queries have no label in common" if queries is not None else "",
            hint="give one pack only: each point is then answered by the others" if queries is not None else "",
        )
    metrics = [metric for k, answers in found.items() for metric in answers.metrics(f"{what}, {k}-NN")]
    if linear:
        probe = linear_probe_folds(fitted, seed=seed) if queries is None else linear_probe(fitted, scored, seed=seed)
        metrics += probe.metrics(f"{what}, linear")
    metrics += retrieval_probe(fitted, asked, name=f"{what}, retrieval")
    facts = {
        "bank": str(bank),
        "queries": str(queries or bank),
        "labels": labels,
        "group_by": group_by,
        "points": len(fitted),
        "classes": len(np.unique(fitted.labels)),
        "asked": len(asked),
        "answered": answered,
        "dimension": int(fitted.vectors.shape[1]),
        "seed": seed,
    }
    return metrics, facts


def points_of(table: Table, label: Label, group_by: str) -> Points:
    """The vectors that have a label, in their order, with the group that each belongs to."""
    names = [(table.comics[comic], name) for comic, name in zip(table.comic_of, table.names, strict=True)]
    found = [(row, own) for row, (comic, name) in enumerate(names) if (own := label(comic, name)) is not None]
    rows, labels = [row for row, _ in found], [own for _, own in found]
    parts = GROUPS[::-1].index(group_by)
    groups = ["/".join([names[row][0], *names[row][1].split("_")[:parts]]) for row in rows]
    return Points(table.vectors[rows], np.array(labels, dtype=str), np.array(groups, dtype=str))


def _labeller(labels: str) -> Label:
    if labels == IDENTITY:
        return _identity
    if labels == COMIC:
        return lambda comic, name: comic
    hint = f"labels are {IDENTITY}, {COMIC}, or a file of `comictool data classes`"
    classes = read_classes(Path(labels), hint=hint).labels()
    return lambda comic, name: classes.get(comic)


def _identity(comic: str, name: str) -> str | None:
    """`<page>_<panel>_<identity>`: identities count within their comic, since files number them by comic."""
    parts = name.split("_", 2)
    return f"{comic}/{parts[2]}" if len(parts) == 3 and parts[2] else None
