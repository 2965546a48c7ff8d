"""Vectors already computed, kept in one SQLite file: the same picture is never decoded twice for the same encoder.

A vector is kept under the hash of the picture's content, the id of the encoder and the way it was read. A second
table remembers the hash of files by path, size and times, so that an unchanged file is not even read. Several
processes may use one cache, and a process that is killed loses at most what it had not yet committed. Nothing in it is
pickled: a damaged or hostile cache gives wrong numbers at worst, never code.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from comictool.core.errors import InputError, SetupError

VERSION = 1
AT_ONCE = 500  # values in one SQL statement; SQLite's oldest limit is 999
WAIT_SECONDS = 60.0  # for another process that is writing
# A file changed twice within one tick of the file system's clock keeps its times: such stamps are not trusted yet.
SETTLED_SECONDS = 2.0

_TABLES = """
CREATE TABLE IF NOT EXISTS vectors (
    digest TEXT NOT NULL, encoder TEXT NOT NULL, vector BLOB NOT NULL, PRIMARY KEY (encoder, digest)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, stamp TEXT NOT NULL, digest TEXT NOT NULL) WITHOUT ROWID;
"""


def default_cache() -> Path:
    """Where vectors are cached unless the user says otherwise: COMICTOOL_CACHE, or the user's cache folder."""
    named = os.environ.get("COMICTOOL_CACHE")
    if named:
        return Path(named) / "reid.sqlite"
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "comictool" / "reid.sqlite"


def stamp_of(path: Path) -> str | None:
    """Size and times of a file as one text; None when it cannot be asked, or changed too recently to be told apart."""
    try:
        facts = os.stat(path)
    except (OSError, ValueError):
        return None
    if time.time() - max(facts.st_mtime, facts.st_ctime) < SETTLED_SECONDS:
        return None
    return f"{facts.st_size}:{facts.st_mtime_ns}:{facts.st_ctime_ns}:{facts.st_ino}"


class EmbeddingCache:
    """The cache in one file; a context manager. Not for several threads at once.

    Args:
        file: created, with its folder, when absent.

    Raises:
        InputError: the file is no cache of ours, or damaged.
        SetupError: it cannot be written.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(file, timeout=WAIT_SECONDS, isolation_level=None)
            with self._explained():
                self._prepare()
        except (OSError, sqlite3.OperationalError) as error:
            raise SetupError(f"the cache {file} cannot be used: {error}", hint="--cache FOLDER") from error

    def _prepare(self) -> None:
        version = self._base.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, VERSION):
            raise InputError(f"{self.file} is no cache of this version", hint=f"rm {self.file}")
        # Readers and a writer at once, and a kill never leaves a half-written page behind.
        self._base.execute("PRAGMA journal_mode = WAL")
        self._base.execute("PRAGMA synchronous = NORMAL")
        if version == 0:
            self._base.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {VERSION}; COMMIT;")

    def _explained(self) -> _Explained:
        return _Explained(self.file)

    def __enter__(self) -> EmbeddingCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._base.close()

    def digests(self, paths: Sequence[Path]) -> dict[Path, str]:
        """Content hashes of the files that have not changed since they were remembered."""
        stamps = {_absolute(path): (path, stamp) for path in paths if (stamp := stamp_of(path)) is not None}
        known: dict[Path, str] = {}
        with self._explained():
            for names in _portions(stamps):
                marks = ",".join("?" * len(names))
                query = f"SELECT path, stamp, digest FROM files WHERE path IN ({marks})"
                for name, stamp, digest in self._base.execute(query, names):
                    path, now = stamps[name]
                    if stamp == now:
                        known[path] = digest
        return known

    def vectors(self, digests: Iterable[str], encoder: str) -> dict[str, np.ndarray]:
        """The vectors, (D,) float32, that are there for these contents.

        Raises:
            InputError: one of them is damaged.
        """
        found: dict[str, np.ndarray] = {}
        with self._explained():
            for names in _portions(dict.fromkeys(digests)):
                marks = ",".join("?" * len(names))
                query = f"SELECT digest, vector FROM vectors WHERE encoder = ? AND digest IN ({marks})"
                for digest, blob in self._base.execute(query, (encoder, *names)):
                    found[digest] = self._vector(blob)
        return found

    def _vector(self, blob: object) -> np.ndarray:
        if isinstance(blob, bytes) and blob and len(blob) % 4 == 0:
            vector = np.frombuffer(blob, "<f4")
            if abs(float(np.dot(vector, vector)) - 1.0) < 1e-3:  # also false for what is not finite
                return vector
        raise InputError(f"the cache {self.file} is damaged: it holds something that is no unit vector", hint="rm it")

    def keep(
        self, encoder: str, vectors: Mapping[str, np.ndarray], files: Mapping[Path, tuple[str, str]] | None = None
    ) -> None:
        """Add vectors by digest, and (stamp, digest) of files, in one transaction."""
        rows = [(digest, encoder, vector.astype("<f4").tobytes()) for digest, vector in vectors.items()]
        stamps = [(_absolute(path), *facts) for path, facts in (files or {}).items()]
        if not rows and not stamps:
            return
        with self._explained():
            self._base.execute("BEGIN IMMEDIATE")
            try:
                self._base.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)
                self._base.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", stamps)
                self._base.execute("COMMIT")
            except BaseException:
                if self._base.in_transaction:  # a full disk has ended it already
                    self._base.execute("ROLLBACK")
                raise


class _Explained:
    """Turns SQLite's errors about the file into sentences."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.OperationalError):
            raise SetupError(f"the cache {self._file} cannot be used: {error}", hint="--cache FOLDER") from error
        if isinstance(error, sqlite3.DatabaseError):
            raise InputError(f"the cache {self._file} is damaged: {error}", hint=f"rm {self._file}") from error


def _portions(names: Iterable[str]) -> Iterable[list[str]]:
    every = list(names)
    return (every[start : start + AT_ONCE] for start in range(0, len(every), AT_ONCE))


def _absolute(path: Path) -> str:
    """`os.path.abspath`, which is slow, only where it changes something: a `Path` has no `.` and no `//` inside."""
    text = os.fspath(path)
    return text if path.is_absolute() and ".." not in text else os.path.abspath(text)
