"""COCO files: what CoMix and AI4VA have in common. Image entries to page drafts, annotations by image, and back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from comictool.core.errors import InputError
from comictool.core.jobs import Problem
from comictool.corpus.records import DIRECTIONS, PAGE_TYPES, PageRecord
from comictool.formats.boxes import UNIT, FloatBox, Points, are_shares, bounds, box_of_xywh, extent
from comictool.formats.drafts import Draft, RoughPanel, build_pages, checked_size
from comictool.formats.fitting import Sheet
from comictool.formats.masks import rle_bounds
from comictool.formats.pictures import PICTURE_FOLDERS, PictureFinder, comic_names, components, free_title, page_number
from comictool.formats.values import integer_of, list_of, number_of, object_of, read_json, share_of, text_of
from comictool.formats.view import ComicPages, ForeignCorpus, Problems
from comictool.formats.written import first_bytes, json_files

SNIFFED = 20  # files of a folder that are looked at before it is not one of COCO files
_NUMBERED = re.compile(r"^(.*?)[\W_]*p?(\d{1,9})$", re.IGNORECASE)

_ROBOFLOW = re.compile(r"(.+)_(jpe?g|png|webp|gif|bmp|tiff?|avif)\.rf\.[\w-]+\.\w+\Z", re.IGNORECASE)
_LABEL_STUDIO = re.compile(r"(?:.*[/\\])?([0-9a-f]{8})-([^/\\]+)\Z")


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
    """An image entry with its annotations and the problems found while grouping.

    Attributes:
        name: the path of the picture before an annotation tool renamed it.
        title: its comic; empty when nothing says it.
        file: that it stands in.
        shares: the boxes of the file are shares of the page.
    """

    entry: dict[str, Any]
    name: str
    title: str
    file: Path
    categories: dict[int, str]
    shares: bool = False
    annotations: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def reference(self) -> str:
        """The picture as the file names it, with folders when it says them anywhere."""
        name, path = (text_of(self.entry.get(key)) or "" for key in ("file_name", "path"))
        return path if path and components(path)[-1:] == components(name)[-1:] else name


Fill = Callable[[Sheet, list[Annotation], dict[int, str], Problems], None]


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
    finder = PictureFinder(source, pictures)
    problems = Problems()
    read = [_load(path, problems) for path in files]
    by_title = _by_title(read, finder)
    names = comic_names(by_title)
    titles = {name: title for title, name in names.items()}

    def build(comic: str) -> ComicPages:
        entries = by_title[titles[comic]]
        built = build_pages(comic, [_draft(page, fill, finder) for page in entries], finder)
        built.problems[:0] = [Problem(comic, line) for page in entries for line in page.problems]
        return built

    return ForeignCorpus(
        root,
        format=format,
        comics=titles,
        build=build,
        finder=finder,
        problems=problems.found(),
        annotation_files=files,
    )


def _by_title(read: list[list[CocoPage]], finder: PictureFinder) -> dict[str, list[CocoPage]]:
    """Pages by comic. One that several files are about is one page; files that name no comic are a comic each."""
    by_title: dict[str, list[CocoPage]] = {page.title: [] for pages in read for page in pages if page.title}
    places: dict[tuple[str, str], list[CocoPage]] = {}
    for pages in read:
        nameless = ""
        for page in pages:
            if not page.title:
                folder = page.file.parent.resolve().name
                nameless = nameless or free_title(page.file.stem, f"{folder} {page.file.stem}", by_title)
                page.title = nameless
            others = places.setdefault((page.title, "/".join(components(page.reference))), [])
            same = next((other for other in others if page.reference and _one_picture(page, other, finder)), None)
            if same is None:
                by_title.setdefault(page.title, []).append(page)
                others.append(page)
            else:
                _join(same, page, finder)
    return by_title


def _one_picture(first: CocoPage, second: CocoPage, finder: PictureFinder) -> bool:
    if first.file == second.file or first.shares != second.shares:
        return False
    found = {finder.find(page.reference, page.file.parent) for page in (first, second)}
    return len(found) == 1 and (found != {None} or first.file.parent == second.file.parent)


def _join(page: CocoPage, other: CocoPage, finder: PictureFinder) -> None:
    """Give a page the annotations that another file has of it, each once, under the category ids of its own file."""
    page.categories = dict(page.categories)
    numbers = {name: number for number, name in page.categories.items()}
    there = {(a.get("category_id"), str(a.get("bbox"))) for a in page.annotations}
    ids = {str(a.get("id")) for a in page.annotations}
    for annotation in other.annotations:
        number = integer_of(annotation.get("category_id"))
        name = other.categories.get(number) if number is not None else None
        if name is not None and name not in numbers:
            numbers[name] = max((-1, *page.categories)) + 1
            page.categories[numbers[name]] = name
        kind = numbers[name] if name is not None else number
        if (kind, str(annotation.get("bbox"))) in there:
            finder.notes.setdefault("what two files say of it is taken once", set()).add(f"{page.title} {page.name}")
            continue
        key = str(annotation.get("id"))
        key = f"{other.file.stem} {key}" if key in ids else key
        page.annotations.append({**annotation, "category_id": kind, "id": key})
    page.problems += other.problems


def category_names(value: Any) -> dict[int, str]:
    """Category ids to names in lower case, as the file lists them."""
    out: dict[int, str] = {}
    for entry in map(object_of, list_of(value)):
        number, name = integer_of(entry.get("id")), text_of(entry.get("name"))
        if number is not None and name is not None:
            out.setdefault(number, name.strip().casefold())
    return out


def original_names(names: list[str], entries: list[dict[str, Any]]) -> list[str]:
    """Paths of pictures before an annotation tool renamed them.

    Roboflow makes `ch01_p002_jpg.rf.<hash>.jpg` of `ch01_p002.jpg`, Label Studio `upload/1/8f3a2b1c-ch01_p002.jpg`
    (such a beginning counts when all pictures of the file have one, each its own).
    """
    prefixed = [_LABEL_STUDIO.match(name) for name in names]
    distinct = len({m.group(1) for m in prefixed if m}) == len(names) > 0
    out = []
    for name, entry, matched in zip(names, entries, prefixed, strict=True):
        said = text_of(object_of(entry.get("extra")).get("name"))
        roboflow = _ROBOFLOW.match(name)
        if roboflow is not None:
            out.append(said or f"{roboflow.group(1)}.{roboflow.group(2)}")
        else:
            out.append(matched.group(2) if matched is not None and distinct else name)
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
        "id": image_id,
        "file_name": file_name,
        "width": record.width,
        "height": record.height,
        "comic": record.comic,
        "page": record.page,
        "type": record.type,
        "direction": record.direction,
    }
    if record.type_confidence:
        entry["type_confidence"] = record.type_confidence
    return entry


def _load(path: Path, problems: Problems) -> list[CocoPage]:
    value = read_json(path)
    if not isinstance(value, dict) or not isinstance(value.get("images"), list):
        raise InputError(f"{path} is not COCO: it has no list of images")
    pages: dict[str, CocoPage] = {}
    categories = category_names(value.get("categories"))
    found = [annotation for annotation in list_of(value.get("annotations")) if isinstance(annotation, dict)]
    shares = are_shares([list_of(annotation.get("bbox")) for annotation in found])
    entries = [entry for entry in value["images"] if isinstance(entry, dict)]
    renamed = original_names([text_of(entry.get("file_name")) or "" for entry in entries], entries)
    for _ in range(len(value["images"]) - len(entries)):
        problems.add(path.name, "an image entry without an id is left out")
    for entry, name in zip(entries, renamed, strict=True):
        key = str(entry.get("id"))
        if entry.get("id") is None:
            problems.add(path.name, "an image entry without an id is left out")
        elif key in pages:
            problems.add(path.name, f"two images have the id {key[:40]}; the second is left out")
        else:
            page = CocoPage(entry, name, "", path, categories, shares)
            page.title = _title(page)
            pages[key] = page
    seen: set[str] = set()
    for _ in range(len(list_of(value.get("annotations"))) - len(found)):
        problems.add(path.name, "an annotation of an image that is not listed is left out")
    for annotation in found:
        target = pages.get(str(annotation.get("image_id")))
        if target is None:
            problems.add(path.name, "an annotation of an image that is not listed is left out")
            continue
        name = str(annotation.get("id"))
        if name in seen:
            target.problems.append(f"two annotations have the id {name[:40]}")
        seen.add(name)
        target.annotations.append(annotation)
    return list(pages.values())


def _title(page: CocoPage) -> str:
    """The comic of an image: what it says, its folder, or its file name without the page number; else nothing."""
    said = text_of(page.entry.get("comic"))
    if said and said.strip():
        return said.strip()
    renamed = page.name != (text_of(page.entry.get("file_name")) or "")
    parts = components(page.name if renamed else page.reference)
    if len(parts) > 1 and parts[-2] not in PICTURE_FOLDERS:
        return parts[-2].strip()
    matched = _NUMBERED.match((parts or [""])[-1].rpartition(".")[0])
    return matched.group(1).strip() if matched else ""


def _draft(page: CocoPage, fill: Fill, finder: PictureFinder) -> Draft:
    entry = page.entry
    number = integer_of(entry.get("page"))
    if number is None:
        number = page_number(page.name)
    direction = entry.get("direction")

    def put(record: Sheet, problems: Problems) -> None:
        kind = entry.get("type")
        if kind in PAGE_TYPES:
            record.type = kind
            record.type_confidence = share_of(entry.get("type_confidence"), 0.0)
        scale = record.annotated if page.shares else (1, 1)
        if page.shares and page.annotations:
            finder.notes.setdefault("boxes are shares of the page (0 to 1)", set()).add(record.id)
            if scale == (1, 1):
                problems.add(record.id, "its boxes are shares of a page whose size nothing says; they are left out")
                return
        fill(record, list(_annotations(record, page.annotations, scale, problems)), page.categories, problems)

    boxes = [box for a in page.annotations if (box := box_of_xywh(a.get("bbox"))) is not None]
    return Draft(
        number,
        page.reference,
        put,
        checked_size(integer_of(entry.get("width")), integer_of(entry.get("height"))),
        extent(boxes),
        direction if direction in DIRECTIONS else "ltr",
        page.file.parent,
    )


def _annotations(
    record: Sheet, raw: list[dict[str, Any]], scale: tuple[int, int], problems: Problems
) -> Iterator[Annotation]:
    for value in raw:
        shapes = [_scaled(shape, scale) for shape in outlines(value.get("segmentation"))]
        box = box_of_xywh(value.get("bbox"))
        if box is not None:
            box = (box[0] * scale[0], box[1] * scale[1], box[2] * scale[0], box[3] * scale[1])
        elif shapes:
            box = bounds([point for shape in shapes for point in shape])
        else:
            box = rle_bounds(value.get("segmentation"))
        category = integer_of(value.get("category_id"))
        if category is None or box is None or box[2] <= box[0] or box[3] <= box[1]:
            what = "without a category" if category is None else "without a box that has an area"
            problems.add(record.id, f"an annotation {what} is left out")
            continue
        yield Annotation(
            str(value.get("id")),
            category,
            box,
            shapes[0] if len(shapes) == 1 and _fits(bounds(shapes[0]), box) else None,
            share_of(value.get("score")),
            object_of(value.get("attributes")),
            {**value, "segmentation": [[v for point in shape for v in point] for shape in shapes]} if shapes else value,
        )


def _scaled(shape: Points, scale: tuple[int, int]) -> Points:
    """An outline in pixels; one whose numbers are all small is in shares of the page where its box is."""
    if scale == (1, 1) or any(v > UNIT for point in shape for v in point):
        return shape
    return [(x * scale[0], y * scale[1]) for x, y in shape]


def _fits(first: FloatBox, second: FloatBox) -> bool:
    return all(abs(a - b) <= 1 for a, b in zip(first, second, strict=True))
