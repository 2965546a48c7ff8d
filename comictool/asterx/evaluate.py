"""What a sequence model has learnt, on held-out comics: hidden panels found, direction of time, classes of comics.

Baselines stand beside every metric of retrieval: the mean of the window's other panels (what one gets without a model),
a copy of the panel before, and chance. Intervals are bootstraps over comics, since panels of one comic stand or fall
together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from comictool.asterx.data import panels_of
from comictool.asterx.encoding import BATCH, Encoded, encode_panels, standard_matrix
from comictool.asterx.extract import fits
from comictool.asterx.keys import read_key
from comictool.asterx.retrieval import Places, places_among
from comictool.asterx.sampling import CandidateSampler
from comictool.asterx.weights import SequencePlugin
from comictool.asterx.windows import WindowShape, windows_at
from comictool.core.errors import InputError, UsageError
from comictool.datasets.classes import read_classes
from comictool.measure.metrics import Metric, share, statistic
from comictool.measure.points import Points
from comictool.measure.probes import linear_probe
from comictool.vectors.tables import Table

SIZES = (200, 500, 1000, 0)
TOP = (1, 5, 10)
CLASS_TOP = (3,)  # of the published evaluation


@dataclass(frozen=True)
class EvaluateOptions:
    """What is measured.

    Attributes:
        split: whose panels are asked for; those of one split are each other's candidates.
        bank: the split that class probes are fitted on.
        candidates: numbers of candidates, the hidden panel included; 0: all panels of the split.
        key, negate: which panels may be negatives, see `sampling`; `keys` is the corpus or folder of its tables.
        labels: `classification.json` of `data classes`; None: no classes are probed.
        seed: of candidates and probes.
    """

    split: str = "val"
    bank: str = "train"
    candidates: tuple[int, ...] = SIZES
    key: str = "panel"
    negate: bool = False
    keys: Path | None = None
    labels: Path | None = None
    window: WindowShape = field(default_factory=WindowShape)
    batch_size: int = BATCH
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse questions without an answer.

        Raises:
            UsageError: one candidate, or probes fitted on what they are scored on.
        """
        if any(size < 0 or size == 1 for size in self.candidates):
            raise UsageError("a number of candidates is at least 2, or 0 for all")
        if self.labels is not None and self.split == self.bank:
            raise UsageError(
                f"probes fitted and scored on the split {self.split} would find every label, even in noise"
            )


def evaluate(
    source: Path, plugin: SequencePlugin | None, *, chosen: EvaluateOptions | None = None, device: str = "cpu"
) -> tuple[list[Metric], dict[str, Any]]:
    """Measure a model, or without one the baselines alone.

    Args:
        source: folder of panel features.
        plugin: the model; its windows are masked as in training.

    Returns:
        The metrics, and the facts of the evaluation: counts, settings, encoder_id.

    Raises:
        InputError: features that are missing or do not fit the model, or labels of other comics.
    """
    chosen = chosen or EvaluateOptions()
    window = plugin.model.window if plugin else chosen.window
    panels = panels_of(source, chosen.split)
    if plugin:
        fits(plugin, panels, source)
        plugin.model.to(device)
    matrix = standard_matrix(plugin.model, panels, device) if plugin else torch.from_numpy(panels.vectors).to(device)
    encoded = encode_panels(plugin.model, matrix, panels, batch_size=chosen.batch_size) if plugin else None
    facts: dict[str, Any] = {
        "features": str(source),
        "split": chosen.split,
        "model": plugin.encoder_id if plugin else "none",
        "panels": len(panels),
        "comics": len(panels.comics),
        "key": chosen.key,
        "negated": chosen.negate,
        "seed": chosen.seed,
    }
    similarity = plugin.similarity if plugin else "euclidean"
    answers = {"mean of context": context_mean(matrix, panels, window), "panel before": panel_before(matrix, panels)}
    if encoded is not None:
        answers = {"model": torch.from_numpy(encoded.prediction).to(matrix.device)} | answers
    metrics = _retrieval(answers, matrix, panels, chosen, similarity, source if source.is_dir() else source.parent)
    if encoded is not None:
        metrics += _order(encoded, panels)
    if chosen.labels is not None:
        found, counts = _classes(source, plugin, panels, encoded, chosen, device)
        metrics, facts = metrics + found, facts | counts
    return metrics, facts


def context_mean(matrix: torch.Tensor, panels: Table, window: WindowShape) -> torch.Tensor:
    """(N, D): the mean of each panel's window without the panel itself; zeros where it has no neighbour."""
    rows = np.arange(len(panels))
    around = windows_at(window, rows, panels.starts, panels.ends)
    real = around.real.copy()
    real[:, window.before] = False
    weights = torch.from_numpy(real / np.maximum(real.sum(axis=1, keepdims=True), 1)).to(matrix.device).float()
    places = torch.from_numpy(around.rows).to(matrix.device)
    out = torch.zeros(len(panels), matrix.shape[1], device=matrix.device)
    for column in range(window.length):
        out += weights[:, column, None] * matrix[places[:, column]].float()
    return out


def panel_before(matrix: torch.Tensor, panels: Table) -> torch.Tensor:
    """(N, D): a copy of the panel before; of the one after for a comic's first; zeros for a comic of one panel."""
    rows, starts, ends = np.arange(len(panels)), panels.starts, panels.ends
    near = np.where(rows > starts, rows - 1, rows + 1)
    copies = matrix[torch.from_numpy(np.where(near < ends, near, 0)).to(matrix.device)].float()
    copies[torch.from_numpy(near >= ends).to(matrix.device)] = 0
    return copies


def _retrieval(
    answers: Mapping[str, torch.Tensor],
    matrix: torch.Tensor,
    panels: Table,
    chosen: EvaluateOptions,
    similarity: str,
    folder: Path,
) -> list[Metric]:
    rows, comics = np.arange(len(panels)), np.array(panels.comics)[panels.comic_of]
    folders = [chosen.keys] if chosen.keys else [folder]
    key, _ = read_key(chosen.key, panels.identifiers, panels.comic_of, folders, chosen.split)
    metrics = []
    # More candidates than panels are all of them, asked once.
    sizes = list(dict.fromkeys(0 if size >= len(panels) else size for size in chosen.candidates))
    for size in sizes:
        sampler = CandidateSampler(panels.vectors, key, count=size, negate=chosen.negate)
        among = f"{size} candidates" if size else ("all it may be" if chosen.negate else "all panels")
        places = {
            name: places_among(
                answer, rows, matrix, candidates=size, seed=chosen.seed, sampler=sampler, similarity=similarity
            )
            for name, answer in answers.items()
        }
        for k in TOP:
            metrics += [_found(f"top-{k} of {among}, {name}", place, k, comics) for name, place in places.items()]
        if "model" in places:
            metrics.append(_gain(f"top-1 of {among}, model less mean of context", places, comics))
    return metrics


def _found(name: str, places: Places, k: int, comics: np.ndarray) -> Metric:
    asked = places.candidates > 1
    details = {"candidates": float(places.candidates[asked].mean()) if asked.any() else 0.0}
    chance = float(np.minimum(1, k / places.candidates[asked]).mean()) if asked.any() else float("nan")
    return share(name, places.top(k)[asked], chance, groups=comics[asked], details=details)


def _gain(name: str, places: Mapping[str, Places], comics: np.ndarray) -> Metric:
    """How much more the model finds than the mean of the context, panel by panel; 0 is no help."""
    asked = places["model"].candidates > 1
    gain = places["model"].top(1)[asked] - places["mean of context"].top(1)[asked]
    # One comic has no spread over comics: its panels are then drawn one by one.
    groups = comics[asked] if len(np.unique(comics[asked])) > 1 else None
    return statistic(name, len(gain), lambda rows: float(gain[rows].mean()), 0.0, groups=groups)


def _order(encoded: Encoded, panels: Table) -> list[Metric]:
    """Next and previous windows of every panel whose three windows are complete, so chance is one half."""
    rows = encoded.orderable
    right = np.concatenate([encoded.order[rows, 0] > 0, encoded.order[rows, 1] <= 0])
    comics = np.array(panels.comics)[panels.comic_of[encoded.rows[rows]]]
    return [share("order accuracy, model", right, 0.5, groups=np.concatenate([comics, comics]))]


def _classes(
    source: Path,
    plugin: SequencePlugin | None,
    panels: Table,
    encoded: Encoded | None,
    chosen: EvaluateOptions,
    device: str,
) -> tuple[list[Metric], dict[str, Any]]:
    """A linear probe on whole comics, the mean of their panels: fitted on one split, scored on the other."""
    assert chosen.labels is not None
    found = read_classes(chosen.labels)
    labels, classes = found.labels(), found.cls_to_label
    bank = panels_of(source, chosen.bank)
    kinds = [("panel features", bank.vectors, panels.vectors)]
    if plugin and encoded is not None:
        fits(plugin, bank, source)
        fitted = encode_panels(
            plugin.model, standard_matrix(plugin.model, bank, device), bank, batch_size=chosen.batch_size
        )
        kinds.insert(0, ("ASTERX vectors", fitted.sequence, encoded.sequence))
    metrics = []
    for name, fit, ask in kinds:
        probes = _comic_points(fit, bank, labels), _comic_points(ask, panels, labels)
        for points, split in zip(probes, (chosen.bank, chosen.split), strict=True):
            if not len(points):
                raise InputError(f"{chosen.labels} labels no comic of the split {split}")
        answers = linear_probe(*probes, seed=chosen.seed)
        metrics += answers.metrics(f"comic class, {name}", top=CLASS_TOP)
    counts = {
        "classes": len(classes),
        "classes_in_bank": len(set(probes[0].labels)),
        "comics_without_label": sum(comic not in labels for comic in (*bank.comics, *panels.comics)),
    }
    return metrics, counts


def _comic_points(vectors: np.ndarray, panels: Table, labels: Mapping[str, str]) -> Points:
    comics: Sequence[tuple[int, str]] = [(n, comic) for n, comic in enumerate(panels.comics) if comic in labels]
    rows = [vectors[panels.offsets[n] : panels.offsets[n + 1]].astype(np.float64).mean(axis=0) for n, _ in comics]
    names = np.array([comic for _, comic in comics])
    matrix = np.stack(rows) if rows else np.empty((0, vectors.shape[1]))
    return Points(matrix, np.array([labels[name] for name in names]), names)
