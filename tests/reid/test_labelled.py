"""What is known beforehand: labels, pages, pairs, links; and the overview of references."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from comictool.core.errors import InputError
from comictool.reid.corpus_links import panel_links, read_links
from comictool.reid.labelled import read_labelled, read_pairs
from comictool.reid.overview import overview
from comictool.reid.pages import pages_of
from comictool.reid.references import ReferenceSet
from comictool.reid.types import Reference
from tests.reid.sorting.world import write


def test_labels_are_folders_and_pages_come_from_the_index(tmp_path: Path) -> None:
    for name in ("a/1.png", "a/2.png", "b/1.png"):
        write(tmp_path / name, "x")
    assert read_labelled(tmp_path).pages == ["", "", ""]
    write(tmp_path / "index.json", '[{"file": "a/1.png", "page": "p1"}, {"file": "b/1.png", "page": "p2"}]')
    labelled = read_labelled(tmp_path)
    assert list(zip(labelled.labels, labelled.pages, strict=True)) == [("a", "p1"), ("a", ""), ("b", "p2")]
    for bad in ("{", "{}x", '[{"page": 1}]', "[1]", "7"):
        write(tmp_path / "index.json", bad)
        with pytest.raises(InputError, match=r"index\.json"):
            read_labelled(tmp_path)


def test_pairs(tmp_path: Path) -> None:
    pairs = read_pairs(write(tmp_path / "p.csv", "a,b,same\nx.png,y.png,1\ny.png,z.png,Different\n"))
    assert [path.name for path in pairs.paths] == ["x.png", "y.png", "z.png"]
    assert (pairs.left, pairs.right, pairs.same) == ([0, 1], [1, 2], [True, False])
    vectors = np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32)
    scores, same = pairs.scores(vectors, np.array([True, True, True]))
    assert scores == pytest.approx([0.6, 0.8])
    scores, same = pairs.scores(vectors, np.array([True, True, False]))
    assert (scores.tolist(), same.tolist()) == (pytest.approx([0.6]), [True])
    for bad in ("a,b\nx,y\n", "a,b,same\nx,y,perhaps\n", "a,b,same\nx,,1\n"):
        with pytest.raises(InputError):
            read_pairs(write(tmp_path / "p.csv", bad))
    with pytest.raises(InputError):
        read_pairs(tmp_path / "none.csv")


def test_nobody_is_twice_in_a_panel() -> None:
    names = ["a/3_1_tom.jpg", "a/3_1_ann.jpg", "a/3_1_tom.2.jpg", "a/3_2_tom.jpg", "b/3_1_tom.jpg", "a/free.png"]
    names += ["a/4_1.png", "a/4_1.2.png"]
    assert panel_links([Path(name) for name in names]).cannot == {(0, 1), (1, 2), (6, 7)}


def test_links_of_a_user(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    file = write(tmp_path / "links.json", '{"must": [["b.png", "a.png"]], "cannot": [["a.png", "c.png"]]}')
    links = read_links(file, paths)
    assert (links.must, links.cannot) == ({(0, 1)}, {(0, 2)})
    for bad in (
        [],
        {"must": [["a.png"]]},
        {"must": [["a.png", "d.png"]]},
        {"cannot": [["a.png", "a.png"]]},
        {"may": []},
        {"must": [["a.png", "b.png"]], "cannot": [["b.png", "a.png"]]},
        {"must": "a.png"},
    ):
        write(file, json.dumps(bad))
        with pytest.raises(InputError):
            read_links(file, paths)


def test_the_overview_against_explicit_loops() -> None:
    random = np.random.default_rng(3)
    vectors = random.normal(size=(9, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = list("aaaabbbcd")
    found = ReferenceSet([Reference(c, Path(f"{i}"), f"{i}") for i, c in enumerate(labels)], vectors, "k")
    rows = {row["character"]: row for row in overview(found)}
    means = {c: vectors[[i for i, x in enumerate(labels) if x == c]].mean(axis=0) for c in "abcd"}
    for c in "abcd":
        own = [i for i, x in enumerate(labels) if x == c]
        pairs = [float(vectors[i] @ vectors[j]) for i, j in combinations(own, 2)]
        assert rows[c]["spread"] == (pytest.approx(np.mean(pairs), abs=1e-4) if pairs else None)
        cosine = {
            o: float(means[c] @ means[o] / np.linalg.norm(means[c]) / np.linalg.norm(means[o]))
            for o in "abcd"
            if o != c
        }
        assert rows[c]["nearest"] == max(cosine, key=cosine.__getitem__)
        assert rows[c]["nearest_cosine"] == pytest.approx(max(cosine.values()), abs=1e-4)
    one = ReferenceSet(found.references[:1], vectors[:1], "k")
    assert overview(one)[0]["nearest"] is None
    assert overview(ReferenceSet([], vectors[:0], "k")) == []


def test_pages_of_pictures_wherever_they_are_told(tmp_path) -> None:
    (tmp_path / "series" / "ann").mkdir(parents=True)
    (tmp_path / "series" / "index.json").write_text(
        '[{"file": "ann/1.png", "page": "p3"}, {"file": "bob/1.png", "page": "p3"}]'
    )
    (tmp_path / "loose").mkdir()
    (tmp_path / "loose" / "index.json").write_text("no list")
    pages = pages_of(
        [
            tmp_path / "series/ann/1.png",
            tmp_path / "series/bob/1.png",
            tmp_path / "series/ann/2.png",
            tmp_path / "comic/012_1_ann.jpg",
            tmp_path / "comic/012_3_bob.jpg",
            tmp_path / "other/012_3_bob.jpg",
            tmp_path / "loose/3_1.jpg",
        ]
    )
    assert pages[0] == pages[1] != ""
    assert pages[3] == pages[4] != pages[5]
    assert (pages[2], pages[6]) == ("", "")
