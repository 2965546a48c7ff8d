"""An encoder without torch: a descriptor in numpy, with the manifest and encoder_id that the contract asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from comictool.plugins.encoder import Box, check_dimension, encoder_id_of, unit_rows
from comictool.plugins.manifest import Manifest
from comictool.plugins.preparation import check_picture, over_background

PAPER = (255, 255, 255)


class Descriptor(Protocol):
    """Fixed measurements of pictures: (H, W, 3) uint8 to unit vectors."""

    dimension: int
    preferred_batch: int

    def embed(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """(N, dimension) float32."""
        ...

    def embed_views(self, image: np.ndarray, boxes: Sequence[Box]) -> np.ndarray:
        """(len(boxes), dimension) float32 of cut-outs of one picture."""
        ...


class LightEncoder:
    """See `comictool.plugins.encoder.Encoder`. Picklable as long as its descriptor is.

    Raises:
        InputError: the manifest promises another dimension than the descriptor has.
    """

    needs_torch = False

    def __init__(self, descriptor: Descriptor, manifest: Manifest) -> None:
        self._descriptor = descriptor
        self._background = manifest.image.alpha_background if manifest.image is not None else PAPER
        self.manifest = manifest
        self.dimension = check_dimension(manifest, descriptor.dimension)
        self.preferred_batch = descriptor.preferred_batch
        self.encoder_id = encoder_id_of(manifest)
        self.device_note = "cpu (numpy; no torch needed)"

    def embed(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Unit vectors (N, D) float32 of N pictures (height, width, 3) uint8."""
        if len(images) == 0:
            return np.zeros((0, self.dimension), dtype=np.float32)
        for image in images:
            check_picture(image)
        flat = [over_background(image, self._background) for image in images]
        return unit_rows(self._descriptor.embed(flat), self.manifest.id)

    def embed_views(self, image: np.ndarray, boxes: Sequence[Box]) -> np.ndarray:
        """Unit vectors (len(boxes), D) of cut-outs; see `comictool.plugins.encoder.embed_views`."""
        if len(boxes) == 0:
            return np.zeros((0, self.dimension), dtype=np.float32)
        check_picture(image)
        flat = over_background(image, self._background)
        return unit_rows(self._descriptor.embed_views(flat, boxes), self.manifest.id)
