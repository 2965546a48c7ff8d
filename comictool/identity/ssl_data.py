"""Training data of the first stage: changed views of the face and the body of each instance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from comictool.core.seeds import derive_seed
from comictool.identity.instances import HALVES, HeldCrops
from comictool.identity.ssl_settings import SslConfig
from comictool.selfsup.crops import multi_crop
from comictool.selfsup.options import CropOptions
from comictool.training.recipe import SampleKey, TrainingData


class SslData(TrainingData):
    """One sample an instance; see `comictool.training.recipe.TrainingData`.

    Args:
        crops: of the instances.
        config: of the run.
    """

    def __init__(self, crops: HeldCrops, config: SslConfig) -> None:
        self.crops = crops
        self.options = {"face": config.face, "body": config.body}
        self.weak = (
            {half: weak_options(options, config.loss.weak_scale) for half, options in self.options.items()}
            if config.loss.cross_views == "weak" and config.loss.objective in ("identity", "vicreg")
            else {}
        )

    def __len__(self) -> int:
        return len(self.crops.table.instances)

    def load(self, keys: Sequence[SampleKey]) -> dict[str, torch.Tensor]:
        """One batch.

        Returns:
            `rows` (B,) numbers of the instances, and for each half, such as face: `has_face` (B,) bool, `face`
            (N, V, 3, S, S) uint8 views of the N faces that are there, in order: the strongly changed ones, then the
            weakly changed one if there is one; with local crops also `face_locals` (N, L, 3, s, s).
        """
        instances = [self.crops.table.instances[key.index] for key in keys]
        batch = {"rows": torch.tensor([key.index for key in keys])}
        for half in HALVES:
            options = self.options[half]
            views, locals_, there = [], [], []
            for key, instance in zip(keys, instances, strict=True):
                crop = instance.halves.get(half)
                there.append(crop is not None)
                if crop is None:
                    continue
                pixels = self.crops.pixels(crop)
                large, small = multi_crop(pixels, options, derive_seed(key.seed, half))
                if half in self.weak and len(instance.halves) == 2:
                    weak = multi_crop(pixels, self.weak[half], derive_seed(key.seed, "weak", half))[0]
                    large = torch.cat([large, weak[:1]])
                elif half in self.weak:
                    large = torch.cat([large, large[:1]])  # has no partner; keeps the shape and is not compared
                views.append(large)
                locals_.append(small)
            size, count = options.global_size, options.global_count + (half in self.weak)
            batch[f"has_{half}"] = torch.tensor(there)
            batch[half] = torch.stack(views) if views else torch.zeros((0, count, 3, size, size), dtype=torch.uint8)
            if options.local_count:
                shape = (0, options.local_count, 3, options.local_size, options.local_size)
                none = torch.zeros(shape, dtype=torch.uint8)
                batch[f"{half}_locals"] = torch.stack(locals_) if locals_ else none
        return batch


def weak_options(options: CropOptions, scale: tuple[float, float]) -> CropOptions:
    """A crop of most of the picture, perhaps mirrored, whose colours stay."""
    return replace(
        options,
        global_scale=scale,
        global_count=2,
        local_count=0,
        jitter=0.0,
        grey=0.0,
        blur=(0.0, 0.0, 0.0),
        solarise=(0.0, 0.0, 0.0),
    )
