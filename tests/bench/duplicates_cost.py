"""What finding duplicates among 25,000, 50,000 and 100,000 pages costs: time and memory, with planted copies.

    python -m tests.bench.duplicates cost

The fingerprints are random: reading the pages comes before and takes 5 ms a page of one core (1.4 megapixel JPEG).
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time

import numpy as np

from comictool.core.jobs import JobReport
from comictool.duplicates.finding import THRESHOLD, report_on
from comictool.duplicates.fingerprint_table import FingerprintTable
from tests.bench.figures import WRITE, figure

WRITTEN = [WRITE] if WRITE in sys.argv else []  # passed on to the processes
SIZES = (25_000, 50_000, 100_000)


def planted(count: int, seed: int = 3) -> tuple[FingerprintTable, int]:
    """Fingerprints of random pages, every twentieth a lettered, scaled, noisy copy of another; and how many are."""
    rng = np.random.default_rng(seed)
    pictures = np.empty((count, 64, 64), np.uint8)
    copies = count // 20
    originals = count - copies
    for start in range(0, originals, 5000):
        stop = min(start + 5000, originals)
        pictures[start:stop] = _random_pictures(rng, stop - start)
    copied = rng.permutation(originals)[:copies]
    for number, source in enumerate(copied):
        picture = pictures[source].astype(np.float32) * rng.uniform(0.7, 1.0) + rng.normal(0, 4, (64, 64))
        for _ in range(3):
            y, x = rng.integers(0, 52, 2)
            picture[y : y + 6, x : x + 12] = 250
        pictures[originals + number] = picture.clip(0, 255)
    places = np.arange(count)
    names = [f"{n // 40}/{n % 40 + 1}" for n in places]
    prints = FingerprintTable(
        comics=[str(n) for n in range(count // 40 + 1)],
        ids=names,
        comic_of=places // 40,
        numbers=places % 40 + 1,
        files=names,
        pixels=names,
        near_empty=np.zeros(count, bool),
        shapes=np.full(count, 0.7),
        pictures=pictures,
        row_page=places,
        row_part=np.zeros(count, np.int64),
    )
    return prints, copies


def _random_pictures(rng: np.random.Generator, count: int) -> np.ndarray:
    """Noise of three scales with two white gutters at random heights: as like each other as pages of one series."""
    total = np.full((count, 64, 64), 128.0, np.float32)
    for side, strength in ((4, 45.0), (8, 35.0), (16, 25.0)):
        noise = rng.normal(0, strength, (count, side, side)).astype(np.float32)
        total += noise.repeat(64 // side, axis=1).repeat(64 // side, axis=2)
    rows = np.arange(64)
    for third in (21, 42):
        height = third + rng.integers(-2, 3, (count, 1))
        total[np.abs(rows[None] - height) < 1] = 255
    return total.clip(0, 255).astype(np.uint8)


def measure_cost(count: int) -> None:
    """One line on `count` fingerprints; in a process of its own, so that the peak of memory is its own."""
    prints, copies = planted(count)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started, used = time.perf_counter(), time.process_time()
    report = report_on(prints, JobReport("bench"), perceptual=True, threshold=THRESHOLD)
    seconds, cpu = time.perf_counter() - started, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    good = sum(len(group.pages) == 2 for group in report.groups)
    figure(f"{count:,} page fingerprints grouped, one core", f"{seconds:.0f} s, {peak / 1000:.1f} GB")
    print(
        f"{count:8} pages {seconds:7.1f} s ({cpu:6.1f} s of one core) {peak:6.0f} MB, {peak - before:5.0f} above the"
        f" table; {good} pairs of {copies} planted, {len(report.groups) - good} other groups"
    )


def print_costs() -> None:
    """One line for each size, each in a process of its own."""
    for count in SIZES:
        subprocess.run([sys.executable, "-m", "tests.bench.duplicates_cost", str(count), *WRITTEN], check=True)


if __name__ == "__main__":
    measure_cost(int(sys.argv[1]))
