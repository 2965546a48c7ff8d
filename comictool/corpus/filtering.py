"""Leaving out characters that are too rare and instances that are too small, unsure or crowded; pages whose text fits.

What goes, goes from the index, the crops, the folders of the split and the packs alike. The index is replaced last: a
run that was killed decides the same again and ends in the same place.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from comictool.core.errors import InputError, UsageError
from comictool.core.ledger import Ledger
from comictool.core.progress import Progress
from comictool.corpus.csv_tables import read_rows, rewrite_table
from comictool.corpus.exporting.characters import FOLDERS, job_name
from comictool.corpus.exporting.indexing import crops_file, index_file, read_crops
from comictool.corpus.journal import Staging, carry_out, finish_pending, forget
from comictool.corpus.packs.packing import repack
from comictool.corpus.records import Box
from comictool.corpus.split_folders import refresh_split
from comictool.corpus.views import CorpusView

MIN_FREQUENCY = 25  # of the published recipe
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


@dataclass
class FilterReport:
    """What a filter did.

    Attributes:
        kept, removed: crops.
        reasons: crops removed by each reason.
        identities: `character` of each identity that went altogether, with how often it occurred.
        packs: packs that were written anew.
    """

    kept: int = 0
    removed: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    identities: dict[str, int] = field(default_factory=dict)
    packs: list[str] = field(default_factory=list)


@dataclass
class AlignedReport:
    """Pages (`comic/page`) whose panels and texts agree, and why each other page does not."""

    aligned: list[str] = field(default_factory=list)
    others: dict[str, str] = field(default_factory=dict)


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
    area = (x1 - x0) * (y1 - y0)
    for other in others:
        width = min(x1, other.box[2]) - max(x0, other.box[0])
        height = min(y1, other.box[3]) - max(y0, other.box[1])
        if width > 0 and height > 0 and width * height > rules.max_overlap * area:
            return "overlap"
    return ""


def filter_characters(
    root: Path, *, min_frequency: int = MIN_FREQUENCY, indexing: Path | None = None, part: str = "characters",
    dry_run: bool = False, progress: Progress | None = None,
) -> FilterReport:  # fmt: skip
    """Keep only identities that occur at least `min_frequency` times, over all splits together.

    Args:
        indexing: count in this index instead of the corpus's own (one of several corpora merged, say).

    Raises:
        InputError: nothing was exported yet, or the index lacks a column.
        UsageError: a frequency below 1.
    """
    if min_frequency < 1:
        raise UsageError(f"least frequency {min_frequency}: it is 1 or more")
    if not dry_run:
        finish_pending(root)
    rows = read_crops(root, part)
    if indexing is None:
        counts = Counter(_character(row) for row in rows if row["identity"])
    else:
        counts = Counter(row["character"] for row in read_rows(indexing, needed=("character",)))
    # The frequency column is not believed: it may be of another export.
    rare = {_character(row) for row in rows if row["identity"] and counts[_character(row)] < min_frequency}
    report = _remove(
        root, part, rows, lambda row: "rare" if row["identity"] and _character(row) in rare else "",
        dry_run=dry_run, progress=progress,
    )  # fmt: skip
    report.identities = {character: counts[character] for character in sorted(rare)}
    return report


def filter_instances(
    root: Path, *, rules: InstanceRules | None = None, part: str = "characters", dry_run: bool = False,
    progress: Progress | None = None,
) -> FilterReport:  # fmt: skip
    """Keep only instances that pass the published rules against the others of their panel.

    Boxes are those of the crops as exported; squared and scaled faces are judged as they were cut.

    Raises:
        InputError: nothing was exported yet.
    """
    chosen = rules or InstanceRules()
    if not dry_run:
        finish_pending(root)
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
    return _remove(root, part, rows, lambda row: by_file[row["file"]], dry_run=dry_run, progress=progress)


def aligned_pages(view: CorpusView, comics: Iterable[str] | None = None) -> AlignedReport:
    """Pages where the panel boxes and the texts of panels agree.

    The published rule compares only two counts: panels found by the detector, and panels that the reader of the texts
    saw. Here a page is aligned when those agree (a record that says neither is judged by its panels alone), every text
    belongs to a panel of the page, and the centre of a text's box lies in its panel.
    """
    report = AlignedReport()
    for comic in view.comics() if comics is None else comics:
        for record in view.pages(comic):
            numbers = {panel.id: panel for panel in record.panels}
            counted = record.extra.get("text_panels")
            reason = ""
            if not numbers:
                reason = "no panels"
            elif isinstance(counted, int) and counted != len(numbers):
                reason = f"{len(numbers)} panel boxes, texts of {counted} panels"
            elif not record.texts:
                reason = "no texts"
            else:
                placed = [(text, numbers[text.panel]) for text in record.texts if text.panel in numbers]
                stray = len(record.texts) - len(placed)
                outside = sum(text.box is not None and not _centre_in(text.box, panel.box) for text, panel in placed)
                if stray:
                    reason = f"{stray} texts belong to no panel of the page"
                elif outside:
                    reason = f"{outside} texts lie outside their panel"
            if reason:
                report.others[record.id] = reason
            else:
                report.aligned.append(record.id)
    return report


def _remove(
    root: Path, part: str, rows: list[dict[str, str]], verdict: Callable[[dict[str, str]], str], *, dry_run: bool,
    progress: Progress | None,
) -> FilterReport:  # fmt: skip
    report = FilterReport()
    gone: dict[str, str] = {}
    for row in rows:
        reason = verdict(row)
        if reason:
            gone[row["file"]] = reason
    report.removed, report.kept = len(gone), len(rows) - len(gone)
    report.reasons = Counter(gone.values())
    if dry_run or not gone:
        return report
    if part == "characters":
        _check_packs(root)
    pages = {f"{row['comic']}/{row['page']}" for row in rows if row["file"] in gone}
    # A later export finds these pages unfinished and would bring everything back, whole and consistent.
    forget(Ledger(root / ".jobs", job_name(part)), pages)
    for file in gone:
        _crop_path(root, file).unlink(missing_ok=True)
    if part == "characters":
        refresh_split(root)
        report.packs = repack(root, part, progress=progress)
    for folder in {_crop_path(root, file).parent for file in gone}:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    _write_tables(root, part, rows, set(gone))
    return report


def _check_packs(root: Path) -> None:
    for pack in (root / "processed" / "characters").glob("*_images.hdf5"):
        if not pack.with_suffix("").is_dir():
            raise InputError(
                f"{pack} cannot be written anew: the folder {pack.stem} is not beside it",
                hint=f"comictool data split {root} --level characters",
            )


def _crop_path(root: Path, file: str) -> Path:
    path = PurePosixPath(file)
    if path.is_absolute() or ".." in path.parts or path.parts[:1] not in {(folder,) for folder in FOLDERS.values()}:
        raise InputError(f"the crop list names {file!r}, which is no crop of this corpus")
    return root / path


def _write_tables(root: Path, part: str, rows: list[dict[str, str]], gone: set[str]) -> None:
    """Index and crop list without the rows that went, both or neither."""
    named = [row for row in rows if row["identity"]]
    stay = [row["file"] not in gone for row in named]
    counts = Counter(_character(row) for row, stays in zip(named, stay, strict=True) if stays)

    def prepare(staging: Staging) -> None:
        with staging.replacing(crops_file(root, part).relative_to(root).as_posix()) as stream:

            def keep_crops(columns: list[str]) -> tuple[list[str], Callable[[list[str]], list[str] | None]]:
                file = columns.index("file")
                return columns, lambda row: None if row[file] in gone else row

            rewrite_table(crops_file(root, part), stream, keep_crops)
        index = index_file(root, part)
        lines = iter(stay)

        def keep_index(columns: list[str]) -> tuple[list[str], Callable[[list[str]], list[str] | None]]:
            character, frequency = columns.index("character"), columns.index("character_frequency")

            def change(row: list[str]) -> list[str] | None:
                if not next(lines, True):
                    return None
                return [*row[:frequency], str(counts[row[character]]), *row[frequency + 1 :]]

            return columns, change

        with staging.replacing(index.relative_to(root).as_posix()) as stream:
            rewrite_table(index, stream, keep_index)
        if next(lines, None) is not None:
            raise InputError(f"{index} has fewer rows than {part}_crops.csv", hint="export the characters again")

    carry_out(root, prepare)


def _character(row: dict[str, str]) -> str:
    return f"{row['comic']}_{row['identity']}"


def _instance(row: dict[str, str]) -> Instance:
    try:
        x0, y0, x1, y1 = (int(row[name]) for name in ("x0", "y0", "x1", "y1"))
        return Instance((x0, y0, x1, y1), float(row["score"]))
    except ValueError as error:
        raise InputError(f"the crop list has a damaged row for {row['file']}") from error


def _centre_in(box: Box, panel: Box) -> bool:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return panel[0] <= x < panel[2] and panel[1] <= y < panel[3]
