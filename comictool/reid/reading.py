"""From a picture file to its content hash and pixels, and on to its vector; runs in threads and worker processes."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from comictool.core.errors import InputError
from comictool.core.images import MAX_BYTES
from comictool.plugins.encoder import unit_rows
from comictool.plugins.load import EncoderSpec
from comictool.plugins.preparation import prepare_picture
from comictool.reid.cache import stamp_of

if TYPE_CHECKING:
    from comictool.plugins.encoder import Encoder
    from comictool.plugins.manifest import InputSpec

DIGEST_BYTES = 20  # chance collisions are out of the question up to 10^20 pictures
# A JPEG may be decoded at a reduced scale, and any picture averaged over whole pixels, as long as this many times the
# side that the model sees is left: the antialiased resize that follows still decides on what the model gets.
# 70 comic pages, untrained ResNet-18, fp32: 1 - cosine to the page decoded in full is 5e-6 (median) and 1.4e-5 (most).
# Arithmetic in bf16 makes as much, 8e-6 and 1.1e-5; two different pages are 4e-3 apart (median), 2e-4 the nearest 1 %.
SPARE = 2


@dataclass(frozen=True)
class Reading:
    """How pictures are read and turned into vectors, beside the encoder itself.

    Attributes:
        flip: the mean of the vectors of the picture and of its mirror image, scaled to length 1.
        legacy: as the first program of this kind read pictures: EXIF orientation ignored, transparency dropped.
        exact: computed in fp32 because the user asked for it; kept apart from vectors of a lesser precision.
    """

    flip: bool = False
    legacy: bool = False
    exact: bool = False

    def key(self, identity: str) -> str:
        """What vectors read like this are cached under."""
        marks = [name for name, on in (("flip", self.flip), ("legacy", self.legacy), ("fp32", self.exact)) if on]
        return "|".join([identity, *marks])


@dataclass(frozen=True)
class Picture:
    """What reading one file gave. `error` is empty when there is a `content`: pixels (H, W, 3) uint8, or a vector."""

    digest: str = ""
    stamp: str | None = None
    content: np.ndarray | None = None
    error: str = ""


@dataclass(frozen=True)
class Request:
    """Files to read, for a thread or a worker process.

    Attributes:
        size: what the model sees, (height, width) in pixels; None when it wants full pictures.
        preparation: how the encoder would bring a picture to `size`, when that may be done here; None: it does so
            itself, from a picture that is at least `SPARE` times as large.
    """

    paths: tuple[Path, ...]
    reading: Reading
    size: tuple[int, int] | None = None
    preparation: InputSpec | None = None
    spec: EncoderSpec | None = None


def digest_of(content: bytes) -> str:
    """The content hash of a file's bytes (blake2b, hexadecimal)."""
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).hexdigest()


def read_bytes(path: Path) -> bytes:
    """A picture file, whole.

    Raises:
        InputError: missing, unreadable, no plain file (a pipe would block for ever), or too large for one picture.
    """
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise InputError("not a plain file")
        if facts.st_size > MAX_BYTES:
            raise InputError(f"{facts.st_size:,} bytes, more than the {MAX_BYTES:,} allowed for one picture")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}") from error


def read_pictures(request: Request) -> list[Picture]:
    """Read and decode files; for threads."""
    return [_read_picture(path, request) for path in request.paths]


def _read_picture(path: Path, request: Request) -> Picture:
    stamp = stamp_of(path)
    try:
        content = read_bytes(path)
    except InputError as error:
        return Picture(error=error.fact)
    digest = digest_of(content)
    try:
        return Picture(digest, stamp, _decoded(content, request))
    except InputError as error:
        return Picture(digest, stamp, error=error.fact)


def _decoded(content: bytes, request: Request) -> np.ndarray:
    from comictool.core.images import decode, to_array

    if request.reading.legacy:
        return _as_before(content, request.size)
    if request.size is None:
        return to_array(decode(content))
    enough = SPARE * max(request.size)
    picture = decode(content, at_least=enough)
    factor = min(picture.size) // enough
    smaller = picture.reduce(factor) if factor > 1 else picture
    return to_array(smaller) if request.preparation is None else prepare_picture(smaller, request.preparation)


def _as_before(content: bytes, size: tuple[int, int] | None) -> np.ndarray:
    """Pixels as they lie in the file, whatever covers or turns them, squashed by Pillow.

    Its antialiasing and torch's differ by one level of brightness here and there, which shows in the fifth digit of
    scores.
    """
    from PIL import Image

    from comictool.core.images import open_picture

    picture = open_picture(content)
    try:
        pixels = picture.convert("RGB")
        return np.asarray(pixels if size is None else pixels.resize(size[::-1], Image.Resampling.BILINEAR))
    except MemoryError:
        raise
    except Exception as error:  # damaged bodies raise many types
        raise InputError(f"damaged or cut off: {error or type(error).__name__}") from error


def embed_requested(request: Request) -> list[Picture]:
    """Read, decode and embed files; for worker processes with an encoder that needs no torch."""
    assert request.spec is not None
    encoder = _encoder(request.spec)
    done = []
    for picture in read_pictures(request):
        if picture.content is not None:
            vector = embed(encoder, [picture.content], request.reading)[0]
            picture = Picture(picture.digest, picture.stamp, vector)
        done.append(picture)
    return done


@lru_cache(maxsize=1)
def _encoder(spec: EncoderSpec) -> Encoder:
    return spec.load()


def embed(encoder: Encoder, images: Sequence[np.ndarray], reading: Reading) -> np.ndarray:
    """Unit vectors (N, D) float32 of pictures (H, W, 3) uint8; with `flip`, mean with the mirror image's.

    Raises:
        InputError: the encoder gives something else.
    """
    vectors = encoder.embed(images)
    if reading.flip:
        vectors = vectors + encoder.embed([np.ascontiguousarray(image[:, ::-1]) for image in images])
        vectors = unit_rows(vectors, encoder.manifest.id)
    if vectors.shape != (len(images), encoder.dimension):
        raise InputError(
            f"plugin {encoder.identity} gave vectors of shape {vectors.shape}, not {(len(images), encoder.dimension)}"
        )
    return vectors
