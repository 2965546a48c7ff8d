"""How much two instances look like one character: what faces say and what bodies say, in one unit.

The distance of two faces and that of two bodies mean different things with every encoder, and an instance may have one
of them alone. Each becomes a log-likelihood ratio, log p(distance | one character) / p(distance | two), fitted as a
logistic regression on pairs of a validation set with both kinds weighing the same; those that two instances share are
added. What cannot be compared says nothing: 0. So 0 is the natural cut, whatever the halves that are there; the cut
that was best on the validation set is kept beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from comictool.assigning.instances import KINDS, Vectors
from comictool.core.errors import InputError
from comictool.core.files import read_json, write_json
from comictool.core.typed import Check, typed

MOST_PAIRS = 200_000  # of each kind and each validation comic that the line is fitted on
VERSION = 1


def distances(rows: np.ndarray) -> np.ndarray:
    """(N, N) float32 Euclidean distances of unit rows, 0..2."""
    alike = np.clip(rows @ rows.T, -1.0, 1.0).astype(np.float32)
    apart = np.sqrt(2 - 2 * alike)
    np.fill_diagonal(apart, 0)
    return apart


@dataclass(frozen=True)
class Line:
    """`offset - slope * distance` is the log-likelihood ratio; fitted on so many pairs of one and of two characters."""

    offset: float
    slope: Annotated[float, Check(lambda value: value >= 0, "0 or more")]
    same: int = 0
    different: int = 0


@dataclass(frozen=True)
class Calibration:
    """What the distances of an encoder mean.

    Attributes:
        encoder_id: whose vectors; others are refused.
        lines: by kind, face and body.
        cut: least mean evidence of two groups that are joined, with links.
        distance: largest mean distance of two groups that are joined by the plain baseline.
        fitted: on what.
    """

    encoder_id: str
    lines: dict[str, Line]
    cut: float = 0.0
    distance: float = 0.82
    fitted: str = ""
    version: int = VERSION
    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path) -> Calibration:
        """Read what `write` wrote.

        Raises:
            InputError: unreadable, or something else.
        """
        found = typed(cls, read_json(file, most_bytes=1 << 20), str(file))
        if found.version > VERSION or not set(found.lines) <= set(KINDS):
            raise InputError(f"{file} is no calibration that this comictool knows")
        return found

    def write(self, file: Path) -> None:
        """Write it as JSON."""
        write_json(file, {name: value for name, value in asdict(self).items() if name != "extra"})

    def check(self, encoder_id: str) -> None:
        """Refuse another encoder.

        Raises:
            InputError: the vectors come from another encoder.
        """
        if encoder_id != self.encoder_id:
            raise InputError(
                f"the calibration is of {self.encoder_id}, the vectors are of {encoder_id}",
                cause="a distance means something else with every encoder",
                hint="comictool reid fit CORPUS -o calibration.json",
            )


def evidence(vectors: Vectors, lines: Mapping[str, Line]) -> np.ndarray:
    """(N, N) float32 log-likelihood ratios that two instances are one character, from what they share."""
    count = len(next(iter(vectors.present.values())))
    total = np.zeros((count, count), np.float32)
    for kind, line in lines.items():
        there = vectors.present[kind]
        if there.any():
            said = line.offset - line.slope * distances(vectors.rows[kind][there])
            total[np.ix_(there, there)] += said.astype(np.float32)
    np.fill_diagonal(total, 0)
    return total


def fit_lines(comics: Sequence[tuple[Vectors, np.ndarray, np.ndarray]]) -> dict[str, Line]:
    """Fit what distances mean on labelled comics.

    Args:
        comics: of each its vectors, (N,) identities ("" for unknown) and (N,) panels. Pairs of one panel are left out:
            links decide about them.

    Raises:
        InputError: no kind has pairs of one and of two characters.
    """
    from sklearn.linear_model import LogisticRegression

    lines = {}
    for kind in KINDS:
        apart, same = list[np.ndarray](), list[np.ndarray]()
        for number, (vectors, names, panels) in enumerate(comics):
            there = np.flatnonzero(vectors.present[kind] & (names != ""))
            table = distances(vectors.rows[kind][there])
            left, right = np.triu_indices(len(there), 1)
            kept = panels[there[left]] != panels[there[right]]
            left, right = left[kept], right[kept]
            if len(left) > MOST_PAIRS:
                chosen = np.sort(np.random.default_rng(number).choice(len(left), MOST_PAIRS, replace=False))
                left, right = left[chosen], right[chosen]
            apart.append(table[left, right])
            same.append(names[there[left]] == names[there[right]])
        x, y = np.concatenate(apart or [np.zeros(0)]), np.concatenate(same or [np.zeros(0, bool)])
        if not y.any() or y.all():
            continue
        model = LogisticRegression(class_weight="balanced", C=1e4).fit(x[:, None].astype(np.float64), y)
        slope = max(0.0, -float(model.coef_[0, 0]))
        lines[kind] = Line(float(model.intercept_[0]) if slope else 0.0, slope, int(y.sum()), int((~y).sum()))
    if not lines:
        raise InputError("no two instances of one character stand in different panels: nothing can be fitted")
    return lines
