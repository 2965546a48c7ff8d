"""The classic encoder: colour, gradients and structure in one unit vector, without weights and without torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from comictool.plugins.classic import colour, gradient, structure
from comictool.plugins.classic.canvas import Canvas, make_canvas

Box = tuple[float, float, float, float]

# Each measurement and the share of the similarity it decides.
MEASUREMENTS: tuple[tuple[str, Callable[[Canvas], np.ndarray], float], ...] = (
    ("colour histogram", colour.colour_histogram, 0.10),
    ("colour layout", colour.colour_layout, 0.20),
    ("oriented cells", gradient.oriented_cells, 0.46),
    ("line texture", gradient.line_texture, 0.03),
    ("masses", structure.masses, 0.16),
    ("light cells", structure.light_cells, 0.04),
    ("aspect", structure.aspect, 0.01),
)
REDUCED = 3 * 96  # shorter side, pixels, that a page is reduced to once before its views are cut from it


def measure(canvas: Canvas) -> dict[str, np.ndarray]:
    """Every measurement by name, each a vector of length 1 or less, before weighting."""
    return {name: function(canvas) for name, function, _ in MEASUREMENTS}


def combine(blocks: dict[str, np.ndarray]) -> np.ndarray:
    """Weighted measurements one after the other as one unit vector, float32.

    A block is multiplied by the square root of its share, so that the cosine of two descriptors is the
    weighted mean of the cosines of their blocks.
    """
    row = np.concatenate([blocks[name] * np.float32(share**0.5) for name, _, share in MEASUREMENTS])
    return (row / max(float(np.sqrt(np.dot(row, row))), 1e-6)).astype(np.float32)


def describe(image: np.ndarray) -> np.ndarray:
    """The descriptor of one `(H, W, 3)` uint8 RGB picture of any size from 1x1: `(dimension,)` float32, length 1."""
    return combine(measure(make_canvas(Image.fromarray(np.ascontiguousarray(image)))))


class ClassicEncoder:
    """Turns pictures into unit vectors with fixed measurements. Deterministic, picklable, any picture size."""

    dimension: int = describe(np.zeros((1, 1, 3), np.uint8)).size
    preferred_batch: int = 16  # nothing is gained from batches; small ones keep memory low
    heavy: bool = False

    def embed(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Describe `(H, W, 3)` uint8 RGB pictures: `(N, dimension)` float32 rows of length 1."""
        if not len(images):
            return np.zeros((0, self.dimension), np.float32)
        return np.stack([describe(image) for image in images])

    def embed_views(self, image: np.ndarray, boxes: Sequence[Box]) -> np.ndarray:
        """Describe cut-outs of one picture, given as fractions `(left, top, right, bottom)` of its sides.

        Near to embedding each cut-out, but the picture is reduced only once: `(len(boxes), dimension)` float32.
        """
        picture = Image.fromarray(np.ascontiguousarray(image))
        scale = min(picture.size) / REDUCED
        if scale > 2:
            picture = picture.reduce(int(scale))
        width, height = picture.size
        rows = []
        for left, top, right, bottom in boxes:
            box = (left * width, top * height, right * width, bottom * height)
            rows.append(combine(measure(make_canvas(picture, box))))
        return np.stack(rows) if rows else np.zeros((0, self.dimension), np.float32)
