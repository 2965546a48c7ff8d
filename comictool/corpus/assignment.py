"""Which panel a character stands in, or a text."""

from __future__ import annotations

from collections.abc import Sequence

from comictool.corpus.boxes import area, share_inside
from comictool.corpus.records import Box, Character, PageRecord, Panel, Text

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
    shares = {id(panel): share_inside(box, panel.box) for panel in panels}
    candidates = [panel for panel in panels if shares[id(panel)] >= max(min_overlap, 1e-9)]
    if not candidates:
        return None
    best = min(candidates, key=lambda panel: (-shares[id(panel)], area(panel.box), panel.id))
    while True:
        inner = [
            panel
            for panel in candidates
            if area(panel.box) < area(best.box)
            and shares[id(panel)] >= INNER_SHARE
            and share_inside(panel.box, best.box) >= NESTED_SHARE
        ]
        if not inner:
            return best
        best = min(inner, key=lambda panel: (-shares[id(panel)], area(panel.box), panel.id))


def assign_panels(record: PageRecord, min_overlap: float = MIN_OVERLAP) -> None:
    """Give the characters and texts of a page that name no panel the one that `assign_panel` finds, if any."""
    things: list[Character | Text] = [*record.characters, *record.texts]
    known = {panel.id for panel in record.panels}
    for thing in things:
        if thing.panel not in known and thing.box is not None:
            panel = assign_panel(thing.box, record.panels, min_overlap)
            thing.panel = panel.id if panel is not None else None
