"""`data hdf5`: a folder `<split>_images/<comic>/` becomes `<split>_images.hdf5` and `<split>_images_indexing.json`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from comictool.core.errors import InputError, UsageError
from comictool.core.files import TEMPORARY_SUFFIX, remove_left, state_of, write_json
from comictool.core.jobs import Done, Item, JobOptions, JobReport, run_job
from comictool.core.progress import Progress
from comictool.corpus.journal import refuse_unfinished
from comictool.datasets.packs.hdf5 import explained, groups, open_hdf5
from comictool.datasets.packs.layout import BLOB, LAYOUTS, index_of, list_comics, pack_paths
from comictool.datasets.packs.writing import write_blob, write_published
from comictool.datasets.splitting.folders import read_manifest, remove_empty

__all__ = ["LAYOUTS", "pack_corpus", "pack_folder"]


@dataclass(frozen=True)
class _Order:
    """One folder to pack, as it travels to a worker."""

    folder: Path
    layout: str
    may_be_empty: bool = False


@dataclass(frozen=True)
class _Packed:
    """What a worker made: the temporary pack, its index, counts."""

    temporary: Path
    index: dict[str, dict[str, dict[str, list[str]]]]
    pictures: int
    texts: int


def pack_corpus(
    root: Path, *, layout: str = "published", options: JobOptions | None = None, progress: Progress | None = None
) -> JobReport:
    """Pack every `processed/<level>/<split>_images` of a corpus; folders that did not change since are skipped.

    Raises:
        InputError: the corpus has no such folder (it was not split), or they are empty.
        UsageError: no such layout.
        Stopped: after a signal.
    """
    if options is None or not options.dry_run:
        refuse_unfinished(root)
        manifest = read_manifest(root)
        if manifest is not None:
            remove_empty(root, manifest)
    folders = [folder for folder in sorted(root.glob("processed/*/*_images")) if folder.is_dir()]
    if not folders:
        raise InputError(f"{root} has no processed/<level>/<split>_images", hint=f"comictool data split {root}")
    return _pack(folders, root / ".jobs", layout, options, progress, within=root)


def pack_folder(
    folder: Path, *, layout: str = "published", options: JobOptions | None = None, progress: Progress | None = None
) -> JobReport:
    """Pack one folder that holds a folder for each comic; the pack lies beside it.

    Raises:
        InputError: it is no folder, or holds nothing to pack.
        UsageError: no such layout.
        Stopped: after a signal.
    """
    folder = Path(os.path.abspath(folder))  # "train_images/" and "." have a name too
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    if layout in LAYOUTS and next(list_comics(folder), None) is None:
        raise InputError(
            f"{folder} holds nothing to pack",
            cause="it is no corpus that was split, and has no folders of comics with crops in them",
            hint="comictool data split CORPUS, then: comictool data hdf5 CORPUS",
        )
    return _pack([folder], folder.parent / ".jobs", layout, options, progress, within=folder.parent)


def repack(root: Path, level: str, *, progress: Progress | None = None) -> list[str]:
    """Write the packs of a level anew from their folders, each in the layout it has; returns which.

    Raises:
        InputError: a pack has no folder to be written from, or one could not be written.
    """
    packs = sorted((root / "processed" / level).glob("*_images.hdf5"))
    for pack in packs:
        folder = pack.with_suffix("")
        folder.mkdir(exist_ok=True)  # a split that has lost its last crop becomes an empty pack
        layout = layout_of(pack)
        report = _pack([folder], root / ".jobs", layout, JobOptions(jobs=1), progress, within=root, may_be_empty=True)
        if report.failed:
            raise InputError(f"{pack}: {report.problems[-1].message}")
    return [pack.relative_to(root).as_posix() for pack in packs]


def layout_of(pack: Path) -> str:
    """The layout of a pack on disk.

    Raises:
        InputError: it cannot be read.
    """
    with open_hdf5(pack) as file, explained(pack):
        return "blob" if any(BLOB in group for _, group in groups(file)) else "published"


def _pack(
    folders: list[Path],
    ledger_folder: Path,
    layout: str,
    options: JobOptions | None,
    progress: Progress | None,
    *,
    within: Path,
    may_be_empty: bool = False,
) -> JobReport:
    if layout not in LAYOUTS:
        raise UsageError(f"layout {layout!r} is none of {', '.join(LAYOUTS)}")
    options = options or JobOptions()
    items = []
    for folder in folders:
        key = folder.relative_to(within).as_posix()
        items.append(Item(key, _fingerprint(folder), _Order(folder, layout, may_be_empty)))
    return run_job(
        "pack",
        items,
        _write,
        _commit,
        ledger_folder=ledger_folder,
        settings={"layout": layout},
        options=options,
        workers="processes",
        progress=progress,
        present=lambda item, summary: all(path.exists() for path in pack_paths(item.payload.folder)),
    )


def _write(order: _Order) -> _Packed:
    comics = list(list_comics(order.folder))
    pack, _ = pack_paths(order.folder)
    pictures, texts = sum(len(c.pictures) for c in comics), sum(len(c.texts) for c in comics)
    if not comics and not order.may_be_empty:
        raise InputError(f"{order.folder.name} holds no comic with pictures")
    remove_left(pack)
    temporary = pack.with_name(f".{pack.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    write = write_blob if order.layout == "blob" else write_published
    try:
        write(temporary, order.folder.name, comics)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return _Packed(temporary, index_of(order.folder.name, comics), pictures, texts)


def _commit(item: Item, packed: _Packed) -> Done:
    pack, index = pack_paths(item.payload.folder)
    remove_left(index)
    # The index goes first out of the way: a reader must never meet a new pack with an old index.
    index.unlink(missing_ok=True)
    os.replace(packed.temporary, pack)
    write_json(index, packed.index, indent=None)
    return Done({"pictures": packed.pictures, "texts": packed.texts})


def _fingerprint(folder: Path) -> str:
    digest = blake2b(digest_size=16)
    for comic in list_comics(folder):
        digest.update(f"{comic.comic}\n".encode())
        for file in (*comic.pictures, *comic.texts):
            digest.update(f"{file.name}/{state_of(file.stat())}\n".encode())
    return digest.hexdigest()
