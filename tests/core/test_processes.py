"""A script without `if __name__ == "__main__":` may use what works in processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
from comictool.core.workers import in_order
from tests.core.test_processes import double
print([result for result, _ in in_order(double, range(5), kind="processes", jobs=2)])
"""


def double(number: int) -> int:
    return 2 * number


def test_a_script_is_not_run_again_by_its_workers(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    ran = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert (ran.stdout, ran.stderr) == ("[0, 2, 4, 6, 8]\n", "")
