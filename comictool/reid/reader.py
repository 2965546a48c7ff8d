"""How pictures become vectors in re-identification: by which encoder, read in which way, kept in which cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from comictool.core.errors import InputError, UsageError
from comictool.core.progress import Progress
from comictool.plugins.discovery import is_plugin
from comictool.plugins.known import parts_of
from comictool.plugins.load import EncoderSpec
from comictool.reid.scoring import similarity
from comictool.vectors.cache import EmbeddingCache, default_cache
from comictool.vectors.stream import Embedded, EmbeddingStream, StreamOptions, embed_files

if TYPE_CHECKING:
    from comictool.reid.gallery import Gallery

DEFAULT_PLUGIN = "comic_small"
WITHOUT_TORCH = "classic_character"  # needs neither torch nor weights
LEGACY_PLUGIN = "res18_single"
LEGACY_MODULE = "main"  # what --plugin-name of the older program was when it was not given


@dataclass(frozen=True)
class PictureReader:
    """What the functions of this room embed pictures with. A gallery that has references decides over the first three.

    Attributes:
        encoder: which; with an empty name that of the gallery, else `DEFAULT_PLUGIN`. Trust, device and the like are
            taken from it in any case.
        flip: average each picture with its mirror image.
        legacy: read and score as character-reid did (https://github.com/kosuke1701/character-reid).
        cache: folder of the cache of vectors; None is the user's own.
        cached: False neither reads nor writes a cache.
        batch_size: pictures at once; None: as the encoder prefers.
        jobs: workers; None: one for each core.
        progress: where progress is reported; None: nowhere.
    """

    encoder: EncoderSpec = field(default_factory=lambda: EncoderSpec(""))
    flip: bool = False
    legacy: bool = False
    cache: Path | None = None
    cached: bool = True
    batch_size: int | None = None
    jobs: int | None = None
    progress: Progress | None = None

    def spec(self, gallery: Gallery | None = None) -> EncoderSpec:
        """The encoder that the user named, else that of the gallery, else the default.

        What is read as before is computed as before, in fp32, unless the user names another arithmetic.
        """
        given = self.encoder
        if given.precision == "auto" and self.is_legacy(gallery):
            given = replace(given, precision="fp32")
        if given.name_or_path not in ("", LEGACY_MODULE):
            return given
        # As in the program before: a --plugin-dir that is itself a plugin is the one to use.
        own = [folder for folder in given.plugin_dirs if is_plugin(folder)]
        if own:
            return replace(given, name_or_path=str(own[0].absolute()))
        if gallery is not None and gallery.encoder_id:
            return gallery.spec(given)
        default = DEFAULT_PLUGIN if find_spec("torch") is not None else WITHOUT_TORCH
        return replace(given, name_or_path=LEGACY_PLUGIN if self.legacy else default)

    def is_legacy(self, gallery: Gallery | None = None) -> bool:
        """Whether pictures are read and scored as the older program did."""
        return self.reading(gallery)["legacy"]

    def reading(self, gallery: Gallery | None = None) -> dict[str, bool]:
        """`flip` and `legacy`; a gallery with references decides them.

        Raises:
            UsageError: the user asks for what the references of the gallery were not read with.
        """
        if gallery is None or not gallery.encoder_id:
            return {"flip": self.flip, "legacy": self.legacy}
        for option, asked, has in (("--flip", self.flip, gallery.flip), ("--legacy", self.legacy, gallery.legacy)):
            if asked and not has:
                raise UsageError(
                    f"{gallery.folder} was enrolled without {option}",
                    hint=f"enroll the references with {option} into another gallery",
                )
        return {"flip": gallery.flip, "legacy": gallery.legacy}

    def parts(self, gallery: Gallery | None = None) -> tuple[int, ...]:
        """How many numbers each part of a joined encoder's vectors has; empty for others."""
        return parts_of(self.spec(gallery))

    @contextmanager
    def options(self, gallery: Gallery | None = None) -> Iterator[StreamOptions]:
        """What `EmbeddingStream` takes beside the encoder; the cache is open within the block."""
        reading = self.reading(gallery)
        work = StreamOptions(
            cache=None, flip=reading["flip"], legacy=reading["legacy"], batch_size=self.batch_size, jobs=self.jobs
        )
        if not self.cached:
            yield work
            return
        with EmbeddingCache(self.cache / "reid.sqlite" if self.cache else default_cache()) as cache:
            work["cache"] = cache
            yield work

    @contextmanager
    def stream(self, gallery: Gallery | None = None) -> Iterator[EmbeddingStream]:
        """A stream of vectors, for more pictures than memory holds."""
        with self.options(gallery) as options:
            yield EmbeddingStream(self.spec(gallery), **options)

    def embed(self, paths: Sequence[Path], gallery: Gallery | None = None) -> Embedded:
        """The vectors of picture files, (N, D); files that cannot be read are in `errors`.

        Raises:
            UsageError, InputError, SetupError: as for loading the encoder.
        """
        with self.options(gallery) as options:
            return embed_files(paths, self.spec(gallery), progress=self.progress, **options)


def compare_pictures(paths: Sequence[Path], reader: PictureReader | None = None) -> np.ndarray:
    """(N, N) score of every picture with every other: cosine -1..1, or with `legacy` minus the distance, -2..0.

    Raises:
        UsageError: fewer than two pictures.
        InputError: one that is missing or cannot be read.
    """
    reader = reader or PictureReader()
    if len(paths) < 2:
        raise UsageError("similarity needs two pictures at least", hint="comictool reid similarity A B")
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path} " + ("is a folder, not a picture" if path.is_dir() else "does not exist"))
    embedded = reader.embed(paths)
    for path, reason in embedded.errors.items():
        raise InputError(f"{path}: {reason}")
    scores = similarity(embedded.vectors, embedded.vectors, "legacy" if reader.legacy else "cosine")
    digests = np.array(embedded.digests)
    scores[digests[:, None] == digests[None, :]] = 0.0 if reader.legacy else 1.0  # lengths in float32 are not exactly 1
    return scores
