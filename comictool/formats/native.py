"""The native layout as a target of conversions: a corpus folder that holds everything."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from comictool.corpus.corpus import Corpus
from comictool.corpus.records import PageRecord
from comictool.formats.view import Problems
from comictool.formats.written import WrittenComic, suffix_of

NAME = "corpus"


def detect(folder: Path) -> bool:
    """Whether there is a corpus.toml."""
    return (folder / "corpus.toml").is_file()


def picture_place(record: PageRecord) -> str:
    """`page_images/<comic>/page-<n>.<ext>`."""
    return f"page_images/{record.comic}/page-{record.page}{suffix_of(record)}"


def write(comics: Iterable[WrittenComic], destination: Path, problems: Problems) -> None:
    """Write page records and facts."""
    corpus = Corpus.create(destination)
    for comic in comics:
        if comic.facts:
            corpus.write_comic_facts(comic.name, comic.facts)
        corpus.write_pages(comic.name, comic.pages)
