"""Depth maps on disk: 16-bit grey PNG.

A stored value of 0 means no depth (gutter, margin, a page without a scene). Any other value `v` is the depth
`(v - 1) / 65534`: 0.0 is nearest, 1.0 farthest. Depth is that of the drawn scene; balloons, lettering and frames lie on
the paper, not in the scene, and do not change it. Depths of two panels are not comparable.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

from comictool.core.errors import InputError
from comictool.core.files import below
from comictool.core.images import load_picture

TOP = 65534
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def to_stored(depth: np.ndarray) -> np.ndarray:
    """Depth 0..1 to stored uint16 values 1..65535."""
    return (depth * TOP + 1.5).astype(np.uint16)


def from_stored(stored: np.ndarray) -> np.ndarray:
    """Stored uint16 values to float32 depth 0..1, NaN where there is none."""
    return np.where(stored == 0, np.float32(np.nan), (stored.astype(np.float32) - 1) / TOP)


def read_depth(root: Path, name: str, size: tuple[int, int] | None = None) -> np.ndarray:
    """A map as `from_stored` gives it.

    Args:
        root: the folder; `name` is a path below it.
        size: the (height, width) that it must have.

    Raises:
        InputError: it is not there, no grey picture of 16 bits, of another size, or outside of the folder.
    """
    stored = np.asarray(load_picture(below(root, name)))
    if stored.ndim != 2 or stored.dtype not in (np.uint16, np.int32):
        raise InputError(f"{name} is no grey picture of 16 bits")
    if size is not None and stored.shape != size:
        raise InputError(f"{name} is {stored.shape[1]}x{stored.shape[0]} pixels, its page {size[1]}x{size[0]}")
    return from_stored(stored.astype(np.uint16))


def encode_png16(values: np.ndarray) -> bytes:
    """A 16-bit grey PNG of a `(height, width)` uint16 array.

    Every row is stored as its difference to the row above (PNG filter 2), which turns planes of depth into runs: ten
    times faster than trying all filters as a general encoder does, and small.
    """
    height, width = values.shape
    rows = np.zeros((height, 1 + 2 * width), dtype=np.uint8)
    rows[:, 0] = 2
    data = np.ascontiguousarray(values.astype(">u2")).view(np.uint8).reshape(height, 2 * width)
    rows[0, 1:] = data[0]
    np.subtract(data[1:], data[:-1], out=rows[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0)
    body = zlib.compress(rows.tobytes(), 1)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
