"""Training ASTERX: the model and data that the engine runs; `config` declares the recipe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from comictool.asterx.config import AsterxConfig, judged_by
from comictool.asterx.data import WindowChoice, WindowData, panels_of, standardisation
from comictool.asterx.encoding import encode_panels, standard_matrix
from comictool.asterx.extract import fits
from comictool.asterx.keys import read_key
from comictool.asterx.model import EncoderShape, SequenceModel, SequenceOutput
from comictool.asterx.objective import candidate_scores, mean_over, order_losses, ranks, retrieval_losses
from comictool.asterx.retrieval import places_among
from comictool.asterx.sampling import CandidateSampler
from comictool.asterx.weights import SIZES, export_model, load_sequence_model
from comictool.asterx.windows import WindowShape
from comictool.core.errors import InputError
from comictool.core.seeds import derive_seed
from comictool.training.distributed import all_reduce_mean
from comictool.training.recipe import Prepared, StepState, Task
from comictool.vectors.tables import Table, splits_at

TOP = (1, 5, 10)


class AsterxTask(Task):
    """The model with both losses. Batches name rows of the matrix, which lies on the device and in no checkpoint."""

    def __init__(
        self, model: SequenceModel, config: AsterxConfig, matrix: Tensor, held_out: Table | None, origin: str = ""
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
            self._panels(batch["first"]),
            batch["first_real"],
            batch["hide"],
            self._panels(batch["second"]),
            batch["second_real"],
        )
        metrics: dict[str, Tensor] = {}
        # Both heads take part in every loss, so that each parameter has a gradient in every process.
        loss = 0.0 * (output.order.float().sum() + output.prediction.float().sum())
        if self.config.objective.order:
            part, right = self._order(output, batch)
            loss, metrics = loss + part, metrics | {"order_loss": part.detach(), "order": right}
        if self.config.objective.retrieval:
            part, first = self._retrieval(output, batch)
            loss, metrics = loss + part, metrics | {"retrieval_loss": part.detach(), "top1": first}
        return {"loss": loss, **metrics}

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
        metrics: dict[str, float] = {}
        if self.config.objective.retrieval:
            places = places_among(
                encoded.prediction,
                encoded.rows,
                self._held_out_matrix,
                candidates=self.config.sampling.eval_candidates,
                seed=self.config.training.seed,
                similarity=self.config.objective.similarity,
            )
            asked = places.candidates > 1  # a panel without a single negative is found by whoever looks
            if asked.any():
                metrics |= {f"top{k}": float(places.top(k)[asked].mean()) for k in TOP}
        if self.config.objective.order and encoded.orderable.any():
            logits = encoded.order[encoded.orderable]
            metrics["order"] = float(np.mean((logits > 0) == np.array([True, False])))
        # Too few comics for three complete windows in a row cannot judge the order.
        return metrics if judged_by(self.config) in metrics else {}

    def export(self, folder: Path) -> None:
        """Write the model as a plugin directory."""
        window, objective = self.config.window, self.config.objective
        export_model(
            folder,
            self.model,
            single=window.single,
            visible=window.visible,
            similarity=objective.similarity,
            origin=self._origin,
        )


def prepare(config: AsterxConfig, sources: Mapping[str, Path], device: torch.device) -> Prepared:
    """Read the panel features and build the model.

    Args:
        sources: `features`, a store or packs with the split train (and val, to validate on); `keys`, optional, a corpus
            or folder with the tables of sampling keys; `weights`, optional, a model to begin from, which brings the
            scale of its features too.

    Raises:
        InputError: no features, features of two kinds, no table for the sampling key, or weights of another shape or
            for other features.
        UsageError: sizes that do not fit each other.
    """
    source = sources["features"]
    panels = panels_of(source, "train", config.features.storage)
    if len(panels) < 2:
        raise InputError(f"{source} holds one panel of train: it has no neighbours to learn from")
    held_out = _held_out(source, panels, config)
    shape = WindowShape(config.window.before, config.window.after)
    sizes = config.encoder
    # The weights must be the same in every process and every run of this seed.
    torch.manual_seed(derive_seed(config.training.seed, "weights"))
    model = SequenceModel(
        EncoderShape(panels.dimension, sizes.width, sizes.layers, sizes.heads, sizes.feedforward, sizes.dropout),
        shape,
        hide_second=config.window.hide_second,
    )
    began = _begin_from(model, sources["weights"], panels, source) if "weights" in sources else {}
    if config.features.standardise and not began:
        mean, scale = standardisation(panels.vectors)
        model.feature_mean.copy_(torch.from_numpy(mean))
        model.feature_scale.fill_(scale)
    matrix = standard_matrix(model, panels, device)
    sampler, known = _sampler(config, sources, panels, matrix) if config.objective.retrieval else (None, 0)
    data = WindowData(panels, WindowChoice(shape, config.window.single, config.window.visible), sampler)
    facts = {
        "panels": len(panels),
        "comics": len(panels.comics),
        "dimension": panels.dimension,
        "features": panels.digest(),
        "made_by": panels.origin,
        "panels_with_key": known,
        "held_out_panels": len(held_out) if held_out is not None else 0,
        **began,
    }
    return Prepared(AsterxTask(model.to(device), config, matrix, held_out, panels.origin), data, facts)


def _begin_from(model: SequenceModel, path: Path, panels: Table, source: Path) -> dict[str, Any]:
    """Give a new model the weights of another one; the facts of it."""
    plugin = load_sequence_model(path, heads=model.shape.heads, window=model.window)
    fits(plugin, panels, source)
    wanted = {name: getattr(plugin.model.shape, name) for name in SIZES if name not in ("features", "dropout")}
    other = [f"encoder.{name}={value}" for name, value in wanted.items() if value != getattr(model.shape, name)]
    window = plugin.model.window
    other += [f"window.{name}={getattr(window, name)}" for name in ("before", "after") if window != model.window]
    if other:
        raise InputError(
            f"{path} has another shape than the run is to have", hint=" ".join(f"--set {setting}" for setting in other)
        )
    model.load_state_dict(plugin.model.state_dict())
    return {"began from": plugin.title, "weights": plugin.encoder_id}


def _sampler(
    config: AsterxConfig, sources: Mapping[str, Path], panels: Table, matrix: Tensor
) -> tuple[CandidateSampler, int]:
    options = config.sampling
    features = sources["features"]
    folders = [sources.get("keys", features if features.is_dir() else features.parent)]
    key, known = read_key(options.key, panels.identifiers, panels.comic_of, folders, "train")
    count = options.train_candidates
    sampler = CandidateSampler(
        matrix.cpu().numpy(),
        key,
        count=0 if count >= len(panels) else count,
        strategy=options.strategy,
        negate=options.negate,
        similarity=config.objective.similarity,
        pool=options.pool,
        seed=config.training.seed,
    )
    return sampler, known


def _held_out(source: Path, panels: Table, config: AsterxConfig) -> Table | None:
    if "val" not in splits_at(source):
        return None
    held_out = panels_of(source, "val", config.features.storage)
    if held_out.dimension != panels.dimension or held_out.origin != panels.origin:
        raise InputError(
            f"train and val of {source} are not features of one kind",
            cause=f"{held_out.dimension} numbers by {held_out.origin or 'unknown'}, "
            f"{panels.dimension} by {panels.origin or 'unknown'}",
        )
    return held_out


def _over_processes(counted: Tensor) -> Tensor:
    """How many rows count in a process on average: the mean of the processes' losses is then that of all rows."""
    return all_reduce_mean(counted.sum().float())
