"""Characters found again by the classic descriptor, on hand-labelled crops of two series.

    COMICTOOL_TEST_DATA=FOLDER python -m tests.bench.character_search

Each crop queries all crops of its series that come from other pages. Rank-1: the first answer is the same identity;
macro: mean over identities, since the classes are unbalanced; mAP: mean average precision over queries.
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
from comictool.plugins.classic.encoder import ClassicEncoder
from tests.bench.figures import figure, ratio
from tests.bench.page_search import colour_histogram, grey_picture, wilson
from tests.data import DATA

CHARACTER = "classic, profile character"
SERIES = ("alarming_tales", "peppercarrot")


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
        f"{series:15} {name:27} {len(result.right):3} {result.rank1:7.3f} [{low:.2f},{high:.2f}] "
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
    arms: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        CHARACTER: lambda image: ClassicEncoder("character").embed([image])[0],
        "classic, profile picture": lambda image: ClassicEncoder("picture").embed([image])[0],
        "floor: colours 8x8x8": colour_histogram,
        "floor: grey 24x24": grey_picture,
    }
    print(f"{'series':15} {'descriptor':27} {'n':>3} {'rank-1 [95 %]':>19} {'macro':>6} {'mAP':>6} {'crops/s':>8}")
    for series in SERIES:
        crops = load_crops(DATA / "characters" / series)
        shown: dict[str, str] = {}
        for name, encoder in arms.items():
            start = time.process_time()
            rows = embed_each(encoder, crops)
            speed = f"{len(rows) / (time.process_time() - start):8.0f}"
            result = figures(rows @ rows.T, crops)
            print_row(series, name, result, speed)
            shown[name] = f"{ratio(result.macro)} / {ratio(result.mean_precision)}"
            if name == CHARACTER:
                joined = with_neighbour(rows, crops)
                print_row(series, "  + nearest of another page", figures(joined @ joined.T, crops), "")
        figure(
            f"character crops of {series}, nearest reference from another page, macro rank-1 / mAP",
            shown[CHARACTER],
            f"colours {shown['floor: colours 8x8x8']}",
        )
        random = by_chance(crops)
        print(
            f"{series:15} {'chance':27} {len(random.right):3} {random.rank1:7.3f} {'':11} "
            f"{random.macro:6.3f} {random.mean_precision:6.3f}"
        )


if __name__ == "__main__":
    main()
