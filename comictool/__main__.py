"""`python -m comictool`, and the `comictool` program."""

import os
import signal
import sys


def main() -> None:
    """Run the program; a signal while it is imported or ends shows no traceback."""
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))
    from comictool.cli.app import main as run

    try:
        run()
    except SystemExit as stop:
        _leave(stop.code if isinstance(stop.code, int) else int(stop.code is not None))


def _leave(code: int) -> None:
    """End the process when all is said: Python's own end takes every module apart first, which takes time."""
    import atexit

    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # told before, if it could be
            code = code or 1
    atexit._run_exitfuncs()
    os._exit(code)


if __name__ == "__main__":
    main()
