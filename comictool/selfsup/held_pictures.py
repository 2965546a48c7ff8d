"""The decoded pictures that a recipe trains on: cut from files, pages or packs, held in memory as far as they fit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import closing
from copy import copy
from dataclasses import replace
from itertools import groupby
from typing import Protocol

import numpy as np
import torch
from PIL import Image

from comictool.core.errors import InputError
from comictool.core.workers import cores, in_order
from comictool.vectors.pictures import Part, Picture
from comictool.vectors.reading import Decoding, read_picture, size_of

MEBIBYTE = 1 << 20


class PartSource(Protocol):
    """Where numbered parts of pictures are."""

    def pictures_of(self, numbers: Iterable[int]) -> list[Picture]:
        """The pictures of some parts, with these parts alone, in their order."""
        ...


def together(places: Iterable[tuple[Picture, Part]]) -> list[Picture]:
    """Pictures with their parts, of which neighbours on one page are one picture: it is decoded once for all."""
    groups = ([*group] for _, group in groupby(places, key=lambda place: id(place[0])))
    return [replace(group[0][0], parts=tuple(part for _, part in group)) for group in groups]


class Pictures:
    """The decoded pictures of characters, no larger than crops can use; held in memory as far as they fit.

    Held pictures lie in one block of shared memory, so that loader processes read them without a copy. They are decoded
    once, a page with all its characters at a time, by a thread on each core. What does not fit is decoded each time,
    which for a character on a page means the whole page.

    Args:
        source: where the pictures of characters are.
        numbers: which of them; positions below count within these.
        source_side: pictures with more than this number of pixels squared are shrunk to it. 0: as they are.
        cache: MiB that decoded pictures may take in memory; 0 decodes each time.

    Attributes:
        lost: why a picture cannot be read, by position; only of those that were decoded beforehand.
    """

    def __init__(self, source: PartSource, numbers: Sequence[int], *, source_side: int = 0, cache: int = 0) -> None:
        self._source = source
        self._numbers = list(numbers)
        self._decoding = Decoding(at_least=source_side or None)
        self._side = source_side
        self._block: torch.Tensor | None = None
        self._places: dict[int, tuple[int, int, int]] = {}
        self.lost: dict[int, str] = {}
        if cache > 0:
            self._hold(cache * MEBIBYTE)

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def held(self) -> int:
        """How many of them are in memory."""
        return len(self._places)

    def only(self, positions: Sequence[int]) -> Pictures:
        """Some of them, in this order."""
        found = copy(self)
        found._numbers = [self._numbers[position] for position in positions]
        kept = {new: self._places.get(old) for new, old in enumerate(positions)}
        found._places = {new: place for new, place in kept.items() if place is not None}
        found.lost = {new: self.lost[old] for new, old in enumerate(positions) if old in self.lost}
        return found

    def __getitem__(self, position: int) -> np.ndarray:
        """One picture, (height, width, 3) uint8.

        Raises:
            InputError: it is missing or damaged.
        """
        if self._block is not None and position in self._places:
            start, height, width = self._places[position]
            part = self._block[start : start + height * width * 3]
            held: np.ndarray = part.numpy().reshape(height, width, 3)
            return held
        (picture,) = self._source.pictures_of([self._numbers[position]])
        (found,) = self._decode(picture)
        if isinstance(found, str):
            raise InputError(f"{picture.name}: {found}")
        return found

    def _decode(self, picture: Picture) -> list[np.ndarray | str]:
        """The parts of a picture, or why there is none."""
        every = range(len(picture.parts))
        read = read_picture(picture, every, self._decoding, hashed=False)
        found = dict(zip(read.places, read.pixels, strict=True))
        # Copies: a part would hold its page in memory.
        return [np.array(shrunk(found[n], self._side)) if n in found else read.lost.get(n, read.error) for n in every]

    def _hold(self, limit: int) -> None:
        pictures, size, position, full = [], 0, 0, False
        work = in_order(self._decode, self._source.pictures_of(self._numbers), kind="threads", jobs=cores())
        with closing(work):
            for parts, failure in work:
                if failure is not None:
                    raise failure
                for part in parts:
                    if isinstance(part, str):
                        self.lost[position] = part
                    elif size + part.size <= limit:
                        self._places[position] = (size, part.shape[0], part.shape[1])
                        pictures.append(part)
                        size += part.size
                    else:
                        full = True
                    position += 1
                if full:
                    break
        self._block = torch.empty(size, dtype=torch.uint8).share_memory_()
        for picture, (start, *_) in zip(pictures, self._places.values(), strict=True):
            self._block[start : start + picture.size] = torch.from_numpy(picture.reshape(-1))


def shrunk(pixels: np.ndarray, side: int) -> np.ndarray:
    """A picture (height, width, 3) with at most `side` squared pixels, aspect kept; itself if it has them or for 0."""
    height, width = pixels.shape[:2]
    if side <= 0 or width * height <= side * side:
        return pixels
    scale = side / math.sqrt(width * height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0))


def large_enough(source: PartSource, numbers: Sequence[int], least: int) -> tuple[list[int], list[str]]:
    """Which characters have at least `least` pixels on their shorter side, and a line for each of the others.

    Only headers are read, of each picture once. A picture that cannot be read at all is left out with its reason.
    """
    kept, problems, rest = [], [], iter(numbers)
    for picture in source.pictures_of(numbers):
        try:
            whole, reason = size_of(picture.source), ""
        except InputError as error:
            whole, reason = (0, 0), error.fact
        for part in picture.parts:
            number = next(rest)
            box = (0, 0, *whole) if part.box is None else part.box_on(whole)
            width, height = (box[2] - box[0], box[3] - box[1]) if box is not None else (0, 0)
            if reason or min(width, height) < least:
                small = f"{width}x{height} pixels, less than data.min_side {least}"
                problems.append(f"{picture.comic}/{part.id}: {reason or small}")
            else:
                kept.append(number)
    return kept, problems
