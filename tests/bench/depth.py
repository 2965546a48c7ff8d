"""How well depth networks order what is in a panel: `python -m tests.bench.depth [PLUGIN...]`.

On drawn comics of a seed and in styles that the shipped network never saw, whose ranks are exact, beside the best rule
about boxes (lower, taller, larger, over), which sees the same segments; and on point pairs of real panels, when there
are any, beside "lower is nearer". Nothing is chosen here: settings were chosen on other drawn comics.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from comictool.core.jobs import JobOptions
from comictool.depth.baselines import GEOMETRY
from comictool.depth.evaluate import PluginMaps, Said, evaluate
from comictool.depth.predicting import DensePredictor, predictor_of
from comictool.drawn.corpus import draw_corpus
from comictool.measure.metrics import Metric
from comictool.plugins.load import EncoderSpec, load_model
from tests.bench.figures import arguments, between, figure, ratio

STYLES = ("duotone", "hatching")  # left out when depth_small was trained
SEED = 20_901  # of the drawing; depth_small has seed 77
PAGES = 24  # of each style
PAIRS = "COMICTOOL_TEST_DATA"


def shown(metric: Metric) -> str:
    """A share with its interval and what it is of."""
    return f"{ratio(metric.value)} {between(metric.low, metric.high)} of {metric.count}"


def floor(metric: Metric) -> str:
    """The best rule about boxes, by name, and the means of categories, which are fitted to this very truth."""
    floors = {name: value for name, value in metric.details["floors"].items() if value is not None}
    best = max(floors.keys() & GEOMETRY.keys(), key=lambda name: (floors[name], name))
    fitted = f"; means of its categories {ratio(floors['category'])}" if "category" in floors else ""
    return f"{best} {ratio(floors[best])}{fitted}"


def main() -> None:
    """Print the table."""
    names = [*arguments()] or ["depth_small"]
    with tempfile.TemporaryDirectory() as folder:
        for style in STYLES:
            place = Path(folder, style)
            draw_corpus(place, PAGES, seed=SEED, comic_pages=4, style=style, options=JobOptions(jobs=1))
        for name in names:
            model = load_model(EncoderSpec(name, device="cpu"), "depth")
            own = model.manifest.id
            for style in STYLES:
                metrics = {m.name: m for m in evaluate(Path(folder, style), Said(own, model=model)).metrics}
                order = metrics["order inter"]
                what = f"{own}: order of things in a panel, drawn in {style}, which it never saw"
                figure(what, shown(order), floor(order))
            pairs = Path(os.environ.get(PAIRS, ""), "depth_pairs", "pairs.json")
            if os.environ.get(PAIRS) and isinstance(predictor_of(model), DensePredictor):
                found = evaluate(pairs, Said(own, model=model, maps=PluginMaps(model)), pictures=pairs.parents[1])
                for metric in found.metrics:
                    if metric.name.startswith("pairs"):
                        figure(f"{own}: real panels, {metric.name}", shown(metric), floor(metric))
            figure(f"{own}: panels of 500 x 465 a second, one core", f"{speed(model):.1f}", "2 asked for")


def speed(model: object) -> float:
    """Panels a second of CPU: the machine may be shared."""
    from comictool.plugins.answers import trial_pictures

    panel = trial_pictures(1)[0].repeat(3, 0)[:465].repeat(2, 1)[:, :500].copy()
    model.depth([panel])  # type: ignore[attr-defined]
    began, count = time.process_time(), 0
    while time.process_time() - began < 3:
        model.depth([panel])  # type: ignore[attr-defined]
        count += 1
    return count / (time.process_time() - began)


if __name__ == "__main__":
    main()
