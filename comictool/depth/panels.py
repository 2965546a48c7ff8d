"""The panels that are trained on: their pictures and what is known of their depth, decoded into memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch

from comictool.core.errors import InputError
from comictool.corpus.page_pictures import is_there
from comictool.corpus.records import Box, PageRecord
from comictool.corpus.views import CorpusView
from comictool.depth.segments import Segment, page_of
from comictool.drawn.depth import read_depth
from comictool.selfsup.held_pictures import Pictures, together
from comictool.vectors.pictures import Part, Picture
from comictool.vectors.sources import records_of_split

DEPTH = "depth"  # of a page record: the place of its map, as `data draw` writes it
LEAST_SEEN = 0.05  # share of a panel that must have a depth


@dataclass(frozen=True)
class PanelRow:
    """One panel, or a page without panels.

    Attributes:
        picture: the page, with this panel as its part.
        box: on the page.
        comic, label: whose it is, for reports.
        series, style: of the comic, where its facts say them.
        map: folder and name of the page's depth map; None where there is none.
        segments: that lie in it and have a rank.
        balloons: boxes of lettering on the page.
    """

    picture: Picture
    box: Box
    comic: str
    label: str
    series: str = ""
    style: str = ""
    map: tuple[Path, str] | None = None
    segments: tuple[Segment, ...] = ()
    balloons: tuple[Box, ...] = ()


@dataclass
class PanelTable:
    """The panels of a source, as a `PartSource`; `problems` are sentences about what was left out."""

    rows: list[PanelRow]
    problems: list[str] = field(default_factory=list)

    def pictures_of(self, numbers: Iterable[int]) -> list[Picture]:
        """The pages of some panels, with these panels alone, in their order."""
        return together((self.rows[n].picture, self.rows[n].picture.parts[0]) for n in numbers)

    def only(self, numbers: Sequence[int]) -> PanelTable:
        """Some of them."""
        return PanelTable([self.rows[n] for n in numbers], self.problems)

    def facts(self) -> dict[str, Any]:
        """Counts, and a hash that tells these panels and their labels from others."""
        names = "\n".join(
            f"{r.label} {r.box} {[(s.annotation_id, s.inter, s.intra) for s in r.segments]}" for r in self.rows
        )
        facts: dict[str, Any] = {
            "panels": len(self.rows),
            "comics": len({row.comic for row in self.rows}),
            "maps": sum(row.map is not None for row in self.rows),
            "segments": sum(len(row.segments) for row in self.rows),
            "names": hashlib.sha256(names.encode("utf-8", "backslashreplace")).hexdigest()[:16],
        }
        if self.problems:
            facts |= {"left out": len(self.problems), "left out, for example": self.problems[:5]}
        return facts


def panels_of(view: CorpusView, split: str, *, min_side: int, whole_pages: bool = False) -> PanelTable:
    """Every panel of a split about which some depth is known; no picture is read yet.

    Args:
        split: of `splits.json`, or all.
        min_side: least pixels on a panel's shorter side.
        whole_pages: pages instead of panels, for the released network.

    Raises:
        InputError: a split is asked for and the corpus was never split.
    """
    table = PanelTable([])
    facts: dict[str, dict[str, Any]] = {}
    for record, lines in records_of_split(view, split, table.problems):
        table.problems += [f"{record.id}: {line}" for line in lines]
        if record.comic not in facts:
            facts[record.comic] = view.comic_facts(record.comic)
        table.rows += _rows(view, record, facts[record.comic], table.problems, min_side, whole_pages)
    return table


def _rows(
    view: CorpusView, record: PageRecord, facts: dict[str, Any], problems: list[str], min_side: int, whole: bool
) -> list[PanelRow]:
    page = page_of(record, view, 0, 0, {})
    if page.picture is None or not is_there(page.picture):
        problems.append(f"{record.id}: {record.image} is missing")
        return []
    stored = record.extra.get(DEPTH)
    known = (view.root, stored) if isinstance(stored, str) else None
    ranked = [each for each in page.segments if each.inter is not None or each.intra is not None]
    balloons = tuple(box for text in record.texts if (box := _balloon(text.extra.get("balloon"), text.box)) is not None)
    size = (record.width, record.height)
    boxes: list[tuple[int | None, Box]] = [(panel.id, panel.box) for panel in record.panels]
    if whole or not boxes:
        boxes = [(None, (0, 0, *size))]
    rows = []
    for number, box in boxes:
        own = tuple(each for each in ranked if number is None or each.panel == number)
        if min(box[2] - box[0], box[3] - box[1]) < min_side or not (own or known):
            continue
        label = f"{record.id}/{number}" if number is not None else record.id
        picture = Picture(page.picture, (Part(label, box, label=label),), record.comic, record.id, size)
        series, style = (str(facts.get(key) or "") for key in ("series", "style"))
        rows.append(PanelRow(picture, box, record.comic, label, series, style, known, own, balloons))
    return rows


def _balloon(value: Any, text: Box | None) -> Box | None:
    """The box of a balloon; that of its text where nobody says it."""
    if isinstance(value, list | tuple) and len(value) == 4 and all(isinstance(v, int | float) for v in value):
        x0, y0, x1, y1 = (round(v) for v in value)
        return x0, y0, x1, y1
    return text


class HeldPanels:
    """Panels in memory, pictures and maps at one size.

    Args:
        table: of the panels.
        side: pictures with more than this number of pixels squared are shrunk to it.
        cache: MiB for decoded pictures.
        maps: whether maps are wanted; panels without one are left out then.
        balloons: whether what lies under lettering has a depth.

    Raises:
        InputError: a picture that is needed cannot be read.
    """

    def __init__(self, table: PanelTable, *, side: int, cache: int, maps: bool, balloons: bool = False) -> None:
        numbers = [n for n, row in enumerate(table.rows) if row.map is not None or not maps]
        pictures = Pictures(table, numbers, source_side=side, cache=cache)
        sound = [place for place in range(len(numbers)) if place not in pictures.lost]
        self.table = table.only([numbers[place] for place in sound])
        self.table.problems += [f"{table.rows[numbers[place]].label}: {why}" for place, why in pictures.lost.items()]
        self.pictures = pictures.only(sound)
        self._places: dict[int, tuple[int, int, int]] = {}
        self._block = torch.empty(0, dtype=torch.float16)
        if maps:
            self._hold_maps(balloons)

    def __len__(self) -> int:
        return len(self.table.rows)

    def aspect(self, number: int) -> float:
        """Height over width."""
        x0, y0, x1, y1 = self.table.rows[number].box
        return (y1 - y0) / (x1 - x0)

    def map(self, number: int) -> torch.Tensor:
        """(height, width) float16 in 0 .. 1 at the size of its picture, NaN where there is none."""
        start, height, width = self._places[number]
        return self._block[start : start + height * width].view(height, width)

    def _hold_maps(self, balloons: bool) -> None:
        found: dict[int, np.ndarray] = {}
        for place, group in groupby(range(len(self)), key=lambda n: self.table.rows[n].map):
            numbers = list(group)
            assert place is not None
            root, name = place
            width, height = self.table.rows[numbers[0]].picture.size
            try:
                page = read_depth(root, name, (height, width))
            except InputError as error:
                self.table.problems.append(error.fact)
                continue
            for number in numbers:
                row = self.table.rows[number]
                own = page.copy() if row.balloons and not balloons else page
                for box in () if balloons else row.balloons:
                    own[max(0, box[1]) : max(0, box[3]), max(0, box[0]) : max(0, box[2])] = np.nan
                x0, y0, x1, y1 = row.box
                cut = scaled_map(own[y0:y1, x0:x1], self.pictures[number].shape[:2])
                if np.isfinite(cut).mean() >= LEAST_SEEN:
                    found[number] = cut.astype(np.float16)
        kept = sorted(found)
        self.table = self.table.only(kept)
        self.pictures = self.pictures.only(kept)
        self._block = torch.empty(sum(found[n].size for n in kept), dtype=torch.float16).share_memory_()
        at = 0
        for place, number in enumerate(kept):
            cut = found.pop(number)
            self._block[at : at + cut.size] = torch.from_numpy(cut.reshape(-1))
            self._places[place] = (at, *cut.shape)
            at += cut.size


def scaled_map(depth: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) to (height, width) by the nearest number: means of two depths are the depth of nothing."""
    rows = ((np.arange(size[0]) + 0.5) * depth.shape[0] / size[0]).astype(np.int64)
    columns = ((np.arange(size[1]) + 0.5) * depth.shape[1] / size[1]).astype(np.int64)
    return depth[rows[:, None], columns[None]]
