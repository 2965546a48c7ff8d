"""Lines of text to blocks: what stands in one balloon, caption or sound, by geometry alone.

All sizes are in units of the letters' size, which is the height of a horizontal line and the width of a column.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from comictool.plugins.protocols import TextLine

TALL = 1.6  # a box so many times higher than wide, with two letters or more, is a column
ALIKE = 1.7  # letters of one block are at most so many times larger than others of it
LEADING = 0.75  # the gap between lines of a block, in letters; boxes of lines mostly touch
WORD_GAP = 1.0  # the gap between parts of one line
BESIDE = 0.5  # share of the shorter of two lines that must lie beside the other
SAME_ROW = 0.55  # share of the lower box's height that parts of one line have in common
RUBY = 0.62  # a column of letters at most so large as those of the column that it touches is its reading (furigana)
MOST_LINES = 3000  # of a page, the surest; a newspaper page has some hundreds
WITHOUT_SPACES = ("CJK", "HIRAGANA", "KATAKANA", "FULLWIDTH", "IDEOGRAPHIC", "HALFWIDTH")


@dataclass
class Block:
    """Lines that belong together, in reading order.

    Attributes:
        vertical: its lines are columns, read from right to left.
        ruby: readings that stood beside its columns, which are not in its text.
    """

    lines: list[TextLine]
    vertical: bool = False
    ruby: list[TextLine] = field(default_factory=list)

    @cached_property
    def box(self) -> tuple[float, float, float, float]:
        """Around all its lines."""
        boxes = np.array([line.box for line in self.lines])
        return (*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist())

    @property
    def size(self) -> float:
        """Of its letters, in pixels: the median over its lines."""
        return float(np.median([_size(line, self.vertical) for line in self.lines]))

    @property
    def text(self) -> str:
        """All of it as running text."""
        return joined([line.text for line in self.lines])

    @property
    def confidence(self) -> float:
        """The mean over its letters, 0..1."""
        letters = sum(len(line.text) for line in self.lines)
        return sum(line.score * len(line.text) for line in self.lines) / max(1, letters)


def blocks_of(lines: Sequence[TextLine], places: Sequence[int | None]) -> list[Block]:
    """Lines of a page to its blocks, in no particular order.

    Args:
        places: for each line the panel that it stands in; lines of two panels never come together.
    """
    if len(lines) > MOST_LINES:
        best = sorted(sorted(range(len(lines)), key=lambda i: -lines[i].score)[:MOST_LINES])
        lines, places = [lines[i] for i in best], [places[i] for i in best]
    if not lines:
        return []
    tall = _are_columns(lines)
    beside = _readings(lines, tall)
    main = np.flatnonzero(beside < 0).tolist()
    groups = _connected(_belong([lines[i] for i in main], [places[i] for i in main], tall[main]))
    blocks = []
    for group in groups:
        own = [main[i] for i in group]
        ruby = [lines[i] for i in np.flatnonzero(np.isin(beside, own)).tolist()]
        blocks.append(_block([lines[i] for i in own], bool(tall[own].mean() > 0.5), ruby))
    return blocks


def joined(lines: Sequence[str]) -> str:
    """Lines as running text: words parted by a hyphen are one again, Japanese and Chinese get no spaces."""
    text = ""
    for line in (" ".join(line.split()) for line in lines):
        if not text or not line:
            text += line
        elif _parts_word(text, line):
            text = text[:-1] + line
        elif _stands_close(text, line):
            text += line
        else:
            text += " " + line
    return text


def without_spaces(letter: str) -> bool:
    """Whether a letter is of a script that puts no spaces between words."""
    return unicodedata.name(letter, "").startswith(WITHOUT_SPACES)


def _parts_word(text: str, line: str) -> bool:
    """Whether a hyphen at a line's end parts a word: small letters go on, or capitals among capitals."""
    if not text.endswith(("-", "\u2010", "\u00ad")) or len(text) < 3 or not line[0].isalpha():
        return False
    before = text[-2:-3:-1] + text[-3:-4:-1]  # the two letters in front; a stammer ("W-what") has one
    return before.isalpha() and len(before) == 2 and (line[0].islower() or (before.isupper() and line[:2].isupper()))


def _stands_close(text: str, line: str) -> bool:
    if without_spaces(text[-1]) or without_spaces(line[0]):
        return True
    return text.endswith("-") and not text.endswith("--") and len(text) > 1 and text[-2].isalpha()


def _size(line: TextLine, vertical: bool) -> float:
    x0, y0, x1, y1 = line.box
    return x1 - x0 if vertical else y1 - y0


def _are_columns(lines: Sequence[TextLine]) -> np.ndarray:
    """For each line whether it is a column; a single letter is what most lines of its page are."""
    ratio = np.array([(b[3] - b[1]) / (b[2] - b[0]) for b in (line.box for line in lines)])
    long = np.array([len(line.text) > 1 for line in lines])
    tall = (ratio >= TALL) & long
    mostly = tall.sum() * 2 > long.sum()
    dense = np.array([any(without_spaces(letter) for letter in line.text) for line in lines])
    return tall | (mostly & ~long & dense & (ratio > 1 / TALL)) if mostly else tall


def _belong(lines: Sequence[TextLine], places: Sequence[int | None], tall: np.ndarray) -> np.ndarray:
    """(N, N): which lines are next to each other in one block."""
    boxes = np.array([line.box for line in lines])
    turned = np.where(tall[:, None], boxes[:, [1, 0, 3, 2]], boxes)  # columns as lines: the way of reading is x
    start, top, end, bottom = turned.T
    size = bottom - top
    small, large = np.minimum.outer(size, size), np.maximum.outer(size, size)
    along = np.minimum.outer(end, end) - np.maximum.outer(start, start)
    across = np.minimum.outer(bottom, bottom) - np.maximum.outer(top, top)
    shorter = np.minimum.outer(end - start, end - start)
    stacked = (along >= BESIDE * shorter) & (across >= -LEADING * small)
    in_row = (across >= SAME_ROW * small) & (along >= -WORD_GAP * small)
    place = np.array([-1 if p is None else p for p in places])
    together = (place[:, None] == place) & (tall[:, None] == tall) & (large <= ALIKE * small)
    return together & (stacked | in_row)


def _connected(near: np.ndarray) -> list[list[int]]:
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    count, labels = connected_components(csr_array(near), directed=False)
    return [np.flatnonzero(labels == label).tolist() for label in range(count)]


def _block(lines: list[TextLine], vertical: bool, ruby: list[TextLine]) -> Block:
    """Its lines in reading order."""
    if vertical:
        ordered = _rows([(line, (-line.box[2], -line.box[0], line.box[1])) for line in lines])
    else:
        ordered = _rows([(line, (line.box[1], line.box[3], line.box[0])) for line in lines])
    return Block(ordered, vertical, ruby)


def _rows(placed: list[tuple[TextLine, tuple[float, float, float]]]) -> list[TextLine]:
    """Lines by rows: from each the two edges across the way of reading and where it starts along it."""
    rows: list[list[tuple[TextLine, tuple[float, float, float]]]] = []
    for line, (top, bottom, start) in sorted(placed, key=lambda item: sum(item[1][:2])):
        last = rows[-1][0][1] if rows else None
        shared = min(bottom, last[1]) - max(top, last[0]) if last else 0.0
        if last and shared >= SAME_ROW * min(bottom - top, last[1] - last[0]):
            rows[-1].append((line, (top, bottom, start)))
        else:
            rows.append([(line, (top, bottom, start))])
    return [line for row in rows for line, _ in sorted(row, key=lambda item: item[1][2])]


def _readings(lines: Sequence[TextLine], tall: np.ndarray) -> np.ndarray:
    """For each line the column whose reading it is: small letters that touch it at its right; -1 for all others."""
    x0, y0, x1, y1 = np.array([line.box for line in lines]).T
    along = np.minimum.outer(y1, y1) - np.maximum.outer(y0, y0)
    small = np.subtract.outer(x1 - x0, RUBY * (x1 - x0)) <= 0
    gap = np.subtract.outer(x0, x1)
    touches = (gap <= 0.5 * (x1 - x0)[:, None]) & np.greater.outer(x0, x0) & np.greater.outer(x1 + x0, x1 + x0)
    is_reading = small & touches & (along > BESIDE * (y1 - y0)[:, None]) & tall[None] & tall[:, None]
    found = np.where(is_reading.any(axis=1), is_reading.argmax(axis=1), -1)
    return np.where((found >= 0) & (found[found] < 0), found, -1)  # a reading has none of its own
