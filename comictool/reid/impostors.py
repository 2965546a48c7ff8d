"""The score that pictures of impostors reach, told from the few characters that are enrolled.

Scores are looked at as logarithms of distances, `log(1 - cosine)`: there the spread of impostors is about the same
near and far, and one correction, in units of that spread, fits encoders whose cosines have little else in common
(tests/bench/reid_open_set.py --fit prints it for three of them).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

LEAST_DISTANCE = 1e-4  # of cosines; nearer pictures are copies, and the logarithm has to end somewhere
LEAST_SPREAD = 0.02  # of logarithms: identical references must not give a threshold that any rounding passes
WITHIN_TO_BETWEEN = 1.6  # on drawn characters: spread of pairs of one character, in spreads of pairs of two
# Of `safety_margin`, fitted to drawn characters of six styles (tests/bench/reid_open_set.py --fit).
BEYOND = 0.6
FEW = 4.0  # spreads, for one character
POWER, STEP, LEAST_POWER, MOST_POWER = 1.75, 0.3, 0.75, 2.0


@dataclass(frozen=True)
class Level:
    """What impostors reach.

    Attributes:
        log_distance: pictures at most this far (a logarithm) are accepted; minus infinity accepts nobody.
        pictures, groups: how many pictures of how many characters it rests on.
        supported: the least rate that so many characters show by themselves, 1 / (groups + 1).
    """

    log_distance: float
    pictures: int
    groups: int
    supported: float


def log_distances(scores: np.ndarray, metric: str) -> np.ndarray:
    """Logarithms of `1 - cosine` of scores; infinity where there is no score.

    Args:
        metric: `cosine`, or `legacy`: minus the distance d of unit vectors, whose `1 - cosine` is `d^2 / 2`.
    """
    values = np.asarray(scores, np.float64)
    with np.errstate(invalid="ignore"):
        far = 1 - values if metric == "cosine" else values**2 / 2
    return np.where(
        np.isfinite(values), np.log(np.maximum(np.where(np.isfinite(values), far, 1), LEAST_DISTANCE)), np.inf
    )


def score_at(log_distance: float, metric: str) -> float:
    """The score of a log distance: the inverse of `log_distances`."""
    far = math.exp(log_distance)
    return 1 - far if metric == "cosine" else -math.sqrt(2 * far)


def impostor_level(logs: np.ndarray, groups: np.ndarray, rate: float, spread: float) -> Level:
    """The distance that at most `rate` of new pictures of new characters come within.

    The quantile of the pictures, with the one place more that makes it hold for a new one (conformal prediction), is
    exact for many characters. But pictures of one character resemble each other, so few characters say little about
    the next; `safety_margin` is then taken off.

    Args:
        logs: (N,) log distance of each picture of a known impostor to its nearest enrolled character.
        groups: (N,) whose picture it is.
        rate: 0..1, exclusive.
        spread: see `pair_spread`.
    """
    known = np.isfinite(logs)
    values, groups = np.sort(logs[known]), groups[known]
    if not len(values):
        return Level(-math.inf, 0, 0, 1.0)
    number, count = len(set(groups.tolist())), len(values)
    # The k-th smallest: of a further picture, a share of k / (N + 1) comes as near (at the least one place is left).
    place = max(1, math.floor((count + 1) * rate + 1e-9))
    level = float(values[place - 1]) - spread * safety_margin(number, count, rate)
    # Just nearer: a score equal to the threshold is accepted, and rounding makes equal scores common.
    return Level(math.log(max(math.exp(level) - 1e-6, 1e-12)), count, number, 1 / (number + 1))


def pair_spread(within: np.ndarray, between: np.ndarray) -> float:
    """The unit of the safety margin: root mean square of two standard deviations of log distances.

    Those of pairs of one character and of pairs of two. Even two characters have many pairs, so it is well known where
    the spread of impostors is not; and it follows the encoder.

    Args:
        within, between: log distances, infinite ones left out; without pairs of one character theirs is guessed.
    """
    between = between[np.isfinite(between)]
    within = within[np.isfinite(within)]
    apart = float(between.std()) if len(between) > 1 else 0.0
    alike = float(within.std()) if len(within) > 1 else 0.0
    if not alike or not apart:
        alike, apart = alike or WITHIN_TO_BETWEEN * apart, apart or alike / WITHIN_TO_BETWEEN
    return max(math.sqrt((alike**2 + apart**2) / 2), LEAST_SPREAD)


def safety_margin(groups: int, pictures: int, rate: float) -> float:
    """Spreads to keep below the quantile of N pictures of G characters, for a rate.

    Two parts. What is beyond the last picture, by the normal distribution, when they are too few for the rate. And what
    another character may be like, `FEW * G ** -b`: it falls with the number of characters, the slower (b) the rarer
    the tail that they have to show. Fitted so that on drawn characters the mean rate is kept and nine of ten galleries
    stay within twice the rate; figures on other styles and on real comics stand in README.
    """
    from statistics import NormalDist  # not scipy's: importing that takes longer than classifying cached pictures

    normal = NormalDist().inv_cdf
    beyond = max(0.0, normal(1 - rate) - normal(pictures / (pictures + 1)))
    power = min(max(POWER - STEP * math.log(0.1 / rate), LEAST_POWER), MOST_POWER)
    return BEYOND * beyond + FEW * float(groups) ** -power
