"""A tiny world for sorting: files whose text is `hero 0.9 villain 0.1`, which decides their vector; no model."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from comictool.reid.sorting.actions import SortOptions
from comictool.reid.sorting.classify import SortedPicture, classify
from comictool.reid.sorting.moving import content_digest
from comictool.reid.sorting.rules import Rules
from comictool.reid.types import Reference
from comictool.vectors.stream import EmbeddedBatch

AXES = ("hero", "villain", "stranger")


def vector_of(text: str) -> np.ndarray:
    """`hero .8 villain .6` to a unit vector over `AXES`."""
    words = text.split()
    vector = np.zeros(len(AXES), np.float32)
    for name, weight in zip(words[::2], words[1::2], strict=False):
        if name in AXES:
            vector[AXES.index(name)] = float(weight)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def embed(paths: Sequence[Path], size: int = 4) -> Iterator[EmbeddedBatch]:
    """Batches of four; a file that begins with `bad` cannot be read."""
    for start in range(0, len(paths), size):
        part = list(paths[start : start + size])
        errors = {path: "damaged" for path in part if path.read_bytes().startswith(b"bad")}
        rows = [np.zeros(3, np.float32) if path in errors else vector_of(path.read_text()) for path in part]
        yield EmbeddedBatch(start, part, np.stack(rows), [content_digest(path) for path in part], errors)


@dataclass
class World:
    """References of a hero and a villain, and a folder of targets."""

    root: Path
    references: list[Reference] = field(default_factory=list)
    vectors: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), np.float32))

    def enrol(self, character: str, text: str) -> None:
        file = self.root / "refs" / f"{len(self.references)}.png"
        write(file, text)
        self.references.append(Reference(character, file, content_digest(file)))
        self.vectors = np.concatenate([self.vectors, vector_of(text)[None]])

    @property
    def targets(self) -> Path:
        return self.root / "targets"

    @property
    def result(self) -> Path:
        return self.root / "out"

    def target(self, name: str, text: str) -> Path:
        return write(self.targets / name, text)

    def sort(
        self, *, dry_run: bool = False, resume: bool = False, rules: Rules | None = None, **filing: object
    ) -> list[SortedPicture]:
        """All results of a run over the targets in order of their names."""
        return list(self.stream(dry_run=dry_run, resume=resume, rules=rules, **filing))

    def stream(
        self, *, dry_run: bool = False, resume: bool = False, rules: Rules | None = None, **filing: object
    ) -> Iterator[SortedPicture]:
        files = sorted(file for file in self.targets.rglob("*") if file.is_file())
        return classify(
            files,
            self,
            embed,
            rules or Rules(threshold=0.9, margin=0.02),
            encoder_id="fake",
            options=SortOptions(**{"action": "copy"} | filing),
            root=self.result,
            bases=[self.targets],  # type: ignore[arg-type]
            dry_run=dry_run,
            resume=resume,
        )


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def tree(root: Path) -> dict[str, tuple[str, str, int, int]]:
    """Everything under a folder, links not followed: kind, content, mode and time of change."""
    found = {}
    for where, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = Path(where, name)
            facts = path.lstat()
            if path.is_symlink():
                content = ("link", os.readlink(path), 0, 0)
            elif path.is_dir():
                content = ("folder", "", facts.st_mode, 0)
            else:
                content = ("file", path.read_text("latin-1"), facts.st_mode, facts.st_mtime_ns)
            found[path.relative_to(root).as_posix()] = content
    return found
