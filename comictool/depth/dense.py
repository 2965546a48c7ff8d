"""Maps against exact maps: errors after the best scale and shift of each panel, and pairs of points.

The prediction of a panel is fitted to the truth by scale and shift (`maps.scale_and_shift`), for its unit and its
nearest depth mean nothing; then come the measures of Eigen and others (2014, https://arxiv.org/abs/1406.2283): absolute
relative error, root mean squared error, and the share of pixels within a factor of 1.25 (delta).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from comictool.core.errors import InputError
from comictool.depth.maps import scale_and_shift

NEAREST = 0.05  # of the range: what is nearer is taken to be there, for errors relative to 0 have no bound
FACTOR = 1.25
AROUND = 4  # pixels on each side of a point: the median of 9 x 9 stands for it
MEASURES = ("AbsRel", "RMSE", "delta")


@dataclass(frozen=True)
class PanelFit:
    """What a panel's map is worth: `AbsRel`, `RMSE`, `delta`, over `pixels`."""

    abs_rel: float
    rmse: float
    delta: float
    pixels: int

    @property
    def values(self) -> tuple[float, float, float]:
        """In the order of `MEASURES`."""
        return self.abs_rel, self.rmse, self.delta


def compare_maps(truth: np.ndarray, said: np.ndarray) -> PanelFit:
    """A map against the truth about one panel.

    Args:
        truth: (H, W) 0 nearest to 1 farthest, nan where there is none.
        said: (H, W) in any unit, larger is farther.

    Raises:
        InputError: fewer than two pixels have both, or the truth is flat, so that nothing can be fitted.
    """
    both = np.isfinite(truth) & np.isfinite(said)
    target, values = truth[both].astype(np.float64), said[both].astype(np.float64)
    if len(target) < 2 or np.ptp(target) == 0:
        raise InputError("fewer than two pixels of different depth can be compared")
    scale, shift = scale_and_shift(values, target)
    target = np.maximum(target, NEAREST)
    # A map that must be turned round to fit has near and far exchanged; its best honest fit is a constant.
    fitted = np.maximum(scale * values + shift if scale > 0 else np.full_like(values, target.mean()), NEAREST)
    off = np.abs(fitted - target)
    ratio = np.maximum(fitted / target, target / fitted)
    return PanelFit(
        float((off / target).mean()), float(np.sqrt((off**2).mean())), float((ratio < FACTOR).mean()), len(target)
    )


def depth_at(depth: np.ndarray, point: Sequence[float]) -> float:
    """The median of 9 x 9 pixels around a point (x, y) of a map; nan where there is nothing."""
    x, y = int(point[0]), int(point[1])
    part = depth[max(0, y - AROUND) : y + AROUND + 1, max(0, x - AROUND) : x + AROUND + 1]
    known = part[np.isfinite(part)]
    return float(np.median(known)) if len(known) else float("nan")
