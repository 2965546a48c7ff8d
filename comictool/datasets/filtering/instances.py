"""Leaving out instances that are too small, unsure or crowded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from comictool.core.errors import InputError, UsageError
from comictool.core.progress import Progress
from comictool.corpus.boxes import share_inside
from comictool.corpus.journal import finish_pending
from comictool.corpus.records import Box
from comictool.datasets.exporting.indexing import read_crops
from comictool.datasets.filtering.removing import FilterReport, remove_crops

MIN_SCORE, MIN_SIDE, MAX_OVERLAP = 0.95, 32, 0.20  # of the published set of comic character instances


@dataclass(frozen=True)
class InstanceRules:
    """Which instances stay: detector score, both sides in pixels, share of its area under any other of its kind."""

    min_score: float = MIN_SCORE
    min_size: int = MIN_SIDE
    max_overlap: float = MAX_OVERLAP

    def __post_init__(self) -> None:
        if not 0 <= self.min_score <= 1 or not 0 <= self.max_overlap <= 1 or self.min_size < 0:
            raise UsageError("the least score and the greatest overlap go from 0 to 1, the least size is 0 or more")


@dataclass(frozen=True)
class Instance:
    """One detected face or body: its box and the detector's confidence in 0..1."""

    box: Box
    score: float = 1.0


def instance_verdict(instance: Instance, others: Sequence[Instance], rules: InstanceRules) -> str:
    """Why an instance does not stay: `score`, `size` or `overlap`; empty when it does.

    Args:
        others: all other instances of the same kind in the same panel, those that do not stay included.
    """
    x0, y0, x1, y1 = instance.box
    if instance.score < rules.min_score:
        return "score"
    if min(x1 - x0, y1 - y0) < rules.min_size:
        return "size"
    if any(share_inside(instance.box, other.box) > rules.max_overlap for other in others):
        return "overlap"
    return ""


def filter_instances(
    root: Path,
    *,
    rules: InstanceRules | None = None,
    part: str = "characters",
    dry_run: bool = False,
    progress: Progress | None = None,
) -> FilterReport:
    """Keep only instances that pass the published rules against the others of their panel.

    Boxes are those of the crops as exported; squared and scaled faces are judged as they were cut.

    Raises:
        InputError: nothing was exported yet.
    """
    chosen = rules or InstanceRules()
    if not dry_run:
        finish_pending(root, progress)
    rows = read_crops(root, part)
    panels: defaultdict[tuple[str, str, str], list[tuple[int, Instance]]] = defaultdict(list)
    for number, row in enumerate(rows):
        panels[row["comic"], row["page"], row["panel"]].append((number, _instance(row)))
    verdicts: dict[int, str] = {}
    for members in panels.values():
        for number, instance in members:
            others = [other for place, other in members if place != number]
            verdicts[number] = instance_verdict(instance, others, chosen)
    by_file = {row["file"]: verdicts[number] for number, row in enumerate(rows)}
    return remove_crops(root, part, rows, lambda row: by_file[row["file"]], dry_run=dry_run, progress=progress)


def _instance(row: dict[str, str]) -> Instance:
    try:
        x0, y0, x1, y1 = (int(row[name]) for name in ("x0", "y0", "x1", "y1"))
        return Instance((x0, y0, x1, y1), float(row["score"]))
    except ValueError as error:
        raise InputError(f"the crop list has a damaged row for {row['file']}") from error
