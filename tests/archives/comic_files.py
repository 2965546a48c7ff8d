"""Small comic files made on the spot, good and nasty ones, for tests."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image


def picture(
    seed: int = 0, size: tuple[int, int] = (40, 60), mode: str = "RGB", kind: str = "JPEG", **save: object
) -> bytes:
    """An encoded picture, different for each seed: a few flat blocks, as on a page."""
    blocks = np.random.default_rng(seed).integers(0, 256, (4, 3, 3), dtype=np.uint8)
    page = Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST)
    stream = io.BytesIO()
    page.convert(mode).save(stream, kind, **save)
    return stream.getvalue()


def opened(data: bytes) -> Image.Image:
    """Bytes as a decoded picture."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def make_zip(path: Path, members: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    """A ZIP with these members in this order. Names are stored as given, however hostile."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return path


def make_tar(path: Path, members: Mapping[str, bytes | tarfile.TarInfo], mode: str = "w") -> Path:
    """A tar with these members; a TarInfo stands for a link or device."""
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            if isinstance(data, tarfile.TarInfo):
                archive.addfile(data)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def pages(count: int, pattern: str = "page{}.jpg") -> dict[str, bytes]:
    """Named pages from 1."""
    return {pattern.format(n): picture(n) for n in range(1, count + 1)}


def tree(root: Path) -> dict[str, bytes]:
    """All files below a folder with their bytes, ledgers left out."""
    files = (file for file in sorted(root.rglob("*")) if file.is_file())
    return {str(f.relative_to(root)): f.read_bytes() for f in files if ".jobs" not in f.parts}
