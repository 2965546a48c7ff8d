"""In which rows each word of a store is, and how often, as arrays: what BM25 needs, for all rows of a word at once.

SQLite's FTS5 finds phrases and beginnings, but for BM25 it goes through all rows of every word of a question, half a
microsecond each; in arrays that takes a fiftieth. Scores are FTS5's own (https://www.sqlite.org/fts5.html#the_bm25_function,
k1 1.2 and b .75), to the bit.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np

from comictool.core.errors import InputError

K1, B = 1.2, 0.75
LEAST_RARITY = 1e-6  # of a word that is in more than half of the texts
MOST_TIMES = 255  # in one text; more count as so many
MANY = 20_000  # rows, from which a table of all of them is faster than looking for each
A_TIME = 2000  # words that are written at once


class Posting(NamedTuple):
    """A word or phrase: (R,) uint32 rows in which it is, ascending, and (R,) uint8 how often."""

    rows: np.ndarray
    times: np.ndarray


NOWHERE = Posting(np.empty(0, np.uint32), np.empty(0, np.uint8))


def write_postings(connection: sqlite3.Connection, level: str, rows: int) -> None:
    """Fill the tables of a level out of its index, of which `temp.{level}_terms` counts the words."""
    run = connection.execute
    run(f"CREATE VIRTUAL TABLE temp.{level}_places USING fts5vocab(main, {level}_words, instance)")
    lengths = np.zeros(rows, np.uint32)
    places = run(f"SELECT doc FROM temp.{level}_places")  # word by word, row by row
    terms = run(f"SELECT number, cnt FROM (SELECT term, cnt FROM temp.{level}_terms) JOIN"
                " (SELECT rowid AS number, word FROM words) ON word = term ORDER BY term").fetchall()  # fmt: skip

    def blobs() -> Iterator[tuple[int, bytes, bytes]]:
        for number, count in terms:
            found, times = np.unique(
                np.fromiter((row for (row,) in islice(places, count)), np.uint32, count), return_counts=True
            )
            lengths[found] += times.astype(np.uint32)
            yield number, found.astype("<u4").tobytes(), np.minimum(times, MOST_TIMES).astype(np.uint8).tobytes()

    waiting = blobs()
    while some := list(islice(waiting, A_TIME)):
        connection.executemany(f"INSERT INTO {level}_postings VALUES (?,?,?)", some)
    run("UPDATE text_counts SET lengths = ? WHERE level = ?", (lengths.astype("<u4").tobytes(), level))


class Postings:
    """The words of a level of a store; any number of threads may ask.

    Args:
        read: the rows (uint32, little-endian) and times (uint8) of a word; None when it is nowhere.
        lengths: (rows,) uint32, little-endian: how many words each row has.
        texts: how many rows have text.
    """

    def __init__(self, read: Callable[[str], tuple[bytes, bytes] | None], lengths: bytes, texts: int) -> None:
        self._read = read
        self.texts = texts
        if len(lengths) % 4:
            raise InputError("the store is damaged: its lengths of texts are cut off")
        own = np.frombuffer(lengths, "<u4")
        self.rows = len(own)
        mean = float(own.sum(dtype=np.int64)) / max(texts, 1)
        self._norm = K1 * (1 - B + B * own / max(mean, 1e-9))  # what BM25 adds below the line

    def of(self, word: str) -> Posting:
        """Where a word is.

        Raises:
            InputError: the store is damaged.
        """
        found = self._read(word)
        if found is None:
            return NOWHERE
        if len(found[0]) != 4 * len(found[1]):
            raise InputError("the store is damaged: its rows of a word are cut off")
        rows = np.frombuffer(found[0], "<u4")
        if len(rows) and (int(rows[-1]) >= self.rows or not (rows[1:] > rows[:-1]).all()):
            raise InputError("the store is damaged: a word is in rows that are not there, or not in order")
        return Posting(rows, np.frombuffer(found[1], np.uint8))

    def gains(self, posting: Posting, which: np.ndarray | slice) -> np.ndarray:
        """What a word adds to BM25 in those of its rows: float64."""
        times = posting.times[which].astype(np.float64)
        n = len(posting.rows)
        rarity = float(np.log((self.texts - n + 0.5) / (n + 0.5))) if n < self.texts else 0.0
        gains: np.ndarray = max(rarity, LEAST_RARITY) * (
            (times * (K1 + 1.0)) / (times + self._norm[posting.rows[which]])
        )
        return gains


def common(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The places, in each of two ascending arrays, of what both have."""
    if len(one) > len(other):
        there, here = common(other, one)
        return here, there
    if not len(one):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    if len(one) > MANY:  # by a table of all rows, whose places lie closer together than those of a search
        numbers = np.zeros(int(max(one[-1], other[-1])) + 1, np.int32)
        numbers[other] = np.arange(1, len(other) + 1, dtype=np.int32)
        places = numbers[one]
        both = np.flatnonzero(places)
        return both, places[both] - 1
    places = np.minimum(np.searchsorted(other, one), len(other) - 1)
    both = np.flatnonzero(other[places] == one)
    return both, places[both]


def together(several: Sequence[np.ndarray]) -> np.ndarray:
    """What is in any of several ascending arrays, ascending."""
    some = [rows for rows in several if len(rows)]
    if len(some) < 2:
        return some[0] if some else np.empty(0, np.uint32)
    if sum(map(len, some)) > MANY:
        there = np.zeros(int(max(rows[-1] for rows in some)) + 1, bool)
        for rows in some:
            there[rows] = True
        return np.flatnonzero(there).astype(np.uint32)
    every = np.sort(np.concatenate(some))  # numpy.unique imports numpy.ma, 15 ms of a cold start
    return every[np.concatenate([[True], every[1:] != every[:-1]])]
