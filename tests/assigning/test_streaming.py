"""A stream: panels hold, prototypes grow by vouched instances alone, nothing later changes what was said."""

from __future__ import annotations

from itertools import groupby

import numpy as np

from comictool.assigning.instances import Vectors
from comictool.assigning.solving import broken_panels
from comictool.assigning.streaming import IdentityStream
from comictool.measure.agreement import clustering_agreement
from tests.assigning.people import CALIBRATION, book, instance


def read(instances, vectors, stream, until: int = 10**6) -> np.ndarray:
    said = []
    for page, group in groupby(range(len(instances)), key=lambda place: instances[place].page):
        places = list(group)
        if page <= until:
            part = Vectors(
                {kind: rows[places] for kind, rows in vectors.rows.items()},
                {kind: there[places] for kind, there in vectors.present.items()},
            )
            said.append(stream.read([instances[p] for p in places], part))
    return np.concatenate(said)


def test_clear_characters_are_followed_panel_by_panel() -> None:
    instances, vectors, truth = book(4, pages=10, spread=0.35)
    stream = IdentityStream(CALIBRATION)
    found = read(instances, vectors, stream)
    assert not broken_panels(instances, found)
    assert clustering_agreement([str(t) for t in truth], found)["ami"] > 0.6
    again = read(instances, vectors, IdentityStream(CALIBRATION), until=4)
    assert (again == found[: len(again)]).all(), "what is read later changes nothing"


def test_only_vouched_instances_enter_a_prototype() -> None:
    rows = np.eye(4, dtype=np.float32)
    near = np.array([1, 0.5, 0, 0], np.float32) / np.sqrt(1.25).astype(np.float32)

    def page(number, *each):
        there = np.ones(len(each), bool)
        vectors = Vectors(
            {"face": np.stack(each), "body": np.zeros((len(each), 4), np.float32)}, {"face": there, "body": ~there}
        )
        return [instance(number, panel + 1, panel + 1) for panel in range(len(each))], vectors

    stream = IdentityStream(CALIBRATION)
    assert stream.read(*page(1, rows[0])).tolist() == [0]
    assert stream.committed == [1]
    assert stream.read(*page(2, near)).tolist() == [0]
    assert stream.committed == [1], "alone on its page, nobody vouches for it"
    assert stream.read(*page(3, near, near)).tolist() == [0, 0]
    assert stream.committed == [3], "two of one page vouch for each other"
    assert stream.read(*page(4, rows[2])).tolist() == [1]
    assert stream.pending == [1]


def test_one_without_vectors_is_nobody() -> None:
    none = np.zeros((1, 4), np.float32)
    vectors = Vectors({"face": none, "body": none}, {"face": np.zeros(1, bool), "body": np.zeros(1, bool)})
    assert IdentityStream(CALIBRATION).read([instance(1, 1, 1)], vectors).tolist() == [-1]
