"""What both stages are judged by while they train: held-out instances, each asked among those of its own series."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch

from comictool.identity.certain import UNNAMED, Certainty
from comictool.identity.instances import BODY, FACE, HALVES, HeldCrops
from comictool.measure.retrieval import Retrieval, retrieval
from comictool.plugins.manifest import InputSpec
from comictool.plugins.preparation import prepare_batch
from comictool.training.collapse import collapse_metrics

BATCH = 64
MOST = 4000  # instances: every n-th of more, so that a validation stays short beside an epoch

Halves = dict[str, np.ndarray]  # by half (N, D); rows of NaN where it is not there


@dataclass(frozen=True)
class Question:
    """Which instances ask, among which.

    Attributes:
        queries, gallery: (N, D) vectors; rows of NaN are not asked, or are no candidates.
    """

    queries: np.ndarray
    gallery: np.ndarray


class Validation:
    """Held-out instances.

    Args:
        crops: readable.
        spec: how the exported model will prepare pictures; here they are prepared alike.
        same_page: whether instances of a query's page are candidates; those of its panel never are.
    """

    def __init__(self, crops: HeldCrops, spec: InputSpec, *, same_page: bool = True) -> None:
        instances = crops.table.instances
        step = -(-len(instances) // MOST) if instances else 1
        self.table = crops.table.only(instances[::step])
        self._crops, self._spec = crops, spec
        self._certain = Certainty(self.table)
        self._same_page = same_page

    def of_backbone(self, backbone: torch.nn.Module) -> dict[str, float]:
        """Metrics of an encoder of halves.

        `rank1`: share of named instances whose nearest is the same character (`instances` as in `joined`); where
        nobody is named, of faces whose nearest body is their own. `face_rank1`, `body_rank1`: of one half alone;
        `face_to_body_rank1`: a face asks among bodies; `own_body`: its own body is the nearest of its series.
        """
        halves = self.halves(backbone)
        found = {
            "rank1": self.ask(Question(joined(halves), joined(halves))).rank(1),
            "face_rank1": self.ask(Question(halves[FACE], halves[FACE])).rank(1),
            "body_rank1": self.ask(Question(halves[BODY], halves[BODY])).rank(1),
            "face_to_body_rank1": self.ask(Question(halves[FACE], halves[BODY])).rank(1),
            "own_body": self.own_body(halves),
        }
        if np.isnan(found["rank1"]):
            found["rank1"] = found["own_body"]
        if np.isnan(found["rank1"]):
            return {}  # nobody is named, and nobody has both halves
        shown = joined(halves)
        return {name: value for name, value in found.items() if np.isfinite(value)} | collapse_metrics(
            torch.from_numpy(shown)
        )

    def halves(self, backbone: torch.nn.Module) -> Halves:
        """Unit vectors of each half, in the order of the instances."""

        def encode(pictures: Sequence[np.ndarray], device: str) -> torch.Tensor:
            vectors: torch.Tensor = backbone(prepare_batch(pictures, self._spec, device))
            return vectors

        return self.encoded(encode, str(next(backbone.parameters()).device))

    def encoded(self, encode: Callable[[Sequence[np.ndarray], str], torch.Tensor], device: str) -> Halves:
        """The same by any function from pictures to vectors."""
        found: Halves = {}
        parts: dict[str, list[np.ndarray]] = {half: [] for half in HALVES}
        rows: dict[str, list[int]] = {half: [] for half in HALVES}
        with torch.inference_mode():
            for half in HALVES:
                numbers = [(row, i.halves[half]) for row, i in enumerate(self.table.instances) if half in i.halves]
                rows[half] = [row for row, _ in numbers]
                for start in range(0, len(numbers), BATCH):
                    pictures = [self._crops.pixels(crop) for _, crop in numbers[start : start + BATCH]]
                    parts[half].append(encode(pictures, device).float().cpu().numpy())
        width = next(part.shape[1] for part in (*parts[FACE], *parts[BODY]))
        for half in HALVES:
            found[half] = np.full((len(self.table.instances), width), np.nan, np.float32)
            if parts[half]:
                vectors = np.concatenate(parts[half])
                found[half][rows[half]] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return found

    def ask(self, question: Question) -> Retrieval:
        """Every named instance asks among those of its series that are not in its panel.

        Candidates of another name that may still be the same person do not count, nor do unnamed ones.
        """
        names = np.array([i.label or f"?{row}" for row, i in enumerate(self.table.instances)], dtype=str)
        labels = self._certain.labels.numpy()
        parts = []
        for rows in self._by_series():
            asking = rows[(labels[rows] != UNNAMED) & np.isfinite(question.queries[rows, 0])]
            asked = rows[(labels[rows] != UNNAMED) & np.isfinite(question.gallery[rows, 0])]
            if len(asking) and len(asked):
                both = torch.from_numpy(np.concatenate([asking, asked]))
                known = (self._certain.different(both) | self._certain.same(both)).numpy()
                excluded = ~known[: len(asking), len(asking) :] | self._near(asking, asked)
                scores = question.queries[asking] @ question.gallery[asked].T
                parts.append(retrieval(scores, names[asking], names[asked], excluded))
        return _joined(parts)

    def own_body(self, halves: Halves) -> float:
        """Share of faces whose nearest body in the series is that of the same instance; nan for none."""
        right = []
        for rows in self._by_series():
            both = rows[np.isfinite(halves[FACE][rows, 0]) & np.isfinite(halves[BODY][rows, 0])]
            if len(both) > 1:
                scores = halves[FACE][both] @ halves[BODY][both].T
                right += (scores.argmax(axis=1) == np.arange(len(both))).tolist()
        return float(np.mean(right)) if right else float("nan")

    def _by_series(self) -> list[np.ndarray]:
        rows: defaultdict[str, list[int]] = defaultdict(list)
        for row, instance in enumerate(self.table.instances):
            rows[instance.series].append(row)
        return [np.array(found) for found in rows.values()]

    def _near(self, asking: np.ndarray, asked: np.ndarray) -> np.ndarray:
        """(Q, G) bool: in the same panel (or page), or the instance itself."""
        instances = self.table.instances
        name = [i.panel_id if self._same_page and i.panel else i.page_id for i in instances]
        if self._same_page:
            name = [n if i.panel else f"{n}#{row}" for row, (n, i) in enumerate(zip(name, instances, strict=True))]
        places = np.array(name, dtype=str)
        near: np.ndarray = places[asking][:, None] == places[asked][None, :]
        return near


def joined(halves: Halves) -> np.ndarray:
    """The mean of the halves that are there, at length 1."""
    total = np.nan_to_num(halves[FACE]) + np.nan_to_num(halves[BODY])
    vectors: np.ndarray = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
    return vectors.astype(np.float32)


def _joined(parts: Sequence[Retrieval]) -> Retrieval:
    """The answers of several series as one."""
    empty = retrieval(np.zeros((0, 0), np.float32), [], [])
    every = [empty, *parts]
    names = [field.name for field in fields(Retrieval)]
    return Retrieval(*(np.concatenate([getattr(part, name) for part in every]) for name in names))
