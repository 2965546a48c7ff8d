"""Schedules: plain functions of the step, so that a resumed run needs no state and a plot needs no run.

All have the same arguments: the warm-up rises on a line from `warmup_start` to `start`, then the value goes from
`start` to `end`. The shape is that of DINO's `utils.cosine_scheduler` (facebookresearch/dino), step by step: its
warm-up is `numpy.linspace` with both ends, so step 0 has `warmup_start` and step `warmup_steps - 1` has `start`; after
it the half cosine is sampled at i / n, so `end` is approached and never quite reached.
"""

from __future__ import annotations

import math


def cosine(
    step: int, total_steps: int, start: float, end: float, warmup_steps: int = 0, warmup_start: float = 0.0
) -> float:
    """Half a cosine from `start` to `end` (Loshchilov and Hutter 2017, without restarts).

    Args:
        step: 0 .. total_steps - 1; later ones give `end`.

    Returns:
        A plain float: a numpy scalar in an optimizer could not be loaded again with weights_only.
    """
    if step < warmup_steps:
        return _warmup(step, warmup_steps, warmup_start, start)
    return end + (start - end) * (1 + math.cos(math.pi * _position(step, total_steps, warmup_steps))) / 2


def linear(
    step: int, total_steps: int, start: float, end: float, warmup_steps: int = 0, warmup_start: float = 0.0
) -> float:
    """A line from `start` to `end`."""
    if step < warmup_steps:
        return _warmup(step, warmup_steps, warmup_start, start)
    return start + (end - start) * _position(step, total_steps, warmup_steps)


def constant(
    step: int, total_steps: int, start: float, end: float, warmup_steps: int = 0, warmup_start: float = 0.0
) -> float:
    """`start` all along; `end` is there for the sake of the table below."""
    return _warmup(step, warmup_steps, warmup_start, start) if step < warmup_steps else start


SCHEDULES = {"cosine": cosine, "linear": linear, "constant": constant}


def _warmup(step: int, steps: int, low: float, high: float) -> float:
    return low + (high - low) * step / max(1, steps - 1)


def _position(step: int, total_steps: int, warmup_steps: int) -> float:
    """Share of the way after the warm-up, 0 .. 1."""
    return min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
