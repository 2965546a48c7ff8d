"""What a sequence model has learnt, on held-out comics: hidden panels found, direction of time, classes of comics.

Baselines stand beside every figure of retrieval: the mean of the window's other panels (what one gets without a model),
a copy of the panel before, and chance. Intervals are bootstraps over comics, since panels of one comic stand or fall
together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from comictool.asterx.data import Panels, load_panels, split_file
from comictool.asterx.encoding import BATCH, Encoded, encode_panels, standard_matrix
from comictool.asterx.extract import fits
from comictool.asterx.keys import read_key
from comictool.asterx.retrieval import Places, places_among
from comictool.asterx.sampling import CandidateSampler
from comictool.asterx.weights import SequencePlugin
from comictool.asterx.windows import WindowShape, windows_at
from comictool.core.errors import InputError, UsageError
from comictool.measure.figures import Figure, share, statistic
from comictool.measure.points import Points
from comictool.measure.probes import linear_probe

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
) -> tuple[list[Figure], dict[str, Any]]:  # fmt: skip
    """Measure a model, or without one the baselines alone.

    Args:
        source: folder of panel features.
        plugin: the model; its windows are masked as in training.

    Returns:
        The figures, and the facts of the evaluation: counts, settings, identity.

    Raises:
        InputError: features that are missing or do not fit the model, or labels of other comics.
    """
    chosen = chosen or EvaluateOptions()
    window = plugin.model.window if plugin else chosen.window
    file = split_file(source, chosen.split)
    panels = load_panels(file)
    if plugin:
        fits(plugin, panels, file)
        plugin.model.to(device)
    matrix = standard_matrix(plugin.model, panels, device) if plugin else torch.from_numpy(panels.vectors).to(device)
    encoded = encode_panels(plugin.model, matrix, panels, batch_size=chosen.batch_size) if plugin else None
    facts: dict[str, Any] = {
        "features": str(file), "split": chosen.split, "model": plugin.identity if plugin else "none",
        "panels": len(panels), "comics": len(panels.comics), "key": chosen.key, "negated": chosen.negate,
        "seed": chosen.seed,
    }  # fmt: skip
    similarity = plugin.similarity if plugin else "euclidean"
    answers = {"mean of context": context_mean(matrix, panels, window), "panel before": panel_before(matrix, panels)}
    if encoded is not None:
        answers = {"model": torch.from_numpy(encoded.prediction).to(matrix.device)} | answers
    figures = _retrieval(answers, matrix, panels, chosen, similarity, file.parent)
    if encoded is not None:
        figures += _order(encoded, panels)
    if chosen.labels is not None:
        found, counts = _classes(source, plugin, panels, encoded, chosen, device)
        figures, facts = figures + found, facts | counts
    return figures, facts


def context_mean(matrix: torch.Tensor, panels: Panels, window: WindowShape) -> torch.Tensor:
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


def panel_before(matrix: torch.Tensor, panels: Panels) -> torch.Tensor:
    """(N, D): a copy of the panel before; of the one after for a comic's first; zeros for a comic of one panel."""
    rows, starts, ends = np.arange(len(panels)), panels.starts, panels.ends
    near = np.where(rows > starts, rows - 1, rows + 1)
    copies = matrix[torch.from_numpy(np.where(near < ends, near, 0)).to(matrix.device)].float()
    copies[torch.from_numpy(near >= ends).to(matrix.device)] = 0
    return copies


def _retrieval(
    answers: Mapping[str, torch.Tensor],
    matrix: torch.Tensor,
    panels: Panels,
    chosen: EvaluateOptions,
    similarity: str,
    folder: Path,
) -> list[Figure]:
    rows, comics = np.arange(len(panels)), np.array(panels.comics)[panels.comic_of]
    folders = [chosen.keys] if chosen.keys else [folder]
    key, _ = read_key(chosen.key, panels.identifiers, panels.comic_of, folders, chosen.split)
    figures = []
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
        }  # fmt: skip
        for k in TOP:
            figures += [_found(f"top-{k} of {among}, {name}", place, k, comics) for name, place in places.items()]
        if "model" in places:
            figures.append(_gain(f"top-1 of {among}, model less mean of context", places, comics))
    return figures


def _found(name: str, places: Places, k: int, comics: np.ndarray) -> Figure:
    asked = places.candidates > 1
    details = {"candidates": float(places.candidates[asked].mean()) if asked.any() else 0.0}
    chance = float(np.minimum(1, k / places.candidates[asked]).mean()) if asked.any() else float("nan")
    return share(name, places.top(k)[asked], chance, groups=comics[asked], details=details)


def _gain(name: str, places: Mapping[str, Places], comics: np.ndarray) -> Figure:
    """How much more the model finds than the mean of the context, panel by panel; 0 is no help."""
    asked = places["model"].candidates > 1
    gain = places["model"].top(1)[asked].astype(float) - places["mean of context"].top(1)[asked]
    # One comic has no spread over comics: its panels are then drawn one by one.
    groups = comics[asked] if len(np.unique(comics[asked])) > 1 else None
    return statistic(name, len(gain), lambda rows: float(gain[rows].mean()), 0.0, groups=groups)


def _order(encoded: Encoded, panels: Panels) -> list[Figure]:
    """Next and previous windows of every panel whose three windows are complete, so chance is one half."""
    rows = encoded.orderable
    right = np.concatenate([encoded.order[rows, 0] > 0, encoded.order[rows, 1] <= 0])
    comics = np.array(panels.comics)[panels.comic_of[encoded.rows[rows]]]
    return [share("order accuracy, model", right, 0.5, groups=np.concatenate([comics, comics]))]


def _classes(
    source: Path, plugin: SequencePlugin | None, panels: Panels, encoded: Encoded | None, chosen: EvaluateOptions,
    device: str,
) -> tuple[list[Figure], dict[str, Any]]:  # fmt: skip
    """A linear probe on whole comics, the mean of their panels: fitted on one split, scored on the other."""
    assert chosen.labels is not None
    labels, classes = read_labels(chosen.labels)
    bank_file = split_file(source, chosen.bank)
    bank = load_panels(bank_file)
    kinds = [("panel features", bank.vectors, panels.vectors)]
    if plugin and encoded is not None:
        fits(plugin, bank, bank_file)
        fitted = encode_panels(
            plugin.model, standard_matrix(plugin.model, bank, device), bank, batch_size=chosen.batch_size
        )
        kinds.insert(0, ("ASTERX vectors", fitted.sequence, encoded.sequence))
    figures = []
    for name, fit, ask in kinds:
        probes = _comic_points(fit, bank, labels), _comic_points(ask, panels, labels)
        for points, split in zip(probes, (chosen.bank, chosen.split), strict=True):
            if not len(points):
                raise InputError(f"{chosen.labels} labels no comic of the split {split}")
        answers = linear_probe(*probes, seed=chosen.seed)
        figures += answers.figures(f"comic class, {name}", top=CLASS_TOP)
    counts = {
        "classes": len(classes), "classes_in_bank": len(set(probes[0].labels)),
        "comics_without_label": sum(comic not in labels for comic in (*bank.comics, *panels.comics)),
    }  # fmt: skip
    return figures, counts


def read_labels(file: Path) -> tuple[dict[str, str], list[str]]:
    """The class of each comic by name, and all classes, from a `classification.json`.

    Raises:
        InputError: missing or damaged.
    """
    try:
        value = json.loads(file.read_text("utf-8"))
        names = {int(number): str(label) for label, number in value["cls_to_label"].items()}
        return {str(comic): names[int(number)] for comic, number in value["comic_to_cls"].items()}, list(names.values())
    except FileNotFoundError as error:
        raise InputError(f"{file} does not exist", hint="comictool data classes CORPUS --column COLUMN") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file} is no classification.json", cause=f"{type(error).__name__}: {error}") from error


def _comic_points(vectors: np.ndarray, panels: Panels, labels: Mapping[str, str]) -> Points:
    comics: Sequence[tuple[int, str]] = [(n, comic) for n, comic in enumerate(panels.comics) if comic in labels]
    rows = [vectors[panels.offsets[n] : panels.offsets[n + 1]].astype(np.float64).mean(axis=0) for n, _ in comics]
    names = np.array([comic for _, comic in comics])
    matrix = np.stack(rows) if rows else np.empty((0, vectors.shape[1]))
    return Points(matrix, np.array([labels[name] for name in names]), names)
