"""`reid learn`: what a person corrected in a result folder becomes known, and the rest is decided and filed anew."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypedDict, Unpack

from comictool.core.errors import InputError
from comictool.reid.calibration import NOBODY
from comictool.reid.enrolled import EnrolledSet, from_gallery
from comictool.reid.gallery import FILE, Gallery
from comictool.reid.reader import PictureReader
from comictool.reid.sorting.actions import SortOptions
from comictool.reid.sorting.classify import Again
from comictool.reid.sorting.corrections import check_names, lesson_of, read_corrections, what_was_said
from comictool.reid.sorting.deciding import rules_of_run
from comictool.reid.sorting.group_filing import write_groups_file
from comictool.reid.sorting.journal import FOLDER, newest_contents, unfinished
from comictool.reid.sorting.positions import Positions, adopted, find_positions
from comictool.reid.sorting.sort import AnyPath, SortingRun, SortResult
from comictool.reid.types import Lesson


@dataclass
class LearningRun(SortingRun):
    """A run over the pictures of a result folder. `lesson` is what was learned before it."""

    lesson: Lesson = field(default_factory=Lesson)


def prepare_learning(
    root: Path,
    gallery: Path,
    corrections: Path | None = None,
    options: SortOptions | None = None,
    *,
    reader: PictureReader | None = None,
    dry_run: bool = False,
    resume: bool = True,
) -> LearningRun:
    """Find out what a person said; iterating over the run learns it, and files every picture anew.

    Every file action is in a journal first, and so is what is learned: `comictool.undo(root)` takes both back. A run
    that was killed does the rest when it is run again.

    Args:
        root: a result folder of `reid classify` or `reid cluster`.
        gallery: what learns. For groups it may be new; else it must be there.
        corrections: the file that the report saved.
        options: rules, and where pictures without a name go; files are always moved.
        reader: how pictures are read; a gallery with references decides.

    Raises:
        InputError: nothing was sorted there, a run there is unfinished, a gallery or file that cannot be used.
        UsageError: see `comictool.reid.sorting.rules.rules_for`.
    """
    reader, options = reader or PictureReader(), replace(options or SortOptions(), action="move")
    newest = newest_contents(root) if (root / FOLDER).is_dir() else None
    if newest is None:
        raise InputError(
            f"nothing was sorted into {root}", hint="comictool reid classify PICTURES -g GALLERY -o SORTED"
        )
    positions = find_positions(root)
    stamp = _stamp(gallery, corrections, options)
    before = unfinished(root, stamp) if resume else None
    if before is None and not newest.ended and newest.purpose.lesson is None:
        raise InputError(f"the last run into {root} was not finished", hint="run that command again, or undo it")
    opened = _gallery(gallery, positions)
    if opened.references:
        from_gallery(opened, reader)  # refuses another encoder
    if before is not None and before.purpose.lesson is not None:
        lesson, problems = before.purpose.lesson, list[str]()
    else:
        said = what_was_said(root, positions, opened.characters, read_corrections(corrections) if corrections else ())
        check_names(said, opened.characters, root)
        made = not opened.references
        lesson = lesson_of(said, opened.known, root, positions, gallery=gallery, made=made)
        problems = said.problems
    known = opened.grown(lesson, reader)
    if not known.counted.references:
        raise InputError(f"no picture in {root} has a name yet", hint="give the folder of a group a character's name")
    options = _where(options, positions)
    enrolled = EnrolledSet(known.counted, None, refused=known.refused)
    targets = [root / one.now for one in positions.pictures]
    earlier = before.purpose.surroundings if before is not None else ""
    enrolled, rules, notes, among = rules_of_run(enrolled, targets, options, reader, opened, earlier)
    if len(known.counted.characters) < 2 and options.threshold in (None, "auto"):
        rules = replace(rules, threshold=NOBODY)
        notes = ["there is one character only, so nothing is compared with it; name a second one"]
    notes += [f"{place} is not there any more" for place in positions.gone[:5]]
    if positions.strange:
        notes.append(f"{positions.strange} pictures in {root} were put there by no run and are left alone")
    moved = [one for one in positions.pictures if one.moved]

    def begun() -> None:
        if lesson:
            opened.learn(lesson, reader)

    def ended(went: dict[str, str]) -> None:
        by_hand = {os.path.abspath(root / one.before): os.path.abspath(root / one.now) for one in moved}
        opened.relocate(by_hand | went)
        if positions.grouping:
            write_groups_file(root)

    again = Again(stamp, lesson, list(adopted(moved, positions)), begun=begun, ended=ended)
    run = LearningRun(targets, enrolled, rules, notes, problems, root, options, [root], reader, opened)
    return replace(run, dry_run=dry_run, resume=resume, again=again, lesson=lesson, among=among)


class LearningHow(TypedDict, total=False):
    """How it is learned: see `prepare_learning`."""

    reader: PictureReader | None
    dry_run: bool
    resume: bool


def learn(
    result_dir: AnyPath,
    gallery: AnyPath,
    corrections: AnyPath | None = None,
    options: SortOptions | None = None,
    **how: Unpack[LearningHow],
) -> SortResult:
    """Learn what a person corrected in a result folder, and file its pictures anew: see `prepare_learning`."""
    file = Path(corrections) if corrections is not None else None
    run = prepare_learning(Path(result_dir), Path(gallery), file, options, **how)
    return SortResult(list(run), run)


def _gallery(folder: Path, positions: Positions) -> Gallery:
    if positions.grouping and not (folder / FILE).exists():
        return Gallery.create(folder)
    return Gallery.open(folder)


def _where(options: SortOptions, positions: Positions) -> SortOptions:
    """Groups without a name stay as they are."""
    if positions.grouping and options.unknown is None:
        return replace(options, unknown="", ambiguous="")
    return options


def _stamp(gallery: Path, corrections: Path | None, options: SortOptions) -> str:
    """Of what was asked; what it leads to is in the journal from the start."""
    said = "" if corrections is None else hashlib.blake2b(corrections.read_bytes()).hexdigest()
    value = ["learn", os.path.abspath(gallery), said, vars(options)]
    return hashlib.blake2b(json.dumps(value, sort_keys=True, default=str).encode("utf-8"), digest_size=12).hexdigest()
