"""Vectors of picture files, as a stream of batches: from the cache where they are known, computed where not."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TypedDict, Unpack

import numpy as np

from comictool.core.errors import ComicError, InputError
from comictool.core.progress import NullProgress, Progress
from comictool.core.workers import WorkerDied, cores, in_order
from comictool.plugins.encoder import Encoder
from comictool.plugins.identity import known_identity, known_manifest, needs_torch
from comictool.plugins.load import EncoderSpec
from comictool.plugins.manifest import Manifest
from comictool.reid.cache import EmbeddingCache, stamp_of
from comictool.reid.reading import (
    Picture,
    Reading,
    Request,
    digest_of,
    embed,
    embed_requested,
    read_bytes,
    read_pictures,
)

CHUNK = 128  # files planned, committed to the cache and yielded together: what a kill can cost
FEW = 24  # pictures computed here rather than by workers, whose start takes as long as about this many
# Pictures, as the model sees them, that threads may be ahead of it: while torch is imported (1.6 s) and the encoder
# loaded, another core decodes about this many.
READ_AHEAD = 256
READ_AHEAD_BYTES = 64 << 20
READ_TOGETHER = 4  # files a decoding thread takes at once, so that a batch is ready when the last one is computed


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
    """All files: see `EmbeddedBatch` for the rows."""

    paths: list[Path]
    vectors: np.ndarray
    ok: np.ndarray
    digests: list[str]
    errors: dict[Path, str]
    computed: int = 0
    """Pictures that were decoded, as against found in the cache."""


class LazyEncoder:
    """An encoder whose identity is known before it is loaded, and that is loaded only when something is computed."""

    def __init__(self, spec: EncoderSpec) -> None:
        self.spec = spec
        self._loaded: Encoder | None = None
        self._identity = known_identity(spec)

    @property
    def identity(self) -> str:
        """See `comictool.plugins.encoder.Encoder`."""
        return self._identity if self._identity is not None else self.loaded().identity

    def loaded(self) -> Encoder:
        """The encoder; raises what `comictool.plugins.load.load_encoder` raises."""
        if self._loaded is None:
            # Torch's threads wait for each other by spinning unless told otherwise before it is imported. Beside
            # threads that decode pictures this took three times the processor and wall time (ResNet-18, two cores).
            os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
            self._loaded = self.spec.load()
            if self._identity is not None and self._loaded.identity != self._identity:
                raise InputError(
                    f"plugin {self.spec.name_or_path} changed while it was being loaded",
                    cause=f"its identity is {self._loaded.identity}, a moment ago it was {self._identity}",
                )
        return self._loaded

    @cached_property
    def manifest(self) -> Manifest:
        """See `comictool.plugins.encoder.Encoder`; read without loading where a plugin has one."""
        known = known_manifest(self.spec)
        return known if known is not None else self.loaded().manifest


def reading_of(spec: EncoderSpec, *, flip: bool = False, legacy: bool = False) -> Reading:
    """How pictures are read for an encoder: fp32 counts only where something else is possible."""
    return Reading(flip, legacy, exact=spec.precision == "fp32" and needs_torch(spec))


def encoder_key(spec: EncoderSpec, *, flip: bool = False, legacy: bool = False) -> str:
    """Under what vectors of an encoder, read in this way, may be compared and kept together.

    Raises:
        UsageError, InputError, EnvironmentError_: as for loading, which happens when only loading tells.
    """
    return reading_of(spec, flip=flip, legacy=legacy).key(LazyEncoder(spec).identity)


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
    """Files on their way: what is known of each, and which still have to be computed."""

    start: int
    paths: list[Path]
    digests: list[str]
    vectors: list[np.ndarray | None]
    errors: dict[Path, str] = field(default_factory=dict)
    missing: list[int] = field(default_factory=list)
    copies: list[int] = field(default_factory=list)
    """Places whose content is the same as that of one before them in this chunk."""
    fresh: dict[str, np.ndarray] = field(default_factory=dict)
    stamps: dict[Path, tuple[str, str]] = field(default_factory=dict)


class EmbeddingStream:
    """One way of embedding, ready for files; counts in `computed` what was not cached.

    Torch is imported, and the encoder loaded, only when a vector is not in the cache.

    Args:
        spec: the encoder.
        cache: where vectors are looked up and kept.
        flip: mean with the mirror image's vector.
        legacy: EXIF orientation and transparency ignored.
        batch_size: pictures given to the encoder at once; None: as it prefers.
        jobs: threads that decode, or processes that embed for encoders without torch; None: one a core.

    Raises:
        UsageError, InputError, EnvironmentError_: the encoder cannot be loaded, or the cache not used.
    """

    def __init__(
        self,
        spec: EncoderSpec,
        *,
        cache: EmbeddingCache | None = None,
        flip: bool = False,
        legacy: bool = False,
        batch_size: int | None = None,
        jobs: int | None = None,
    ) -> None:
        self.computed = 0
        self._encoder = LazyEncoder(spec)
        self._spec = spec
        self._heavy = needs_torch(spec)
        self._cache = cache
        self._reading = reading_of(spec, flip=flip, legacy=legacy)
        self._batch_size = batch_size
        self._jobs = jobs or cores()
        self.key = self._reading.key(self._encoder.identity)

    def batches(self, paths: Sequence[Path], progress: Progress | None = None) -> Iterator[EmbeddedBatch]:
        """Vectors of picture files in bounded memory, batch by batch in the order of `paths`.

        Each batch is in the cache before it is yielded.

        Args:
            paths: picture files; those that cannot be read become errors, the others go on.
            progress: told of each picture.

        Raises:
            UsageError, InputError, EnvironmentError_: as above.
        """
        progress = progress or NullProgress()
        progress.start("embedding", len(paths))
        plans = (self._plan(start, list(paths[start : start + CHUNK])) for start in range(0, len(paths), CHUNK))
        for chunk in plans:
            if len(chunk.missing) >= FEW and self._jobs > 1:
                for finished in self._with_workers(chain([chunk], plans)):
                    progress.advance(len(finished.paths))
                    yield self._committed(finished)
                break
            self._compute_here(chunk, chunk.missing)
            progress.advance(len(chunk.paths))
            yield self._committed(chunk)
        progress.finish()

    def _plan(self, start: int, paths: list[Path]) -> _Chunk:
        """What the cache knows of these files."""
        remembered = self._cache.digests(paths) if self._cache is not None else {}
        chunk = _Chunk(start, paths, [remembered.get(path, "") for path in paths], [None] * len(paths))
        if self._cache is not None:
            for place, path in enumerate(paths):
                if not chunk.digests[place]:
                    self._hash(chunk, place, path)
            found = self._cache.vectors((digest for digest in chunk.digests if digest), self.key)
            chunk.vectors = [found.get(digest) for digest in chunk.digests]
        seen: set[str] = set()
        for place, digest in enumerate(chunk.digests):
            if chunk.vectors[place] is None and paths[place] not in chunk.errors:
                (chunk.copies if digest in seen else chunk.missing).append(place)
                seen.update([digest] if digest else [])
        return chunk

    def _hash(self, chunk: _Chunk, place: int, path: Path) -> None:
        """Read and hash a file: takes a twentieth of decoding, and finds pictures that were moved or copied."""
        stamp = stamp_of(path)  # before the content: a file that changes in between has another stamp the next time
        try:
            chunk.digests[place] = digest_of(read_bytes(path))
        except InputError as error:
            chunk.errors[path] = error.fact
            return
        if stamp is not None:
            chunk.stamps[path] = (stamp, chunk.digests[place])

    def _request(self, paths: Sequence[Path], *, embedding: bool = False) -> Request:
        if embedding:
            return Request(tuple(paths), self._reading, spec=self._spec)
        manifest = self._encoder.manifest
        if manifest.input is None or not self._heavy:
            return Request(tuple(paths), self._reading)
        # Code of a plugin may prepare pictures in its own way, from whatever it is given.
        return Request(tuple(paths), self._reading, manifest.input.size, None if manifest.runs_code else manifest.input)

    def _compute_here(self, chunk: _Chunk, places: Sequence[int]) -> None:
        """Read, decode and embed in this thread, one batch of pictures in memory at a time."""
        for first in range(0, len(places), self._batch() if places else 1):
            part = places[first : first + self._batch()]
            self._fill(chunk, part, read_pictures(self._request([chunk.paths[place] for place in part])))

    def _fill(self, chunk: _Chunk, places: Sequence[int], pictures: Sequence[Picture]) -> None:
        """Embed pixels and put the vectors in their places."""
        read = list(zip(places, pictures, strict=True))
        sound = [(place, picture, picture.content) for place, picture in read if picture.content is not None]
        for place, picture in read:
            if picture.content is None:
                self._put(chunk, place, picture)
        for first in range(0, len(sound), self._batch()):
            part = sound[first : first + self._batch()]
            vectors = embed(self._encoder.loaded(), [content for _, _, content in part], self._reading)
            for (place, picture, _), vector in zip(part, vectors, strict=True):
                self._put(chunk, place, Picture(picture.digest, picture.stamp, vector))

    def _put(self, chunk: _Chunk, place: int, picture: Picture) -> None:
        path = chunk.paths[place]
        chunk.digests[place] = picture.digest or chunk.digests[place]
        chunk.stamps.pop(path, None)
        if picture.content is None:
            chunk.errors[path] = picture.error
            return
        self.computed += 1
        chunk.vectors[place] = chunk.fresh[picture.digest] = picture.content
        if picture.stamp is not None:
            chunk.stamps[path] = (picture.stamp, picture.digest)

    def _with_workers(self, chunks: Iterator[_Chunk]) -> Iterator[_Chunk]:
        """Chunks in order, computed with threads or processes that stay for all of them.

        Each chunk ends with an empty request, so that one in which nothing is missing also comes back in its turn.
        """
        heavy = self._heavy
        together = READ_TOGETHER if heavy else 1
        sent: deque[tuple[_Chunk, list[int]]] = deque()

        def requests() -> Iterator[Request]:
            for chunk in chunks:
                for first in range(0, len(chunk.missing), together):
                    places = chunk.missing[first : first + together]
                    sent.append((chunk, places))
                    yield self._request([chunk.paths[place] for place in places], embedding=not heavy)
                sent.append((chunk, []))
                yield Request((), self._reading, spec=self._spec)

        work, kind = (read_pictures, "threads") if heavy else (embed_requested, "processes")
        waiting: list[tuple[int, Picture]] = []
        for result, failure in in_order(work, requests(), kind=kind, jobs=self._jobs, ahead=self._ahead()):  # type: ignore[arg-type]
            chunk, places = sent.popleft()
            if isinstance(failure, WorkerDied):
                result = [Picture(error=failure.fact) for _ in places]
            elif failure is not None:
                raise failure
            if not heavy:
                for place, picture in zip(places, result, strict=True):
                    self._put(chunk, place, picture)
            else:
                waiting.extend(zip(places, result, strict=True))
                if waiting and (not places or len(waiting) >= self._batch()):
                    self._fill(chunk, *zip(*waiting, strict=True))
                    waiting.clear()
            if not places:
                yield chunk

    def _ahead(self) -> int:
        """Requests that threads may be ahead of the model: as many as are small, since the model sees pictures."""
        manifest = self._encoder.manifest if self._heavy else None
        if manifest is None or manifest.input is None or manifest.runs_code:
            return 0
        height, width = manifest.input.size
        return min(READ_AHEAD, READ_AHEAD_BYTES // (3 * height * width)) // READ_TOGETHER

    def _batch(self) -> int:
        return max(1, self._batch_size or self._encoder.loaded().preferred_batch)

    def _committed(self, chunk: _Chunk) -> EmbeddedBatch:
        """Keep what is new, then hand the chunk over."""
        for place in chunk.copies:
            twin = chunk.fresh.get(chunk.digests[place])
            if twin is None:  # the file it is a copy of changed in between, or cannot be decoded: look at it alone
                self._compute_here(chunk, [place])
            else:
                chunk.vectors[place] = twin
        if self._cache is not None:
            self._cache.keep(self.key, chunk.fresh, chunk.stamps)
        dimension = next((v.size for v in chunk.vectors if v is not None), None) or self._dimension()
        rows = np.zeros((len(chunk.paths), dimension), np.float32)
        for place, vector in enumerate(chunk.vectors):
            if vector is not None:
                rows[place] = vector
        return EmbeddedBatch(chunk.start, chunk.paths, rows, chunk.digests, chunk.errors)

    def _dimension(self) -> int:
        try:
            return self._encoder.loaded().dimension
        except ComicError as error:
            raise InputError("no picture could be read, and the encoder not loaded", cause=error.fact) from error
