"""Turning pictures into vectors: each decoded once, crops cut from it, batches filled across pages and comics."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from comictool.core.errors import InputError
from comictool.core.images import decode, decode_array, to_array
from comictool.corpus.exporting.crops import crop_box, cut
from comictool.corpus.packs.feature_parts import Piece
from comictool.corpus.packs.reading import Pack
from comictool.features.sources import Picture
from comictool.plugins.encoder import Box, Encoder, embed_views
from comictool.plugins.load import EncoderSpec, load_encoder
from comictool.plugins.preparation import prepare_one
from comictool.plugins.torch_encoder import TorchEncoder

# One model computes for one thread at a time; the others decode, cut and resize meanwhile.
_COMPUTING = threading.Lock()


@dataclass(frozen=True)
class Encoded:
    """The vectors of some pictures, comic by comic, and a line for each thing that went wrong."""

    pieces: list[Piece]
    problems: list[str]


@dataclass(frozen=True)
class Work:
    """What turns pictures into vectors, in any thread or process.

    Attributes:
        spec: the encoder; loaded once in each process.
        pack: the pack of pictures that rows are read from, if any.
        batch_size: pictures handed to the encoder at once; None: as it prefers.
        raw: the model's own output instead of unit vectors.
    """

    spec: EncoderSpec
    pack: Path | None = None
    batch_size: int | None = None
    raw: bool = False

    def __call__(self, pictures: Sequence[Picture]) -> Encoded:
        """Encode the pictures of one item."""
        encoder = loaded(self.spec)
        batches = _Batches(encoder, self.batch_size or encoder.preferred_batch, self.raw)
        rows: list[tuple[str, list[str]]] = []
        problems: list[str] = []
        pack = _pack(self.pack) if self.pack is not None else None
        for picture in pictures:
            problems += [f"{picture.label}: {line}" for line in picture.problems]
            try:
                crops = _cut(picture, pack, by_page=batches.by_page)
            except InputError as error:
                lost = f"; {picture.rows} without a vector" if picture.page is not None and picture.rows else ""
                problems.append(f"{picture.label}: {error.fact}{lost}")
                continue
            problems += [f"{picture.label}: {line}" for line in crops.problems]
            if crops.names:
                batches.add(crops)  # an error here is the encoder's, and fails the item
                rows.append((picture.comic, crops.names))
        vectors = batches.finish()
        pieces: list[Piece] = []
        for comic, names in rows:
            pieces.append((comic, names, vectors[: len(names)]))
            vectors = vectors[len(names) :]
        return Encoded(pieces, problems)


@lru_cache(maxsize=1)
def loaded(spec: EncoderSpec) -> Encoder:
    """The encoder of a spec, loaded once in each process."""
    return load_encoder(spec)


@lru_cache(maxsize=1)
def _pack(file: Path) -> Pack:
    return Pack(file)


@dataclass(frozen=True)
class _Crops:
    """What is to be encoded of a picture: images of their own, or a whole page and boxes as fractions of its sides."""

    names: list[str]
    images: list[np.ndarray]
    page: np.ndarray | None = None
    boxes: tuple[Box, ...] = ()
    problems: tuple[str, ...] = ()


def _cut(picture: Picture, pack: Pack | None, *, by_page: bool) -> _Crops:
    """Decode a picture and cut its crops.

    Raises:
        InputError: it is missing, damaged or outside the size limits.
    """
    order = picture.page
    if order is None:
        source = picture.file if pack is None else pack.read(picture.comic, picture.row)
        assert source is not None
        return _Crops([picture.names[0]], [decode_array(source)])
    if order.error:
        raise InputError(order.error)
    if not order.crops:
        return _Crops([], [])
    if not order.image.is_file():
        raise InputError(f"the page picture {order.image.name} is missing")
    page = decode(order.image)
    problems: list[str] = []
    if min(order.size) > 0 and order.size != page.size:
        stated, real = "x".join(map(str, order.size)), "x".join(map(str, page.size))
        problems.append(f"the page is {real} pixels, but its annotations were made for {stated}")
    names, boxes = [], []
    for name, crop in zip(picture.names, order.crops, strict=True):
        box = crop_box(crop.box, page.size, scale=order.scale, square=order.square)
        if box is None:
            problems.append(f"{crop.label}: its box has no area on the page; no vector")
        else:
            names.append(name)
            boxes.append(box)
    if by_page and not order.square:  # squares may reach beyond the page
        width, height = page.size
        parts = tuple((x0 / width, y0 / height, x1 / width, y1 / height) for x0, y0, x1, y1 in boxes)
        return _Crops(names, [], to_array(page), parts, tuple(problems))
    return _Crops(names, [to_array(cut(page, box)) for box in boxes], problems=tuple(problems))


class _Batches:
    """Collects crops and encodes them whenever a batch is full, whatever page or comic they are from.

    An encoder with an `embed_views` of its own gets the crops of one page together and shares work between them.
    """

    def __init__(self, encoder: Encoder, size: int, raw: bool) -> None:
        self._encoder = encoder
        self._size = max(1, size)
        self._embed = encoder.embed_raw if raw else encoder.embed  # type: ignore[attr-defined]
        self.by_page = hasattr(encoder, "embed_views") and not raw
        self._waiting: list[np.ndarray] = []
        self._rows: list[np.ndarray] = []

    def add(self, crops: _Crops) -> None:
        """Take in the crops of a picture."""
        if crops.page is not None:
            self._encode()
            self._keep(embed_views(self._encoder, crops.page, crops.boxes), len(crops.boxes))
        for image in crops.images:
            self._waiting.append(self._prepared(image))
            if len(self._waiting) == self._size:
                self._encode()

    def finish(self) -> np.ndarray:
        """(rows, D) float32 of all crops, in their order."""
        self._encode()
        return np.concatenate(self._rows) if self._rows else np.empty((0, self._encoder.dimension), np.float32)

    def _prepared(self, image: np.ndarray) -> np.ndarray:
        """Resized in this thread for models that would do it in theirs, who then leave it as it is."""
        spec = self._encoder.manifest.input
        if not isinstance(self._encoder, TorchEncoder) or spec is None:
            return image
        prepared: np.ndarray = prepare_one(image, spec).permute(1, 2, 0).contiguous().numpy()
        return prepared

    def _encode(self) -> None:
        if self._waiting:
            with _COMPUTING:
                rows = self._embed(self._waiting)
            self._keep(rows, len(self._waiting))
            self._waiting = []

    def _keep(self, rows: np.ndarray, count: int) -> None:
        wanted = (count, self._encoder.dimension)
        if rows.shape != wanted:
            raise InputError(f"plugin {self._encoder.identity} gave vectors of shape {rows.shape}, not {wanted}")
        if not np.isfinite(rows).all():
            raise InputError(f"plugin {self._encoder.identity} gave numbers that are not finite")
        self._rows.append(np.asarray(rows, np.float32))
