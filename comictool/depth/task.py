"""A network with its loss as a task of the training engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from comictool.depth.inputs import as_input
from comictool.depth.losses import (
    direct_loss,
    invariant_loss,
    listwise_loss,
    ordinal_loss,
    pairwise_loss,
    points_loss,
    regression_loss,
)
from comictool.depth.network import SegmentNetwork
from comictool.depth.settings import DepthConfig
from comictool.depth.validation import Validation
from comictool.depth.weights import export_model
from comictool.training.recipe import StepState, Task

NOTHING = "nothing"  # a term of 0 in which every parameter takes part, whatever the weights of the others are


class DepthTask(Task):
    """Maps, or the ranks of segments.

    Args:
        config: of the run.
        network: `DenseNetwork`, `SegmentNetwork` or `PageNetwork`, by `model.kind`.
        kept_norms: the backbone began from trained weights, whose norms keep the statistics that they have.
        validation: held-out panels, if any.
    """

    def __init__(
        self, config: DepthConfig, network: nn.Module, *, kept_norms: bool, validation: Validation | None
    ) -> None:
        super().__init__()
        self.config = config
        self.network = network
        self.kept_norms = kept_norms
        self.validation = validation

    def train(self, mode: bool = True) -> DepthTask:
        """As torch; the norms of a backbone with trained weights stay as they are."""
        super().train(mode)
        if mode and self.kept_norms:
            for layer in self.network.modules():
                if isinstance(layer, nn.BatchNorm2d):
                    layer.eval()
        return self

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The loss of one batch of `DepthData`, and for the log each term."""
        pictures = as_input(batch["pictures"])
        kind = self.config.model.kind
        if kind == "dense":
            terms = self._maps(self.network(pictures).float(), batch)
        elif isinstance(self.network, SegmentNetwork):
            ranks, steps = self.network(pictures, batch["masks"], batch["boxes"])
            terms = self._ranks(ranks.float(), steps.float(), batch["ranks"])
        else:
            whole = self.network(pictures).float()[:, None].expand_as(batch["ranks"])
            terms = self._ranks(whole, None, batch["ranks"])
        loss = torch.stack(list(terms.values())).sum()
        return {"loss": loss, **{f"{name}_loss": term.detach() for name, term in terms.items() if name != NOTHING}}

    def _maps(self, maps: torch.Tensor, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        options, truth = self.config.loss, batch["truth"]
        terms = {NOTHING: maps.sum() * 0.0}
        if options.invariant:
            terms["invariant"] = options.invariant * invariant_loss(
                maps, truth, trim=options.trim, gradient=options.gradient
            )
        if options.direct:
            terms["direct"] = options.direct * direct_loss(maps, truth)
        if options.points:
            terms["points"] = options.points * points_loss(maps, truth, batch["places"], least_gap=options.least_gap)
        return terms

    def _ranks(self, found: torch.Tensor, steps: torch.Tensor | None, truth: torch.Tensor) -> dict[str, torch.Tensor]:
        options = self.config.loss
        terms = {NOTHING: found.sum() * 0.0 + (0.0 if steps is None else steps.sum() * 0.0)}
        for place, (name, weight) in enumerate((("inter", 1.0), ("intra", options.intra))):
            own, aim = found[..., place], truth[..., place]
            total = options.regression * regression_loss(own, aim, huber=options.huber)
            if steps is not None and options.ordinal:
                total = total + options.ordinal * ordinal_loss(steps[..., place, :], aim)
            if place == 0 and options.pairwise:
                total = total + options.pairwise * pairwise_loss(own, aim)
            if place == 0 and options.listwise:
                total = total + options.listwise * listwise_loss(own, aim)
            terms[name] = weight * total
        return terms

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The usual ones, the backbone's with a rate of their own."""
        groups = []
        for scale, inside in ((self.config.model.backbone_rate, True), (1.0, False)):
            own = [
                parameter
                for name, parameter in self.named_parameters()
                if parameter.requires_grad and (".backbone." in name) == inside
            ]
            for decay, chosen in ((1.0, [p for p in own if p.ndim > 1]), (0.0, [p for p in own if p.ndim <= 1])):
                if chosen:
                    groups.append({"params": chosen, "lr_scale": scale, "weight_decay_scale": decay})
        return groups

    def validate(self, state: StepState) -> dict[str, float]:
        """Metrics on held-out panels; see `Validation`."""
        return {} if self.validation is None else self.validation.metrics(self.network)

    def export(self, folder: Path) -> None:
        """Write the network as a plugin of the kind depth."""
        export_model(folder, self.network, self.config)
