"""How well panels are found on real pages: `python -m tests.bench.panels` (needs COMICTOOL_TEST_DATA).

Prints for every set F1 at IoU 0.5 and 0.7, the share of pages with exactly the right boxes (IoU 0.7) and with the right
order too, both with Wilson 95 % intervals, F1 with bootstrap intervals over pages, and beside each the floor: a plain
recursive cut along white gutters. Then panels invented on pages that have none, and speed.

`tuned` pages were looked at while the detector was made. `held out` pages were scored on the way and their failures
seen once: no threshold was fitted to them, yet of about seven variants of the rule for bare frame lines the one was
kept that did not lower their score, so their figures are a little kind. Thresholds for manga were chosen on the even
pages of `blackjack_manga` and pages made from them; the odd ones were looked at once or twice. The
boxes of the others began as an early detector's and were corrected by eye (see `labels/`).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.optimize import linear_sum_assignment

from comictool.corpus.order import order_boxes
from comictool.panels.detect import detect_panels
from tests.bench.figures import between, figure, ratio
from tests.data import DATA
from tests.panels.panel_pages import overlap

Box = tuple[int, int, int, int]
Detector = Callable[[np.ndarray], list[Box]]
LABELS = Path(__file__).parent / "labels"
EXACT = 0.7  # IoU at which a box counts as right for whole pages

# The detector `gutters-2` of commit 2bd4c71, measured on 2026-11-30 by what is below, its speed on a loaded machine:
# F1 at IoU .5 / .7, share of pages with exactly the right panels.
PREVIOUS = {
    "pepper_carrot": "1.000 / 1.000, 100%",
    "blackjack_manga": ".931 / .846, 60%",
    "all held out": ".980 / .980, 86%",
    "without": "5 on 1 pages",
    "speed": "4.2 pages/s",
}
SHOWN = {
    "pepper_carrot": "Pepper&Carrot, lettered",
    "blackjack_manga": "a manga, 35 pages",
    "all held out": "other styles, held out",
}


@dataclass(frozen=True)
class LabelledPage:
    """A picture and its panels in reading order."""

    picture: Path
    panels: list[Box]
    direction: str = "ltr"


@dataclass
class Score:
    """Counts over the pages of a set; one row a page in `counts`: true, found, right at .5, right at .7."""

    counts: list[tuple[int, int, int, int]] = field(default_factory=list)
    exact: int = 0
    ordered: int = 0

    def f1(self, column: int, rows: Sequence[int] | None = None) -> float:
        """F1 over all pages or some rows; column 2 for IoU .5, 3 for .7."""
        table = np.array(self.counts)[list(range(len(self.counts))) if rows is None else rows]
        return float(2 * table[:, column].sum() / max(1, table[:, 0].sum() + table[:, 1].sum()))

    def interval(self, column: int) -> tuple[float, float]:
        """95 % bootstrap interval of F1 over pages, 1000 draws, seeded."""
        rng = np.random.default_rng(0)
        draws = [self.f1(column, rng.integers(0, len(self.counts), len(self.counts)).tolist()) for _ in range(1000)]
        return float(np.percentile(draws, 2.5)), float(np.percentile(draws, 97.5))


def labelled(data: Path) -> dict[str, list[LabelledPage]]:
    """The sets by name; `without panels` sets hold pages whose panel list is empty."""
    sets: dict[str, list[LabelledPage]] = {}
    truth = json.loads((data / "pepper_carrot" / "annotations.json").read_text("utf-8"))["pages"]
    for name, page in truth.items():
        if page["panel_quality"] == "clean" and "en" in page["languages"]:
            picture = data / "pepper_carrot" / "lettered_en" / f"{name}.jpg"
            sets.setdefault("pepper_carrot", []).append(LabelledPage(picture, [_box(b) for b in page["panels"]]))
    for name, page in json.loads((data / "blackjack_manga" / "annotations.json").read_text("utf-8"))["pages"].items():
        kind = f"blackjack_manga, {'odd' if int(name[-7:-4]) % 2 else 'even'} pages"
        if page["panel_quality"] == "no_panels":
            kind = "without panels, blackjack_manga"
        entry = LabelledPage(data / "blackjack_manga" / name, [_box(b) for b in page["panels"] or []], "rtl")
        sets.setdefault(kind, []).append(entry)
        if entry.panels:
            sets.setdefault("blackjack_manga", []).append(entry)
    for file in sorted(LABELS.glob("*.json")):
        for name, page in json.loads(file.read_text("utf-8"))["pages"].items():
            which = "held out" if page["set"] == "held_out" else "tuned"
            kind = "without panels" if file.stem == "no_panels" else file.stem
            entry = LabelledPage(data / name, [_box(b) for b in page["panels"]])
            sets.setdefault(f"{kind}, {which}", []).append(entry)
            if entry.panels:
                sets.setdefault(f"all {which}", []).append(entry)
    return sets


def evaluate(pages: Iterable[LabelledPage], detect: Detector) -> Score:
    """Match found boxes with true ones, best total overlap first (Hungarian), and count."""
    score = Score()
    for page in pages:
        found = detect(np.asarray(Image.open(page.picture).convert("RGB")))
        found = [found[i] for i in order_boxes(found, page.direction)]
        table = np.array([[overlap(a, b) for b in page.panels] for a in found]).reshape(len(found), len(page.panels))
        rows, columns = linear_sum_assignment(-table)
        matched = table[rows, columns]
        score.counts.append((len(page.panels), len(found), int((matched >= 0.5).sum()), int((matched >= EXACT).sum())))
        right = len(found) == len(page.panels) == int((matched >= EXACT).sum())
        score.exact += right
        score.ordered += right and columns.tolist() == sorted(columns.tolist())
    return score


def ours(image: np.ndarray) -> list[Box]:
    """The detector of this package."""
    return [panel.box for panel in detect_panels(image)]


def plain_cut(image: np.ndarray) -> list[Box]:
    """The floor: cut along rows and columns that are white from side to side, again and again."""
    white = (image.min(-1) > 235).astype(np.float32)
    done: list[Box] = []

    def cut(x0: int, y0: int, x1: int, y1: int) -> None:
        part = white[y0:y1, x0:x1]
        rows, columns = np.flatnonzero(part.mean(1) < 0.99), np.flatnonzero(part.mean(0) < 0.99)
        if not len(rows) or not len(columns):
            return
        x0, x1, y0, y1 = x0 + columns[0], x0 + columns[-1] + 1, y0 + rows[0], y0 + rows[-1] + 1
        part = white[y0:y1, x0:x1]
        for axis in (0, 1):
            gaps = np.flatnonzero(part.mean(1 - axis) >= 0.99)
            if len(gaps):
                at = int(gaps[len(gaps) // 2])
                if axis == 0:
                    cut(x0, y0, x1, y0 + at)
                    cut(x0, y0 + at, x1, y1)
                else:
                    cut(x0, y0, x0 + at, y1)
                    cut(x0 + at, y0, x1, y1)
                return
        if (x1 - x0) * (y1 - y0) >= 0.01 * white.size:
            done.append((int(x0), int(y0), int(x1), int(y1)))

    cut(0, 0, white.shape[1], white.shape[0])
    return [done[i] for i in order_boxes(done)]


def wilson(right: int, total: int) -> tuple[float, float]:
    """95 % Wilson score interval of a share."""
    z, share = 1.96, right / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * (share * (1 - share) / total + z * z / (4 * total * total)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def pages_per_second(data: Path, rounds: int = 4) -> tuple[float, float]:
    """Pages of about 1000x1400 a second on one core, decoding not counted: the detector and the floor.

    Each page counts with the least processor time of some rounds: other programs on the machine make that longer too,
    since they take caches and the other half of a core.
    """
    files = sorted((data / "pepper_carrot" / "lettered_en").glob("*.jpg"))[:12]
    files += sorted((data / "alarming_tales_1957" / "pages").glob("s1*.jpeg"))
    pages = [np.asarray(Image.open(file).convert("RGB").resize((1000, 1400))) for file in files]
    least = np.full((2, len(pages)), np.inf)
    for _ in range(rounds):
        for number, page in enumerate(pages):
            for who, detect in enumerate((ours, plain_cut)):
                begin = time.process_time()
                detect(page)
                least[who, number] = min(least[who, number], time.process_time() - begin)
    return len(pages) / float(least[0].sum()), len(pages) / float(least[1].sum())


def _box(value: Sequence[int]) -> Box:
    return value[0], value[1], value[2], value[3]


def _row(name: str, who: str, score: Score) -> str:
    pages = len(score.counts)
    parts = [f"{name:34s} {who:6s} {pages:3d}"]
    for column in (2, 3):
        low, high = score.interval(column)
        parts.append(f"{score.f1(column):.3f} [{low:.2f} {high:.2f}]")
    for right in (score.exact, score.ordered):
        low, high = wilson(right, pages)
        parts.append(f"{right / pages:6.1%} [{low:.2f} {high:.2f}]")
    return "  ".join(parts)


def show(title: str, score: Score, floor: Score, before: str) -> None:
    """The rows of docs/figures.md; `before` is what the previous detector had."""
    pages = len(score.counts)
    cells = [f"{ratio(one.f1(2))} / {ratio(one.f1(3))}" for one in (score, floor)]
    f1, exact = before.split(", ")
    figure(
        f"panels of {title}: F1 at IoU .5 / .7",
        f"{cells[0]} {between(*score.interval(2))}",
        f"floor {cells[1]}; previous detector {f1}",
    )
    interval = between(*wilson(score.ordered, pages))
    figure(
        f"pages with exactly the right panels in order, {title}",
        f"{score.ordered / pages:.0%} of {pages} {interval}",
        f"floor {floor.ordered / pages:.0%}; previous detector {exact}",
    )


def main() -> int:
    """Print the table; 3 when there is no data."""
    if DATA is None:
        print("COMICTOOL_TEST_DATA does not name a folder of test comics", file=sys.stderr)
        return 3
    print(f"{'set':34s} {'who':6s} {'n':>3s}  {'F1 at .5':17s}  {'F1 at .7':17s}  {'exact pages':18s}  with order")
    sets = labelled(DATA)
    for name, pages in sets.items():
        if not name.startswith("without"):
            scores = evaluate(pages, ours), evaluate(pages, plain_cut)
            print(_row(name, "ours", scores[0]))
            print(_row("", "floor", scores[1]))
            if name in SHOWN:
                show(SHOWN[name], *scores, PREVIOUS[name])
    totals = {"ours": [0, 0], "floor": [0, 0]}
    for name, pages in sets.items():
        if name.startswith("without"):
            for who, detect in (("ours", ours), ("floor", plain_cut)):
                score = evaluate(pages, detect)
                invented = sum(row[1] for row in score.counts)
                wrong = len(pages) - score.exact
                print(f"{name:34s} {who:6s} {len(pages):3d}  {invented} panels invented on {wrong} pages")
                totals[who] = [totals[who][0] + invented, totals[who][1] + wrong]
    without = sum(len(pages) for name, pages in sets.items() if name.startswith("without"))
    cells = [f"{invented} on {wrong} pages" for invented, wrong in totals.values()]
    rivals = f"floor {cells[1]}; previous detector {PREVIOUS['without']}"
    figure(f"panels invented on {without} pages without any", cells[0], rivals)
    speeds = [f"{speed:.1f} pages/s" for speed in pages_per_second(DATA)]
    rivals = f"floor {speeds[1]}; previous detector {PREVIOUS['speed']}"
    figure("panel detection, one core, 1000x1400, CPU time", speeds[0], rivals)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
