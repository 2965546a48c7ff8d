"""What re-identification costs: 500 targets against 500 references with ResNet-18, process start included.

    python -m tests.bench.reid_speed [--count 500]

The rival is the older program's way, written plainly: every reference and target decoded by Pillow, squashed to 224,
ResNet-18 in fp32 in batches of 100, everything again on each run. Ours: a process that enrolls and embeds (cold), one
whose references are cached, one whose targets are cached too (warm). Pictures are drawn, 300 to 900 pixels a side, as
JPEG and PNG. Very many pictures: `reid_scale`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

OURS = """
import json, sys, resource
from pathlib import Path
from comictool.plugins.load import EncoderSpec
from comictool.reid.cache import EmbeddingCache
from comictool.reid.embedding import iter_embedded
from comictool.reid.pictures import find_pictures
from comictool.reid.references import gather_references
if __name__ == "__main__":
    references, targets, cache_file, weights = map(Path, sys.argv[1:5])
    plugin = sys.argv[5]
    spec = EncoderSpec(plugin, weights=weights if plugin == "res18_single" else None, device="cpu")
    with EmbeddingCache(cache_file) as cache:
        found = gather_references({"all": [references]}, spec, cache=cache).found
        best = [(batch.vectors @ found.vectors.T).argmax(axis=1).tolist()
                for batch in iter_embedded(find_pictures([targets]), spec, cache=cache)]
    print(sum(map(len, best)), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""

OLDER = """
import sys
from pathlib import Path
import numpy as np
import torch
from tests.reid.older_weights import older_model, older_vectors
folders = [sorted(Path(folder).iterdir()) for folder in sys.argv[1:3]]
model = older_model()
from PIL import Image
mean = np.array([0.485, 0.456, 0.406], np.float32)
std = np.array([0.229, 0.224, 0.225], np.float32)
def vectors(files):
    rows = []
    for first in range(0, len(files), 100):
        pictures = [Image.open(f).convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)
                    for f in files[first:first + 100]]
        batch = np.stack([((np.asarray(p, np.float32) / 255 - mean) / std).transpose(2, 0, 1) for p in pictures])
        with torch.no_grad():
            rows.append(torch.nn.functional.normalize(model(torch.from_numpy(batch))))
    return torch.cat(rows)
references, targets = map(vectors, folders)
print(len((-torch.cdist(targets, references)).argmax(dim=1)))
"""


def draw(folder: Path, count: int, seed: int) -> None:
    """Smooth random pictures with lines, as large as crops of scanned comics are."""
    from PIL import Image, ImageDraw

    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    for number in range(count):
        width, height = (int(side) for side in random.integers(300, 900, 2))
        small = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        picture = small.resize((width, height), Image.Resampling.BICUBIC)
        pen = ImageDraw.Draw(picture)
        for _ in range(20):
            pen.line([tuple(random.integers(0, 900, 2).tolist()) for _ in range(3)], fill=(20, 20, 20), width=4)
        picture.save(folder / (f"{number}.jpg" if number % 4 else f"{number}.png"))


def timed(script: str, *arguments: object) -> tuple[float, float, str]:
    """Seconds of a process from start to end, of processors that it used, and what it printed."""
    began, used = time.perf_counter(), sum(os.times()[2:4])
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.perf_counter() - began, sum(os.times()[2:4]) - used, done.stdout.strip()


def best_of(count: int, run: Callable[[], tuple[float, float, str]]) -> tuple[float, float, str]:
    """The quickest of several runs: the others were disturbed."""
    return min(run() for _ in range(count))


def compare(count: int) -> None:
    """Print the table of cold and warm runs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = folder / "old.mdl"
        # In a process of its own: the largest memory of a process counts that of the one that started it.
        timed("import sys; from pathlib import Path; from tests.reid.older_weights import write_mdl;"
              "write_mdl(Path(sys.argv[1]))", weights)  # fmt: skip
        references, targets, cache = folder / "references", folder / "targets", folder / "cache" / "c.sqlite"
        draw(references, count, 1)
        draw(targets, count, 2)
        time.sleep(2.5)  # files changed a moment ago are hashed again, which is not what is measured here
        older, older_used, _ = timed(OLDER, references, targets)
        print(f"{'':44}{'seconds':>9}{'times faster':>14}{'processor s':>13}{'times less':>12}{'peak MB':>9}")
        print(f"{'the older way, every run':44}{older:9.2f}{1:14.1f}{older_used:13.2f}{1:12.1f}")
        for plugin in ("res18_single", "classic_character"):
            arguments = (references, targets, cache, weights, plugin)
            rows = [("cold", timed(OURS, *arguments))]
            if plugin == "res18_single":
                draw(folder / "other", count, 3)
                rows.append(("references cached", timed(OURS, references, folder / "other", *arguments[2:])))
            rows.append(("warm", best_of(3, lambda: timed(OURS, *arguments))))  # noqa: B023
            for label, (seconds, used, said) in rows:
                gain = f"{older / seconds:14.1f}{used:13.2f}{older_used / used:12.1f}"
                print(f"{plugin + ', ' + label:44}{seconds:9.2f}{gain}{said.split()[1]:>9}")


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500)
    options = parser.parse_args()
    if options.count:
        compare(options.count)


if __name__ == "__main__":
    main()
