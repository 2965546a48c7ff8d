"""AI4VA COCO: panels and everything drawn in them as segments with two depth ranks, one COCO file.

`attributes.Interdepth` ranks things from the viewer (0 is nearest), `attributes.Intradepth` the parts of one thing,
both within a panel. Either may be missing, and missing stays missing. Panels are the category that is named so, or
number 25. Segments keep `kind` (the category's name), `box`, `polygons` or `rle`, `inter`, `intra` and every further
plain attribute, and `iscrowd` 1 where the file says so: many things under one mask, which COCO's evaluation passes
over, however the mask is written. The numbers that results are filed under are kept too: `annotation` and `category`
of segments and panels, `image_id` of pages.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from comictool.core.files import atomic_text
from comictool.corpus.boxes import area
from comictool.corpus.records import PageRecord
from comictool.formats.boxes import bounds, place, xywh
from comictool.formats.coco import Annotation, coco_files, image_entry, outlines, read_coco
from comictool.formats.drafts import number_panels
from comictool.formats.fitting import Sheet
from comictool.formats.keeping import ALL_PANEL, Capabilities
from comictool.formats.masks import is_rle
from comictool.formats.values import integer_of, list_of, number_of, text_of
from comictool.formats.view import ForeignCorpus, Problems
from comictool.formats.written import JsonList, WrittenComic, mentions, suffix_of

NAME = "ai4va-coco"
FILE = "annotations.json"
PANEL = 25  # the panel category of the published files
_PANEL_NAMES = ("panel", "case", "vignette", "frame")
_DEPTHS = (("inter", "Interdepth"), ("intra", "Intradepth"))
_OWN_FIELDS = {"kind", "box", "polygons", "rle", "iscrowd", "inter", "intra", "annotation", "category"}
IMAGE_ID = "image_id"  # of a page record


def _keep(record: PageRecord) -> PageRecord:
    """Segments with a box on the page and plain values; they cannot name characters, for those are not held."""
    record.segments = [kept for segment in record.segments if (kept := _kept(segment, record)) is not None]
    for segment in record.segments:
        segment.pop("character", None)
    return record


CAPABILITIES = Capabilities(
    page=frozenset({"type", "type_confidence", "direction"}),
    panels=ALL_PANEL,
    segments=True,
    extra=frozenset({IMAGE_ID}),
    panel_extra=frozenset({"annotation", "category"}),
    adjust=_keep,
)


def detect(folder: Path) -> bool:
    """Whether a COCO file carries depth attributes."""
    return any(mentions(file, b'"Interdepth"') for file in coco_files(folder))


def read(source: Path, pictures: Path | None = None) -> ForeignCorpus:
    """Open AI4VA COCO files as a corpus; raises like `coco.read_coco`."""
    return read_coco(source, pictures, NAME, _fill)


def picture_place(record: PageRecord) -> str:
    """`images/<comic>-<page>.<ext>`: the published pages lie in one folder, issue and page in their names."""
    return f"images/{record.comic}-{record.page:02d}{suffix_of(record)}"


def write(comics: Iterable[WrittenComic], destination: Path, problems: Problems) -> None:
    """Write `annotations.json`; annotations are streamed, categories and image entries follow them."""
    images: list[dict[str, Any]] = []
    categories: dict[str, int] = {"panel": PANEL}
    used: set[int] = set()
    with atomic_text(destination / FILE) as stream:
        stream.write('{"info": {"description": "AI4VA depth: Interdepth, Intradepth"},\n"annotations": ')
        annotations = JsonList(stream)
        shown: set[int] = set()
        for comic in comics:
            for record in comic.pages:
                of = _free(record.extra.get(IMAGE_ID), shown)
                images.append(image_entry(record, of, record.image.removeprefix("images/")))
                for number, entry in [*_panels(record), *_segments(record, categories)]:
                    annotations.add({"id": _free(number, used), "image_id": of, **entry})
        annotations.close()
        named = [{"id": number, "name": name} for name, number in sorted(categories.items(), key=lambda c: c[1])]
        stream.write(',\n"categories": ' + json.dumps(named, ensure_ascii=False) + ',\n"images": ')
        listed = JsonList(stream)
        for image in images:
            listed.add(image)
        listed.close()
        stream.write("}\n")


def _free(number: Any, used: set[int]) -> int:
    """The number that a thing had in the file it came from, or one that is free where it had none."""
    whole = integer_of(number)
    if whole is None or whole < 0 or whole in used:
        whole = len(used) + 1
        while whole in used:
            whole += 1
    used.add(whole)
    return whole


def _panels(record: PageRecord) -> Iterable[tuple[Any, dict[str, Any]]]:
    for panel in record.panels:
        flat = [] if panel.polygon is None else [[v for point in panel.polygon for v in point]]
        shape = xywh(panel.box)
        attributes = {"order": panel.order, **({"source": panel.source} if panel.source else {})}
        yield (
            panel.extra.get("annotation"),
            {
                "category_id": PANEL,
                "bbox": shape,
                "segmentation": flat,
                "iscrowd": 0,
                "area": shape[2] * shape[3],
                "score": panel.score,
                "attributes": attributes,
            },
        )


def _segments(record: PageRecord, categories: dict[str, int]) -> Iterable[tuple[Any, dict[str, Any]]]:
    for segment in record.segments:
        kind = segment["kind"]
        if kind not in categories:
            said = integer_of(segment.get("category"))
            taken = set(categories.values())
            # The number of the file it came from, else the first that is free.
            categories[kind] = said if said is not None and said >= 0 and said not in taken else _next(taken)
        attributes = {name: value for name, value in segment.items() if name not in _OWN_FIELDS}
        attributes |= {theirs: float(segment[ours]) for ours, theirs in _DEPTHS if ours in segment}
        shape: Any = [[v for point in polygon for v in point] for polygon in segment.get("polygons", [])]
        yield (
            segment.get("annotation"),
            {
                "category_id": categories[kind],
                "bbox": xywh(segment["box"]),
                "segmentation": segment.get("rle", shape),
                "iscrowd": segment.get("iscrowd", 0),
                "area": area(segment["box"]),
                "attributes": attributes,
            },
        )


def _next(taken: set[int]) -> int:
    return next(number for number in range(1, len(taken) + 2) if number not in taken)


def _fill(record: Sheet, annotations: list[Annotation], categories: dict[int, str], problems: Problems) -> None:
    named = {number for number, name in categories.items() if name in _PANEL_NAMES}
    panel_categories = {PANEL} if PANEL in named or not named else named
    panels = [a for a in annotations if a.category in panel_categories]
    numbers = number_panels(record, [a.rough() for a in panels], problems)
    by_number = {panel.id: panel for panel in record.panels}
    for number, annotation in zip(numbers, panels, strict=True):
        if number is not None:
            by_number[number].extra |= _numbers(annotation)
    if annotations and (image := integer_of(annotations[0].raw.get("image_id"))) is not None:
        record.extra[IMAGE_ID] = image
    for annotation in annotations:
        if annotation.category in panel_categories:
            continue
        if categories and annotation.category not in categories:
            problems.add(record.id, f"category {annotation.category} is not among the categories of the file")
        segment: dict[str, Any] = {
            name: value
            for name, value in annotation.attributes.items()
            if name not in ("Interdepth", "Intradepth", *_OWN_FIELDS) and _is_plain(value)
        }
        segment["kind"] = categories.get(annotation.category, str(annotation.category))
        segment["box"] = list(annotation.box)
        segment["iscrowd"] = annotation.raw.get("iscrowd")
        segment |= _numbers(annotation)
        shapes = outlines(annotation.raw.get("segmentation"))
        if record.fit:
            shapes = [[record.fit.point(x, y) for x, y in shape] for shape in shapes]
        if shapes:
            segment["polygons"] = [[list(point) for point in shape] for shape in shapes]
        elif is_rle(annotation.raw.get("segmentation")):
            if record.fit:
                problems.add(record.id, "a mask of run lengths is left out, for its picture is turned or scaled")
            else:
                segment["rle"] = annotation.raw["segmentation"]
        for ours, theirs in _DEPTHS:
            value = number_of(annotation.attributes.get(theirs))
            if value is not None:
                segment[ours] = value
        kept = _kept(segment, record)
        if kept is None:
            problems.add(record.id, "a segment outside the page is left out")
        else:
            record.segments.append(kept)


def _numbers(annotation: Annotation) -> dict[str, int]:
    found = {"annotation": integer_of(annotation.id), "category": annotation.category}
    return {name: number for name, number in found.items() if number is not None}


def _kept(segment: dict[str, Any], record: PageRecord) -> dict[str, Any] | None:
    """A segment with plain values only and its box on the page; None when there is no such box."""
    # Points here, flat numbers in COCO: what is neither is no polygon.
    listed = [list_of(shape) for shape in list_of(segment.get("polygons"))]
    shapes = outlines([[v for point in shape for v in _pair(point)] for shape in listed])
    value = segment.get("box")
    if value is None and shapes:
        value = bounds([point for shape in shapes for point in shape])
    numbers = [number_of(v) for v in value] if isinstance(value, (list, tuple)) and len(value) == 4 else []
    if not numbers or None in numbers:
        return None
    x0, y0, x1, y1 = (n for n in numbers if n is not None)
    box = place((x0, y0, x1, y1), record)
    if box is None:
        return None
    out: dict[str, Any] = {k: v for k, v in segment.items() if k not in _OWN_FIELDS and _is_plain(v)}
    kind = (text_of(segment.get("kind")) or "unknown").strip().casefold()
    out |= {"kind": "panel part" if kind == "panel" else kind, "box": list(box)}  # panels are a category of their own
    if shapes:
        out["polygons"] = [[[_whole(x), _whole(y)] for x, y in shape] for shape in shapes]
    elif is_rle(segment.get("rle")):
        out["rle"] = segment["rle"]
    if integer_of(segment.get("iscrowd")) == 1:
        out["iscrowd"] = 1
    filed = {name: integer_of(segment.get(name)) for name in ("annotation", "category")}
    out |= {name: number for name, number in filed.items() if number is not None}
    out |= {k: _whole(v) for k in ("inter", "intra") if (v := number_of(segment.get(k))) is not None}
    return out


def _whole(value: float) -> int | float:
    return int(value) if float(value).is_integer() else value


def _pair(point: Any) -> list[Any]:
    return list(point) if isinstance(point, (list, tuple)) and len(point) == 2 else [None]


def _is_plain(value: Any) -> bool:
    """A value that an attribute can have: finite and without parts."""
    return isinstance(value, (str, bool)) or (isinstance(value, (int, float)) and number_of(value) is not None)
