"""What reading pages by a service will take: requests, tokens, dollars, minutes; before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from comictool.core.errors import ComicError
from comictool.core.files import read_bounded
from comictool.core.images import MAX_BYTES, decode_array
from comictool.core.jobs import Item
from comictool.corpus.annotating import looked_at
from comictool.words.vlm_engine import USUAL, cache_of, key_of
from comictool.words.vlm_options import AT_ONCE, VlmOptions

MOST_CHECKED = 100  # pages that are decoded to see whether their answer is there, 30 ms each; of more, a sample is


@dataclass(frozen=True)
class Estimate:
    """What a run would take.

    Attributes:
        pages: to be read.
        cached: of these, answered before and free; by a sample when there are more than `MOST_CHECKED`.
        tokens_in, tokens_out: of all requests.
        cost: dollars; None without prices.
        seconds: with so many requests at once.
        measured: the numbers are those of earlier answers of this model, else usual ones.
    """

    pages: int
    cached: int
    tokens_in: int
    tokens_out: int
    cost: float | None
    seconds: float
    measured: bool

    def __str__(self) -> str:
        by = "as measured" if self.measured else "as usual, nothing measured yet"
        cost = "cost unknown without --price-in and --price-out" if self.cost is None else f"${self.cost:.4f}"
        asked = f"{self.pages - self.cached:,} pages to ask for, {self.cached:,} answered before"
        tokens = f"{self.tokens_in:,} tokens in and {self.tokens_out:,} out"
        return f"{asked}: about {tokens}, {cost}, {self.seconds / 60:.1f} minutes ({by})"


def estimate(options: VlmOptions, items: Sequence[Item], at_once: int = 0) -> Estimate:
    """What the items of a job (`JobReport.to_do` of a dry run) would take; `at_once` requests, 0 as usual."""
    pages, cache = looked_at(items), cache_of(options)
    cached, checked = 0, pages[:: -(-len(pages) // MOST_CHECKED)] if pages else []
    for picture, asked in checked:
        try:
            data = read_bounded(picture, most_bytes=MAX_BYTES) if isinstance(picture, Path) else picture.read_bytes()
            cached += cache.answer(key_of(decode_array(data), asked["direction"], options)) is not None
        except ComicError:
            cached += 1  # the job will say so; nothing is asked for it
    cached = round(cached * len(pages) / max(1, len(checked)))
    measured = cache.usual()
    each = measured or USUAL
    asked_for = len(pages) - cached
    tokens = asked_for * each.tokens_in, asked_for * each.tokens_out
    seconds = asked_for * each.seconds / min(at_once or AT_ONCE, max(1, asked_for))
    return Estimate(len(pages), cached, *tokens, options.cost(*tokens), seconds, measured is not None)
