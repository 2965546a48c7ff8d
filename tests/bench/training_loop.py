"""Does loading starve the model? `python -m tests.bench.training_loop [RECIPE SOURCE] [--set KEY=VALUE ...]`.

The time of a step with loading, divided by that of pure forward, backward and update on batches that are in memory
already; same process, same threads, blocks of steps in turns; median of the blocks' quotients. Before a block with
loading the batches that workers kept ready are used up, before one without the workers come to rest. Asked for: at most
1.10 on two cores with `tiny`. Each line is one way of loading: in the training process, and as `workers = -1` chooses.
Without arguments the synthetic recipe is measured.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command sets it

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from comictool.core.device import choose_device, choose_precision
from comictool.training.config import resolve
from comictool.training.declaration import Recipe, find_recipe
from comictool.training.loading import AHEAD, Batches, to_device
from comictool.training.optimizing import clip, set_schedules
from comictool.training.run import Run, build
from comictool.training.run_folder import RunFolder
from tests.bench.figures import arguments, figure
from tests.training import synthetic

WARM, BLOCK, BLOCKS = 8, 10, 7  # steps: before anything counts, in a block; blocks of each kind
REST = 0.5  # seconds after which workers have filled their queues
SOURCES = {"asterx": "features", "elric": "data"}


def update(run: Run, batch: Any) -> None:
    """What the model itself costs in a step: forward, backward, clipping, update."""
    run.task.before_batch(run.state)
    set_schedules(run.optimizer, run.options, run.state)
    with run.autocast():
        outputs = run.model(batch)
    outputs["loss"].backward()
    run.task.before_update(run.state)
    clip(run.task.parameters(), run.options.clip_norm)
    run.optimizer.step()
    run.optimizer.zero_grad(set_to_none=True)
    run.state.step += 1
    run.task.after_update(run.state)


def ratio(recipe: Recipe, sources: Mapping[str, Path], sets: list[str], workers: int) -> dict[str, Any]:
    """Median seconds of a step with loading and without, their quotient, and the workers that were used."""
    sets = [*sets, f"training.workers={workers}", "training.max_steps=100000"]
    resolved = resolve(recipe.config, recipe.presets, preset="tiny", sets=sets)
    device = choose_device("auto")
    with tempfile.TemporaryDirectory() as folder:
        run = build(recipe, resolved, sources, RunFolder(Path(folder)), device, choose_precision("auto", device))
        run.task.train()
        batches = Batches(run.prepared.data, run.plan.keys(0, 0, 1), workers=workers, device=run.device)
        for _ in range(WARM):
            update(run, to_device(next(batches), run.device))
        kept = [to_device(next(batches), run.device) for _ in range(2)]
        with_loading, pure = [], []
        for _ in range(BLOCKS):
            time.sleep(REST if batches.workers else 0.0)
            began = time.perf_counter()
            for number in range(BLOCK):
                update(run, kept[number % len(kept)])
            pure.append((time.perf_counter() - began) / BLOCK)
            for _ in range((AHEAD + 1) * batches.workers):
                update(run, to_device(next(batches), run.device))
            began = time.perf_counter()
            for _ in range(BLOCK):
                update(run, to_device(next(batches), run.device))
            with_loading.append((time.perf_counter() - began) / BLOCK)
        batches.close()
        began = time.perf_counter()
        for keys in itertools.islice(run.plan.keys(0, 0, 1), BLOCK):
            run.prepared.data.load(keys)
        load = (time.perf_counter() - began) / BLOCK
    quotients = sorted(one / other for one, other in zip(with_loading, pure, strict=True))
    return {
        "workers": batches.workers,
        "loop ms": 1e3 * statistics.median(with_loading),
        "model ms": 1e3 * statistics.median(pure),
        "load ms": 1e3 * load,
        "ratio": statistics.median(quotients),
        "least": quotients[0],
        "most": quotients[-1],
    }


def main() -> None:
    """Print one line for each way of loading."""
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe", nargs="?")
    parser.add_argument("source", nargs="?", type=Path)
    parser.add_argument("--set", action="append", default=[])
    given = parser.parse_args(arguments())
    recipe, sources, sets = synthetic.RECIPE, {}, given.set
    if given.recipe:
        recipe, sources = find_recipe(given.recipe), {SOURCES[given.recipe]: given.source}
    else:
        sets = ["samples=4096", "training.batch_size=512", "model.width=768", "model.depth=6", *sets]
    print(f"{recipe.name}, tiny, {torch.get_num_threads()} threads")
    for workers in (0, -1):
        found = ratio(recipe, sources, sets, workers)
        print("  " + ", ".join(f"{k} {v:.3g}" for k, v in found.items()), flush=True)
        if workers:
            figure(
                f"a training step of {recipe.name} with loading, `tiny`, {torch.get_num_threads()} threads",
                f"{found['ratio']:.2f} times the model alone",
                "asked for 1.10",
            )


if __name__ == "__main__":
    main()
