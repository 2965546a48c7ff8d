"""Run-length masks as COCO has them: `size` [height, width] and `counts`, a list or pycocotools' text."""

from __future__ import annotations

from typing import Any

from comictool.formats.boxes import FloatBox
from comictool.formats.values import integer_of, list_of, object_of

MOST_RUNS = 10_000_000


def is_rle(value: Any) -> bool:
    """Whether a segmentation is run lengths."""
    fields = object_of(value)
    size, counts = list_of(fields.get("size")), fields.get("counts")
    whole = isinstance(counts, list) and all(integer_of(n) is not None for n in counts)
    return len(size) == 2 and all(integer_of(n) is not None for n in size) and (isinstance(counts, str) or whole)


def rle_bounds(value: Any) -> FloatBox | None:
    """The box around a mask; None when it is none, or empty."""
    if not is_rle(value):
        return None
    height = integer_of(value["size"][0]) or 0
    counts = value["counts"]
    runs = _unpacked(counts) if isinstance(counts, str) else [integer_of(n) or 0 for n in counts]
    if height < 1 or len(runs) > MOST_RUNS or any(run < 0 for run in runs):
        return None
    # Runs of nothing and of mask in turn, down the columns.
    at, boxes = 0, []
    for index, run in enumerate(runs):
        end = at + run
        if index % 2 and run:
            first, last = divmod(at, height), divmod(end - 1, height)
            rows = (first[1], last[1] + 1) if first[0] == last[0] else (0, height)
            boxes.append((first[0], rows[0], last[0] + 1, rows[1]))
        at = end
    if not boxes:
        return None
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _unpacked(text: str) -> list[int]:
    """Run lengths from pycocotools' text: 5 bits a letter, least first; from the fourth on less the last but one."""
    runs: list[int] = []
    value, shift = 0, 0
    for letter in text[: MOST_RUNS * 2]:
        code = ord(letter) - 48
        value |= (code & 0x1F) << shift
        shift += 5
        if code & 0x20:
            if shift > 60:
                return []
            continue
        if code & 0x10:
            value |= -1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value, shift = 0, 0
    return runs
