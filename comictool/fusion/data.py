"""Panels of a store in page order: their vectors by modality, the pages as samples, and which books are held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from comictool.core.errors import InputError
from comictool.core.seeds import derive_seed
from comictool.fusion.model import MODALITIES
from comictool.training.recipe import SampleKey, TrainingData
from comictool.vectors.derived import columns_of_rows
from comictool.vectors.store import Store, store_at

COLUMNS = {f"panel/{name}": name for name in MODALITIES}
HINTS = {"text": " --modality text", "layout": " --modality layout", "image": ""}
OVERLAP = 0.2  # of neighbours on a page, as published
NEAREST = 2  # by their centres, where a panel has no neighbour


@dataclass
class Panels:
    """N panels in reading order.

    Attributes:
        columns: by modality (N, D) float32, zeros where it is absent.
        present: (N, 3) bool, in the order of `MODALITIES`.
        pages: each part of a page that is seen together: rows of panels.
        comics: of each of these, its book.
        splits: of each of these, its split; empty when the corpus was never split.
        boxes: (N, 4) as shares of the page.
        origins: encoder_id of each column, by modality.
        ids: of the panels.
    """

    columns: dict[str, np.ndarray]
    present: np.ndarray
    pages: list[np.ndarray]
    comics: list[str]
    splits: list[str]
    boxes: np.ndarray
    origins: dict[str, str] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)

    def of(self, pages: Sequence[int]) -> np.ndarray:
        """Rows of all panels of some pages."""
        rows = [self.pages[page] for page in pages]
        return np.concatenate(rows) if rows else np.zeros(0, np.int64)

    @property
    def comic_of(self) -> np.ndarray:
        """(N,) the book of each panel."""
        found = np.empty(len(self.present), object)
        for rows, comic in zip(self.pages, self.comics, strict=True):
            found[rows] = comic
        return found


def read_panels(source: Path, most: int) -> Panels:
    """Read the three columns of a store; panels that have none of them are left out.

    Args:
        most: panels that are seen together.

    Raises:
        InputError: no store, or one of the columns is missing (with the command that makes it), or no panel.
    """
    with Store.open(store_at(source)) as store:
        for name, modality in COLUMNS.items():
            if name not in store.columns:
                raise InputError(
                    f"{store.root} has no column {name}",
                    hint=f"comictool embed {store.corpus} -o {store.root}{HINTS[modality]}",
                )
        rows = np.arange(store.counts["panel"])
        columns = columns_of_rows(store, list(COLUMNS), rows)
        present = np.stack([~np.isnan(columns[name][:, 0]) for name in COLUMNS], axis=1)
        boxes, ids = np.zeros((len(rows), 4), np.float32), []
        pages, comics, splits = [], [], []
        for page in store.metadata.all_pages():
            own = store.metadata.crops_of("panel", page.row)
            sides = np.array([page.width, page.height] * 2, np.float32).clip(1)
            for row, crop in own:
                boxes[row] = np.array(crop.box, np.float32) / sides
                ids.append(crop.id(page.comic))
            seen = np.array([row for row, _ in own if present[row].any()], np.int64)
            for start in range(0, len(seen), most):
                pages.append(seen[start : start + most])
                comics.append(page.comic)
                splits.append(page.split)
        origins = {modality: store.columns[name].column.encoder_id for name, modality in COLUMNS.items()}
    if not pages:
        raise InputError(f"{source} holds no panel with a vector")
    vectors = {modality: np.nan_to_num(columns[name]) for name, modality in COLUMNS.items()}
    return Panels(vectors, present, pages, comics, splits, boxes, origins, ids)


def divide(panels: Panels, share: float, seed: int) -> tuple[list[int], list[int]]:
    """Pages to train on, and held-out ones: by the splits of the corpus, else some of its books whole."""
    if "train" in panels.splits:
        train = [page for page, split in enumerate(panels.splits) if split == "train"]
        return train, [page for page, split in enumerate(panels.splits) if split == "val"]
    books = sorted(set(panels.comics))
    generator = np.random.default_rng(derive_seed(seed, "held out"))
    count = min(len(books) - 1, max(1, round(share * len(books)))) if share > 0 else 0
    kept = {books[number] for number in generator.permutation(len(books))[:count]}
    train = [page for page, comic in enumerate(panels.comics) if comic not in kept]
    return train, [page for page, comic in enumerate(panels.comics) if comic in kept]


def neighbours(boxes: np.ndarray) -> np.ndarray:
    """(n, n) bool: which panels of a page are neighbours, as published. Row i are those of panel i in reading order.

    The next in order; the nearest to the left, right, above and below that faces the panel by more than `OVERLAP` of
    the smaller side; where there is none, the two nearest by their centres.
    """
    count = len(boxes)
    found = np.zeros((count, count), bool)
    x0, y0, x1, y1 = boxes.T
    for one in range(count):
        others = [other for other in range(count) if other != one]
        for low, high, side_low, side_high in ((x0, x1, y0, y1), (y0, y1, x0, x1)):
            faces = []
            for other in others:
                shared = min(side_high[one], side_high[other]) - max(side_low[one], side_low[other])
                smaller = min(side_high[one] - side_low[one], side_high[other] - side_low[other])
                if smaller > 0 and shared / smaller > OVERLAP:
                    faces.append(other)
            middle = (low + high) / 2
            for after in (False, True):
                there = [o for o in faces if (middle[o] > middle[one]) == after and middle[o] != middle[one]]
                if there:
                    found[one, min(there, key=lambda o: abs(middle[o] - middle[one]))] = True
        if not found[one].any() and others:
            centres = np.stack([(x0 + x1) / 2, (y0 + y1) / 2], axis=1)
            near = sorted(others, key=lambda o: float(((centres[o] - centres[one]) ** 2).sum()))
            found[one, near[:NEAREST]] = True
        if one + 1 < count:
            found[one, one + 1] = True
    return found


class PageData(TrainingData):
    """One sample for each page. Rows, not vectors, are what is drawn and sent: the matrices lie beside the model."""

    def __init__(self, panels: Panels, pages: Sequence[int], most: int) -> None:
        self._pages = [panels.pages[page] for page in pages]
        self._graphs = [neighbours(panels.boxes[rows]) for rows in self._pages]
        self._present = panels.present
        self._most = most

    def __len__(self) -> int:
        return len(self._pages)

    def load(self, keys: Sequence[SampleKey]) -> dict[str, torch.Tensor]:
        """A batch of B pages of at most N panels.

        Returns:
            `rows`, `real`, `hide` (B, N): rows, which there are, and the number of the modality that is hidden (-1:
            none; never the only one); `graph` (B, N, N) neighbours; `coin` (B,) in 0..1, by which pages are permuted;
            `seed` (B,) of each page's noise.
        """
        shape = (len(keys), self._most)
        rows, real, hide = np.zeros(shape, np.int64), np.zeros(shape, bool), np.full(shape, -1, np.int64)
        graph = np.zeros((*shape, self._most), bool)
        coin, seed = np.zeros(len(keys)), np.zeros(len(keys), np.int64)
        for number, key in enumerate(keys):
            own, generator = self._pages[key.index], np.random.default_rng(key.seed)
            rows[number, : len(own)], real[number, : len(own)] = own, True
            graph[number, : len(own), : len(own)] = self._graphs[key.index]
            coin[number], seed[number] = generator.random(), generator.integers(1 << 31)
            for place, row in enumerate(own):
                there = np.flatnonzero(self._present[row])
                if len(there) > 1:
                    hide[number, place] = there[generator.integers(len(there))]
        arrays: dict[str, Any] = {
            "rows": rows, "real": real, "hide": hide, "graph": graph, "coin": coin, "seed": seed
        }  # fmt: skip
        return {name: torch.from_numpy(array) for name, array in arrays.items()}
