"""The table of formats: how each is recognised, read and written, and what it has room for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from comictool.core.errors import InputError, UsageError, near_matches
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import PageRecord
from comictool.corpus.views import CorpusView
from comictool.formats import (
    ai4va_coco,
    comic_sequence,
    comicinfo_pages,
    comix_coco,
    dataspec,
    kumiko,
    manga109,
    mast_csv,
    mast_writing,
    native,
    sequence_writing,
)
from comictool.formats.keeping import Capabilities
from comictool.formats.view import ForeignCorpus, Problems
from comictool.formats.written import WrittenComic


class Reader(Protocol):
    """Opens a folder or file, with pictures in another folder if one is given."""

    def __call__(self, source: Path, pictures: Path | None = None) -> ForeignCorpus: ...


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        name: as it is typed.
        title: what it is, in a few words.
        detect: whether a folder or file looks like it.
        read: opens it; None for the native layout, which `Corpus` opens.
        write: writes the annotation files of comics whose pictures lie where `picture_place` says.
        picture_place: where the picture of a page lies, relative to the destination.
        holds: what survives; None when everything does.
    """

    name: str
    title: str
    detect: Callable[[Path], bool]
    read: Reader | None
    write: Callable[[Iterable[WrittenComic], Path, Problems], None]
    picture_place: Callable[[PageRecord], str]
    holds: Capabilities | None


# In the order in which a folder is tried: what is certain first, COCO with depth before plain COCO.
FORMATS: dict[str, Format] = {
    each.name: each
    for each in (
        Format(native.NAME, "native corpus", native.detect, None, native.write, native.picture_place, None),
        Format(
            mast_csv.NAME,
            "MAST CSV (COMICS, TINTIN; ELRIC and ASTERX)",
            mast_csv.detect,
            mast_csv.read,
            mast_writing.write,
            mast_writing.picture_place,
            mast_writing.CAPABILITIES,
        ),
        Format(
            comic_sequence.NAME,
            "comic sequences (merged_face_body.csv, *_sequences.json)",
            comic_sequence.detect,
            comic_sequence.read,
            sequence_writing.write,
            sequence_writing.picture_place,
            sequence_writing.CAPABILITIES,
        ),
        Format(
            ai4va_coco.NAME,
            "AI4VA COCO with depth attributes",
            ai4va_coco.detect,
            ai4va_coco.read,
            ai4va_coco.write,
            ai4va_coco.picture_place,
            ai4va_coco.CAPABILITIES,
        ),
        Format(
            comix_coco.NAME,
            "CoMix COCO",
            comix_coco.detect,
            comix_coco.read,
            comix_coco.write,
            comix_coco.picture_place,
            comix_coco.CAPABILITIES,
        ),
        Format(
            dataspec.NAME,
            "DataSpec v0.3, full form",
            dataspec.detect,
            dataspec.read,
            dataspec.write,
            dataspec.picture_place,
            dataspec.CAPABILITIES,
        ),
        Format(
            dataspec.MINIMAL,
            "DataSpec v0.3, minimal form",
            dataspec.detect_minimal,
            dataspec.read,
            dataspec.write_minimal,
            dataspec.picture_place,
            dataspec.CAPABILITIES_MINIMAL,
        ),
        Format(
            kumiko.NAME,
            "Kumiko JSON",
            kumiko.detect,
            kumiko.read,
            kumiko.write,
            kumiko.picture_place,
            kumiko.CAPABILITIES,
        ),
        Format(
            manga109.NAME,
            "Manga109-style XML",
            manga109.detect,
            manga109.read,
            manga109.write,
            manga109.picture_place,
            manga109.CAPABILITIES,
        ),
        Format(
            comicinfo_pages.NAME,
            "ComicInfo page types",
            comicinfo_pages.detect,
            comicinfo_pages.read,
            comicinfo_pages.write,
            comicinfo_pages.picture_place,
            comicinfo_pages.CAPABILITIES,
        ),
    )
}


def format_named(name: str) -> Format:
    """The format of that name.

    Raises:
        UsageError: there is none (with near names).
    """
    if name not in FORMATS:
        known = ", ".join(FORMATS)
        raise UsageError(
            f"no format named {name!r}", cause=f"the formats are {known}", near=near_matches(name, FORMATS)
        )
    return FORMATS[name]


def detect_format(path: Path) -> Format | None:
    """The first format that a folder or file looks like; None when it looks like none."""
    return next((each for each in FORMATS.values() if each.detect(path)), None)


def open_any(path: Path, format: str | None = None, pictures: Path | None = None) -> CorpusView:
    """Open a corpus, or a folder or file in any of the formats, without converting it.

    Args:
        path: a folder, or a single annotation file.
        format: its name; else it is found out.
        pictures: where the pictures are when they do not lie in the same folder.

    Raises:
        InputError: there is nothing, or it looks like none of the formats, or it is damaged as a whole.
        UsageError: no such format.
    """
    if not path.exists():
        raise InputError(f"{path} is not there")
    chosen = format_named(format) if format else detect_format(path)
    if chosen is None:
        known = ", ".join(FORMATS)
        raise InputError(f"{path} looks like none of the known formats", cause=f"they are {known}")
    return Corpus.open(path) if chosen.read is None else chosen.read(path, pictures)


def open_native(path: Path) -> Corpus:
    """Open a corpus; what only a native one can do leads from annotations in another format to `data convert`.

    Raises:
        InputError: there is none.
    """
    found = None if native.detect(path) or not path.exists() else detect_format(path)
    if found is not None:
        raise InputError(
            f"{path} holds {found.title}, and this needs a corpus of our own",
            hint=f"comictool data convert {path} CORPUS --to corpus",
        )
    return Corpus.open(path)
