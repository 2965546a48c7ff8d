"""Turning pages into vectors: each picture decoded once, its views and panels cut from it, encoded in batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from comictool.core.errors import InputError
from comictool.core.images import decode_array
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import PageRecord
from comictool.plugins.encoder import Encoder, embed_views
from comictool.search.entries import fingerprint
from comictool.search.parts import EmbeddedPage
from comictool.search.views import Box, cut


@dataclass(frozen=True)
class EncodingOptions:
    """How pages become vectors.

    Attributes:
        levels: of `panel` and `page`.
        views: parts of a page that get a vector, as fractions of its sides.
        dtype: of the result.
        batch_size: pictures handed to the encoder at once; None: as it prefers.
        decoders: threads that decode the next pages while the encoder works; 0: none.
    """

    levels: tuple[str, ...]
    views: tuple[Box, ...]
    dtype: str = "float16"
    batch_size: int | None = None
    decoders: int = 0


def encode_pages(
    encoder: Encoder, corpus: Corpus, records: Sequence[PageRecord], options: EncodingOptions
) -> tuple[list[EmbeddedPage], list[str]]:
    """Vectors of pages and their panels; a page that cannot be read becomes a line of problem instead."""
    batches = _Batches(encoder, options.batch_size or encoder.preferred_batch)
    problems: list[str] = []
    pages: list[tuple[PageRecord, str]] = []
    for record, mark, picture in _decoded(corpus, records, options.decoders):
        try:
            if isinstance(picture, InputError):
                raise picture
            _check_size(record, picture)
        except InputError as error:
            problems.append(f"{record.id}: {error.fact}")
            continue
        pages.append((record, mark))
        batches.add(picture, _boxes(record, options))
    vectors = batches.finish()
    dtype = np.dtype(options.dtype)
    embedded = []
    for record, mark in pages:
        views = len(options.views) if "page" in options.levels else 0
        panels = len(record.panels) if "panel" in options.levels else 0
        rows = np.array([next(vectors) for _ in range(views + panels)], dtype).reshape(-1, encoder.dimension)
        embedded.append(EmbeddedPage(record.comic, record.page, mark, rows[:views], rows[views:]))
    return embedded, problems


class _Batches:
    """Collects cut-outs and encodes them whenever a batch is full.

    An encoder with an `embed_views` of its own gets the cut-outs of one page together and shares work between them.
    """

    def __init__(self, encoder: Encoder, size: int) -> None:
        self._encoder = encoder
        self._size = max(1, size)
        self._by_page = hasattr(encoder, "embed_views")
        self._waiting: list[np.ndarray] = []
        self._rows: list[np.ndarray] = []

    def add(self, picture: np.ndarray, boxes: Sequence[Box]) -> None:
        if self._by_page:
            self._keep(embed_views(self._encoder, picture, boxes), len(boxes))
            return
        for box in boxes:
            self._waiting.append(cut(picture, box))
            if len(self._waiting) == self._size:
                self._encode()

    def finish(self) -> Iterator[np.ndarray]:
        """All vectors in the order of the cut-outs."""
        if self._waiting:
            self._encode()
        return iter(self._rows)

    def _encode(self) -> None:
        self._keep(self._encoder.embed(self._waiting), len(self._waiting))
        self._waiting = []

    def _keep(self, rows: np.ndarray, count: int) -> None:
        if rows.shape != (count, self._encoder.dimension):
            wanted = (count, self._encoder.dimension)
            raise InputError(f"plugin {self._encoder.identity} gave vectors of shape {rows.shape}, not {wanted}")
        self._rows.extend(rows)


def _check_size(record: PageRecord, picture: np.ndarray) -> None:
    height, width = picture.shape[:2]
    if (width, height) != (record.width, record.height):
        said = f"{record.width}x{record.height}"
        raise InputError(f"the picture has {width}x{height} pixels, its record says {said}: import it again")
    for panel in record.panels:
        if panel.box[0] < 0 or panel.box[1] < 0 or panel.box[2] > width or panel.box[3] > height:
            raise InputError(f"panel {panel.id} with the box {list(panel.box)} is not on its page of {width}x{height}")


def _boxes(record: PageRecord, options: EncodingOptions) -> list[Box]:
    """The views of a page, then its panels by number, as fractions of its sides."""
    boxes: list[Box] = list(options.views) if "page" in options.levels else []
    if "panel" in options.levels:
        for panel in sorted(record.panels, key=lambda p: p.id):
            x0, y0, x1, y1 = panel.box
            boxes.append((x0 / record.width, y0 / record.height, x1 / record.width, y1 / record.height))
    return boxes


def _decoded(
    corpus: Corpus, records: Sequence[PageRecord], decoders: int
) -> Iterator[tuple[PageRecord, str, np.ndarray | InputError]]:
    """Each record with its fingerprint, taken before reading, and its decoded picture or the reason there is none."""

    def decode(record: PageRecord) -> tuple[str, np.ndarray | InputError]:
        mark = fingerprint(corpus, record)
        try:
            return mark, decode_array(corpus.image_path(record))
        except InputError as error:
            return mark, error

    if decoders < 1:
        for record in records:
            yield record, *decode(record)
        return
    waiting: deque[tuple[PageRecord, Future[tuple[str, np.ndarray | InputError]]]] = deque()
    with ThreadPoolExecutor(decoders) as pool:
        for record in records:
            waiting.append((record, pool.submit(decode, record)))
            if len(waiting) > decoders:  # a page in memory for each thread, and the one being encoded
                first, result = waiting.popleft()
                yield first, *result.result()
        for first, result in waiting:
            yield first, *result.result()
