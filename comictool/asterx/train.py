"""Training ASTERX: the recipe that the engine runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from comictool.asterx.config import PRESETS, AsterxConfig
from comictool.asterx.data import Panels, WindowChoice, WindowData, load_panels, split_file, standardisation
from comictool.asterx.encoding import encode_panels, standard_matrix
from comictool.asterx.keys import read_key
from comictool.asterx.model import EncoderShape, SequenceModel, SequenceOutput
from comictool.asterx.objective import candidate_scores, mean_over, order_losses, ranks, retrieval_losses
from comictool.asterx.retrieval import places_among
from comictool.asterx.sampling import CandidateSampler
from comictool.asterx.weights import export_model
from comictool.asterx.windows import WindowShape
from comictool.core.errors import InputError
from comictool.core.seeds import derive_seed
from comictool.training.distributed import all_reduce_mean
from comictool.training.recipe import Prepared, Recipe, StepState, Task

TOP = (1, 5, 10)


class AsterxTask(Task):
    """The model with both losses. Batches name rows of the matrix, which lies on the device and in no checkpoint."""

    def __init__(
        self, model: SequenceModel, config: AsterxConfig, matrix: Tensor, held_out: Panels | None, origin: str = ""
    ) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self._matrix = matrix
        self._held_out = held_out
        self._held_out_matrix = None if held_out is None else standard_matrix(model, held_out, matrix.device)
        self._origin = origin

    def parameter_groups(self) -> list[dict[str, Any]]:
        """One group: the published optimizer decays every parameter."""
        return [{"params": list(self.parameters())}]

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The sum of the two losses, each a mean over the rows (of all processes) that it can be asked of."""
        output: SequenceOutput = self.model(
            self._panels(batch["first"]), batch["first_real"], batch["hide"], self._panels(batch["second"]),
            batch["second_real"],
        )  # fmt: skip
        figures: dict[str, Tensor] = {}
        # Both heads take part in every loss, so that each parameter has a gradient in every process.
        loss = 0.0 * (output.order.float().sum() + output.prediction.float().sum())
        if self.config.objective.order:
            part, right = self._order(output, batch)
            loss, figures = loss + part, figures | {"order_loss": part.detach(), "order": right}
        if self.config.objective.retrieval:
            part, first = self._retrieval(output, batch)
            loss, figures = loss + part, figures | {"retrieval_loss": part.detach(), "top1": first}
        return {"loss": loss, **figures}

    def _order(self, output: SequenceOutput, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        counted, is_next = batch["orderable"], batch["is_next"]
        total = _over_processes(counted)
        right = ((output.order > 0) == is_next).float()
        return mean_over(order_losses(output.order, is_next), counted, total), mean_over(right, counted, total)

    def _retrieval(self, output: SequenceOutput, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        scores, real, target = self._scores(output.prediction, batch)
        # A hidden panel without a single negative would be found by whoever looks.
        counted = batch["hide"] & (real.sum(dim=1) > 1)
        total = _over_processes(counted)
        first = (ranks(scores.detach(), target) == 1).float()
        return mean_over(retrieval_losses(scores, target), counted, total), mean_over(first, counted, total)

    def _scores(self, prediction: Tensor, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Scores (B, C), which candidates there are, and the column of the hidden panel."""
        objective = self.config.objective
        settings: dict[str, Any] = {"similarity": objective.similarity, "temperature": objective.temperature}
        if "allowed" in batch:
            vectors, real = self._noisy(self._matrix, candidates=True), batch["allowed"]
            return candidate_scores(prediction, vectors, real, **settings), real, batch["rows"]
        candidates, real = batch["candidates"], batch["candidates_real"]
        if len(self._matrix) <= candidates.numel():
            # Fewer panels than candidates of the batch: each is scored once, and the scores are gathered.
            vectors = self._noisy(self._matrix, candidates=True)
            every = torch.ones(1, len(vectors), dtype=torch.bool, device=vectors.device)
            scores = candidate_scores(prediction, vectors, every, **settings).gather(1, candidates)
            scores = scores.masked_fill(~real, -torch.inf)
        else:
            scores = candidate_scores(prediction, self._panels(candidates, candidates=True), real, **settings)
        return scores, real, torch.zeros_like(batch["rows"])

    def _panels(self, rows: Tensor, *, candidates: bool = False) -> Tensor:
        # Whole rows copied one after another: several times the speed of indexing with a table of rows.
        vectors = self._matrix.index_select(0, rows.flatten()).reshape(*rows.shape, -1)
        return self._noisy(vectors, candidates=candidates)

    def _noisy(self, vectors: Tensor, *, candidates: bool) -> Tensor:
        """Float32 vectors; in training with one of two noises, drawn anew for each of them."""
        objective, clean = self.config.objective, vectors.float()
        if not self.training or not objective.noise or (candidates and not objective.noise_candidates):
            return clean
        noise = torch.randn_like(clean) * objective.noise
        if objective.noise_kind == "additive":
            return clean + noise
        relative = noise * clean / torch.linalg.vector_norm(clean, dim=-1, keepdim=True).clamp_min(1e-12)
        if objective.noise_kind == "relative":
            return clean + relative
        chosen = torch.rand(*clean.shape[:-1], 1, device=clean.device) < 0.5
        return clean + torch.where(chosen, noise, relative)

    def validate(self, state: StepState) -> dict[str, float]:
        """`top1`, `top5`, `top10` among the candidates and `order` accuracy, on the held-out comics; masked as in
        training.
        """
        if self._held_out is None or self._held_out_matrix is None:
            return {}
        encoded = encode_panels(self.model, self._held_out_matrix, self._held_out)
        figures: dict[str, float] = {}
        if self.config.objective.retrieval:
            places = places_among(
                encoded.prediction, encoded.rows, self._held_out_matrix,
                candidates=self.config.sampling.eval_candidates, seed=self.config.training.seed,
                similarity=self.config.objective.similarity,
            )  # fmt: skip
            asked = places.candidates > 1  # a panel without a single negative is found by whoever looks
            if asked.any():
                figures |= {f"top{k}": float(places.top(k)[asked].mean()) for k in TOP}
        if self.config.objective.order and encoded.orderable.any():
            logits = encoded.order[encoded.orderable]
            figures["order"] = float(np.mean((logits > 0) == np.array([True, False])))
        # Too few comics for three complete windows in a row cannot judge the order.
        return figures if judged_by(self.config) in figures else {}

    def export(self, folder: Path) -> None:
        """Write the model as a plugin directory."""
        window, objective = self.config.window, self.config.objective
        export_model(
            folder, self.model, single=window.single, visible=window.visible, similarity=objective.similarity,
            origin=self._origin,
        )  # fmt: skip


def prepare(config: AsterxConfig, sources: Mapping[str, Path], device: torch.device) -> Prepared:
    """Read the panel features and build the model.

    Args:
        sources: `features`, a folder with `train_features.hdf5` (and `val_features.hdf5`, to validate on) or the
            training pack itself; `keys`, optional, a corpus or folder with the tables of sampling keys.

    Raises:
        InputError: no features, features of two kinds, or no table for the sampling key.
        UsageError: sizes that do not fit each other.
    """
    file = split_file(sources["features"], "train")
    panels = load_panels(file, dtype=config.features.storage)
    if len(panels) < 2:
        raise InputError(f"{file} holds one panel: it has no neighbours to learn from")
    held_out = _held_out(file, panels, config)
    shape = WindowShape(config.window.before, config.window.after)
    sizes = config.encoder
    # The weights must be the same in every process and every run of this seed.
    torch.manual_seed(derive_seed(config.training.seed, "weights"))
    model = SequenceModel(
        EncoderShape(panels.dimension, sizes.width, sizes.layers, sizes.heads, sizes.feedforward, sizes.dropout),
        shape, hide_second=config.window.hide_second,
    )  # fmt: skip
    if config.features.standardise:
        mean, scale = standardisation(panels.vectors)
        model.feature_mean.copy_(torch.from_numpy(mean))
        model.feature_scale.fill_(scale)
    matrix = standard_matrix(model, panels, device)
    sampler, known = _sampler(config, sources, file, panels, matrix) if config.objective.retrieval else (None, 0)
    data = WindowData(panels, WindowChoice(shape, config.window.single, config.window.visible), sampler)
    facts = {
        "panels": len(panels), "comics": len(panels.comics), "dimension": panels.dimension,
        "features": panels.digest(), "made_by": panels.origin, "panels_with_key": known,
        "held_out_panels": len(held_out) if held_out is not None else 0,
    }  # fmt: skip
    return Prepared(AsterxTask(model.to(device), config, matrix, held_out, panels.origin), data, facts)


def _sampler(
    config: AsterxConfig, sources: Mapping[str, Path], file: Path, panels: Panels, matrix: Tensor
) -> tuple[CandidateSampler, int]:
    options = config.sampling
    folders = [sources["keys"]] if "keys" in sources else [file.parent]
    key, known = read_key(options.key, panels.identifiers, panels.comic_of, folders, "train")
    count = options.train_candidates
    sampler = CandidateSampler(
        matrix.cpu().numpy(), key, count=0 if count >= len(panels) else count, strategy=options.strategy,
        negate=options.negate, similarity=config.objective.similarity, pool=options.pool, seed=config.training.seed,
    )  # fmt: skip
    return sampler, known


def _held_out(file: Path, panels: Panels, config: AsterxConfig) -> Panels | None:
    other = file.with_name("val_features.hdf5")
    if not other.is_file():
        return None
    held_out = load_panels(other, dtype=config.features.storage)
    if held_out.dimension != panels.dimension or held_out.origin != panels.origin:
        raise InputError(
            f"{other} and {file} are not features of one kind",
            cause=f"{held_out.dimension} numbers by {held_out.origin or 'unknown'}, "
            f"{panels.dimension} by {panels.origin or 'unknown'}",
        )
    return held_out


def _over_processes(counted: Tensor) -> Tensor:
    """How many rows count in a process on average: the mean of the processes' losses is then that of all rows."""
    return all_reduce_mean(counted.sum().float())


def judged_by(config: AsterxConfig) -> str:
    """Top-5 retrieval as published, or the order where that alone is learnt."""
    return "top5" if config.objective.retrieval else "order"


RECIPE = Recipe("asterx", AsterxConfig, PRESETS, prepare, monitor="top5", judged_by=judged_by)
