"""Training data of the second stage: vectors of a frozen encoder or changed crops, in batches that can be compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch

from comictool.core.seeds import derive_seed
from comictool.identity.instances import HALVES, HeldCrops, Instance, InstanceTable
from comictool.identity.reid_settings import BatchOptions
from comictool.plugins.instance_network import InstanceNetwork
from comictool.plugins.manifest import InputSpec
from comictool.plugins.preparation import prepare_batch
from comictool.selfsup.crops import multi_crop
from comictool.selfsup.options import CropOptions
from comictool.training.recipe import SampleKey, TrainingData

BATCH = 64


class ReidData(TrainingData):
    """One sample an instance; see `comictool.training.recipe.TrainingData`.

    Args:
        table: every instance named.
        options: of batches.
    """

    def __init__(self, table: InstanceTable, options: BatchOptions) -> None:
        self.table = table
        self.batches = options

    def __len__(self) -> int:
        return len(self.table.instances)

    def order(self, epoch: int, seed: int, batch_size: int, count: int | None = None) -> Sequence[int]:
        """Instances of one identity together, and identities of one series, as `batches.sampler` says."""
        rows = range(len(self) if count is None else count)
        if self.batches.sampler == "random":
            return super().order(epoch, seed, batch_size, count)
        rng = np.random.default_rng(derive_seed(seed, "order", epoch))
        return composed([self.table.instances[row] for row in rows], self.batches, len(rows), rng)

    def present(self, key: SampleKey) -> dict[str, int]:
        """The crops of a sample; now and then one half of two, as `batches.drop_half` says."""
        halves = self.table.instances[key.index].halves
        rng = np.random.default_rng([key.seed, 1])
        drop, which = rng.random(2)
        if len(halves) == 2 and drop < self.batches.drop_half:
            halves.pop(HALVES[int(which < 0.5)])
        return halves


def composed(instances: Sequence[Instance], options: BatchOptions, count: int, rng: np.random.Generator) -> list[int]:
    """`count` rows: again and again all identities, `per_class` rows of each together, drawn without repeating one
    within an identity; in the order of series, `classes_per_series` of one before the next has its turn."""
    by_series: defaultdict[str, defaultdict[str | None, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row, instance in enumerate(instances):
        by_series["" if options.sampler == "classes" else instance.series][instance.label].append(row)
    rows: list[int] = []
    while len(rows) < count:
        turns = []
        for people in by_series.values():
            own = list(people.values())
            own = [own[place] for place in rng.permutation(len(own))]
            step = options.classes_per_series
            turns += [own[start : start + step] for start in range(0, len(own), step)]
        for place in rng.permutation(len(turns)):
            for person in turns[place]:
                rows += [person[k] for k in rng.permutation(len(person))[: options.per_class]]
    return rows[:count]


class VectorData(ReidData):
    """With a frozen encoder: the vectors of every crop and of some changed views of it are computed once.

    Args:
        vectors: (crops in use, 1 + views, W); the first of each is the crop itself.
        places: number of a crop to its row of `vectors`.
    """

    def __init__(
        self, table: InstanceTable, options: BatchOptions, vectors: torch.Tensor, places: dict[int, int]
    ) -> None:
        super().__init__(table, options)
        self.vectors = vectors.share_memory_()
        self.places = places

    def load(self, keys: Sequence[SampleKey]) -> dict[str, torch.Tensor]:
        """`rows` (B,), `halves` (B, 2, W) with zeros where `there` (B, 2) is False."""
        halves = torch.zeros(len(keys), len(HALVES), self.vectors.shape[2])
        there = torch.zeros(len(keys), len(HALVES), dtype=torch.bool)
        for row, key in enumerate(keys):
            views = np.random.default_rng([key.seed, 2]).integers(self.vectors.shape[1], size=2)
            for place, half in enumerate(HALVES):
                crop = self.present(key).get(half)
                if crop is not None:
                    halves[row, place] = self.vectors[self.places[crop], int(views[place])]
                    there[row, place] = True
        return {"rows": torch.tensor([key.index for key in keys]), "halves": halves, "there": there}


class CropData(ReidData):
    """With an encoder that is trained: one changed view of each half that is there.

    Args:
        crops: readable.
        options: of batches.
        changes: how crops are changed.
    """

    def __init__(self, crops: HeldCrops, table: InstanceTable, options: BatchOptions, changes: CropOptions) -> None:
        super().__init__(table, options)
        self.crops, self.changes = crops, changes

    def load(self, keys: Sequence[SampleKey]) -> dict[str, torch.Tensor]:
        """`rows` (B,), `there` (B, 2) bool, `pixels` (N, 3, S, S) uint8 of all halves that are there, instance after
        instance, the face first."""
        pixels, there = [], torch.zeros(len(keys), len(HALVES), dtype=torch.bool)
        for row, key in enumerate(keys):
            halves = self.present(key)
            for place, half in enumerate(HALVES):
                if half in halves:
                    seed = derive_seed(key.seed, half)
                    pixels.append(multi_crop(self.crops.pixels(halves[half]), self.changes, seed)[0][0])
                    there[row, place] = True
        return {"rows": torch.tensor([key.index for key in keys]), "there": there, "pixels": torch.stack(pixels)}


@torch.no_grad()
def vectors_of(
    network: InstanceNetwork, crops: HeldCrops, spec: InputSpec, changes: CropOptions, views: int, seed: int
) -> tuple[torch.Tensor, dict[int, int]]:
    """The vectors of all crops in use, each followed by those of its changed views, and the row of each crop.

    Views are drawn from the number of the crop and the seed, so a run that goes on has the same ones.
    """
    device = str(next(network.parameters()).device)
    used = sorted({number for instance in crops.table.instances for number in instance.halves.values()})
    parts = []
    for start in range(0, len(used), BATCH):
        some = used[start : start + BATCH]
        shown: list[np.ndarray] = []
        for crop in some:
            pixels = crops.pixels(crop)
            shown.append(pixels)
            if views:
                cut = multi_crop(pixels, changes, derive_seed(seed, "views", crop))[0][:views]
                shown += list(cut.permute(0, 2, 3, 1).contiguous().numpy())
        found = network.features(prepare_batch(shown, spec, device)).float().cpu()
        parts.append(found.unflatten(0, (len(some), 1 + views)))
    return torch.cat(parts), {crop: row for row, crop in enumerate(used)}
