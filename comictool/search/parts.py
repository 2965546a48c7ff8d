"""Parts: vectors of a few pages that a job has finished and not yet published, one file for each item of the job.

A part is written whole or not at all and named after its item, so that an item done twice leaves one part.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np

from comictool.core.errors import InputError
from comictool.core.files import atomic_file

WORK = ".work"


@dataclass
class EmbeddedPage:
    """What one page came to: vectors of its views and of its panels, in the order of its record.

    Attributes:
        views: `(views, D)`, or `(0, D)` when the store has no page level.
        panels: `(panels, D)`, or `(0, D)` when the store has no panel level.
    """

    comic: str
    page: int
    fingerprint: str
    views: np.ndarray
    panels: np.ndarray

    def vectors(self, level: str) -> np.ndarray:
        """The vectors of one level."""
        return self.panels if level == "panel" else self.views


def work_folder(root: Path) -> Path:
    """Where a job over the store keeps its ledger and parts."""
    return root / WORK


def parts_folder(root: Path) -> Path:
    """Where the parts lie."""
    return work_folder(root) / "parts"


def part_file(root: Path, key: str) -> Path:
    """The file of an item's part, whatever characters its key has."""
    return parts_folder(root) / f"{blake2b(key.encode('utf-8'), digest_size=16).hexdigest()}.npz"


def write_part(file: Path, pages: Sequence[EmbeddedPage], dimension: int, dtype: np.dtype) -> None:
    """Write a part in one step."""
    empty = np.empty((0, dimension), dtype)
    names = [[p.comic, p.page, p.fingerprint, len(p.views), len(p.panels)] for p in pages]
    with atomic_file(file) as stream:
        np.savez(
            stream,
            names=np.frombuffer(json.dumps(names).encode("utf-8"), np.uint8),
            views=np.concatenate([empty, *(p.views for p in pages)]).astype(dtype, copy=False),
            panels=np.concatenate([empty, *(p.panels for p in pages)]).astype(dtype, copy=False),
        )


def read_part(file: Path) -> list[EmbeddedPage]:
    """Read a part; a missing file is an empty one.

    Raises:
        InputError: damaged.
    """
    if not file.exists():
        return []
    try:
        with np.load(file, allow_pickle=False) as arrays:
            names = json.loads(bytes(arrays["names"]).decode("utf-8"))
            views, panels = arrays["views"], arrays["panels"]
        pages = []
        for comic, page, fingerprint, view_count, panel_count in names:
            pages.append(EmbeddedPage(comic, page, fingerprint, views[:view_count], panels[:panel_count]))
            views, panels = views[view_count:], panels[panel_count:]
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{file} is damaged ({error})", hint=f"delete {file} and run the same command again"
        ) from error
    return pages
