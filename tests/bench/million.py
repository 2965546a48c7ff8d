"""How long questions take among a million panels with words, in a process that is warm and from a cold shell.

    python -m tests.bench.million [--count PANELS] [--store FOLDER]

Building the store takes longest; `--store` keeps it, and takes it when it is there.

Vectors of 384 numbers are made up, ids and texts are rows like any other, and questions are those of
`tests.bench.serving`. The aims: words 50 ms, an id 100 ms by every row and 10 ms by an index (recall@10 .95) for 95 of
100 in a warm process, 0.6 s from a shell. Panels lie in a thousand groups, within which they differ in all 384
directions: at a million the thousand neighbours in a group are almost equally far, which real panels are not. The
store takes 0.9 kB a panel for vectors and about 0.5 kB for words; building it is streaming.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from comictool.measure.intervals import wilson
from comictool.search.approximate import build_index
from comictool.search.query import Query, query
from comictool.vectors.collection import StoreCollection, open_collection
from tests.bench.figures import WRITE, arguments, between, figure, ratio
from tests.bench.query import seconds
from tests.bench.serving import DIMENSION, at, questions, sentence
from tests.bench.synthetic_store import make_store

COUNT, SHELLS = 1_000_000, 7
BYTES = 3000  # of disk for a panel, half of it while the store is built


def warm(store: Path, panels: int) -> dict[str, list[float]]:
    """Seconds of each question, by kind, in this process, after a first one."""
    found: dict[str, list[float]] = {"q": [], "like": []}
    began = time.perf_counter()
    with open_collection(store) as place:
        print(f"opened in {(time.perf_counter() - began) * 1000:.0f} ms")
        for number, asked in enumerate(questions(panels)):
            began = time.perf_counter()
            hits = query(place, Query(text=asked.get("q"), id=asked.get("like"), exact="like" in asked))
            took = time.perf_counter() - began
            assert hits, asked
            if number >= 4:
                found["q" if "q" in asked else "like"].append(took)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{held:,.0f} MB of memory at most, vectors that are mapped among them")
    return found


OPENING = """
import sys
from pathlib import Path
from comictool.search.query import query
from comictool.vectors.collection import open_collection

def so_far():
    read = Path("/proc/self/io").read_text("utf-8").splitlines()[0].split()[1]
    return int(read), int(Path("/proc/self/statm").read_text("utf-8").split()[1]) * 4096

before = so_far()
with open_collection(Path(sys.argv[1])):
    print(*(now - then for now, then in zip(so_far(), before)))
"""


def opening(store: Path, size: int) -> None:
    """How much opening a store reads, and takes into memory, in a process of its own (Linux)."""
    told = subprocess.run([sys.executable, "-c", OPENING, str(store)], capture_output=True, text=True, check=True)
    read, resident = (int(number) / 1e6 for number in told.stdout.split())
    figure(
        f"opening a store of {size / 1e6:,.0f} MB: read, more memory",
        f"{read:.1f} MB, {resident:.1f} MB",
        "modules that are imported then are counted, too",
    )


def by_index(store: Path, panels: int) -> None:
    """Ids asked by an index and by every row, in one process."""
    asked = [one["like"] for one in questions(panels) if "like" in one]
    took: dict[bool, list[float]] = {False: [], True: []}
    right = wanted = 0
    with open_collection(store) as place:
        assert isinstance(place, StoreCollection)
        facts = build_index(place, "panel/image")
        for number, id in enumerate(asked):
            answers = {}
            for ann in took:
                began = time.perf_counter()
                answers[ann] = {hit.id for hit in query(place, Query(id=id, ann=ann, exact=not ann))}
                if number >= 2:
                    took[ann].append(time.perf_counter() - began)
            right, wanted = right + len(answers[True] & answers[False]), wanted + len(answers[False])
    shells = [seconds(["-m", "comictool", "query", str(store), "--ann", "--id", id]) for id in asked[:SHELLS]]
    low, high = wilson(right / wanted * len(asked), len(asked))  # by questions: their answers depend on each other
    figure(
        f"a query by an id, by an index, {panels:,} panels, warm, median / p95",
        f"{statistics.median(took[True]) * 1000:.1f} / {at(0.95, took[True]):.1f} ms, "
        f"recall@10 {ratio(right / wanted)} {between(low, high)}",
        f"every row {statistics.median(took[False]) * 1000:.0f} / {at(0.95, took[False]):.0f} ms; "
        f"from a cold shell {statistics.median(shells):.2f} s",
    )
    figure(f"an index of {panels:,} vectors: made in", f"{facts.seconds:.0f} s", f"{facts.bytes / 1e6:,.0f} MB")


def made(store: Path, panels: int) -> None:
    """Write the store."""
    free = shutil.disk_usage(store.parent).free
    if free < panels * BYTES:
        raise SystemExit(f"{panels * BYTES / 1e9:.1f} GB of disk are needed beside {store}, {free / 1e9:.1f} are free")
    began = time.perf_counter()
    make_store(store, panels, DIMENSION, views=1, texts=sentence)
    print(f"{panels:,} panels written in {time.perf_counter() - began:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--store", type=Path)
    options = parser.parse_args(arguments())
    panels = options.count
    if options.store:  # a place on somebody's machine, and no part of what was measured
        count = ["--count", str(panels)] if panels != COUNT else []
        sys.argv[1:] = [*count, *([WRITE] if WRITE in sys.argv else [])]
    with tempfile.TemporaryDirectory() as folder:
        store = options.store or Path(folder) / "store"
        if not store.exists():
            made(store, panels)
        size = sum(file.stat().st_size for file in store.rglob("*") if file.is_file())
        opening(store, size)
        took = warm(store, panels)
        os.environ["COMICTOOL_CACHE"] = str(Path(folder) / "cache")
        by_index(store, panels)
        asked = questions(panels)
        shells = {}
        for kind, option in (("q", "--text"), ("like", "--id")):
            own = [one[kind] for one in asked if kind in one][:SHELLS]
            shells[kind] = [seconds(["-m", "comictool", "query", str(store), option, words]) for words in own]
    for kind, name, aim in (("q", "words", 50), ("like", "an id, exactly", 100)):
        figure(
            f"a query by {name}, {panels:,} panels, warm, median / p95",
            f"{statistics.median(took[kind]) * 1000:.0f} / {at(0.95, took[kind]):.0f} ms",
            f"aim {aim} ms; from a cold shell {statistics.median(shells[kind]):.2f} s, aim 0.6 s",
        )


if __name__ == "__main__":
    main()
