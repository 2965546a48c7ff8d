"""Signals that a process sends itself at the n-th thing that it does to the disk, and children that do."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from comictool.core.errors import ComicError

CHANGES = frozenset(
    ["os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"]
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def at(numbers: Sequence[int], moments: Sequence[int], *, imports: bool = False, counted: int | None = None) -> None:
    """From here on count what is about to be done, and send signal `numbers[i]` before number `moments[i]` is done.

    Args:
        imports: count imports too.
        counted: a file descriptor; a counter of what was done is kept there.
    """
    left = sorted(zip(moments, numbers, strict=True), reverse=True)
    done = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal done
        if event == "open":
            if not isinstance(arguments[2], int) or not arguments[2] & WRITING:
                return
        elif event not in CHANGES and not (imports and event == "import"):
            return
        while left and left[-1][0] <= done:
            os.kill(os.getpid(), left.pop()[1])
        done += 1
        if counted is not None:
            os.pwrite(counted, b"%d" % done, 0)

    real = os.fsync

    def fsync(descriptor: int) -> None:
        hook("os.rename", ())
        real(descriptor)

    os.fsync = fsync  # no audit event says that something is about to be made durable
    sys.addaudithook(hook)


def in_a_child(work: Callable[[], object]) -> int:
    """The exit status of a fork that does this: 0, 3 after an error that is told, or minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except ComicError:
            os._exit(3)
        finally:
            os._exit(5)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
