"""How packs lie on disk, and which files of a folder go into one.

`published` is what the two projects read: `/<split>_images/<comic>/img_data`, one variable-length row of encoded bytes
a picture, and `str_data`, one text a CSV file. `blob` holds the same bytes end to end: `/<split>_images/blob` (uint8)
and `offsets` (int64, one more than pictures), likewise `text_blob` and `text_offsets`. Both have the same index beside
them, `{"<split>_images": {"<comic>": {"img_data": [names], "str_data": [names]}}}`, in the order of the rows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from comictool.core.errors import InputError, near_matches
from comictool.core.files import read_json
from comictool.core.names import natural_key
from comictool.core.typed import typed
from comictool.corpus.crop_names import crop_key, entry_name
from comictool.formats.values import encoding_of

LAYOUTS = ("published", "blob")
IMAGES = "img_data"
TEXTS = "str_data"
BLOB, OFFSETS = "blob", "offsets"
TEXT_BLOB, TEXT_OFFSETS = "text_blob", "text_offsets"
PICTURES = (".jpg", ".jpeg", ".png", ".webp")  # the published script packs the first three
MAX_ENTRY = 256 * 1024 * 1024  # bytes of one entry, as for any picture

Index = dict[str, dict[str, dict[str, list[str]]]]


class ByComic:
    """What packs of pictures and of vectors share: names by comic."""

    file: Path
    _names: dict[str, list[str]]

    def comics(self) -> list[str]:
        """The comics, in the order of the index."""
        return list(self._names)

    def names(self, comic: str) -> list[str]:
        """What the rows of a comic are: `<page>_<panel>` or `<page>_<panel>_<identity>`.

        Raises:
            InputError: no such comic (with near names).
        """
        if comic not in self._names:
            raise InputError(f"{self.file.name} has no comic {comic!r}", near=near_matches(comic, self._names))
        return self._names[comic]


def read_index(file: Path, *, hint: str = "") -> tuple[str, dict[str, dict[str, list[str]]]]:
    """The group of a pack and, by comic and kind, the names of its rows.

    Args:
        file: the pack; `<stem>_indexing.json` lies beside it.
        hint: what makes such a pack.

    Raises:
        InputError: no such pack, or its index is missing or damaged.
    """
    index = index_file(file)
    if not file.is_file():
        raise InputError(f"{file} does not exist", hint=hint)
    value = read_json(index, default=None, hint=hint)
    if value is None:
        raise InputError(f"{index} is missing: without it the rows of {file.name} have no names")
    found = typed(Index, value, str(index), hint=hint)
    if len(found) != 1:
        raise InputError(f"{index} is damaged: it must name one group, not {len(found)}", hint=hint)
    ((group, comics),) = found.items()
    return group, comics


def index_file(file: Path) -> Path:
    """Where the index of a pack lies."""
    return file.with_name(f"{file.stem}_indexing.json")


@dataclass(frozen=True)
class ComicFiles:
    """The files of one comic, in the order of their rows."""

    comic: str
    pictures: tuple[Path, ...]
    texts: tuple[Path, ...]


def pack_paths(folder: Path) -> tuple[Path, Path]:
    """The pack of a folder and its index: `<folder>.hdf5` and `<folder>_indexing.json`."""
    return folder.with_name(f"{folder.name}.hdf5"), folder.with_name(f"{folder.name}_indexing.json")


def list_comics(folder: Path) -> Iterator[ComicFiles]:
    """The comics of a folder in natural order; within a comic page, panel and identity count as numbers.

    Raises:
        InputError: a file is larger than any picture may be.
    """
    for comic in sorted(os.listdir(folder), key=natural_key):
        path = folder / comic
        if comic.startswith(".") or not path.is_dir():
            continue
        files = sorted((name for name in os.listdir(path) if not name.startswith(".")), key=crop_key)
        pictures = tuple(path / name for name in files if name.lower().endswith(PICTURES))
        texts = tuple(path / name for name in files if name.lower().endswith(".csv"))
        for file in (*pictures, *texts):
            if file.stat().st_size > MAX_ENTRY:
                raise InputError(f"{file} has more than the {MAX_ENTRY:,} bytes allowed for one entry")
        if pictures or texts:
            yield ComicFiles(comic, pictures, texts)


def decode_text(data: bytes) -> str:
    """The text of a file, whatever a spreadsheet saved it in."""
    return data.decode(encoding_of(data), errors="replace")


def index_of(group: str, comics: list[ComicFiles]) -> Index:
    """The index of a pack."""
    return {
        group: {
            comic.comic: {
                kind: [entry_name(file.name) for file in files]
                for kind, files in ((IMAGES, comic.pictures), (TEXTS, comic.texts))
                if files
            }
            for comic in comics
        }
    }
