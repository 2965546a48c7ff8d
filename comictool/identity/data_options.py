"""Which instances both recipes train on; without torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DataOptions:
    """Which instances.

    Attributes:
        split: trained on: train, val, test or all. A corpus that was never split has only all.
        validation: split that is validated on; empty for none.
        subset: of the published lists: `100k` follows filtered_all_face_100k.csv and its like for bodies.
        min_side: least pixels on the shorter side of a crop; a smaller one counts as a half that is not there.
        cache: MiB that decoded crops may take in memory; with more they are decoded each time.
    """

    split: str = "train"
    validation: str = "val"
    subset: str = ""
    min_side: int = 16
    cache: int = 1024
