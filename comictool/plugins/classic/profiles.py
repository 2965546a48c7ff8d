"""What decides the similarity: the share of each measurement, by use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from comictool.plugins.classic import colour, gradient, structure
from comictool.plugins.classic.canvas import Canvas

MEASUREMENTS: Mapping[str, Callable[[Canvas], np.ndarray]] = {
    "colour histogram": colour.colour_histogram,
    "colour layout": colour.colour_layout,
    "oriented cells": gradient.oriented_cells,
    "line texture": gradient.line_texture,
    "masses": structure.masses,
    "light cells": structure.light_cells,
    "aspect": structure.aspect,
}


@dataclass(frozen=True)
class Profile:
    """Shares of the similarity (they sum to 1), and whether a picture and its mirror image count as the same."""

    shares: Mapping[str, float]
    mirrored: bool


PROFILES: Mapping[str, Profile] = {
    # The same picture again, printed, lettered, cut or compressed in another way: layout decides. Shares were
    # fitted on half of the episodes and pages, checked on the other half (tests/bench/page_search.py), and rounded.
    "picture": Profile(
        {
            "colour histogram": 0.10,
            "colour layout": 0.20,
            "oriented cells": 0.46,
            "line texture": 0.03,
            "masses": 0.16,
            "light cells": 0.04,
            "aspect": 0.01,
        },
        mirrored=False,
    ),
    # The same figure in another pose, turned either way, before another background: its colours decide. Shares were
    # chosen on the two series of tests/bench/character_search.py, so its figures are a little kind; shares fitted on
    # one series alone gave the other .59 macro rank-1 and .41 to .44 mAP (peppercarrot), .75 to .90 and .64 to .69.
    "character": Profile(
        {
            "colour histogram": 0.65,
            "colour layout": 0.07,
            "oriented cells": 0.11,
            "line texture": 0.11,
            "masses": 0.02,
            "light cells": 0.04,
            "aspect": 0.00,
        },
        mirrored=True,
    ),
}
