"""Which pairs of pages are worth comparing, found without comparing all with all.

Every region of every page has a key, the signs of its lowest frequencies. Pages that share a key of a region are
candidates. A page is also looked up with its least certain signs turned over (multi-probe hashing, Lv et al., VLDB
2007) and as it would look with its borders cut, so that lettering, other scans and crops are found too.

Keys grow by one bit for each doubling of the pages, so a page meets about as many others by chance in a large corpus
as in a small one; lists of equal keys are read up to `CROWD` entries; and a page keeps its `MOST_CANDIDATES` best. The
work is therefore proportional to the pages times the logarithm that sorting costs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from comictool.duplicates.hashes import BITS, REGIONS, coarse, packed_signs, region_distances, region_frequencies
from comictool.duplicates.similarity import CUTS, move

SPARE_BITS = 7  # beyond log2 of the pages: signs are not independent, and 24 bits suit 100,000 pages
LEAST_BITS = 16
UNCERTAIN = 3  # signs turned over in all 8 combinations
CROWD = 24
MOST_CANDIDATES = 24  # for each page; 8 copies in 3 languages fit
ROWS_AT_ONCE = 4096  # 4,096 pictures, moved and with the pairs found for one view, take 100 MB

# The four most alike regions of nine may differ in this many of 128 bits altogether. Measured on the odd Pepper&Carrot
# episodes: lettering 17 in 99 % of pairs and 22 at most, scans and copies cut by 5 % a side 17 at most, both together
# more; different pages 33 and more in 97 % of pairs.
BEST_REGIONS = 4
MOST_BITS_APART = 36


@dataclass
class Candidates:
    """Pairs of rows, each pair once: row `cut` may show what row `whole` shows in the one of `CUTS` that `view` names.

    `crowded` counts look-ups that met more rows than were read.
    """

    whole: np.ndarray
    cut: np.ndarray
    view: np.ndarray
    crowded: int = 0

    def __len__(self) -> int:
        return len(self.whole)


def find_candidates(pictures: np.ndarray) -> Candidates:
    """Pairs of small pictures that share a region, `pictures` being `(N, 64, 64)` uint8.

    Memory: about 300 bytes a picture beside the pictures themselves, which are read piece by piece, and the pairs kept.
    """
    count = len(pictures)
    if count < 2:
        none = np.zeros(0, np.int64)
        return Candidates(none, none, none)
    length = key_bits(count)
    hashes, drawn = _hashes(pictures)
    tables = [_Table(hashes[:, region], drawn[:, region], length) for region in range(len(REGIONS))]
    pieces: list[np.ndarray] = []
    crowded = 0
    for start in range(0, count, ROWS_AT_ONCE):
        rows = np.arange(start, min(start + ROWS_AT_ONCE, count))
        small = coarse(pictures[rows[0] : rows[-1] + 1])
        best = _Best(count)
        for number, view in enumerate(CUTS):
            looked_up, own_drawn, uncertain = _view_hashes(small, view, number, length)
            found = _Found()
            for region, table in enumerate(tables):
                masks = _turned(uncertain[:, region])
                for turned in range(masks.shape[1]):
                    keys = looked_up[:, region] ^ masks[:, turned]
                    place, others, more = table.look_up(keys, own_drawn[:, region], rows)
                    crowded += more
                    found.add(place, others)
            place, others = found.unique(count)
            place, others = place[rows[place] != others], others[rows[place] != others]
            apart = bits_apart(looked_up[place], own_drawn[place], hashes[others], drawn[others])
            near = apart <= MOST_BITS_APART
            best.add(rows[place[near]], others[near], apart[near], number)
        pieces.append(best.nearest())
    whole, cut, apart, seen = np.concatenate(pieces, axis=1)
    pair = np.minimum(whole, cut) * count + np.maximum(whole, cut)
    order = np.lexsort((seen, apart, pair))
    order = order[_first_of_each(pair[order])]
    return Candidates(whole[order], cut[order], seen[order], crowded)


def key_bits(count: int) -> int:
    """How many signs make a key among so many rows."""
    return int(np.clip(np.ceil(np.log2(max(count, 2))) + SPARE_BITS, LEAST_BITS, BITS - UNCERTAIN))


def bits_apart(one: np.ndarray, one_drawn: np.ndarray, other: np.ndarray, other_drawn: np.ndarray) -> np.ndarray:
    """Differing bits of the four most alike regions of pairs, flat regions counting as all different: `(P,)`."""
    distances = region_distances(one, other)
    distances[~(one_drawn & other_drawn)] = BITS
    distances.partition(BEST_REGIONS - 1, axis=1)
    return distances[:, :BEST_REGIONS].sum(axis=1, dtype=np.int64)


def _hashes(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    hashes = np.empty((len(pictures), len(REGIONS)), np.uint32)
    drawn = np.empty(hashes.shape, bool)
    for start in range(0, len(pictures), ROWS_AT_ONCE):
        piece = slice(start, start + ROWS_AT_ONCE)
        frequencies, drawn[piece] = region_frequencies(coarse(pictures[piece]))
        hashes[piece] = packed_signs(frequencies)
    return hashes, drawn


def _view_hashes(
    pictures: np.ndarray, view: np.ndarray, number: int, length: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hashes of a view of pages, which regions are drawn on, and the bits of the key's least certain signs."""
    if number:
        pictures = move(pictures, np.tile(view, (len(pictures), 1)))[0]
    frequencies, drawn = region_frequencies(pictures)
    weakest = np.argpartition(np.abs(frequencies[:, :, :length]), UNCERTAIN, axis=2)[:, :, :UNCERTAIN]
    return packed_signs(frequencies), drawn, np.uint32(1) << (BITS - 1 - weakest).astype(np.uint32)


def _turned(uncertain: np.ndarray) -> np.ndarray:
    """All combinations of turning signs over: `(N, 3)` single bits to `(N, 8)` masks."""
    masks = np.zeros((len(uncertain), 1), np.uint32)
    for bit in uncertain.T:
        masks = np.concatenate([masks, masks | bit[:, None]], axis=1)
    return masks


class _Table:
    """The rows of one region, sorted by key."""

    def __init__(self, hashes: np.ndarray, drawn: np.ndarray, length: int) -> None:
        self._shift = np.uint32(BITS - length)
        rows = np.flatnonzero(drawn)
        keys = hashes[rows] >> self._shift
        order = np.argsort(keys, kind="stable")
        self._keys, self._rows = keys[order], rows[order]

    def look_up(self, hashes: np.ndarray, drawn: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
        """Rows with the same keys, as pairs of (place among `rows`, row), and how many look-ups were cut short.

        A crowded list is read from the row's own place on, so that neighbours in it always meet.
        """
        asked = np.flatnonzero(drawn)
        keys = hashes[asked] >> self._shift
        start = np.searchsorted(self._keys, keys, side="left")
        stop = np.searchsorted(self._keys, keys, side="right")
        hit = stop > start
        asked, start, stop = asked[hit], start[hit], stop[hit]
        crowded = stop - start > CROWD
        for n in np.flatnonzero(crowded):
            own = start[n] + np.searchsorted(self._rows[start[n] : stop[n]], rows[asked[n]])
            start[n] = min(own, stop[n] - CROWD)
        lengths = np.minimum(stop - start, CROWD)
        place = np.repeat(asked, lengths)
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return place, self._rows[np.repeat(start, lengths) + within], int(crowded.sum())


class _Found:
    """Pairs found so far for one piece of the rows."""

    def __init__(self) -> None:
        self._parts: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, place: np.ndarray, others: np.ndarray) -> None:
        """Note pairs."""
        self._parts.append((place, others))

    def unique(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Each pair once, sorted."""
        codes = np.unique(np.concatenate([place * count + others for place, others in self._parts]))
        return codes // count, codes % count


class _Best:
    """The nearest candidates of the rows of one piece."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._parts: list[np.ndarray] = []

    def add(self, rows: np.ndarray, others: np.ndarray, apart: np.ndarray, view: int) -> None:
        """Note pairs with their distances in a view of the rows."""
        self._parts.append(np.stack([rows, others, apart, np.full(len(rows), view)]))

    def nearest(self) -> np.ndarray:
        """The few nearest others of each row: `(4, P)` rows, others, distances and views."""
        found = np.concatenate(self._parts, axis=1)
        pair = found[0] * self._count + found[1]
        order = np.lexsort((found[3], found[2], pair))  # of several views the nearest counts
        found = found[:, order[_first_of_each(pair[order])]]
        found = found[:, np.lexsort((found[1], found[2], found[0]))]
        rank = np.arange(found.shape[1]) - np.searchsorted(found[0], found[0], side="left")
        return found[:, rank < MOST_CANDIDATES]


def _first_of_each(ordered: np.ndarray) -> np.ndarray:
    """Where each value of a sorted array occurs first, as a mask."""
    first = np.ones(len(ordered), bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return first
