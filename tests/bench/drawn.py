"""How fast pages are drawn, encoded and labelled: `python -m tests.bench.drawn [--pages N]`, one core.

The floor is what the library needs to be pleasant to make (5 pages/s); encoding alone is printed as the bound.
"""

from __future__ import annotations

import argparse
import time

from comictool.drawn.corpus import encode_page
from comictool.drawn.depth import encode_png16
from comictool.drawn.inks import STYLES
from comictool.drawn.page import draw_page
from tests.bench.figures import arguments, figure

FLOOR = 5.0  # pages per second and core, 1000x1400


def main() -> None:
    """Print pages/s/core for every style and over a mixed corpus."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pages", type=int, default=10)
    pages = parser.parse_args(arguments()).pages
    print(f"{'style':<12} {'draw ms':>8} {'encode ms':>10} {'pages/s':>8}   (CPU time, 1000x1400, floor {FLOOR})")
    total = drawn = 0.0
    for comic, style in enumerate(STYLES, start=1):
        draw_page(7, comic, 2, style=style)  # screens of the style are made once a process
        drawing = encoding = 0.0
        for page in range(1, pages + 1):
            began = time.process_time()
            result = draw_page(7, comic, page, style=style)
            middle = time.process_time()
            encode_page(result)
            encode_png16(result.depth)
            drawing += middle - began
            encoding += time.process_time() - middle
        total += drawing + encoding
        drawn += pages
        rate = pages / (drawing + encoding)
        print(f"{style:<12} {1000 * drawing / pages:8.1f} {1000 * encoding / pages:10.1f} {rate:8.1f}")
    verdict = "kept" if drawn / total >= FLOOR else "MISSED"
    print(f"{'all':<12} {'':>8} {'':>10} {drawn / total:8.1f}   floor {FLOOR}: {verdict}")
    figure("drawing labelled pages, one core", f"{drawn / total:.0f} pages/s", f"asked for {FLOOR:.0f}")


if __name__ == "__main__":
    main()
