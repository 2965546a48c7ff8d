"""The folders of a split: `processed/<level>/<split>_images/<comic>`, links or copies that follow `splits.json`."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from comictool.core.errors import InputError, SetupError
from comictool.core.files import TEMPORARY_SUFFIX, read_json
from comictool.core.jobs import Done, Item, JobOptions, JobReport, run_job
from comictool.core.progress import Progress
from comictool.core.typed import typed
from comictool.corpus.crop_names import comic_folder, is_crop, page_of_file

SPLITS = ("train", "val", "test")
LEVELS = ("panels", "characters")
LINKS = ("symlink", "hardlink", "copy")
SOURCES = {"panels": "panel_images", "characters": "character_images"}
MANIFEST = "splits.json"


_PAGE_ID = re.compile(r".+/[0-9]{1,15}", re.DOTALL)


@dataclass(frozen=True)
class _Splits:
    train: list[str]
    val: list[str]
    test: list[str]


@dataclass(frozen=True)
class _Manifest:
    by: Literal["comic", "series", "page"]
    levels: list[Literal["panels", "characters"]]
    link: Literal["symlink", "hardlink", "copy"]
    splits: _Splits
    groups: list[list[str]] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)


def read_manifest(root: Path) -> dict[str, Any] | None:
    """`splits.json`, or None when the corpus was never split.

    Raises:
        InputError: it is damaged.
    """
    file, hint = root / MANIFEST, f"comictool data split {root}"
    absent: dict[str, Any] = {}
    value: dict[str, Any] = read_json(file, default=absent, hint=hint)
    if value is absent:
        return None
    manifest = typed(_Manifest, value, str(file), hint=hint)
    ids = [*manifest.splits.train, *manifest.splits.val, *manifest.splits.test]
    odd = next((i for i in ids if not _PAGE_ID.fullmatch(i)), None) if manifest.by == "page" else None
    if odd is not None:
        raise InputError(f"{file}: {odd!r:.100} is no page", hint=hint)
    return value


def split_folder(root: Path, level: str, split: str) -> Path:
    """`processed/<level>/<split>_images`."""
    return root / "processed" / level / f"{split}_images"


def members(manifest: dict[str, Any], split: str) -> dict[str, set[int] | None]:
    """The comics of a split, each with its pages, or with None for all of them."""
    found: dict[str, set[int] | None] = {}
    if manifest["by"] != "page":
        return dict.fromkeys(manifest["splits"][split])
    pages: defaultdict[str, set[int]] = defaultdict(set)
    for member in manifest["splits"][split]:
        comic, _, number = member.rpartition("/")
        pages[comic].add(int(number))
    found.update(pages)
    return found


def not_in_split(manifest: dict[str, Any], split: str, pages: Iterable[tuple[str, int | None]]) -> str:
    """The first page, `comic/page`, that a split does not have (any more); empty when it has all of them.

    What was made from a split has to be held against it: trained on an old one, a model would be tested on what it saw.
    """
    own = members(manifest, split)
    for comic, page in pages:
        if comic not in own or page not in (own[comic] or (page,)):
            return f"{comic}/{page}"
    return ""


def lacking(root: Path, manifest: dict[str, Any], level: str, split: str, comics: Iterable[str]) -> str:
    """The first comic of a split that has crops and is none of `comics`; empty when there is none."""
    known = set(comics)
    for comic, pages in members(manifest, split).items():
        folder = root / SOURCES[level] / comic_folder(comic)
        if comic not in known and folder.is_dir():
            crops = (name for name in os.listdir(folder) if is_crop(name))
            if any(pages is None or page_of_file(name) in pages for name in crops):
                return comic
    return ""


def remove_empty(root: Path, manifest: dict[str, Any]) -> None:
    """Remove what an earlier manifest left of splits that have nobody now: empty folders, and packs, which would still
    be trained and measured on.
    """
    for level in LEVELS:
        for split in SPLITS:
            if not manifest["splits"][split]:
                folder = split_folder(root, level, split)
                for left in (folder.with_suffix(".hdf5"), folder.with_name(f"{folder.name}_indexing.json")):
                    left.unlink(missing_ok=True)
                if folder.is_dir() and not folder.is_symlink() and not os.listdir(folder):
                    folder.rmdir()


def place_split(
    root: Path, manifest: dict[str, Any], *, options: JobOptions | None = None, progress: Progress | None = None
) -> JobReport:
    """Fill the folders as a job, one item a comic and level. Running it again only adds what is missing."""
    options = options or JobOptions()
    # What lies in the folders is looked at anew each time, so there is nothing to skip.
    again = JobOptions(options.jobs, options.shard, "never", options.limit, options.dry_run)
    if not options.dry_run:
        _tidy(root, manifest)
    items = [
        Item(f"{level}/{split}/{comic}", "", (level, split, comic, pages))
        for level in manifest["levels"]
        for split in SPLITS
        for comic, pages in members(manifest, split).items()
    ]

    def work(payload: tuple[str, str, str, set[int] | None]) -> int:
        return _place(root, manifest, *payload)

    return run_job(
        "split",
        items,
        work,
        lambda _, files: Done({"crops": files}),
        ledger_folder=root / ".jobs",
        settings={},
        options=again,
        workers="inline",
        progress=progress,
    )


def refresh_split(root: Path) -> None:
    """Bring the folders up to date with `splits.json` after crops came or went; nothing when there is none."""
    manifest = read_manifest(root)
    if manifest is None:
        return
    for level in manifest["levels"]:
        for split in SPLITS:
            for comic, pages in members(manifest, split).items():
                _place(root, manifest, level, split, comic, pages)


def remove_stale(root: Path, before: dict[str, Any], after: dict[str, Any]) -> None:
    """Remove what an earlier manifest put into the folders and a new one does not; nothing that others put there."""
    for level in before["levels"]:
        for split in SPLITS:
            keep = members(after, split)
            for comic, pages in members(before, split).items():
                same = before["link"] == after["link"] and before["by"] == after["by"]
                if not same or comic not in keep or keep[comic] != pages:
                    _remove(split_folder(root, level, split) / comic_folder(comic))


def _tidy(root: Path, manifest: dict[str, Any]) -> None:
    """Remove temporary links that a kill left."""
    for level in manifest["levels"]:
        for split in SPLITS:
            folder = split_folder(root, level, split)
            names = os.listdir(folder) if folder.is_dir() else []
            _remove_files(folder, (name for name in names if name.endswith(TEMPORARY_SUFFIX)))


def _place(root: Path, manifest: dict[str, Any], level: str, split: str, comic: str, pages: set[int] | None) -> int:
    folder = comic_folder(comic)
    source = root / SOURCES[level] / folder
    target = split_folder(root, level, split) / folder
    if not source.is_dir():
        if manifest["link"] == "symlink" and target.is_symlink():
            target.unlink()
        return 0
    files = sorted(name for name in os.listdir(source) if _belongs(name))
    if pages is not None:
        files = [name for name in files if page_of_file(name) in pages]
    if not files:
        _remove(target)
        return 0
    if manifest["link"] == "symlink" and pages is None:
        _symlink(source, target)
        return len(files)
    if target.is_symlink():
        raise InputError(
            f"{target} is a link, a folder was expected", hint=f"remove it, then: comictool data split {root}"
        )
    target.mkdir(parents=True, exist_ok=True)
    present = set(os.listdir(target))
    for name in files:
        _place_file(source / name, target / name, manifest["link"])
    _remove_files(target, (n for n in present - set(files) if _belongs(n) or n.endswith(TEMPORARY_SUFFIX)))
    return len(files)


def _belongs(name: str) -> bool:
    """Whether a file of a comic goes with the split: crops, and tables that are packed as `str_data`."""
    return is_crop(name) or (name.endswith(".csv") and not name.startswith("."))


def _place_file(source: Path, target: Path, link: str) -> None:
    if link == "symlink":
        _symlink(source, target)
        return
    facts = source.stat()
    if target.is_file() and not target.is_symlink():
        there = target.stat()
        if link == "hardlink" and os.path.samestat(facts, there):
            return
        if link == "copy" and (there.st_size, there.st_mtime_ns) == (facts.st_size, facts.st_mtime_ns):
            return
    temporary = _beside(target)
    try:
        if link == "hardlink":
            os.link(source, temporary)
        else:
            shutil.copy2(source, temporary)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _symlink(source: Path, target: Path) -> None:
    text = os.path.relpath(source, target.parent)
    if target.is_symlink() and os.readlink(target) == text:
        return
    if target.exists() and not target.is_symlink():
        raise InputError(f"{target} is already there and was not made by a split", hint="move it away first")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(target)
    try:
        os.symlink(text, temporary, target_is_directory=source.is_dir())
        os.replace(temporary, target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise SetupError(
            f"no symbolic link can be made at {target}: {error.strerror or error}",
            hint="add --link hardlink or --link copy",
        ) from error


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name[:40]}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")


def _remove(target: Path) -> None:
    """Remove a link, or the crops in a folder and the folder when nothing else is in it."""
    if target.is_symlink():
        target.unlink()
    elif target.is_dir():
        _remove_files(target, (n for n in os.listdir(target) if _belongs(n) or n.endswith(TEMPORARY_SUFFIX)))
        if not os.listdir(target):
            target.rmdir()


def _remove_files(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)
