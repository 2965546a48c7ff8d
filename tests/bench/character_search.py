"""Characters found again by the default encoder and by measurements without weights, on labelled crops of three series.

    COMICTOOL_TEST_DATA=FOLDER python -m tests.bench.character_search

Each crop queries all crops of its series that come from other pages. Rank-1: the first answer is the same identity;
macro: mean over identities, since the classes are unbalanced; mAP: mean average precision over queries. "less common":
what all crops of the series share is taken off, as `reid evaluate`, `classify` and `cluster` do.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from comictool.core.images import decode_array
from comictool.measure.retrieval import retrieval
from comictool.plugins.known import parts_of
from comictool.plugins.load import EncoderSpec, load_plugin
from comictool.reid.reranking import centred
from tests.bench.figures import figure, ratio
from tests.bench.page_search import colour_histogram, grey_picture, wilson
from tests.data import DATA

CHARACTER = "classic_character"
SERIES = ("alarming_tales", "peppercarrot", "blackjack_manga")  # on the last nothing was chosen


@dataclass(frozen=True)
class Crops:
    """The labelled crops of one series."""

    images: list[np.ndarray]
    identities: np.ndarray
    pages: np.ndarray


@dataclass(frozen=True)
class Figures:
    """`right` says of each query whether its first answer is right; the others are shares."""

    right: np.ndarray
    rank1: float
    macro: float
    mean_precision: float


def load_series(name: str) -> Crops:
    """One of `SERIES`, or what else the test data has."""
    assert DATA is not None
    return load_heads(DATA / name) if name == "blackjack_manga" else load_crops(DATA / "characters" / name)


def load_heads(folder: Path) -> Crops:
    """The named heads on the pages of a folder with `annotations.json`."""
    pages = json.loads((folder / "annotations.json").read_text(encoding="utf-8"))["pages"]
    heads = [(page, head["identity"], head["box"]) for page, facts in pages.items() for head in facts["faces"]]
    images = {page: decode_array(folder / page) for page in {page: None for page, *_ in heads}}
    return Crops(
        [images[page][y0:y1, x0:x1] for page, _, (x0, y0, x1, y1) in heads],
        np.array([name for _, name, _ in heads]),
        np.array([page for page, *_ in heads]),
    )


def load_crops(folder: Path) -> Crops:
    """Read a series folder with its `index.json`."""
    entries = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    return Crops(
        [decode_array(folder / entry["file"]) for entry in entries],
        np.array([entry["identity"] for entry in entries]),
        np.array([entry["page"] for entry in entries]),
    )


def figures(similarity: np.ndarray, crops: Crops) -> Figures:
    """Rank-1, macro rank-1 and mAP; queries without the same identity on another page do not count."""
    own_page = crops.pages[:, None] == crops.pages[None, :]
    found = retrieval(similarity, crops.identities, crops.identities, own_page)
    return Figures(found.within(1), found.rank(1), found.macro_rank(1), found.mean_precision)


def by_chance(crops: Crops) -> Figures:
    """The mean of 20 random orders."""
    rng = np.random.default_rng(0)
    count = len(crops.images)
    runs = [figures(rng.normal(size=(count, count)), crops) for _ in range(20)]
    shares = np.mean([[run.rank1, run.macro, run.mean_precision] for run in runs], axis=0)
    return Figures(runs[0].right, *map(float, shares))


def embed_each(encoder: Callable[[np.ndarray], np.ndarray], crops: Crops) -> np.ndarray:
    """`(N, D)` rows."""
    return np.stack([encoder(image) for image in crops.images])


def print_row(series: str, name: str, result: Figures, speed: str) -> None:
    """One line of the table."""
    low, high = wilson(result.right)
    print(
        f"{series:15} {name:34} {len(result.right):3} {result.rank1:7.3f} [{low:.2f},{high:.2f}] "
        f"{result.macro:6.3f} {result.mean_precision:6.3f} {speed}"
    )


def with_neighbour(rows: np.ndarray, crops: Crops) -> np.ndarray:
    """Each row plus its nearest row of another page, weighted by the cube of their cosine, as unit rows.

    Database-side augmentation (Turcot and Lowe, 2009; the power after Radenovic and others, 2018). Labels are not used.
    """
    similarity = np.where(crops.pages[:, None] != crops.pages[None, :], rows @ rows.T, -np.inf)
    nearest = np.argmax(similarity, axis=1)
    weight = similarity[np.arange(len(rows)), nearest].clip(0) ** 3
    summed = rows + weight[:, None] * rows[nearest]
    return summed / np.linalg.norm(summed, axis=1, keepdims=True)


def main() -> None:
    """Measure everything and print it."""
    if DATA is None:
        raise SystemExit("COMICTOOL_TEST_DATA does not name the folder of test comics")
    small, classic = (
        load_plugin(name, device="cpu", precision="fp32") for name in ("comic_small", "classic_character")
    )
    parts = parts_of(EncoderSpec("comic_small"))
    arms: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "comic_small": lambda image: small.embed([image])[0],
        CHARACTER: lambda image: classic.embed([image])[0],
        "floor: colours 8x8x8": colour_histogram,
        "floor: grey 24x24": grey_picture,
    }
    print(f"{'series':15} {'descriptor':34} {'n':>3} {'rank-1 [95 %]':>19} {'macro':>6} {'mAP':>6} {'crops/s':>8}")
    speeds: dict[str, list[float]] = {}
    for series in SERIES:
        crops = load_series(series)
        shown: dict[str, str] = {}
        for name, encoder in arms.items():
            start = time.process_time()
            rows = embed_each(encoder, crops)
            seconds = time.process_time() - start
            speeds.setdefault(name, []).append(seconds / len(rows))
            result = figures(rows @ rows.T, crops)
            print_row(series, name, result, f"{len(rows) / seconds:8.0f}")
            shown[name] = f"{ratio(result.macro)} / {ratio(result.mean_precision)}"
            if name in ("comic_small", CHARACTER):
                moved = centred(rows, rows, parts if name == "comic_small" else ())
                result = figures(moved @ moved.T, crops)
                print_row(series, f"{name}, less common", result, "")
                shown[f"{name}, less common"] = f"{ratio(result.macro)} / {ratio(result.mean_precision)}"
            if name == CHARACTER:
                joined = with_neighbour(rows, crops)
                print_row(series, "  + nearest of another page", figures(joined @ joined.T, crops), "")
        figure(
            f"character crops of {series}, nearest reference from another page, macro rank-1 / mAP",
            shown["comic_small, less common"],
            f"classic_character {shown[CHARACTER]}, colours {shown['floor: colours 8x8x8']}",
        )
        random = by_chance(crops)
        print(
            f"{series:15} {'chance':34} {len(random.right):3} {random.rank1:7.3f} {'':11} "
            f"{random.macro:6.3f} {random.mean_precision:6.3f}"
        )
    each = {name: float(np.mean(seconds)) for name, seconds in speeds.items()}
    figure(
        "pictures of characters embedded, one core, CPU time",
        f"comic_small {1 / each['comic_small']:.0f}/s",
        f"classic_character {1 / each[CHARACTER]:.0f}/s",
    )


if __name__ == "__main__":
    main()
