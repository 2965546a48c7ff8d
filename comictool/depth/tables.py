"""Tables of predicted ranks: the challenge's, keyed by annotation, and the released baseline's, keyed by category.

The challenge asks for one row for each annotation: `annotation_id,image_id,category_id,pred_Interdepth,
pred_Intradepth`. The released baseline writes `img_id,category_id,pred_Intradepth,pred_Interdepth`, whose key is none:
a page has up to 63 segments of one category. It is read and written for comparison, with every annotation as a row.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from comictool.core.errors import InputError
from comictool.core.files import atomic_text
from comictool.depth.segments import Segment
from comictool.formats.values import header_of, integer_of, number_of, read_rows

CHALLENGE = ("annotation_id", "image_id", "category_id", "pred_Interdepth", "pred_Intradepth")
BASELINE = ("img_id", "category_id", "pred_Intradepth", "pred_Interdepth")


class Row(NamedTuple):
    """What is said of one annotation."""

    annotation_id: int
    image_id: int
    category_id: int
    inter: float
    intra: float


@dataclass(frozen=True)
class Predictions:
    """A table that was read.

    Attributes:
        by_annotation: (inter, intra) by annotation; empty for a table of the released baseline.
        by_category: (inter, intra) by image and category, the last row of each counts, as in the published script.
        rows: of the file.
        problems: what is wrong with single rows.
    """

    by_annotation: Mapping[int, tuple[float, float]]
    by_category: Mapping[tuple[int, int], tuple[float, float]]
    rows: int
    problems: tuple[str, ...] = ()

    def of(self, segment: Segment) -> tuple[float, float] | None:
        """What is said of a segment; None when nothing is."""
        if self.by_annotation:
            return self.by_annotation.get(segment.annotation_id)
        return self.by_category.get((segment.image_id, segment.category_id))


def write_challenge(path: Path, rows: Iterable[Row]) -> None:
    """Write the challenge's table."""
    _write(path, CHALLENGE, ([r.annotation_id, r.image_id, r.category_id, _n(r.inter), _n(r.intra)] for r in rows))


def write_baseline(path: Path, rows: Iterable[Row]) -> None:
    """Write the released baseline's table: its columns, in its order, but a row for every annotation."""
    _write(path, BASELINE, ([r.image_id, r.category_id, _n(r.intra), _n(r.inter)] for r in rows))


def read_predictions(path: Path) -> Predictions:
    """Read either table, by its header.

    Raises:
        InputError: it is neither, an annotation has two rows, or no row can be read.
    """
    header = [name.casefold() for name in header_of(path)]
    own = CHALLENGE[0] in header
    if not {name.casefold() for name in CHALLENGE[3:]} <= set(header):
        raise InputError(
            f"{path} is no table of predicted ranks",
            cause=f"its columns are {','.join(CHALLENGE)} or {','.join(BASELINE)}",
        )
    image = "image_id" if own or "image_id" in header else "img_id"
    columns = (*([CHALLENGE[0]] if own else []), image, *CHALLENGE[2:])
    by_annotation: dict[int, tuple[float, float]] = {}
    by_category: dict[tuple[int, int], tuple[float, float]] = {}
    problems, count = [], 0
    for number, row in read_rows(path, columns):
        count += 1
        inter, intra = number_of(row[CHALLENGE[3]]), number_of(row[CHALLENGE[4]])
        page, kind = integer_of(row[image]), integer_of(row[CHALLENGE[2]])
        key = integer_of(row[CHALLENGE[0]]) if own else 0
        if inter is None or intra is None or page is None or kind is None or key is None:
            problems.append(f"row {number} has a cell that is no number; it is left out")
            continue
        if own and key in by_annotation:
            raise InputError(f"{path}: annotation {key} has two rows", hint="one row for each annotation")
        if own:
            by_annotation[key] = (inter, intra)
        by_category[page, kind] = (inter, intra)
    if not by_category:
        raise InputError(f"{path} has no row with numbers")
    return Predictions(by_annotation, by_category, count, tuple(problems))


def _write(path: Path, header: tuple[str, ...], rows: Iterable[list[object]]) -> None:
    with atomic_text(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _n(value: float) -> str:
    return f"{value:.6g}"
