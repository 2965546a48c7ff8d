"""Joining pairs into groups without chains: A like B and B like C do not make A and C the same page.

Links are taken from the best to the worst. Two groups become one only when three quarters of the pairs between them are
near, where "near" is a little less than what a link needs; large groups are represented by a few of their pages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from comictool.duplicates.results import KINDS, Link

# Of the threshold: two lettered versions of a page spoil different windows, so they are less like each other than
# each is like the page without text. Chance pairs stay below half of the threshold.
SLACK = 0.8
# Of the pairs between two groups. On the odd Pepper&Carrot episodes a half joins two pages of one kitchen when both are
# there twice as crooked scans; asking for all of the pairs tears copies in four languages apart and gains nothing.
SHARE_NEAR = 0.75
REPRESENTATIVES = 6  # of each group when two are joined: 36 comparisons

Near = Callable[[np.ndarray, np.ndarray], np.ndarray]


def join(links: Sequence[Link], near: Near) -> list[tuple[list[int], list[Link]]]:
    """Groups of two and more pages with the links that made them, by first page.

    Args:
        links: any number for a pair; the best counts.
        near: whether pairs of pages, given as two arrays, could show the same.
    """
    ordered = sorted(links, key=lambda link: (KINDS.index(link.kind) > 1, -link.score, link.first, link.second))
    known = {(link.first, link.second) for link in ordered}
    group_of: dict[int, int] = {}
    members: dict[int, list[int]] = {}
    used: dict[int, list[Link]] = {}
    for link in ordered:
        one, other = (_group(page, group_of, members, used) for page in (link.first, link.second))
        if one == other or not _compatible(members[one], members[other], known, near):
            continue
        if len(members[one]) < len(members[other]):
            one, other = other, one
        for page in members[other]:
            group_of[page] = one
        members[one] += members.pop(other)
        used[one] += [*used.pop(other), link]
    groups = [(sorted(members[name]), used[name]) for name in members if len(members[name]) > 1]
    return sorted(groups, key=lambda group: group[0])


def _group(page: int, group_of: dict[int, int], members: dict[int, list[int]], used: dict[int, list[Link]]) -> int:
    if page not in group_of:
        group_of[page], members[page], used[page] = page, [page], []
    return group_of[page]


def _compatible(one: Sequence[int], other: Sequence[int], known: set[tuple[int, int]], near: Near) -> bool:
    pairs = [(min(a, b), max(a, b)) for a in _some(one) for b in _some(other)]
    unknown = [pair for pair in pairs if pair not in known]
    if not unknown:
        return True
    firsts, seconds = np.array(unknown, np.int64).T
    count = len(pairs) - len(unknown) + int(near(firsts, seconds).sum())
    return count >= SHARE_NEAR * len(pairs)


def _some(pages: Sequence[int]) -> Sequence[int]:
    """A few pages spread over a group."""
    if len(pages) <= REPRESENTATIVES:
        return pages
    return [pages[n * (len(pages) - 1) // (REPRESENTATIVES - 1)] for n in range(REPRESENTATIVES)]
