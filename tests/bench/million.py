"""How long questions take among a million panels with words, in a process that is warm and from a cold shell.

    python -m tests.bench.million [--count PANELS]

Vectors of 384 numbers are made up, ids and texts are rows like any other, and questions are those of
`tests.bench.serving`. The aims: words 50 ms and an id 100 ms for 95 of 100 in a warm process, 0.6 s from a shell. The
store takes 0.9 kB a panel for vectors and about 0.5 kB for words; building it is streaming.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from comictool.search.query import Query, query
from comictool.vectors.collection import open_collection
from tests.bench.figures import arguments, figure
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
            hits = query(place, Query(text=asked.get("q"), id=asked.get("like")))
            took = time.perf_counter() - began
            assert hits, asked
            if number >= 4:
                found["q" if "q" in asked else "like"].append(took)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{held:,.0f} MB of memory at most, vectors that are mapped among them")
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=COUNT)
    panels = parser.parse_args(arguments()).count
    with tempfile.TemporaryDirectory() as folder:
        free = shutil.disk_usage(folder).free
        if free < panels * BYTES:
            raise SystemExit(f"{panels * BYTES / 1e9:.1f} GB of disk are needed in {folder}, {free / 1e9:.1f} are free")
        store, began = Path(folder) / "store", time.perf_counter()
        make_store(store, panels, DIMENSION, views=1, texts=sentence)
        size = sum(file.stat().st_size for file in store.rglob("*") if file.is_file())
        print(f"{panels:,} panels: {size / 1e6:,.0f} MB written in {time.perf_counter() - began:.0f} s")
        took = warm(store, panels)
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
