"""Whether a page on which no panels were found is one without any, or one that could not be read."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from comictool.panels.background import RIM
from comictool.panels.cells import unit
from comictool.panels.planes import share

SPARSE = 0.2  # share of ink under which a page is blank, a title or figures on paper: of 12 such pages .17 was the most
PICTURE = 0.7  # share of a page from which its largest piece is a picture over all of it; covers show .7 and more
JOINED = 6  # units of paper within a picture: hatching and highlights


def may_have_panels(paper: np.ndarray) -> bool:
    """Whether a page with the background `paper` (h, w) bool holds much, but no picture that takes all of it."""
    ink = ~paper[RIM:-RIM, RIM:-RIM]
    if share(ink) < SPARSE:
        return False
    step = max(1, round(unit(paper) * 1.5))  # this needs no fine detail
    coarse = ink[::step, ::step]
    joined = ndimage.binary_closing(coarse, iterations=max(1, round(JOINED * unit(paper) / step)))
    sizes = np.bincount(ndimage.label(joined)[0].ravel())[1:]
    return int(sizes.max(initial=0)) < PICTURE * joined.size
