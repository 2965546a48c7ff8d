"""Pictures as pages show them: made small when they are first asked for; and pictures that were given to look for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import blake2b

from comictool.core.errors import InputError
from comictool.core.images import open_picture
from comictool.report.thumbnails import thumbnail
from comictool.serve.shelf import Shelf, Shown
from comictool.vectors.reading import read_bytes

# Longest side in pixels: a tile of results, a page beside its text, a page or panel that fills a screen.
SIZES = {"small": 400, "medium": 1000, "large": 2000}
MOST_MADE = 96 << 20  # bytes of small pictures that are kept
MOST_GIVEN, MOST_GIVEN_BYTES = 64, 256 << 20  # pictures to look for that are kept
UPLOAD_BYTES = 24 << 20  # a photograph has 3 to 15 MB
UPLOAD_PIXELS = 60_000_000
DIGEST_BYTES = 16


@dataclass(frozen=True)
class Made:
    """A JPEG ready to be sent; `tag` names its content."""

    data: bytes
    tag: str


@dataclass(frozen=True)
class Given:
    """A picture that somebody looks for, as it was given."""

    name: str
    data: bytes

    def read_bytes(self) -> bytes:
        """The encoded picture."""
        return self.data


class Pictures:
    """Makes pictures small, and keeps the last ones in bounded memory. Any number of threads may ask."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._lock = threading.Lock()
        self._made: OrderedDict[str, bytes] = OrderedDict()
        self._given: OrderedDict[str, Given] = OrderedDict()

    def tag(self, id: str, size: str) -> tuple[str, Shown]:
        """What names the content of a picture at a size, without reading it; and where it is.

        Raises:
            InputError: see `Shelf.shown`.
        """
        shown = self._shelf.shown(id)
        told = f"{size} {id} {shown.state} {shown.box}"
        return blake2b(told.encode("utf-8", "backslashreplace"), digest_size=DIGEST_BYTES).hexdigest(), shown

    def made(self, tag: str, shown: Shown, size: str) -> Made:
        """The picture itself.

        Raises:
            InputError: it cannot be decoded.
        """
        return self._kept(tag) or self._keep(tag, thumbnail(read_bytes(shown.picture), shown.box, SIZES[size]).data)

    def give(self, name: str, data: bytes) -> str:
        """Keep a picture to look for; returns the key that `given` takes.

        Raises:
            InputError: it is too large, or none; nothing of it is decoded yet.
        """
        if len(data) > UPLOAD_BYTES:
            raise InputError(f"the picture has {len(data):,} bytes, more than the {UPLOAD_BYTES:,} allowed")
        picture = open_picture(data)
        if picture.width * picture.height > UPLOAD_PIXELS:
            raise InputError(f"{picture.width}x{picture.height} pixels, more than the {UPLOAD_PIXELS:,} allowed")
        key = blake2b(data, digest_size=DIGEST_BYTES).hexdigest()
        with self._lock:
            self._given[key] = Given(name, data)
            self._given.move_to_end(key)
            while len(self._given) > MOST_GIVEN or sum(len(p.data) for p in self._given.values()) > MOST_GIVEN_BYTES:
                self._given.popitem(last=False)
        return key

    def given(self, key: str) -> Given:
        """A picture by its key.

        Raises:
            InputError: it is not kept any more.
        """
        with self._lock:
            if key not in self._given:
                raise InputError("this picture is not kept any more", hint="give it again")
            self._given.move_to_end(key)
            return self._given[key]

    def given_small(self, key: str) -> Made:
        """A picture that was given, made small and encoded anew: nothing is sent back as it came."""
        given = self.given(key)
        tag = f"given-{key}"
        return self._kept(tag) or self._keep(tag, thumbnail(given.data, None, SIZES["small"]).data)

    def _kept(self, tag: str) -> Made | None:
        with self._lock:
            if tag not in self._made:
                return None
            self._made.move_to_end(tag)
            return Made(self._made[tag], tag)

    def _keep(self, tag: str, data: bytes) -> Made:
        with self._lock:
            self._made[tag] = data
            while len(self._made) > 1 and sum(map(len, self._made.values())) > MOST_MADE:
                self._made.popitem(last=False)
        return Made(data, tag)
