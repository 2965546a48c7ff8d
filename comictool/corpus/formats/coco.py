"""COCO files: what CoMix and AI4VA have in common. Image entries to page drafts, annotations by image, and back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from comictool.core.errors import InputError
from comictool.corpus.formats.boxes import FloatBox, Points, bounds, box_of_xywh, extent
from comictool.corpus.formats.drafts import Draft, RoughPanel, build_pages, checked_size
from comictool.corpus.formats.pictures import PICTURE_FOLDERS, PictureFinder, comic_names, components, page_number
from comictool.corpus.formats.values import integer_of, list_of, number_of, object_of, read_json, share_of, text_of
from comictool.corpus.formats.view import ComicPages, ForeignCorpus, Problems
from comictool.corpus.formats.written import first_bytes, json_files
from comictool.corpus.records import DIRECTIONS, PAGE_TYPES, PageRecord

SNIFFED = 20  # files of a folder that are looked at before it is not one of COCO files
_NUMBERED = re.compile(r"^(.*?)[\W_]*p?(\d{1,9})$", re.IGNORECASE)


@dataclass
class Annotation:
    """One annotation: its box, its outline if it has a single one that fits the box, and all it says."""

    id: str
    category: int
    box: FloatBox
    outline: Points | None
    score: float
    attributes: dict[str, Any]
    raw: dict[str, Any]

    def rough(self) -> RoughPanel:
        """This annotation as a panel; `order` comes from its attributes."""
        x0, y0, x1, y1 = self.box
        points = self.outline or [(x0, y0), (x1, y1)]
        order, source = integer_of(self.attributes.get("order")), text_of(self.attributes.get("source"))
        return RoughPanel(points, order, self.score, source or "", self.outline is not None)


@dataclass
class CocoPage:
    """An image entry with its annotations and the problems found while grouping."""

    entry: dict[str, Any]
    title: str
    annotations: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


Fill = Callable[[PageRecord, list[Annotation], dict[int, str], Problems], None]


def coco_files(source: Path) -> list[Path]:
    """The COCO files that a path names: itself, or those in the folder and two levels below."""
    found = []
    for index, path in enumerate(json_files(source)):
        head = first_bytes(path).lstrip(b"\xef\xbb\xbf \t\r\n")
        keys = [key for key in (b'"images"', b'"annotations"', b'"categories"') if key in head]
        if head[:1] == b"{" and keys and b'"panel_coords"' not in head:
            found.append(path)
        if index >= SNIFFED and not found:
            break
    return found


def read_coco(source: Path, pictures: Path | None, format: str, fill: Fill) -> ForeignCorpus:
    """Open COCO files as a corpus.

    Raises:
        InputError: there are none, or one is not COCO.
    """
    files = coco_files(source)
    if not files:
        raise InputError(f"{source} holds no COCO file (a JSON object with images and annotations)")
    root = source if source.is_dir() else source.parent
    finder = PictureFinder(pictures or root)
    by_title: dict[str, list[tuple[CocoPage, dict[int, str]]]] = {}
    problems = Problems()
    for path in files:
        categories, pages = _load(path, problems)
        for page in pages:
            by_title.setdefault(page.title, []).append((page, categories))
    names = comic_names(by_title)
    titles = {name: title for title, name in names.items()}

    def build(comic: str) -> ComicPages:
        entries = by_title[titles[comic]]
        drafts = [_draft(page, categories, fill) for page, categories in entries]
        built = build_pages(comic, drafts, finder)
        built.problems[:0] = [f"{comic}: {line}" for page, _ in entries for line in page.problems]
        return built

    return ForeignCorpus(
        root, format=format, comics=titles, build=build, pictures=pictures, problems=problems.lines(),
        annotation_files=files,
    )  # fmt: skip


def category_names(value: Any) -> dict[int, str]:
    """Category ids to names in lower case, as the file lists them."""
    out: dict[int, str] = {}
    for entry in map(object_of, list_of(value)):
        number, name = integer_of(entry.get("id")), text_of(entry.get("name"))
        if number is not None and name is not None:
            out.setdefault(number, name.strip().casefold())
    return out


def outlines(value: Any) -> list[Points]:
    """The polygons of a segmentation, each `[x, y, x, y, ...]` of three points or more; broken ones left out."""
    out = []
    for flat in list_of(value):
        numbers = [number_of(v) for v in list_of(flat)]
        if len(numbers) >= 6 and len(numbers) % 2 == 0 and None not in numbers:
            plain = [n for n in numbers if n is not None]
            out.append(list(zip(plain[::2], plain[1::2], strict=True)))
    return out


def image_entry(record: PageRecord, image_id: int, file_name: str) -> dict[str, Any]:
    """The image entry of a page: COCO's four fields, then ours."""
    entry: dict[str, Any] = {
        "id": image_id, "file_name": file_name, "width": record.width, "height": record.height,
        "comic": record.comic, "page": record.page, "type": record.type, "direction": record.direction,
    }  # fmt: skip
    if record.type_confidence:
        entry["type_confidence"] = record.type_confidence
    return entry


def _load(path: Path, problems: Problems) -> tuple[dict[int, str], list[CocoPage]]:
    value = read_json(path)
    if not isinstance(value, dict) or not isinstance(value.get("images"), list):
        raise InputError(f"{path} is not COCO: it has no list of images")
    pages: dict[str, CocoPage] = {}
    for entry in value["images"]:
        key = str(entry.get("id")) if isinstance(entry, dict) else ""
        if not isinstance(entry, dict) or entry.get("id") is None:
            problems.add(path.name, "an image entry without an id is left out")
        elif key in pages:
            problems.add(path.name, f"two images have the id {key[:40]}; the second is left out")
        else:
            pages[key] = CocoPage(entry, _title(entry, path))
    seen: set[str] = set()
    for annotation in list_of(value.get("annotations")):
        target = pages.get(str(annotation.get("image_id"))) if isinstance(annotation, dict) else None
        if target is None:
            problems.add(path.name, "an annotation of an image that is not listed is left out")
            continue
        name = str(annotation.get("id"))
        if name in seen:
            target.problems.append(f"two annotations have the id {name[:40]}")
        seen.add(name)
        target.annotations.append(annotation)
    return category_names(value.get("categories")), list(pages.values())


def _title(entry: dict[str, Any], path: Path) -> str:
    """The comic of an image: what it says, else its folder, else its file name without the page number."""
    said = text_of(entry.get("comic"))
    if said and said.strip():
        return said.strip()
    parts = components(text_of(entry.get("file_name")) or "")
    if len(parts) > 1 and parts[-2] not in PICTURE_FOLDERS:
        return parts[-2].strip() or path.stem
    matched = _NUMBERED.match((parts or [""])[-1].rpartition(".")[0])
    return (matched.group(1).strip() if matched else "") or path.stem


def _draft(page: CocoPage, categories: dict[int, str], fill: Fill) -> Draft:
    entry = page.entry
    reference = text_of(entry.get("file_name")) or ""
    number = integer_of(entry.get("page"))
    if number is None:
        number = page_number(reference)
    direction = entry.get("direction")

    def put(record: PageRecord, problems: Problems) -> None:
        kind = entry.get("type")
        if kind in PAGE_TYPES:
            record.type = kind
            record.type_confidence = share_of(entry.get("type_confidence"), 0.0)
        fill(record, list(_annotations(record, page.annotations, problems)), categories, problems)

    boxes = [box for a in page.annotations if (box := box_of_xywh(a.get("bbox"))) is not None]
    return Draft(
        number, reference, put, checked_size(integer_of(entry.get("width")), integer_of(entry.get("height"))),
        extent(boxes), direction if direction in DIRECTIONS else "ltr",
    )  # fmt: skip


def _annotations(record: PageRecord, raw: list[dict[str, Any]], problems: Problems) -> Iterator[Annotation]:
    for value in raw:
        shapes = outlines(value.get("segmentation"))
        box = box_of_xywh(value.get("bbox"))
        if box is None and shapes:
            box = bounds([point for shape in shapes for point in shape])
        category = integer_of(value.get("category_id"))
        if category is None or box is None or box[2] <= box[0] or box[3] <= box[1]:
            what = "without a category" if category is None else "without a box that has an area"
            problems.add(record.id, f"an annotation {what} is left out")
            continue
        single = shapes[0] if len(shapes) == 1 and _fits(bounds(shapes[0]), box) else None
        yield Annotation(
            str(value.get("id")), category, box, single, share_of(value.get("score")),
            object_of(value.get("attributes")), value,
        )  # fmt: skip


def _fits(first: FloatBox, second: FloatBox) -> bool:
    return all(abs(a - b) <= 1 for a, b in zip(first, second, strict=True))
