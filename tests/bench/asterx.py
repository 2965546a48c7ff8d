"""ASTERX on drawn stories: what is learnt from pages in order, and what is left when panels are shuffled.

    python -m tests.bench.asterx [--comics 150] [--seed 31] [--keep FOLDER] [--write]

Draws comics with a visible direction of time (`data draw --story`), takes the classic plugin's panel vectors, and
trains the preset `tiny` three times: on the comics as they are; with the panels of each comic shuffled, so that only
chance is left for the order; and with all panels of a split shuffled, so that only chance is left for the hidden panel
too. Prints the metrics on the test comics (a fifth of all), which neither training nor the choice of the best weights
has seen, and the time that candidates take.

How stories are drawn and the preset were settled on seed 12; other seeds draw other casts, places, styles and layouts.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch

from comictool.asterx.config import PRESETS, RECIPE, AsterxConfig
from comictool.asterx.data import panels_of
from comictool.asterx.evaluate import EvaluateOptions, evaluate
from comictool.asterx.keys import PanelKey
from comictool.asterx.sampling import STRATEGIES, CandidateSampler
from comictool.asterx.weights import load_sequence_model
from comictool.core.files import write_text
from comictool.datasets.splitting.split import SplitOptions, split_dataset
from comictool.drawn.corpus import draw_corpus
from comictool.features.backbone import backbone_features
from comictool.formats.registry import open_any
from comictool.measure.metrics import Metric
from comictool.plugins.load import EncoderSpec
from comictool.training.config import resolve
from comictool.training.engine import RunOptions, train
from comictool.vectors.job import EmbedOptions
from comictool.vectors.packs import write_features
from comictool.vectors.tables import Table
from tests.bench.figures import RESULTS, WRITE, arguments, between, figure, ratio

SPLITS = ("train", "val", "test")
RATIOS = (0.7, 0.1, 0.2)  # intervals are over comics, so the test takes more of them than is usual
SHOWN = ("order accuracy, model", "top-1 of 200", "top-1 of all panels", "top-5 of 200")


def draw(folder: Path, comics: int, seed: int) -> Path:
    """Panel features of drawn stories, split by comic."""
    corpus, features = folder / "corpus", folder / "features"
    draw_corpus(corpus, 10 * comics, seed=seed, story=True, width=300, height=420)
    split_dataset(open_any(corpus), split=SplitOptions(ratios=RATIOS))
    backbone_features(corpus, EncoderSpec("classic"), features, EmbedOptions(("panel",), dtype="float32"))
    return features


def shuffled(features: Path, target: Path, how: str) -> Path:
    """The same packs with vectors in another order: within each comic, or over the whole split."""
    for number, split in enumerate(SPLITS):
        panels = panels_of(features, split)
        rng, order = np.random.default_rng([5, number]), np.arange(len(panels))
        if how == "comic":
            for start, end in zip(panels.offsets[:-1], panels.offsets[1:], strict=True):
                order[start:end] = rng.permutation(order[start:end])
        else:
            order = rng.permutation(order)
        _write(target, split, replace(panels, vectors=panels.vectors[order]))
    return target


def _write(folder: Path, split: str, panels: Table) -> None:
    comics = {comic: panels.comic(number) for number, comic in enumerate(panels.comics)}
    write_features(folder / f"{split}_features.hdf5", f"{split}_features", comics, {"encoder_id": panels.origin})


def learn(features: Path, run: Path, sets: list[str]) -> list[Metric]:
    """Train `tiny` and measure it on the test comics."""
    resolved = resolve(AsterxConfig, PRESETS, preset="tiny", sets=sets)
    train(RECIPE, resolved, {"features": features}, run, RunOptions(device="cpu"))
    metrics, _ = evaluate(features, load_sequence_model(run), chosen=EvaluateOptions(split="test", candidates=(200, 0)))
    return metrics


def table(options: argparse.Namespace, comics: int, found: list[tuple[str, Metric]]) -> str:
    """The metrics as Markdown."""
    sets = "".join(f" --set {text}" for text in options.set)
    lines = [
        f"# ASTERX on drawn stories, {date.today().isoformat()}",
        "",
        f"`python -m tests.bench.asterx --comics {options.comics} --seed {options.seed}{sets}`",
        "",
        f"Plugin classic, preset tiny, {comics} test comics; 95 % by comics. Panels shuffled within their",
        "comic have no order left but are still alike, which finding uses; shuffled over the split they have neither.",
        "",
        "| panels | metric | value | 95 % | chance | times chance |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, metric in found:
        interval = f"[{metric.low:.3f}, {metric.high:.3f}]"
        lines.append(
            f"| {name} | {metric.name} | {metric.value:.3f} | {interval} | {metric.chance:.3f} | {_times(metric)} |"
        )
    return "\n".join(lines) + "\n"


def _times(metric: Metric) -> str:
    return f"{metric.value / metric.chance:.1f}" if metric.chance else ""


def candidates() -> None:
    """Milliseconds of processor and of wall for a batch of 32 with 500 candidates: drawing them, and their vectors."""
    print("\ncandidates of a batch of 32, 500 each, 384 numbers, 100,000 panels: processor ms / wall ms")
    matrix = np.random.default_rng(0).normal(size=(100_000, 384)).astype(np.float32)
    rows, generators = np.arange(32) * 3000, [np.random.default_rng(n) for n in range(32)]
    vectors = torch.from_numpy(matrix)
    drawn = torch.zeros(0)
    for strategy in STRATEGIES:
        sampler = CandidateSampler(matrix, PanelKey(), count=500, strategy=strategy)
        drawn = torch.from_numpy(sampler.draw(rows, generators)["candidates"][:, :500].copy())
        print(f"  drawing, {strategy:9}", _timed(lambda s=sampler: s.draw(rows, generators)))
    gather = _timed(lambda: vectors.index_select(0, drawn.flatten()).reshape(32, -1, 384))
    print(f"  gathering vectors  {gather}")


def _timed(work: object, times: int = 20) -> str:
    assert callable(work)
    work()
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(times):
        work()
    return f"{(time.process_time() - cpu) / times * 1e3:6.1f} / {(time.perf_counter() - wall) / times * 1e3:6.1f}"


def main() -> None:
    """Print it all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comics", type=int, default=150)
    parser.add_argument("--seed", type=int, default=31, help="of the drawing")
    parser.add_argument("--keep", type=Path, help="work here, and take what is here already")
    parser.add_argument("--set", action="append", default=[], help="a setting of the recipe")
    options = parser.parse_args(arguments())
    torch.set_num_threads(1)  # a small model gains nothing from more
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        began, cpu = time.perf_counter(), time.process_time()
        features = draw(folder, options.comics, options.seed)
        took = time.perf_counter() - began
        print(f"{options.comics} comics of seed {options.seed} drawn and described in {took:.0f} s")
        print(f"{'panels':28}{'metric':44}{'value':>8}{'low':>8}{'high':>8}{'chance':>8}{'times':>8}")
        found = []
        for name, how in (("in order", ""), ("shuffled within comics", "comic"), ("shuffled over the split", "split")):
            source = shuffled(features, folder / f"features-{how}", how) if how else features
            for metric in learn(source, folder / f"run-{how or 'order'}", options.set):
                if metric.name.startswith(SHOWN):
                    found.append((name, metric))
                    numbers = (metric.value, metric.low, metric.high, metric.chance)
                    print(f"{name:28}{metric.name:44}" + "".join(f"{n:8.3f}" for n in numbers) + f"{_times(metric):>8}")
        order, hidden = (
            {name: m for name, m in found if m.name == wanted}
            for wanted in ("order accuracy, model", "top-1 of 200 candidates, model")
        )
        if hidden:  # few comics have no 200 candidates
            figure(
                f"ASTERX, preset `tiny`, {options.comics // 5} held-out drawn stories: "
                "order / hidden panel first of 200",
                " / ".join(
                    f"{ratio(m['in order'].value)} {between(m['in order'].low, m['in order'].high)}"
                    for m in (order, hidden)
                ),
                f"chance .5 / .005; shuffled within comics {ratio(order['shuffled within comics'].value)} / "
                f"{ratio(hidden['shuffled within comics'].value)}",
            )
        if WRITE in sys.argv:
            write_text(RESULTS / "asterx.md", table(options, len(panels_of(features, "test").comics), found))
        print(f"{time.perf_counter() - began:.0f} s, {time.process_time() - cpu:.0f} s of this process")
    candidates()


if __name__ == "__main__":
    main()
