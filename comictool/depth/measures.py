"""What predicted ranks are worth: squared and absolute errors, and order within panels.

Errors are the challenge's (IVRL/AI4VA, depth track): mean squared error of inter, of intra, and the mean of the two,
over the segments that have the rank. Order is ComicsDepth's (Bhattacharjee and others, WACV 2022,
https://arxiv.org/abs/2110.03575): pairs in one panel, inter pairs of different planes, intra pairs of one plane and
different places in it; a pair is right when the nearer one is strictly nearer, so ties are wrong. Kendall's tau-b
(1945) is over the same groups; a constant answer has 0. Values are means over panels, intervals over whole pages.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from comictool.measure.metrics import Metric, statistic

ROWS_AT_ONCE = 4_000_000  # pairs that are compared in one step
RANKS = ("inter", "intra")


@dataclass(frozen=True)
class Ranked:
    """N things with the truth about them.

    Attributes:
        pages, panels: (N,) names; a panel's is unique in all.
        inter, intra: (N,) ranks, nan where missing.
    """

    pages: np.ndarray
    panels: np.ndarray
    inter: np.ndarray
    intra: np.ndarray

    def __len__(self) -> int:
        return len(self.pages)

    def take(self, rows: np.ndarray) -> Ranked:
        """Some of them."""
        return Ranked(self.pages[rows], self.panels[rows], self.inter[rows], self.intra[rows])


Answer = tuple[np.ndarray, np.ndarray]  # (N,) inter and intra


def errors(truth: Ranked, said: Answer, floors: Mapping[str, Answer]) -> list[Metric]:
    """`MSE inter`, `MSE intra`, `MSE overall` and the same for MAE.

    Args:
        said: finite numbers for all.
        floors: what stands beside, by name.
    """
    out = []
    for title, of in (("MSE", np.square), ("MAE", np.abs)):
        columns = {name: _off(truth, answer, of) for name, answer in {"": said, **floors}.items()}
        for number, rank in enumerate(RANKS):
            rows = np.flatnonzero(np.isfinite((truth.inter, truth.intra)[number]))
            values = {name: column[rows, number] for name, column in columns.items()}
            out.append(_metric(f"{title} {rank}", values, truth.pages[rows], _mean))
        out.append(_metric(f"{title} overall", columns, truth.pages, _overall))
    return out


def orders(truth: Ranked, said: Answer, floors: Mapping[str, Answer]) -> list[Metric]:
    """`order inter`, `order intra` (share of pairs that are right) and `tau inter`, `tau intra`, means over panels.

    The metrics' details have `pairs` and `micro`, the share over all pairs alike.
    """
    out = []
    for number, rank in enumerate(RANKS):
        found = {name: _of_panels(truth, answer[number], rank) for name, answer in {"": said, **floors}.items()}
        pages = np.array([panel.page for panel in found[""]])
        share = {name: np.array([[p.right, p.pairs] for p in each]).reshape(-1, 2) for name, each in found.items()}
        pairs = int(share[""][:, 1].sum())
        details = {"pairs": pairs, "micro": float(share[""][:, 0].sum() / pairs) if pairs else None}
        ratios = {name: each[:, 0] / each[:, 1] for name, each in share.items()}
        out.append(_metric(f"order {rank}", ratios, pages, _mean, better=True, details=details))
        taus = {name: np.array([panel.tau for panel in each]) for name, each in found.items()}
        out.append(_metric(f"tau {rank}", taus, pages, _mean, better=True))
    return out


def points_right(near: np.ndarray, far: np.ndarray, heights: np.ndarray, pages: Sequence[str]) -> list[Metric]:
    """Pairs of points: the share that is right of all, of those whose nearer point is lower, and of the others; the
    mean of these two; and `WHDR`, the share that is wrong (Bell and others 2014; all pairs weigh the same).

    Args:
        near, far: (N,) predicted depths, larger is farther; a tie or nan is wrong.
        heights: (N, 2) rows of the two points, down the picture.
        pages: of the pairs.
    """
    right = (near < far).astype(np.float64)
    lower = (heights[:, 0] > heights[:, 1]).astype(np.float64)
    names = np.asarray(pages, dtype=str)

    def of(title: str, rows: np.ndarray) -> Metric:
        return _metric(title, {"": right[rows], "lower": lower[rows]}, names[rows], _mean, better=True)

    both = np.stack([right, lower], axis=1)

    def balanced(values: np.ndarray) -> float:
        parts = [values[values[:, 1] == side, 0] for side in (1.0, 0.0)]
        return sum(_mean(part) for part in parts) / 2

    return [
        of("pairs", np.arange(len(right))),
        of("pairs, nearer is lower", np.flatnonzero(lower)),
        of("pairs, nearer is higher", np.flatnonzero(lower == 0)),
        _metric("pairs, balanced", {"": both, "lower": np.stack([lower, lower], axis=1)}, names, balanced, better=True),
        _metric("WHDR", {"": 1 - right, "lower": 1 - lower}, names, _mean),
    ]


@dataclass(frozen=True)
class PanelOrder:
    """One panel that has pairs: how many, how many are right, and tau-b."""

    page: str
    right: int
    pairs: int
    tau: float


def _of_panels(truth: Ranked, said: np.ndarray, rank: str) -> list[PanelOrder]:
    out = []
    order = np.argsort(truth.panels, kind="stable")
    for members in np.split(order, np.flatnonzero(truth.panels[order][1:] != truth.panels[order][:-1]) + 1):
        if not len(members):
            continue
        groups = [members]
        if rank == "intra":
            known = members[np.isfinite(truth.inter[members])]
            groups = [known[truth.inter[known] == plane] for plane in np.unique(truth.inter[known])]
        counts, taus = [], []
        for group in groups:
            level = (truth.inter if rank == "inter" else truth.intra)[group]
            group, level = group[np.isfinite(level)], level[np.isfinite(level)]
            right, pairs = order_of(level, said[group])
            if pairs:
                counts.append((right, pairs))
                taus.append(tau_b(level, said[group]))
        if counts:
            right, pairs = (sum(column) for column in zip(*counts, strict=True))
            out.append(PanelOrder(str(truth.pages[members[0]]), right, pairs, float(np.mean(taus))))
    return out


def order_of(truth: np.ndarray, said: np.ndarray) -> tuple[int, int]:
    """How many pairs of different truth are in the true order, strictly; and how many such pairs there are."""
    right = pairs = 0
    step = max(1, ROWS_AT_ONCE // max(1, len(truth)))
    for start in range(0, len(truth), step):
        nearer = truth[start : start + step, None] < truth[None]
        right += int((nearer & (said[start : start + step, None] < said[None])).sum())
        pairs += int(nearer.sum())
    return right, pairs


def tau_b(truth: np.ndarray, said: np.ndarray) -> float:
    """Kendall's tau-b; 0 for a constant answer."""
    from scipy.stats import kendalltau

    value = float(kendalltau(truth, said).statistic)
    return value if math.isfinite(value) else 0.0


def _off(truth: Ranked, answer: Answer, of: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """(N, 2) errors, nan where a rank is missing."""
    found: np.ndarray = of(np.stack(answer, axis=1) - np.stack([truth.inter, truth.intra], axis=1))
    return found


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan


def _overall(values: np.ndarray) -> float:
    """The mean of the two columns' means."""
    means = [_mean(column[np.isfinite(column)]) for column in values.T]
    known = [mean for mean in means if math.isfinite(mean)]
    return sum(known) / len(known) if known else math.nan


def _metric(
    name: str,
    values: Mapping[str, np.ndarray],
    pages: np.ndarray | Sequence[str],
    of: Callable[[np.ndarray], float],
    *,
    better: bool = False,
    details: Mapping[str, object] | None = None,
) -> Metric:
    """A metric of one number an item; "" among `values` is what is measured, the others are floors.

    Args:
        better: higher is better.
    """
    floors = {floor: of(each) for floor, each in values.items() if floor}
    known = [value for value in floors.values() if math.isfinite(value)]
    best = (max if better else min)(known) if known else math.nan
    said = values[""]
    beside = {floor: value if math.isfinite(value) else None for floor, value in floors.items()}
    return statistic(
        name,
        len(said),
        lambda rows: of(said[rows]),
        best,
        groups=np.asarray(pages, dtype=str),
        higher_is_better=better,
        details={"floors": beside, **(details or {})},
    )
