"""Worker processes that never run the script they were started from.

The standard library gives each child the parent's `__main__` by running its file again, so that functions defined there
can be found. Ours are not defined there, and a script that begins with `comictool.embed(...)`
and has no `if __name__ == "__main__":` would start itself over and over.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_all_start_methods


@contextmanager
def _without_main() -> Iterator[None]:
    """Within the block nothing says what `__main__` was read from."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


if "forkserver" in get_all_start_methods():
    from multiprocessing.context import ForkServerContext as Context
    from multiprocessing.context import ForkServerProcess as Process
else:  # Windows
    from multiprocessing.context import SpawnContext as Context  # type: ignore[assignment]
    from multiprocessing.context import SpawnProcess as Process  # type: ignore[assignment]


class Worker(Process):
    """A process that knows no script."""

    def start(self) -> None:
        """Start it without the parent's `__main__`."""
        with _without_main():
            super().start()


class WorkerContext(Context):
    """What `ProcessPoolExecutor` starts workers with.

    Not plain fork: threads of numpy or torch in the parent would be copied in the middle of holding locks.
    """

    Process = Worker
