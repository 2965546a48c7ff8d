"""Duplicates on real comics, beside an exact hash and the usual 8x8 average hash; and what 100,000 pages cost.

    COMICTOOL_TEST_DATA=FOLDER python -m tests.bench.duplicates [fit] [quality] [embedding] [cost]

Quality: the truth says which files show the same page, with and without lettering. Each form is a second corpus of
altered copies beside the originals. The threshold was fitted on the odd Pepper&Carrot episodes; the rows say on which
pages a figure was taken. A pair counts as found when one group holds both pages; a group is false when it holds two
different pages.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from comictool.core.images import decode
from comictool.core.jobs import JobOptions
from comictool.duplicates.finding import THRESHOLD, report_on
from comictool.duplicates.fingerprint_table import FingerprintTable, compute_fingerprints
from comictool.duplicates.results import SPREAD, DuplicateReport
from tests.bench.duplicates_cost import print_costs
from tests.bench.figures import arguments, between, figure, ratio
from tests.bench.page_search import FORMS as SEARCH_FORMS
from tests.bench.page_search import crop, jpeg
from tests.data import DATA
from tests.duplicates.page_copies import FolderView

BOOKS = ("pepper_carrot", "alarming_tales_1957", "science_comics_1946", "page_blanche", "climate_frogs")
Form = Callable[[Image.Image, np.random.Generator], Image.Image]
FLOOR_BITS = 10  # of 64: the usual limit for average hashes
SPREAD_PAGES = 12
# Two inkings of one sheet of figures: no false group, and not in the truth either. They are counted in no column.
REDRAWN = {"climate_frogs/model_sheet/model-sheet.jpg", "climate_frogs/model_sheet/model-sheet-2.jpg"}


def slightly_cut(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Each border cut by up to 5 % of the page."""
    width, height = picture.size
    left, top, right, bottom = rng.uniform(0, 0.05, 4) * (width, height, width, height)
    return jpeg(picture.crop((round(left), round(top), round(width - right), round(height - bottom))), 90)


FORMS: dict[str, Form] = {
    "JPEG q40": SEARCH_FORMS["JPEG q40"],
    "resized to 50 %": SEARCH_FORMS["resized to 50 %"],
    "greyscale": lambda picture, rng: picture.convert("L"),
    "grey, faded": SEARCH_FORMS["grey, faded"],
    "balloons pasted": SEARCH_FORMS["balloons pasted"],
    "borders cut by 0-5 %": slightly_cut,
    "cut by 5 % a side": lambda picture, rng: crop(picture, 0.9, 0.5, 0.5),
    "scanned again": SEARCH_FORMS["scanned again"],
}


@dataclass(frozen=True)
class Page:
    """A picture of the test data: what page it shows, and which part of the figures it belongs to."""

    path: Path
    label: str
    part: str  # fitted, held out, other series
    listed: bool  # in the truth


def pages_of(data: Path) -> list[Page]:
    """Every page picture, in order."""
    groups = json.loads((data / "page_search" / "same_page_groups.json").read_text(encoding="utf-8"))
    listed = {file for group in groups for file in group["variants"]}
    pages = []
    for book in BOOKS:
        for path in sorted(file for file in (data / book).rglob("*") if file.suffix in (".jpg", ".jpeg", ".png")):
            file = path.relative_to(data).as_posix()
            label, part = file, "other series"
            if book == "pepper_carrot":
                label = path.stem
                part = "fitted" if int(path.stem[1:3]) % 2 else "held out"
            elif file in REDRAWN:
                label = "redrawn"
            pages.append(Page(path, label, part, file in listed))
    return pages


@dataclass
class Corpus:
    """Pages on disk for the search: `labels` and `sources` by page id; altered copies lie in comics of their own."""

    view: FolderView
    pages: dict[str, Page]
    altered: set[str]


def build(root: Path, pages: Sequence[Page], form: Form | None) -> Corpus:
    """The originals as links, and with a form their altered copies."""
    rng = np.random.default_rng(7)
    shown: dict[str, Page] = {}
    altered: set[str] = set()
    for part in ("originals", "copies") if form else ("originals",):
        folder = root / part
        folder.mkdir()
        for number, page in enumerate(pages, start=1):
            name = f"{part}/{number}"
            shown[name] = page
            if part == "originals":
                (folder / f"{number}{page.path.suffix}").symlink_to(page.path)
            elif form is not None:
                form(decode(page.path), rng).save(folder / f"{number}.jpg", quality=92)
                altered.add(name)
    return Corpus(FolderView(root), shown, altered)


Pairs = set[tuple[str, str]]


def pairs_among(names: Sequence[str]) -> Pairs:
    """All pairs of some ids, the smaller first."""
    return {(min(a, b), max(a, b)) for n, a in enumerate(names) for b in names[n + 1 :]}


def found_pairs(report: DuplicateReport) -> Pairs:
    """All pairs of ids that share a group of pages."""
    pairs: Pairs = set()
    for group in report.groups:
        if group.kind != SPREAD:
            pairs |= pairs_among(group.pages)
    return pairs


def average_hash_pairs(prints: FingerprintTable) -> Pairs:
    """Floor: 8x8 average hashes at most `FLOOR_BITS` apart, all pairs, near-empty pages left out as ours are."""
    pages = np.flatnonzero(~prints.near_empty)
    small = prints.pictures[prints.whole_rows[pages]].reshape(len(pages), 8, 8, 8, 8).mean(axis=(2, 4))
    bits = (small > small.mean(axis=(1, 2), keepdims=True)).reshape(len(pages), -1)
    apart = (bits[:, None] != bits[None]).sum(axis=2)
    first, second = np.nonzero(np.triu(apart <= FLOOR_BITS, 1))
    pairs: Pairs = set()
    for a, b in zip(first, second, strict=True):
        pairs |= pairs_among([prints.ids[pages[a]], prints.ids[pages[b]]])
    return pairs


def exact_pairs(prints: FingerprintTable) -> Pairs:
    """Floor: equal files."""
    by_file: dict[str, list[str]] = {}
    for name, digest in zip(prints.ids, prints.files, strict=True):
        by_file.setdefault(digest, []).append(name)
    return set().union(*(pairs_among(names) for names in by_file.values()))


def wilson(hits: int, total: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    if not total:
        return 0.0, 1.0
    z, share = 1.96, hits / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return max(0.0, middle - half), min(1.0, middle + half)


def wanted_pairs(corpus: Corpus, part: str, *, lettering: bool) -> Pairs:
    """The true pairs of a part: other lettering of the page, or the altered copy of the very file."""
    wanted: Pairs = set()
    for a, b in pairs_among([name for name, page in corpus.pages.items() if page.part == part]):
        one, other = corpus.pages[a], corpus.pages[b]
        if corpus.altered and (a in corpus.altered) == (b in corpus.altered):
            continue
        same_file = one.path == other.path
        if same_file and not lettering:
            wanted.add((a, b))
        if lettering and not same_file and one.label == other.label and one.listed and other.listed:
            wanted.add((a, b))
    return wanted


def print_quality(data: Path, threshold: float = THRESHOLD) -> None:
    """Recall and false groups for every form."""
    pages = pages_of(data)
    print(f"{len(pages)} pictures, threshold {threshold}; recall with 95 % interval, floors: exact hash, average hash")
    print(f"{'form':22} {'pairs':16} {'part':13} {'recall':>24}  {'exact':>6} {'8x8':>6}")
    for name, form in [("as they are", None), *FORMS.items()]:
        with tempfile.TemporaryDirectory() as folder:
            corpus = build(Path(folder), pages, form)
            prints, job = compute_fingerprints(corpus.view, options=JobOptions(jobs=1))
            report = report_on(prints, job, perceptual=True, threshold=threshold)
        empty = set(report.near_empty)
        rivals = [found_pairs(report), exact_pairs(prints), average_hash_pairs(prints)]
        for lettering in (True, False) if form else (True,):
            for part in ("fitted", "held out", "other series"):
                wanted = {pair for pair in wanted_pairs(corpus, part, lettering=lettering) if not empty & set(pair)}
                if wanted:
                    hits = [len(wanted & found) for found in rivals]
                    low, high = wilson(hits[0], len(wanted))
                    recall = f"{hits[0]:3}/{len(wanted):3} = {hits[0] / len(wanted):.3f} [{low:.2f}, {high:.2f}]"
                    kind = "other lettering" if lettering else "the same file"
                    floors = " ".join(f"{hit / len(wanted):6.3f}" for hit in hits[1:])
                    print(f"{name:22} {kind:16} {part:13} {recall}  {floors}")
                    if form is None and part == "held out":
                        figure(
                            "the same page in another lettering, found as a duplicate, held out",
                            f"{hits[0]} of {len(wanted)} {between(low, high)}",
                            f"average hash {ratio(hits[2] / len(wanted))}",
                        )
        print_false(name, corpus, report, rivals)


def print_fit(data: Path) -> None:
    """How the threshold was found: the odd episodes in all forms, at several thresholds."""
    pages = [page for page in pages_of(data) if page.part == "fitted"]
    totals = {threshold: np.zeros(4, int) for threshold in (0.45, 0.5, 0.55, 0.6, 0.65, 0.7)}
    for form in (None, *FORMS.values()):
        with tempfile.TemporaryDirectory() as folder:
            corpus = build(Path(folder), pages, form)
            prints, job = compute_fingerprints(corpus.view, options=JobOptions(jobs=1))
            wanted = wanted_pairs(corpus, "fitted", lettering=True) | wanted_pairs(corpus, "fitted", lettering=False)
            for threshold, total in totals.items():
                report = report_on(prints, job, perceptual=True, threshold=threshold)
                found = found_pairs(report)
                wrong = sum(corpus.pages[a].label != corpus.pages[b].label for a, b in found)
                total += [len(wanted & found), len(wanted), wrong, len(found)]
    for threshold, (hits, count, wrong, pairs) in totals.items():
        print(f"threshold {threshold:.2f}: {hits}/{count} = {hits / count:.3f} found, {wrong} of {pairs} pairs false")


def print_false(name: str, corpus: Corpus, report: DuplicateReport, rivals: Sequence[Pairs]) -> None:
    """How many groups, and pairs of the rivals, hold different pages."""
    for parts in (("fitted",), ("held out", "other series")):
        groups = [
            {corpus.pages[page].label for page in group.pages}
            for group in report.groups
            if any(corpus.pages[page].part in parts for page in group.pages)
        ]
        false = sum(len(labels) > 1 for labels in groups)
        shares = []
        for found in rivals:
            here = [pair for pair in found if all(corpus.pages[page].part in parts for page in pair)]
            wrong = sum(corpus.pages[a].label != corpus.pages[b].label for a, b in here)
            shares.append(f"{wrong}/{len(here)}")
        what = " and ".join(parts)
        pairs = f"ours {shares[0]}, 8x8 {shares[2]}"
        print(f"{name:22} false groups on {what}: {false} of {len(groups)}; false pairs: {pairs}")


def print_spreads(data: Path) -> None:
    """Double pages made of two neighbouring pages, beside the single pages."""
    pages = [page for page in pages_of(data) if "textless" in page.path.parts and not page.label.startswith("e04")]
    right = halves = 0
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "single").mkdir()
        (Path(folder) / "spreads").mkdir()
        for number, page in enumerate(pages, start=1):
            (Path(folder) / "single" / f"{number}.jpg").symlink_to(page.path)
        for number in range(SPREAD_PAGES):
            left, other = (decode(page.path) for page in pages[2 * number : 2 * number + 2])
            wide = Image.new("RGB", (left.width + other.width, left.height), "white")
            wide.paste(left, (0, 0))
            wide.paste(other.resize((other.width, left.height)), (left.width, 0))
            wide.save(Path(folder) / "spreads" / f"{number + 1}.jpg", quality=80)
        prints, job = compute_fingerprints(FolderView(Path(folder)), options=JobOptions(jobs=1))
        report = report_on(prints, job, perceptual=True, threshold=THRESHOLD)
    for group in report.groups:
        if group.kind == SPREAD and group.pages[0].startswith("spreads/"):
            number = int(group.pages[0].split("/")[1])
            wanted = [f"single/{2 * number - 1}", f"single/{2 * number}"]
            halves += len(set(wanted) & set(group.pages[1:]))
            right += group.pages[1:] == wanted
    others = len(report.groups) - sum(group.kind == SPREAD for group in report.groups)
    print(f"double pages: {right} of {SPREAD_PAGES} with both halves in order ({halves} of {2 * SPREAD_PAGES} halves)")
    print(
        f"other groups there (want 0): {others}; books: {[(b.a, b.relation, b.b, b.share_of_a) for b in report.books]}"
    )


def print_embedding(data: Path) -> None:
    """What a store adds: copies cut to 80 % of each side at a corner, which the hashes do not look for."""
    from comictool.corpus.corpus import Corpus
    from comictool.corpus.records import PageRecord
    from comictool.plugins.load import EncoderSpec
    from comictool.search.duplicates import find_duplicates
    from comictool.vectors.job import EmbedOptions, embed

    pages = [page for page in pages_of(data) if page.path.parent.name in ("textless", "lettered_en")]
    rng = np.random.default_rng(8)
    labels: dict[str, Page] = {}
    with tempfile.TemporaryDirectory() as folder:
        corpus = Corpus.create(Path(folder) / "corpus")
        for comic in ("originals", "copies"):
            records = []
            (corpus.root / "page_images" / comic).mkdir(parents=True)
            for number, page in enumerate(pages, start=1):
                picture = decode(page.path)
                if comic == "copies":
                    picture = crop(picture, 0.8, int(rng.integers(2)), int(rng.integers(2)))
                name = f"page_images/{comic}/{number}.jpg"
                picture.save(corpus.root / name, quality=90)
                records.append(PageRecord(comic, number, name, *picture.size))
                labels[f"{comic}/{number}"] = page
            corpus.write_pages(comic, records)
        store = Path(folder) / "store"
        embed(corpus, EncoderSpec("classic"), store, EmbedOptions(("page",)), options=JobOptions(jobs=1))
        for method in ("hash", "embedding", "all"):
            report = find_duplicates(corpus, method=method, store=store, options=JobOptions(jobs=1))
            found, empty = found_pairs(report), set(report.near_empty)
            for part in ("fitted", "held out"):
                wanted = pairs_among([name for name, page in labels.items() if page.part == part])
                wanted = {(a, b) for a, b in wanted if labels[a].path == labels[b].path and not {a, b} & empty}
                wrong = sum(labels[a].label != labels[b].label for a, b in found)
                low, high = wilson(len(wanted & found), len(wanted))
                print(
                    f"cut to 80 % at a corner, method {method:9} {part:9} {len(wanted & found):3}/{len(wanted):3}"
                    f" [{low:.2f}, {high:.2f}]; false pairs in all: {wrong} of {len(found)}"
                )


def main() -> None:
    """Measure and print."""
    wanted = arguments() or ["quality", "embedding", "cost"]
    if DATA is None and wanted != ["cost"]:
        raise SystemExit("COMICTOOL_TEST_DATA does not name the folder of test comics")
    if "fit" in wanted and DATA is not None:
        print_fit(DATA)
    if "embedding" in wanted and DATA is not None:
        print_embedding(DATA)
    if "quality" in wanted and DATA is not None:
        print_quality(DATA)
        print_spreads(DATA)
    if "cost" in wanted:
        print_costs()


if __name__ == "__main__":
    main()
