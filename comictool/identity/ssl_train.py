"""The recipe of the first stage: from instances to a task and data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from comictool.core.errors import InputError
from comictool.core.seeds import derive_seed
from comictool.identity.certain import Certainty
from comictool.identity.data_options import DataOptions
from comictool.identity.instances import HeldCrops, hold
from comictool.identity.network import Encoder, width_of
from comictool.identity.original import load_backbone
from comictool.identity.sources import is_split, open_instances
from comictool.identity.ssl_data import SslData
from comictool.identity.ssl_settings import SslConfig
from comictool.identity.ssl_task import DinoNetwork, SslDinoTask, SslTask, input_of, make_backbone
from comictool.identity.validation import Validation
from comictool.plugins.trust import hash_file
from comictool.selfsup.head import DinoHead
from comictool.selfsup.options import by_size
from comictool.training.recipe import Prepared
from comictool.vectors.sources import ALL


def prepare(config: SslConfig, sources: Mapping[str, Path], device: torch.device) -> Prepared:
    """Model and data of a run.

    Args:
        config: checked.
        sources: `data`: a corpus or the published files. `weights`: a checkpoint to begin from. `validation`: another
            place for held-out instances.
        device: unused; the engine moves the task.

    Raises:
        InputError: sources that hold nothing usable.
    """
    side = max(config.face.source_side, config.body.source_side)
    crops = chosen(sources["data"], config.data.split, config.data, side)
    facts = crops.table.facts()
    held_out, more = held_out_crops(sources, config.data, 2 * config.body.global_size, crops)
    validation = None if held_out is None else Validation(held_out, input_of(config))
    derived: dict[str, Any] = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(config.training.seed, "weights"))
        backbone = make_backbone(config)
        width = width_of(backbone, config.body.global_size)
        model = config.model
        task: SslTask | SslDinoTask
        if config.loss.objective == "dino":
            sizes = by_size(crops.table.crops, config.dino, prototypes=model.prototypes, epochs=config.training.epochs)
            derived = {f"by size: {name}": value for name, value in asdict(sizes).items()}
            heads = [
                DinoHead(width, sizes.prototypes, hidden=model.hidden, bottleneck=model.projection) for _ in range(2)
            ]
            student, teacher = (
                DinoNetwork(part, head) for part, head in zip((backbone, make_backbone(config)), heads, strict=True)
            )
            task = SslDinoTask(config, student, teacher, width, sizes, validation)
        else:
            encoder = Encoder(backbone, width, model.hidden, model.projection)
            task = SslTask(config, encoder, Certainty(crops.table), validation)
    if "weights" in sources:
        for network in [task.encoder] if isinstance(task, SslTask) else [task.student, task.teacher]:
            facts["began from"] = load_backbone(network, sources["weights"])
        facts["weights"] = hash_file(sources["weights"])[:16]
    facts["crops in memory"] = crops.held
    return Prepared(task, SslData(crops, config), facts | more, derived)


def chosen(path: Path, split: str, options: DataOptions, side: int) -> HeldCrops:
    """The usable instances of a split; all of a place that is not divided.

    Raises:
        InputError: there are none.
    """
    table = open_instances(path, split if is_split(path) else ALL, subset=options.subset)
    crops = hold(table, min_side=options.min_side, source_side=side, cache=options.cache)
    if not crops.table.instances:
        raise InputError(
            f"{path} holds {len(table.instances)} instances, but none that data.min_side {options.min_side} leaves",
            cause="; ".join(crops.table.problems[:3]),
        )
    return crops


def held_out_crops(
    sources: Mapping[str, Path], options: DataOptions, side: int, trained: HeldCrops
) -> tuple[HeldCrops | None, dict[str, Any]]:
    """Held-out instances, when there are any: those of the other place, or of the other split of the same place.

    Raises:
        InputError: another place that holds nothing usable, or series that are trained on too.
    """
    path, split = sources.get("validation"), options.validation
    if path is None:
        path = sources["data"]
        if not split or split == options.split or not is_split(path):
            return None, {"validation": "none: " + (f"no split {split!r}" if split else "not asked for")}
    try:
        crops = chosen(path, split or ALL, options, side)
    except InputError:
        if "validation" in sources:
            raise
        return None, {"validation": f"none: the split {split!r} holds nobody"}
    shared = {i.series for i in trained.table.instances} & {i.series for i in crops.table.instances}
    if shared:
        raise InputError(
            f"{len(shared)} series are trained and validated on, such as {min(shared)!r}",
            hint="--set data.validation= for none; comictool data split keeps comics together",
        )
    return crops, {"validation": crops.table.facts()}
