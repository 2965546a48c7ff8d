"""Whether words that a model told of a page end up on the right panels: `python -m tests.bench.alignment`
(needs COMICTOOL_TEST_DATA).

    python -m tests.bench.alignment [--write]

The clean pages of Pepper&Carrot with English lettering: panels as our detector finds them; texts as drawn, whose panel
is known from where they stand. What a model would tell is made from those by seeded noise: it merges panels, tells one
in two, leaves panels and texts out, and in the second form gives boxes that are off. With the heavy noise the counts of
panels agree on 30 to 45 % of the pages (23.5 % of 336,881 real ones, where the detector was wrong as well). A page is
kept when it has texts and the alignment expects at least `MIN_CONFIDENCE` of them on the right panel; the figures are
the share of pages kept, and the share of the texts told on those pages that are on the right panel. Beside it, on the
same pages: the rule of equal counts, where the n-th told panel is the n-th found one. Numbers were chosen on episodes
1 to 4; the rows are of episodes 5 to 9.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from comictool.corpus.boxes import iou, share_inside
from comictool.corpus.records import Box
from comictool.corpus.text_panels import align
from comictool.datasets.filtering.aligned import MIN_CONFIDENCE
from comictool.formats.vlm_json import told_page
from comictool.panels.detect import detect_panels
from tests.bench.figures import figure
from tests.data import data

ROUNDS = 20  # of noise for every page
CHOSEN_ON = 4  # episodes, from the first


@dataclass(frozen=True)
class Noise:
    """How often a model is wrong; boxes are off by this share of the page (standard deviation)."""

    merged: float
    split: float
    left_out: float
    text_left_out: float = 0.03
    shift: float = 0.015
    box_missed: float = 0.1  # of the texts' boxes, by the detector
    box_invented: float = 0.05


LIGHT, HEAVY = Noise(0.03, 0.03, 0.02), Noise(0.16, 0.12, 0.12)


@dataclass
class Page:
    """Found panels, true panels, and the drawn texts, each with the index of its true panel."""

    size: tuple[int, int]
    found: list[Box]
    true: list[Box]
    episode: int
    texts: list[tuple[str, Box, int]] = field(default_factory=list)

    def true_of(self, panel: int | None) -> int | None:
        """The true panel that a found one is."""
        best = (
            max(range(len(self.true)), key=lambda t: iou(self.found[panel], self.true[t]))
            if panel is not None
            else None
        )
        return best if best is not None and iou(self.found[panel or 0], self.true[best]) >= 0.5 else None


def pages() -> list[Page]:
    """The clean story pages with English texts."""
    out = []
    for name, entry in json.loads(data("pepper_carrot", "annotations.json").read_text("utf-8"))["pages"].items():
        if entry["panel_quality"] != "clean" or "en" not in entry["languages"]:
            continue
        picture = np.asarray(Image.open(data("pepper_carrot", "lettered_en", f"{name}.jpg")).convert("RGB"))
        found, true = [p.box for p in detect_panels(picture)], [tuple(b) for b in entry["panels"]]
        page = Page(tuple(entry["size"]), found, true, entry["episode"])
        for text in entry["text"]["en"]:
            shares = [share_inside(text["box"], panel) for panel in page.true]
            if max(shares) > 0:
                page.texts.append((text["text"].replace("\n", " "), tuple(text["box"]), int(np.argmax(shares))))
        if page.texts:
            out.append(page)
    return out


def told(page: Page, noise: Noise, rng: random.Random, boxes: bool) -> dict[str, Any]:
    """A page of the first form, or of the second with `boxes`; the number of a text stands where its speaker would."""
    groups = [[index] for index in range(len(page.true)) if rng.random() >= noise.left_out]
    merged: list[list[int]] = []
    for group in groups:
        if merged and rng.random() < noise.merged and group[0] == merged[-1][-1] + 1:
            merged[-1] += group
        else:
            merged.append(group)
    panels: list[dict[str, Any]] = []
    for group in merged:
        said = [i for g in group for i, (_, _, t) in enumerate(page.texts) if t == g]
        said = [i for i in said if rng.random() >= noise.text_left_out]
        around = [page.true[g] for g in group]
        box = [f(b[k] for b in around) for k, f in enumerate((min, min, max, max))]
        cut = rng.randint(0, len(said)) if len(group) == 1 and rng.random() < noise.split else None
        middle = (box[1] + box[3]) // 2
        parts = (
            [(said, box)]
            if cut is None
            else [(said[:cut], [*box[:3], middle]), (said[cut:], [box[0], middle, *box[2:]])]
        )
        panels += [_told_panel(page, one, where, noise, rng, boxes) for one, where in parts]
    return {"overall_summary": "", "panels": panels}


def _told_panel(
    page: Page, said: Sequence[int], box: Sequence[int], noise: Noise, rng: random.Random, boxes: bool
) -> dict[str, Any]:
    if not boxes:
        lines = [{"character": str(i), "dialogue": page.texts[i][0]} for i in said]
        return {"description": "a panel", "speakers": lines}
    lines = [
        {"speaker": str(i), "text": page.texts[i][0], "box_2d": _off(page, page.texts[i][1], noise, rng)} for i in said
    ]
    return {"description": "a panel", "box_2d": _off(page, box, noise, rng), "text_content": lines}


def _off(page: Page, box: Sequence[int], noise: Noise, rng: random.Random) -> list[int]:
    (width, height), (x0, y0, x1, y1) = page.size, box
    sides = [y0 / height, x0 / width, y1 / height, x1 / width]
    return [round(1000 * min(1, max(0, side + rng.gauss(0, noise.shift)))) for side in sides]


def seen_boxes(page: Page, noise: Noise, rng: random.Random) -> list[Box]:
    """Boxes of texts as a detector would find them, without words."""
    out = [box for _, box, _ in page.texts if rng.random() >= noise.box_missed]
    for panel in page.true:
        if rng.random() < noise.box_invented:
            x, y = (panel[0] + panel[2]) // 2, (panel[1] + panel[3]) // 2
            out.append((x, y, x + 60, y + 20))
    return out


@dataclass
class Score:
    """Counts: pages, those kept, texts told on kept ones and those of them that are right; the same of all pages."""

    pages: int = 0
    kept: int = 0
    texts: int = 0
    right: int = 0
    every: int = 0
    every_right: int = 0
    expected: float = 0.0

    def row(self) -> str:
        """Shares in per cent."""
        kept, right = 100 * self.kept / self.pages, 100 * self.right / max(1, self.texts)
        every = 100 * self.every_right / self.every
        expected = 100 * self.expected / self.every
        return f"{kept:.1f} % kept, {right:.1f} % right | all pages: {every:.1f} % right, {expected:.1f} % expected"


def scored(source: Sequence[Page], noise: Noise, *, boxes: bool, drawn: bool) -> tuple[Score, Score]:
    """Ours and the rule of equal counts, over all rounds of noise."""
    ours, equal = Score(), Score()
    rng = random.Random(0)
    for _ in range(ROUNDS):
        for page in source:
            said = told_page(told(page, noise, rng, boxes), "simulated")
            lettering = seen_boxes(page, noise, rng) if drawn else []
            if not said.texts:
                continue
            found = align(page.found, said.panels, page.size, lettering)
            right = [
                page.texts[int(text.speaker)][2] == page.true_of(place.panel)
                for panel, places in zip(said.panels, found.texts, strict=True)
                for text, place in zip(panel.texts, places, strict=True)
            ]
            sure = [place.confidence for places in found.texts for place in places]
            _count(ours, right, found.confidence >= MIN_CONFIDENCE, sum(sure))
            by_number = [
                page.texts[int(text.speaker)][2] == (page.true_of(n) if n < len(page.found) else None)
                for n, panel in enumerate(said.panels)
                for text in panel.texts
            ]
            _count(equal, by_number, len(said.panels) == len(page.found), 0.0)
    return ours, equal


def _count(score: Score, right: Sequence[bool], kept: bool, expected: float) -> None:
    score.pages += 1
    score.every += len(right)
    score.every_right += sum(right)
    score.expected += expected
    if kept:
        score.kept += 1
        score.texts += len(right)
        score.right += sum(right)


def main() -> None:
    """Print a row for each form of what is told and each noise."""
    every = pages()
    for name, source in (
        ("chosen on", [page for page in every if page.episode <= CHOSEN_ON]),
        ("held out", [page for page in every if page.episode > CHOSEN_ON]),
    ):
        print(f"{name}: {len(source)} pages, {sum(len(p.texts) for p in source)} texts, {ROUNDS} rounds of noise")
        _print_rows(source, write=name == "held out")


def _print_rows(source: Sequence[Page], *, write: bool) -> None:
    for name, boxes, drawn in (
        ("told with boxes", True, False),
        ("told without boxes, boxes of texts found", False, True),
        ("told without boxes, panels alone", False, False),
    ):
        for level, noise in (("light", LIGHT), ("heavy", HEAVY)):
            ours, equal = scored(source, noise, boxes=boxes, drawn=drawn)
            print(f"{name}, {level}: {ours.row()}\n    equal counts: {equal.row()}", flush=True)
            if write:
                cells = [
                    f"{100 * s.kept / s.pages:.0f} % of pages, {100 * s.right / max(1, s.texts):.1f} % of texts"
                    for s in (ours, equal)
                ]
                figure(
                    f"kept pages, and texts on the right panel; {name}, {level} noise",
                    cells[0],
                    f"equal counts: {cells[1]}",
                )


if __name__ == "__main__":
    main()
