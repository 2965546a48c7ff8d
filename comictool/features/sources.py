"""What gets features: the panels or characters of a corpus, a pack of pictures, or a folder of crops.

From a corpus, crops are cut from the pages as `data export` cuts them and named as `data hdf5` names them, but without
writing a JPEG in between; so a feature is that of the page as it was drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path

from comictool.core.errors import InputError, UsageError
from comictool.core.files import state_of
from comictool.core.jobs import Problem
from comictool.corpus.crop_names import crop_key, entry_name
from comictool.corpus.exporting import CharacterOptions, CropOptions, characters, panels
from comictool.corpus.exporting.crops import PageCrops
from comictool.corpus.exporting.export import PagePlan, page_fingerprint
from comictool.corpus.formats.registry import open_any
from comictool.corpus.packs.layout import list_comics
from comictool.corpus.packs.reading import Pack
from comictool.corpus.records import PageRecord
from comictool.corpus.splitting.folders import SPLITS, members, read_manifest
from comictool.corpus.views import CorpusView, in_stable_order, original_names, read_comic

LEVELS = ("panel", "character")
ALL = "all"
Plan = Callable[[PageRecord, list[str]], PagePlan]
CROP_OPTIONS = CropOptions()  # decides only the suffix here; nothing is encoded


@dataclass(frozen=True)
class Picture:
    """One picture to decode, and the rows that it gives.

    Attributes:
        comic: whose rows they are.
        label: `comic/page`, or `comic/name` for a crop.
        names: of the rows.
        mark: different whenever picture or crops are.
        page: how a page is cut; None for a picture that is itself a crop.
        file: the file of a crop.
        row: its row among those of its comic in the pack.
        problems: what is known to be wrong before it is read.
    """

    comic: str
    label: str
    names: tuple[str, ...]
    mark: str
    page: PageCrops | None = None
    file: Path | None = None
    row: int = -1
    problems: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many vectors it gives at most."""
        return len(self.names)


@dataclass
class Source:
    """All pictures, by the split that their features go to.

    Attributes:
        splits: `train`, `val`, `test` or `all` to the pictures, comic by comic.
        level: `panel` or `character`; empty when the source does not say.
        pack: the pack of pictures, when they lie in one.
        problems: what belongs to no picture.
    """

    root: Path
    splits: dict[str, list[Picture]]
    level: str = ""
    pack: Path | None = None
    problems: list[Problem] = field(default_factory=list)


def open_source(
    path: Path, *, level: str = "panel", split: str | None = None, cutting: CharacterOptions | None = None
) -> Source:
    """Find out what a path is and list its pictures; nothing is decoded.

    Args:
        path: a corpus in any layout that `data convert` reads; a pack `<split>_images.hdf5`; or a folder
            `panel_images` or `<split>_images` that holds a folder for each comic.
        level: of a corpus, what is cut, `panel` or `character`.
        split: `train`, `val` or `test` for that part alone; `all` for all in one; None for each part that
            `splits.json` has, or `all` without one.
        cutting: which part of characters, and how.

    Raises:
        InputError: none of these, empty, or no such split.
        UsageError: an unknown level or split.
    """
    if level not in LEVELS:
        raise UsageError(f"level {level!r}: it is {' or '.join(LEVELS)}")
    if split is not None and split not in (*SPLITS, ALL):
        raise UsageError(f"split {split!r}: it is {', '.join(SPLITS)} or {ALL}")
    if not path.exists():
        raise InputError(f"{path} does not exist")
    if path.is_file() and path.suffix == ".hdf5":
        source = _from_pack(path)
    elif path.is_dir() and path.name.endswith("_images"):
        source = _from_folder(path)
    else:
        return _from_corpus(open_any(path), level, split, cutting or CharacterOptions())
    (own,) = source.splits
    if split is not None and split not in (own, ALL):
        raise InputError(f"{path} holds {own}, not {split}")
    return source


def _from_corpus(view: CorpusView, level: str, split: str | None, cutting: CharacterOptions) -> Source:
    def plan(record: PageRecord, problems: list[str]) -> PagePlan:
        if level == "panel":
            return panels.plan_page(view, record, problems, CROP_OPTIONS)
        return characters.plan_page(view, record, problems, cutting)

    manifest = read_manifest(view.root)
    if split in SPLITS and manifest is None:
        raise InputError(f"{view.root} was never split", hint=f"comictool data split {view.root}")
    source = Source(view.root, {}, level)
    source.problems += [Problem(view.root.name, str(line)) for line in getattr(view, "problems", [])]
    by_comic = {comic: _of_comic(view, comic, plan, source.problems) for comic in _comics(view)}
    if manifest is None or split == ALL:
        source.splits[ALL] = [picture for pictures in by_comic.values() for picture in pictures]
    else:
        for name in SPLITS if split is None else (split,):
            wanted = members(manifest, name)
            found = [
                picture
                for comic, pages in wanted.items()
                for picture in by_comic.get(comic, [])
                if pages is None or int(picture.label.rpartition("/")[2]) in pages
            ]
            gone = [comic for comic in wanted if comic not in by_comic]
            source.problems += [Problem(comic, f"splits.json has it in {name}, the corpus has not") for comic in gone]
            if found or split is not None:
                source.splits[name] = found
    if not any(picture.rows for pictures in source.splits.values() for picture in pictures):
        step = "panels" if level == "panel" else "characters"
        raise InputError(
            f"{view.root} has no {step}" + (f" in {split}" if split in SPLITS else ""),
            hint=f"comictool data panels {view.root}" if level == "panel" else "",
        )
    return source


def _comics(view: CorpusView) -> list[str]:
    comics = in_stable_order(view.comics(), original_names(view.root))
    if not comics:
        raise InputError(f"{view.root} holds no comics")
    return comics


def _of_comic(view: CorpusView, comic: str, plan: Plan, problems: list[Problem]) -> list[Picture]:
    """The pages of a comic that have something to cut, or something wrong."""
    try:
        records, lines = read_comic(view, comic)
    except InputError as error:
        problems.append(Problem(comic, error.fact))
        return []
    pictures = []
    ids = tuple(f"{record.id}: " for record in records)
    problems += [Problem(comic, line.removeprefix(f"{comic}: ")) for line in lines if not line.startswith(ids)]
    for record in sorted(records, key=lambda record: record.page):
        own = [line.removeprefix(f"{record.id}: ") for line in lines if line.startswith(f"{record.id}: ")]
        planned = plan(record, own)
        crops = tuple(sorted(planned.order.crops, key=lambda crop: crop_key(crop.name)))
        if crops or planned.problems or planned.order.error:
            names = tuple(entry_name(crop.name) for crop in crops)
            label, mark = f"{comic}/{record.page}", page_fingerprint(planned)
            order = replace(planned.order, crops=crops)
            pictures.append(Picture(comic, label, names, mark, order, problems=planned.problems))
    return pictures


def _from_pack(path: Path) -> Source:
    pack = Pack(path)
    state = state_of(path.stat())
    pictures = []
    for comic in pack.comics():
        for row, name in enumerate(pack.names(comic)):
            pictures.append(Picture(comic, f"{comic}/{name}#{row}", (name,), f"{state}/{row}", row=row))
    if not pictures:
        raise InputError(f"{path} holds no pictures")
    return Source(path, {_split_of(pack.group): pictures}, pack=path)


def _from_folder(path: Path) -> Source:
    pictures = []
    for comic in list_comics(path):
        for file in comic.pictures:
            mark = f"{file.name}/{state_of(file.stat())}"
            label, names = f"{comic.comic}/{file.name}", (entry_name(file.name),)
            pictures.append(Picture(comic.comic, label, names, mark, file=file))
    if not pictures:
        raise InputError(f"{path} holds no comic with pictures", hint="it must hold a folder for each comic")
    return Source(path, {_split_of(path.name): pictures})


def _split_of(name: str) -> str:
    """`train` of `train_images`; `all` of `panel_images`."""
    split = name.removesuffix("_images")
    return split if split in SPLITS else ALL


def digest(marks: Iterable[str]) -> str:
    """A short hash of marks and their order."""
    together = blake2b(digest_size=12)
    for mark in marks:
        together.update(f"{mark}\n".encode("utf-8", "backslashreplace"))
    return together.hexdigest()
