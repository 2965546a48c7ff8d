"""A sheet of paper on a table, photographed from the side: its corners, and how it looks from straight above."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

LEAST_SHEET, MOST_SHEET = 0.15, 0.97  # of the photograph
LEAST_FILLED = 0.9  # of the quadrilateral through the corners that the sheet fills: it has four, and is convex
MOST_COSINE = 0.5  # of its corners: 60 to 120 degrees
FAR = 40.0  # deviations from the ground; beyond, more of them tell no more
LIMITS = (6.0, 4.0)  # deviations, where Otsu's threshold gives no sheet
CLOSED, OPENED = 4, 2  # pixels, of a picture that is 256 high: white gutters that reach the table, and its grain
LEAST_SPREAD = 2.0  # levels: a ground that is quite even is still noisy
TO_DEVIATION = 1.4826  # from the median absolute deviation, of normal numbers


def sheet_corners(small: np.ndarray, rim: np.ndarray) -> np.ndarray | None:
    """The corners of a sheet that stands out from the ground, (4, 2) in x and y, clockwise from the top left.

    Args:
        small: (H, W, 3) uint8, a photograph of about 256 pixels.
        rim: (n, 3), the pixels along its sides: the ground.

    Returns:
        None where no sheet with four corners stands out.
    """
    colour = np.median(rim, axis=0)
    spread = np.maximum(TO_DEVIATION * np.median(np.abs(rim - colour), axis=0), LEAST_SPREAD)
    far = np.sqrt((((small.astype(np.float32) - colour) / spread) ** 2).sum(axis=2))
    far = np.minimum(ndimage.gaussian_filter(far, 1.0), FAR)
    for limit in (otsu(far), *LIMITS):
        mask = ndimage.binary_closing(np.pad(far > limit, CLOSED), iterations=CLOSED)
        mask = ndimage.binary_fill_holes(ndimage.binary_opening(mask, iterations=OPENED))[
            CLOSED:-CLOSED, CLOSED:-CLOSED
        ]
        labels, count = ndimage.label(mask)
        if count:
            sheet = labels == 1 + int(np.argmax(ndimage.sum_labels(mask, labels, range(1, count + 1))))
            corners = _corners(sheet) if LEAST_SHEET <= sheet.mean() <= MOST_SHEET else None
            if corners is not None:
                return corners
    return None


def straightened(image: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """What lies between four corners (4, 2), as a rectangle with sides of their mean lengths, in pixels."""
    sides = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    width, height = round((sides[0] + sides[2]) / 2), round((sides[1] + sides[3]) / 2)
    rectangle = np.array([(0, 0), (width, 0), (width, height), (0, height)], float)
    numbers = tuple(perspective(rectangle, corners))
    kind, filtered = Image.Transform.PERSPECTIVE, Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(image).transform((width, height), kind, numbers, filtered))


def perspective(new: np.ndarray, old: np.ndarray) -> np.ndarray:
    """The eight numbers by which Pillow finds, for a point of the new picture, that of the old; four points (4, 2)."""
    rows = [
        row
        for (x, y), (u, v) in zip(new, old, strict=True)
        for row in ([x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y])
    ]
    return np.linalg.solve(np.array(rows), np.asarray(old, float).ravel())


def otsu(values: np.ndarray) -> float:
    """The threshold that parts numbers into two groups of the least variance within (Otsu, 1979)."""
    counts, edges = np.histogram(values, 128)
    middles = (edges[1:] + edges[:-1]) / 2
    below, sums = np.cumsum(counts), np.cumsum(counts * middles)
    above = below[-1] - below
    parted = (below > 0) & (above > 0)
    between = np.zeros(len(counts))
    between[parted] = (sums[-1] * below[parted] / below[-1] - sums[parted]) ** 2 / (below[parted] * above[parted])
    return float(edges[1 + int(np.argmax(between))])


def _corners(mask: np.ndarray) -> np.ndarray | None:
    points = np.argwhere(mask & ~ndimage.binary_erosion(mask))[:, ::-1].astype(float)
    try:
        hull = points[ConvexHull(points).vertices]
    except QhullError:  # a line
        return None
    while len(hull) > 4:  # the corner that adds the least area goes
        before, after = np.roll(hull, 1, axis=0), np.roll(hull, -1, axis=0)
        hull = np.delete(hull, int(np.argmin(np.abs(_cross(hull - before, after - before)))), axis=0)
    if len(hull) < 4:
        return None
    x, y = (hull - hull.mean(axis=0)).T
    hull = hull[np.argsort(np.arctan2(y, x))]  # clockwise, since y grows downwards
    hull = np.roll(hull, -int(np.argmin(hull.sum(axis=1))), axis=0)
    sides = np.roll(hull, -1, axis=0) - hull
    area = abs(_cross(hull, np.roll(hull, -1, axis=0)).sum()) / 2
    unit = sides / np.maximum(np.linalg.norm(sides, axis=1, keepdims=True), 1e-6)
    square = np.abs((unit * np.roll(unit, -1, axis=0)).sum(axis=1)).max() <= MOST_COSINE
    return hull if square and mask.sum() >= LEAST_FILLED * area else None


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
