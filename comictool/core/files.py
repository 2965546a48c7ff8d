"""Files and folders that are either whole or absent (written beside the target, then renamed), and bounded reads.

`read_json` and `read_toml` are the doors for every such file: a file in a folder that the user merely opened may be
damaged, huge or hostile, and all of that becomes one sentence.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

from comictool.core.errors import InputError

TEMPORARY_SUFFIX = ".partial"
MOST_JSON_BYTES = 256 << 20  # of one document that is read whole; the index of 1.2 million panels takes 40 MB
MOST_TOML_BYTES = 1 << 20
REQUIRED: Any = object()


@contextmanager
def atomic_file(path: Path, *, durable: bool = False) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` for writing; rename it onto `path` when the block ends well.

    Args:
        path: the target; its parent is created.
        durable: also flush to the disk before the rename (survives a power cut, costs milliseconds).

    Raises:
        OSError: when the disk is full or the folder not writable; the target is then unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle, name, held = _temporary(path)
    except OSError as error:
        raise _about(error, path) from error
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        # It was made private; give the result the mode that an ordinary open() would have given.
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, name):  # not one about a file that is being read
            raise _about(error, path) from error
        raise
    finally:
        if held >= 0:
            os.close(held)  # only now: until the rename nobody else may write to this name


def _temporary(path: Path) -> tuple[int, str, int]:
    """A descriptor and the name of an empty file beside `path`, and another descriptor that holds it (-1: none needed).

    It has one name, so that the next run writes over what a kill left; a drawn one only while somebody holds that one.
    """
    import tempfile

    from comictool.core.ledger import lock_file

    name = f"{path.parent}{os.sep}.{path.name[:40]}{TEMPORARY_SUFFIX}"
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW if hasattr(os, "O_NOFOLLOW") else 0
    with suppress(OSError):
        handle = os.open(name, flags, 0o600) if flags else -1
        if handle >= 0:
            # Held, and still the file of this name, and of no other: another writer may have renamed it meanwhile.
            if lock_file(handle) and _is_only(os.fstat(handle), name):
                os.truncate(handle, 0)
                return handle, name, os.dup(handle)
            os.close(handle)
    return *tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=TEMPORARY_SUFFIX, dir=path.parent), -1


def _is_only(opened: os.stat_result, name: str) -> bool:
    there = os.stat(name, follow_symlinks=False)
    return stat.S_ISREG(there.st_mode) and there.st_nlink == 1 and os.path.samestat(opened, there)


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


def parse_json(data: bytes | str, what: str, *, hint: str = "", pairs: Callable[[Any], Any] | None = None) -> Any:
    """The value of a JSON text.

    Args:
        data: the text; bytes are UTF-8, perhaps with a byte order mark.
        what: what the text is, as the sentence begins: a file, or "FILE line 3".
        pairs: makes a value of the pairs of each object, in place of a dict that forgets keys which come twice.

    Raises:
        InputError: no UTF-8, no JSON, nested too deeply, or a number of thousands of digits.
    """
    try:
        return json.loads(data, object_pairs_hook=pairs)
    except UnicodeDecodeError as error:
        raise InputError(f"{what} is not UTF-8 text (byte {error.start})", hint=hint) from error
    except (ValueError, RecursionError) as error:  # ValueError: no JSON, or a number of thousands of digits
        raise InputError(f"{what} is not JSON", cause=_reason(error), hint=hint) from error


def read_json(
    path: Path, *, what: str = "", default: Any = REQUIRED, most_bytes: int = MOST_JSON_BYTES, hint: str = ""
) -> Any:
    """The value of a JSON file.

    Args:
        path: the file.
        what: what it is, for the sentence; its path is always named.
        default: given back when there is no such file; without it that is an error.
        most_bytes: larger files are refused before they are read.
        hint: what to do about a damaged one.

    Raises:
        InputError: missing, unreadable, too large or no JSON.
    """
    data = read_bounded(path, what=what, default=default, most_bytes=most_bytes, hint=hint)
    return parse_json(data, _named(path, what), hint=hint) if isinstance(data, bytes) else data


def read_toml(
    path: Path, *, what: str = "", default: Any = REQUIRED, most_bytes: int = MOST_TOML_BYTES, hint: str = ""
) -> Any:
    """The tables of a TOML file; arguments and errors as for `read_json`."""
    data = read_bounded(path, what=what, default=default, most_bytes=most_bytes, hint=hint)
    if not isinstance(data, bytes):
        return data
    import tomllib

    try:
        return tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{_named(path, what)} is not valid TOML", cause=_reason(error), hint=hint) from error


def read_lines(path: Path, *, default: Any = REQUIRED, most_bytes: int = MOST_JSON_BYTES) -> list[tuple[int, str]]:
    """The lines of a UTF-8 text that are not empty, each with its number from 1; errors as for `read_json`."""
    data = read_bounded(path, default=default, most_bytes=most_bytes)
    if not isinstance(data, bytes):
        return cast(list[tuple[int, str]], data)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start})") from error
    # Not splitlines(): a text may hold U+2028, which that takes for the end of a line and JSON does not.
    return [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]


def read_bounded(
    path: Path, *, what: str = "", default: Any = REQUIRED, most_bytes: int = MOST_JSON_BYTES, hint: str = ""
) -> Any:
    """The bytes of a file, at most `most_bytes`; arguments and errors as for `read_json`."""
    try:
        with open(path, "rb") as stream:
            data = stream.read(most_bytes + 1)
    except FileNotFoundError:
        if default is not REQUIRED:
            return default
        raise InputError(f"{_named(path, what)} does not exist", hint=hint) from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"{_named(path, what)} cannot be read: {reason}", hint=hint) from error
    if len(data) > most_bytes:
        raise InputError(f"{_named(path, what)} has more than the {most_bytes:,} bytes that it may have", hint=hint)
    return data


def _named(path: Path, what: str) -> str:
    return f"{what} {path}" if what else str(path)


def _reason(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())[:200]


@contextmanager
def replaced_folder(target: Path) -> Iterator[Path]:
    """A new folder to fill that takes the place of `target` when the block ends well; else nothing has changed.

    A kill between the two renames leaves the old folder under its temporary name, where `target` is put back from by
    the next call.
    """
    new, old = (target.with_name(f".{target.name}.{kind}{TEMPORARY_SUFFIX}") for kind in ("new", "old"))
    target.parent.mkdir(parents=True, exist_ok=True)
    if old.is_dir() and not target.exists():
        os.replace(old, target)
    for left in (new, old):
        shutil.rmtree(left, ignore_errors=True)
    new.mkdir()
    try:
        yield new
        if target.exists():
            os.replace(target, old)
        os.replace(new, target)
    except BaseException:
        if old.is_dir() and not target.exists():
            os.replace(old, target)
        shutil.rmtree(new, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)


def remove_left(target: Path) -> None:
    """Remove temporary files that a kill left where `target` was being written; only for its one writer to call."""
    if target.parent.is_dir():
        for name in os.listdir(target.parent):
            if name.startswith(f".{target.name[:40]}.") and name.endswith(TEMPORARY_SUFFIX):
                (target.parent / name).unlink(missing_ok=True)


def state_of(status: os.stat_result) -> str:
    """Size and time of last change of a file: different whenever it was written anew."""
    return f"{status.st_size} {status.st_mtime_ns}"


def is_inside(path: Path, root: Path) -> bool:
    """Whether `path`, with links and `..` resolved, lies in `root` or is it."""
    return path.resolve().is_relative_to(root.resolve())


def below(root: Path, relative: str, *, links: bool = False) -> Path:
    """The path `relative` below `root`, which no link on the way leads out of: its folders are real ones.

    For paths that a file in a folder of somebody else names. Ask right before the path is used: the answer holds only
    while nobody else changes the folder. The last part may be a link; replacing or removing it touches the link alone.

    Raises:
        InputError: absolute, with `..` or a null byte, empty, or through a link (which `links` leaves for later).
    """
    parts = relative.split("/")
    if not relative or "\0" in relative or Path(relative).is_absolute() or not {"", ".", ".."}.isdisjoint(parts):
        raise InputError(f"{relative!r:.200} is no path inside {root}")
    path = root
    for part in parts[:-1]:
        path = path / part
        if not links and path.is_symlink():
            raise InputError(f"{relative!r:.200} leads through the link {path}", cause="it may lead out of the folder")
    return path / parts[-1]


def _umask() -> int:
    global _UMASK
    if _UMASK is None:
        _UMASK = os.umask(0)
        os.umask(_UMASK)
    return _UMASK


_UMASK: int | None = None
