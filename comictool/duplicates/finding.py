"""Finding the pages of a corpus that occur twice: digests, then perceptual hashes, then what a caller adds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from comictool.core.errors import UsageError
from comictool.core.jobs import JobOptions, JobReport
from comictool.core.progress import Progress
from comictool.corpus.views import CorpusView
from comictool.duplicates.books import find_books
from comictool.duplicates.candidates import find_candidates
from comictool.duplicates.fingerprint_table import FingerprintTable, compute_fingerprints
from comictool.duplicates.groups import SLACK, join
from comictool.duplicates.results import KINDS, SPREAD, DuplicateReport, Link, PageGroup, link_of
from comictool.duplicates.similarity import CUTS, best_starts, similarity

# Share of a page's windows that must agree. Fitted on the odd Pepper&Carrot episodes in nine forms (lettered, scaled,
# cut, scanned...; `python -m tests.bench.duplicates fit`): the lowest value that makes no false group there. It finds
# .99 of the pairs, and so do the values up to .65.
THRESHOLD = 0.55
HOPELESS = 0.3  # correlation of the softened wholes; copies of the odd episodes, lettered and cut by 5 %, have .38
LARGEST_STRETCH = 1.25  # between the shapes (width by height) of two copies of a page; scans differ by up to 1.15
PAIRS_AT_ONCE = 4096

LinkSource = Callable[[FingerprintTable], Sequence[Link]]


@dataclass
class SpreadHalf:
    """A wide page of which one half (1 left, 2 right) is another page; places in the table."""

    wide: int
    half: int
    page: int
    score: float


def find_page_duplicates(
    view: CorpusView,
    *,
    perceptual: bool = True,
    threshold: float = THRESHOLD,
    more: LinkSource | None = None,
    options: JobOptions | None = None,
    progress: Progress | None = None,
) -> DuplicateReport:
    """Find groups of equal pages and the comics that share runs of them. Only fingerprints are written.

    Args:
        perceptual: also the same drawing in another form; else only equal files and equal pixels.
        threshold: share of a page that must agree, above 0 and at most 1.
        more: further pairs, such as those of an encoder.

    Returns:
        The findings. With a shard or in a dry run only the job is done and there are none.

    Raises:
        UsageError: an impossible threshold.
        InputError: no comics, or another process works on the fingerprints.
        Stopped: after a signal; the fingerprints made so far are kept.
    """
    if not 0 < threshold <= 1:
        raise UsageError(f"threshold {threshold}: the share of a page that must agree is above 0 and at most 1")
    options, progress = options or JobOptions(), progress or Progress()
    prints, job = compute_fingerprints(view, options=options, progress=progress)
    if options.dry_run:
        return DuplicateReport([], [], job)
    if options.shard != (1, 1):
        note = "fingerprints of this shard are made; run without --shard when all shards are done to see the groups"
        return DuplicateReport([], [], job, notices=[note])
    return report_on(prints, job, perceptual=perceptual, threshold=threshold, more=more, progress=progress)


def report_on(
    prints: FingerprintTable,
    job: JobReport,
    *,
    perceptual: bool,
    threshold: float,
    more: LinkSource | None = None,
    progress: Progress | None = None,
) -> DuplicateReport:
    """The findings in a table of fingerprints; see `find_page_duplicates`."""
    classes = _equal_pictures(prints)
    links: list[Link] = []
    halves: list[SpreadHalf] = []
    notices: list[str] = []
    if perceptual:
        links, halves, crowded = _alike(prints, classes, threshold, progress or Progress())
        if crowded:
            notices.append(f"{crowded} look-ups met more pages of one look than were compared (plain layouts, text)")
    if more is not None:
        first = {page: pages[0] for pages in classes for page in pages}
        for link in more(prints):
            one, other = first.get(link.first), first.get(link.second)  # none when near-empty
            if one is not None and other is not None and one != other:
                links.append(link_of(one, other, link.kind, link.score))
    whole = prints.whole_rows

    def near(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
        floor = SLACK * threshold
        pair = prints.pictures[whole[ones]], prints.pictures[whole[others]]
        return similarity(*pair, starts=best_starts(*pair), enough=floor) >= floor

    class_of = {pages[0]: pages for pages in classes}
    joined = join(links, near)
    alone = set(class_of) - {page for pages, _ in joined for page in pages}
    sets = [*((pages, used) for pages, used in joined), *(([page], []) for page in alone if len(class_of[page]) > 1)]
    groups = []
    same: list[list[int]] = []
    for pages, used in sorted(sets, key=lambda each: each[0]):
        members = sorted(page for representative in pages for page in class_of[representative])
        same.append(members)
        groups.append(_group(prints, members, [*_exact_links(prints, [class_of[p] for p in pages]), *used]))
    groups += _spreads(prints, halves)
    return DuplicateReport(
        groups=groups,
        books=find_books(prints, same, [(half.wide, half.page) for half in halves]),
        job=job,
        near_empty=[prints.ids[page] for page in np.flatnonzero(prints.near_empty)],
        notices=notices,
    )


def _equal_pictures(prints: FingerprintTable) -> list[list[int]]:
    """Pages with the same pixels, near-empty ones left out; every other page is in one list, most of them alone."""
    by_pixels: dict[str, list[int]] = defaultdict(list)
    for page in np.flatnonzero(~prints.near_empty):
        by_pixels[prints.pixels[page]].append(int(page))
    return list(by_pixels.values())


def _exact_links(prints: FingerprintTable, classes: Sequence[Sequence[int]]) -> Iterator[Link]:
    for pages in classes:
        for page in pages[1:]:
            yield Link(pages[0], page, "file" if prints.files[pages[0]] == prints.files[page] else "pixels", 1.0)


def _alike(
    prints: FingerprintTable, classes: Sequence[Sequence[int]], threshold: float, progress: Progress
) -> tuple[list[Link], list[SpreadHalf], int]:
    """Compare what the hashes suggest, one page of each class standing for all."""
    chosen = np.zeros(len(prints), bool)
    chosen[[pages[0] for pages in classes]] = True
    rows = np.flatnonzero(chosen[prints.row_page])
    candidates = find_candidates(prints.pictures[rows])
    whole, cut, view = rows[candidates.whole], rows[candidates.cut], candidates.view
    shapes = np.log(prints.row_shapes)
    possible = np.abs(shapes[whole] - shapes[cut]) <= np.log(LARGEST_STRETCH)
    possible &= prints.row_page[whole] != prints.row_page[cut]
    possible &= (prints.row_part[whole] == 0) | (prints.row_part[cut] == 0)  # two spreads are alike as a whole
    whole, cut, view = whole[possible], cut[possible], view[possible]
    links: list[Link] = []
    halves: list[SpreadHalf] = []
    progress.start("comparing", len(whole))
    try:
        for start in range(0, len(whole), PAIRS_AT_ONCE):
            piece = slice(start, start + PAIRS_AT_ONCE)
            ones, others = cut[piece], whole[piece]
            scores = similarity(
                prints.pictures[ones],
                prints.pictures[others],
                starts=CUTS[view[piece]],
                enough=threshold,
                hopeless=HOPELESS,
            )
            for n in np.flatnonzero(scores >= threshold):
                one, other, score = int(ones[n]), int(others[n]), round(float(scores[n]), 4)
                if prints.row_part[one]:
                    one, other = other, one
                page, part = int(prints.row_page[other]), int(prints.row_part[other])
                if part:
                    halves.append(SpreadHalf(page, part, int(prints.row_page[one]), score))
                else:
                    links.append(link_of(int(prints.row_page[one]), page, "hash", score))
            progress.advance(len(ones))
    finally:
        progress.finish()
    return links, halves, candidates.crowded


def _group(prints: FingerprintTable, members: Sequence[int], links: Sequence[Link]) -> PageGroup:
    weakest = max(links, key=lambda link: (KINDS.index(link.kind), -link.score))
    evidence = [
        {"a": prints.ids[link.first], "b": prints.ids[link.second], "kind": link.kind, "score": link.score}
        for link in sorted(links)
    ]
    return PageGroup(weakest.kind, weakest.score, [prints.ids[page] for page in members], evidence)


def _spreads(prints: FingerprintTable, halves: Sequence[SpreadHalf]) -> Iterator[PageGroup]:
    """One group for each wide page: the best page for each half."""
    best: dict[int, dict[int, SpreadHalf]] = defaultdict(dict)
    for half in sorted(halves, key=lambda each: (-each.score, each.page)):
        best[half.wide].setdefault(half.half, half)
    for wide, parts in sorted(best.items()):
        found = [parts[number] for number in sorted(parts)]
        evidence = [
            {
                "a": prints.ids[wide],
                "b": prints.ids[half.page],
                "kind": SPREAD,
                "score": half.score,
                "half": "left" if half.half == 1 else "right",
            }
            for half in found
        ]
        pages = [prints.ids[wide], *(prints.ids[half.page] for half in found)]
        yield PageGroup(SPREAD, min(half.score for half in found), pages, evidence)
