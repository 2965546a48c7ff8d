"""ELRIC measured on drawn characters.

    python -m tests.bench.elric ablation [--folder FOLDER] [--seeds 3] [--write]
    python -m tests.bench.elric crops

`ablation`: the preset tiny on one drawn corpus, measured on two others, none of which the preset was tuned on; every
context mode with every seed, and two counter-measures against the shortcut that a context offers. Beside each run
stands the network that it began from, with the very same initial weights. It can be stopped at any time and
resumes; the corpora, the runs and their metrics stay in the folder.

The context of a panel is the mean of the classic vectors (no weights) of the five panels around it, within its comic:
what a window of ASTERX sees, without training. `masked` leaves the panel itself out. Metrics: 5-NN accuracy and mAP of
each character among those of its own comic on other pages (`comictool evaluate elric`).

`crops`: pictures a second of the published ten-crop augmentation and of the preset tiny, on one core.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from comictool.core.errors import Stopped
from comictool.core.files import write_json, write_text
from comictool.core.images import decode_array
from comictool.corpus.corpus import Corpus
from comictool.drawn.corpus import draw_corpus
from comictool.elric.evaluate import embed_characters, gather
from comictool.elric.identity import Pooled, knn_within_comics, retrieval_within_comics
from comictool.elric.settings import RECIPE
from comictool.measure.metrics import Metric, statistic
from comictool.plugins.load import EncoderSpec, load_plugin
from comictool.selfsup.crops import multi_crop
from comictool.selfsup.options import CropOptions
from comictool.training.config import resolve
from comictool.training.engine import RunOptions, train
from comictool.vectors.encoders import LazyEncoder
from comictool.vectors.packs import write_features
from tests.bench.figures import RESULTS, WRITE, arguments, between, figure, ratio

STYLE = "flat"
PARTS = {"train": (200, 71), "test": (120, 72), "fresh": (120, 82)}  # pages and seed; tuned on 21, 31, 41 and 51
HELD_OUT = ("test", "fresh")
AROUND = 2  # panels on either side
MODES: dict[str, list[str]] = {
    "none": ["context.mode=none"],
    "zero": ["context.mode=zero"],
    "shuffled": ["context.mode=shuffled"],
    "asterx": ["context.mode=asterx"],
    "asterx, dropout .5": ["context.mode=asterx", "context.dropout=0.5"],
    "asterx, masked": ["context.mode=asterx"],
}
NEIGHBOURS = 5
LEAST = 32  # pixels on the shorter side


def corpora(folder: Path) -> None:
    """Draw what is not drawn yet, and write the contexts."""
    for part, (pages, seed) in PARTS.items():
        draw_corpus(folder / part, pages, seed=seed, style=STYLE)
    for name, with_itself in (("features", True), ("masked", False)):
        path = folder / name / "train_sequence_features.hdf5"
        if not path.is_file():
            write_features(
                path, "train_sequence_features", contexts(folder / "train", with_itself), {"made": "mean of five"}
            )


def contexts(root: Path, with_itself: bool) -> dict[str, tuple[list[str], np.ndarray]]:
    """For each comic the names of its panels in reading order, and the means of the windows around them."""
    encoder = load_plugin("classic")
    corpus = Corpus.open(root)
    found = {}
    for comic in corpus.comics():
        names: list[str] = []
        vectors: list[np.ndarray] = []
        for record in corpus.pages(comic):
            page = decode_array(corpus.image_path(record)) if record.panels else None
            for panel in sorted(record.panels, key=lambda panel: panel.order):
                assert page is not None
                x0, y0, x1, y1 = panel.box
                names.append(f"{record.page}_{panel.id}")
                vectors.append(encoder.embed([page[y0:y1, x0:x1]])[0])
        rows = []
        for place in range(len(names)):
            window = [i for i in range(place - AROUND, place + AROUND + 1) if 0 <= i < len(names)]
            window = [i for i in window if with_itself or i != place] or [place]
            rows.append(np.mean([vectors[i] for i in window], axis=0))
        if rows:
            found[comic] = (names, np.array(rows, np.float32))
    return found


def one_run(folder: Path, mode: str, seed: int, extra: list[str]) -> dict[str, Any]:
    """Train one mode with one seed and measure it; what is done already is read back."""
    name = f"{mode.replace(', ', '-').replace(' ', '-')}-{seed}"
    result = folder / "results" / f"{name}.json"
    if result.is_file():
        known: dict[str, Any] = json.loads(result.read_text("utf-8"))
        return known
    sets = [
        *MODES[mode],
        f"training.seed={seed}",
        "data.split=all",
        "data.validation=''",
        f"data.min_side={LEAST}",
        "training.workers=0",
        *extra,
    ]
    resolved = resolve(RECIPE.config, RECIPE.presets, preset="tiny", sets=sets)
    features = folder / ("masked" if "masked" in mode else "features")
    began = time.process_time()
    sources = {"data": folder / "train", "features": features}
    trained = train(RECIPE, resolved, sources, folder / "runs" / name, RunOptions(device="cpu"))
    seconds = time.process_time() - began
    start = folder / "starts" / name
    if not start.is_dir():
        start.parent.mkdir(exist_ok=True)
        RECIPE.build(resolved.config, sources, torch.device("cpu")).task.export(start)
    found = {
        "mode": mode,
        "seed": seed,
        "loss": trained.loss,
        "seconds": seconds,
        "trained": measured(folder, EncoderSpec(str(folder / "runs" / name / "model"), device="cpu", precision="fp32")),
        "untrained": measured(folder, EncoderSpec(str(start), device="cpu", precision="fp32")),
    }
    write_json(result, found)
    return found


def measured(folder: Path, spec: EncoderSpec) -> dict[str, dict[str, Any]]:
    """Answers on each corpus of held-out comics."""
    encoder = LazyEncoder(spec)
    found = {}
    for part in HELD_OUT:
        vectors, characters = embed_characters(encoder, gather(folder / part, "all", LEAST))
        answers = knn_within_comics(vectors, characters, NEIGHBOURS)
        found[part] = {**asdict(answers), "map": retrieval_within_comics(vectors, characters, "")[0].value}
    return found


def figure_of(name: str, parts: list[dict[str, Any]]) -> Metric:
    """Mean accuracy over runs; the interval draws whole pages, the same pages for every run."""
    right = np.array([part["right"] for part in parts], np.float64).mean(axis=0)
    pooled = Pooled(chance=parts[0]["chance"])
    return statistic(
        name,
        len(right),
        lambda rows: float(right[rows].mean()),
        float(np.mean(pooled.chance)),
        groups=parts[0]["groups"],
    )


def table(folder: Path, seeds: int) -> str:
    """The ablation as Markdown, as far as it has come."""
    results = [json.loads(file.read_text("utf-8")) for file in sorted((folder / "results").glob("*.json"))]
    drawn, *measured_on = (f"{pages} drawn pages (seed {seed})" for pages, seed in PARTS.values())
    lines = [
        f"# Ablation of ELRIC's context, {date.today().isoformat()}",
        "",
        f"`python -m tests.bench.elric ablation --seeds {seeds}`",
        "",
        f"Preset tiny, trained on {drawn}, measured on other comics in the same style ({STYLE}):",
        f"{' and '.join(measured_on)}. `untrained` are the initial weights of the runs without context.",
        f"{NEIGHBOURS}-NN accuracy and mAP of characters within their comic, other pages only; 95 % by pages.",
        "The context of a panel is the mean of the classic vectors of the five panels around it, no trained ASTERX;",
        "`masked` leaves the panel itself out.",
        "",
    ]
    classic = measured(folder, EncoderSpec("classic_character"))
    for part in HELD_OUT:
        lines += [
            f"Measured on seed {PARTS[part][1]}:",
            "",
            "| context | seeds | 5-NN by seed | mean | 95 % | chance | mAP | last loss | CPU s a run |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        ]
        by_mode = {
            mode: sorted((r for r in results if r["mode"] == mode), key=lambda result: result["seed"]) for mode in MODES
        }
        lines.append(_row("untrained", [result["untrained"][part] for result in by_mode["none"]], [], []))
        for mode, own in by_mode.items():
            if own:
                parts = [result["trained"][part] for result in own]
                lines.append(_row(mode, parts, [r["loss"] for r in own], [r["seconds"] for r in own]))
        lines += [_row("classic_character", [classic[part]], [], []), ""]
    plain = [result for result in results if result["mode"] == "none"]
    if plain:
        each = [[part] for part in HELD_OUT]
        lines += [f"- Gain of training without context, {gain_of(plain, parts)}" for parts in [*each, HELD_OUT]]
    return "\n".join(lines) + "\n"


def gain_of(results: list[dict[str, Any]], parts: Sequence[str]) -> str:
    """Points of accuracy that training adds, the same questions asked before and after; mean over the runs."""
    gains, groups = [], []
    for part in parts:
        after, before = (
            np.array([result[when][part]["right"] for result in results], np.float64).mean(axis=0)
            for when in ("trained", "untrained")
        )
        gains.append(100 * (after - before))
        groups += [f"{part} {page}" for page in results[0]["trained"][part]["groups"]]
    gain = np.concatenate(gains)
    metric = statistic("gain", len(gain), lambda rows: float(gain[rows].mean()), 0.0, groups=groups)
    where = " and ".join(str(PARTS[part][1]) for part in parts)
    interval = f"95 % by pages, for these runs: {metric.low:+.1f} to {metric.high:+.1f}"
    return f"seed {where}: {metric.value:+.1f} points ({interval})"


def _row(name: str, parts: list[dict[str, Any]], losses: list[float], seconds: list[float]) -> str:
    if not parts:
        return f"| {name} | 0 | | | | | | | |"
    metric = figure_of(name, parts)
    each = ", ".join(f"{np.mean(part['right']):.3f}" for part in parts)
    mean_loss = f"{np.mean(losses):.3f}" if losses else ""
    spent = f"{np.mean(seconds):.0f}" if seconds else ""
    precision = np.mean([part["map"] for part in parts])
    return (
        f"| {name} | {len(parts)} | {each} | {metric.value:.3f} | {metric.low:.3f} to {metric.high:.3f} | "
        f"{metric.chance:.3f} | {precision:.3f} | {mean_loss} | {spent} |"
    )


def ablation(options: argparse.Namespace) -> int:
    """Run what is missing, print the table."""
    folder: Path = options.folder
    corpora(folder)
    modes = options.modes or list(MODES)
    for seed in range(options.seeds):
        for mode in modes:
            try:
                found = one_run(folder, mode, seed, options.set or [])
            except Stopped as stopped:
                print(stopped.fact, file=sys.stderr)
                return stopped.exit_code
            accuracy = np.mean(found["trained"][HELD_OUT[0]]["right"])
            print(f"{mode}, seed {seed}: {accuracy:.3f} after {found['seconds']:.0f} s", file=sys.stderr, flush=True)
    text = table(folder, options.seeds)
    print(text)
    plain = [json.loads(file.read_text("utf-8")) for file in sorted((folder / "results").glob("none-*.json"))]
    if plain:
        parts = [figure_of("", [result["trained"][part] for result in plain]) for part in HELD_OUT]
        before = [figure_of("", [result["untrained"][part] for result in plain]) for part in HELD_OUT]
        figure(
            f"ELRIC, preset `tiny` without context, {NEIGHBOURS}-NN within held-out drawn comics of two seeds",
            ", ".join(f"{ratio(m.value)} {between(m.low, m.high)}" for m in parts),
            f"untrained {', '.join(ratio(m.value) for m in before)}; "
            f"chance {', '.join(ratio(m.chance) for m in parts)}",
        )
    if WRITE in sys.argv:
        write_text(RESULTS / "elric_ablation.md", text)
    return 0


def crops(_: argparse.Namespace) -> int:
    """Milliseconds a picture, beside the usual script: Pillow and torchvision, one crop after another."""
    torch.set_num_threads(1)
    tiny = resolve(RECIPE.config, RECIPE.presets, preset="tiny").config.crops
    paper = resolve(RECIPE.config, RECIPE.presets, preset="paper").config.crops
    rival = usual_script(paper)
    print("| crops | source | ms a picture | pictures/s on one core | usual script, ms |")
    print("| --- | --- | --- | --- | --- |")
    for name, options in (("paper, 2x224 + 8x96", paper), ("tiny", tiny)):
        for height, width in ((140, 60), (700, 500)):
            picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
            ours = _cost(lambda seed, p=picture, o=options: multi_crop(p, o, seed))
            other = f"{_cost(lambda _, p=picture: rival(p)):.1f}" if options is paper else ""
            print(f"| {name} | {width}x{height} | {ours:.2f} | {1000 / ours:.0f} | {other} |")
    return 0


def usual_script(options: CropOptions) -> Callable[[np.ndarray], list[torch.Tensor]]:
    """DINO's augmentation by torchvision on Pillow pictures, as its users write it."""
    from torchvision import transforms

    def crop(size: int, scale: tuple[float, float], blur: float, solarise: float) -> Any:
        kernel = transforms.GaussianBlur(2 * (size // 20) + 1, options.blur_radius)
        jitter = transforms.ColorJitter(options.brightness, options.contrast, options.saturation, options.hue)
        return transforms.Compose(
            [
                transforms.RandomResizedCrop(size, scale, interpolation=transforms.InterpolationMode.BICUBIC),
                transforms.RandomHorizontalFlip(options.flip),
                transforms.RandomApply([jitter], options.jitter),
                transforms.RandomGrayscale(options.grey),
                transforms.RandomApply([kernel], blur),
                transforms.RandomSolarize(128, solarise),
                transforms.ToTensor(),
                transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
            ]
        )

    whole = [crop(options.global_size, options.global_scale, options.blur[i], options.solarise[i]) for i in (0, 1)]
    local = crop(options.local_size, options.local_scale, options.blur[2], options.solarise[2])
    each = [*whole, *[local] * options.local_count]
    return lambda picture: [change(Image.fromarray(picture)) for change in each]


def _cost(work: Callable[[int], object], count: int = 40) -> float:
    """Milliseconds of processor time of one call."""
    work(0)
    began = time.process_time()
    for seed in range(count):
        work(seed)
    return (time.process_time() - began) / count * 1000


def main() -> int:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("ablation")
    one.add_argument("--folder", type=Path, default=Path("elric-ablation"))
    one.add_argument("--seeds", type=int, default=3)
    one.add_argument("--modes", nargs="*", choices=list(MODES), help="only these")
    one.add_argument("--set", action="append", help="another setting for all runs")
    one.set_defaults(run=ablation)
    commands.add_parser("crops").set_defaults(run=crops)
    options = parser.parse_args(arguments())
    return int(options.run(options))


if __name__ == "__main__":
    sys.exit(main())
