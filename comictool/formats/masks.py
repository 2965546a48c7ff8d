"""Run-length masks as COCO has them: `size` [height, width] and `counts`, a list or pycocotools' text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comictool.formats.boxes import FloatBox
from comictool.formats.values import integer_of, list_of, object_of

if TYPE_CHECKING:
    import numpy as np

MOST_RUNS = 10_000_000
MOST_PIXELS = 400_000_000  # of a mask that is spread out


def is_rle(value: Any) -> bool:
    """Whether a segmentation is run lengths."""
    fields = object_of(value)
    size, counts = list_of(fields.get("size")), fields.get("counts")
    whole = isinstance(counts, list) and all(integer_of(n) is not None for n in counts)
    return len(size) == 2 and all(integer_of(n) is not None for n in size) and (isinstance(counts, str) or whole)


def rle_bounds(value: Any) -> FloatBox | None:
    """The box around a mask; None when it is none, or empty."""
    read = _runs(value)
    if read is None:
        return None
    height, _, runs = read
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


def rle_mask(value: Any) -> np.ndarray | None:
    """A mask as (height, width) bool; None when it is none, or its runs are not those of its size."""
    import numpy as np

    read = _runs(value)
    if read is None:
        return None
    height, width, runs = read
    if width < 1 or height * width > MOST_PIXELS or sum(runs) != height * width:
        return None
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, np.asarray(runs, np.int64))
    return flat.reshape(width, height).T


def to_rle(mask: np.ndarray, corner: tuple[int, int], size: tuple[int, int]) -> dict[str, Any]:
    """Run lengths as text of a mask that lies somewhere in a picture.

    Args:
        mask: (h, w) bool, inside of the picture.
        corner: x and y of its first pixel.
        size: height and width of the picture.
    """
    import numpy as np

    # Where mask begins and ends, down the columns: a run that goes on at the top of the next column is one run.
    steps = np.diff(np.pad(mask, ((1, 1), (0, 0))).astype(np.int8), axis=0).T
    columns, rows = np.nonzero(steps)
    edges = (columns + corner[0]) * size[0] + rows + corner[1]
    joined = np.flatnonzero(edges[1:] == edges[:-1])
    edges = np.delete(edges, np.concatenate([joined, joined + 1]))
    whole = size[0] * size[1]
    runs = np.diff(np.concatenate([[0], edges, [whole]] if not len(edges) or edges[-1] < whole else [[0], edges]))
    return {"size": list(size), "counts": _packed(runs)}


def _packed(runs: np.ndarray) -> str:
    """The other way round from `_unpacked`."""
    import numpy as np

    rest = runs.astype(np.int64)
    rest[3:] -= runs[1:-2]
    letters, more = [], np.ones(len(rest), bool)
    while more.any():
        code, rest = rest & 0x1F, rest >> 5
        goes_on = np.where(code & 0x10, rest != -1, rest != 0)
        letters.append(np.where(more, 48 + code + 0x20 * goes_on, 0))
        more &= goes_on
    each = np.stack(letters, axis=1).ravel()
    return each[each > 0].astype(np.uint8).tobytes().decode("ascii")


def _runs(value: Any) -> tuple[int, int, list[int]] | None:
    """Height, width and run lengths, first of nothing; None when they are no mask."""
    if not is_rle(value):
        return None
    height, width = (integer_of(side) or 0 for side in value["size"])
    counts = value["counts"]
    runs = _unpacked(counts) if isinstance(counts, str) else [integer_of(n) or 0 for n in counts]
    return None if height < 1 or len(runs) > MOST_RUNS or any(run < 0 for run in runs) else (height, width, runs)


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
