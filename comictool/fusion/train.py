"""Training a fusion: the model and data that the engine runs; `settings` declares the recipe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from comictool.core.errors import InputError
from comictool.core.seeds import derive_seed
from comictool.fusion.data import PageData, Panels, divide, read_panels
from comictool.fusion.encoding import inputs_of, recall, shown
from comictool.fusion.model import MODALITIES, FusionModel, FusionShape
from comictool.fusion.objective import (
    NEXT_PANEL,
    PAGE_ORDER,
    contrastive_loss,
    masked_loss,
    neighbour_loss,
    published_losses,
)
from comictool.fusion.settings import FusionConfig
from comictool.fusion.weights import begin_from, export_fusion
from comictool.training.collapse import collapse_metrics
from comictool.training.recipe import Prepared, StepState, Task

COLLAPSE_ROWS = 512
SPREAD_ROWS = 100_000  # from which mean and scale of a column are taken


class FusionTask(Task):
    """The model with its losses. Batches name rows of matrices, which lie on the device and in no checkpoint."""

    def __init__(
        self,
        model: FusionModel,
        config: FusionConfig,
        inputs: dict[str, Tensor],
        present: Tensor,
        held_out: np.ndarray,
        origins: Mapping[str, str],
    ) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self._inputs, self._present = inputs, present
        self._held_out = held_out
        self._origins = dict(origins)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The sum of the losses of the objective, each a mean, and each by itself for the log."""
        rows, real = batch["rows"], batch["real"]
        present = self._present[rows] & real[..., None]
        inputs = {name: matrix[rows] for name, matrix in self._inputs.items()}
        with torch.autocast(rows.device.type, enabled=False):
            parts = self.model.parts(inputs, present)
            panels = self.model.fused(parts, present)
            terms = self._published(batch, panels, inputs) if self.model.shape.published else {}
            terms = terms or self._learning(batch, parts, panels, present)
            # What an objective does not ask for has a gradient too, of nothing.
            unused = sum(parameter.sum() for parameter in self.model.parameters())
            loss = sum(weight * term for weight, term in terms.values()) + 0.0 * unused
        assert isinstance(loss, Tensor)
        return {"loss": loss, **{f"{name}_loss": term.detach() for name, (_, term) in terms.items()}}

    def _published(
        self, batch: dict[str, Tensor], panels: Tensor, inputs: dict[str, Tensor]
    ) -> dict[str, tuple[float, Tensor]]:
        options = self.config.objective
        pages = self.model.page(panels, batch["real"])
        settings = {"noise": options.noise, "stop_gradient": options.stop_gradient}
        found = published_losses(self.model, panels, pages, inputs["layout"], batch, settings)
        weights = {"order": PAGE_ORDER, "next": NEXT_PANEL}
        return {name: (weights.get(name, options.reconstruction), term) for name, term in found.items()}

    def _learning(
        self, batch: dict[str, Tensor], parts: Tensor, panels: Tensor, present: Tensor
    ) -> dict[str, tuple[float, Tensor]]:
        name, temperature = self.config.objective.name, self.config.objective.temperature
        real = batch["real"]
        terms = {}
        if name in ("masked", "all"):
            terms["masked"] = masked_loss(self.model, parts[real], present[real], batch["hide"][real], temperature)
        if name in ("contrastive", "all"):
            terms["contrastive"] = contrastive_loss(self.model, parts[real], present[real], temperature)
        if name in ("neighbour", "all"):
            terms["neighbour"] = neighbour_loss(self.model, panels, real, temperature)
        return {name: (1.0, term) for name, term in terms.items()}

    @torch.no_grad()
    def validate(self, state: StepState) -> dict[str, float]:
        """On panels of held-out books: a panel found by its words among those whose words are hidden (`recall10`, and
        `recall10_chance`), and whether vectors have collapsed.
        """
        rows = torch.from_numpy(self._held_out)
        with_words = rows[self._present[rows, 0].cpu() & self._present[rows, 1].cpu()]
        if len(with_words) < 2:
            return {}
        inputs = {name: matrix[with_words] for name, matrix in self._inputs.items()}
        present = self._present[with_words]
        queries = shown(self.model, inputs, present, ("text",))
        gallery = shown(self.model, inputs, present, ("image", "layout"))
        every = rows[:: max(1, len(rows) // COLLAPSE_ROWS)]
        panels = self.model({name: matrix[every] for name, matrix in self._inputs.items()}, self._present[every])
        return {
            "recall10": recall(queries, gallery, 10),
            "recall10_chance": min(1.0, 10 / len(with_words)),
            **collapse_metrics(panels.cpu()),
        }

    def export(self, folder: Path) -> None:
        """A plugin of the kind `fusion`."""
        export_fusion(folder, self.model, self._origins)


def prepare(config: FusionConfig, sources: Mapping[str, Path], device: torch.device) -> Prepared:
    """Read the columns and build the model.

    Args:
        sources: `store`; `weights`, optional, a model to begin from.

    Raises:
        InputError: a column is missing, there is one book only and nothing to train on, or weights of another shape.
    """
    panels = read_panels(sources["store"], config.model.panels)
    train, held_out = divide(panels, config.data.held_out, config.training.seed)
    if not train:
        raise InputError(f"{sources['store']} has no page to train on")
    shape = FusionShape(
        **{name: panels.columns[name].shape[1] for name in MODALITIES},
        width=config.model.width,
        heads=config.model.heads,
        temperature=config.model.temperature,
        dropout=0.0 if config.objective.published else config.model.dropout,
        objective=config.objective.name,
    )
    # The weights must be the same in every process and every run of this seed.
    torch.manual_seed(derive_seed(config.training.seed, "weights"))
    model = FusionModel(shape)
    began = {}
    if "weights" in sources:
        began = {"began from": begin_from(model, sources["weights"])}
    elif not shape.published:
        _standardise(model, panels, panels.of(train))
    inputs = {name: tensor.to(device) for name, tensor in inputs_of(shape, panels.columns).items()}
    facts: dict[str, Any] = {
        "panels": len(panels.of(train)),
        "pages": len(train),
        "comics": len({panels.comics[page] for page in train}),
        "held_out_comics": len({panels.comics[page] for page in held_out}),
        **{f"with_{name}": int(panels.present[panels.of(train), place].sum()) for place, name in enumerate(MODALITIES)},
        "made_by": panels.origins,
        **began,
    }
    present = torch.from_numpy(panels.present).to(device)
    task = FusionTask(model.to(device), config, inputs, present, panels.of(held_out), panels.origins)
    return Prepared(task, PageData(panels, train, config.model.panels), facts)


def _standardise(model: FusionModel, panels: Panels, rows: np.ndarray) -> None:
    """Vectors of a column lie around a common one; less their mean, and with a length of about 1, they differ."""
    for place, name in enumerate(MODALITIES):
        own = rows[panels.present[rows, place]][:SPREAD_ROWS]
        if len(own) > 1:
            vectors = panels.columns[name][own].astype(np.float64)
            mean = vectors.mean(axis=0)
            length = float(np.sqrt(((vectors - mean) ** 2).sum(axis=1).mean()))
            projection = getattr(model, name)
            projection.mean.copy_(torch.from_numpy(mean))
            projection.scale.fill_(1.0 / length if length > 1e-9 else 1.0)
