"""The recipe: from a corpus to a task and data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from comictool.core.errors import InputError, UsageError
from comictool.core.seeds import derive_seed
from comictool.corpus.views import CorpusView
from comictool.datasets.splitting.folders import read_manifest
from comictool.depth.data import DepthData
from comictool.depth.network import DenseNetwork, SegmentNetwork
from comictool.depth.pages import PageNetwork
from comictool.depth.panels import HeldPanels, PanelTable, panels_of
from comictool.depth.segments import open_segments
from comictool.depth.settings import ChangeOptions, DepthConfig
from comictool.depth.task import DepthTask
from comictool.depth.validation import Validation
from comictool.plugins.building import fit_weights
from comictool.plugins.manifest import read_manifest as read_plugin
from comictool.plugins.manifest import weights_path
from comictool.plugins.names import MANIFEST_NAME
from comictool.plugins.trust import hash_file
from comictool.plugins.weights import named_tensors, read_checkpoint
from comictool.training.recipe import Prepared
from comictool.vectors.sources import ALL

SPARE = 1.3  # times the network's side: cut-outs are enlarged, though not by much
UNCHANGED = ChangeOptions(1.0, *[0.0] * 8)


def prepare(config: DepthConfig, sources: Mapping[str, Path], device: torch.device) -> Prepared:
    """Model and data of a run.

    Args:
        config: checked.
        sources: `data`: a corpus in any format. `weights`: of the backbone, a plugin's folder or a file.
            `validation`: another corpus for held-out panels.
        device: unused; the engine moves the task.

    Raises:
        InputError: sources that hold nothing usable, or weights that do not fit.
    """
    trained, held_out, why = _tables(config, sources)
    panels = _held(trained, config, f"{sources['data']}")
    facts = panels.table.facts()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(config.training.seed, "weights"))
        network = build_network(config)
    if "weights" in sources:
        if not isinstance(network, DenseNetwork | SegmentNetwork):
            raise UsageError("--weights is of a backbone, and the page network has none", hint="--model dense")
        facts["began from"] = begin_from(network, sources["weights"])
        _freeze(network, config)
    stride = _stride(network, config)
    validation = None
    facts["validation"] = why
    if held_out is not None:
        others = _held(held_out, config, "validation")
        facts["validation"] = others.table.facts()
        plain = replace(config, changes=UNCHANGED, data=replace(config.data, shuffled=False, most_segments=1 << 20))
        validation = Validation(DepthData(others, plain, stride))
    task = DepthTask(config, network, kept_norms="weights" in sources, validation=validation)
    return Prepared(task, DepthData(panels, config, stride), facts)


def build_network(config: DepthConfig) -> nn.Module:
    """The network of a configuration, with weights drawn anew.

    Raises:
        InputError: no such backbone or layer.
    """
    model = config.model
    try:
        if model.kind == "dense":
            return DenseNetwork(model.backbone, model.taps, model.width)
        if model.kind == "segment":
            return SegmentNetwork(
                model.backbone, model.taps, model.width, model.hidden, model.heads, model.layers, model.levels
            )
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"model.backbone {model.backbone} with model.taps {', '.join(model.taps)} is no backbone",
            cause=str(error)[:300],
        ) from error
    return PageNetwork()


def _tables(config: DepthConfig, sources: Mapping[str, Path]) -> tuple[PanelTable, PanelTable | None, str]:
    """Panels to train on, held-out ones, and why there are none."""
    options = config.data
    view = open_segments(sources["data"])
    split = options.split if read_manifest(sources["data"]) is not None else ALL
    trained = _panels(view, split, config)
    if options.held_out_styles:
        chosen = [row.style in options.held_out_styles for row in trained.rows]
        apart = trained.only([n for n, held in enumerate(chosen) if held])
        trained = trained.only([n for n, held in enumerate(chosen) if not held])
        return trained, apart if apart.rows else None, "none: no comic of these styles"
    if "validation" in sources:
        return trained, _panels(open_segments(sources["validation"]), ALL, config), ""
    if split != ALL:
        if not options.validation or options.validation == split:
            return trained, None, "none: not asked for"
        return trained, _panels(view, options.validation, config), ""
    if not options.held_out:
        return trained, None, "none: not asked for"
    return _by_series(trained, options.held_out, config.training.seed)


def _by_series(table: PanelTable, share: float, seed: int) -> tuple[PanelTable, PanelTable | None, str]:
    """Whole series apart, by a number that follows from their names: as many as the share says, and one at least."""
    names = sorted(
        {row.series or row.comic for row in table.rows}, key=lambda name: derive_seed(seed, "held out", name)
    )
    if len(names) < 2:
        return table, None, "none: all is one series"
    apart = set(names[: max(1, round(share * len(names)))])
    held = [(row.series or row.comic) in apart for row in table.rows]
    return (
        table.only([n for n, own in enumerate(held) if not own]),
        table.only([n for n, own in enumerate(held) if own]),
        "",
    )


def _panels(view: CorpusView, split: str, config: DepthConfig) -> PanelTable:
    return panels_of(view, split, min_side=config.data.min_side, whole_pages=config.model.kind == "cnn")


def _held(table: PanelTable, config: DepthConfig, where: str) -> HeldPanels:
    dense = config.model.kind == "dense"
    wanted = table.only([n for n, row in enumerate(table.rows) if (row.map is not None if dense else row.segments)])
    panels = HeldPanels(
        wanted,
        side=round(SPARE * config.model.side),
        cache=config.data.cache,
        maps=dense,
        balloons=config.loss.balloons == "learned",
    )
    if not len(panels):
        raise InputError(
            f"{where} holds no panel with " + ("a depth map" if dense else "ranked segments"),
            cause="; ".join(panels.table.problems[:3]),
            hint="comictool data draw -n 200 -o drawn   draws comics with both",
        )
    return panels


def begin_from(network: DenseNetwork | SegmentNetwork, place: Path) -> str:
    """Weights of the backbone from a plugin or a file, and of the decoder where that is a network of this room; returns
    a note.
    """
    file = place
    if (place / MANIFEST_NAME).is_file():
        manifest = read_plugin(place)
        if manifest.weights is None:
            raise InputError(f"{place} has no weights")
        file = weights_path(place, manifest.weights)
    checkpoint = read_checkpoint(file)
    whole = any(name.startswith("trunk.") for name in named_tensors(checkpoint))
    part = network.trunk if whole else network.trunk.backbone.model
    fit = fit_weights(part, checkpoint, str(file), classifiers=() if whole else network.trunk.backbone.left_out)
    part.load_state_dict(fit.tensors, strict=False)
    return f"{file.name} {hash_file(file)[:16]}"


def _freeze(network: DenseNetwork | SegmentNetwork, config: DepthConfig) -> None:
    """Leave the backbone's own weights up to the frozen taps."""
    if not config.model.frozen:
        return
    last, passed = f"{config.model.taps[config.model.frozen - 1]}.", False
    for name, parameter in network.trunk.backbone.model.named_parameters():
        passed = passed or name.startswith(last)
        parameter.requires_grad_(passed and not name.startswith(last))


def _stride(network: nn.Module, config: DepthConfig) -> int:
    if not isinstance(network, DenseNetwork):
        return 1
    side = config.model.side
    with torch.no_grad():
        rows: int = network.eval()(torch.zeros(1, 3, side, side)).shape[1]
    return side // rows
