"""What a model of each kind besides encoders is to the rest of the program (`comictool.plugins.encoder` has those).

Every answer has one entry for each input, in order, and depends on nothing else in the call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from comictool.plugins.manifest import Manifest

if TYPE_CHECKING:
    import numpy as np


class Model(Protocol):
    """What all have.

    Attributes:
        manifest: what its plugin says about itself.
        encoder_id: what its answers may be cached under.
        device_note: where and how it computes, for the log.
        needs_torch: it computes in the main process.
    """

    manifest: Manifest
    encoder_id: str
    device_note: str
    needs_torch: bool


class TextEncoder(Model, Protocol):
    """Texts to vectors."""

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """N texts to (N, D) float32, rows of length 1."""
        ...


class SequenceEncoder(Model, Protocol):
    """Panels in their context."""

    def encode(self, vectors: np.ndarray) -> np.ndarray:
        """The N panels of one comic in reading order, (N, D) of the column that it reads, to (N, W) float32."""
        ...


class FusionEncoder(Model, Protocol):
    """Several columns to one."""

    def fuse(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """By column (N, D) float32, a row of NaN where there is no vector, to (N, W) float32 of length 1."""
        ...


@dataclass(frozen=True)
class Detections:
    """What was found on one picture of height H and width W.

    Attributes:
        boxes: (M, 4) float32, x0, y0, x1, y1 in its pixels, 0 <= x0 < x1 <= W, 0 <= y0 < y1 <= H.
        scores: (M,) float32 in 0..1.
        labels: M classes out of the manifest's `[output.boxes] classes`; empty texts when it names none.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: list[str] = field(default_factory=list)


class Detector(Model, Protocol):
    """Boxes on pictures."""

    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """N pictures (H, W, 3) uint8 to N sets of boxes, best first."""
        ...


class DepthEstimator(Model, Protocol):
    """How far things are."""

    def depth(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """N pictures (H, W, 3) uint8 to N maps (H, W) float32, larger is farther, in the manifest's unit."""
        ...


@dataclass(frozen=True)
class TextLine:
    """A line of text in a box (x0, y0, x1, y1) of a picture's pixels; `score` in 0..1."""

    box: tuple[float, float, float, float]
    text: str
    score: float = 1.0


class TextReader(Model, Protocol):
    """Text on pictures."""

    def read(self, images: Sequence[np.ndarray]) -> list[list[TextLine]]:
        """N pictures (H, W, 3) uint8 to N lists of lines, in reading order."""
        ...
