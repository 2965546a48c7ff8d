"""Training data of ELRIC: the crops of each character, and the context of its panel."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from comictool.core.errors import InputError
from comictool.core.images import decode, open_picture
from comictool.elric.context_rows import ContextRows
from comictool.elric.crops import CropOptions, multi_crop
from comictool.elric.sources import Character, CharacterSource
from comictool.training.recipe import Ticket

MEBIBYTE = 1 << 20


class Pictures:
    """The decoded pictures of a source, no larger than crops can use; held in memory where they fit.

    Held pictures lie in one block of shared memory, so that loader processes read them without a copy.

    Args:
        source: encoded pictures.
        numbers: which of them; positions below count within these.
        source_side: pictures with more than this number of pixels squared are shrunk to it. 0: as they are.
        cache: MiB that decoded pictures may take in memory; 0 decodes each time.
    """

    def __init__(
        self, source: CharacterSource, numbers: Sequence[int], *, source_side: int = 0, cache: int = 0
    ) -> None:
        self._source = source
        self._numbers = list(numbers)
        self._side = source_side
        self._block: torch.Tensor | None = None
        self._places: list[tuple[int, int, int]] = []
        if cache > 0:
            self._hold(cache * MEBIBYTE)

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def held(self) -> bool:
        """Whether all of them are in memory."""
        return self._block is not None

    def __getitem__(self, position: int) -> np.ndarray:
        """One picture, (height, width, 3) uint8."""
        if self._block is not None:
            start, height, width = self._places[position]
            part = self._block[start : start + height * width * 3]
            held: np.ndarray = part.numpy().reshape(height, width, 3)
            return held
        return self._decode(self._numbers[position])

    def _decode(self, number: int) -> np.ndarray:
        try:
            picture = decode(self._source.read(number), at_least=self._side or None)
        except InputError as error:
            character = self._source.characters[number]
            raise InputError(f"{character.panel_id}_{character.identity}: {error.fact}", cause=error.cause) from error
        return np.array(shrunk(picture, self._side))

    def _hold(self, limit: int) -> None:
        pictures, size = [], 0
        for number in self._numbers:
            picture = self._decode(number)
            size += picture.size
            if size > limit:
                return
            pictures.append(picture)
        block = torch.empty(size, dtype=torch.uint8).share_memory_()
        start = 0
        for picture in pictures:
            block[start : start + picture.size] = torch.from_numpy(picture.reshape(-1))
            self._places.append((start, picture.shape[0], picture.shape[1]))
            start += picture.size
        self._block = block


def shrunk(picture: Image.Image, side: int) -> Image.Image:
    """A picture with at most `side` squared pixels, aspect kept; itself when it is smaller or `side` is 0."""
    width, height = picture.size
    if side <= 0 or width * height <= side * side:
        return picture
    scale = side / math.sqrt(width * height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)


class ElricData:
    """Samples for the engine: see `comictool.training.recipe.TrainingData`.

    Args:
        pictures: one a sample.
        crops: how they are cut.
        context: rows of context by sample; None for plain DINO.
    """

    def __init__(self, pictures: Pictures, crops: CropOptions, context: ContextRows | None) -> None:
        self.pictures = pictures
        self.crops = crops
        self.context = context

    def __len__(self) -> int:
        return len(self.pictures)

    def load(self, tickets: Sequence[Ticket]) -> dict[str, torch.Tensor]:
        """One batch.

        Returns:
            `globals` (B, G, 3, S, S) and `locals` (B, L, 3, s, s) uint8 (absent without local crops); with context also
            `context` (B, C) float32, and `lots` (B,) in 0..1 for context dropout.
        """
        cut = [multi_crop(self.pictures[ticket.index], self.crops, ticket.seed) for ticket in tickets]
        batch = {"globals": torch.stack([large for large, _ in cut])}
        if self.crops.local_count:
            batch["locals"] = torch.stack([small for _, small in cut])
        if self.context is not None:
            batch["context"] = self.context.rows([ticket.index for ticket in tickets])
            lots = [np.random.default_rng([ticket.seed, 1]).random() for ticket in tickets]
            batch["lots"] = torch.tensor(lots, dtype=torch.float32)
        return batch


def large_enough(source: CharacterSource, numbers: Sequence[int], least: int) -> tuple[list[int], list[str]]:
    """Which pictures have at least `least` pixels on their shorter side, and a line for each of the others.

    Only headers are read. A picture that cannot be read at all is left out with its reason.
    """
    kept, problems = [], []
    for number in numbers:
        character = source.characters[number]
        name = f"{character.panel_id}_{character.identity}"
        try:
            width, height = open_picture(source.read(number)).size
        except InputError as error:
            problems.append(f"{name}: {error.fact}")
            continue
        if min(width, height) < least:
            problems.append(f"{name}: {width}x{height} pixels, less than data.min_side {least}")
            continue
        kept.append(number)
    return kept, problems


def frequent(characters: Sequence[Character], least: int) -> list[int]:
    """Numbers of the characters whose identity (within its comic) occurs at least so many times."""
    counts = Counter(character.label for character in characters)
    return [number for number, character in enumerate(characters) if counts[character.label] >= least]
