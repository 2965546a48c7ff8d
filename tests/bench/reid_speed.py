"""What re-identification costs: 500 targets against 500 references with ResNet-18, process start included.

    python -m tests.bench.reid_speed [--count 500] [--rounds 3]

Everything is a process, measured from its start to its end, the arms in turn, medians over the rounds. Ours is the
command as users type it, with a plugin directory that `plugins convert` made: cold; with cached references and other
targets; unchanged; and cold with `--flip`. The rival is the older program's way, written plainly: torch and torchvision
imported, every reference and target opened by Pillow, squashed to 224, ResNet-18 in fp32 in batches of 100, minus the
L2 distance, everything again on each run; it copies no file and writes no record. The floor is what no program can
avoid, without any start: the same pictures decoded and made small by Pillow in a thread a core, and the same model's
forward pass over ready batches. Pictures are drawn, 300 to 900 pixels a side, as JPEG and PNG.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.bench.figures import arguments, figure

CHARACTERS = 10
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

OLDER = """
import sys
from pathlib import Path
import torch
import torchvision
from PIL import Image
from torchvision import transforms
trunk = torchvision.models.resnet18(weights=None)
trunk.fc = torch.nn.Identity()
embedder = torch.nn.Sequential(torch.nn.Identity(), torch.nn.Linear(512, 500))
weights = torch.load(sys.argv[3], weights_only=True)
trunk.load_state_dict(weights["trunk"])
embedder.load_state_dict(weights["embedder"])
model = torch.nn.Sequential(trunk, embedder).eval()
prepare = transforms.Compose([transforms.Resize((224, 224)), transforms.CenterCrop(224), transforms.ToTensor(),
                              transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
def vectors(files):
    rows = []
    for first in range(0, len(files), 100):
        batch = torch.stack([prepare(Image.open(f).convert("RGB")) for f in files[first:first + 100]])
        with torch.no_grad():
            rows.append(torch.nn.functional.normalize(model(batch)))
    return torch.cat(rows)
folders = [[f for f in sorted(Path(folder).rglob("*")) if f.is_file()] for folder in sys.argv[1:3]]
references, targets = map(vectors, folders)
print(len((-torch.cdist(targets, references)).argmax(dim=1)))
"""

FLOOR = """
import json, os, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import torch
from PIL import Image
from comictool.core.workers import cores
from comictool.plugins.load import EncoderSpec
def small(file):
    Image.open(file).convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)
files = [f for folder in sys.argv[1:3] for f in Path(folder).rglob("*") if f.is_file()]
encoder = EncoderSpec(sys.argv[3], device="cpu").load()
def seconds(work):
    began, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - used
with ThreadPoolExecutor(cores()) as pool:
    decoding = seconds(lambda: list(pool.map(small, files)))
size = encoder.preferred_batch
model, dtype = encoder._model, encoder._dtype
batch = torch.randn(size, 3, 224, 224).to(dtype, memory_format=torch.channels_last)
with torch.inference_mode():
    forward = seconds(lambda: [model(batch[:len(files) - first]) for first in range(0, len(files), size)])
print(json.dumps([*decoding, *forward, str(dtype)]))
"""


class Cost(NamedTuple):
    """Of one process: seconds from start to end, seconds of processors, most memory in MB, what it printed."""

    wall: float
    processor: float
    peak: int
    said: str


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


def run(*command: object) -> Cost:
    """Run a process to its end; an exit code other than 0 and 1 ends the benchmark."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as told:
        began = time.perf_counter()
        process = subprocess.Popen(list(map(str, command)), stdout=out, stderr=told, env=ENVIRONMENT)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        told.seek(0)
        if process.returncode:
            raise SystemExit(f"{command[:4]} ended with {process.returncode}:\n{told.read()[-2000:]}")
        return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss // 1024, out.read().strip())


def script(text: str, *arguments: object) -> Cost:
    """Run Python text."""
    return run(sys.executable, "-c", text, *arguments)


def median(costs: list[Cost]) -> Cost:
    """The median of wall and of processor seconds, each by itself; the most memory."""
    return Cost(
        statistics.median(cost.wall for cost in costs),
        statistics.median(cost.processor for cost in costs),
        max(cost.peak for cost in costs),
        costs[-1].said,
    )


def prepare(folder: Path, count: int) -> None:
    """Weights, the plugin of them, references, targets and a configuration."""
    # In a process of its own: the largest memory of a process counts that of the one that started it.
    script(
        "import sys; from pathlib import Path; from tests.reid.older_weights import write_mdl;"
        "write_mdl(Path(sys.argv[1]))",
        folder / "old.mdl",
    )
    run(
        sys.executable,
        "-m",
        "comictool",
        "plugins",
        "convert",
        folder / "old.mdl",
        "--for",
        "res18_single",
        "-o",
        folder / "res18",
    )
    names = [f"character{number}" for number in range(CHARACTERS)]
    for number, name in enumerate(names):
        draw(folder / "references" / name, count // CHARACTERS, 10 + number)
    draw(folder / "targets", count, 1)
    draw(folder / "other", count, 2)
    (folder / "refs.json").write_text(json.dumps({name: f"references/{name}" for name in names}))
    time.sleep(2.5)  # files changed a moment ago are hashed again, which is not what is measured here


def compare(folder: Path, count: int, rounds: int) -> None:
    """Print the table of cold and warm runs."""
    # An installed program has its bytecode beside it; the checkout's folders are left as they are.
    ENVIRONMENT["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
    prepare(folder, count)

    def ours(targets: str, cache: str, *options: str) -> Cost:
        return run(
            sys.executable,
            "-m",
            "comictool",
            "reid",
            "classify",
            folder / targets,
            "--enroll-config",
            folder / "refs.json",
            "--plugin",
            folder / "res18",
            "--device",
            "cpu",
            "--cache",
            folder / cache,
            "--format",
            "jsonl",
            "-q",
            *options,
        )

    def older() -> Cost:
        return script(OLDER, folder / "references", folder / "targets", folder / "old.mdl")

    # Compiles the bytecode, and brings files and libraries into memory for all arms.
    if len(ours("targets", "first").said.split("\n")) != count:
        raise SystemExit("not one record for each target")
    arms: dict[str, list[Cost]] = {}
    floors: list[list[float]] = []
    precision = ""
    for _ in range(rounds):
        shutil.rmtree(folder / "cache", ignore_errors=True)
        arms.setdefault("the older way, every run", []).append(older())
        arms.setdefault("cold", []).append(ours("targets", "cache"))
        arms.setdefault("references cached", []).append(ours("other", "cache"))
        arms.setdefault("unchanged", []).extend(ours("targets", "cache") for _ in range(3))
        arms.setdefault("cold, --flip", []).append(ours("targets", "cache", "--flip"))
        *figures, precision = json.loads(
            script(FLOOR, folder / "references", folder / "targets", folder / "res18").said
        )
        floors.append(figures)
    rival = median(arms["the older way, every run"])
    print(f"{count} targets, {count // CHARACTERS * CHARACTERS} references, {precision}, medians of {rounds}")
    print(f"{'':28}{'seconds':>9}{'times faster':>14}{'processor s':>13}{'times less':>12}{'peak MB':>9}")
    for label, costs in arms.items():
        cost = median(costs)
        _line(label, rival, cost.wall, cost.processor, f"{cost.peak:9}")
    walls = [median(arms[name]).wall for name in ("cold", "references cached", "unchanged", "cold, --flip")]
    figure(
        f"sorting {count} pictures by {count} references with ResNet-18: cold / references cached / nothing new / "
        "cold, `--flip`",
        " / ".join(f"{wall:.2f}" for wall in walls) + " s",
        f"the older way {rival.wall:.1f} s",
    )
    for label, place in (("floor: decoding", 0), ("floor: forward pass", 2)):
        wall, used = (statistics.median(figures[place + n] for figures in floors) for n in (0, 1))
        _line(label, rival, wall, used)


def _line(label: str, rival: Cost, wall: float, processor: float, peak: str = "") -> None:
    gain = f"{rival.wall / wall:14.1f}{processor:13.2f}{rival.processor / processor:12.1f}"
    print(f"{label:28}{wall:9.2f}{gain}{peak}")


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments())
    with tempfile.TemporaryDirectory() as name:
        compare(Path(name), options.count, options.rounds)


if __name__ == "__main__":
    main()
