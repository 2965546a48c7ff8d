"""By which rules pictures are decided: scoring mode, threshold, margin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from comictool.core.errors import UsageError
from comictool.reid.apart import LeftOut, best_mode, confusions, fitted_margin, leave_out
from comictool.reid.calibration import Thresholds, calibrate
from comictool.reid.enrolled import DEFAULT_FAR, EnrolledSet, one_page
from comictool.reid.scoring import mode_name

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Rules:
    """How pictures are decided.

    Attributes:
        mode: max, avg, centroid, mixed or knn:K; see `comictool.reid.scoring.parse_mode`.
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
    mode: str = "",
    legacy: bool = False,
    threshold: float | str | None = None,
    far: float | None = None,
    margin: float | None = None,
    top: int = 5,
    own_references: bool = False,
    around: np.ndarray | None = None,
) -> tuple[Rules, list[str]]:
    """Rules for a run, and what the user should know of them.

    What is not given is chosen by the references, each left out in turn and named by the others (`apart`).

    Args:
        mode: of scoring. Empty or `auto`: that of the gallery's thresholds, else the one by which the references name
            each other best; with a number as threshold, and with `legacy`, `max` when it is empty.
        legacy: score as character-reid did.
        threshold: a number, `none`, or `auto`: those of the gallery when they were fitted for this mode, else fitted
            now with the false acceptance rate `far`. None is `auto`, or `none` with `legacy`, which knew no threshold.
        far: 0..1, exclusive.
        margin: a winner that leads by less is ambiguous. None: with a fitted threshold, which keeps strangers out, the
            lead that keeps enrolled characters apart (`apart.fitted_margin`); else 0.
        around: (R,) how crowded it is around each reference, for scaled scores (`comictool.reid.surroundings`).

    Raises:
        UsageError: an unknown mode, or thresholds asked for that cannot be fitted.
    """
    found, notes, metric = enrolled.found, list[str](), "legacy" if legacy else "cosine"
    if threshold is None:
        threshold = "none" if legacy else "auto"
    stored = (
        enrolled.thresholds
        if threshold == "auto" and far in (None, getattr(enrolled.thresholds, "far", None))
        else None
    )
    left: LeftOut | None = None
    if not mode and (legacy or isinstance(threshold, float)):
        mode = "max"
    if mode in ("", "auto") and stored is not None and stored.metric == metric:
        mode = stored.mode
    elif mode in ("", "auto"):
        left, told = best_mode(found, metric, around=around)
        mode = left.mode
        notes.append(told)
    mode = mode_name(mode)
    fitted: Thresholds | float | None = None
    if threshold == "auto":
        if stored is not None and (stored.mode, stored.metric) == (mode, metric):
            fitted = stored
        else:
            rate, labels = far or DEFAULT_FAR, found.labels.astype(str)
            try:
                fitted = calibrate(
                    found.vectors, labels, far=rate, mode=mode, metric=metric, excluded=one_page(found), around=around
                )
                if fitted.note:
                    notes.append(f"threshold {fitted.overall:.3f}: {fitted.note}")
            except UsageError as error:
                if far is not None:
                    raise
                notes.append(f"no threshold: {error.fact}")
    elif threshold != "none":
        fitted = float(threshold)
    if not legacy:
        left = left or leave_out(found, mode, metric, around)
        notes += confusions(left)
    if margin is None:
        margin = fitted_margin(left, fitted) if left is not None and isinstance(fitted, Thresholds) else 0.0
        if margin:
            notes.append(f"margin {margin:.3f}: with a smaller lead references would be taken for other characters")
    return Rules(mode, metric, fitted, margin, top, own_references=own_references or legacy), notes
