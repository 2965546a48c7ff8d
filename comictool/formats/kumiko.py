"""Kumiko JSON: a list of `{filename, size: [width, height], panels: [[x, y, width, height], ...]}` in reading order."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from comictool.core.errors import InputError
from comictool.core.files import atomic_text
from comictool.corpus.records import PageRecord
from comictool.formats.boxes import bounds, box_of_xywh, extent, xywh
from comictool.formats.drafts import Draft, RoughPanel, checked_size, number_panels, view_of_titles
from comictool.formats.keeping import Capabilities
from comictool.formats.pictures import PICTURE_FOLDERS, PictureFinder, components, page_number
from comictool.formats.values import integer_of, list_of, object_of, read_json, text_of
from comictool.formats.view import ForeignCorpus, Problems
from comictool.formats.written import JsonList, WrittenComic, first_bytes, json_files, suffix_of

NAME = "kumiko"
FILE = "kumiko.json"
CAPABILITIES = Capabilities(panels=frozenset({"order"}))
_SNIFFED = 20


def detect(folder: Path) -> bool:
    """Whether there are Kumiko files."""
    return bool(_files(folder))


def read(source: Path, pictures: Path | None = None) -> ForeignCorpus:
    """Open Kumiko files as a corpus; the folder of a page is its comic.

    Raises:
        InputError: there are none, or one is not a list of pages.
    """
    files = _files(source)
    if not files:
        raise InputError(f"{source} holds no Kumiko file (a JSON list of pages with filename, size and panels)")
    root = source if source.is_dir() else source.parent
    problems = Problems()
    titles: dict[str, list[dict[str, Any]]] = {}
    for path in files:
        value = read_json(path)
        if not isinstance(value, list):
            raise InputError(f"{path} is not a list of pages")
        for entry in value:
            if not isinstance(entry, dict) or not isinstance(entry.get("filename"), str):
                problems.add(path.name, "an entry without a filename is left out")
                continue
            parts = components(text_of(entry["filename"]) or "")
            folder = parts[-2].strip() if len(parts) > 1 and parts[-2] not in PICTURE_FOLDERS else ""
            titles.setdefault(folder or path.stem, []).append(entry)
    return view_of_titles(
        root, titles, _draft, format=NAME, finder=PictureFinder(source, pictures), problems=problems, files=files
    )


def picture_place(record: PageRecord) -> str:
    """`images/<comic>/<nnn>.<ext>`."""
    return f"images/{record.comic}/{record.page:03d}{suffix_of(record)}"


def write(comics: Iterable[WrittenComic], destination: Path, problems: Problems) -> None:
    """Write `kumiko.json`, all comics in one list."""
    with atomic_text(destination / FILE) as stream:
        listed = JsonList(stream)
        for comic in comics:
            for record in comic.pages:
                panels = [xywh(panel.box) for panel in record.panels]
                size = [record.width, record.height]
                listed.add({"filename": record.image, "size": size, "panels": panels})
        listed.close()
        stream.write("\n")


def _files(source: Path) -> list[Path]:
    found = []
    for index, path in enumerate(json_files(source)):
        head = first_bytes(path).lstrip(b"\xef\xbb\xbf \t\r\n")
        empty = path.name == FILE and head.translate(None, b" \t\r\n") == b"[]"
        if empty or (head[:1] == b"[" and b'"filename"' in head and b'"panels"' in head):
            found.append(path)
        if index >= _SNIFFED and not found:
            break
    return found


def _draft(entry: dict[str, Any]) -> Draft:
    boxes = [box_of_xywh(value) for value in list_of(object_of(entry).get("panels"))]
    size = [integer_of(v) for v in list_of(entry.get("size"))]

    def fill(record: PageRecord, problems: Problems) -> None:
        rough = []
        for place, box in enumerate(boxes, start=1):
            if box is None:
                problems.add(record.id, "a panel that is not [x, y, width, height] is left out")
            else:
                rough.append(RoughPanel([box[:2], box[2:]], place))
        number_panels(record, rough, problems)

    known = [bounds([box[:2], box[2:]]) for box in boxes if box is not None]
    name = str(text_of(entry["filename"]))
    return Draft(
        page_number(name), name, fill, checked_size(size[0], size[1]) if len(size) == 2 else None, extent(known)
    )
