"""The recipe of the second stage: from named instances and an encoder to a task and data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from comictool.core.errors import InputError, UsageError
from comictool.core.seeds import derive_seed
from comictool.identity.certain import Certainty
from comictool.identity.instances import HeldCrops
from comictool.identity.original import ORIGINAL, load_identity
from comictool.identity.reid_data import CropData, ReidData, VectorData, vectors_of
from comictool.identity.reid_settings import ReidConfig
from comictool.identity.reid_task import ReidTask
from comictool.identity.ssl_train import chosen, held_out_crops
from comictool.identity.validation import Validation
from comictool.plugins.architectures import call_builder, find_architecture
from comictool.plugins.building import build_with_weights
from comictool.plugins.discovery import find_plugin
from comictool.plugins.instance_network import InstanceNetwork
from comictool.plugins.manifest import InputSpec, read_manifest, weights_path
from comictool.plugins.names import JOINED
from comictool.plugins.trust import hash_file
from comictool.plugins.weights import read_checkpoint, verified_weights
from comictool.training.recipe import Prepared

INSTANCE = "instance"


def prepare(config: ReidConfig, sources: Mapping[str, Path], device: torch.device) -> Prepared:
    """Model and data of a run.

    Args:
        config: checked.
        sources: `data`: a corpus or the published files. `encoder`: a plugin with weights. `weights`: a published
            checkpoint of the second stage instead. `validation`: another place for held-out instances.
        device: where a frozen encoder computes the vectors of the crops, once.

    Raises:
        UsageError: no encoder, one that cannot be trained on, or a loss that the annotations do not allow.
        InputError: sources that hold nothing usable.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(config.training.seed, "weights"))
        network, arguments, spec, facts = _network(config, sources)
    side = config.crops.source_side if config.model.tune == "all" else 2 * max(spec.size)
    crops = _named(chosen(sources["data"], config.data.split, config.data, side), sources["data"])
    certain = Certainty(crops.table)
    if config.loss.kind == "arcface" and certain.relative and config.loss.negatives != "all":
        raise UsageError(
            "arcface takes every other name for another person, and these annotations do not say so",
            hint="--loss supcon, or --set loss.negatives=all",
        )
    held_out, more = held_out_crops(sources, config.data, 2 * max(spec.size), crops)
    validation = None if held_out is None else Validation(held_out, spec)
    changes = replace(config.crops, global_size=spec.size[0], global_count=max(2, config.batches.views))
    task = ReidTask(config, network, arguments, spec, certain, validation)
    task.eval()
    data: ReidData
    if config.model.tune == "all":
        data = CropData(crops, crops.table, config.batches, changes)
    else:
        network.to(device)
        vectors, places = vectors_of(network, crops, spec, changes, config.batches.views, config.training.seed)
        network.to("cpu")
        data = VectorData(crops.table, config.batches, vectors, places)
    task.train()
    facts |= {**crops.table.facts(), "relative names": crops.table.relative}
    return Prepared(task, data, facts | more)


def _named(crops: HeldCrops, path: Path) -> HeldCrops:
    """The named instances alone.

    Raises:
        InputError: no identity occurs twice.
    """
    named = [instance for instance in crops.table.instances if instance.identity is not None]
    counts = Counter(instance.label for instance in named)
    if not any(count > 1 for count in counts.values()):
        raise InputError(f"{path} names no character twice", cause=f"{len(named)} instances have a name")
    return replace(crops, table=crops.table.only(named))


def _network(
    config: ReidConfig, sources: Mapping[str, Path]
) -> tuple[InstanceNetwork, dict[str, Any], InputSpec, dict[str, Any]]:
    """The network, the arguments of its architecture, its input, and facts."""
    model = config.model
    own = {"dimension": model.dimension, "fusion": model.fusion, "tokens": model.missing == "token", "half": model.half}
    found = find_architecture(INSTANCE)
    if "weights" in sources:
        if "encoder" in sources:
            raise UsageError("--weights brings its own encoder", hint="leave --encoder or --weights out")
        arguments = {**ORIGINAL, **own}
        network = call_builder(found, arguments)
        taken = load_identity(network, sources["weights"])
        return (
            network,
            arguments,
            original_input(),
            {"began from": taken, "weights": hash_file(sources["weights"])[:16]},
        )
    if "encoder" not in sources:
        raise UsageError(
            "reid needs an encoder of faces and bodies",
            hint="--encoder runs/ssl/model, made by: comictool train ssl CORPUS -o runs/ssl",
        )
    place = find_plugin(str(sources["encoder"]), ())
    manifest = read_manifest(place.directory)
    usable = manifest.kind == "encoder" and not manifest.runs_code and manifest.architecture not in (JOINED, INSTANCE)
    if not usable or manifest.weights is None or manifest.image is None or manifest.vector is None:
        raise UsageError(
            f"plugin {place.name} cannot be trained on",
            cause="it must be an encoder of a built-in architecture or of timm, with its weights and its input",
        )
    backbone = find_architecture(manifest.architecture)
    file = weights_path(place.directory, manifest.weights)
    verified_weights(file, manifest.weights.sha256, str(place.directory))
    encoder, _ = build_with_weights(
        lambda: call_builder(backbone, manifest.arguments),
        read_checkpoint(file),
        str(file),
        classifiers=backbone.classifiers,
        published=backbone.published,
    )
    arguments = {"backbone": manifest.architecture, "features": manifest.vector.dimension, **own}
    if manifest.arguments:
        arguments["arguments"] = dict(manifest.arguments)
    network = InstanceNetwork(encoder, manifest.vector.dimension, **own)  # type: ignore[arg-type]
    return network, arguments, manifest.image, {"encoder": manifest.weights.sha256[:16]}


def original_input() -> InputSpec:
    """How comic_char_reid prepares bodies, but for the blanks around them, which are black there."""
    return InputSpec((128, 128), "pad", "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), (0, 0, 0))
