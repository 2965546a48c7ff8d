"""The words of a store by their length, and which of them are within a few edits of a word.

The restricted edit distance (Damerau 1964, https://doi.org/10.1145/363958.363994: insert, delete, replace, swap
neighbours), in which a letter that readers of lettering take for another counts half, of a word to all words at once.
An edit changes at most two letters of the set that a word has, with letters that are mistaken for each other as one: so
most words are left out by sets of bits, and none that is near.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from comictool.core.errors import InputError

# What readers of lettering take for each other, after folding; half an edit.
CONFUSED = frozenset(
    frozenset(pair) for pair in ("0o", "1l", "1i", "il", "lt", "5s", "8b", "6g", "uv", "ce", "co", "do", "qo")
)
SETS = ("0ocedq", "1lit", "5s", "8b", "6g", "uv")  # of letters that `CONFUSED` links, also through others
_SAME = {letter: letters[0] for letters in SETS for letter in letters}
_ASCII = np.array([np.uint64(ord(_SAME.get(chr(code), chr(code))) % 64) for code in range(128)], np.uint64)


class Vocabulary:
    """Words of a store; any number of threads may ask.

    Args:
        read: the words of a length, one after the other in UTF-32 (little-endian).
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._held: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def near(self, word: str, most: int) -> list[tuple[str, float]]:
        """Other words that are at most so many edits away, each with its edits; in no particular order."""
        (own,) = _letters(word.encode("utf-32-le"), len(word))
        (sign,) = _signs(own[None])
        found = []
        for length in range(max(1, len(word) - most), len(word) + most + 1):
            letters, signs = self._of_length(length)
            letters = letters[np.bitwise_count(signs ^ sign) <= 2 * most]
            edits = distances(own, letters, most)
            near = np.flatnonzero(edits <= most)
            found += [(_text(letters[number]), float(edits[number])) for number in near]
        return [one for one in found if one[0] != word]

    def _of_length(self, length: int) -> tuple[np.ndarray, np.ndarray]:
        if length not in self._held:
            letters = _letters(self._read(length), length)
            self._held[length] = letters, _signs(letters)
        return self._held[length]


def distances(word: np.ndarray, others: np.ndarray, most: int) -> np.ndarray:
    """Edits between a word and others.

    Args:
        word: (L,) code points.
        others: (N, M) code points.

    Returns:
        (N,) float32; above `most` any number above it.
    """
    rows, columns = len(word), others.shape[1]
    far = np.full(len(others), most + 1, np.float32)
    before: dict[int, np.ndarray] = {}
    last = {column: np.full(len(others), column, np.float32) for column in range(min(columns, most) + 1)}
    letters = np.ascontiguousarray(others.T)
    for row in range(1, rows + 1):
        half = _mistaken(chr(word[row - 1]))
        now = {0: np.full(len(others), row, np.float32)} if row <= most else {}
        # A cell further off the diagonal than `most` is further away than `most`.
        for column in range(max(1, row - most), min(columns, row + most) + 1):
            letter = letters[column - 1]
            step = (letter != word[row - 1]).astype(np.float32)
            for code in half:
                step[letter == code] = 0.5
            cost = last.get(column - 1, far) + step
            np.minimum(cost, last.get(column, far) + np.float32(1), out=cost)
            np.minimum(cost, now.get(column - 1, far) + np.float32(1), out=cost)
            if row > 1 and column > 1:
                swapped = (letter == word[row - 2]) & (letters[column - 2] == word[row - 1])
                if swapped.any():
                    swap = before.get(column - 2, far) + np.float32(1)
                    np.minimum(cost, swap, out=cost, where=swapped)
            now[column] = cost
        before, last = last, now
    return last.get(columns, far)


def _mistaken(letter: str) -> list[int]:
    return [ord(other) for pair in CONFUSED if letter in pair for other in pair - {letter}]


def _letters(words: bytes, length: int) -> np.ndarray:
    if len(words) % (4 * length):
        raise InputError("the store is damaged: its list of words is cut off")
    return np.frombuffer(words, "<u4").reshape(-1, length)


def _signs(letters: np.ndarray) -> np.ndarray:
    """(N,) uint64: which letters a word has; several may share a bit."""
    places = _ASCII[np.minimum(letters, 127)]
    other = letters > 127
    if other.any():
        places[other] = letters[other] % 64
    signs: np.ndarray = np.bitwise_or.reduce(np.uint64(1) << places, axis=1)
    return signs


def _text(letters: np.ndarray) -> str:
    try:
        return letters.tobytes().decode("utf-32-le")
    except UnicodeDecodeError as error:
        raise InputError("the store is damaged: its list of words has no letters in it") from error
