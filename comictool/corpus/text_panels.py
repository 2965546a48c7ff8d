"""Panels as a reader of words saw them, and on which panel of a page each of their texts stands.

A vision-language model tells a page panel by panel: words, mostly in reading order, often without saying where. A
detector finds boxes and knows no words. Counting both and taking the pages where the numbers agree throws most pages
away and still puts words on wrong panels. Here the two are aligned, each text for itself and with a confidence:

- by overlap, where the reader gave boxes: panels are paired by optimal assignment, and a text goes where its own box
  and that of its panel point;
- by order and count otherwise: a hidden Markov chain walks through the panels while the reader tells theirs. It may
  skip a panel, tell one in two parts, or two in one, and it prefers to find as many texts in a panel as there are boxes
  of texts in it, where a detector saw some. Forward and backward passes give each text the probability of each panel
  (L. R. Rabiner, "A tutorial on hidden Markov models", 1989, section III).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from comictool.corpus.boxes import area, iou, shared_area
from comictool.corpus.records import Box

Shares = tuple[float, float, float, float]  # x0, y0, x1, y1 in shares of the page, 0..1

LEAST_IOU = 0.1  # of a pair of panels; what overlaps less are two panels
SURELY = 0.02  # what a panel keeps of a text that neither box puts there: boxes of models are off by some per cent
OTHER_PAIR = 0.3  # how much less a text is expected outside the panel that its own was paired with
# Of the chain: how often a reader tells one panel in two, two in one (at each text), or passes one over. Chosen by
# `tests.bench.alignment` on four episodes, as are the other numbers here.
SPLITS, MERGES, SKIPS = 0.05, 0.03, 0.1
MISCOUNTS = 0.25  # how much less likely a panel is for every text more or fewer than it has boxes of texts
# Longer texts have larger boxes: the logarithm of letters by area is about the same for all lettering of a page.
# It spreads by so much; and so likely is a text whose box tells nothing of it (a sound effect, a box of two texts).
LETTERS_SPREAD, LETTERS_FLOOR = 0.5, 0.15
MOST_TEXTS = 60  # in one panel; more are counted as that many
MOST_PANELS = 100  # of a page, on either side
MOST_STEPS = 2_000  # of the chain, panels and texts: 50 MB


@dataclass(frozen=True)
class SaidText:
    """One text that a reader saw. `box` in shares of the page, None when it did not say where."""

    text: str
    kind: str = "dialogue"
    speaker: str = ""
    box: Shares | None = None


@dataclass(frozen=True)
class TextPanel:
    """One panel that a reader saw.

    Attributes:
        texts: in reading order.
        box: in shares of the page; None when it did not say where.
        description: what it said beside the words on the page: its own words, never the comic's.
    """

    texts: tuple[SaidText, ...] = ()
    box: Shares | None = None
    description: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Placed:
    """Where something stands: the index of a panel, None for nowhere, and how sure that is, 0..1."""

    panel: int | None
    confidence: float
    iou: float | None = None


@dataclass(frozen=True)
class Alignment:
    """Which panel each panel of the reader is, and on which each of its texts stands.

    Attributes:
        method: `overlap`, `order`, or `none` when one side has no panels, or more than any page has.
        panels: for each panel of the reader; no two have the same panel.
        texts: for each of them, for each of its texts.
    """

    method: str
    panels: list[Placed]
    texts: list[list[Placed]]

    @property
    def confidence(self) -> float:
        """The expected share of texts that are on the right panel; 1 when there are none."""
        every = [placed.confidence for texts in self.texts for placed in texts]
        return sum(every) / len(every) if every else 1.0


def align(panels: Sequence[Box], seen: Sequence[TextPanel], size: tuple[int, int], boxes: Sequence[Box]) -> Alignment:
    """Align the panels of a page with those that a reader saw.

    Args:
        panels: boxes in pixels, in reading order.
        seen: in the order in which the reader told them.
        size: width and height of the page.
        boxes: of texts that a detector found on the page, in pixels; may be empty.
    """
    steps = sum(1 + len(panel.texts) for panel in seen)
    if not panels or not seen or max(len(panels), len(seen)) > MOST_PANELS or steps > MOST_STEPS:
        nowhere = Placed(None, 0.0)
        return Alignment("none", [nowhere for _ in seen], [[nowhere for _ in panel.texts] for panel in seen])
    return _by_overlap(panels, seen, size) or _by_order(panels, seen, boxes)


def pairs(scores: np.ndarray, least: float) -> list[tuple[int, int]]:
    """The pairing of rows and columns with the largest sum, without pairs below `least`."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(scores, maximize=True)
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if scores[r, c] >= least]


def pixels(box: Shares, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """A box in shares of the page as pixels, not rounded."""
    return box[0] * size[0], box[1] * size[1], box[2] * size[0], box[3] * size[1]


def _by_overlap(panels: Sequence[Box], seen: Sequence[TextPanel], size: tuple[int, int]) -> Alignment | None:
    """By overlap; None when too few have boxes, or boxes that lie nowhere near the panels."""
    boxes = [pixels(panel.box, size) if panel.box else None for panel in seen]
    overlaps = np.array([[iou(box, panel) if box else 0.0 for panel in panels] for box in boxes])
    paired = dict(pairs(overlaps, LEAST_IOU))
    if 2 * len(paired) < min(len(panels), len(seen)) or 2 * sum(box is not None for box in boxes) < len(seen):
        return None
    out = Alignment("overlap", [], [])
    for index, (told, box) in enumerate(zip(seen, boxes, strict=True)):
        of_panel = _shares(box, panels)
        column = paired.get(index)
        if column is not None:
            of_panel = of_panel * np.where(np.arange(len(panels)) == column, 1.0, OTHER_PAIR)
            overlap = float(overlaps[index, column])
            out.panels.append(Placed(column, float(of_panel[column] / of_panel.sum()), overlap))
        else:
            out.panels.append(Placed(None, 0.0))
        out.texts.append([_of_text(text, of_panel, panels, size) for text in told.texts])
    return out


def _of_text(text: SaidText, of_panel: np.ndarray, panels: Sequence[Box], size: tuple[int, int]) -> Placed:
    likely = of_panel * _shares(pixels(text.box, size) if text.box else None, panels)
    best = int(likely.argmax())
    outside = text.box is not None and not _touches(pixels(text.box, size), panels)
    if np.ptp(likely) == 0 and (len(panels) > 1 or outside):
        return Placed(None, 0.0)  # nothing says which
    return Placed(best, float(likely[best] / likely.sum()))


def _touches(box: tuple[float, float, float, float], panels: Sequence[Box]) -> bool:
    return any(shared_area(box, panel) > 0 for panel in panels)


def _shares(box: tuple[float, float, float, float] | None, panels: Sequence[Box]) -> np.ndarray:
    """How likely each panel is by how much of a box lies in it; all alike without a box."""
    if box is None:
        return np.ones(len(panels))
    shared = np.array([shared_area(box, panel) for panel in panels], dtype=float)
    return SURELY + (shared / shared.sum() if shared.sum() > 0 else 0 * shared)


def _by_order(panels: Sequence[Box], seen: Sequence[TextPanel], boxes: Sequence[Box]) -> Alignment:
    """By order and count, as the module says; posterior probabilities of the chain."""
    chain = _Chain(panels, boxes)
    steps = [token for panel in seen for token in (True, *(False for _ in panel.texts))]  # True opens a panel
    posterior = chain.posterior(steps, chain.fitting([text.text for panel in seen for text in panel.texts]))
    out, row = Alignment("order", [], []), 0
    begins = []
    for panel in seen:
        begins.append(row)
        of_texts = posterior[row + 1 : row + 1 + len(panel.texts)]
        out.texts.append([Placed(int(p.argmax()), float(p.max())) for p in of_texts])
        row += 1 + len(panel.texts)
    table = posterior[begins]
    paired = dict(pairs(table, LEAST_IOU))
    for index in range(len(seen)):
        column = paired.get(index)
        out.panels.append(Placed(column, 0.0 if column is None else float(table[index, column])))
    return out


class _Chain:
    """Walks through panels; its state is the panel and how many texts were told of it."""

    def __init__(self, panels: Sequence[Box], boxes: Sequence[Box]) -> None:
        count = len(panels)
        self.areas: list[list[float]] = [[] for _ in panels]
        for box in boxes:
            shared = [shared_area(box, panel) for panel in panels]
            if max(shared) > 0:
                self.areas[int(np.argmax(shared))].append(area(box))
        told, held = np.arange(MOST_TEXTS + 1), [min(len(areas), MOST_TEXTS) for areas in self.areas]
        fits = MISCOUNTS ** np.abs(told[None, :] - np.array(held)[:, None])
        # Without any box of a text on the page nothing is known of how many a panel has.
        self.leave = fits if len(boxes) else np.ones_like(fits)
        passed = SKIPS * self.leave[:, 0]
        # From panel i to a later one j, over those between; row 0 is the way into the page.
        self.go = np.zeros((count + 1, count))
        for i in range(count + 1):
            over = np.concatenate([[1.0], np.cumprod(passed[i : count - 1])])
            self.go[i, i:] = (1 - SKIPS) * over[: count - i]
        self.end = np.array([np.prod(passed[i + 1 :]) for i in range(count)])

    def fitting(self, texts: Sequence[str]) -> np.ndarray:
        """How well each text fits the boxes of texts of each panel by its length, (texts, panels)."""
        letters = np.log([max(1, len("".join(text.split()))) for text in texts] or [1])
        every = np.log([size for areas in self.areas for size in areas] or [1])
        density = np.median(letters) - np.median(every)
        out = np.ones((len(texts), len(self.areas)))
        for index, areas in enumerate(self.areas):
            if areas and texts:
                off = (letters[:, None] - np.log(areas)[None, :] - density) / LETTERS_SPREAD
                out[:, index] = LETTERS_FLOOR + np.exp(-0.5 * off**2).mean(1)
            elif len(every):
                out[:, index] = LETTERS_FLOOR
        return out if any(self.areas) else np.ones_like(out)

    def posterior(self, steps: Sequence[bool], fitting: np.ndarray) -> np.ndarray:
        """Probability of each panel at each step, (steps, panels); rows sum to 1.

        Args:
            steps: True where the reader begins with a panel, False where it tells a text.
            fitting: how well each text fits each panel by itself, (texts, panels).
        """
        emitted = np.ones((len(steps), len(self.areas)))
        emitted[~np.array(steps)] = fitting
        count, width = self.leave.shape
        forward = np.zeros((len(steps), count, width), np.float32)
        state = np.zeros((count, width))
        state[:, 0] = self.go[0]
        for step, opens in enumerate(steps):
            if step:
                state = (self._opened(state) if opens else self._told(state)) * emitted[step][:, None]
            total = state.sum()
            state = state / total if total > 0 else np.full_like(state, 1 / state.size)
            forward[step] = state
        back = self.leave * self.end[:, None]
        out = np.zeros((len(steps), count))
        for step in range(len(steps) - 1, -1, -1):
            back = back / back.max() if back.max() > 0 else np.ones_like(back)
            weight = (forward[step] * back).sum(1)
            out[step] = weight / weight.sum() if weight.sum() > 0 else 1 / count
            back = back * emitted[step][:, None]
            back = self._before_opening(back) if steps[step] else self._before_telling(back)
        return out

    def _opened(self, state: np.ndarray) -> np.ndarray:
        """The reader begins with its next panel: mostly that is the next one, sometimes more of the same."""
        left = (state * self.leave).sum(1)
        new = SPLITS * state
        new[:, 0] += (1 - SPLITS) * left @ self.go[1:]
        return new

    def _told(self, state: np.ndarray) -> np.ndarray:
        """One more text: mostly of the same panel, sometimes already of the next."""
        left = (state * self.leave).sum(1)
        new = np.zeros_like(state)
        new[:, 1:] = (1 - MERGES) * state[:, :-1]
        new[:, -1] += (1 - MERGES) * state[:, -1]
        new[1:, 1] += MERGES * left[:-1]
        return new

    def _before_opening(self, back: np.ndarray) -> np.ndarray:
        return SPLITS * back + (1 - SPLITS) * self.leave * (self.go[1:] @ back[:, 0])[:, None]

    def _before_telling(self, back: np.ndarray) -> np.ndarray:
        before = np.empty_like(back)
        before[:, :-1] = (1 - MERGES) * back[:, 1:]
        before[:, -1] = (1 - MERGES) * back[:, -1]
        before[:-1] += MERGES * self.leave[:-1] * back[1:, 1][:, None]
        return before
