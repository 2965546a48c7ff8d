"""Random streams: every drawn thing gets its own, named by what it is.

A page must come out the same whichever process draws it, in whatever order and however many pages the comic has.
So nothing shares a generator: a stream is made from the seed and a path of names such as `("page", comic, 3)`.
"""

from __future__ import annotations

import random

from comictool.core.seeds import derive_seed


def stream(seed: int, *names: int | str) -> random.Random:
    """The random generator of one named thing.

    Raises:
        UsageError: the seed is outside what a seed may be.
    """
    return random.Random(derive_seed(seed, *names))
