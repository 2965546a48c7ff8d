"""Sorting very many pictures: 100,000 targets against a gallery of 10,000 references, through the command.

    python -m tests.bench.reid_scale [--targets 100000] [--references 10000] [--plugin classic_character]

Pictures are drawn, 64 pixels a side: 500 characters, each eight by eight colours of its own, every picture far from
them. `cold` embeds every target, decides and copies; `warm` does the same to another folder with every vector cached,
and `decide` with --action none beside it: so cold less warm is what embedding costs, warm less decide the files and
the journal, and decide the rest. Then a run is killed (SIGKILL) when about half is done, and resumed; its lines must be
those of the warm run. Memory is the most that the processes of a run held together, pages they share counted for each;
processor seconds are of all of them. Small pictures make embedding cheap: real ones only add to its part.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.bench.figures import arguments, figure

CHARACTERS = 500
SIDE = 64  # pixels
EVERY = 0.2  # seconds between looks at the processes
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def draw(folder: Path, count: int, seed: int, *, by_character: bool) -> None:
    """Pictures in a folder for each character, or a thousand in each folder."""
    from PIL import Image

    random = np.random.default_rng(seed)
    colours = np.random.default_rng(0).integers(60, 196, (CHARACTERS, 8, 8, 3))
    for number in range(count):
        own = number % CHARACTERS
        place = folder / (f"c{own:03d}" if by_character else f"{number // 1000:03d}")
        place.mkdir(parents=True, exist_ok=True)
        fields = np.clip(colours[own] + random.integers(-60, 61, (8, 8, 3)), 0, 255).astype(np.uint8)
        picture = Image.fromarray(fields).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        picture.save(place / f"{number:06d}.jpg", quality=80)


@dataclass
class Watched:
    """Processes of one session, looked at until the first ends: most memory in bytes, processor seconds by process."""

    session: int
    peak: int = 0
    largest: int = 0
    used: dict[int, float] = field(default_factory=dict)

    def look(self) -> None:
        """Add up what the processes hold now."""
        together = 0
        for name in filter(str.isdecimal, os.listdir("/proc")):
            try:
                facts = Path("/proc", name, "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it ended meanwhile
            if int(facts[3]) != self.session:
                continue
            held = int(facts[21]) * PAGE
            together, self.largest = together + held, max(self.largest, held)
            self.used[int(name)] = (int(facts[11]) + int(facts[12])) / TICKS
        self.peak = max(self.peak, together)


@dataclass(frozen=True)
class Ran:
    """One run of the command."""

    seconds: float
    watched: Watched
    code: int

    @property
    def used(self) -> float:
        """Processor seconds of all processes."""
        return sum(self.watched.used.values())

    def line(self, name: str, count: int) -> str:
        """A row of the table."""
        mine = self.watched.used.get(self.watched.session, 0.0)
        return (
            f"{name:28}{self.seconds:9.1f}{self.used:13.1f}{mine:9.1f}{1000 * self.used / count:12.3f}"
            f"{self.watched.largest / 1e6:13.0f}{self.watched.peak / 1e6:10.0f}{self.code:6}"
        )


def run(arguments: Sequence[object], lines: Path, cache: Path, *, kill_after: int = 0) -> Ran:
    """Run `comictool` with its records into a file; with `kill_after`, kill it when that many lines are there."""
    environment = os.environ | {"COMICTOOL_CACHE": str(cache)}
    began = time.perf_counter()
    with open(lines, "wb") as out, open(lines.with_suffix(".err"), "wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "comictool", *map(str, arguments)],
            stdout=out,
            stderr=said,
            env=environment,
            start_new_session=True,
        )
        watched, ended = Watched(process.pid), threading.Event()

        def watch() -> None:
            written = 0
            with open(lines, "rb") as told:
                while not ended.wait(EVERY):
                    watched.look()
                    written += told.read().count(b"\n")
                    if kill_after and written >= kill_after:
                        os.kill(process.pid, signal.SIGKILL)
                        return

        watcher = threading.Thread(target=watch)
        watcher.start()
        # Its own numbers to the very end, those of its workers as last seen.
        _, status, usage = os.wait4(process.pid, 0)
        ended.set()
        watcher.join()
    watched.used[process.pid] = usage.ru_utime + usage.ru_stime
    watched.largest = max(watched.largest, usage.ru_maxrss * 1024)
    return Ran(time.perf_counter() - began, watched, os.waitstatus_to_exitcode(status))


def compare(folder: Path, targets: int, references: int, plugin: Sequence[object]) -> None:
    """Draw, and print the table."""
    draw(folder / "references", references, 1, by_character=True)
    draw(folder / "targets", targets, 2, by_character=False)
    time.sleep(2.5)  # files changed a moment ago are hashed again, which is not what is measured here
    gallery, cache = folder / "gallery", folder / "cache"
    print(
        f"{'':28}{'seconds':>9}{'processor s':>13}{'of main':>9}{'ms a target':>12}{'largest MB':>13}{'all MB':>10}"
        f"{'exit':>6}"
    )

    def step(name: str, arguments: Sequence[object], count: int = targets, *, kill_after: int = 0) -> Ran:
        done = run(arguments, folder / f"{name}.jsonl", cache, kill_after=kill_after)
        print(done.line(name, count), flush=True)
        return done

    step("enroll", ["reid", "enroll", folder / "references", "-g", gallery, *plugin], references)
    sort = [
        "reid",
        "classify",
        folder / "targets",
        "-g",
        gallery,
        "--threshold",
        "0.5",
        "--format",
        "jsonl",
        "-q",
        *[part for part in plugin if part == "--trust-plugin"],
    ]
    cold = step("cold", [*sort, "-o", folder / "sorted"])
    warm = step("warm", [*sort, "-o", folder / "again"])
    decided = step("decide", [*sort, "--action", "none"])
    parts = {"embedding": cold.used - warm.used, "files and journal": warm.used - decided.used, "rest": decided.used}
    print(", ".join(f"{name} {part:.0f} s ({part / cold.used:.0%})" for name, part in parts.items()))
    figure(
        f"sorting {targets:,} pictures of 64 x 64 by {references:,} references: memory of all processes; CPU for "
        "embedding / files / deciding",
        f"{max(cold.watched.peak, warm.watched.peak) / 1e6:.0f} MB; "
        + " / ".join(f"{part / cold.used:.0%}" for part in parts.values()),
        f"asked for 2 GB; {1000 * cold.used / targets:.1f} ms of CPU a picture in all",
    )
    step("killed at half", [*sort, "-o", folder / "killed"], kill_after=targets // 2)
    step("resumed", [*sort, "-o", folder / "killed", "--resume"])
    same = (folder / "resumed.jsonl").read_bytes() == (folder / "warm.jsonl").read_bytes()
    print(f"the resumed run gave {'the same' if same else 'OTHER'} lines")
    step("undo", ["reid", "undo", folder / "killed"])
    print(f"undo left {'something' if (folder / 'killed').exists() else 'nothing'}")


def main() -> None:
    """Run it in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", type=int, default=100_000)
    parser.add_argument("--references", type=int, default=10_000)
    parser.add_argument("--plugin", default="classic_character")
    parser.add_argument("--trust-plugin", action="store_true")
    options = parser.parse_args(arguments())
    plugin = ["--plugin", options.plugin, *(["--trust-plugin"] if options.trust_plugin else [])]
    with tempfile.TemporaryDirectory() as name:
        compare(Path(name), options.targets, options.references, plugin)


if __name__ == "__main__":
    main()
