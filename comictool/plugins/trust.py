"""Which plugin directories may run code: remembered by the hash of every file in them, revoked by any change.

Standard library only. There is no sandbox in Python: a plugin with code can do whatever its user can do.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from comictool.core.errors import InputError, UsageError

TRUST_FILE = "trusted.json"
TRUST_SCHEMA = 1
MAX_FILES = 10_000  # a plugin is a model, not a data set
CHUNK = 1 << 20


@dataclass(frozen=True)
class Fingerprint:
    """SHA-256 of every file of a directory, by path relative to it, and one over all of them."""

    files: Mapping[str, str]
    digest: str


@dataclass(frozen=True)
class TrustState:
    """Whether a directory may run code now; `changes` names what is different from when it was trusted."""

    trusted: bool
    known: bool
    changes: tuple[str, ...] = ()


def config_folder() -> Path:
    """The user's settings folder: COMICTOOL_CONFIG_DIR, else XDG_CONFIG_HOME/comictool, else ~/.config/comictool."""
    own = os.environ.get("COMICTOOL_CONFIG_DIR", "")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if base else Path.home() / ".config") / "comictool"


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def fingerprint(directory: Path) -> Fingerprint:
    """Hash every file under a directory, hidden ones included.

    Raises:
        InputError: a link that leads outside, a special file, too many files, or an unreadable one.
    """
    root = directory.resolve()
    files: dict[str, str] = {}
    for folder, folders, names in os.walk(root, onerror=_unreadable):
        folders.sort()
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for name in sorted([*names, *links]):
            path = Path(folder, name)
            files[path.relative_to(root).as_posix()] = _hash_entry(path, root)
            if len(files) > MAX_FILES:
                raise InputError(f"{directory} holds more than {MAX_FILES:,} files, too many for a plugin")
    listing = json.dumps(sorted(files.items())).encode()
    return Fingerprint(files, hashlib.sha256(listing).hexdigest())


def _hash_entry(path: Path, root: Path) -> str:
    try:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            target = os.readlink(path)
            if not path.resolve().is_relative_to(root):
                raise InputError(f"{path} is a symbolic link to {target}, outside the plugin directory")
            return "link:" + hashlib.sha256(os.fsencode(target)).hexdigest()
        if not stat.S_ISREG(mode):
            raise InputError(f"{path} is neither a file nor a directory")
        return hash_file(path)
    except OSError as error:
        raise _unreadable(error) from error


def _unreadable(error: OSError) -> InputError:
    """Also the `onerror` of os.walk, which must raise for the walk to stop."""
    raise InputError(f"{error.filename} cannot be read: {error.strerror or error}") from error


def trust_state(directory: Path, now: Fingerprint | None = None) -> TrustState:
    """Whether `directory` is trusted as it is now.

    Args:
        directory: the plugin directory.
        now: its fingerprint when already computed. Directories that nobody ever trusted are not hashed at all.

    Raises:
        InputError: the record cannot be read, or others may write it, or the directory cannot be hashed.
    """
    entry = _read_record().get(str(directory.resolve()))
    if entry is None:
        return TrustState(trusted=False, known=False)
    now = now or fingerprint(directory)
    if entry == now.files:
        return TrustState(trusted=True, known=True)
    changes = [f"{name} is new" for name in now.files if name not in entry]
    changes += [f"{name} is gone" for name in entry if name not in now.files]
    changes += [f"{name} changed" for name, sha in now.files.items() if entry.get(name, sha) != sha]
    return TrustState(trusted=False, known=True, changes=tuple(sorted(changes)))


def trust_plugin(directory: Path) -> Fingerprint:
    """Let a directory run code from now on, as long as no file in it changes.

    Raises:
        InputError: not a directory, no plugin, or it cannot be hashed, or the record cannot be read.
    """
    if not directory.is_dir():
        raise InputError(f"{directory} is not a directory")
    if not any((directory / name).is_file() for name in ("plugin.toml", "main.py", "model.py")):
        raise InputError(
            f"{directory} is no plugin: it has neither plugin.toml nor code", hint="name the plugin's own folder"
        )
    now = fingerprint(directory)
    record = _read_record()
    record[str(directory.resolve())] = dict(now.files)
    _write_record(record)
    return now


def revoke_plugin(directory: Path) -> bool:
    """Forget a directory; False when it was not recorded."""
    record = _read_record()
    if record.pop(str(directory.resolve()), None) is None:
        return False
    _write_record(record)
    return True


def require_trust(directory: Path, runs: list[str], *, trust: bool) -> Fingerprint:
    """The fingerprint of a directory that may run code.

    Args:
        directory: the plugin directory.
        runs: the files that would run first, for the refusal.
        trust: trusted for this one call (`--trust-plugin`).

    Raises:
        UsageError: it is not trusted; lists what would run and the command that allows it.
        InputError: it cannot be hashed.
    """
    now = fingerprint(directory)
    if trust:
        return now
    state = trust_state(directory, now)
    if state.trusted:
        return now
    code = [name for name in now.files if name.endswith(".py") and name not in runs]
    listed = ", ".join(runs) + (f" (which can import {', '.join(code[:10])})" if code else "")
    cause = f"it would run {listed} with your rights"
    if state.changes:
        shown = "; ".join(state.changes[:5]) + (
            f"; and {len(state.changes) - 5} more" if len(state.changes) > 5 else ""
        )
        cause = f"it was trusted, but since then {shown}; {cause}"
    raise UsageError(
        f"plugin {directory} contains code and is not trusted",
        cause=cause,
        hint=f"read it, then: comictool plugins trust {quote(str(directory))}   (or add --trust-plugin for this once)",
    )


def _read_record() -> dict[str, dict[str, str]]:
    file = config_folder() / TRUST_FILE
    hint = f"delete it and trust again: rm {quote(str(file))}"
    try:
        mode = file.stat().st_mode
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}", hint=hint) from error
    if os.name == "posix" and mode & 0o022:
        raise InputError(
            f"{file} can be changed by other users, so it proves nothing", hint=f"chmod 600 {quote(str(file))}"
        )
    try:
        record: Any = json.loads(text)
        trusted = record["trusted"]
        sound = record["schema"] == TRUST_SCHEMA and isinstance(trusted, dict)
        sound = sound and all(isinstance(files, dict) for files in trusted.values())
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{file} is damaged: {error}", hint=hint) from error
    if not sound:
        raise InputError(f"{file} is not a trust record of this version", hint=hint)
    return trusted


def _write_record(record: Mapping[str, Mapping[str, str]]) -> None:
    """Replace the record atomically; readable and writable by its owner only from the first byte on."""
    import tempfile

    folder = config_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(prefix=f".{TRUST_FILE}.", dir=folder)  # mkstemp makes the file 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                json.dump({"schema": TRUST_SCHEMA, "trusted": record}, stream, indent=1, sort_keys=True)
            os.replace(name, folder / TRUST_FILE)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(f"{folder / TRUST_FILE} cannot be written: {error.strerror or error}") from error
