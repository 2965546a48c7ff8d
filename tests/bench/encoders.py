"""How fast encoders embed decoded panels: `python -m tests.bench.encoders [NAME ...]` (default: four of them).

The rival is the plain way: Pillow resize, one picture at a time, fp32, as most scripts do it. Arms take turns, so a
busy machine slows all alike; the figure is the median of the rounds.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image

from comictool.plugins.check import trial_pictures
from comictool.plugins.load import load_plugin
from comictool.plugins.names import TIMM
from comictool.plugins.timm_models import build_timm

ROUNDS = 5
PICTURES = 32
NAMES = ("classic", "timm:resnet18", "timm:resnet50", "timm:vit_tiny_patch16_224")


def panels() -> list[np.ndarray]:
    """Pictures of the size of a usual panel, 465x500."""
    return [
        np.asarray(Image.fromarray(picture).resize((500, 465), Image.Resampling.BILINEAR))
        for picture in trial_pictures(PICTURES)
    ]


def plain_way(name: str) -> Callable[[list[np.ndarray]], np.ndarray]:
    """Pillow, batch 1, fp32."""
    model = build_timm(name).eval()
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))

    def embed(images: list[np.ndarray]) -> np.ndarray:
        rows = []
        for image in images:
            small = Image.fromarray(image).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)
            tensor = (torch.from_numpy(np.array(small)).permute(2, 0, 1).float() / 255 - mean) / std
            with torch.no_grad():
                rows.append(torch.nn.functional.normalize(model(tensor[None])).numpy())
        return np.concatenate(rows)

    return embed


def arms_of(name: str) -> dict[str, Callable[[list[np.ndarray]], np.ndarray]]:
    """The ways to be compared for one encoder."""
    if not name.startswith(TIMM):
        return {"ours": load_plugin(name).embed}
    arms: dict[str, Callable[[list[np.ndarray]], np.ndarray]] = {"plain": plain_way(name[len(TIMM) :])}
    for precision in ("fp32", "auto"):
        encoder = load_plugin(f"{name}?random", device="cpu", precision=precision)
        arms[f"ours {precision}"] = encoder.embed
    return arms


def main() -> None:
    images = panels()
    print(f"{'encoder':32} {'way':10} {'pictures/s':>10} {'x plain':>8}   {PICTURES} panels of 500x465, CPU")
    for name in sys.argv[1:] or NAMES:
        arms = arms_of(name)
        seconds: dict[str, list[float]] = {arm: [] for arm in arms}
        for _ in range(ROUNDS):
            for arm, embed in arms.items():
                started = time.perf_counter()
                embed(images)
                seconds[arm].append(time.perf_counter() - started)
        first = statistics.median(next(iter(seconds.values())))
        for arm, taken in seconds.items():
            median = statistics.median(taken)
            print(f"{name:32} {arm:10} {PICTURES / median:10.1f} {first / median:8.2f}")


if __name__ == "__main__":
    main()
