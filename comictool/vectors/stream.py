"""Vectors of pictures as a stream: from the cache where they are known, computed where not.

In this process: `EmbeddingStream(spec, cache=cache).embed(pictures)`, or `.batches(paths)` for picture files.
As the work of a job whose items hold lists of pictures:

```
work = EmbedPictures(spec, batch_size=batch_size)
run_job(JOB, [Item(key, fingerprint, pictures), ...], work, commit, workers=work.workers, ...)
```

where `commit(item, embedded)` gets one `EmbeddedPicture` for each of the item's pictures, in their order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple, TypedDict, Unpack

import numpy as np

from comictool.core.device import precision_name
from comictool.core.errors import ComicError, InputError
from comictool.core.progress import Progress
from comictool.core.workers import Kind, WorkerDied, cores, in_order
from comictool.plugins.known import needs_torch
from comictool.plugins.load import EncoderSpec
from comictool.vectors.batches import Batches
from comictool.vectors.cache import EmbeddingCache, stamp_of
from comictool.vectors.encoders import LazyEncoder, lazy_encoder
from comictool.vectors.pictures import Picture, files_as_pictures
from comictool.vectors.reading import Decoded, Decoding, ReadingOptions, digest_of, part_key, read_bytes, read_picture

CHUNK = 128  # vectors planned, committed to the cache and yielded together: what a kill can cost
FEW = 24  # vectors computed here rather than by workers, whose start takes as long as about this many
# Pictures, as the model sees them, that threads may be ahead of it: while torch is imported (1.6 s) and the encoder
# loaded, another core decodes about this many.
READ_AHEAD = 256
READ_AHEAD_BYTES = 64 << 20
READ_TOGETHER = 4  # files a decoding thread takes at once, so that a batch is ready when the last one is computed
MOST_DECODERS = 4  # one thread decodes 50 pages a second; no encoder of pages and their panels takes more than 200


@dataclass(slots=True)
class EmbeddedPicture:
    """What one picture came to.

    Attributes:
        vectors: (parts, D) float32, unit rows unless raw; rows of zeros for parts that are not `present`.
        present: (parts,) bool.
        digest: of the content; empty when it was not read, or nobody asked.
        problems: why parts or all of it are missing, one line each; those of the `Picture` itself first.
        error: the one of them that cost all parts; else empty.
    """

    vectors: np.ndarray
    present: np.ndarray
    digest: str = ""
    problems: tuple[str, ...] = ()
    error: str = ""


class EmbeddedBatch(NamedTuple):
    """Some of the files, in the order asked for.

    `vectors` is (n, D) float32 with unit rows, rows of zeros for those in `errors`; a digest is empty when the file
    could not be read at all.
    """

    start: int
    paths: list[Path]
    vectors: np.ndarray
    digests: list[str]
    errors: dict[Path, str]

    @property
    def ok(self) -> np.ndarray:
        """(n,) bool: which rows are vectors."""
        return np.array([path not in self.errors for path in self.paths], dtype=bool)


@dataclass
class Embedded:
    """All files: see `EmbeddedBatch` for the rows; `computed` were not found in the cache."""

    paths: list[Path]
    vectors: np.ndarray
    ok: np.ndarray
    digests: list[str]
    errors: dict[Path, str]
    computed: int = 0


def reading_of(encoder: LazyEncoder, *, flip: bool = False, legacy: bool = False, raw: bool = False) -> ReadingOptions:
    """How pictures are read for an encoder: a precision counts only where something else is possible."""
    asked = precision_name(encoder.spec.precision)
    return ReadingOptions(flip, legacy, precision=asked if asked != "auto" and encoder.needs_torch else "", raw=raw)


def encoder_key(spec: EncoderSpec, *, flip: bool = False, legacy: bool = False, raw: bool = False) -> str:
    """Under what vectors of an encoder, read in this way, may be compared and kept together.

    Raises:
        UsageError, InputError, SetupError: as for loading, which happens when only loading tells.
    """
    encoder = LazyEncoder(spec)
    return reading_of(encoder, flip=flip, legacy=legacy, raw=raw).key(encoder.encoder_id)


class StreamOptions(TypedDict, total=False):
    """How `EmbeddingStream` is asked for, by those who pass it on; see there."""

    cache: EmbeddingCache | None
    flip: bool
    legacy: bool
    batch_size: int | None
    jobs: int | None


def embed_files(
    paths: Sequence[Path], spec: EncoderSpec, *, progress: Progress | None = None, **options: Unpack[StreamOptions]
) -> Embedded:
    """All vectors at once, (N, D); see `EmbeddingStream`, which takes the options and is for more than memory holds."""
    stream = EmbeddingStream(spec, **options)
    batches = list(stream.batches(paths, progress))
    errors = {path: text for batch in batches for path, text in batch.errors.items()}
    return Embedded(
        paths=list(paths),
        vectors=np.concatenate([batch.vectors for batch in batches]) if batches else np.zeros((0, 0), np.float32),
        ok=np.array([path not in errors for path in paths], dtype=bool),
        digests=[digest for batch in batches for digest in batch.digests],
        errors=errors,
        computed=stream.computed,
    )


@dataclass
class _Chunk:
    """Pictures on their way: what is known of each, and which of their parts still have to be computed.

    Rows are counted over all parts of all pictures.

    Attributes:
        firsts: the first row of each picture.
        keys: what each row is cached under; empty or None when that is not known yet, or never.
        missing: rows to compute, by picture.
        copies: rows whose content is the same as that of one before them in this chunk.
        errors, lost: by picture; by row.
        fresh: new vectors by key.
        stamps: of files, with their digests.
    """

    start: int
    pictures: list[Picture]
    firsts: list[int]
    digests: list[str]
    keys: list[str | None]
    vectors: list[np.ndarray | None]
    missing: dict[int, list[int]] = field(default_factory=dict)
    copies: list[tuple[int, int]] = field(default_factory=list)
    errors: dict[int, str] = field(default_factory=dict)
    lost: dict[int, str] = field(default_factory=dict)
    fresh: dict[str, np.ndarray] = field(default_factory=dict)
    stamps: dict[Path, tuple[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, start: int, pictures: list[Picture]) -> _Chunk:
        firsts, rows = [], 0
        for picture in pictures:
            firsts.append(rows)
            rows += len(picture.parts)
        return cls(start, pictures, firsts, [""] * len(pictures), [None] * rows, [None] * rows)

    def set_keys(self, place: int) -> None:
        """The keys of a picture whose digest is known."""
        picture, digest = self.pictures[place], self.digests[place]
        for number in range(len(picture.parts)):
            self.keys[self.firsts[place] + number] = part_key(picture, number, digest)


@dataclass(frozen=True)
class _Request:
    """Pictures to read, and which parts of each, for a thread or a worker process."""

    pictures: tuple[Picture, ...]
    wanted: tuple[tuple[int, ...], ...]
    decoding: Decoding
    hashed: bool
    embedding: tuple[EncoderSpec, int | None, ReadingOptions] | None = None


class EmbeddingStream:
    """One way of embedding, ready for pictures; counts in `computed` the vectors that were not cached.

    Torch is imported, and the encoder loaded, only when a vector is not in the cache.

    Args:
        spec: the encoder, or one that other streams use too.
        cache: where vectors are looked up and kept.
        flip: mean with the mirror image's vector.
        legacy: EXIF orientation and transparency ignored; of whole pictures only.
        raw: the model's own output, never cached.
        batch_size: parts given to the encoder at once; None: as it prefers.
        jobs: threads that decode, or processes that embed for encoders without torch; None: one a core.

    Raises:
        UsageError, InputError, SetupError: the encoder cannot be loaded, or the cache not used.
    """

    def __init__(
        self,
        spec: EncoderSpec | LazyEncoder,
        *,
        cache: EmbeddingCache | None = None,
        flip: bool = False,
        legacy: bool = False,
        raw: bool = False,
        batch_size: int | None = None,
        jobs: int | None = None,
    ) -> None:
        self.computed = 0
        self.encoder = spec if isinstance(spec, LazyEncoder) else LazyEncoder(spec)
        self._needs_torch = self.encoder.needs_torch
        self._cache = None if raw else cache
        self._reading = reading_of(self.encoder, flip=flip, legacy=legacy, raw=raw)
        self._batch_size = batch_size
        self._jobs = jobs or cores()
        self._batches: Batches | None = None
        self.key = self._reading.key(self.encoder.encoder_id)

    def batches(self, paths: Sequence[Path], progress: Progress | None = None) -> Iterator[EmbeddedBatch]:
        """Vectors of picture files in bounded memory, batch by batch in the order of `paths`.

        Each batch is in the cache before it is yielded.

        Args:
            paths: picture files; those that cannot be read become errors, the others are embedded.
            progress: advanced by each picture.

        Raises:
            UsageError, InputError, SetupError: as above.
        """
        progress = progress or Progress()
        progress.start("embedding", len(paths))
        for chunk in self._chunks(files_as_pictures(paths)):
            rows = self._rows(chunk)
            end = chunk.start + len(rows)
            errors = {paths[chunk.start + place]: text for place, text in chunk.errors.items()}
            progress.advance(len(rows))
            yield EmbeddedBatch(chunk.start, list(paths[chunk.start : end]), rows, chunk.digests, errors)
        progress.finish()

    def embed(self, pictures: Iterable[Picture]) -> Iterator[EmbeddedPicture]:
        """Vectors of the parts of pictures, picture by picture in their order, in bounded memory.

        Raises:
            UsageError, InputError, SetupError: as above.
        """
        for chunk in self._chunks(pictures):
            rows = self._rows(chunk)
            present = np.array([vector is not None for vector in chunk.vectors], dtype=bool)
            for place, (picture, first) in enumerate(zip(chunk.pictures, chunk.firsts, strict=True)):
                error = chunk.errors.get(place, "")
                own = slice(first, first + len(picture.parts))
                lost = [chunk.lost[row] for row in range(own.start, own.stop) if row in chunk.lost]
                problems = (*picture.problems, *lost, *([error] if error else []))
                yield EmbeddedPicture(rows[own], present[own], chunk.digests[place], problems, error)

    def _chunks(self, pictures: Iterable[Picture]) -> Iterator[_Chunk]:
        """Finished chunks; workers are started at the first that has much to compute, and stay."""
        plans = (self._plan(chunk) for chunk in _chunked(pictures))
        for chunk in plans:
            if sum(map(len, chunk.missing.values())) >= FEW and self._jobs > 1:
                ahead = self._ahead() if all(picture.is_whole for picture in chunk.pictures) else 0
                for finished in self._with_workers(chain([chunk], plans), ahead):
                    yield self._committed(finished)
                break
            self._compute_here(chunk, chunk.missing)
            yield self._committed(chunk)

    def _plan(self, chunk: _Chunk) -> _Chunk:
        """What the cache knows of these pictures."""
        known: dict[str, np.ndarray] = {}
        if self._cache is not None:
            files = [picture.source for picture in chunk.pictures if isinstance(picture.source, Path)]
            remembered = self._cache.digests(files)
            for place, picture in enumerate(chunk.pictures):
                if isinstance(picture.source, Path):
                    chunk.digests[place] = remembered.get(picture.source, "")
                if not chunk.digests[place] and picture.parts:
                    self._hash(chunk, place)
                if chunk.digests[place]:
                    chunk.set_keys(place)
            known = self._cache.vectors((key for key in chunk.keys if key), self.key)
        seen: set[str] = set()
        for place, (picture, first) in enumerate(zip(chunk.pictures, chunk.firsts, strict=True)):
            if place in chunk.errors:
                continue
            for row in range(first, first + len(picture.parts)):
                key = chunk.keys[row]
                chunk.vectors[row] = known.get(key) if key else None
                if chunk.vectors[row] is not None:
                    continue
                if key and key in seen:
                    chunk.copies.append((place, row))
                else:
                    chunk.missing.setdefault(place, []).append(row)
                    seen.update([key] if key else [])
            if picture.error and not picture.parts:
                chunk.errors[place] = picture.error
        return chunk

    def _hash(self, chunk: _Chunk, place: int) -> None:
        """Read and hash a picture: takes a twentieth of decoding, and finds pictures that were moved or copied."""
        picture = chunk.pictures[place]
        # Before the content: a file that changes in between has another stamp the next time.
        stamp = stamp_of(picture.source) if isinstance(picture.source, Path) else None
        try:
            if picture.error:
                raise InputError(picture.error)
            chunk.digests[place] = digest_of(read_bytes(picture.source))
        except InputError as error:
            chunk.errors[place] = error.fact
            return
        if stamp is not None and isinstance(picture.source, Path):
            chunk.stamps[picture.source] = (stamp, chunk.digests[place])

    def _request(self, chunk: _Chunk, places: Sequence[int], *, embedding: bool = False) -> _Request:
        return _Request(
            tuple(chunk.pictures[place] for place in places),
            tuple(tuple(row - chunk.firsts[place] for row in chunk.missing[place]) for place in places),
            self._decoding(),
            self._hashed(chunk, places),
            (self.encoder.spec, self._batch_size, self._reading) if embedding else None,
        )

    def _hashed(self, chunk: _Chunk, places: Sequence[int]) -> bool:
        return self._cache is not None or all(chunk.pictures[place].is_whole for place in places)

    def _decoding(self) -> Decoding:
        manifest = self.encoder.manifest
        if manifest.image is None or not self._needs_torch:
            plain = not (self._reading.flip or self._reading.raw or self._reading.legacy)
            return Decoding(by_page=plain and not self._needs_torch, legacy=self._reading.legacy)
        # Code of a plugin may prepare pictures in its own way, from whatever it is given.
        preparation = None if manifest.runs_code else manifest.image
        return Decoding(manifest.image.size, preparation, legacy=self._reading.legacy)

    def _compute_here(self, chunk: _Chunk, places: Iterable[int]) -> None:
        """Read, decode and embed in this thread, one picture after the other."""
        for place in places:
            self._fill(chunk, [place], _read(self._request(chunk, [place])))
        if self._batches is not None:
            self._batches.flush()

    def _fill(self, chunk: _Chunk, places: Sequence[int], decoded: Sequence[Decoded]) -> None:
        """Give pixels to the encoder, now or when its batch is full."""
        for place, found in zip(places, decoded, strict=True):
            self._note(chunk, place, found)
            if found.places:
                if self._batches is None:
                    self._batches = Batches(self.encoder.loaded(), self._batch_size, self._reading)

                def put(number: int, vector: np.ndarray, place: int = place) -> None:
                    self._put(chunk, place, number, vector)

                self._batches.add(found, put)

    def _note(self, chunk: _Chunk, place: int, found: Decoded) -> None:
        """What reading a picture told of it, except for its vectors."""
        source = chunk.pictures[place].source
        if isinstance(source, Path):
            chunk.stamps.pop(source, None)
            if found.stamp is not None and found.digest and not found.error:
                chunk.stamps[source] = (found.stamp, found.digest)
        if found.digest:
            chunk.digests[place] = found.digest
            chunk.set_keys(place)
        if found.error:
            chunk.errors[place] = found.error
        for number, reason in found.lost.items():
            chunk.lost[chunk.firsts[place] + number] = reason

    def _put(self, chunk: _Chunk, place: int, number: int, vector: np.ndarray) -> None:
        row = chunk.firsts[place] + number
        self.computed += 1
        chunk.vectors[row] = vector
        if key := chunk.keys[row]:
            chunk.fresh[key] = vector

    def _with_workers(self, chunks: Iterator[_Chunk], ahead: int) -> Iterator[_Chunk]:
        """Chunks in order, computed with threads or processes that stay for all of them.

        `ahead` requests may be under way, or one more than there are workers.
        Each chunk ends with an empty request, so that one in which nothing is missing also comes back in its turn.
        """
        needs_torch = self._needs_torch
        sent: deque[tuple[_Chunk, list[int]]] = deque()

        def requests() -> Iterator[_Request]:
            for chunk in chunks:
                for places in _together(chunk, READ_TOGETHER if needs_torch else 1):
                    sent.append((chunk, places))
                    yield self._request(chunk, places, embedding=not needs_torch)
                sent.append((chunk, []))
                yield _Request((), (), Decoding(), hashed=False)

        kind: Kind = "threads" if needs_torch else "processes"
        for result, failure in in_order(_read, requests(), kind=kind, jobs=self._jobs, ahead=ahead):
            chunk, places = sent.popleft()
            if isinstance(failure, WorkerDied):
                result = [Decoded(error=failure.fact) for _ in places]
            elif failure is not None:
                raise failure
            if needs_torch:
                self._fill(chunk, places, result)
            else:
                for place, found in zip(places, result, strict=True):
                    self._note(chunk, place, found)
                    for number, vector in zip(found.places, found.pixels, strict=True):
                        self._put(chunk, place, number, vector)
            if not places:
                if self._batches is not None:
                    self._batches.flush()
                yield chunk

    def _ahead(self) -> int:
        """Requests that threads may be ahead of the model: as many as are small, since the model sees pictures."""
        manifest = self.encoder.manifest if self._needs_torch else None
        if manifest is None or manifest.image is None or manifest.runs_code:
            return 0
        height, width = manifest.image.size
        return min(READ_AHEAD, READ_AHEAD_BYTES // (3 * height * width)) // READ_TOGETHER

    def _committed(self, chunk: _Chunk) -> _Chunk:
        """Keep what is new, then hand the chunk over."""
        for place, row in chunk.copies:
            twin = chunk.fresh.get(chunk.keys[row] or "")
            if twin is None:  # what it is a copy of changed in between, or cannot be decoded: look at it alone
                chunk.missing[place] = [row]
                self._compute_here(chunk, [place])
            else:
                chunk.vectors[row] = twin
        if self._cache is not None:
            self._cache.keep(self.key, chunk.fresh, chunk.stamps)
        return chunk

    def _rows(self, chunk: _Chunk) -> np.ndarray:
        """(rows, D) float32 of a finished chunk."""
        dimension = next((vector.size for vector in chunk.vectors if vector is not None), None) or self._dimension()
        rows = np.zeros((len(chunk.vectors), dimension), np.float32)
        for row, vector in enumerate(chunk.vectors):
            if vector is not None:
                rows[row] = vector
        return rows

    def _dimension(self) -> int:
        try:
            return self.encoder.dimension
        except ComicError as error:
            raise InputError("no picture could be read, and the encoder not loaded", cause=error.fact) from error


@dataclass(frozen=True)
class EmbedPictures:
    """The work of a job: a list of pictures to their vectors, in any thread or process.

    Heavy encoders compute in the main process, on `workers` threads of the job of which one computes at a time; each
    has `decoders` threads that decode ahead.

    Args:
        spec: the encoder; loaded once in each process.
        raw: the model's own output.
        batch_size: parts given to the encoder at once; None: as it prefers.
        decoders: threads; encoders without torch decode where they compute.
    """

    spec: EncoderSpec
    raw: bool = False
    batch_size: int | None = None
    decoders: int = 1

    @property
    def workers(self) -> Kind:
        """For `run_job`."""
        return "threads" if needs_torch(self.spec) else "processes"

    def __call__(self, pictures: Sequence[Picture]) -> list[EmbeddedPicture]:
        """One result for each picture, in their order.

        Raises:
            InputError: the encoder fails, or gives something else than finite vectors.
        """
        decoders = min(self.decoders, MOST_DECODERS)
        stream = EmbeddingStream(lazy_encoder(self.spec), raw=self.raw, batch_size=self.batch_size, jobs=decoders)
        return list(stream.embed(pictures))


def _read(request: _Request) -> list[Decoded]:
    """Read pictures and decode their parts; with an encoder also embed them, into the places of the pixels."""
    found = [
        read_picture(picture, wanted, request.decoding, hashed=request.hashed)
        for picture, wanted in zip(request.pictures, request.wanted, strict=True)
    ]
    if request.embedding is None:
        return found
    spec, batch_size, reading = request.embedding
    batches = Batches(lazy_encoder(spec).loaded(), batch_size, reading)
    for each in found:
        vectors: dict[int, np.ndarray] = {}
        batches.add(each, vectors.__setitem__)
        batches.flush()
        each.pixels, each.boxes = [vectors[place] for place in each.places], []
    return found


def _chunked(pictures: Iterable[Picture]) -> Iterator[_Chunk]:
    """Chunks of about `CHUNK` vectors, whole pictures."""
    iterator, start = iter(pictures), 0
    while group := list(_group(iterator)):
        yield _Chunk.of(start, group)
        start += len(group)


def _group(pictures: Iterator[Picture]) -> Iterator[Picture]:
    rows = 0
    for picture in pictures:
        yield picture
        rows += max(1, len(picture.parts))
        if rows >= CHUNK:
            return


def _together(chunk: _Chunk, count: int) -> Iterator[list[int]]:
    """Places of a chunk that a worker takes at once: some whole pictures, or one that is cut."""
    places = iter(chunk.missing)
    while group := list(islice(places, count)):
        yield from [[place] for place in group] if not chunk.pictures[group[0]].is_whole else [group]
