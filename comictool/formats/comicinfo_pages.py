"""ComicInfo page types: a folder for each comic with its pictures and a ComicInfo.xml, as in an unpacked CBZ.

Pages are the pictures in natural order, numbered from 1; the file gives type, direction and facts of the comic.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from comictool.archives.comicinfo import FACTS, ComicInfo, longest_of, parse_comic_info
from comictool.core.errors import InputError
from comictool.core.files import read_bounded, write_bytes
from comictool.core.jobs import Problem
from comictool.corpus.records import PageRecord
from comictool.formats.comicinfo_writing import TYPE_WRITTEN, comic_info_xml
from comictool.formats.drafts import Draft, build_pages
from comictool.formats.keeping import Capabilities
from comictool.formats.pictures import PictureFinder, comic_names
from comictool.formats.view import ComicPages, ForeignCorpus, Problems
from comictool.formats.written import WrittenComic, suffix_of

NAME = "comicinfo"
FILE = "ComicInfo.xml"


def _keep(record: PageRecord) -> PageRecord:
    kind = record.type if record.type in TYPE_WRITTEN else "unknown"
    direction = "rtl" if record.direction == "rtl" else "ltr"
    return replace(record, type=kind, type_confidence=float(kind != "unknown"), direction=direction)


CAPABILITIES = Capabilities(
    page=frozenset({"type", "direction"}), page_numbers=False, facts=frozenset({*FACTS, "direction"}), adjust=_keep
)


def detect(folder: Path) -> bool:
    """Whether the folder or one right below it has a ComicInfo.xml."""
    return folder.is_dir() and bool(_folders(folder))


def read(source: Path, pictures: Path | None = None) -> ForeignCorpus:
    """Open comics with a ComicInfo.xml as a corpus; one that cannot be read leaves its pages without types.

    Raises:
        InputError: there is no ComicInfo.xml.
    """
    folders = _folders(source)
    if not folders:
        raise InputError(f"{source} and the folders in it hold no ComicInfo.xml")
    problems = Problems()
    infos: dict[str, tuple[str, ComicInfo]] = {}
    for folder in folders:
        try:
            info = parse_comic_info(read_bounded(folder / FILE))
        except InputError as error:
            problems.add(folder.name, f"its ComicInfo.xml: {error.fact}")
            info = ComicInfo()
        infos[folder.resolve().name] = ("" if folder == source else folder.name, info)
    names = comic_names(infos)
    by_name = {name: infos[title] for title, name in names.items()}
    finder = PictureFinder(source, pictures)

    def build(comic: str) -> ComicPages:
        folder, info = by_name[comic]
        files = finder.files(folder)
        drafts = [_draft(index, f"{folder}/{file}" if folder else file, info) for index, file in enumerate(files)]
        built = build_pages(comic, drafts, finder)
        if info.page_count > len(files):
            said = f"its ComicInfo.xml says {info.page_count} pages, {len(files)} are there"
            built.problems.append(Problem(comic, said))
        return built

    facts: dict[str, dict[str, Any]] = {
        name: {**info.facts, **({"direction": info.direction} if info.direction else {})}
        for name, (_, info) in by_name.items()
    }
    return ForeignCorpus(
        source,
        format=NAME,
        comics=by_name,
        build=build,
        facts=facts,
        finder=finder,
        problems=problems.found(),
        annotation_files=[folder / FILE for folder in folders],
    )


def picture_place(record: PageRecord) -> str:
    """`<comic>/<nnnnn>.<ext>`, so that natural order and plain order agree."""
    return f"{record.comic}/{record.page:05d}{suffix_of(record)}"


def write(comics: Iterable[WrittenComic], destination: Path, problems: Problems) -> None:
    """Write one ComicInfo.xml for each comic."""
    for comic in comics:
        for name in FACTS:
            if len(str(comic.facts.get(name, ""))) > longest_of(name):
                problems.add(comic.name, f"{name} has more than {longest_of(name)} characters; the rest is not read")
        listed = _present(comic, destination, problems)
        direction = "rtl" if any(record.direction == "rtl" for record in comic.pages) else "ltr"
        write_bytes(destination / comic.name / FILE, comic_info_xml(comic.facts, listed, direction))


def _present(comic: WrittenComic, destination: Path, problems: Problems) -> list[PageRecord]:
    """The pages whose pictures are there, for the index counts pictures; all of them when none was copied."""
    present = [record for record in comic.pages if (destination / record.image).is_file()]
    if not present:
        return comic.pages
    for record in comic.pages:
        if record not in present:
            problems.add(record.id, "it has no picture, so that ComicInfo has no place for it")
    return present


def _folders(source: Path) -> list[Path]:
    if (source / FILE).is_file():
        return [source]
    return sorted(path.parent for path in source.glob(f"*/{FILE}") if path.is_file())


def _draft(index: int, reference: str, info: ComicInfo) -> Draft:
    def fill(record: PageRecord, problems: Problems) -> None:
        if index in info.page_types:
            record.type, record.type_confidence = info.page_types[index], 1.0

    return Draft(index + 1, reference, fill, direction=info.direction or "ltr")
