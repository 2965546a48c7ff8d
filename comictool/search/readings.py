"""The ways in which a picture that somebody asks with can be seen: as it is, without the ground round it, flattened.

A screenshot of a reader has bars and a plain ground round the page, a photograph shows the page in perspective on a
table. Neither is known beforehand, so all that is possible is tried; a reading that is wrong finds nothing.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from comictool.search.flattening import sheet_corners, straightened

Box = tuple[int, int, int, int]

SIDE = 256  # pixels of the longer side that a picture is looked at with: finer detail is no ground and no corner
PLAIN = 14.0  # levels of 255 that a ground may vary by: JPEG noise of flat areas stays below
RIM = 0.02  # of the shorter side, how deep the rim is that tells the ground
LEAST_RIM = 0.6  # of the rim has the colour of the ground, or there is none: a bar of a program may cover the rest
CLOSED = 3  # pixels of SIDE: gutters between the panels of a page on a ground of their own colour
LEAST_PART = 0.04  # of the area; what is smaller is an icon, a clock, a page number
LEAST_TEXTURE = 10.0  # standard deviation in levels; a bar of a program is flat
LEAST_TRIM = 0.02  # of a side; less makes no difference


def readings(image: np.ndarray) -> list[np.ndarray]:
    """The ways to see a picture, each (H, W, 3) uint8 RGB; the first is the picture itself."""
    found = [image]
    small, scale = _small(image)
    corners = sheet_corners(small, rim_of(small))
    if corners is not None:
        found.append(straightened(image, (corners + 0.5) * scale))
    box = _content(small)
    if box is not None:
        height, width = image.shape[:2]
        x0, y0 = np.floor(box[:2] * scale).astype(int)
        x1, y1 = np.minimum(np.ceil(box[2:] * scale).astype(int), (width, height))
        found.append(np.ascontiguousarray(image[y0:y1, x0:x1]))
    return found


def _content(small: np.ndarray) -> np.ndarray | None:
    """Where the picture is inside of its plain ground, `[x0, y0, x1, y1]`; None without such a ground."""
    rim = rim_of(small)
    ground = np.median(rim, axis=0)
    if (np.abs(rim - ground).max(axis=1) <= PLAIN).mean() < LEAST_RIM:
        return None
    other = np.abs(small.astype(np.float32) - ground).max(axis=2) > PLAIN
    closed = ndimage.binary_closing(np.pad(other, CLOSED), iterations=CLOSED)[CLOSED:-CLOSED, CLOSED:-CLOSED]
    labels, _ = ndimage.label(closed)
    grey = small.mean(axis=2)
    boxes = []
    for number, where in enumerate(ndimage.find_objects(labels), start=1):
        part = labels[where] == number
        if part.size >= LEAST_PART * other.size and grey[where][part].std() >= LEAST_TEXTURE:
            boxes.append((where[1].start, where[0].start, where[1].stop, where[0].stop))
    if not boxes:
        return None
    low, high = np.array(boxes)[:, :2].min(axis=0), np.array(boxes)[:, 2:].max(axis=0)
    size = np.array(grey.shape[::-1])
    whole = (low <= LEAST_TRIM * size).all() and (high >= (1 - LEAST_TRIM) * size).all()
    return None if whole else np.concatenate([low, high])


def _small(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A copy with SIDE pixels on its longer side, and how many pixels of the picture one of its own is, `(x, y)`."""
    height, width = image.shape[:2]
    scale = max(max(height, width) / SIDE, 1.0)
    size = (max(round(width / scale), 1), max(round(height / scale), 1))
    small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))
    return small, np.array([width / size[0], height / size[1]])


def rim_of(small: np.ndarray) -> np.ndarray:
    """The pixels along the four sides, (n, 3) float32."""
    depth = max(round(RIM * min(small.shape[:2])), 1)
    outer = np.ones(small.shape[:2], bool)
    outer[depth:-depth, depth:-depth] = False
    return small[outer].astype(np.float32)
