"""Made comics, whole, odd and damaged: `python -m tests.bench.generated --count 2000 --seed 1 [--only archives]`.

Each is imported into a corpus of its own. Every page has to arrive in its place or be reported; the table says by kind
how many did. A line for each that did not names the generator and seed that make it again.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from tests.archives.made import GOOD, OUTCOMES, Made, imported, outcome
from tests.bench.figures import arguments, figure

Maker = Callable[[int, Path], Made]


def makers() -> dict[str, Maker]:
    """The generators by name: each module `tests/archives/generate_NAME.py` has a function `make`."""
    files = sorted((Path(__file__).parents[1] / "archives").glob("generate_*.py"))
    names = [file.stem for file in files if find_spec(f"tests.archives.{file.stem}")]
    return {n.removeprefix("generate_"): importlib.import_module(f"tests.archives.{n}").make for n in names}


def tried(maker: Maker, seed: int) -> tuple[Made, str, str]:
    """Make one, import it, and say what became of it: the comic, its outcome, and the facts behind that."""
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "source"
        source.mkdir()
        made = maker(seed, source)
        numbers, report = imported(made.path, Path(scratch) / "corpus")
    told = "; ".join(problem.message.replace(f"{source}/", "") for problem in report.problems)
    return made, outcome(made, numbers, report), f"expected {made.pages}, got {numbers}, told: {told or 'nothing'}"


def main() -> int:
    """Print the table; 1 when a page was lost, doubled, out of order or refused needlessly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="one generator")
    asked = parser.parse_args(arguments())
    chosen = {name: maker for name, maker in makers().items() if asked.only in (None, name)}
    table: defaultdict[str, Counter[str]] = defaultdict(Counter)
    begin = time.perf_counter()
    for number in range(asked.count):
        name = list(chosen)[number % len(chosen)]
        seed = asked.seed * 1_000_000 + number
        made, result, facts = tried(chosen[name], seed)
        table[made.kind].update(["made", result])
        if result not in GOOD:
            print(f"{name} {seed} ({made.kind}: {made.description}) {result}: {facts}", file=sys.stderr)
    columns = ("made", *OUTCOMES)
    table["all"] = sum(table.values(), Counter())
    print(f"| kind | {' | '.join(columns)} |\n|{' --- |' * (len(columns) + 1)}")
    for kind in [*sorted(set(table) - {"all"}), "all"]:
        print(f"| {kind} | {' | '.join(str(table[kind][column]) for column in columns)} |")
    print(f"{asked.count} in {time.perf_counter() - begin:.0f} s")
    bad = sum(table["all"][result] for result in OUTCOMES if result not in GOOD)
    told = ", ".join(f"{table['all'][result]} {result}" for result in OUTCOMES if result in GOOD)
    figure(
        "Generated archives, EPUBs and PDFs, odd and damaged: pages lost, doubled, misplaced",
        f"{bad} in {asked.count} ({told})",
    )
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
