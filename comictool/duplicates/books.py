"""Comics that share runs of pages: the same book twice, an issue inside a collected edition, a reprinted story."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np

from comictool.duplicates.fingerprint_table import FingerprintTable
from comictool.duplicates.results import BookOverlap, PageRun

LEAST_RUN = 3  # pages; one or two are an advertisement or a cover
LARGEST_GAP = 4  # pages in a run that the other comic does not have: advertisements, recoloured pages
NEARLY_ALL = 0.8  # of a comic's pages: covers, editorials and advertisements are often left out of an edition
MOST_ROUNDS = 32  # runs that an edition can have put in another order
# A page that is in more comics than this is an advertisement or a house page: it says nothing about two of them, and
# pairs of comics grow with its square.
MOST_COMICS = 40

# Places of equal pages in two comics, counted in half pages: page n of a comic begins at 2 n, and the second page that
# a double page shows is at 2 n + 1.
Match = tuple[int, int]


def find_books(
    prints: FingerprintTable, same: Iterable[Sequence[int]], spreads: Iterable[tuple[int, int]] = ()
) -> list[BookOverlap]:
    """Comics that share at least one run, the largest overlaps first.

    Args:
        same: sets of pages (places in the table) that show the same; a page may be in several.
        spreads: double pages, each with a page that is one half of it.
    """
    place, sizes = _places(prints)
    matches: dict[tuple[int, int], set[Match]] = defaultdict(set)
    for pages in same:
        by_comic: dict[int, list[int]] = defaultdict(list)
        for page in pages:
            if place[page] >= 0:
                by_comic[int(prints.comic_of[page])].append(int(place[page]))
        if len(by_comic) <= MOST_COMICS:
            for one, other in combinations(sorted(by_comic), 2):
                matches[one, other].update((a, b) for a in by_comic[one] for b in by_comic[other])
    for (wide, comic), singles in _halves(prints, place, spreads).items():
        # in reading order, so that it does not matter which half is read first
        for half, single in enumerate(sorted(singles)[:2]):
            one, other = int(prints.comic_of[wide]), comic
            match = (int(place[wide]) + half, single)
            matches[min(one, other), max(one, other)].add(match if one < other else match[::-1])
    found = []
    for (one, other), shared in matches.items():
        least = min(LEAST_RUN, max(2, min(sizes[one], sizes[other])))
        runs = find_runs(shared, least) if len(shared) >= least else []
        if runs:
            found.append(_overlap(prints, (one, other), sizes, runs))
    return sorted(found, key=lambda book: (-book.pages, book.a, book.b))


def find_runs(matches: Iterable[Match], least: int = LEAST_RUN) -> list[list[Match]]:
    """Runs of matches that go forward in both comics with small gaps, each at least `least` long.

    Args:
        matches: places of equal pages in the two comics.
    """
    left = set(matches)
    runs: list[list[Match]] = []
    for _ in range(MOST_ROUNDS):
        good = [run for run in _cut_at_gaps(longest_chain(left)) if len(run) >= least]
        if not good:
            break
        runs += good
        ones = {a for run in good for a, _ in run}
        others = {b for run in good for _, b in run}
        left = {(a, b) for a, b in left if a not in ones and b not in others}
    return sorted(runs)


def longest_chain(matches: Iterable[Match]) -> list[Match]:
    """The longest list of matches that goes forward in both comics (longest increasing subsequence)."""
    ordered = sorted(set(matches), key=lambda match: (match[0], -match[1]))
    ends: list[int] = []  # ends[n]: the smallest place in the second comic at which a chain of n + 1 can end
    last: list[int] = []  # which match that is
    before: list[int] = []
    for number, (_, b) in enumerate(ordered):
        length = bisect_left(ends, b)
        before.append(last[length - 1] if length else -1)
        if length == len(ends):
            ends.append(b)
            last.append(number)
        else:
            ends[length], last[length] = b, number
    chain = []
    number = last[-1] if last else -1
    while number >= 0:
        chain.append(ordered[number])
        number = before[number]
    return chain[::-1]


def _cut_at_gaps(chain: Sequence[Match]) -> list[list[Match]]:
    runs: list[list[Match]] = []
    for a, b in chain:
        if runs and a - runs[-1][-1][0] <= 2 * (LARGEST_GAP + 1) and b - runs[-1][-1][1] <= 2 * (LARGEST_GAP + 1):
            runs[-1].append((a, b))
        else:
            runs.append([(a, b)])
    return runs


def _places(prints: FingerprintTable) -> tuple[np.ndarray, np.ndarray]:
    """Where each page begins among its comic's pages that are not near-empty (-1 for these), and how many there are."""
    place = np.full(len(prints), -1)
    sizes = np.zeros(len(prints.comics), np.int64)
    for page in np.flatnonzero(~prints.near_empty):
        comic = prints.comic_of[page]
        place[page] = 2 * sizes[comic]
        sizes[comic] += 1
    return place, sizes


def _halves(
    prints: FingerprintTable, place: np.ndarray, spreads: Iterable[tuple[int, int]]
) -> dict[tuple[int, int], set[int]]:
    """Of each double page and each other comic: where the pages of that comic begin that are halves of it."""
    singles: dict[tuple[int, int], set[int]] = defaultdict(set)
    for wide, page in spreads:
        comic = int(prints.comic_of[page])
        if comic != prints.comic_of[wide] and place[page] >= 0 and place[wide] >= 0:
            singles[wide, comic].add(int(place[page]))
    return singles


def _overlap(
    prints: FingerprintTable, comics: tuple[int, int], sizes: np.ndarray, runs: Sequence[Sequence[Match]]
) -> BookOverlap:
    numbers = [prints.numbers[(prints.comic_of == comic) & ~prints.near_empty] for comic in comics]
    counts = [len({match[side] // 2 for run in runs for match in run}) for side in (0, 1)]
    shares = [count / int(sizes[comic]) for count, comic in zip(counts, comics, strict=True)]
    a, b = (0, 1) if shares[0] >= shares[1] else (1, 0)

    def ends(run: Sequence[Match], side: int) -> tuple[int, int]:
        places = [match[side] // 2 for match in run]
        return int(numbers[side][places[0]]), int(numbers[side][places[-1]])

    if min(shares) >= NEARLY_ALL:
        relation = "same"
    else:
        relation = "inside" if max(shares) >= NEARLY_ALL else "overlap"
    return BookOverlap(
        a=prints.comics[comics[a]],
        b=prints.comics[comics[b]],
        relation=relation,
        pages=sum(len(run) for run in runs),
        share_of_a=round(shares[a], 4),
        share_of_b=round(shares[b], 4),
        runs=[PageRun(ends(run, a), ends(run, b), len(run)) for run in runs],
    )
