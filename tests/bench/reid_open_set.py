"""Open sets: is the false acceptance rate that `reid calibrate` was asked for kept, and who is still named?

    COMICTOOL_TEST_DATA=FOLDER python -m tests.bench.reid_open_set [--series FOLDER ...] [--halves N] [--fit]

First, sorting as `reid classify` does it: ten references of three characters in five, everything else is a target.
A random half of the characters of a series is enrolled, thresholds are fitted on their pictures alone, and the decision
code of `reid classify` names the pictures of the other half (whatever it names is a false acceptance) and of the
enrolled (with candidates of their own page left out). Beside `--series` (folders of `identity/picture` with an
`index.json` of `file`, `identity`, `page`) drawn characters are measured, of styles on which nothing was fitted.
With `background`, half of the characters that are not enrolled are given as `--background`, the rest are scored.

`halves` counts the halves whose own rate is within twice the one asked for; intervals draw characters of the series
with all their pages (95 %). `--fit` prints what `comictool.reid.impostors.safety_margin` was fitted to instead.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from comictool.measure.intervals import bootstrap
from comictool.measure.retrieval import retrieval
from comictool.plugins.classic.canvas import make_canvas
from comictool.plugins.classic.encoder import ClassicEncoder, _weighted
from comictool.plugins.classic.profiles import PROFILES
from comictool.plugins.known import parts_of
from comictool.plugins.load import EncoderSpec
from comictool.reid.calibration import calibrate, decide
from comictool.reid.evaluation import EXPAND, NEAR, choose_mode, page_mask, random_halves
from comictool.reid.impostors import log_distances, pair_spread, safety_margin
from comictool.reid.reranking import centred, k_reciprocal
from comictool.reid.scoring import same_group, score_characters
from comictool.reid.surroundings import Surroundings
from tests.bench.character_search import SERIES, Crops, load_crops, load_series
from tests.bench.drawn_crops import SEEN, UNSEEN, drawn_series
from tests.bench.figures import arguments, between, figure, ratio
from tests.data import DATA

FARS = (0.01, 0.05, 0.1)
FIT_SEED, TEST_SEED = 4242, 777
MODES = ("max", "centroid", "knn:3")
REFERENCES, MODE = 10, "mixed"  # the mode is that of `reid classify` unless another is clearly better


@dataclass(frozen=True)
class Arm:
    """One way to calibrate."""

    mode: str = "max"
    per_character: bool = False
    background: bool = False


ARMS: Mapping[str, Arm] = {
    "global (default)": Arm(),
    "per character": Arm(per_character=True),
    "background": Arm(background=True),
    "centroid, global": Arm(mode="centroid"),
}


@dataclass(frozen=True)
class Series:
    """Vectors (N, D) with names and pages."""

    vectors: np.ndarray
    names: np.ndarray
    pages: np.ndarray


@dataclass(frozen=True)
class Half:
    """What one half gave: accepted impostors (bool) with their names, and the share of the enrolled named right."""

    accepted: np.ndarray
    impostors: np.ndarray
    right: float

    @property
    def rate(self) -> float:
        """False acceptance."""
        return float(self.accepted.mean())


def measure_half(series: Series, enrolled: np.ndarray, arm: Arm, far: float, rng: np.random.Generator) -> Half | None:
    """Calibrate on the enrolled and decide on all others; None when nobody is left to score."""
    vectors, names, pages = series.vectors, series.names, series.pages
    scored, background = ~enrolled, None
    if arm.background:
        others = np.unique(names[~enrolled])
        if len(others) < 2:
            return None
        shown = np.isin(names, rng.choice(others, len(others) // 2, replace=False))
        scored, background = scored & ~shown, shown
    if not scored.any():
        return None
    own, labels, mask = vectors[enrolled], names[enrolled], page_mask(pages[enrolled])
    thresholds = calibrate(
        own,
        labels,
        far=far,
        mode=arm.mode,
        per_character=arm.per_character,
        excluded=mask,
        background=None if background is None else vectors[background],
        background_groups=None if background is None else names[background],
    )
    apart = same_group(list(pages[scored]), list(pages[enrolled]))
    verdicts = decide(score_characters(vectors[scored], own, labels, arm.mode, excluded=apart), thresholds)
    accepted = np.array([verdict.status != "unknown" for verdict in verdicts])
    able = ((labels[:, None] == labels[None, :]) & ~mask).any(axis=1)
    answers = decide(score_characters(own, own, labels, arm.mode, excluded=mask), thresholds)
    right = np.array([verdict.character == label for verdict, label in zip(answers, labels, strict=True)])[able]
    return Half(accepted, names[scored], float(right.mean()) if len(right) else float("nan"))


def measure(every: Sequence[Series], arm: Arm, far: float, halves: int) -> list[Half]:
    """All halves of all series."""
    rng = np.random.default_rng(0)
    found = []
    for series in every:
        for enrolled in random_halves(series.names, halves, 0):
            half = None if enrolled.all() else measure_half(series, enrolled, arm, far, rng)
            if half is not None:
                found.append(half)
    return found


def interval(found: list[Half]) -> tuple[float, float]:
    """95 % of the mean rate, characters drawn with all their pictures and halves."""
    accepted = np.concatenate([half.accepted for half in found])
    weight = np.concatenate([np.full(len(half.accepted), 1 / len(half.accepted)) for half in found])
    names = np.concatenate([half.impostors for half in found])
    characters, codes = np.unique(names, return_inverse=True)
    hit = np.bincount(codes, accepted * weight)
    total = np.bincount(codes, weight)
    return bootstrap(len(characters), lambda chosen: float(hit[chosen].sum() / total[chosen].sum()))


def print_open(groups: Mapping[str, Sequence[Series]], halves: int) -> None:
    """The table."""
    print(
        f"{'series':16} {'calibrated':17} {'FAR':>5} {'accepted':>8} {'[95 %]':>15} {'worst':>6} {'halves':>7} "
        f"{'named right':>11}"
    )
    for group, every in groups.items():
        for name, arm in ARMS.items():
            for far in FARS:
                found = measure(every, arm, far, halves if len(every) == 1 else max(1, halves // 10))
                if not found:
                    continue
                rates = np.array([half.rate for half in found])
                low, high = interval(found)
                right = np.nanmean([half.right for half in found])
                print(
                    f"{group:16} {name:17} {far:5.2f} {rates.mean():8.3f} [{low:6.3f},{high:6.3f}] {rates.max():6.2f} "
                    f"{np.mean(rates <= 2 * far + 1e-9):7.2f} {right:11.3f}"
                )
                if arm == Arm():
                    figure(
                        f"open set, {group}, half of the characters enrolled: impostors named at FAR {far:g}",
                        f"{ratio(rates.mean())} {between(low, high)}; named right {ratio(right)}",
                        f"{ratio(np.mean(rates <= 2 * far + 1e-9))} of halves within twice the FAR",
                    )


def sorted_once(series: Series, far: float, rng: np.random.Generator) -> tuple[float, float, float] | None:
    """Shares of a run of `reid classify`: strangers named; known pictures named rightly, and wrongly.

    Three of five characters are enrolled with `REFERENCES` pictures of pages drawn one after the other, at most six of
    ten of what they have; all else is sorted, by scores scaled by what is around each picture.
    """
    names, pages = series.names, series.pages
    characters = np.unique(names)
    enrolled = rng.choice(characters, max(2, min(len(characters) - 1, round(len(characters) * 0.6))), replace=False)
    references: list[int] = []
    for character in enrolled:
        own, taken = np.flatnonzero(names == character), list[int]()
        for page in rng.permutation(np.unique(pages[own])):
            if len(taken) < min(REFERENCES, 0.6 * len(own)):
                taken += own[pages[own] == page].tolist()
        references += taken[:REFERENCES]
    rest = np.setdiff1d(np.arange(len(names)), references)
    own, labels = series.vectors[references], names[references]
    among = Surroundings(series.vectors[rest].astype(np.float16))
    around = among.around(own)
    thresholds = calibrate(own, labels, far=far, mode=MODE, excluded=page_mask(pages[references]), around=around)
    apart = same_group(list(pages[rest]), list(pages[references]))
    scores = score_characters(series.vectors[rest], own, labels, MODE, excluded=apart)
    verdicts = decide(scores.scaled(among.around(series.vectors[rest])), thresholds)
    named = np.array([verdict.character or "" for verdict in verdicts])
    known = np.isin(names[rest], enrolled)
    if known.all() or not known.any():
        return None
    right = named == names[rest]
    wrong = ~right & (named != "")
    return float((named[~known] != "").mean()), float(right[known].mean()), float(wrong[known].mean())


def print_sorting(groups: Mapping[str, Sequence[Series]], runs: int = 60) -> None:
    """Runs of `reid classify` with ten references each: strangers named, and known pictures named."""
    print(f"\n{'series':16} {'FAR':>5} {'strangers named':>15} {'within':>15} {'named right':>11} {'wrong':>6}")
    for group, every in groups.items():
        for far in FARS:
            rng = np.random.default_rng(0)
            each = runs if len(every) == 1 else max(1, runs // 10)
            rows = [row for one in every for _ in range(each) if (row := sorted_once(one, far, rng))]
            if not rows:
                continue
            strangers, right, wrong = np.mean(rows, axis=0)
            low, high = np.percentile([row[0] for row in rows], [2.5, 97.5])
            print(f"{group:16} {far:5.2f} {strangers:15.3f} [{low:6.3f},{high:6.3f}] {right:11.3f} {wrong:6.3f}")
            figure(
                f"sorting {group} by ten references each: strangers named at FAR {far:g}",
                f"{ratio(strangers)} {between(low, high)}; named right {ratio(right)}, wrong {ratio(wrong)}",
                "asked: twice the FAR at most" + ("; named right .350" if far == 0.1 else ""),
            )


def closed(every: Sequence[Series], rerank: bool) -> tuple[float, float]:
    """Macro rank-1 and mAP, means over series."""
    rows = []
    for series in every:
        mask = page_mask(series.pages)
        scores = series.vectors @ series.vectors.T
        if rerank:
            scores = k_reciprocal(series.vectors, near=NEAR, expand=EXPAND, excluded=mask)
        found = retrieval(scores, series.names, series.names, mask)
        rows.append((found.macro_rank(1), found.mean_precision))
    macro, precision = np.mean(rows, axis=0)
    return float(macro), float(precision)


def chance(every: Sequence[Series]) -> tuple[float, float]:
    """The same of random orders."""
    rng = np.random.default_rng(0)
    rows = []
    for series in every:
        count = len(series.names)
        found = retrieval(rng.normal(size=(count, count)), series.names, series.names, page_mask(series.pages))
        rows.append((found.macro_rank(1), found.mean_precision))
    macro, precision = np.mean(rows, axis=0)
    return float(macro), float(precision)


def one_way(image: np.ndarray) -> np.ndarray:
    """The character profile without its mirror image."""
    from PIL import Image

    row = _weighted(make_canvas(Image.fromarray(np.ascontiguousarray(image))), PROFILES["character"])
    return (row / np.linalg.norm(row)).astype(np.float32)


def averaged(image: np.ndarray) -> np.ndarray:
    """The mean of the vectors of a picture and of its mirror image (`--flip`), as a unit row."""
    encoder = ClassicEncoder("character")
    both = encoder.embed([image, np.ascontiguousarray(image[:, ::-1])]).sum(axis=0)
    return (both / np.linalg.norm(both)).astype(np.float32)


def print_closed(groups: Mapping[str, Sequence[Crops]]) -> None:
    """Flip averaging, and nearest against prototype: each measured on every set."""
    ways: Mapping[str, Callable[[Crops], np.ndarray]] = {
        "one way round": lambda crops: np.stack([one_way(image) for image in crops.images]),
        "with mirror image (default)": lambda crops: ClassicEncoder("character").embed(crops.images),
        "the same, and --flip": lambda crops: np.stack([averaged(image) for image in crops.images]),
    }
    print(
        f"\n{'series':16} {'vectors':28} {'macro':>6} {'mAP':>6}   {'re-ranked':>9} {'mAP':>6}   naming, macro rank-1"
    )
    for group, every in groups.items():
        for name, way in ways.items():
            sets = [Series(way(crops), crops.identities, crops.pages) for crops in every]
            plain, again = closed(sets, False), closed(sets, True)
            modes = [choose_mode(s.vectors, s.names, s.pages, MODES)[1] for s in sets]
            naming = "  ".join(f"{mode} {np.mean([figures[mode] for figures in modes]):.3f}" for mode in MODES)
            print(f"{group:16} {name:28} {plain[0]:6.3f} {plain[1]:6.3f}   {again[0]:9.3f} {again[1]:6.3f}   {naming}")
        macro, precision = chance(sets)
        print(f"{group:16} {'chance':28} {macro:6.3f} {precision:6.3f}")


def needed(series: Series, count: int, each: int, far: float, rng: np.random.Generator) -> np.ndarray | None:
    """Where impostors stand, in spreads below the quantile of `count` characters with `each` pictures."""
    characters = np.unique(series.names)
    if count >= len(characters):
        return None
    chosen = rng.choice(characters, count, replace=False)
    own = np.concatenate([rng.permutation(np.flatnonzero(series.names == character))[:each] for character in chosen])
    names, others = series.names[own], np.flatnonzero(~np.isin(series.names, chosen))
    logs = log_distances(series.vectors @ series.vectors[own].T, "cosine")
    logs[series.pages[:, None] == series.pages[own][None, :]] = np.inf
    same = names[:, None] == names[None, :]
    inner = logs[own]
    known, fresh = np.sort(np.where(same, np.inf, inner).min(axis=1)), logs[others].min(axis=1)
    known, fresh = known[np.isfinite(known)], fresh[np.isfinite(fresh)]
    if len(known) < 2 or len(fresh) < 3:
        return None
    place = max(1, int((len(known) + 1) * far * (count - 1) / count + 1e-9))
    return (fresh - known[place - 1]) / pair_spread(inner[same], inner[~same])


def print_fit(draws: int = 6) -> None:
    """The margin that keeps the mean rate, the one that keeps nine of ten galleries within twice, and the formula."""
    encoders = {name: ClassicEncoder(name) for name in ("character", "picture")}
    drawn = drawn_series(FIT_SEED, 48, SEEN)
    print(
        f"{'encoder':10} {'FAR':>5} {'characters':>10} {'pictures':>8} {'mean kept':>9} {'9 of 10':>8} {'formula':>8}"
    )
    for name, encoder in encoders.items():
        alone = [Series(encoder.embed(crops.images), crops.identities, crops.pages) for _, crops in drawn]
        # Larger casts: series of one style put together.
        joined = [_joined([alone[k] for k in range(start, 48, len(SEEN))]) for start in range(len(SEEN))]
        for far in (*FARS, 0.2):
            for count in (2, 3, 4, 6, 8, 12, 24):
                for each in (4, 8, 20):
                    rng = np.random.default_rng(0)
                    sources = alone if count <= 4 else [series for series in joined for _ in range(4)]
                    rows = [needed(series, count, each, far, rng) for series in sources for _ in range(draws)]
                    kept = [row for row in rows if row is not None]
                    if not kept:
                        continue
                    values = np.concatenate(kept)
                    weights = np.concatenate([np.full(len(row), 1 / len(row)) for row in kept])
                    order = np.argsort(values)
                    place = np.searchsorted(np.cumsum(weights[order]) / weights.sum(), far)
                    nine = np.quantile([np.quantile(row, 2 * far, method="lower") for row in kept], 0.1)
                    print(
                        f"{name:10} {far:5.2f} {count:10} {each:8} {-values[order][place]:9.2f} {-nine:8.2f} "
                        f"{safety_margin(count, count * each, far * (count - 1) / count):8.2f}"
                    )


def _joined(every: Sequence[Series]) -> Series:
    return Series(
        np.concatenate([s.vectors for s in every]),
        np.concatenate([s.names for s in every]),
        np.concatenate([s.pages for s in every]),
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--series", type=Path, nargs="*")
    parser.add_argument("--halves", type=int, default=60)
    parser.add_argument("--drawn", type=int, default=24, help="series of drawn characters")
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--plugin", default="comic_small")
    parser.add_argument("--closed", action="store_true", help="mirror images and modes of the classic encoder too")
    options = parser.parse_args(arguments())
    if options.fit:
        print_fit()
        return
    names = [str(folder) for folder in options.series or []]
    if options.series is None:
        if DATA is None:
            raise SystemExit("COMICTOOL_TEST_DATA does not name the folder of test comics")
        names = list(SERIES)
    crops = {Path(n).name: [load_crops(Path(n)) if options.series is not None else load_series(n)] for n in names}
    if options.drawn:
        crops["drawn, unseen"] = [found for _, found in drawn_series(TEST_SEED, options.drawn, UNSEEN)]
    spec = EncoderSpec(options.plugin, device="cpu")
    encoder, parts = spec.load(), parts_of(spec)
    plain = {
        name: [Series(encoder.embed(one.images), one.identities, one.pages) for one in every]
        for name, every in crops.items()
    }
    print_sorting(plain)
    groups = {
        name: [replace(one, vectors=centred(one.vectors, one.vectors, parts)) for one in every]
        for name, every in plain.items()
    }
    print_open(groups, options.halves)
    if options.closed:
        print_closed(crops)


if __name__ == "__main__":
    main()
