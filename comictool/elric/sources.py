"""Where character pictures come from: packs of `data hdf5`, or the pages of any corpus."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from comictool.core.errors import InputError, UsageError, near_matches
from comictool.corpus.crop_names import identity_part
from comictool.corpus.views import CorpusView
from comictool.datasets.csv_tables import read_rows
from comictool.datasets.splitting.folders import SPLITS, read_manifest
from comictool.formats.registry import open_any
from comictool.selfsup.held_pictures import together
from comictool.vectors.pictures import CHARACTER, Picture
from comictool.vectors.sources import ALL, Wanted, crops_at, page_picture, records_of_split

UNKNOWN = -1  # valence or arousal that nobody annotated
INDEX = "characters_indexing.csv"
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


@dataclass
class CharacterSource:
    """Characters, and the pictures that show them. Pickles.

    Attributes:
        characters: in the order of the parts of the pictures.
        pictures: each with a part for each of its characters: one in a pack of crops, all of a page in a corpus.
        problems: one line for each thing that was left out.
    """

    characters: list[Character] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._places = [(picture, part) for picture in self.pictures for part in picture.parts]

    def pictures_of(self, numbers: Iterable[int]) -> list[Picture]:
        """The pictures of some characters, with their parts alone: neighbours on one page are one picture."""
        return together(self._places[number] for number in numbers)


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
        parts = [read_pack(pack) for pack in packs]
        whole = CharacterSource(
            [character for part in parts for character in part.characters],
            [picture for part in parts for picture in part.pictures],
            [problem for part in parts for problem in part.problems],
        )
        return checked(whole, path, split)
    return checked(characters_of(open_any(path), split), path, split)


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
            f"{path} has no split {split!r}",
            cause=f"it has {', '.join(known)}",
            near=near_matches(split, known),
            hint=f"--split {known[0]}, or --split {ALL} to take them together",
        )
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


def read_pack(file: Path) -> CharacterSource:
    """The characters of one pack; emotions come from `characters_indexing.csv` where it is near.

    Raises:
        InputError: no pack, or one of panels.
    """
    characters, pictures, problems = [], [], []
    for picture in crops_at(file)[1]:
        match = _NAME.fullmatch(picture.parts[0].id)
        if match is None:
            problems.append(f"{picture.comic}/{picture.parts[0].id}: not named <page>_<panel>_<identity>")
            continue
        pictures.append(picture)
        characters.append(Character(picture.comic, int(match[1]), int(match[2]), match[3]))
    if problems and not pictures:
        raise InputError(
            f"{file} is no pack of characters", cause=f"its entries are named like {problems[0].partition(':')[0]}"
        )
    index = find_index(file.parent)
    return CharacterSource(with_emotions(characters, index) if index else characters, pictures, problems)


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


def characters_of(view: CorpusView, split: str) -> CharacterSource:
    """All named characters of a split on the pages of a corpus; no picture is read yet.

    A character that stands in no panel is left out, since it has no sequence around it; so are passers-by without an
    identity, and pages whose picture is not there.

    Raises:
        InputError: a split is asked for and the corpus was never split.
    """
    characters: list[Character] = []
    pictures: list[Picture] = []
    problems: list[str] = []
    wanted = Wanted((CHARACTER,))
    for record, lines in records_of_split(view, split, problems):
        picture, facts = page_picture(view, record, wanted, lines)
        error = picture.error or (f"{record.image} is missing" if picture.fingerprint == "missing" else "")
        problems += [f"{record.id}: {line}" for line in (*picture.problems, *([error] if error else []))]
        if not error and picture.parts:
            pictures.append(picture)
            for _, panel, identity, *_, valence, arousal in facts:
                characters.append(
                    Character(record.comic, record.page, panel, identity_part(identity), valence, arousal)
                )
    return CharacterSource(characters, pictures, problems)
