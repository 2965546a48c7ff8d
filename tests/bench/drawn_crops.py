"""Heads and busts of drawn characters, cut as the hand-labelled crops are: many series of known identities to fit on.

A series is one drawn comic: a handful of characters in one style of inking. Nothing real is in it, so what is fitted
here has seen none of the comics that figures are reported on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from comictool.drawn.inks import STYLES
from comictool.drawn.page import draw_page, page_type
from tests.bench.character_search import Crops

WIDTH, HEIGHT = 700, 980
PAGES = range(1, 17)
LEAST_FACE, LEAST_CROP = 22, 24  # pixels; the hand-labelled crops begin at 30
LEAST_PICTURES = 3  # of a character, to be one
# Styles on which nothing is fitted: hand-coloured print, paint, and a style without any grey.
UNSEEN = ("benday", "painted", "line")
SEEN = tuple(style for style in STYLES if style not in UNSEEN)


def drawn_series(seed: int, count: int, styles: Sequence[str] = STYLES) -> list[tuple[str, Crops]]:
    """`count` series, named `STYLE-NUMBER`, their styles going round."""
    found = []
    for number in range(count):
        style = styles[number % len(styles)]
        found.append((f"{style}-{number}", _series(seed, 2 * number + 1, style)))
    return found


def _series(seed: int, comic: int, style: str) -> Crops:
    images: list[np.ndarray] = []
    identities: list[str] = []
    pages: list[str] = []
    for page in PAGES:
        if page_type(page) != "story":
            continue
        drawn = draw_page(seed, comic, page, width=WIDTH, height=HEIGHT, style=style)
        for character in drawn.record.characters:
            if character.identity is None or character.face is None:
                continue
            x0, y0, x1, y1 = character.face
            width, height = x1 - x0, y1 - y0
            left, top, right, bottom = character.box
            left, right = max(left, round(x0 - 0.35 * width)), min(right, round(x1 + 0.35 * width))
            top, bottom = max(top, round(y0 - 0.45 * height)), min(bottom, round(y1 + 0.7 * height))
            if min(width, height) < LEAST_FACE or min(right - left, bottom - top) < LEAST_CROP:
                continue
            images.append(drawn.image[top:bottom, left:right])
            identities.append(character.identity)
            pages.append(f"{comic}/{page}")
    names, pictures = np.unique(identities, return_counts=True)
    kept = np.flatnonzero(np.isin(identities, names[pictures >= LEAST_PICTURES]))
    return Crops([images[i] for i in kept], np.array(identities)[kept], np.array(pages)[kept])
