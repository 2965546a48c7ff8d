"""Randomness that can be repeated: one seed for a run, and seeds derived from it by name."""

from __future__ import annotations

import hashlib
import random
import sys

from comictool.core.errors import UsageError

MAX_SEED = 2**63 - 1  # what torch accepts


def derive_seed(seed: int, *names: object) -> int:
    """A seed for one part of a run, independent of every other part's and the same on every machine.

    Unlike `hash()` it does not change from process to process, so workers and shards agree.

    Args:
        seed: of the run.
        names: what tells the part from others: texts and numbers, e.g. `derive_seed(7, "page", 12)`.

    Returns:
        A number in 0 .. 2**63 - 1.
    """
    text = "\x1f".join([str(check_seed(seed)), *(f"{type(name).__name__}:{name}" for name in names)])
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:8], "big") & MAX_SEED


def check_seed(seed: int) -> int:
    """The seed itself.

    Raises:
        UsageError: outside 0 .. 2**63 - 1.
    """
    if not 0 <= seed <= MAX_SEED:
        raise UsageError(f"--seed {seed} is outside 0 .. 2**63 - 1")
    return seed


def seed_everything(seed: int) -> None:
    """Seed the global generators of Python, and of numpy and torch when the program has imported them.

    Meant for commands that use third-party code with global generators; our own code takes a generator made from
    `derive_seed`.
    """
    random.seed(check_seed(seed))
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(seed % 2**32)  # the width of the old generator's seed
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)
