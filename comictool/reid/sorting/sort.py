"""Pictures named by references and sorted into folders: `sort_pictures`, the work of `comictool reid classify`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

from comictool.core.errors import InputError, UsageError
from comictool.reid.enrolled import EnrolledSet, from_config, from_gallery
from comictool.reid.gallery import FILE, Gallery
from comictool.reid.reader import PictureReader
from comictool.reid.scoring import mode_name
from comictool.reid.sorting.actions import SortOptions
from comictool.reid.sorting.classify import Again, SortedPicture, classify
from comictool.reid.sorting.deciding import rules_of_run, surroundings_before
from comictool.reid.sorting.journal import is_unfinished
from comictool.reid.sorting.rules import Rules
from comictool.reid.surroundings import NOTHING, Surroundings
from comictool.vectors.files import find_pictures

AnyPath = str | os.PathLike[str]


@dataclass
class SortingRun:
    """A run that is ready: iterating over it decides on each picture, acts on its file, and gives it.

    Attributes:
        targets: the pictures.
        enrolled: the references.
        rules: how pictures are decided.
        notes: what the user should know of the rules.
        problems: references and targets that could not be used.
        root: the result folder, if files are acted on.
        dry_run, resume: see `sort_pictures`.
        tell: called when all is done, before the journal says so; set it to print what a killed run shall print again.
        among: what scores are scaled by.
        again: what makes it a run over what earlier runs filed (`comictool.reid.sorting.learning`).
        counts: by status, and `failed` file actions; grows while the run is iterated over.
    """

    targets: list[Path]
    enrolled: EnrolledSet
    rules: Rules
    notes: list[str]
    problems: list[str]
    root: Path | None
    options: SortOptions
    bases: list[Path]
    reader: PictureReader
    gallery: Gallery | None
    dry_run: bool = False
    resume: bool = True
    tell: Callable[[], None] = lambda: None
    among: Surroundings = NOTHING
    again: Again | None = None
    counts: Counter[str] = field(default_factory=Counter)

    def __iter__(self) -> Iterator[SortedPicture]:
        """Raises what `comictool.reid.sorting.classify.classify` raises."""
        with self.reader.stream(self.gallery) as stream:
            for picture in classify(
                self.targets,
                self.enrolled.found,
                lambda paths: stream.batches(paths, self.reader.progress),
                self.rules,
                encoder_id=stream.key,
                options=self.options,
                root=self.root,
                bases=self.bases,
                dry_run=self.dry_run,
                resume=self.resume,
                tell=lambda: self.tell(),
                refused=self.enrolled.refused,
                again=self.again,
                among=self.among,
            ):
                self.counts[picture.decision.status] += 1
                self.counts["failed"] += picture.placed.action == "failed"
                self.counts["moved"] += picture.placed.action == "move"
                yield picture

    def write_report(self, path: Path, pictures: Sequence[SortedPicture]) -> int:
        """Write the HTML page of the run's pictures; returns how many could not be shown."""
        from comictool.reid.sorting.report_page import write_report

        moved = {
            picture.decision.path: self.root / picture.placed.destination
            for picture in pictures
            if self.root is not None and picture.placed.action == "move" and picture.placed.destination
        }
        decisions = [picture.decision for picture in pictures]
        return write_report(path, decisions, self.enrolled.found.references, places=moved)


@dataclass(frozen=True)
class SortResult:
    """A run that is done: one `SortedPicture` for each target, in their order, and the run with counts and notes."""

    pictures: list[SortedPicture]
    run: SortingRun

    def records(self) -> list[dict[str, Any]]:
        """Plain values, one dictionary a picture: a table."""
        return [picture.as_record() for picture in self.pictures]


class SortingHow(TypedDict, total=False):
    """How pictures are sorted: see `sort_pictures`."""

    reader: PictureReader | None
    dry_run: bool
    resume: bool


def prepare_sorting(
    targets: AnyPath | Sequence[AnyPath],
    references: AnyPath | Gallery,
    result_dir: AnyPath | None = None,
    options: SortOptions | None = None,
    **how: Unpack[SortingHow],
) -> SortingRun:
    """Find the pictures, read the references and fit the rules; nothing is written. Arguments: see `sort_pictures`."""
    reader, options = how.get("reader") or PictureReader(), options or SortOptions()
    bases = [Path(targets)] if isinstance(targets, str | os.PathLike) else [Path(target) for target in targets]
    root = Path(result_dir) if result_dir is not None else None
    action = options.action or ("copy" if root is not None else "none")
    options = replace(options, action=action, mode=mode_name(options.mode) if options.mode else "")
    if root is None and options.action != "none":
        raise UsageError(f"the action {options.action} needs a result folder", hint="--result-dir FOLDER")
    problems: list[str] = []
    moved = root is not None and action == "move" and is_unfinished(root)  # by then some targets are gone
    found = find_pictures([base for base in bases if base.exists()] if moved else bases, problems)
    resume = how.get("resume", True)
    if not found and not (resume and moved):
        raise InputError(f"no pictures in {', '.join(map(str, bases))}")
    if not isinstance(references, Gallery) and (Path(references) / FILE).is_file():
        references = Gallery.open(Path(references))
    if isinstance(references, Gallery):
        gallery, enrolled = references, from_gallery(references, reader)
    else:
        gallery, enrolled = None, from_config(Path(references), reader)
    earlier = surroundings_before(root) if moved and resume else ""
    enrolled, rules, notes, among = rules_of_run(enrolled, found, options, reader, gallery, earlier)
    notes = [*enrolled.notes, *notes]
    problems += [*enrolled.warnings, *(f"{path}: {reason}" for path, reason in enrolled.failed.items())]
    run = SortingRun(found, enrolled, rules, notes, problems, root, options, bases, reader, gallery)
    return replace(run, dry_run=how.get("dry_run", False), resume=resume, among=among)


def sort_pictures(
    targets: AnyPath | Sequence[AnyPath],
    references: AnyPath | Gallery,
    result_dir: AnyPath | None = None,
    options: SortOptions | None = None,
    **how: Unpack[SortingHow],
) -> SortResult:
    """Say which enrolled character each picture shows, and sort the files.

    Every file action is in a journal first, so that `comictool.undo(result_dir)` takes all of it back.

    Args:
        targets: pictures and folders of pictures.
        references: a gallery, its folder, a folder of folders, or a JSON file of names and folders.
        result_dir: where files go, into a folder for each character; None: files are left alone.
        options: file action and rules; by default files are copied, and the threshold is fitted to the references.
        reader: the encoder, and how pictures are read.
        dry_run: say where files would go, write nothing.
        resume: resume the newest run in `result_dir` when it did the same and was killed; False starts a new one.

    Raises:
        InputError: no pictures, references or folders that cannot be used, a disk that is full.
        UsageError: options that contradict each other or the gallery.
        Stopped: SIGINT or SIGTERM came; what was decided is done and in the journal.
    """
    run = prepare_sorting(targets, references, result_dir, options, **how)
    return SortResult(list(run), run)
