"""Clusters under links: nothing known is broken, evidence adds what there is, and links pay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from comictool.assigning.evidence import Calibration, Line, distances, evidence, fit_lines
from comictool.assigning.instances import Vectors
from comictool.assigning.solving import average, best_cut, broken_panels, constrained, known_of
from comictool.core.errors import InputError
from comictool.measure.agreement import clustering_agreement
from tests.assigning.people import CALIBRATION, book, instance


def ami(truth, groups) -> float:
    return clustering_agreement([str(t) for t in truth], groups)["ami"]


def test_the_baseline_is_that_of_scikit_learn() -> None:
    from sklearn.cluster import AgglomerativeClustering

    _, vectors, _ = book(1)
    fused, there = vectors.fused()
    assert there.all()
    theirs = AgglomerativeClustering(n_clusters=None, linkage="average", distance_threshold=0.82).fit_predict(fused)
    assert clustering_agreement(theirs.astype(str).tolist(), average(vectors, 0.82))["ari"] == 1


@pytest.mark.parametrize("seed", range(4))
def test_links_are_never_broken_and_pay(seed) -> None:
    instances, vectors, truth = book(seed, pages=8, spread=1.0)
    panels = np.array([i.panel_id for i in instances])
    lines = fit_lines([(vectors, truth.astype(str), panels)])
    calibration = replace(CALIBRATION, lines=lines)
    known = known_of(instances, [None] * len(instances))
    linked = constrained(vectors, known, calibration)
    assert not broken_panels(instances, linked)
    alone = constrained(vectors, replace(known, cannot=[]), calibration)
    assert ami(truth, linked) >= ami(truth, alone)
    assert ami(truth, linked) > ami(truth, average(vectors, 0.82)) + 0.1


def test_evidence_is_the_sum_over_what_both_have() -> None:
    _, vectors, _ = book(3)
    found = evidence(vectors, CALIBRATION.lines)
    for a in range(8):
        for b in range(a + 1, 8):
            expected = 0.0
            for kind, line in CALIBRATION.lines.items():
                if vectors.present[kind][a] and vectors.present[kind][b]:
                    apart = np.linalg.norm(vectors.rows[kind][a] - vectors.rows[kind][b])
                    expected += line.offset - line.slope * apart
            assert found[a, b] == pytest.approx(expected, abs=1e-4)


def test_a_line_is_the_log_likelihood_ratio_of_its_distances() -> None:
    """Two normal distributions of one width: the ratio is a line, and known."""
    rng = np.random.default_rng(0)
    names = np.repeat(["a", "b"], 60)
    angles = np.where(names == "a", 0.0, 0.8) + 0.25 * rng.normal(size=120)
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    there = np.ones(120, bool)
    vectors = Vectors({"face": rows, "body": rows}, {"face": there, "body": ~there})
    lines = fit_lines([(vectors, names, np.arange(120).astype(str))])
    assert set(lines) == {"face"}
    said = lines["face"].offset - lines["face"].slope * distances(rows)
    same = names[:, None] == names[None, :]
    np.fill_diagonal(same, False)
    assert said[same].mean() > 0 > said[names[:, None] != names[None, :]].mean()
    with pytest.raises(InputError, match="nothing can be fitted"):
        fit_lines([(vectors, np.full(120, "a"), np.arange(120).astype(str))])


def test_names_bind_and_a_name_twice_in_a_panel_is_reported() -> None:
    instances = [instance(1, 1, 1), instance(1, 1, 2), instance(2, 1, 3), instance(2, 1, 4), instance(3, 1, 5)]
    known = known_of(instances, ["ann", "bob", "ann", "ann", None])
    assert known.must == [(0, 2)]
    assert {(0, 1), (2, 3)} <= set(known.cannot)
    assert [str(problem) for problem in known.conflicts] == ["c/2#4: named 'ann' as c/2#3 of its panel is"]
    one = np.tile(np.eye(4, dtype=np.float32)[:1], (5, 1))  # everybody looks alike
    there = {"face": np.ones(5, bool), "body": np.zeros(5, bool)}
    found = constrained(Vectors({"face": one, "body": one * 0}, there), known, CALIBRATION)
    assert found[0] == found[2]
    assert len({found[0], found[1]}) == len({found[2], found[3]}) == 2


def test_what_cannot_be_compared_stands_alone() -> None:
    rows = np.eye(3, dtype=np.float32)[[0, 0, 1]]
    none = np.zeros(3, bool)
    vectors = Vectors({"face": rows, "body": rows * 0}, {"face": np.array([True, True, False]), "body": none})
    instances = [instance(n, 1, n) for n in (1, 2, 3)]
    known = known_of(instances, [None] * 3)
    for cut in (0.0, -3.0):
        assert constrained(vectors, known, replace(CALIBRATION, cut=cut)).tolist() == [0, 0, -1]
    assert constrained(vectors, known, None)[2] == -1
    missing = replace(vectors, rows={"face": rows * [[1], [1], [0]], "body": rows * 0})
    assert average(missing, 0.82).tolist() == [0, 0, -1]


def test_the_best_cut_is_better_than_others() -> None:
    instances, vectors, truth = book(5, spread=0.8)
    known = known_of(instances, [None] * len(instances))
    alike = evidence(vectors, CALIBRATION.lines)
    cut, reached = best_cut([(alike, known, truth.astype(str))], linked=True)
    assert ami(truth, constrained(vectors, known, replace(CALIBRATION, cut=cut))) == pytest.approx(reached)
    assert reached >= ami(truth, constrained(vectors, known, CALIBRATION))


def test_a_calibration_is_read_back_and_a_forged_one_refused(tmp_path) -> None:
    file = tmp_path / "c.json"
    CALIBRATION.write(file)
    assert Calibration.read(file) == CALIBRATION
    with pytest.raises(InputError, match="of made, the vectors are of other"):
        CALIBRATION.check("other")
    for forged in (
        '{"encoder_id": "x", "lines": {"tail": {"offset": 1, "slope": 1}}}',
        "[]",
        '{"encoder_id": 3}',
        '{"encoder_id": "x", "lines": {"face": {"offset": 1, "slope": -1}}}',
    ):
        file.write_text(forged)
        with pytest.raises(InputError):
            Calibration.read(file)


def test_a_line_that_points_the_wrong_way_says_nothing() -> None:
    """Where alike means different, distances are no evidence."""
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(40, 6)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    names = np.array([str(n % 20) for n in range(40)])
    rows[20:] = -rows[:20]
    there = np.ones(40, bool)
    lines = fit_lines(
        [(Vectors({"face": rows, "body": rows}, {"face": there, "body": there}), names, np.arange(40).astype(str))]
    )
    assert lines["face"] == Line(0.0, 0.0, 20, 760)
