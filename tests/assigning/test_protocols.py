"""The published protocols by hand, whatever the order of sets; figures against loops; one set of instances for all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from comictool.assigning.figures import Row, in_series_figures, inter_series_figures, protocol_figures, triplet_figures
from comictool.assigning.instances import Vectors
from comictool.assigning.measured import evaluate_identities, people_of, read_triplets, rows_of
from comictool.assigning.protocols import People, groups_of, in_series, inter_series, triplets
from comictool.core.errors import InputError
from comictool.corpus.corpus import Corpus
from comictool.identity.instances import Instance, InstanceTable
from comictool.identity.sources import instances_of
from comictool.plugins.load import EncoderSpec
from comictool.vectors.pictures import Part, Picture
from comictool.vectors.stream import EmbeddingStream
from tests.assigning.test_job import drawn  # noqa: F401

#            0    1    2    3    4    5    6    7    8    9
IDENTITY = ["a", "b", "a", "c", "a", "b", "d", "x", "y", "x"]
SERIES = ["s"] * 7 + ["t"] * 3


def people(order: int = 1) -> People:
    together = {"s": [{"a", "b"}, {"b", "c"}, {"a", "c"}, {"c", "d"}][::order], "t": [{"x", "y"}]}
    return People(np.array(SERIES), np.array(IDENTITY), together)


@pytest.mark.parametrize("order", [1, -1])
def test_groups_queries_and_references_by_hand(order) -> None:
    groups = groups_of(people(order))
    assert [(g.series, g.characters, g.rows.tolist()) for g in groups] == [
        ("s", ("a", "b", "c"), [0, 1, 2, 3, 4, 5]),
        ("s", ("c", "d"), [3, 6]),
        ("t", ("x", "y"), [7, 8, 9]),
    ]
    assert [g.characters for g in in_series(groups)] == [("a", "b", "c")]
    queries, references = inter_series(people(order), groups)
    assert queries.tolist() == [0, 1, 7]
    assert references.tolist() == [2, 3, 4, 5, 8, 9]
    chosen = np.arange(10) != 0
    assert inter_series(people(order), groups_of(people(order), chosen))[0].tolist() == [1, 2, 7]


def test_triplets_are_what_they_say_and_do_not_depend_on_other_series() -> None:
    crowd = people()
    three = triplets(crowd, groups_of(crowd), seed=3)
    label = crowd.label
    assert sorted(three[:, 0].tolist()) == [0, 1, 2, 4, 5, 7, 9], "those with another of their own"
    assert (label[three[:, 0]] == label[three[:, 1]]).all()
    assert (three[:, 0] != three[:, 1]).all()
    assert (label[three[:, 0]] != label[three[:, 2]]).all()
    alone = People(crowd.series[:7], crowd.identity[:7], crowd.together)
    assert triplets(alone, groups_of(alone), seed=3).tolist() == three[:5].tolist()
    assert triplets(crowd, groups_of(crowd), seed=4).tolist() != three.tolist()


def test_in_series_is_macro_by_character_and_the_mean_of_groups() -> None:
    rng = np.random.default_rng(5)
    series = np.repeat(["s", "t"], 12)
    identity = np.array([*"aaaaabbbccdd", *"eeeeffffffff"])
    crowd = People(series, identity, {"s": [{"a", "b", "c", "d"}], "t": [{"e", "f"}]})
    rows = rng.normal(size=(24, 6)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    everybody = np.ones(24, bool)
    found = {m.name: m for m in in_series_figures(Row("r", rows, everybody), crowd, groups_of(crowd))}
    means = []
    for own in (range(12), range(12, 24)):
        right: dict[str, list[float]] = {}
        for query in own:
            nearest = max((other for other in own if other != query), key=lambda other: rows[query] @ rows[other])
            right.setdefault(identity[query], []).append(identity[nearest] == identity[query])
        means.append(np.mean([np.mean(each) for each in right.values()]))
    assert found["r, in-series P@1"].value == pytest.approx(np.mean(means))
    assert found["r, in-series P@1"].count == 2
    assert found["r, in-series P@1"].low == pytest.approx(min(means))
    by_chance = np.mean([np.mean([4 / 11, 2 / 11, 1 / 11, 1 / 11]), np.mean([3 / 11, 7 / 11])])
    assert found["r, in-series P@1"].chance == pytest.approx(by_chance)


def test_random_vectors_score_chance_and_perfect_ones_one() -> None:
    rng = np.random.default_rng(0)
    series, identity = np.repeat([f"s{n}" for n in range(9)], 8), np.tile([*"aaabbccc"], 9)
    crowd = People(series, identity, {name: [set("abc")] for name in set(series.tolist())})
    rows = rng.normal(size=(72, 16)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    everybody = np.ones(72, bool)
    for metric in protocol_figures(Row("r", rows, everybody), crowd)[0]:
        assert metric.low <= metric.chance <= metric.high, metric
        assert not metric.beats_chance
    looks = np.eye(27, dtype=np.float32)[np.unique(crowd.label, return_inverse=True)[1]]
    for metric in protocol_figures(Row("r", looks, everybody), crowd)[0]:
        assert metric.value == pytest.approx(1.0), metric.name


def test_every_row_is_of_the_same_instances_and_slices_only_ask() -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(10, 4)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    face, body = np.arange(10) != 3, np.arange(10) % 4 != 0
    vectors = Vectors({"face": rows * face[:, None], "body": rows * body[:, None]}, {"face": face, "body": body})
    made = {row.name: row for row in rows_of(vectors)}
    assert [*made] == [
        "face",
        "body",
        "face and body",
        "all",
        "all, asked by face only",
        "all, asked by body only",
        "all, asked by face and body",
    ]
    for name in ("face", "body", "face and body"):
        assert (made[name].chosen == (face & body)).all()
    crowd = people()
    asked = [len(made[name].asked(inter_series(crowd, groups_of(crowd))[0])) for name in made if "asked" in name]
    assert sum(asked) == 3
    whole = inter_series_figures(made["all"], crowd, groups_of(crowd))[0]
    parts = [inter_series_figures(made[name], crowd, groups_of(crowd))[0] for name in made if "asked" in name]
    assert whole.value * whole.count == pytest.approx(sum(m.value * m.count for m in parts if m.count))
    only = Vectors(vectors.rows, {"face": face, "body": np.zeros(10, bool)})
    assert [row.name for row in rows_of(only)] == ["all"]


def test_triplets_count_ties_half() -> None:
    rows = np.eye(2, dtype=np.float32)[[0, 0, 1, 0]]
    crowd = People(np.array(["s"] * 4), np.array([*"aabb"]), {"s": [{"a", "b"}]})
    three = np.array([[0, 1, 2], [0, 1, 3]])
    area, right = triplet_figures(Row("r", rows, np.ones(4, bool)), crowd, three)
    assert (area.value, right.value) == (0.75, 0.75)


def test_only_names_of_one_sequence_or_panel_are_known_to_differ() -> None:
    def one(panel: int, name: str, *sequences: str) -> Instance:
        return Instance("s", 1, panel, len(sequences), None, name, sequences)

    instances = [one(1, "a", "q"), one(2, "b", "q"), one(2, "c"), one(3, "d"), one(0, "e"), one(0, "f")]
    relative = people_of(InstanceTable(instances, relative=True), instances)
    assert relative.cliques() == {"s": [("a", "b"), ("b", "c")]}
    absolute = people_of(InstanceTable(instances), instances)
    assert absolute.cliques() == {"s": [tuple("abcdef")]}


def test_published_triplets_are_read_by_name(tmp_path) -> None:
    parts = [Part(f"7_1_{n}_face_0") for n in range(3)]
    instances = [Instance("7", 1, n, n, None, name) for n, name in enumerate("aab")]
    table = InstanceTable(instances, [Picture(Path(f"{n}.jpg"), (part,)) for n, part in enumerate(parts)])
    file = tmp_path / "validation_face_triplets.csv"
    file.write_text("anchor,positive,negative\n7_1_0_face_0,7_1_1_face_0,7_1_2_face_0\n7_1_0_face_0,nobody,x\n")
    problems: list[str] = []
    assert read_triplets([file], table, instances, problems).tolist() == [[0, 1, 2]]
    assert problems == ["validation_face_triplets.csv row 3: there is no instance 'nobody'"]


def test_a_corpus_is_measured(drawn, tmp_path) -> None:  # noqa: F811
    table = instances_of(Corpus.open(drawn))
    stream = EmbeddingStream(EncoderSpec("classic_character"), jobs=1)
    found = evaluate_identities(table, stream)
    assert (found.facts["instances"], found.facts["identities"], found.facts["series"]) == (12, 6, 2)
    assert [*found.facts["rows"]] == ["face", "body", "face and body"]
    assert not found.problems
    values = {metric.name: metric for metric in found.metrics}
    assert values["body, in-series P@1"].value == 1
    assert values["body, inter-series MRR"].count == 4
    with pytest.raises(InputError, match="fewer than two identities"):
        evaluate_identities(InstanceTable(table.instances[:1], table.pictures), stream)
