"""Starting other Pythons so that they import what this one does, and nothing from the current folder.

`python -c` and `python -m` put the current folder first on the import path: a `numpy.py` beside somebody's comics would
run in every worker. All children therefore start with the safe path (https://docs.python.org/3/using/cmdline.html#cmdoption-P).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

SAFE_PATH = "PYTHONSAFEPATH"


def python_command() -> list[str]:
    """This interpreter with the flags that it was started with, and the safe path."""
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # as multiprocessing does
    return [sys.executable, *flags, *([] if "-P" in flags else ["-P"])]


def safe_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment for children (this process's by default) in which they, and theirs, have the safe path.

    A program that was started as `python -m comictool` in a checkout finds itself through the current folder; that one
    folder the user chose, so it stays on the path.
    """
    safe = {**(os.environ if environment is None else environment), SAFE_PATH: "1"}
    home = str(Path(__file__).resolve().parents[2])
    if not sys.flags.safe_path and sys.path[:1] in ([home], [""]) and os.getcwd() == home:
        safe["PYTHONPATH"] = os.pathsep.join([home, *filter(None, [safe.get("PYTHONPATH", "")])])
    return safe


@contextmanager
def importing_safely() -> Iterator[None]:
    """Within the block, children that a library starts (multiprocessing's servers) inherit a safe environment."""
    before = dict(os.environ)
    os.environ.update(safe_environment())
    try:
        yield
    finally:
        for name in (SAFE_PATH, "PYTHONPATH"):
            if name in before:
                os.environ[name] = before[name]
            else:
                os.environ.pop(name, None)
