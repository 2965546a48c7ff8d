"""Running the program as a user does: in a process of its own, with the streams apart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Ran:
    """What a command line gave."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]
# `python -c KILLED_AT MOMENT ARGUMENTS...`: the program, which SIGKILLs itself when it has done so much to the disk.
KILLED_AT = """
import sys
from comictool.__main__ import main
from tests.bench import kill_me
kill_me.at([9], [int(sys.argv.pop(1))])
main()
"""


@pytest.fixture
def comictool(tmp_path: Path) -> Run:
    """`comictool("data", "import", ...)` in a fresh process, in a folder and a configuration of its own."""

    def run(*arguments: object, cwd: Path | None = None, **environment: str) -> Ran:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("COMICTOOL_")}
        clean["COMICTOOL_TEXT"] = "0"  # seconds a page; tests/words read some
        clean |= {"COMICTOOL_CONFIG_DIR": str(tmp_path / "config"), "PYTHONPATH": str(Path(__file__).parents[2])}
        if "reid" in arguments[:2]:
            clean["COMICTOOL_PLUGIN"] = "classic_character"  # the default starts torch, which is seconds a process
        done = subprocess.run(
            [sys.executable, "-m", "comictool", *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=cwd or tmp_path,
            env=clean | environment,
            timeout=240,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return run
