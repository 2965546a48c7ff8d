"""How far a measured share may be from the true one: 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

Z95 = 1.959963984540054  # two-sided 95 % quantile of the normal distribution


def wilson(right: float, asked: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927); (0, 1) when nothing was asked."""
    if asked <= 0:
        return 0.0, 1.0
    share = right / asked
    middle = (share + Z95**2 / (2 * asked)) / (1 + Z95**2 / asked)
    half = Z95 * math.sqrt(share * (1 - share) / asked + Z95**2 / (4 * asked**2)) / (1 + Z95**2 / asked)
    return max(0.0, middle - half), min(1.0, middle + half)


def bootstrap(
    count: int,
    statistic: Callable[[np.ndarray], float],
    *,
    groups: Sequence[str] | np.ndarray | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """95 % percentile interval of any statistic of `count` items (Efron 1979).

    Args:
        statistic: from the indices of a resample to a number; draws where it is not finite are left out.
        groups: a name for each item; whole groups are then drawn, since pictures of one page or character stand or
            fall together and single draws would make the interval too narrow.

    Returns:
        (low, high); (nan, nan) when no draw gave a number.
    """
    rng = np.random.default_rng(seed)
    if groups is None:
        members = None
    else:
        _, codes = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
        members = [np.flatnonzero(codes == code) for code in range(codes.max() + 1 if len(codes) else 0)]
    values = []
    for _ in range(draws if count else 0):
        if members is None:
            chosen = rng.integers(count, size=count)
        else:
            chosen = np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))])
        value = statistic(chosen)
        if math.isfinite(value):
            values.append(value)
    if not values:
        return math.nan, math.nan
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
