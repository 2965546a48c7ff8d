"""The dated text file of the released code: a block for each evaluation, the newest at its end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from comictool.measure.metrics import Metric

_TITLES = {"MSE inter": "MSE of Inter-depth", "MSE intra": "MSE of Intra-depth", "MSE overall": "Overall MSE"}


def append_block(path: Path, model: str, metrics: Sequence[Metric]) -> None:
    """Add a block as the released `evaluate_model.py` writes it, then our further measures with floor and interval.

    Args:
        path: made when it is not there; what is in it stays.
        model: named in the block.
    """
    lines = ["", f"Evaluation written on: {datetime.now():%Y-%m-%d %H:%M:%S}", f"Model: {model}"]
    for metric in metrics:
        title = _TITLES.get(metric.name)
        if title:
            lines.append(f"{title}: {metric.value:.4f}")
    for metric in metrics:
        lines.append(
            f"{metric.name}: {metric.value:.4f} ({metric.low:.4f} to {metric.high:.4f}), "
            f"best floor {metric.chance:.4f}, of {metric.count}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as stream:
        stream.write("\n".join(lines) + "\n")
