"""What a run is judged by while it trains: vectors of held-out characters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from comictool.elric.identity import knn_within_comics
from comictool.elric.sources import Character
from comictool.plugins.manifest import InputSpec
from comictool.plugins.preparation import prepare_batch
from comictool.selfsup.held_pictures import Pictures
from comictool.training.collapse import collapse_metrics

BATCH = 64
NEIGHBOURS = 5
MOST = 4000  # characters: every n-th of more, so that a validation stays short beside an epoch


class Validation:
    """Held-out characters.

    Args:
        pictures: one a character.
        characters: who they are.
        spec: how the exported model will prepare pictures; here they are prepared alike.
    """

    def __init__(self, pictures: Pictures, characters: Sequence[Character], spec: InputSpec) -> None:
        step = -(-len(characters) // MOST) if characters else 1
        self._rows = list(range(0, len(characters), step))
        self._pictures = pictures
        self._characters = [characters[row] for row in self._rows]
        self._spec = spec

    def metrics(self, backbone: torch.nn.Module) -> dict[str, float]:
        """`knn`: share of characters whose 5 nearest of other pages of their comic name them; with it the metrics that
        show a collapse (`training.collapse`).
        """
        vectors = self.vectors(backbone)
        accuracy = knn_within_comics(vectors, self._characters, NEIGHBOURS).accuracy
        return {"knn": accuracy, **collapse_metrics(torch.from_numpy(vectors))} if np.isfinite(accuracy) else {}

    def vectors(self, backbone: torch.nn.Module) -> np.ndarray:
        """(N, D) float32."""
        device = str(next(backbone.parameters()).device)
        parts = []
        with torch.inference_mode():
            for start in range(0, len(self._rows), BATCH):
                pictures = [self._pictures[row] for row in self._rows[start : start + BATCH]]
                parts.append(backbone(prepare_batch(pictures, self._spec, device)).float().cpu().numpy())
        return np.concatenate(parts)
