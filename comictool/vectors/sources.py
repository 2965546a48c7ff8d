"""Which pictures get vectors: those of a corpus, a pack of pictures, or a folder of crops.

From a corpus, crops are cut from the pages as `data export` cuts them and named as `data hdf5` names them, but without
writing a JPEG in between; so a vector is that of the page as it was drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from comictool.core.errors import InputError, UsageError
from comictool.core.files import state_of
from comictool.core.jobs import Problem
from comictool.corpus.crop_names import crop_key, entry_name
from comictool.corpus.page_pictures import PagePicture, state_of_picture
from comictool.corpus.records import PageRecord
from comictool.corpus.views import CorpusView
from comictool.datasets.exporting import characters, panels
from comictool.datasets.exporting.characters import CharacterOptions
from comictool.datasets.exporting.crops import Crop
from comictool.datasets.splitting.folders import SPLITS, members, read_manifest
from comictool.plugins.encoder import Box as Fractions
from comictool.vectors.pictures import CHARACTER, LEVELS, PAGE, PANEL, PackRow, Part, Picture, Size
from comictool.vectors.reading import size_of

ALL = "all"


@dataclass(frozen=True)
class Wanted:
    """Which parts of the pages of a corpus get vectors.

    Attributes:
        levels: of page, panel and character.
        views: parts of a page, as fractions of its sides (left, top, right, bottom).
        cutting: which part of characters, and how.

    Raises:
        UsageError: no level, or an unknown one.
    """

    levels: tuple[str, ...] = (PANEL,)
    views: tuple[Fractions, ...] = ((0.0, 0.0, 1.0, 1.0),)
    cutting: CharacterOptions = field(default_factory=CharacterOptions)

    def __post_init__(self) -> None:
        if not self.levels or not set(self.levels) <= set(LEVELS):
            raise UsageError(f"levels are {', '.join(LEVELS)}, not {', '.join(self.levels) or 'none'}")


def page_picture(
    view: CorpusView, record: PageRecord, wanted: Wanted, problems: Sequence[str] = ()
) -> tuple[Picture, list[list[Any]]]:
    """A page as a picture with its wanted parts: views, then panels by number, then characters by panel.

    Args:
        problems: what is known to be wrong with the page; what is wrong with panels and characters comes after it.

    Returns:
        The picture, and the facts of its characters as `datasets.exporting.characters.plan_page` gives them, one list
        for each character part.
    """
    own, parts, error, facts = list(problems), list[Part](), "", list[list[Any]]()
    try:
        source: PagePicture = view.picture(record)
    except InputError as outside:
        source, error = Path(), outside.fact
    size = (record.width, record.height)
    if PAGE in wanted.levels:
        if min(size) < 1 and not error:
            size = size_of(source)
        parts += (Part(str(record.page), _scaled(box, size), PAGE, "the page") for box in wanted.views)
    if PANEL in wanted.levels:
        parts += _parts(panels.panel_crops(record, own), PANEL)
    if CHARACTER in wanted.levels:
        crops, facts = characters.character_crops(record, own, wanted.cutting)
        facts = sorted(facts, key=lambda fact: crop_key(fact[0]))
        parts += _parts(crops, CHARACTER, wanted.cutting.scale, wanted.cutting.square)
    picture = Picture(source, tuple(parts), record.comic, record.id, size, "", tuple(own), error)
    picture.fingerprint = fingerprint(picture)
    return picture, facts


def fingerprint(picture: Picture) -> str:
    """Changes with the picture file: its size in bytes and time of change.

    The time stands for the content: reading every picture would make each resume as slow as half the job.
    """
    try:
        return str(picture.source) if isinstance(picture.source, PackRow) else state_of_picture(picture.source)
    except OSError:
        return "missing"


def records_of(view: CorpusView, comic: str, problems: list[Problem]) -> Iterator[tuple[PageRecord, list[str]]]:
    """The page records of a comic in order, read once, each with what its reader could not make sense of.

    What belongs to no page is added to `problems`; so is a comic that cannot be read.
    """
    try:
        read = view.read(comic)
    except InputError as error:
        problems.append(Problem(comic, error.fact))
        return
    problems += read.of_no_page()
    for record in sorted(read.pages, key=lambda record: record.page):
        yield record, read.problems_of(record)


def records_of_split(view: CorpusView, split: str, problems: list[str]) -> Iterator[tuple[PageRecord, list[str]]]:
    """The page records of a split, comic after comic, each with what its reader could not make sense of.

    Args:
        split: of `splits.json`, or `all`.
        problems: what belongs to no page is added to them.

    Raises:
        InputError: a split is asked for and the corpus was never split.
    """
    wanted: dict[str, set[int] | None] | None = None
    if split != ALL:
        manifest = read_manifest(view.root)
        if manifest is None:
            raise InputError(f"{view.root} is not split yet", hint=f"comictool data split {view.root}")
        wanted = members(manifest, split)
    for comic in view.comics():
        if wanted is None or comic in wanted:
            own: list[Problem] = []
            chosen = wanted[comic] if wanted is not None else None
            yield from (page for page in records_of(view, comic, own) if chosen is None or page[0].page in chosen)
            problems += map(str, own)


def _parts(crops: Sequence[Crop], level: str, scale: float = 1.0, square: bool = False) -> Iterator[Part]:
    for crop in sorted(crops, key=lambda crop: crop_key(crop.name)):
        yield Part(entry_name(crop.name), crop.box, level, crop.label, scale, square)


def _scaled(box: Fractions, size: Size) -> tuple[float, float, float, float]:
    width, height = size
    return box[0] * width, box[1] * height, box[2] * width, box[3] * height


def crops_at(path: Path) -> tuple[str, list[Picture]]:
    """Pictures that are crops already, comic by comic, and the split that the name of their place tells (or `all`).

    Args:
        path: a pack `<split>_images.hdf5`, or a folder `panel_images` or `<split>_images` with a folder for each comic.

    Raises:
        InputError: it holds none, or is the pack of an older split of its corpus.
    """
    from comictool.datasets.packs.layout import list_comics

    pictures = []
    if path.is_file():
        from comictool.datasets.packs.reading import Pack, stale_reason

        pack, state = Pack(path), state_of(path.stat())
        if stale := stale_reason(pack):
            raise InputError(
                f"{path} is of an older split", cause=stale, hint=f"comictool data hdf5 {path.resolve().parents[2]}"
            )
        for comic in pack.comics():
            for row, name in enumerate(pack.names(comic)):
                label, mark = f"{comic}/{name}#{row}", f"{state}/{row}"
                pictures.append(Picture(PackRow(path, comic, row), (Part(name),), comic, label, fingerprint=mark))
    else:
        for found in list_comics(path):
            for file in found.pictures:
                label, mark = f"{found.comic}/{file.name}", f"{file.name}/{state_of(file.stat())}"
                pictures.append(Picture(file, (Part(entry_name(file.name)),), found.comic, label, fingerprint=mark))
    if not pictures:
        raise InputError(
            f"{path} holds no pictures", hint="" if path.is_file() else "it must hold a folder for each comic"
        )
    return _split_of(path.stem if path.is_file() else path.name), pictures


def _split_of(name: str) -> str:
    """`train` of `train_images`; `all` of `panel_images`."""
    split = name.removesuffix("_images")
    return split if split in SPLITS else ALL
