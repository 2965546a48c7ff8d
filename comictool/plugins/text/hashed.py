"""Texts to vectors without weights, in any language: hashed words and pieces of words.

Each text is its words and the runs of three to five characters in them, or in scripts without spaces its runs of one to
three; each of these adds to two of D numbers that its hash names, with a sign that it names too (feature hashing:
Weinberger and others, ICML 2009). So spelling counts and meaning does not; a letter that OCR took for another costs
only the pieces that hold it.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import ClassVar

import numpy as np

from comictool.core.errors import InputError, UsageError
from comictool.plugins.encoder import encoder_id_of, unit_rows
from comictool.plugins.load import EncoderSpec
from comictool.plugins.manifest import MAX_DIMENSION, Manifest

DIMENSION = 384
PIECES = (3, 4, 5)  # characters
SPACELESS = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\uffdc\U00020000-\U0003ffff]")  # Thai to Han
SPACELESS_PIECES = (1, 2, 3)  # where a run of letters is a clause, not a word
WORD_WEIGHT = 2.0  # a whole word beside its pieces
PLACES = 2  # numbers that one piece adds to: two collide in both hardly ever
MOST_CHARACTERS = 100_000  # of one text; a page of prose has 5,000
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


class HashedTextEncoder:
    """The encoder; see `comictool.plugins.protocols.TextEncoder`.

    Args:
        manifest: of its plugin; `dimension` among the architecture's arguments, 384 by default.

    Raises:
        InputError: an impossible dimension.
    """

    needs_torch: ClassVar[bool] = False
    device_note = "cpu (numpy)"

    def __init__(self, manifest: Manifest) -> None:
        arguments = dict(manifest.arguments)
        dimension = arguments.pop("dimension", DIMENSION)
        if arguments or type(dimension) is not int or not 2 <= dimension <= MAX_DIMENSION:
            raise InputError(f"plugin {manifest.id}: hashed takes a dimension from 2 to {MAX_DIMENSION}, nothing else")
        self.manifest, self.dimension = manifest, dimension
        self.encoder_id = encoder_id_of(manifest)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """N texts to (N, D) float32, rows of length 1; a text without a letter or digit is the first basis vector."""
        rows = np.zeros((len(texts), self.dimension), np.float64)
        for row, text in zip(rows, texts, strict=True):
            for piece, weight in weighted_pieces(text).items():
                for place, sign in _places(piece, self.dimension):
                    row[place] += sign * weight
        return unit_rows(rows, self.manifest.id)


def weighted_pieces(text: str) -> dict[str, float]:
    """What a text is made of, and how much of each: the root of how often it occurs, and long words more than short
    ones, which every text has.
    """
    found: Counter[str] = Counter()
    plain = unicodedata.normalize("NFKC", text[:MOST_CHARACTERS]).casefold()
    for match in _WORD.finditer(plain):
        word = match[0]
        if SPACELESS.search(word):
            found.update(word[start : start + n] for n in SPACELESS_PIECES for start in range(len(word) - n + 1))
            continue
        rarity = np.log1p(min(len(word), 12))
        found[f"={word}"] += WORD_WEIGHT * rarity
        pieces = list(_pieces(word))
        for piece in pieces:
            found[piece] += rarity / np.sqrt(len(pieces))
    return {piece: float(np.sqrt(weight)) for piece, weight in found.items()}


def _pieces(word: str) -> Iterator[str]:
    """Runs of characters; the borders of a word are characters."""
    bordered = f"<{word}>"
    for length in PIECES:
        for start in range(len(bordered) - length + 1):
            yield bordered[start : start + length]


@lru_cache(maxsize=1 << 17)
def _places(piece: str, dimension: int) -> tuple[tuple[int, float], ...]:
    digest = blake2b(piece.encode("utf-8", "surrogatepass"), digest_size=8 * PLACES).digest()
    numbers = np.frombuffer(digest, "<u8")
    return tuple(
        (int(number >> np.uint64(1)) % dimension, 1.0 if number & np.uint64(1) else -1.0) for number in numbers
    )


def load_directory(spec: EncoderSpec, folder: Path, manifest: Manifest) -> HashedTextEncoder:
    """What the table of kinds names for the architecture `hashed`.

    Raises:
        UsageError: weights, which it has none of.
    """
    if spec.weights is not None or spec.random_weights:
        raise UsageError(f"plugin {folder.name} has no weights", hint="leave the weights out")
    return HashedTextEncoder(manifest)
