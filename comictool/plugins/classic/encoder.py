"""The classic encoder: colour, gradients and structure in one unit vector, without weights and without torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from comictool.core.errors import UsageError
from comictool.plugins.classic.canvas import SIDE, Canvas, make_canvas
from comictool.plugins.classic.profiles import MEASUREMENTS, PROFILES, Profile

Box = tuple[float, float, float, float]
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
ENOUGH = 3 * SIDE  # shorter side, pixels, that a large picture may be reduced to once before its views are cut


class ClassicEncoder:
    """Turns pictures into unit vectors with fixed measurements. Deterministic, picklable, any picture size.

    Args:
        profile: `picture` finds the same page or panel again, `character` the same figure in another pose.

    Raises:
        UsageError: no such profile.
    """

    preferred_batch: int = 16  # nothing is gained from larger batches; small ones keep memory low
    needs_torch: bool = False

    def __init__(self, profile: str = "picture") -> None:
        if profile not in PROFILES:
            raise UsageError(f"the classic encoder has no profile named {profile!r}", near=sorted(PROFILES))
        self.profile = profile
        self.dimension: int = self._row(make_canvas(Image.new("RGB", (1, 1)))).size

    def embed(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Describe `(H, W, 3)` uint8 RGB pictures: `(N, dimension)` float32 rows of length 1."""
        rows = [self.embed_views(image, (WHOLE,))[0] for image in images]
        return np.stack(rows) if rows else np.zeros((0, self.dimension), np.float32)

    def embed_views(self, image: np.ndarray, boxes: Sequence[Box]) -> np.ndarray:
        """Describe cut-outs of one picture, boxes as fractions `(left, top, right, bottom)` of its sides.

        The picture is reduced only once, so ten views of a page take little longer than decoding it.
        The whole picture as a view gives the same bits as `embed`.

        Returns:
            `(len(boxes), dimension)` float32 rows of length 1.
        """
        picture = Image.fromarray(np.ascontiguousarray(image))
        factor = min(picture.size) // ENOUGH
        if factor > 1:
            picture = picture.reduce(factor)
        width, height = picture.size
        rows = [
            self._row(make_canvas(picture, (left * width, top * height, right * width, bottom * height)))
            for left, top, right, bottom in boxes
        ]
        return np.stack(rows) if rows else np.zeros((0, self.dimension), np.float32)

    def _row(self, canvas: Canvas) -> np.ndarray:
        profile = PROFILES[self.profile]
        row = _weighted(canvas, profile)
        if profile.mirrored:
            row = row + _weighted(mirror(canvas), profile)
        return (row / np.sqrt(np.dot(row, row))).astype(np.float32)


def describe(image: np.ndarray, profile: str = "picture") -> np.ndarray:
    """The descriptor of one `(H, W, 3)` uint8 RGB picture of any size from 1x1: `(dimension,)` float32, length 1."""
    return ClassicEncoder(profile).embed([image])[0]


def mirror(canvas: Canvas) -> Canvas:
    """The canvas seen in a mirror: left and right changed."""
    lightness, green_red, blue_yellow = (np.ascontiguousarray(plane[:, ::-1]) for plane in canvas[:3])
    return Canvas(lightness, green_red, blue_yellow, canvas.aspect)


def _weighted(canvas: Canvas, profile: Profile) -> np.ndarray:
    """All measurements one after the other.

    Each is multiplied by the square root of its share, so that the product of two rows is the weighted sum of
    the products of their measurements.
    """
    return np.concatenate(
        [measurement(canvas) * np.float32(profile.shares[name] ** 0.5) for name, measurement in MEASUREMENTS.items()]
    )
