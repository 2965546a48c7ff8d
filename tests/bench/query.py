"""How long `comictool query STORE --id ...` takes, process start included, on a store of 100,000 panels.

    python -m tests.bench.query [PANELS] [DIMENSION]

The aim is 0.2 s. Beside it stand what Python, numpy and zarr cost before anything is done with them.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.figures import arguments, figure
from tests.bench.synthetic_store import make_store

ROUNDS = 9
AIM = 0.2
HERE = Path(__file__).parents[2]
CALL = (
    "import sys; from pathlib import Path; from comictool.search.query import Query, query\n"
    "print(len(query(Path(sys.argv[1]), Query(id=sys.argv[2]))))"
)


def seconds(arguments: list[str]) -> float:
    """Wall time of one run of Python."""
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=environment, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    panels, dimension = (*map(int, arguments()), *(100_000, 384)[len(arguments()) :])
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        start = time.perf_counter()
        make_store(store, panels, dimension)
        size = sum(file.stat().st_size for file in store.rglob("*") if file.is_file())
        print(f"{panels:,} panels x {dimension}: {size / 1e6:,.0f} MB written in {time.perf_counter() - start:.1f} s\n")
        runs = {
            "python -c pass": ["-c", "pass"],
            "import numpy": ["-c", "import numpy"],
            "import numpy, zarr": ["-c", "import numpy, zarr"],
            "query() panel": ["-c", CALL, str(store), "comic 00100/7/3"],
            "query() page": ["-c", CALL, str(store), "comic 00100/7"],
        }
        if (HERE / "comictool" / "cli" / "query.py").is_file():
            runs["comictool query panel"] = ["-m", "comictool", "query", str(store), "--id", "comic 00100/7/3"]
            runs["comictool query page"] = ["-m", "comictool", "query", str(store), "--id", "comic 00100/7"]
        times: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(ROUNDS):  # in turn, so that a busy machine is busy for all of them
            for name, command in runs.items():
                times[name].append(seconds(command))
        print(f"{'wall seconds of ' + str(ROUNDS):<26} {'median':>7} {'least':>7}")
        for name, found in times.items():
            verdict = f"   aim {AIM}" if "query" in name else ""
            print(f"{name:<26} {statistics.median(found):>7.3f} {min(found):>7.3f}{verdict}")
        ours, floor = (statistics.median(times[name]) for name in ("comictool query panel", "import numpy, zarr"))
        figure(
            f"a query by id among {panels:,} panels, process start included",
            f"{ours:.2f} s",
            f"{floor:.2f} s to import numpy and zarr",
        )


if __name__ == "__main__":
    main()
