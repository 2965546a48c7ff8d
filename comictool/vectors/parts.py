"""Parts: vectors of finished items of a job that are not published yet, one file for each item, whole or absent.

A job writes a part for each item as it finishes, and publishes all of them at the end; a killed run keeps its parts.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np

from comictool.core.errors import InputError
from comictool.core.files import atomic_file, parse_json

WORK = ".work"
Piece = tuple[str, Sequence[str], np.ndarray]  # of a page or comic: names of rows, (rows, D) or (rows, T, D)


def work_folder(root: Path) -> Path:
    """Where a job over the store keeps its ledger and parts."""
    return root / WORK


class Parts:
    """The parts in one folder, by the keys of their items."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, key: str) -> Path:
        """The file of an item's part, whatever characters its key has."""
        return self.folder / f"{blake2b(key.encode('utf-8', 'backslashreplace'), digest_size=16).hexdigest()}.npz"

    def write(self, key: str, stamp: str, pieces: Iterable[Piece]) -> None:
        """Write the part of an item in one step.

        Args:
            stamp: of the item's input and settings; `read` asks for it again.
            pieces: rows, in order, all of one type and dimension.
        """
        held = list(pieces)
        head = {"stamp": stamp, "pieces": [[comic, list(names)] for comic, names, _ in held]}
        rows = np.concatenate([vectors for _, _, vectors in held]) if held else np.empty((0, 0), np.float32)
        text = json.dumps(head).encode("ascii")
        with atomic_file(self.file(key)) as stream:
            np.savez(stream, head=np.frombuffer(text, np.uint8), rows=rows)

    def read(self, key: str, stamp: str) -> list[Piece] | None:
        """The rows of an item; None when its part is missing or of another input.

        Raises:
            InputError: it is damaged.
        """
        file = self.file(key)
        try:
            with np.load(file, allow_pickle=False) as arrays:
                head = parse_json(bytes(arrays["head"]), str(file))
                if head["stamp"] != stamp:
                    return None
                rows, pieces = arrays["rows"], []
            for comic, names in head["pieces"]:
                pieces.append((comic, names, rows[: len(names)]))
                rows = rows[len(names) :]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{file} is damaged ({error})", hint="delete it and run the same command again") from error
        return pieces

    def has(self, key: str, stamp: str) -> bool:
        """Whether `read` would find the rows of an item; only the head of its part is read."""
        try:
            with np.load(self.file(key), allow_pickle=False) as arrays:
                return bool(parse_json(bytes(arrays["head"]), str(self.file(key)))["stamp"] == stamp)
        except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, InputError):
            return False

    def keep_only(self, keys: Iterable[str]) -> None:
        """Delete the parts of all other items, and temporary files that a kill left."""
        kept = {self.file(key).name for key in keys}
        for file in self.folder.iterdir() if self.folder.is_dir() else ():
            if file.name not in kept:
                file.unlink(missing_ok=True)
