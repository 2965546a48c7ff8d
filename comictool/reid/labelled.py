"""Labelled pictures to measure on: a folder for each character, and files that list pairs."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from comictool.core.errors import InputError
from comictool.reid.configuration import read_config, reference_pictures
from comictool.reid.pages import INDEX, pages_by_index

SAME = {"1": True, "true": True, "same": True, "yes": True, "0": False, "false": False, "different": False, "no": False}


@dataclass(frozen=True)
class Labelled:
    """Pictures with their character and page; an empty page is a picture's own. `notes`: what was left out."""

    paths: list[Path]
    labels: list[str]
    pages: list[str]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Pairs:
    """Pairs of pictures, as positions in `paths`, and whether each shows one character."""

    paths: list[Path]
    left: list[int]
    right: list[int]
    same: list[bool]

    def scores(self, vectors: np.ndarray, readable: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cosines (P,) and truth (P,) of the pairs whose pictures both could be read.

        Args:
            vectors: (N, D) unit rows, one for each of `paths`.
            readable: (N,) bool.
        """
        left, right = np.array(self.left, np.int64), np.array(self.right, np.int64)
        both = readable[left] & readable[right]
        cosines = np.einsum("ij,ij->i", vectors[left[both]], vectors[right[both]])
        return cosines, np.array(self.same)[both]


def read_labelled(source: Path) -> Labelled:
    """Pictures of a folder of folders, or of a configuration as for enrolment.

    With an `index.json` in the folder (a list of objects with `file` and `page`), pictures of one page do not answer
    for each other.

    Raises:
        InputError: nothing there, or a damaged index.
    """
    notes: list[str] = []
    pictures = reference_pictures(read_config(source, notes))
    pages = pages_by_index(source / INDEX) if source.is_dir() and (source / INDEX).is_file() else {}
    paths = [path for files in pictures.values() for path in files]
    labels = [character for character, files in pictures.items() for _ in files]
    return Labelled(paths, labels, [pages.get(os.path.abspath(path), "") for path in paths], notes)


def read_pairs(file: Path) -> Pairs:
    """A CSV file with a head and the columns `a`, `b` (file names, relative to it) and `same` (1 or 0).

    Raises:
        InputError: unreadable, other columns, or a value of `same` that is neither.
    """
    places: dict[str, int] = {}
    left, right, same = [], [], []
    try:
        with open(file, encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            if not {"a", "b", "same"} <= set(reader.fieldnames or ()):
                raise InputError(f"{file}: expected the columns a, b and same", cause=f"it has {reader.fieldnames}")
            for row in reader:
                answer = SAME.get(str(row["same"]).strip().lower())
                if answer is None or not row["a"] or not row["b"]:
                    raise InputError(f"{file}: line {reader.line_num} is no pair: {list(row.values())!r:.200}")
                left.append(places.setdefault(str(file.parent / row["a"]), len(places)))
                right.append(places.setdefault(str(file.parent / row["b"]), len(places)))
                same.append(answer)
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file} is not a CSV file in UTF-8", cause=str(error)) from error
    return Pairs([Path(place) for place in places], left, right, same)
