"""The base classes that an older plugin builds its `MainModule` from, with the same names and calls.

Only what turns pictures into vectors is kept: comparing, listing and sorting are the program's own now.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from comictool.core.images import decode


class AbstractImageLoader:
    """Files to whatever its encoder takes."""

    def load_images(self, lst_filenames: Sequence[str]) -> Any:
        """One stacked tensor (N, ...) of N files."""
        raise NotImplementedError(f"{type(self).__name__} does not define load_images")


class FullImageLoader(AbstractImageLoader):
    """Whole pictures through a transform of RGB Pillow pictures."""

    def __init__(self, transform: Callable[[Any], torch.Tensor]) -> None:
        self.transform = transform

    def load_images(self, lst_filenames: Sequence[str]) -> torch.Tensor:
        return self.stack([decode(Path(name)) for name in lst_filenames])

    def stack(self, pictures: Sequence[Any]) -> torch.Tensor:
        """N RGB Pillow pictures to (N, ...)."""
        return torch.stack([self.transform(picture) for picture in pictures])


class AbstractModel:
    """Batches to vectors."""

    def encode(self, image_set: Any) -> torch.Tensor:
        """(N, D) of what the loader gave."""
        raise NotImplementedError(f"{type(self).__name__} does not define encode")

    def concatenate_emb(self, *parts: torch.Tensor) -> torch.Tensor:
        """Vectors of several batches in one tensor."""
        return torch.cat(parts, dim=0)


class SingleImageEncoder(AbstractModel):
    """Runs the module that `get_model` gives."""

    def __init__(self, device: str) -> None:
        self.device = device

    def get_model(self) -> torch.nn.Module:
        """The module, from (N, 3, H, W) to (N, D)."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_model")

    def encode(self, image_set: torch.Tensor) -> torch.Tensor:
        model = self.get_model().to(self.device).eval()
        return model(image_set.to(self.device))


def metric_l2(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Minus the Euclidean distance of paired rows."""
    return -torch.linalg.vector_norm(left - right, dim=1)


class AbstractScoringModel:
    """Kept because plugins name it; scores are computed by the program."""


class VectorEmbeddingScoringModel(AbstractScoringModel):
    """Remembers the plugin's similarity of vectors."""

    def __init__(self, sim_func: Callable[..., torch.Tensor], batch_size: int = 100_000) -> None:
        self.sim_func = sim_func
        self.batch_size = batch_size


class AbstractMainModule:
    """Holds the three parts of a plugin."""

    def __init__(self, max_batch_size: int) -> None:
        self.bs = max_batch_size

    def register_modules(self, image_loader: Any, encoder_model: Any, scoring_model: Any) -> None:
        """Called by the plugin with its loader, its encoder and its scorer."""
        self.loader = image_loader
        self.encoder = encoder_model
        self.scoring = scoring_model
