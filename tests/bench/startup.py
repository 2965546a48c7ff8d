"""Start-up cost of the program: `python -m tests.bench.startup`.

CPU milliseconds (user + system, of the child process), median of several runs taken in turn, beside what a bare
interpreter costs in the same run; the ratio is what survives a noisy machine.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

from tests.bench.figures import figure

ROUNDS = 15
BUDGET = 150  # milliseconds of CPU, for help, version and completion

COMMANDS: dict[str, tuple[list[str], dict[str, str]]] = {
    "python -c pass": (["-c", "pass"], {}),
    "import typer": (["-c", "import typer"], {}),
    "import numpy": (["-c", "import numpy"], {}),
    "comictool --version": (["-m", "comictool", "--version"], {}),
    "comictool --help": (["-m", "comictool", "--help"], {}),
    "comictool data --help": (["-m", "comictool", "data", "--help"], {}),
    "comictool query --help": (["-m", "comictool", "query", "--help"], {}),
    "comictool index --help": (["-m", "comictool", "index", "--help"], {}),
    "Tab: comictool d": (["-m", "comictool"], {"COMP_WORDS": "comictool d", "COMP_CWORD": "1"}),
    "Tab: comictool data ": (["-m", "comictool"], {"COMP_WORDS": "comictool data ", "COMP_CWORD": "2"}),
    "Tab: query --format ": (["-m", "comictool"], {"COMP_WORDS": "comictool query --format ", "COMP_CWORD": "3"}),
    "Tab: embed --plugin ": (["-m", "comictool"], {"COMP_WORDS": "comictool embed --plugin ", "COMP_CWORD": "3"}),
}


def measure(arguments: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """CPU and wall milliseconds of one child process."""
    extra = {"_COMICTOOL_COMPLETE": "complete_bash", **environment} if environment else {}
    began = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, *arguments], env={**os.environ, **extra}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, _, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - began
    return 1000 * (usage.ru_utime + usage.ru_stime), 1000 * wall


def main() -> None:
    """Print the table."""
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, (arguments, environment) in COMMANDS.items():
            figures[name].append(measure(arguments, environment))
    bare = statistics.median(cpu for cpu, _ in figures["python -c pass"])
    print(f"{'command':<26}{'CPU ms':>8}{'wall ms':>9}{'x bare':>8}   (median of {ROUNDS}; budget {BUDGET} ms of CPU)")
    for name, runs in figures.items():
        cpu = statistics.median(c for c, _ in runs)
        wall = statistics.median(w for _, w in runs)
        verdict = "" if "comictool" not in name and "Tab" not in name else ("  ok" if cpu < BUDGET else "  OVER")
        print(f"{name:<26}{cpu:>8.0f}{wall:>9.0f}{cpu / bare:>8.1f}{verdict}")
    medians = {name: statistics.median(c for c, _ in runs) for name, runs in figures.items()}
    own = [cpu for name, cpu in medians.items() if "comictool" in name]
    rival = f"bare interpreter {bare:.0f} ms, `import typer` {medians['import typer']:.0f} ms"
    figure("CPU of help, version, Tab", f"{min(own):.0f}-{max(own):.0f} ms", rival)


if __name__ == "__main__":
    main()
