"""Segments of pages with their two depth ranks, from any file that has them.

A segment is one annotated thing or part of a thing. `inter` is the plane that it lies on, counted from the viewer anew
in each panel, 0 the nearest; `intra` orders what shares a plane, such as the parts of one figure, smaller is nearer.
Either may be missing: lettering and panels have none, and a missing rank is no rank, never 0.

Read are AI4VA's COCO files, those without ranks too (the challenge's test segments), and corpora, drawn ones among
them. The file's own numbers of annotation, image and category are kept: `(image, category)` is no key, for a page has
many segments of one category.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from comictool.core.errors import ComicError
from comictool.core.jobs import Problem
from comictool.corpus.assignment import assign_panel
from comictool.corpus.corpus import Corpus
from comictool.corpus.page_pictures import PagePicture
from comictool.corpus.records import Box, PageRecord, Panel, clamp_box
from comictool.corpus.views import CorpusView
from comictool.formats import ai4va_coco, native
from comictool.formats.masks import is_rle, rle_mask
from comictool.formats.registry import open_any
from comictool.formats.values import integer_of, list_of, number_of, object_of, read_json, text_of

PANEL = "panel"  # the category of segments that are panels themselves
Points = tuple[tuple[float, float], ...]
EDGES_AT_ONCE = 1_000_000  # edges times rows that are looked at in one step
_NO_OVERLAP = 0.0  # a segment belongs to the panel that holds most of it, however little that is


@dataclass(frozen=True)
class Segment:
    """One segment of a page.

    Attributes:
        annotation_id: what its ranks are filed under; unique within a file. Counted on when the file has no numbers.
        image_id, category_id: as the file numbers them.
        category: its name in lower case, or its number as text.
        panel: number of the panel that holds most of it; None on a page without panels.
        box: on the page, in pixels.
        polygons: its outline, in page pixels; what is in any of them is in the segment.
        rle: COCO run lengths over the whole page, in place of polygons.
        inter, intra: ranks, smaller is nearer; None where it has none.
        depth: 0 nearest to 1 farthest within the panel, where that is known exactly (drawn comics).
        character: number of the character on the page that it belongs to.
    """

    annotation_id: int
    image_id: int
    category_id: int
    category: str
    panel: int | None
    box: Box
    polygons: tuple[Points, ...] = ()
    rle: Mapping[str, Any] | None = field(default=None, hash=False)
    inter: float | None = None
    intra: float | None = None
    depth: float | None = None
    character: int | None = None

    def mask(self, window: Box | None = None, size: tuple[int, int] | None = None) -> np.ndarray:
        """Which pixels are its.

        Args:
            window: part of the page, in page pixels; its own box by default. It may reach beyond the page.
            size: height and width of the answer, so that any scale can be had; one pixel a page pixel by default.

        Returns:
            (height, width) bool. A pixel counts by its middle. A segment without outline fills its box. One that is in
            the window but too thin to hold any middle has the pixel nearest to the middle of its box.
        """
        x0, y0, x1, y1 = window or self.box
        height, width = size or (y1 - y0, x1 - x0)
        across, down = width / (x1 - x0), height / (y1 - y0)
        shapes = self.polygons
        found = rle_mask(self.rle) if self.rle is not None else None
        if found is not None:
            rows = np.floor(y0 + (np.arange(height) + 0.5) / down).astype(np.int64)
            columns = np.floor(x0 + (np.arange(width) + 0.5) / across).astype(np.int64)
            inside = np.ix_((rows >= 0) & (rows < found.shape[0]), (columns >= 0) & (columns < found.shape[1]))
            mask = np.zeros((height, width), bool)
            mask[inside] = found[np.ix_(rows[inside[0].ravel()], columns[inside[1].ravel()])]
        elif shapes:
            mask = np.zeros((height, width), bool)
            for shape in shapes:
                mask |= _filled((np.array(shape) - (x0, y0)) * (across, down), height, width)
        else:
            mask = np.zeros((height, width), bool)
            left, right = ((v - x0) * across for v in (self.box[0], self.box[2]))
            top, bottom = ((v - y0) * down for v in (self.box[1], self.box[3]))
            mask[_span(top, bottom, height), _span(left, right, width)] = True
        if not mask.any():
            row = int(((self.box[1] + self.box[3]) / 2 - y0) * down)
            column = int(((self.box[0] + self.box[2]) / 2 - x0) * across)
            if 0 <= row < height and 0 <= column < width:
                mask[row, column] = True
        return mask


@dataclass(frozen=True)
class SegmentPage:
    """A page with its segments.

    Attributes:
        id: `comic/page`.
        image_id: as the file numbers it.
        picture: None where the file names none that is there.
        width, height: in pixels.
        panels: as they were annotated; empty when nobody did.
        segments: in the order of the file, the annotated panels first.
        record: the page record that they came in.
    """

    id: str
    image_id: int
    picture: PagePicture | None
    width: int
    height: int
    panels: tuple[Panel, ...]
    segments: tuple[Segment, ...]
    record: PageRecord

    def with_panels(self, panels: Sequence[Panel]) -> SegmentPage:
        """The same with panels that were found, and every segment in one of them."""
        placed = tuple(replace(each, panel=_panel_of(each.box, panels)) for each in self.segments)
        return replace(self, panels=tuple(panels), segments=placed)


def open_segments(path: Path, pictures: Path | None = None) -> CorpusView:
    """A corpus, or annotations in a known format; any COCO file is read as AI4VA's.

    Raises:
        InputError: there is nothing, or it cannot be read.
    """
    if native.detect(path):
        return Corpus.open(path)
    if path.exists() and ai4va_coco.coco_files(path):
        return ai4va_coco.read(path, pictures)
    return open_any(path, pictures=pictures)


def read_segments(path: Path, pictures: Path | None = None) -> Iterator[SegmentPage]:
    """The pages of a corpus or of COCO files, each with its segments; raises like `open_segments`."""
    yield from segment_pages(open_segments(path, pictures))


def segment_pages(view: CorpusView, problems: list[Problem] | None = None) -> Iterator[SegmentPage]:
    """The pages of a view, each with its segments, comic by comic. Whatever has no number of its own is counted on.

    Args:
        problems: gets what is wrong with single pages.
    """
    images = annotations = 0
    kinds: dict[str, int] = {}
    for record in _records(view, problems):
        image = integer_of(record.extra.get(ai4va_coco.IMAGE_ID))
        images = max(images + 1, image or 0)
        page = page_of(record, view, images if image is None else image, annotations, kinds)
        annotations = max([annotations, *(each.annotation_id for each in page.segments)])
        yield page


def _records(view: CorpusView, problems: list[Problem] | None) -> Iterator[PageRecord]:
    for comic in view.comics():
        read = view.read(comic)
        if problems is not None:
            problems += read.problems
        yield from read.pages


def listed(path: Path) -> list[tuple[int, int, int]]:
    """Every annotation of COCO files as (annotation, image, category), in the order of the file, each once.

    Those too that cannot be looked at, having no box: whoever is asked for each annotation once leaves none out.
    """
    found: dict[int, tuple[int, int, int]] = {}
    for file in ai4va_coco.coco_files(path):
        for value in map(object_of, list_of(object_of(read_json(file)).get("annotations"))):
            numbers = [integer_of(value.get(name)) for name in ("id", "image_id", "category_id")]
            number, image, category = (-1 if n is None else n for n in numbers)
            if number >= 0:
                found.setdefault(number, (number, image, category))
    return list(found.values())


def page_of(record: PageRecord, view: CorpusView, image_id: int, before: int, kinds: dict[str, int]) -> SegmentPage:
    """One page record as a page with segments.

    Args:
        view: where its picture is asked for.
        image_id: the page's number.
        before: segments without a number get those after this one.
        kinds: numbers of categories that have none in the file; grows.
    """
    segments = []
    for panel in record.panels:
        number = integer_of(panel.extra.get("annotation"))
        if number is not None:  # a panel of a corpus is no annotation unless it came from a file that has it as one
            category = integer_of(panel.extra.get("category"))
            own = category if category is not None else ai4va_coco.PANEL
            segments.append(Segment(number, image_id, own, PANEL, panel.id, panel.box, _points([panel.polygon])))
    for value in record.segments:
        found = _segment(value, record, image_id, before + 1, kinds)
        if found is not None:
            before = max(before, found.annotation_id)
            segments.append(found)
    try:
        picture: PagePicture | None = view.picture(record)
    except ComicError:
        picture = None
    return SegmentPage(
        record.id, image_id, picture, record.width, record.height, tuple(record.panels), tuple(segments), record
    )


def _segment(
    value: Mapping[str, Any], record: PageRecord, image_id: int, following: int, kinds: dict[str, int]
) -> Segment | None:
    """A segment of a page record, whose values are anybody's; None without a box on the page."""
    numbers = [integer_of(v) for v in list_of(value.get("box"))]
    if len(numbers) != 4 or None in numbers:
        return None
    x0, y0, x1, y1 = (n for n in numbers if n is not None)
    box = clamp_box((x0, y0, x1, y1), record.width, record.height)
    if box is None:
        return None
    kind = (text_of(value.get("kind")) or "unknown").strip().casefold()
    number, category = integer_of(value.get("annotation")), integer_of(value.get("category"))
    panel, known = integer_of(value.get("panel")), {each.id for each in record.panels}
    return Segment(
        number if number is not None else following,
        image_id,
        category if category is not None else kinds.setdefault(kind, len(kinds) + 1),
        kind,
        panel if panel in known else _panel_of(box, record.panels),
        box,
        _points(list_of(value.get("polygons"))),
        value["rle"] if is_rle(value.get("rle")) else None,
        number_of(value.get("inter")),
        number_of(value.get("intra")),
        number_of(value.get("depth")),
        integer_of(value.get("character")),
    )


def _panel_of(box: Box, panels: Sequence[Panel]) -> int | None:
    panel = assign_panel(box, panels, _NO_OVERLAP)
    return panel.id if panel is not None else None


def _points(shapes: Sequence[Any]) -> tuple[Points, ...]:
    """Outlines of three points or more; what is no outline is left out."""
    found = []
    for shape in shapes:
        pairs = [list(point) for point in shape or () if isinstance(point, list | tuple) and len(point) == 2]
        numbers = [(number_of(x), number_of(y)) for x, y in pairs]
        points = tuple((x, y) for x, y in numbers if x is not None and y is not None)
        if len(points) >= 3 and len(points) == len(shape):
            found.append(points)
    return tuple(found)


def _filled(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """The pixels whose middle lies in an outline, by the even-odd rule: (E, 2) x, y to (height, width) bool.

    Pillow's polygons have the pixels under their edges too, which at a small scale makes them half as large again.
    """
    turns = np.zeros((height, width + 1), np.int32)
    middles = np.arange(height) + 0.5
    ends = np.roll(points, -1, axis=0)
    step = max(1, EDGES_AT_ONCE // height)
    for start in range(0, len(points), step):
        (ax, ay), (bx, by) = points[start : start + step].T, ends[start : start + step].T
        edge, row = np.nonzero((ay[:, None] > middles) != (by[:, None] > middles))
        crossing = ax[edge] + (bx[edge] - ax[edge]) * (middles[row] - ay[edge]) / (by[edge] - ay[edge])
        np.add.at(turns, (row, np.clip(np.ceil(crossing - 0.5), 0, width).astype(np.int64)), 1)
    found: np.ndarray = np.cumsum(turns, axis=1)[:, :width] % 2 == 1
    return found


def _span(low: float, high: float, count: int) -> slice:
    """The pixels whose middle lies between two places."""
    return slice(max(0, min(count, round(low))), max(0, min(count, round(high))))
