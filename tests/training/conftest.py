from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from comictool.training.checkpoints import load_checkpoint
from comictool.training.engine import RunOptions, RunResult, train
from tests.training.synthetic import RECIPE

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    """As in the processes that the tests start: equal to the bit also where the number of threads decides an order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run(folder: Path, *sets: str, **options: Any) -> RunResult:
    """Train the synthetic recipe in this process."""
    resolved = RECIPE.resolve(sets=sets)
    return train(RECIPE, resolved, {}, folder, RunOptions(**{"device": "cpu", **options}))


def weights(folder: Path, name: str = "last.pt") -> dict[str, torch.Tensor]:
    task: dict[str, torch.Tensor] = load_checkpoint(folder / "checkpoints" / name)["task"]
    return task


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Equal to the bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def start() -> Any:
    """Start the program with the synthetic recipe; what still runs at the end of the test is killed."""
    started: list[subprocess.Popen[str]] = []

    def begin(folder: Path, sets: Sequence[str] = (), *arguments: str, **environment: str) -> subprocess.Popen[str]:
        chosen = [part for text in sets for part in ("--set", text)]
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.training.program",
                "train",
                "synthetic",
                "-o",
                str(folder),
                "--device",
                "cpu",
                "--json",
                *chosen,
                *arguments,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            start_new_session=True,  # a process group of its own, as a terminal makes for each command
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()
