"""How much of a page is lines of lettering: prose, credits and price lists have frames but no panels."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from comictool.panels.cells import UNITS, page_extent
from comictool.panels.planes import closing

NEIGHBOURHOOD = 9  # working pixels; letters stand out from the ground within this
CONTRAST = 40  # levels by which they do
LETTER_HEIGHT = (3, 14)  # working pixels
LETTER_WIDTH = 40  # working pixels; letters of a word may touch
WORD_GAP = 9  # working pixels over which letters join to a line
LINE = (5, 40, 16)  # a line is this many times longer than high, at least this long, and at most this high


def lettering_share(grey: np.ndarray) -> float:
    """The share of a working page (h, w) uint8 that lies under lines of dark-on-light or light-on-dark letters."""
    height, width = grey.shape
    one = page_extent(grey) / UNITS
    if one > 1:  # the sizes below are those of letters in units
        size = max(1, round(width / one)), max(1, round(height / one))
        grey = np.asarray(Image.fromarray(grey.astype(np.float32)).resize(size, Image.Resampling.BOX))
    return max(_share(grey), _share(255 - grey))


def _share(grey: np.ndarray) -> float:
    marks = closing(grey, (NEIGHBOURHOOD, NEIGHBOURHOOD)) - grey > CONTRAST
    touching = np.ones((3, 3), dtype=int)
    labels, count = ndimage.label(marks, structure=touching)
    letter = np.zeros(count + 1, dtype=bool)
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        height = rows.stop - rows.start
        letter[number] = LETTER_HEIGHT[0] <= height <= LETTER_HEIGHT[1] and columns.stop - columns.start <= LETTER_WIDTH
    joined = ndimage.binary_closing(letter[labels], np.ones((1, WORD_GAP), dtype=bool))
    labels, _ = ndimage.label(joined, structure=touching)
    area = 0
    for rows, columns in ndimage.find_objects(labels):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        if height <= LINE[2] and width >= max(LINE[1], LINE[0] * height):
            area += (height + 2) * width  # the leading above and below belongs to the line
    return area / grey.size
