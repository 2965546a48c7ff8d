"""`--devices N`: the same command line again in N processes, started by torchrun.

The processes are a session of their own, so that Ctrl-C reaches the launcher alone. It asks them to stop by a file, and
they agree on the step; torchrun would pass the signal on a second time and write a page about every process that was
stopped. Exit codes come back in files for the same reason.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from comictool.core.children import python_command, safe_environment
from comictool.core.errors import ComicError, ExitCode, Stopped
from comictool.core.files import write_text
from comictool.core.jobs import stop_signals
from comictool.core.workers import cores
from comictool.training import distributed

FOLDER = "COMICTOOL_LAUNCH_FOLDER"
PROCESS = "COMICTOOL_LAUNCH_PROCESS"
LOOK_SECONDS = 0.2


class ProcessDied(ComicError):
    """A process ended without saying why: killed by the kernel (memory) or from outside."""

    exit_code = ExitCode.BUG


def in_processes(
    work: Callable[[bool], int], count: int, arguments: Sequence[str], explain: Callable[[BaseException], int]
) -> int:
    """Do a command's work in this process, or have the command run in several; gives the exit code.

    Args:
        work: is told whether this is the first process, the only one that speaks; gives an exit code.
        count: processes to start, unless this one was started as one of several.
        arguments: the command line, for those processes.
        explain: reports an error to the user and gives its exit code.
    """
    here = distributed.process_info()
    if count > 1 and not here.starter:
        return run_processes(count, arguments)
    if not launched():
        try:
            return work(here.rank == 0)
        except (distributed.OtherProcessFailed, Stopped) as error:
            # Of several processes one speaks: the first, or the one that failed alone.
            follows = isinstance(error, distributed.OtherProcessFailed) or here.rank > 0
            if follows and not isinstance(error, distributed.PeerGone):
                return int(error.exit_code)
            raise
    register(here.rank)
    try:
        code = work(here.rank == 0)
    except distributed.OtherProcessFailed:
        code = ExitCode.DONE  # nothing to add: the launcher reports a process that ended without a word
    except BaseException as error:
        silent = isinstance(error, Stopped) and here.rank > 0
        code = int(error.exit_code) if silent and isinstance(error, Stopped) else explain(error)
    report(code, here.rank)
    return ExitCode.DONE  # the launcher knows the code; another one would make torchrun write a page about it


def run_processes(count: int, arguments: Sequence[str]) -> int:
    """Run this program's command line in `count` processes on this machine; gives the exit code of the first.

    The first SIGINT or SIGTERM stops the run at its next step; a second one kills it.

    Raises:
        ProcessDied: a process ended without an answer; what is saved is on disk.
    """
    with tempfile.TemporaryDirectory(prefix="comictool-launch-") as folder:
        environment = safe_environment({**os.environ, FOLDER: folder, PROCESS: str(os.getpid())})
        environment.setdefault("OMP_NUM_THREADS", str(max(1, cores() // count)))
        command = [
            *python_command(),
            "-m",
            "torch.distributed.run",
            "--standalone",
            f"--nproc-per-node={count}",
            f"--log-dir={Path(folder) / 'logs'}",
            "-m",
            _program(),
            *arguments,
        ]
        with stop_signals() as stop:
            started = subprocess.Popen(command, env=environment, start_new_session=True)
            try:
                while started.poll() is None:
                    if stop.is_set():
                        write_text(Path(folder) / "stop", str(stop.number))
                    try:
                        started.wait(LOOK_SECONDS)
                    except subprocess.TimeoutExpired:
                        continue
            except BaseException:  # a second signal
                _kill(started.pid, Path(folder))
                started.wait()
                raise
        # 0 also from a process that failed only because another one did.
        codes = {file.name: int(file.read_text()) for file in Path(folder).glob("code-*")}
    if len(codes) == count:
        return codes["code-0"] or max(codes.values())
    failed = [code for code in codes.values() if code]
    if failed:
        return max(failed)
    raise ProcessDied(
        f"one of the {count} processes of this run was killed",
        cause="most often there was not enough memory for all of them",
        hint="the same command resumes from the last checkpoint; fewer --devices or a smaller batch need less memory",
    )


def launched() -> bool:
    """Whether this process is one of those that `run_processes` started."""
    return FOLDER in os.environ


def register(rank: int) -> None:
    """Tell the launcher who this process is: torchrun puts each into a session of its own, out of a signal's reach."""
    folder = Path(os.environ[FOLDER])
    if folder.is_dir():
        write_text(folder / f"process-{rank}", str(os.getpid()))


def stop_requested() -> int:
    """The signal that the launcher got, 0 while it got none; SIGTERM's when the launcher itself is gone."""
    if not launched():
        return 0
    file = Path(os.environ[FOLDER]) / "stop"
    if file.exists():
        return int(file.read_text())
    return 0 if _alive(int(os.environ[PROCESS])) else int(signal.SIGTERM)


def report(code: int, rank: int) -> None:
    """Tell the launcher how this process ended."""
    folder = Path(os.environ[FOLDER])
    if folder.is_dir():  # the launcher may be gone
        write_text(folder / f"code-{rank}", str(int(code)))


def _program() -> str:
    """The module that this program was started as."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name.removesuffix(".__main__") if spec is not None else "comictool"


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _kill(group: int, folder: Path) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    for file in folder.glob("process-*"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(file.read_text()), signal.SIGKILL)
