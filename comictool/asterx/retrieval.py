"""How far up the hidden panel stands among candidates, for predictions of any origin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from comictool.asterx.keys import PanelKey
from comictool.asterx.objective import candidate_scores, ranks
from comictool.asterx.sampling import CandidateSampler
from comictool.core.seeds import derive_seed

CELLS = 1 << 24  # scores in memory at once: queries times panels


@dataclass(frozen=True)
class Places:
    """For n panels: how each stands among its candidates.

    Attributes:
        place: from 1, equal scores before it.
        tied: candidates of its score, itself included.
        candidates: how many; 1 for a panel without any negative, which cannot be asked for.
    """

    place: np.ndarray
    tied: np.ndarray
    candidates: np.ndarray

    def top(self, k: int) -> np.ndarray:
        """(n,) whether it is among the first k: 1 or 0, between them the share of orders of ties that have it there."""
        found: np.ndarray = np.clip((k - self.place + self.tied) / self.tied, 0.0, 1.0)
        return found

    def chance(self, k: int) -> float:
        """The share that guessing would find among the first k."""
        return float(np.minimum(1.0, k / self.candidates).mean()) if len(self.candidates) else float("nan")


@torch.inference_mode()
def places_among(
    prediction: np.ndarray | Tensor,
    rows: np.ndarray,
    matrix: Tensor,
    *,
    candidates: int,
    seed: int,
    sampler: CandidateSampler | None = None,
    similarity: str = "euclidean",
) -> Places:
    """Find each hidden panel by a prediction of its vector.

    Args:
        prediction: (n, D), in the space of `matrix`.
        rows: (n,) the true panels.
        matrix: (N, D) the panels that candidates are drawn from.
        candidates: how many, the true one included; 0: all N.
        seed: of the candidates; the same for every prediction that is to be compared.
        sampler: how they are chosen; by itself any other panel may be a negative, but for exact copies.
    """
    chooser = sampler or CandidateSampler(matrix.cpu().numpy(), PanelKey(), count=_count(candidates, len(matrix)))
    vectors = matrix.float()
    asked = torch.as_tensor(prediction).to(vectors)
    step = max(1, CELLS // max(1, len(vectors)))
    found: list[tuple[np.ndarray, ...]] = []
    everything = torch.ones(1, len(vectors), dtype=torch.bool, device=vectors.device)
    for begin in range(0, len(rows), step):
        part = rows[begin : begin + step]
        scores = candidate_scores(asked[begin : begin + step], vectors, everything, similarity=similarity)
        generators = [np.random.default_rng(derive_seed(seed, "candidates", int(row))) for row in part]
        drawn = {name: torch.from_numpy(a).to(vectors.device) for name, a in chooser.draw(part, generators).items()}
        if "allowed" in drawn:
            real, target = drawn["allowed"], torch.from_numpy(part).to(vectors.device)
        else:
            real, scores = drawn["candidates_real"], scores.gather(1, drawn["candidates"])
            target = torch.zeros(len(part), dtype=torch.int64, device=vectors.device)
        scores = scores.masked_fill(~real, -torch.inf)
        tied = (scores == scores.gather(1, target[:, None])).sum(dim=1)
        found.append(tuple(part.cpu().numpy() for part in (ranks(scores, target), tied, real.sum(dim=1))))
    return Places(*map(np.concatenate, zip(*found, strict=True))) if found else Places(*[np.empty(0)] * 3)


def _count(candidates: int, available: int) -> int:
    """As many as there are is all of them."""
    return 0 if candidates >= available else candidates
