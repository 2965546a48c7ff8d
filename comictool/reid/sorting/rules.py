"""By which rules pictures are decided: scoring mode, threshold, margin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from comictool.core.errors import UsageError
from comictool.reid.calibration import Thresholds, calibrate
from comictool.reid.enrolled import EnrolledSet, best_mode, one_page
from comictool.reid.scoring import mode_name

DEFAULT_FAR = 0.05  # false acceptance rate of thresholds that are fitted on the way


@dataclass(frozen=True)
class Rules:
    """How pictures are decided.

    Attributes:
        mode: max, avg, centroid or knn:K; see `comictool.reid.scoring.parse_mode`.
        metric: cosine or legacy.
        threshold: fitted ones, one number, or None to name every picture.
        margin: a winner that leads by less is ambiguous.
        top: candidates listed for each picture.
        own_references: let a picture that is a reference itself match itself, as character-reid did.
    """

    mode: str = "max"
    metric: str = "cosine"
    threshold: Thresholds | float | None = None
    margin: float = 0.0
    top: int = 5
    own_references: bool = False

    def stamp(self) -> dict[str, Any]:
        """Plain values that decide the result."""
        fitted = self.threshold
        return {**vars(self), "threshold": fitted.to_json() if isinstance(fitted, Thresholds) else fitted}


def rules_for(
    enrolled: EnrolledSet,
    *,
    mode: str = "max",
    legacy: bool = False,
    threshold: float | str | None = None,
    far: float | None = None,
    margin: float = 0.0,
    top: int = 5,
    own_references: bool = False,
) -> tuple[Rules, list[str]]:
    """Rules for a run, and what the user should know of them.

    Args:
        mode: of scoring, or `auto`: nearest or prototype, whichever names more references right with each left out.
        legacy: score as character-reid did.
        threshold: a number, `none`, or `auto`: those of the gallery when they were fitted for this mode, else fitted
            now with the false acceptance rate `far`. None is `auto`, or `none` with `legacy`, which knew no threshold.
        far: 0..1, exclusive.
        own_references: compare a picture that is a reference with itself too; always with `legacy`.

    Raises:
        UsageError: an unknown mode, or thresholds asked for that cannot be fitted.
    """
    found, notes, metric = enrolled.found, list[str](), "legacy" if legacy else "cosine"
    if mode == "auto":
        mode, accuracy = best_mode(found)
        notes.append(f"mode {mode} (left out in turn: {', '.join(f'{m} {v:.3f}' for m, v in accuracy.items())})")
    mode = mode_name(mode)
    if threshold is None:
        threshold = "none" if legacy else "auto"
    fitted: Thresholds | float | None = None
    if threshold == "auto":
        stored = enrolled.thresholds
        if stored and (stored.mode, stored.metric) == (mode, metric) and far in (None, stored.far):
            fitted = stored
        else:
            rate, labels = far or DEFAULT_FAR, found.labels.astype(str)
            try:
                fitted = calibrate(found.vectors, labels, far=rate, mode=mode, metric=metric, excluded=one_page(found))
                if fitted.note:
                    notes.append(f"threshold {fitted.overall:.3f}: {fitted.note}")
            except UsageError as error:
                if far is not None:
                    raise
                notes.append(f"no threshold: {error.fact}")
    elif threshold != "none":
        fitted = float(threshold)
    return Rules(mode, metric, fitted, margin, top, own_references=own_references or legacy), notes
