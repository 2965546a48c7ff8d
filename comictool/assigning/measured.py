"""`evaluate reid`: the published protocols on instances with identities, the same instances for every row.

A row with faces alone and one with bodies alone say something about each other only on instances that have both. So
three rows, `face`, `body` and `face and body`, are of those; then all instances by what each has, and of them as
queries those with a face only, a body only, and both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from comictool.assigning.figures import Row, protocol_figures
from comictool.assigning.instances import BODY, FACE, KINDS, Vectors
from comictool.assigning.protocols import People
from comictool.core.errors import InputError
from comictool.formats.values import read_rows
from comictool.measure.metrics import Metric
from comictool.vectors.stream import EmbeddingStream

if TYPE_CHECKING:
    from comictool.identity.instances import Instance, InstanceTable

BOTH = "face and body"


@dataclass(frozen=True)
class Measured:
    """What `evaluate reid` reports: metrics in order, facts, and what was left out, a line each."""

    metrics: list[Metric]
    facts: dict[str, Any]
    problems: list[str]


def evaluate_identities(
    table: InstanceTable, stream: EmbeddingStream, *, triplets: Iterable[Path] = (), seed: int = 0
) -> Measured:
    """Measure an encoder on the instances of a table that have an identity.

    Args:
        table: see `comictool.identity.sources.open_instances`.
        stream: of the encoder.
        triplets: published CSV files, `anchor, positive, negative`; without, triplets are drawn.
        seed: of drawn triplets and of k-means.

    Raises:
        InputError: fewer than two identities, or none that is known to be another.
    """
    problems = list(table.problems)
    vectors, kept = embed_instances(table, stream, problems)
    people = people_of(table, kept)
    if len(np.unique(people.label)) < 2:
        raise InputError("fewer than two identities can be read", hint="comictool data info CORPUS counts them")
    given = read_triplets(triplets, table, kept, problems) if triplets else None
    metrics, counts = [], {}
    for row in rows_of(vectors):
        found, counts[row.name] = protocol_figures(row, people, seed=seed, three=given)
        metrics += [metric for metric in found if metric.count]
    if not metrics:
        raise InputError(
            "nobody can be asked about",
            cause="no two identities of a series are known to be different, or nobody occurs twice",
        )
    facts = {
        "instances": len(kept),
        "identities": len(np.unique(people.label)),
        "series": len(np.unique(people.series)),
        "encoder": stream.key,
        "rows": counts,
        "left_out": len(problems),
    }
    return Measured(metrics, facts, problems)


def rows_of(vectors: Vectors) -> list[Row]:
    """The rows that there are instances for."""
    face, body = vectors.present[FACE], vectors.present[BODY]
    fused, there = vectors.fused()
    both = face & body
    rows = []
    if both.any():
        rows += [Row(FACE, vectors.rows[FACE], both), Row(BODY, vectors.rows[BODY], both), Row(BOTH, fused, both)]
    if not (both == there).all():
        rows.append(Row("all", fused, there))
        slices = {"face only": face & ~body, "body only": body & ~face, BOTH: both}
        if sum(part.any() for part in slices.values()) > 1:
            rows += [Row(f"all, asked by {name}", fused, there, part) for name, part in slices.items() if part.any()]
    return rows


def embed_instances(
    table: InstanceTable, stream: EmbeddingStream, problems: list[str]
) -> tuple[Vectors, list[Instance]]:
    """Vectors of the instances that have an identity and a half that can be read; what cannot is told in `problems`."""
    named = [instance for instance in table.instances if instance.identity is not None]
    crops = sorted({number for instance in named for number in instance.halves.values()})
    place = {number: row for row, number in enumerate(crops)}
    found = list(stream.embed(table.pictures_of(crops)))
    problems += [line for each in found for line in each.problems]
    present = np.concatenate([each.present for each in found]) if found else np.zeros(0, bool)
    rows = np.concatenate([each.vectors for each in found]) if found else np.zeros((0, 1), np.float32)
    kept = [instance for instance in named if any(present[place[n]] for n in instance.halves.values())]
    made = {kind: np.zeros((len(kept), rows.shape[1]), np.float32) for kind in KINDS}
    there = {kind: np.zeros(len(kept), bool) for kind in KINDS}
    for number, instance in enumerate(kept):
        for kind, crop in instance.halves.items():
            if present[place[crop]]:
                made[kind][number], there[kind][number] = rows[place[crop]], True
    return Vectors(made, there), kept


def people_of(table: InstanceTable, instances: Sequence[Instance]) -> People:
    """Who they are, and who is known to be another: names of one sequence or panel, or all of a series where names are
    people.
    """
    together: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for instance in instances:
        places = [*instance.sequences, *([instance.panel_id] if instance.panel else [])] if table.relative else [""]
        for place in places:
            together[instance.series][place].add(instance.identity or "")
    return People(
        np.array([instance.series for instance in instances], dtype=str),
        np.array([instance.identity for instance in instances], dtype=str),
        {series: [*places.values()] for series, places in together.items()},
    )


def read_triplets(
    files: Iterable[Path], table: InstanceTable, instances: Sequence[Instance], problems: list[str]
) -> np.ndarray:
    """(T, 3) rows of published triplets; those that name somebody who is not there are told in `problems`.

    Raises:
        InputError: unreadable, or other columns.
    """
    names = [part.id for picture in table.pictures for part in picture.parts]
    row = {names[number]: place for place, instance in enumerate(instances) for number in instance.halves.values()}
    found, columns = [], ["anchor", "positive", "negative"]
    for file in files:
        for number, cells in read_rows(file, columns):
            wanted = [row.get(cells[column].strip()) for column in columns]
            if None in wanted:
                missing = cells[columns[wanted.index(None)]]
                problems.append(f"{file.name} row {number}: there is no instance {missing[:80]!r}")
            else:
                found.append(wanted)
    return np.array(found, np.int64).reshape(-1, 3)
