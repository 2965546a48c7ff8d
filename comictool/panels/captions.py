"""Captions set off from their panel by a thin line or gap: each goes back to the panel whose width it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from comictool.panels.frames import Frame

TALLEST = 0.1  # share of the page's height: two or three lines of narration
FARTHEST = 0.05  # share of the page's height between a caption and its panel
TOUCHING = 0.005  # the same when its letters run together so that it cannot be told from art
SAME_WIDTH = 0.06  # how far the sides of a caption may be off its panel's, as a share of the panel's width


def attach_captions(frames: Sequence[Frame], page_extent: int) -> list[Frame]:
    """Join every strip of lettering with the panel right below it, or above, when their sides agree."""
    strips = [f for f in frames if f.box[3] - f.box[1] <= TALLEST * page_extent]
    panels = [f for f in frames if f not in strips]
    for strip in strips:
        farthest = FARTHEST if strip.wordy else TOUCHING
        hosts = [i for i, panel in enumerate(panels) if _fits(strip, panel, farthest * page_extent)]
        if hosts:
            below = [i for i in hosts if panels[i].box[1] >= strip.box[1]]
            chosen = min(below or hosts, key=lambda i: abs(panels[i].box[1] - strip.box[3]))
            a, b = strip.box, panels[chosen].box
            united = (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))
            panels[chosen] = replace(panels[chosen], box=united)
        elif not strip.wordy:
            panels.append(strip)
    return panels


def _fits(strip: Frame, panel: Frame, farthest: float) -> bool:
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = strip.box, panel.box
    off = max(abs(ax0 - bx0), abs(ax1 - bx1))
    gap = max(by0 - ay1, ay0 - by1)
    taller = by1 - by0 > 1.5 * (ay1 - ay0)
    return taller and off <= SAME_WIDTH * (bx1 - bx0) and gap <= farthest
