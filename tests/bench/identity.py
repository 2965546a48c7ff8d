"""Faces and bodies of drawn characters: what each stage of `train ssl` and `train reid` adds.

    python -m tests.bench.identity [--folder FOLDER] [--seeds 3] [--write]

The preset tiny of both recipes on one drawn corpus, measured on another, neither of which the presets were tuned on.
Every instance asks among those of its comic on other pages. For each seed: the network with its initial weights,
SimCLR on faces and bodies, the same with the face-to-body term (`identity`), and upon that a head learned from names,
with the encoder frozen, and with it tuned. It can be stopped and resumes: corpora, runs and answers stay in the folder.

Rows of one table ask about the same instances, those with both halves: by both, by the body alone, by the face alone,
and a face among bodies.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from comictool.core.files import write_json, write_text
from comictool.drawn.corpus import draw_corpus
from comictool.identity.instances import BODY, FACE, hold
from comictool.identity.reid_settings import RECIPE as REID
from comictool.identity.reid_task import ReidTask
from comictool.identity.sources import open_instances
from comictool.identity.ssl_settings import RECIPE as SSL
from comictool.identity.ssl_task import SslTask, input_of
from comictool.identity.validation import Question, Validation, joined
from comictool.measure.chance import random_rank
from comictool.measure.metrics import Metric, share, statistic
from comictool.training.checkpoints import load_checkpoint
from comictool.training.engine import RunOptions, train
from tests.bench.figures import RESULTS, WRITE, arguments, between, figure, ratio

STYLE = "flat"
PARTS = {"train": (120, 271), "test": (100, 272)}  # pages and seed; tuned on 171 and 173
COMMON = ["data.split=all", "data.validation=''", "training.workers=0", "training.precision=fp32"]
ASKED = ("both", "body", "face", "face to body")
STEPS = ("untrained", "simclr", "identity", "reid, frozen", "reid, tuned")


def one_seed(folder: Path, seed: int) -> dict[str, Any]:
    """The answers of every step; those that are there already are read back."""
    found: dict[str, Any] = {}
    source = {"data": folder / "train"}
    for step in STEPS:
        result = folder / "results" / f"{step.replace(', ', '-')}-{seed}.json"
        if result.is_file():
            found[step] = json.loads(result.read_text("utf-8"))
            continue
        began = time.process_time()
        run = folder / "runs" / f"{step.replace(', ', '-')}-{seed}"
        if step.startswith("reid"):
            tuned = ["model.tune=all", "training.epochs=15"] if step.endswith("tuned") else []
            resolved = REID.resolve(preset="tiny", sets=[*COMMON, f"training.seed={seed}", *tuned])
            sources = {**source, "encoder": folder / "runs" / f"identity-{seed}" / "model"}
            train(REID, resolved, sources, run, RunOptions(device="cpu"))
            task = REID.build(resolved.config, sources, torch.device("cpu")).task
        else:
            objective = "identity" if step == "untrained" else step
            sets = [*COMMON, f"training.seed={seed}", f"loss.objective={objective}"]
            resolved = SSL.resolve(preset="tiny", sets=sets)
            if step != "untrained":
                train(SSL, resolved, source, run, RunOptions(device="cpu"))
            task = SSL.build(resolved.config, source, torch.device("cpu")).task
        if step != "untrained":
            task.load_state_dict(load_checkpoint(run / "checkpoints" / "last.pt")["task"])
        found[step] = {"seconds": time.process_time() - began, "asked": measured(folder, task.eval(), resolved.config)}
        write_json(result, found[step])
        shown = {name: round(float(np.mean(part["right"])), 3) for name, part in found[step]["asked"].items()}
        print(f"seed {seed}, {step}: {shown} after {found[step]['seconds']:.0f} s", file=sys.stderr, flush=True)
    return found


def measured(folder: Path, task: Any, config: Any) -> dict[str, dict[str, list[float]]]:
    """For each way of asking: whether each query is right, chance, and its page."""
    assert isinstance(task, SslTask | ReidTask)
    spec = task.spec if isinstance(task, ReidTask) else input_of(config)
    crops = hold(open_instances(folder / "test"), min_side=16, source_side=2 * max(spec.size), cache=512)
    both = [instance for instance in crops.table.instances if len(instance.halves) == 2]
    crops.table = crops.table.only(both)
    validation = Validation(crops, spec, same_page=False)
    if isinstance(task, ReidTask):
        parts = task.slices(validation.encoded(task._features, "cpu"))
        vectors = {"both": parts["both"], "body": parts["body"], "face": parts["face"]}
    else:
        halves = validation.halves(task.encoder.backbone)
        vectors = {"both": joined(halves), "body": halves[BODY], "face": halves[FACE]}
    found = {}
    for name in ASKED:
        asking, gallery = ("face", "body") if name == "face to body" else (name, name)
        answers = validation.ask(Question(vectors[asking], vectors[gallery]))
        known = validation.ask(Question(np.zeros_like(vectors[asking]), np.zeros_like(vectors[gallery])))
        pages = _pages(validation)
        found[name] = {
            "right": answers.within(1).tolist(),
            "chance": random_rank(known.tied, known.right, 1).tolist(),  # all candidates tie: what guessing gets
            "pages": pages,
        }
    return found


def _pages(validation: Validation) -> list[str]:
    """The page of each query, in the order in which the questions are asked."""
    every = validation.table.instances
    named = {s: [i for i in every if i.series == s and i.identity] for s in validation_series(validation)}
    pages = []
    for own in named.values():
        for asking in own:
            others = [i for i in own if i.page != asking.page and i.identity == asking.identity]
            if others:
                pages.append(asking.page_id)
    return pages


def validation_series(validation: Validation) -> list[str]:
    """The series in the order of their first instance."""
    return list(dict.fromkeys(instance.series for instance in validation.table.instances))


def metric(name: str, parts: Sequence[dict[str, list[float]]]) -> Metric:
    """The mean over seeds; the interval by drawing pages, with the answers of all seeds about them."""
    right = np.mean([part["right"] for part in parts], axis=0)
    return share(name, right, float(np.mean(parts[0]["chance"])), groups=parts[0]["pages"])


def gain(after: Sequence[dict[str, list[float]]], before: Sequence[dict[str, list[float]]]) -> Metric:
    """How much more of the queries are right, paired."""
    change = np.mean([a["right"] for a in after], axis=0) - np.mean([b["right"] for b in before], axis=0)
    pages = after[0]["pages"]
    return statistic("gain", len(change), lambda rows: float(change[rows].mean()), 0.0, groups=pages)


def table(seeds: list[dict[str, Any]]) -> str:
    """The whole result as Markdown."""
    lines = [
        f"Drawn comics, style {STYLE}, seeds {PARTS['train'][1]} (trained on), {PARTS['test'][1]} (asked about);",
        f"{len(seeds)} seeds of training. Rank-1 among instances of the comic on other pages; 95 % intervals by page.",
        "",
        "| step | " + " | ".join(ASKED) + " | processor seconds |",
        "| --- |" + " --- |" * (len(ASKED) + 1),
    ]
    for step in STEPS:
        cells = []
        for name in ASKED:
            found = metric(name, [seed[step]["asked"][name] for seed in seeds])
            cells.append(f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]")
        spent = np.mean([seed[step]["seconds"] for seed in seeds])
        lines.append(f"| {step} | " + " | ".join(cells) + f" | {spent:.0f} |")
    chance = [f"{np.mean(seeds[0][STEPS[0]]['asked'][name]['chance']):.3f}" for name in ASKED]
    lines.append("| chance | " + " | ".join(chance) + " | |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Draw, train what is missing, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("identity-bench"))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args(arguments())
    torch.set_num_threads(1)
    for part, (pages, seed) in PARTS.items():
        draw_corpus(options.folder / part, pages, seed=seed, style=STYLE)
    seeds = [one_seed(options.folder, seed) for seed in range(options.seeds)]
    print(table(seeds))

    def of(step: str, name: str) -> list[dict[str, list[float]]]:
        return [seed[step]["asked"][name] for seed in seeds]

    def shown(step: str, name: str) -> str:
        found = metric(name, of(step, name))
        return f"{ratio(found.value)} {between(found.low, found.high)}"

    def gained(after: str, before: str, name: str) -> str:
        found = gain(of(after, name), of(before, name))
        return f"{found.value:+.3f} {between(found.low, found.high)}"

    count = f"{options.seeds} seed" + "s" * (options.seeds > 1)
    pages = f"held-out drawn comics, other pages, {count}"
    chance = ratio(metric("both", of("untrained", "both")).chance)
    figure(
        f"`train ssl`, preset `tiny`, rank-1 of characters by face and body, {pages}",
        shown("identity", "both"),
        f"untrained {ratio(metric('', of('untrained', 'both')).value)}; chance {chance}; "
        f"gain {gained('identity', 'untrained', 'both')}",
    )
    figure(
        f"the same, a face asked among bodies: identity-aware, {pages}",
        shown("identity", "face to body"),
        f"SimCLR without the face-to-body term {shown('simclr', 'face to body')}; "
        f"gain {gained('identity', 'simclr', 'face to body')}",
    )
    figure(
        f"`train reid` upon it, encoder frozen / tuned, rank-1 by face and body, {pages}",
        f"{shown('reid, frozen', 'both')} / {shown('reid, tuned', 'both')}",
        f"gain of tuning over `train ssl` {gained('reid, tuned', 'identity', 'both')}",
    )
    figure(
        f"the same, tuned, by the body alone / the face alone, {pages}",
        f"{shown('reid, tuned', 'body')} / {shown('reid, tuned', 'face')}",
        f"both {shown('reid, tuned', 'both')}",
    )
    if WRITE in sys.argv:
        write_text(RESULTS / "identity.md", table(seeds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
