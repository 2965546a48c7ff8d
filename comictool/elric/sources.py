"""Where character pictures come from: packs of `data hdf5`, or the pages of any corpus."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from comictool.core.errors import InputError, UsageError, near_matches
from comictool.core.files import is_inside
from comictool.corpus.crop_names import identity_part
from comictool.corpus.csv_tables import read_rows
from comictool.corpus.exporting.assignment import assign_panel
from comictool.corpus.exporting.crops import Crop, CropOptions, PageCrops, cut_page
from comictool.corpus.exporting.emotions import emotion_of
from comictool.corpus.formats.registry import open_any
from comictool.corpus.packs import Pack
from comictool.corpus.records import PageRecord
from comictool.corpus.splitting.folders import members, read_manifest
from comictool.corpus.views import CorpusView, read_comic

UNKNOWN = -1  # valence or arousal that nobody annotated
INDEX = "characters_indexing.csv"
SPLITS = ("train", "val", "test")
ALL = "all"
_NAME = re.compile(r"(\d+)_(\d+)_(.+)", re.DOTALL)


@dataclass(frozen=True)
class Character:
    """One appearance of a character.

    Attributes:
        comic, page, panel: where.
        identity: as annotated; the same one in two comics means two characters, see `label`.
        valence, arousal: classes 1..5, or -1.
    """

    comic: str
    page: int
    panel: int
    identity: str
    valence: int = UNKNOWN
    arousal: int = UNKNOWN

    @property
    def label(self) -> str:
        """The identity within its comic. Equal numbers in different comics are different characters."""
        return f"{self.comic}/{self.identity}"

    @property
    def panel_name(self) -> str:
        """`<page>_<panel>`, as feature packs name panels."""
        return f"{self.page}_{self.panel}"

    @property
    def panel_id(self) -> str:
        """`<comic>/<page>_<panel>`: characters with the same one stand in one panel."""
        return f"{self.comic}/{self.panel_name}"


class CharacterSource(Protocol):
    """Pictures of characters by number. Pickles; files are opened when first read, anew in each process.

    Attributes:
        characters: who is on each picture.
        problems: one line for each thing that was left out.
    """

    characters: list[Character]
    problems: list[str]

    def read(self, number: int) -> bytes:
        """The encoded picture."""


@dataclass
class PackSource:
    """Characters of a pack whose entries are named `<page>_<panel>_<identity>`."""

    pack: Pack
    rows: list[int]
    characters: list[Character]
    problems: list[str] = field(default_factory=list)

    def read(self, number: int) -> bytes:
        """The encoded picture."""
        return self.pack.read_row(self.rows[number])


@dataclass
class PageSource:
    """Characters cut from pages once, and held as `data export characters` would write them (JPEG, quality 95)."""

    characters: list[Character]
    pictures: list[bytes]
    problems: list[str] = field(default_factory=list)

    def read(self, number: int) -> bytes:
        """The encoded picture."""
        return self.pictures[number]


def open_source(path: Path, split: str = ALL) -> CharacterSource:
    """The characters of a split.

    Args:
        path: a pack (`<split>_images.hdf5`), a folder of packs, or a corpus in any format. A corpus whose characters
            were packed (`processed/characters`) is read from there.
        split: train, val, test, or all. A corpus without `splits.json` has only all; a pack is one split by itself.

    Raises:
        InputError: nothing of this kind is there, a pack of panels, or no character with a name.
    """
    if path.suffix == ".hdf5":
        return checked(read_pack(path), path)
    packs = find_packs(path, split)
    if packs:
        return checked(joined([read_pack(pack) for pack in packs]), path, split)
    return checked(cut_pages(open_any(path), split), path, split)


def has_split(path: Path, split: str) -> bool:
    """Whether a place is divided into splits, of which this is one; a single pack and an unsplit corpus are not."""
    if path.suffix == ".hdf5" or split in ("", ALL):
        return False
    packs = find_packs(path, ALL)
    if packs:
        return f"{split}_images.hdf5" in {pack.name for pack in packs}
    return split in SPLITS and read_manifest(path) is not None


def chosen_split(path: Path, split: str) -> str:
    """The split itself where a place is divided into splits; all of a place that is not.

    Raises:
        UsageError: no name of a split.
        InputError: the place is divided, but not into this one. Taking all of it would mix what a model was trained on
            with what it is measured on.
    """
    if split == ALL or has_split(path, split):
        return split
    known = found_splits(path)
    if known:
        raise InputError(
            f"{path} has no split {split!r}", cause=f"it has {', '.join(known)}", near=near_matches(split, known),
            hint=f"to take them together: {ALL}",
        )  # fmt: skip
    if split not in SPLITS and path.suffix != ".hdf5":
        raise UsageError(f"split {split!r}: it is {', '.join(SPLITS)} or {ALL}", near=near_matches(split, SPLITS))
    return ALL


def found_splits(path: Path) -> list[str]:
    """The splits that a place is divided into; none for a single pack or a corpus that was never split."""
    if path.suffix == ".hdf5":
        return []
    packs = [pack.name.removesuffix("_images.hdf5") for pack in find_packs(path, ALL)]
    if packs:
        return [split for split in SPLITS if split in packs]
    return list(SPLITS) if read_manifest(path) is not None else []


def checked(source: CharacterSource, path: Path, split: str = ALL) -> CharacterSource:
    """The source itself.

    Raises:
        InputError: it holds nobody.
    """
    if not source.characters:
        raise InputError(
            f"{path} holds no character with an identity" + (f" in {split}" if split != ALL else ""),
            cause="; ".join(source.problems[:3]),
            hint=f"comictool data info {path}",
        )
    return source


def find_packs(folder: Path, split: str) -> list[Path]:
    """The packs of characters in a folder or in the corpus there; empty when there are none at all.

    Raises:
        InputError: packs of other splits, but not of this one.
    """
    for place in (folder, folder / "processed" / "characters"):
        found = {file.name.removesuffix("_images.hdf5"): file for file in sorted(place.glob("*_images.hdf5"))}
        if found:
            if split != ALL and split not in found:
                raise InputError(f"{place} has no pack of {split}", near=near_matches(split, found), hint=_made(folder))
            return list(found.values()) if split == ALL else [found[split]]
    return []


def _made(folder: Path) -> str:
    return f"comictool data hdf5 {folder}"


def read_pack(file: Path) -> PackSource:
    """The characters of one pack; emotions come from `characters_indexing.csv` where it is near.

    Raises:
        InputError: no pack, or one of panels.
    """
    pack = Pack(file)
    rows, characters, problems = [], [], []
    for row, (comic, name) in enumerate(pack.entries()):
        match = _NAME.fullmatch(name)
        if match is None:
            problems.append(f"{comic}/{name}: not named <page>_<panel>_<identity>")
            continue
        rows.append(row)
        characters.append(Character(comic, int(match[1]), int(match[2]), match[3]))
    if problems and not rows:
        raise InputError(
            f"{file} is no pack of characters", cause=f"its entries are named like {problems[0].partition(':')[0]}"
        )
    index = find_index(file.parent)
    return PackSource(pack, rows, with_emotions(characters, index) if index else characters, problems)


def find_index(folder: Path) -> Path | None:
    """`characters_indexing.csv` in a folder, in its `annotations`, or in those of the corpus around it."""
    around = [folder, *list(folder.resolve().parents)[:2]]
    places = [place for base in around for place in (base / INDEX, base / "annotations" / INDEX)]
    return next((place for place in places if place.is_file()), None)


def with_emotions(characters: Sequence[Character], index: Path) -> list[Character]:
    """Valence and arousal from the index of exported characters.

    Rows and pictures of the same identity in the same panel are matched in their order.

    Raises:
        InputError: the index is damaged.
    """
    rows: dict[tuple[str, str, str], list[tuple[int, int]]] = defaultdict(list)
    for row in read_rows(index, needed=("character", "document", "panel", "valence", "arousal")):
        identity = identity_part(row["character"].removeprefix(f"{row['document']}_"))
        rows[row["document"], row["panel"], identity].append((_whole(row["valence"]), _whole(row["arousal"])))
    seen: Counter[tuple[str, str, str]] = Counter()
    found = []
    for character in characters:
        key = (character.comic, character.panel_name, character.identity)
        known = rows.get(key, [])
        place = seen[key]
        seen[key] += 1
        valence, arousal = known[place] if place < len(known) else (UNKNOWN, UNKNOWN)
        found.append(replace(character, valence=valence, arousal=arousal))
    return found


def _whole(text: str) -> int:
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        return UNKNOWN


@dataclass
class _Joined:
    """Several sources, one after another."""

    parts: list[PackSource]
    characters: list[Character]
    problems: list[str]
    places: list[tuple[int, int]]

    def read(self, number: int) -> bytes:
        part, own = self.places[number]
        return self.parts[part].read(own)


def joined(parts: list[PackSource]) -> CharacterSource:
    """Several packs as one source."""
    if len(parts) == 1:
        return parts[0]
    places = [(index, own) for index, part in enumerate(parts) for own in range(len(part.characters))]
    return _Joined(
        parts, [c for part in parts for c in part.characters], [p for part in parts for p in part.problems], places
    )


def cut_pages(view: CorpusView, split: str) -> PageSource:
    """Cut all named characters of a split from the pages of a corpus; each page is decoded once.

    A character that stands in no panel is left out, since it has no sequence around it; so are passers-by without an
    identity. Bad pages are named in `problems` and the rest goes on.

    Raises:
        InputError: a split is asked for and the corpus was never split.
    """
    source = PageSource([], [])
    for record in _pages(view, split, source.problems):
        try:
            _cut(view, record, source)
        except InputError as error:
            source.problems.append(f"{record.id}: {error.fact}")
    return source


def _pages(view: CorpusView, split: str, problems: list[str]) -> Iterator[PageRecord]:
    wanted: dict[str, set[int] | None] | None = None
    if split != ALL:
        manifest = read_manifest(view.root)
        if manifest is None:
            raise InputError(f"{view.root} is not split yet", hint=f"comictool data split {view.root}")
        wanted = members(manifest, split)
    for comic in view.comics():
        if wanted is not None and comic not in wanted:
            continue
        pages, unread = read_comic(view, comic)
        problems.extend(f"{comic}: {line}" for line in unread)
        chosen = wanted[comic] if wanted is not None else None
        yield from (page for page in pages if chosen is None or page.page in chosen)


def _cut(view: CorpusView, record: PageRecord, source: PageSource) -> None:
    crops: list[Crop] = []
    found: list[Character] = []
    for character in sorted(record.characters, key=lambda character: character.id):
        identity = (character.identity or "").strip()
        panel = next((p for p in record.panels if p.id == character.panel), None)
        panel = panel or assign_panel(character.box, record.panels)
        if not identity or panel is None:
            source.problems.append(
                f"{record.id}: character {character.id} has no {'panel' if identity else 'identity'}"
            )
            continue
        feeling = emotion_of(character)
        part = identity_part(identity)
        found.append(Character(record.comic, record.page, panel.id, part, feeling.valence, feeling.arousal))
        crops.append(Crop(str(len(crops)), character.box, f"character {character.id}"))
    if not crops:
        return
    path = view.image_path(record)
    if not is_inside(path, view.root):
        raise InputError(f"its picture lies outside {view.root}")
    cuts = cut_page(PageCrops(path, (record.width, record.height), tuple(crops), CropOptions("jpg", 95)))
    source.problems.extend(f"{record.id}: {line}" for line in cuts.problems)
    for crop, appearance in zip(crops, found, strict=True):
        if crop.name in cuts.files:
            source.characters.append(appearance)
            source.pictures.append(cuts.files[crop.name])
