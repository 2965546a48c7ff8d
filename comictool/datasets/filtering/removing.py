"""Taking crops out of an export. What goes, goes from index, crop list, crops, folders of the split and packs alike.

The tables are replaced last: a run that was killed decides the same again and ends in the same place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from comictool.core.errors import InputError
from comictool.core.files import below
from comictool.core.progress import Progress
from comictool.corpus.journal import Staging, carry_out
from comictool.datasets.csv_tables import rewrite_table
from comictool.datasets.exporting.characters import FOLDERS
from comictool.datasets.exporting.indexing import crops_file, index_file
from comictool.datasets.packs.packing import repack
from comictool.datasets.splitting.folders import refresh_split


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


def character_of(row: dict[str, str]) -> str:
    """The `character` of a row of the crop list, as the index has it."""
    return f"{row['comic']}_{row['identity']}"


def remove_crops(
    root: Path,
    part: str,
    rows: list[dict[str, str]],
    verdict: Callable[[dict[str, str]], str],
    *,
    dry_run: bool,
    progress: Progress | None,
) -> FilterReport:
    """Take out every crop that a verdict gives a reason against: its file, its rows, its place in split and packs.

    Args:
        rows: of the crop list of the part.
        verdict: why a row goes, or an empty text.

    Raises:
        InputError: a pack could not be written anew, or the crop list names a file that is no crop.
    """
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
    # A later export finds that crops of these pages have gone and brings everything back, whole and consistent.
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
    if file.split("/")[0] not in FOLDERS.values():
        raise InputError(f"the crop list names {file!r:.200}, which is no crop of this corpus")
    return below(root, file)


def _write_tables(root: Path, part: str, rows: list[dict[str, str]], gone: set[str]) -> None:
    """Index and crop list without the rows that went, both or neither."""
    named = [row for row in rows if row["identity"]]
    stay = [row["file"] not in gone for row in named]
    counts = Counter(character_of(row) for row, stays in zip(named, stay, strict=True) if stays)

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
