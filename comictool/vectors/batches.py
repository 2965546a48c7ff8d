"""Filling an encoder's batches with parts of pictures, whatever picture, page or comic they are from."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from comictool.core.errors import InputError
from comictool.plugins.encoder import Encoder, embed_views, unit_rows
from comictool.vectors.reading import Decoded, ReadingOptions

# One model computes for one thread at a time; the others read and decode meanwhile.
_COMPUTING = threading.Lock()

Put = Callable[[int, np.ndarray], None]
"""Takes the number of a part and its vector, (D,) float32."""


class Batches:
    """Collects pixels and encodes them whenever a batch is full.

    Args:
        encoder: loaded.
        size: parts encoded at once; None: as the encoder prefers.
        options: flip and raw count here.

    Raises:
        InputError: raw outputs of an encoder that has none.
    """

    def __init__(self, encoder: Encoder, size: int | None, options: ReadingOptions) -> None:
        if options.raw and not hasattr(encoder, "embed_raw"):
            raise InputError(f"{encoder.manifest.id} has no raw output: its vectors have length 1")
        self._encoder = encoder
        self._size = max(1, size or encoder.preferred_batch)
        self._options = options
        self._waiting: list[tuple[Put, int, np.ndarray]] = []

    def add(self, found: Decoded, put: Put) -> None:
        """Take in what was decoded of a picture; `put` is called for each part, now or when its batch is full."""
        if found.boxes:
            with _COMPUTING:
                rows = embed_views(self._encoder, found.pixels[0], found.boxes)
            for place, row in zip(found.places, self._checked(rows, len(found.boxes)), strict=True):
                put(place, row)
            return
        for place, pixels in zip(found.places, found.pixels, strict=True):
            self._waiting.append((put, place, pixels))
            if len(self._waiting) == self._size:
                self.flush()

    def flush(self) -> None:
        """Encode what waits for its batch to be full."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            with _COMPUTING:
                rows = self._embed([pixels for _, _, pixels in waiting])
            for (put, place, _), row in zip(waiting, self._checked(rows, len(waiting)), strict=True):
                put(place, row)

    def _embed(self, images: list[np.ndarray]) -> np.ndarray:
        if self._options.raw:
            rows: np.ndarray = self._encoder.embed_raw(images)  # type: ignore[attr-defined]
            return rows
        rows = self._encoder.embed(images)
        if self._options.flip:
            mirrored = self._encoder.embed([np.ascontiguousarray(image[:, ::-1]) for image in images])
            rows = unit_rows(rows + mirrored, self._encoder.manifest.id)
        return rows

    def _checked(self, rows: np.ndarray, count: int) -> np.ndarray:
        wanted = (count, self._encoder.dimension)
        if rows.shape != wanted:
            raise InputError(f"plugin {self._encoder.encoder_id} gave vectors of shape {rows.shape}, not {wanted}")
        if not np.isfinite(rows).all():
            raise InputError(f"plugin {self._encoder.encoder_id} gave NaN or infinite numbers")
        return np.asarray(rows, np.float32)
