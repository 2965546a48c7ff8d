"""How the pictures of a run are compared and decided: references, rules, and what scores are scaled by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from comictool.reid.enrolled import EnrolledSet
from comictool.reid.gallery import Gallery
from comictool.reid.reader import PictureReader
from comictool.reid.sorting.actions import SortOptions
from comictool.reid.sorting.journal import newest_contents
from comictool.reid.sorting.rules import Rules, rules_for
from comictool.reid.surroundings import NOTHING, Surroundings, surroundings_of


def rules_of_run(
    enrolled: EnrolledSet,
    targets: Sequence[Path],
    options: SortOptions,
    reader: PictureReader,
    gallery: Gallery | None,
    earlier: str = "",
) -> tuple[EnrolledSet, Rules, list[str], Surroundings]:
    """The references and rules of a run over `targets`, notes on them, and what scores are scaled by.

    A threshold that the user writes, and one that a gallery has from a background or for each character, is for
    cosines as they are; so is all that is scored as character-reid did. Else thresholds are fitted to scaled scores,
    with the false acceptance rate that the gallery was calibrated for.

    Args:
        earlier: what the run that this one resumes was scaled by, as its journal has it.

    Raises:
        UsageError: see `comictool.reid.sorting.rules.rules_for`.
    """
    legacy, stored, far = reader.is_legacy(gallery), enrolled.thresholds, options.far
    fits = stored is not None and options.mode in ("", "auto", stored.mode) and far in (None, stored.far)
    as_it_is = stored is not None and fits and bool(stored.counted or stored.per_character)
    among, mode, vectors = NOTHING, options.mode, enrolled.found.vectors
    if not legacy and options.threshold in (None, "auto") and not as_it_is:
        among = Surroundings.from_text(earlier, vectors.shape[1])
        if not among:
            with reader.stream(gallery) as stream:
                among = surroundings_of(targets, stream.batches)
    if among:
        if stored is not None and fits:
            far, mode = stored.far, stored.mode
        enrolled = replace(enrolled, thresholds=None)
    rules, notes = rules_for(
        enrolled,
        mode=mode,
        legacy=legacy,
        threshold=options.threshold,
        far=far,
        margin=options.margin,
        top=options.top,
        own_references=options.own_references,
        around=among.around(vectors),
    )
    return enrolled, rules, notes, among


def surroundings_before(root: Path | None) -> str:
    """What the newest run in a folder was scaled by, if it was stopped before its end: some targets may be gone."""
    contents = newest_contents(root) if root is not None else None
    if contents is None or contents.ended or not contents.chain.sound:
        return ""
    return contents.purpose.surroundings
