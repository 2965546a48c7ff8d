"""External extractors: which are installed, and running one so that it can neither hang, flood nor write files.

An extractor gets a list of arguments (no shell), a neutral path, no standard input, a time limit, and may only write
to its standard output. Member names are never passed to it.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from comictool.archives.members import printable
from comictool.core.errors import InputError


@functools.cache
def extractors() -> dict[str, str]:
    """The installed extractors by name: `unar` and `bsdtar` with their path, `py7zr` with its version."""
    found = {name: path for name in ("unar", "bsdtar") if (path := shutil.which(name))}
    if importlib.util.find_spec("py7zr"):
        from importlib.metadata import version

        found["py7zr"] = version("py7zr")
    return found


class Running:
    """A command at work: `output` is what it writes; `complaint()` waits for its end and says what went wrong."""

    def __init__(self, process: subprocess.Popen[bytes], complaints: BinaryIO) -> None:
        assert process.stdout is not None
        self.output: IO[bytes] = process.stdout
        self._process = process
        self._complaints = complaints

    def complaint(self) -> str:
        """The first line of complaint of a command that failed; empty when it ended well."""
        if self._process.wait() == 0:
            return ""
        self._complaints.seek(0)
        lines = self._complaints.read(4000).decode("utf-8", "replace").strip().splitlines()
        return printable(lines[0]) if lines else f"exit status {self._process.returncode}"


@contextmanager
def running(command: list[str], *, seconds: float) -> Iterator[Running]:
    """Run a command and hand over its standard output while it runs; it is killed at the end of the block.

    Raises:
        InputError: it used up its time.
    """
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            # UTF-8 names out of bsdtar whatever the user's locale says.
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
        overdue = threading.Event()

        def stop() -> None:
            overdue.set()
            process.kill()

        timer = threading.Timer(seconds, stop)
        timer.daemon = True
        timer.start()
        try:
            yield Running(process, complaints)
        finally:
            timer.cancel()
            process.kill()
            assert process.stdout is not None
            process.stdout.close()
            process.wait()
        if overdue.is_set():
            raise InputError(f"{Path(command[0]).name} took longer than {seconds:.0f} s")


def tar_conversion(bsdtar: str, archive: Path) -> list[str]:
    """The command with which bsdtar turns any archive into a tar stream, so that one reader serves all kinds."""
    return [bsdtar, "-c", "-f", "-", "--format=pax", f"@{archive.resolve()}"]


@contextmanager
def neutral_path(volumes: Sequence[Path], folder: Path) -> Iterator[Path]:
    """Links to the volumes of an archive, alone in a folder and under fixed names; the path is that of the first.

    unar takes files with similar names in the same folder for volumes of one archive (`rar4.rar` beside `rar5.rar`).
    """
    folder.mkdir(parents=True, exist_ok=True)
    alone = Path(tempfile.mkdtemp(prefix="link-", dir=folder))
    try:
        for number, volume in enumerate(volumes, start=1):
            os.symlink(volume.resolve(), alone / _neutral_name(volume, number, len(volumes)))
        yield alone / _neutral_name(volumes[0], 1, len(volumes))
    finally:
        shutil.rmtree(alone, ignore_errors=True)


def _neutral_name(volume: Path, number: int, count: int) -> str:
    if count == 1:
        return "archive"
    if re.search(r"\d\.[^.]*$", volume.name):  # book.part02.rar, or book02.rar
        return f"archive.part{number:04}.rar"
    return "archive.rar" if number == 1 else f"archive{volume.suffix}"  # book.rar, book.r00
