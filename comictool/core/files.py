"""Files that are either whole or absent: temp file beside the target, flush, rename."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO

TEMPORARY_SUFFIX = ".partial"


@contextmanager
def atomic_file(path: Path, *, durable: bool = False) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` for writing; rename it onto `path` when the block ends well.

    Args:
        path: the target; its parent is created.
        durable: also flush to the disk before the rename (survives a power cut, costs milliseconds).

    Raises:
        OSError: when the disk is full or the folder not writable; the target is then unchanged.
    """
    import tempfile

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=TEMPORARY_SUFFIX, dir=path.parent)
    except OSError as error:
        raise _about(error, path) from error
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        # mkstemp makes private files; give the result the mode that an ordinary open() would have given.
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, name):  # not one about a file that is being read
            raise _about(error, path) from error
        raise


def _about(error: OSError, path: Path) -> OSError:
    """The same error, naming the file that was meant; the temporary one means nothing to anybody."""
    return OSError(error.errno, error.strerror, str(path)) if error.errno else error


@contextmanager
def atomic_text(path: Path) -> Iterator[TextIO]:
    """The same for UTF-8 text, for writers that need a text stream; line ends are left as they are written."""
    with atomic_file(path) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
        try:
            yield text
        finally:
            text.detach()  # flushes, and leaves the file open for the rename


def write_bytes(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write a whole file atomically."""
    with atomic_file(path, durable=durable) as stream:
        stream.write(data)


def write_text(path: Path, text: str, *, durable: bool = False) -> None:
    r"""Write a whole UTF-8 file atomically.

    A file name that is not valid UTF-8 holds lone surrogates here. They are written as `\udcff`, which is JSON's own
    escape for them, so JSON files and JSON lines give the very name back.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"), durable=durable)


def write_json(path: Path, value: Any, *, indent: int | None = 2, durable: bool = False) -> None:
    """Write a JSON file atomically, UTF-8, keys in the order given."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=indent) + "\n", durable=durable)


def state_of(status: os.stat_result) -> str:
    """Size and time of last change of a file: different whenever it was written anew."""
    return f"{status.st_size} {status.st_mtime_ns}"


def is_inside(path: Path, root: Path) -> bool:
    """Whether `path`, with links and `..` resolved, lies in `root` or is it."""
    return path.resolve().is_relative_to(root.resolve())


def _umask() -> int:
    global _UMASK
    if _UMASK is None:
        _UMASK = os.umask(0)
        os.umask(_UMASK)
    return _UMASK


_UMASK: int | None = None
