"""How well panels are found on drawn pages that are hard to cut: `python -m tests.bench.drawn_panels [LAYOUT ...]`.

One row for each of `drawn.plan.LAYOUTS`: F1 at IoU .5 and .7, the share of pages with exactly the right boxes (IoU .7),
with the right order too, and pages on which nothing was found; the floor of `bench.panels` beside. The truth is what
was drawn. Settings may be chosen on the pages of `--seed 0`, so figures are of `--seed 1` and above.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from comictool.corpus.order import order_boxes
from comictool.drawn.corpus import encode_page
from comictool.drawn.page import draw_page
from comictool.drawn.plan import LAYOUTS
from comictool.panels.detect import detect_panels
from tests.bench.figures import arguments, figure, ratio
from tests.bench.panels import Box, LabelledPage, Score, evaluate, plain_cut

# Pages are small, as the hardest of each kind are: 600x837 is a manga page in low resolution
SIZES = {"manga": (1200, 1698), "slanted": (600, 837), "webtoon": (600, 2800), "pencil": (1200, 1698)}
OTHERS = (800, 1120)


def draw(layout: str, count: int, seed: int, folder: Path) -> list[LabelledPage]:
    """Draw pages of a layout, each from another comic, as files."""
    width, height = SIZES.get(layout, OTHERS)
    pages = []
    for comic in range(1, count + 1):
        page = draw_page(seed, comic, 1 + comic % 7, width=width, height=height, layout=layout)
        data, suffix = encode_page(page)
        file = folder / f"{layout}-{comic}{suffix}"
        file.write_bytes(data)
        pages.append(LabelledPage(file, [panel.box for panel in page.record.panels], page.record.direction))
    return pages


def scores(layout: str, count: int, seed: int) -> tuple[Score, Score]:
    """The detector of this package and the floor on the same pages, both with the reading direction given."""
    direction = LAYOUTS[layout].direction

    def ours(image: np.ndarray) -> list[Box]:
        return [panel.box for panel in detect_panels(image, direction=direction)]

    def floor(image: np.ndarray) -> list[Box]:
        boxes = plain_cut(image)
        return [boxes[i] for i in order_boxes(boxes, direction)]

    with tempfile.TemporaryDirectory() as folder:
        pages = draw(layout, count, seed, Path(folder))
        return evaluate(pages, ours), evaluate(pages, floor)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("layouts", nargs="*", metavar="LAYOUT", help=f"of {', '.join(LAYOUTS)}; all by default")
    parser.add_argument("--pages", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments())
    rows: dict[str, list[str]] = {}
    print("| layout | who | pages | F1 at .5 | F1 at .7 | exact pages | with order | nothing found |")
    print(f"|{' --- |' * 8}")
    for layout in asked.layouts or LAYOUTS:
        for who, score in zip(("ours", "floor"), scores(layout, asked.pages, asked.seed), strict=True):
            counts = np.array(score.counts)
            pages = len(counts)
            if not counts[:, 0].any():
                print(
                    f"| {layout} | {who} | {pages} | {counts[:, 1].sum()} invented | | {score.exact / pages:.0%} | | |"
                )
                rows.setdefault(layout, []).append(f"{counts[:, 1].sum()} on {pages - score.exact} pages")
                continue
            shares = f"{score.exact / pages:.0%} | {score.ordered / pages:.0%} | {(counts[:, 1] == 0).sum()}"
            print(f"| {layout} | {who} | {pages} | {score.f1(2):.3f} | {score.f1(3):.3f} | {shares} |", flush=True)
            cell = f"{ratio(score.f1(2))} / {ratio(score.f1(3))}, {score.ordered / pages:.0%}"
            rows.setdefault(layout, []).append(f"{cell}, {(counts[:, 1] == 0).sum()}")
    for layout, (ours, floor) in rows.items():
        what = "F1 at IoU .5 / .7, exact pages in order, pages with nothing found"
        if layout == "picture":
            what = "panels invented"
        figure(f"{asked.pages} drawn pages, {layout}: {what}", ours, f"floor {floor}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
