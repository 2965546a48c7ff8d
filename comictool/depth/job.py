"""`depth predict`: maps of pages and ranks of their segments, as a job that a kill does not undo.

An item is a page. Its panels are those of its record, else found (`comictool.panels`). The plugin sees every page once:
one call for the maps of its panels, or one for all of its segments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from comictool.archives.sniffing import kind_of_file
from comictool.core.errors import ComicError, InputError, UsageError
from comictool.core.files import read_json, write_bytes, write_json
from comictool.core.images import decode_array
from comictool.core.jobs import Done, Item, JobOptions, JobReport, Problem, run_job
from comictool.core.names import safe_component
from comictool.core.progress import Progress
from comictool.core.typed import typed
from comictool.corpus.page_pictures import PagePicture, state_of_picture
from comictool.corpus.records import DIRECTIONS, Box, PageRecord, Panel
from comictool.depth.maps import TILE, cut, panel_maps
from comictool.depth.predicting import SegmentPredictor, answers, group_of
from comictool.depth.saved import PAGES, SavedPage, encode_cloud, encode_jpeg, encode_map, normal, overlay, write_array
from comictool.depth.segments import SegmentPage, listed, open_segments, segment_pages
from comictool.depth.sheet import write_depth_sheet
from comictool.depth.tables import Row, write_baseline, write_challenge
from comictool.formats import ai4va_coco, native
from comictool.panels.detect import detect_panels
from comictool.plugins.protocols import DepthEstimator
from comictool.vectors.files import find_pictures

NAME = "depth predict"
SHEET, SEGMENTS, BASELINE = "sheet.html", "segments.csv", "baseline.csv"


@dataclass(frozen=True)
class PredictOptions:
    """What is written.

    Attributes:
        maps, arrays, clouds: 16-bit maps with overlays in colours; the numbers themselves; point clouds.
        sheet: one HTML page of all.
        panels: find panels where a page has none; else the page is one.
        direction: in which found panels are counted; by default the page's own.
        tile: pixels; larger panels are looked at in tiles.
    """

    maps: bool = True
    arrays: bool = False
    clouds: bool = False
    sheet: bool = False
    panels: bool = True
    direction: str | None = None
    tile: int = TILE


@dataclass(frozen=True)
class _Found:
    """What a worker gives of one page: picture, map (nan outside of panels) or None, panels, and a row a segment."""

    picture: np.ndarray
    depth: np.ndarray | None
    panels: list[Panel]
    rows: list[Row]


@dataclass(frozen=True)
class _Part:
    """A page on disk until all are there."""

    page: SavedPage
    rows: list[tuple[int, int, int, float, float]]


def predict(
    source: Path,
    model: DepthEstimator,
    output: Path,
    *,
    chosen: PredictOptions | None = None,
    pictures: Path | None = None,
    options: JobOptions | None = None,
    progress: Progress | None = None,
) -> JobReport:
    """Write maps of pages, and ranks of their segments where they have any (see `saved` for the files).

    Args:
        source: a picture, a folder of pictures, a corpus, or COCO annotations.
        model: a plugin of kind `depth`.
        output: the folder; made if it is not there.
        pictures: where pictures are when they are not beside the annotations.

    Raises:
        UsageError: an unknown direction, or too small a tile.
        InputError: nothing to look at.
        Stopped: after a signal; the same call continues.
    """
    chosen = chosen or PredictOptions()
    options = options or JobOptions()
    if chosen.direction is not None and chosen.direction not in DIRECTIONS:
        raise UsageError(f"direction is {', '.join(DIRECTIONS)}, not {chosen.direction!r}")
    problems: list[Problem] = []
    pages = list(_pages(source, pictures, problems))
    if not pages:
        raise InputError(f"{source} holds no pages")
    items = [_item(page) for page in pages]
    writer = _Writer(output, chosen, _stems(pages))
    settings = {"plugin": model.encoder_id, **{k: v for k, v in asdict(chosen).items() if k != "sheet"}}
    report = run_job(
        NAME,
        items,
        _Look(model, chosen),
        writer.commit,
        ledger_folder=output / ".jobs",
        settings=settings,
        options=options,
        workers="inline",  # the model computes here, with all cores
        progress=progress,
        present=lambda item, summary: writer.has(item.payload),
    )
    report.problems += problems
    if not options.dry_run:
        parts = [part for page in pages if (part := writer.part(page)) is not None]
        report.problems += _tables(source, pages, parts, output)
        write_json(output / PAGES, [asdict(part.page) for part in parts])
        if chosen.sheet:
            write_depth_sheet(output / SHEET, output, [part.page for part in parts], source)
    return report


def _pages(source: Path, pictures: Path | None, problems: list[Problem]) -> Iterator[SegmentPage]:
    is_annotated = native.detect(source) or source.suffix.lower() == ".json" or bool(ai4va_coco.coco_files(source))
    if is_annotated:
        view = open_segments(source, pictures)
        yield from segment_pages(view, problems)
        problems += view.problems
        return
    if source.is_file() and kind_of_file(source) not in ("unknown", "image"):
        raise InputError(f"{source} is a comic file", hint=f"comictool data import {source} -o CORPUS, then its pages")
    lines: list[str] = []
    files = find_pictures([source], lines)
    problems += [Problem(str(source), line) for line in lines]
    for number, file in enumerate(files, start=1):
        name = file.relative_to(source).as_posix() if source.is_dir() else file.name
        record = PageRecord(name, number, str(file), 1, 1)
        yield SegmentPage(name, number, file, 0, 0, (), (), record)


def _item(page: SegmentPage) -> Item:
    told: list[Any] = [page.record.direction, [(each.id, each.box) for each in page.panels]]
    told += [(each.annotation_id, each.panel, each.box, each.polygons, str(each.rle)) for each in page.segments]
    try:
        state = state_of_picture(page.picture) if page.picture is not None else "missing"
    except OSError:
        state = "missing"
    return Item(
        page.id, blake2b(f"{state} {told}".encode("utf-8", "backslashreplace"), digest_size=12).hexdigest(), page
    )


@dataclass(frozen=True)
class _Look:
    """The work: one page to what is found on it."""

    model: DepthEstimator
    chosen: PredictOptions

    def __call__(self, page: SegmentPage) -> _Found:
        if page.picture is None:
            raise InputError("its picture is not there")
        picture = decode_array(page.picture)
        height, width = picture.shape[:2]
        if page.width and (width, height) != (page.width, page.height):
            said = f"{page.width}x{page.height}"
            raise InputError(f"its picture is {width}x{height} pixels, its record says {said}")
        if not page.panels and self.chosen.panels:
            page = page.with_panels(detect_panels(picture, self.chosen.direction or page.record.direction))
        by_itself = hasattr(self.model, "segment_depth")
        wanted: dict[int | None, Box] = {}
        if self.chosen.maps or self.chosen.arrays or self.chosen.clouds:
            wanted = {panel.id: panel.box for panel in page.panels} or {None: (0, 0, width, height)}
        used = {} if by_itself else group_of(page.segments, page.panels, (height, width))
        boxes = wanted | used
        found = panel_maps(self.model, [cut(picture, box) for box in boxes.values()], tile=self.chosen.tile)
        maps = dict(zip(boxes, found, strict=True))
        depth = None
        if wanted:
            depth = np.full((height, width), np.nan, np.float32)
            for key, (x0, y0, x1, y1) in wanted.items():
                depth[y0:y1, x0:x1] = maps[key]
        ranks = (
            SegmentPredictor(self.model).predict(picture, page.segments, page.panels)
            if by_itself
            else answers(page.segments, used, maps)
        )
        rows = [
            Row(each.annotation_id, each.image_id, each.category_id, said.inter, said.intra)
            for each, said in zip(page.segments, ranks, strict=True)
        ]
        return _Found(picture, depth, list(page.panels), rows)


class _Writer:
    """Files of pages, and the parts that the tables are made of when all are there."""

    def __init__(self, output: Path, chosen: PredictOptions, stems: Mapping[str, str]) -> None:
        self._output, self._chosen, self._stems = output, chosen, stems

    def commit(self, item: Item, found: _Found) -> Done:
        """Write what was found on a page; the part comes last."""
        page: SegmentPage = item.payload
        stem = self._stems[page.id]
        height, width = found.picture.shape[:2]
        saved = SavedPage(page.id, _shown(page.picture), width, height)
        if found.depth is not None:
            boxes = [panel.box for panel in found.panels] or [(0, 0, width, height)]
            normalised, ranges = normal(found.depth, boxes)
            files: dict[str, Any] = {}
            if self._chosen.maps:
                files["map"] = f"maps/{stem}.png"
                write_bytes(self._output / files["map"], encode_map(normalised))
                files["overlay"] = f"overlays/{stem}.jpg"
                write_bytes(self._output / files["overlay"], encode_jpeg(overlay(found.picture, normalised, boxes)))
            if self._chosen.arrays:
                files["array"] = f"arrays/{stem}.npz"
                write_array(self._output / files["array"], found.depth, boxes)
            if self._chosen.clouds:
                files["cloud"] = f"clouds/{stem}.ply"
                write_bytes(self._output / files["cloud"], encode_cloud(found.picture, normalised, boxes))
            saved = SavedPage(page.id, saved.picture, width, height, panels=ranges, **files)
        part = _Part(saved, [tuple(row) for row in found.rows])  # type: ignore[misc]
        write_json(self._part(page), asdict(part), indent=None)
        return Done({"pages": 1, "panels": len(found.panels), "segments": len(found.rows)})

    def has(self, page: SegmentPage) -> bool:
        """Whether all that was written of a page is still there."""
        part = self.part(page)
        if part is None:
            return False
        files = (part.page.map, part.page.overlay, part.page.array, part.page.cloud)
        return all((self._output / name).is_file() for name in files if name)

    def part(self, page: SegmentPage) -> _Part | None:
        """What was found on a page, by this run or an earlier one."""
        file = self._part(page)
        try:
            return typed(_Part, read_json(file), str(file)) if file.is_file() else None
        except ComicError:
            return None

    def _part(self, page: SegmentPage) -> Path:
        name = blake2b(page.id.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
        return self._output / ".jobs" / "parts" / f"{name}.json"


def _tables(source: Path, pages: Sequence[SegmentPage], parts: Sequence[_Part], output: Path) -> list[Problem]:
    """Write the tables of ranks: of COCO files every annotation once, in the order of the file."""
    rows = {row[0]: Row(*row) for part in parts for row in part.rows}
    order = [] if native.detect(source) or not any(page.segments for page in pages) else listed(source)
    problems = []
    if order:
        missing = [keys for keys in order if keys[0] not in rows]
        if missing and rows:
            # The challenge wants a number for each; the middle of what was said says least.
            inter, intra = (
                float(np.median([getattr(row, name) for row in rows.values()])) for name in ("inter", "intra")
            )
            rows |= {keys[0]: Row(*keys, inter, intra) for keys in missing}
            what = "annotations could not be looked at; they have the median of the others"
            problems.append(Problem(source.name, f"{len(missing):,} {what}"))
        rows = {keys[0]: rows[keys[0]] for keys in order if keys[0] in rows}
    if rows:
        write_challenge(output / SEGMENTS, rows.values())
        write_baseline(output / BASELINE, rows.values())
    return problems


def _stems(pages: Sequence[SegmentPage]) -> dict[str, str]:
    """Where files of pages lie below the folder of their kind, by id; no part of a name leads out of it."""
    found: dict[str, str] = {}
    used: set[str] = set()
    for page in pages:
        record, parts = page.record, page.id.split("/")
        if page.width:
            wanted = [f"{safe_component(record.comic)}/page-{record.page}"]
        else:  # a picture by itself
            folders = "".join(f"{safe_component(part)}/" for part in parts[:-1])
            wanted = [folders + safe_component(name) for name in (Path(parts[-1]).stem, parts[-1])]
        chosen = next((name for name in wanted if name.casefold() not in used), "")
        number = 2
        while not chosen or chosen.casefold() in used:
            chosen, number = f"{wanted[-1]} ({number})", number + 1
        used.add(chosen.casefold())
        found[page.id] = chosen
    return found


def _shown(picture: PagePicture | None) -> str:
    return picture.absolute().as_posix() if isinstance(picture, Path) else str(picture)
