"""Which panel a character stands in."""

from __future__ import annotations

from collections.abc import Sequence

from comictool.corpus.records import Box, Panel

MIN_OVERLAP = 0.5  # of the character's own area: below that it stands in no single panel
# An inset counts as the character's panel although the panel around it holds a little more of it (a hat or a line
# that sticks out of the inset). Four fifths keeps a figure that an inset merely covers in the outer panel.
INNER_SHARE = 0.8
NESTED_SHARE = 0.95  # of a panel's area inside another one: an inset, whose drawn border may stick out


def assign_panel(box: Box, panels: Sequence[Panel], min_overlap: float = MIN_OVERLAP) -> Panel | None:
    """The panel that contains most of a character; the innermost one where panels are nested.

    Args:
        box: of the character, on the page.
        min_overlap: the least share of the character's area, in 0..1.

    Returns:
        None when no panel holds that much of it. Ties go to the smaller panel, then to the earlier one.
    """
    shares = {id(panel): _share(box, panel.box) for panel in panels}
    candidates = [panel for panel in panels if shares[id(panel)] >= max(min_overlap, 1e-9)]
    if not candidates:
        return None
    best = min(candidates, key=lambda panel: (-shares[id(panel)], _area(panel.box), panel.id))
    while True:
        inner = [
            panel
            for panel in candidates
            if _area(panel.box) < _area(best.box)
            and shares[id(panel)] >= INNER_SHARE
            and _share(panel.box, best.box) >= NESTED_SHARE
        ]
        if not inner:
            return best
        best = min(inner, key=lambda panel: (-shares[id(panel)], _area(panel.box), panel.id))


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def _share(part: Box, whole: Box) -> float:
    """The share of `part`'s area that lies in `whole`."""
    width = min(part[2], whole[2]) - max(part[0], whole[0])
    height = min(part[3], whole[3]) - max(part[1], whole[1])
    return max(0, width) * max(0, height) / max(1, _area(part))
