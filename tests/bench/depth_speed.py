"""How long the challenge's 3,558 segments on 20 pages take, a pass a page, against a pass for every segment.

    python -m tests.bench.depth_speed [PLUGIN] [--write]

Pages and segments are made up: boxes and outlines at seeded places, as many as the challenge has. The rival does what
a network that takes a crop of each segment must do; it is timed on some of them.
"""

from __future__ import annotations

import resource
import time

import numpy as np

from comictool.corpus.records import Panel
from comictool.depth.maps import cut
from comictool.depth.predicting import predictor_of
from comictool.depth.segments import Segment
from comictool.plugins.load import EncoderSpec, load_model
from tests.bench.figures import arguments, figure

PAGES, SEGMENTS = 20, 3558
WIDTH, HEIGHT = 1000, 1400
RIVALS = 60  # segments that the rival is timed on


def page(number: int) -> tuple[np.ndarray, list[Segment], list[Panel]]:
    """A page of 3 x 2 panels with its share of the segments."""
    random = np.random.default_rng(number)
    picture = np.kron(random.integers(0, 256, (28, 20, 3), np.uint8), np.ones((50, 50, 1), np.uint8))
    boxes = [(c * 500 + 10, r * 466 + 10, c * 500 + 490, r * 466 + 456) for r in range(3) for c in range(2)]
    panels = [Panel(n, box, n) for n, box in enumerate(boxes, start=1)]
    count = SEGMENTS // PAGES + (number < SEGMENTS % PAGES)
    segments = []
    for index in range(count):
        panel = panels[index % 6]
        x0, y0, x1, y1 = panel.box
        width, height = random.integers(20, 200, 2)
        x, y = int(random.integers(x0, x1 - width)), int(random.integers(y0, y1 - height))
        middle, reach = np.array([x + width / 2, y + height / 2]), np.array([width / 2, height / 2])
        angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        outline = tuple(
            (float(px), float(py)) for px, py in middle + reach * np.stack([np.cos(angles), np.sin(angles)], 1)
        )
        box = (x, y, int(x + width), int(y + height))
        segments.append(Segment(number * 1000 + index, number, 1, "thing", panel.id, box, (outline,)))
    return picture, segments, panels


def main() -> None:
    """Time both, and the memory of all pages against that of one."""
    (name,) = arguments() or ["depth_small"]
    model = load_model(EncoderSpec(name), "depth")
    predictor = predictor_of(model)
    picture, segments, panels = page(0)
    predictor.predict(picture, segments, panels)  # warm
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, done = time.perf_counter(), 0
    for number in range(PAGES):
        done += len(predictor.predict(*page(number)))
    ours = time.perf_counter() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    start = time.perf_counter()
    for segment in segments[:RIVALS]:
        model.depth([cut(picture, segment.box)])
    rival = (time.perf_counter() - start) / RIVALS * SEGMENTS
    figure(
        f"depth of {done:,} segments on {PAGES} pages, `{name}`",
        f"{ours:.1f} s, {grown:.0f} MB more than one page",
        f"a pass for every segment: {rival:.0f} s, {rival / ours:.0f} times as long",
    )


if __name__ == "__main__":
    main()
