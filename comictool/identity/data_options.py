"""Which instances both recipes train on; without torch."""

from __future__ import annotations

from dataclasses import dataclass

from comictool.training.options import SplitOptions


@dataclass(frozen=True)
class DataOptions(SplitOptions):
    """Which instances.

    Attributes:
        subset: of the published lists: `100k` follows filtered_all_face_100k.csv and its like for bodies.
        min_side: least pixels on the shorter side of a crop; a smaller one counts as a half that is not there.
    """

    subset: str = ""
    min_side: int = 16
