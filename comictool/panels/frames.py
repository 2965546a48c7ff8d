"""How well a cell's outline looks like a panel's: straight sides, filled inside, page edges that art bleeds over."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from comictool.panels.cells import Cell, is_lettering, page_extent, unit
from comictool.panels.planes import share

SIDE_WINDOW = 0.02  # share of the working page's longer side in which a side may wander
SIDE_SLOPES = (0.0, -0.015, 0.015, -0.03, 0.03, -0.045, 0.045)  # tilt of a side: crooked scans, loose hands
TILT_SHOWS = 100  # units: over a shorter side such a tilt stays within the window
SNAP = 0.4  # a side this straight is moved onto its straight part, past dust and balloons that stick out
BLEED = 0.012  # a side this near the page's edge (share of the longer side) runs over it
OUTLINE = 5  # units; frame lines are thinner
LETTER = (22, 160)  # units: height of letters that may touch the next line, length of words that run together
FEW_LETTERS = 6  # a caption has more
WORDY_SHARE = 0.6  # share of a caption's ink that is letters
WORDY_FILL = 0.68  # share of ink in a block of lettering; art has more
OVERSHOOT = 0.14  # the most that snapping may cut off one side, as a share of the cell


@dataclass(frozen=True)
class Frame:
    """A possible panel.

    Attributes:
        box: (x0, y0, x1, y1) on the working page.
        sides: straightness of left, top, right, bottom in 0..1; None where the art runs over the page's edge.
        fill: share of the box that is not background.
        lettering: whether it holds only small separate marks.
        certain: whether a gutter beyond doubt helped to cut it out.
        wordy: whether it does so inside its outline, as a boxed caption does.
    """

    box: tuple[int, int, int, int]
    sides: tuple[float | None, float | None, float | None, float | None]
    fill: float
    lettering: bool
    wordy: bool
    certain: bool = False

    @property
    def area(self) -> int:
        """Working pixels."""
        x0, y0, x1, y1 = self.box
        return (x1 - x0) * (y1 - y0)

    @property
    def support(self) -> float:
        """Mean straightness of the sides that lie on the page; 0 when all run over its edge."""
        known = [side for side in self.sides if side is not None]
        return sum(known) / len(known) if known else 0.0

    @property
    def bleeds(self) -> int:
        """How many sides run over the page's edge."""
        return sum(side is None for side in self.sides)


def frame_of(cell: Cell, paper: np.ndarray) -> Frame:
    """Measure a cell of the page whose background is `paper` (h, w) bool."""
    page_height, page_width = paper.shape
    ink = cell.inside & ~cell.of(paper)
    window = max(3, int(SIDE_WINDOW * 0.5 * page_extent(paper)))
    rim = BLEED * page_extent(paper)
    x0, y0, x1, y1 = cell.box
    cuts, sides = [], []
    for side, distance in enumerate((x0, y0, page_width - x1, page_height - y1)):
        straight: float | None
        straight, offset = _left_side(_turned(ink, side), _turned(cell.inside, side), window, TILT_SHOWS * unit(paper))
        if side in cell.open_sides:
            straight, offset = None, 0
        cuts.append(offset)
        sides.append(None if distance + offset <= rim else straight)
    box = (x0 + cuts[0], y0 + cuts[1], x1 - cuts[2], y1 - cuts[3])
    part = ink[box[1] - y0 : box[3] - y0, box[0] - x0 : box[2] - x0]
    lettering = is_lettering(ink)
    rim = round(OUTLINE * unit(paper))
    wordy = lettering or is_wordy(part[rim:-rim, rim:-rim], unit(paper))
    return Frame(box, (sides[0], sides[1], sides[2], sides[3]), share(part), lettering, wordy, cell.certain)


def is_wordy(ink: np.ndarray, unit: float) -> bool:
    """Whether most of the ink of the inside of a box, (h, w) bool, is letters; `unit` in pixels."""
    if ink.size == 0 or share(ink) > WORDY_FILL:
        return False
    labels, count = ndimage.label(ink, structure=np.ones((3, 3), dtype=int))
    letter = np.zeros(count + 1, dtype=bool)
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        letter[number] = rows.stop - rows.start <= LETTER[0] * unit and columns.stop - columns.start <= LETTER[1] * unit
    return int(letter.sum()) >= FEW_LETTERS and float(letter[labels].sum()) >= WORDY_SHARE * float(ink.sum())


def _turned(plane: np.ndarray, side: int) -> np.ndarray:
    """A plane turned so that its left, top, right or bottom side (0..3) lies on the left."""
    return (plane, plane.T, plane[:, ::-1], plane.T[:, ::-1])[side]


def _left_side(ink: np.ndarray, inside: np.ndarray, window: int, tilt_shows: float) -> tuple[float, int]:
    """Straightness of the left side of a cell, 0..1, and how far in its straight part begins.

    Straightness is measured from the cell's own outline, which a slanted gutter may have cut; a side is moved only
    where that outline is upright.
    """
    height, width = ink.shape
    reach = max(window + 1, int(OVERSHOOT * width))
    if inside.all():
        begin, along = np.zeros(height, dtype=np.intp), np.ascontiguousarray(ink[:, :reach])
    else:
        begin = inside.argmax(1)
        columns = np.minimum(begin[:, None] + np.arange(reach)[None, :], width - 1)
        along = np.take_along_axis(ink, columns, axis=1)
    first, has = along.argmax(1), along.any(1)
    if not has.any():
        return 0.0, 0
    at = np.arange(height)[has] - height / 2
    straight, start, counts, last_of_best, tilted = 0.0, 0, np.zeros(reach), 0, False
    for slope in SIDE_SLOPES if height >= tilt_shows else SIDE_SLOPES[:1]:
        level = np.clip(np.rint(first[has] - slope * at), 0, reach - 1).astype(np.intp)
        tally = np.bincount(level, minlength=reach).astype(np.float64)
        sums = np.convolve(tally, np.ones(window))[:reach]  # sums[i] = tally[i - window + 1] + ... + tally[i]
        last = int(sums.argmax())
        if sums[last] / height > straight + (0.05 if slope else 0.0):
            straight, start, counts = float(sums[last]) / height, max(0, last - window + 1), tally
            last_of_best, tilted = last, slope != 0.0
    if straight < SNAP or tilted or float((begin <= 1).mean()) < 0.9:
        return straight, 0
    filled = np.flatnonzero(counts[start : last_of_best + 1] >= 0.03 * height)
    return straight, start + (int(filled[0]) if len(filled) else 0)
