"""The second stage as a task of the engine: identity vectors compared by name, over the instances of all processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from comictool import __version__
from comictool.identity.certain import Certainty
from comictool.identity.instances import BODY, FACE, HALVES
from comictool.identity.metric_losses import MetricLoss
from comictool.identity.reid_settings import ReidConfig
from comictool.identity.validation import Halves, Question, Validation
from comictool.plugins.export import export_plugin
from comictool.plugins.instance_network import InstanceNetwork
from comictool.plugins.manifest import VECTOR, Inputs, InputSpec, Manifest, OutputSpec
from comictool.training.collapse import collapse_metrics
from comictool.training.distributed import gather_rows
from comictool.training.recipe import StepState, Task

LICENCE = "that of the pictures it was trained on"


class ReidTask(Task):
    """Fusion and head are trained, and with `model.tune` the encoder; its batch norms never change.

    Args:
        config: of the run.
        network: trained and exported.
        arguments: of its architecture, for the plugin.
        spec: how it prepares pictures.
        certain: what is known of the instances of the training table.
        validation: held-out instances, if any.
    """

    def __init__(
        self,
        config: ReidConfig,
        network: InstanceNetwork,
        arguments: dict[str, Any],
        spec: InputSpec,
        certain: Certainty,
        validation: Validation | None = None,
    ) -> None:
        super().__init__()
        self.config, self.arguments, self.spec = config, arguments, spec
        self.network = network
        self.certain, self.validation = certain, validation
        self.loss = MetricLoss(config.loss, certain.count, config.model.dimension)
        tuned = config.model.tune == "all"
        for part in (network.backbone, network.neck):
            part.requires_grad_(tuned)
        self.all_negative = config.loss.negatives == "all" or (config.loss.negatives == "auto" and not certain.relative)

    def train(self, mode: bool = True) -> ReidTask:
        """As for any module, but the encoder stays as it is in use: its norms keep their statistics."""
        super().train(mode)
        self.network.backbone.eval()
        self.network.neck.eval()
        return self

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The loss of one batch of `VectorData` or `CropData`, and for the log:

        `batch_top1`: share of instances whose nearest other one of the batch has their name.
        """
        halves = batch["halves"] if "halves" in batch else self._encoded(batch)
        own = self.network.fuse(halves, batch["there"]).float()
        vectors, rows = gather_rows(own), gather_rows(batch["rows"])
        certain = self.certain.to(rows.device)
        labels = certain.labels[rows]
        negative = labels[:, None] != labels[None, :] if self.all_negative else certain.different(rows)
        loss = self.loss(vectors, labels, negative)
        # A batch in which nothing is missing asks no token: all that is trained takes part all the same.
        nothing = sum((part.sum() * 0.0 for part in self.parameters() if part.requires_grad), loss.new_zeros(()))
        return {"loss": loss + nothing, "batch_top1": _top1(vectors.detach(), labels)}

    def _encoded(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        there = batch["there"]
        pixels = batch["pixels"].float() / 255
        mean, std = (pixels.new_tensor(values).view(1, 3, 1, 1) for values in (self.spec.mean, self.spec.std))
        features = self.network.features((pixels - mean) / std)
        halves = features.new_zeros((*there.shape, features.shape[1]))
        halves[there] = features
        return halves

    def validate(self, state: StepState) -> dict[str, float]:
        """On held-out instances, each asked among those of its series: `rank1`, `map`, `map_at_r`, `r_precision` and
        `mrr` by whatever halves they have; and rank-1 of those with both, by the face alone, the body alone, and both.
        """
        if self.validation is None:
            return {}
        halves = self.validation.encoded(self._features, str(next(self.network.parameters()).device))
        fused = self.fused(halves)
        found = self.validation.ask(Question(fused, fused))
        if not len(found.answered):
            return {}
        metrics = {
            "rank1": found.rank(1),
            "map": found.mean_precision,
            "map_at_r": found.mean_at_r,
            "r_precision": float(found.r_precision.mean()),
            "mrr": float(found.reciprocal.mean()),
        }
        for name, vectors in self.slices(halves).items():
            answers = self.validation.ask(Question(vectors, vectors))
            if len(answers.answered):
                metrics[f"{name}_rank1"] = answers.rank(1)
        return metrics | collapse_metrics(torch.from_numpy(fused))

    def _features(self, pictures: Any, device: str) -> torch.Tensor:
        from comictool.plugins.preparation import prepare_batch

        return self.network.features(prepare_batch(pictures, self.spec, device))

    @torch.no_grad()
    def fused(self, halves: Halves) -> np.ndarray:
        """(N, D) identity vectors by the halves that are there; rows of NaN where there is none."""
        stacked = np.stack([halves[half] for half in HALVES], axis=1)
        there = np.isfinite(stacked[..., 0])
        some = there.any(axis=1)
        device = next(self.network.parameters()).device
        given = torch.from_numpy(np.nan_to_num(stacked[some])).to(device)
        vectors = self.network.fuse(given, torch.from_numpy(there[some]).to(device)).float().cpu().numpy()
        found = np.full((len(stacked), self.config.model.dimension), np.nan, np.float32)
        found[some] = vectors
        return found

    def slices(self, halves: Halves) -> dict[str, np.ndarray]:
        """Identity vectors of the instances that have both halves, by each half alone and by both: one set of
        instances, so that the rows can be compared."""
        both = np.isfinite(halves[FACE][:, 0]) & np.isfinite(halves[BODY][:, 0])
        whole = {half: np.where(both[:, None], halves[half], np.nan).astype(np.float32) for half in HALVES}
        absent = np.full_like(halves[FACE], np.nan)
        return {
            "face": self.fused({FACE: whole[FACE], BODY: absent}),
            "body": self.fused({FACE: absent, BODY: whole[BODY]}),
            "both": self.fused(whole),
        }

    def export(self, folder: Path) -> None:
        """Write the whole network as a plugin, which takes pictures of `model.half`."""
        manifest = Manifest(
            id="reid",
            version="1",
            title=f"identity vectors of characters, {self.config.loss.kind}, pictures of a {self.config.model.half}",
            kind="encoder",
            licence=LICENCE,
            architecture="instance",
            arguments=self.arguments,
            input=Inputs(self.spec),
            output={VECTOR: OutputSpec(self.config.model.dimension)},
            minimum_tool=__version__,
        )
        export_plugin(folder, manifest, self.network.state_dict())


@torch.no_grad()
def _top1(vectors: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    near = functional.normalize(vectors, dim=1) @ functional.normalize(vectors, dim=1).T
    near.fill_diagonal_(-2.0)
    return (labels[near.argmax(dim=1)] == labels).float().mean()
