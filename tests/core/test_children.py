"""No child imports from the current folder: canaries named like modules lie there; each way of starting is tried."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import comictool
from comictool.core.children import python_command, safe_environment

# What commands import, and what the standard library imports in a child before it gets the parent's path.
CANARIES = ("torch", "numpy", "json", "PIL", "selectors", "socket", "struct", "pickle", "runpy", "tempfile")
HOME = Path(comictool.__file__).parents[1]

# Each is run as a script that does not lie in the folder with the canaries.
WAYS = {
    "workers": """
from comictool.core.workers import in_order
from comictool.core.names import natural_key
if __name__ == "__main__":
    print([error for _, error in in_order(natural_key, ["a", "b", "c"], kind="processes", jobs=2)])
""",
    "doctor": """
from comictool.library.health import examine
from pathlib import Path
if __name__ == "__main__":
    print([check.status for check in examine(Path("."))])
""",
    "launch": """
import sys
from comictool.training import launch
launch._program = lambda: "this"  # a module of the standard library that ends by itself
if __name__ == "__main__":
    try:
        launch.run_processes(1, [])
    except launch.ProcessDied:
        print("ended")
""",
    "loading": """
from comictool.training import loading
from multiprocessing import forkserver
if __name__ == "__main__":
    forkserver.set_forkserver_preload(["json", "numpy"])
    loading._start_forkserver()
    import multiprocessing
    process = multiprocessing.get_context("forkserver").Process(target=print, args=("ran",))
    process.start()
    process.join()
""",
}


@pytest.mark.parametrize("way", WAYS)
def test_no_child_imports_from_the_current_folder(tmp_path: Path, way: str) -> None:
    place, script = tmp_path / "comics", tmp_path / "scripts" / "program.py"
    place.mkdir()
    script.parent.mkdir()
    for name in CANARIES:
        (place / f"{name}.py").write_text(f"open({str(tmp_path / 'EXECUTED')!r}, 'a').write({name!r} + ' ')\n")
    script.write_text(WAYS[way])
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    environment["PYTHONPATH"] = str(HOME)
    run = subprocess.run(
        [sys.executable, str(script)], cwd=place, env=environment, capture_output=True, text=True, timeout=200
    )
    assert run.returncode == 0, run.stderr
    assert not (tmp_path / "EXECUTED").exists(), (tmp_path / "EXECUTED").read_text()


def test_children_have_the_safe_path_and_so_have_theirs() -> None:
    code = "import sys, os; print(sys.flags.safe_path, os.environ['PYTHONSAFEPATH'])"
    run = subprocess.run([*python_command(), "-c", code], env=safe_environment({}), capture_output=True, text=True)
    assert run.stdout.split() == ["True", "1"]


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="no signal masks")
def test_a_ctrl_c_while_workers_start_leaves_no_traceback(tmp_path: Path) -> None:
    """The fork server imports the module of the work; a Ctrl-C to the whole group comes right then."""
    (tmp_path / "slow.py").write_text(
        "import multiprocessing.process as p, os, signal\n"
        "if os.environ.get('PARENT') not in (None, str(os.getpid())):\n"
        "    os.killpg(0, signal.SIGINT)\n"
        "def work(value):\n    return value\n"
    )
    script = tmp_path / "program.py"
    script.write_text(
        "import os, signal\n"
        "import slow\n"
        "signal.signal(signal.SIGINT, lambda *_: None)\n"
        "os.environ['PARENT'] = str(os.getpid())\n"
        "from comictool.core.workers import in_order\n"
        "print([value for value, _ in in_order(slow.work, [1, 2], kind='processes', jobs=2)])\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HOME), str(tmp_path)])}
    run = subprocess.run(
        [sys.executable, str(script)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        start_new_session=True,
    )
    assert (run.stdout, run.stderr) == ("[1, 2]\n", "")
