"""How the pictures of a run are compared and decided: references, rules, and what is taken off all vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from comictool.reid.common import NOTHING, Common, common_part
from comictool.reid.enrolled import EnrolledSet
from comictool.reid.gallery import Gallery
from comictool.reid.reader import PictureReader
from comictool.reid.sorting.actions import SortOptions
from comictool.reid.sorting.journal import newest_contents
from comictool.reid.sorting.rules import Rules, rules_for


def rules_of_run(
    enrolled: EnrolledSet,
    targets: Sequence[Path],
    options: SortOptions,
    reader: PictureReader,
    gallery: Gallery | None,
    earlier: Sequence[float] = (),
) -> tuple[EnrolledSet, Rules, list[str], Common]:
    """The references and rules of a run over `targets`, notes on them, and the common part that was taken off.

    A threshold that the user writes, and one that a gallery has from a background or for each character, is for
    cosines as they are; so is all that is scored as character-reid did. Else thresholds are fitted to what is left,
    with the false acceptance rate that the gallery was calibrated for, and the nearest reference decides unless a mode
    is named: the centroid then lets in up to four times the strangers that were asked for (tests/bench/reid_open_set).

    Args:
        earlier: what the run that this one resumes took off.

    Raises:
        UsageError: see `comictool.reid.sorting.rules.rules_for`.
    """
    legacy, stored, far = reader.is_legacy(gallery), enrolled.thresholds, options.far
    fits = stored is not None and options.mode in ("", "auto", stored.mode) and far in (None, stored.far)
    as_it_is = stored is not None and fits and bool(stored.counted or stored.per_character)
    common = NOTHING
    if not legacy and (options.threshold == "none" or (options.threshold in (None, "auto") and not as_it_is)):
        parts = reader.parts(gallery)
        common = Common(np.array(earlier, np.float32), parts)
        if common.vector.size != enrolled.found.vectors.shape[1]:
            with reader.stream(gallery) as stream:
                common = common_part(enrolled.found.vectors, targets, stream.batches, parts)
    if common.vector.size:
        far = stored.far if stored is not None and fits else far
        enrolled = replace(common.enrolled(enrolled), thresholds=None)
    rules, notes = rules_for(
        enrolled,
        mode=options.mode or ("max" if common.vector.size else ""),
        legacy=legacy,
        threshold=options.threshold,
        far=far,
        margin=options.margin,
        top=options.top,
        own_references=options.own_references,
    )
    return enrolled, rules, notes, common


def taken_off_before(root: Path | None) -> Sequence[float]:
    """What the newest run in a folder took off, if it was stopped before its end: some of its targets may be gone."""
    contents = newest_contents(root) if root is not None else None
    if contents is None or contents.ended or not contents.chain.sound:
        return ()
    return contents.purpose.common
