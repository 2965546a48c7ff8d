"""`depth evaluate`: predictions, or a plugin, against any truth about depth, with floors and intervals beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from comictool.core.errors import ComicError, InputError
from comictool.core.images import decode_array
from comictool.core.jobs import Problem
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import Box
from comictool.depth.baselines import GEOMETRY, Geometric, constants
from comictool.depth.dense import MEASURES, compare_maps, depth_at
from comictool.depth.maps import TILE, cut, panel_maps
from comictool.depth.measures import Answer, Ranked, errors, orders, points_right
from comictool.depth.predicting import Predictor, predictor_of
from comictool.depth.segments import Segment, SegmentPage, open_segments, segment_pages
from comictool.depth.tables import Predictions
from comictool.depth.truth import PageRanks, kind_of, read_page_ranks, read_pairs, read_points
from comictool.drawn.depth import read_depth
from comictool.measure.metrics import Metric, statistic
from comictool.plugins.protocols import DepthEstimator

NOTHING = np.zeros((1, 1, 3), np.uint8)  # the picture that baselines do not look at
DEPTH = "depth"  # of a drawn page's record: where its map is


class Maps(Protocol):
    """Where maps come from: a plugin, or what `depth predict` wrote."""

    def of(self, picture: Path, boxes: Sequence[Box | None]) -> list[np.ndarray]:
        """Maps of parts of a picture, larger is farther; None is all of it."""
        ...


@dataclass
class PluginMaps:
    """Maps that a plugin makes now, panel by panel."""

    model: DepthEstimator
    tile: int = TILE

    def of(self, picture: Path, boxes: Sequence[Box | None]) -> list[np.ndarray]:
        """See `Maps`."""
        page = decode_array(picture)
        return panel_maps(self.model, [page if box is None else cut(page, box) for box in boxes], tile=self.tile)


@dataclass
class Said:
    """What is measured: a table of ranks, maps, a plugin that gives both, or a table of ranks of whole pages."""

    name: str
    table: Predictions | None = None
    model: DepthEstimator | None = None
    maps: Maps | None = None
    pages: PageRanks | None = None


@dataclass
class Evaluated:
    """Metrics, what they are of, and what was wrong with single items."""

    metrics: list[Metric]
    facts: dict[str, Any]
    problems: list[Problem] = field(default_factory=list)


def evaluate(truth: Path, said: Said, *, pictures: Path | None = None, as_kit: bool = False) -> Evaluated:
    """Measure against whatever the truth is.

    Args:
        pictures: where pictures are, when they are not beside the truth.
        as_kit: count as the challenge's script: of each image and category the last segment alone.

    Raises:
        InputError: no such truth, or what is measured has nothing that it asks for.
    """
    kind = kind_of(truth)
    if kind == "pairs":
        found = _pairs(truth, said, pictures)
    elif kind == "points":
        found = _points(truth, said, pictures)
    elif kind == "pages":
        found = _page_ranks(truth, said)
    else:
        found = _segments(truth, said, pictures, as_kit)
    found.facts = {"truth": str(truth), "kind": kind, "measured": said.name, **found.facts}
    return found


def _segments(truth: Path, said: Said, pictures: Path | None, as_kit: bool) -> Evaluated:
    view = open_segments(truth, pictures)
    problems: list[Problem] = []
    pages = []
    for page in segment_pages(view, problems):
        known = tuple(each for each in page.segments if each.inter is not None or each.intra is not None)
        if known:
            pages.append((page, known))
    problems += view.problems
    metrics: list[Metric] = []
    facts: dict[str, Any] = {"pages": len(pages), "segments": sum(len(known) for _, known in pages)}
    if (said.table is not None or said.model is not None) and pages:
        found = _of_segments(pages, said, as_kit, problems)
        metrics += found.metrics
        facts |= found.facts
    if said.maps is not None and isinstance(view, Corpus):
        metrics += _dense(view, said.maps, facts, problems)
    if not metrics:
        raise InputError(
            f"{truth} has no depth that {said.name} could be measured by",
            cause="segments need ranks (Interdepth, Intradepth), drawn corpora their depth maps",
        )
    return Evaluated(metrics, facts, problems)


def _of_segments(
    pages: list[tuple[SegmentPage, tuple[Segment, ...]]], said: Said, as_kit: bool, problems: list[Problem]
) -> Evaluated:
    segments = [each for _, known in pages for each in known]
    mean = constants(segments)[0]
    rules: list[Predictor] = [*constants(segments), *(Geometric(name) for name in GEOMETRY)]
    columns: dict[str, list[tuple[float, float]]] = {rule.name: [] for rule in rules}
    own: list[tuple[float, float]] = []
    missing = 0
    for page, known in pages:
        for rule in rules:
            columns[rule.name] += [answer[:2] for answer in rule.predict(NOTHING, known, page.panels)]
        answers: Sequence[tuple[float, float] | None]
        if said.table is not None:
            answers = [said.table.of(each) for each in known]
        else:
            answers = _asked(page, known, said, problems)
        missing += sum(answer is None for answer in answers)
        own += [answer if answer is not None else mean.level for answer in answers]
    facts: dict[str, Any] = {}
    if missing:
        # Leaving out what is hard must not help.
        facts["without prediction"] = missing
        problems.append(
            Problem(said.name, f"{missing:,} of {len(segments):,} segments have no prediction; the mean stands for it")
        )
    if said.table is not None:
        facts["rows of predictions"] = said.table.rows
        problems += [Problem(said.name, line) for line in said.table.problems]
        if not said.table.by_annotation:
            facts["key"] = "image and category, which many segments share"
    chosen = np.arange(len(segments))
    if as_kit:
        last = {(each.image_id, each.category_id): number for number, each in enumerate(segments)}
        chosen = np.array(sorted(last.values()))
        facts["counted as the challenge's script"] = len(chosen)
    ranked = _ranked(pages).take(chosen)
    table = _columns(own, chosen)
    floors = {name: _columns(column, chosen) for name, column in columns.items()}
    found = [*errors(ranked, table, floors), *orders(ranked, table, floors)]
    return Evaluated(found, facts)


def _asked(
    page: SegmentPage, known: tuple[Segment, ...], said: Said, problems: list[Problem]
) -> list[tuple[float, float] | None]:
    assert said.model is not None
    try:
        if page.picture is None:
            raise InputError("its picture is not there")
        answers = predictor_of(said.model).predict(decode_array(page.picture), known, page.panels)
    except ComicError as error:
        problems.append(Problem(page.id, error.fact))
        return [None] * len(known)
    return [answer[:2] for answer in answers]


def _ranked(pages: Sequence[tuple[SegmentPage, tuple[Segment, ...]]]) -> Ranked:
    rows = [(page.id, f"{page.id}/{each.panel}", each.inter, each.intra) for page, known in pages for each in known]
    names, panels, inter, intra = zip(*rows, strict=True)
    return Ranked(
        np.array(names), np.array(panels), np.array(inter, np.float64), np.array(intra, np.float64)
    )  # None becomes nan


def _columns(rows: Sequence[tuple[float, float]], chosen: np.ndarray) -> Answer:
    table = np.array(rows, np.float64).reshape(-1, 2)[chosen]
    return table[:, 0], table[:, 1]


def _dense(view: Corpus, maps: Maps, facts: dict[str, Any], problems: list[Problem]) -> list[Metric]:
    """Exact maps of drawn pages, panel by panel; a flat map at the truth's mean stands beside."""
    pages, fits, flat = [], [], []
    for record in view.all_pages():
        name = record.extra.get(DEPTH)
        if not isinstance(name, str) or not record.panels:
            continue
        try:
            exact = read_depth(view.root, name, (record.height, record.width))
            picture = view.picture(record)
            if not isinstance(picture, Path):
                raise InputError(f"{record.id}: its picture is in a comic file only, maps are measured on files")
            parts = maps.of(picture, [panel.box for panel in record.panels])
        except ComicError as error:
            problems.append(Problem(record.id, error.fact))
            continue
        for panel, part in zip(record.panels, parts, strict=True):
            try:
                own = cut(exact, panel.box)
                fits.append(compare_maps(own, part).values)
                flat.append(compare_maps(own, np.zeros_like(own)).values)
                pages.append(record.id)
            except ComicError:
                continue  # a panel of one depth
    facts["panels with maps"] = len(fits)
    table, beside = np.array(fits).reshape(-1, 3), np.array(flat).reshape(-1, 3)
    return [
        statistic(
            f"dense {name}",
            len(table),
            lambda rows, column=column: float(table[rows, column].mean()),  # type: ignore[misc]
            float(beside[:, column].mean()) if len(beside) else float("nan"),
            groups=pages,
            higher_is_better=name == "delta",
            details={"floors": {"flat": float(beside[:, column].mean()) if len(beside) else None}},
        )
        for column, name in enumerate(MEASURES)
        if len(table)
    ]


def _pairs(truth: Path, said: Said, pictures: Path | None) -> Evaluated:
    maps = _maps_of(said)
    pairs = read_pairs(truth, pictures)
    near, far, problems = [], [], []
    for pair in pairs:
        x, y = (pair.box or (0, 0))[:2]
        try:
            depth = maps.of(pair.picture, [pair.box])[0]
            near.append(depth_at(depth, (pair.near[0] - x, pair.near[1] - y)))
            far.append(depth_at(depth, (pair.far[0] - x, pair.far[1] - y)))
        except ComicError as error:
            problems.append(Problem(pair.page, error.fact))
            near.append(float("nan"))
            far.append(float("nan"))
    _refuse_nothing(problems, len(pairs))
    heights = np.array([[pair.near[1], pair.far[1]] for pair in pairs])
    metrics = points_right(np.array(near), np.array(far), heights, [pair.page for pair in pairs])
    return Evaluated(metrics, {"pairs": len(pairs)}, problems)


def _points(truth: Path, said: Said, pictures: Path | None) -> Evaluated:
    maps = _maps_of(said)
    panels = read_points(truth, pictures)
    found, lower, problems = [], [], []
    for panel in panels:
        lower += [-float(y) for _, y in panel.points]
        try:
            depth = maps.of(panel.picture, [None])[0]
            found += [depth_at(depth, point) for point in panel.points]
        except ComicError as error:
            problems.append(Problem(panel.picture.name, error.fact))
            found += [0.0] * len(panel.points)
    _refuse_nothing(problems, len(panels))
    names = [(panel.page, str(panel.picture)) for panel in panels for _ in panel.points]
    inter = np.concatenate([panel.inter for panel in panels])
    intra = np.concatenate([panel.intra for panel in panels])
    ranked = Ranked(np.array([page for page, _ in names]), np.array([name for _, name in names]), inter, intra)
    said_ = np.nan_to_num(np.array(found))
    floor = np.array(lower)
    metrics = orders(ranked, (said_, said_), {"lower": (floor, floor)})
    return Evaluated(metrics, {"panels": len(panels), "points": len(ranked)}, problems)


def _page_ranks(truth: Path, said: Said) -> Evaluated:
    """Rows by the order in which they name their page, for nothing else tells which is which."""
    if said.pages is None:
        raise InputError(
            f"{truth} has ranks of pages, without segments", hint="give a CSV image_id,inter_depth,intra_depth"
        )
    ranks = read_page_ranks(truth)
    places: dict[str, list[int]] = {}
    for number, name in enumerate(said.pages.pages):
        places.setdefault(name, []).append(number)
    taken: dict[str, int] = {}
    own, missing = [], 0
    mean = float(np.nanmean(ranks.inter)), float(np.nanmean(ranks.intra))
    for name in ranks.pages:
        at = taken[name] = taken.get(name, -1) + 1
        if at < len(places.get(name, ())):
            number = places[name][at]
            own.append((float(said.pages.inter[number]), float(said.pages.intra[number])))
        else:
            missing += 1
            own.append(mean)
    everything = np.arange(len(own))
    pages = np.array(ranks.pages)
    ranked = Ranked(pages, pages, ranks.inter, ranks.intra)
    median = float(np.nanmedian(ranks.inter)), float(np.nanmedian(ranks.intra))
    floors = {name: _columns([level] * len(own), everything) for name, level in (("mean", mean), ("median", median))}
    problems = [Problem(said.name, f"{missing:,} rows have no prediction; the mean stands for it")] if missing else []
    return Evaluated(errors(ranked, _columns(own, everything), floors), {"rows": len(own)}, problems)


def _refuse_nothing(problems: Sequence[Problem], asked: int) -> None:
    """When not one thing could be asked, what was given is another set of pages, and a score of 0 would be none."""
    if len(problems) == asked:
        raise InputError(f"nothing could be measured: {problems[0]}")


def _maps_of(said: Said) -> Maps:
    if said.maps is None:
        raise InputError(
            f"{said.name} has no maps", hint="give a folder that depth predict wrote, or --plugin NAME without a table"
        )
    return said.maps
