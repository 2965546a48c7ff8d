"""The table of instances: read from the published files and from corpora, with halves that are missing."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from comictool.core.errors import InputError, UsageError
from comictool.datasets.exporting.crops import scaled_square
from comictool.identity.certain import Certainty
from comictool.identity.instances import Instance, InstanceTable, hold
from comictool.identity.sources import is_split, open_instances
from tests.identity.drawn import figure, make_corpus, make_published, save


def test_the_published_files_read_as_they_are(tmp_path: Path) -> None:
    table = open_instances(make_published(tmp_path))
    assert table.problems == []
    assert table.relative
    assert is_split(tmp_path)
    assert len(table.instances) == 4 * 3 * 2
    both = [instance for instance in table.instances if len(instance.halves) == 2]
    assert len(both) == 12
    first = both[0]
    assert (first.series, first.page, first.panel, first.identity) == ("100", 5, 0, "100_5_0/1")
    assert {i.identity for i in table.instances if i.series == "100"} == {f"100_5_0/{n}" for n in (1, 2, 3)}
    assert len(first.sequences) == 1
    held = hold(table, min_side=16, source_side=0, cache=4)
    assert held.pixels(first.halves["face"]).shape == (40, 40, 3)
    assert held.pixels(first.halves["body"]).shape == (90, 40, 3)
    assert len(pickle.loads(pickle.dumps(table)).instances) == 24


def test_rows_that_are_wrong_are_named_and_the_others_are_kept(tmp_path: Path) -> None:
    make_published(tmp_path)
    table, faces = tmp_path / "ssl/merged_face_body.csv", tmp_path / "ssl/filtered_all_face.csv"
    table.write_text(
        table.read_text() + "100,9_0,face,0,x,1,1,9,9\n100,5_0,face,7,0,1,1,9,9\n100,9_1,body,0,0,1,1,9,9\n"
    )
    faces.write_text(faces.read_text() + "nonsense.jpg\n/a/100/5_0/faces/7.jpg\n/a/100/77_0/faces/0.jpg\n")
    bodies = tmp_path / "ssl/filtered_all_body.csv"
    bodies.write_text(bodies.read_text() + "/a/100/9_1/bodies/0.jpg\n")
    found = open_instances(tmp_path)
    assert len(found.instances) == 24
    told = "\n".join(found.problems)
    assert "merged_face_body.csv row 38: a cell is blank" in told
    assert "filtered_all_face.csv row 14: is not <series>" in told
    assert "100_5_0_face_7 shares its char_index with another face" in told
    assert "100_77_0_face_0: is listed, but" in told
    assert "100/9_1: there is no picture of body 0" in told


def test_what_is_not_listed_is_a_missing_half(tmp_path: Path) -> None:
    make_published(tmp_path)
    (tmp_path / "ssl/filtered_all_face_10k.csv").write_text("img_path\nx/100/5_0/faces/0.jpg\n")
    (tmp_path / "ssl/filtered_all_body_10k.csv").write_text(
        "img_path\nx/100/5_1/bodies/1.jpg\nx/100/5_0/bodies/1.jpg\n"
    )
    table = open_instances(tmp_path, subset="10k")
    assert [sorted(instance.halves) for instance in table.instances] == [["body", "face"], ["body"]]
    with pytest.raises(InputError, match="_1k"):
        open_instances(tmp_path, subset="1k")


def test_no_series_is_both_learned_from_and_asked_about(tmp_path: Path) -> None:
    make_published(tmp_path)
    # Another panel of a held-out series, which no annotation names.
    extra = tmp_path / "ssl/merged_face_body.csv"
    extra.write_text(extra.read_text() + "102,9_0,body,0,0,1,1,9,9\n")
    (tmp_path / "ssl/filtered_all_body.csv").unlink()
    (tmp_path / "ssl/filtered_all_face.csv").unlink()
    save(tmp_path / "comics_crops/102/9_0/bodies/0.jpg", figure(3))
    series = {s: {i.series for i in open_instances(tmp_path, s).instances} for s in ("train", "val", "test", "all")}
    assert series == {"train": {"100", "101"}, "val": {"102"}, "test": {"103"}, "all": {"100", "101", "102", "103"}}
    assert len(open_instances(tmp_path, "val").instances) == 6
    with pytest.raises(UsageError, match="split"):
        open_instances(tmp_path, "trian")


def test_crops_that_are_not_there_are_cut_from_the_panels_by_the_published_rule(tmp_path: Path) -> None:
    make_published(tmp_path, series=1)
    for folder in ("comics_crops", "comics_crops_large_faces"):
        (tmp_path / folder).rename(tmp_path / f"gone_{folder}")
    panel = figure(5, 64, 64)
    for number in range(3):
        save(tmp_path / f"raw_panel_images/100/5_{number}.jpg", panel)
    table = open_instances(tmp_path)
    held = hold(table, min_side=4, source_side=0, cache=1)
    first = next(instance for instance in table.instances if len(instance.halves) == 2)
    assert scaled_square((10, 20, 50, 100), 1.2) == (-18, 12, 78, 108)  # the published crops, worked by hand
    assert held.pixels(first.halves["face"]).shape == (12, 12, 3)  # 1.2 x 10
    assert held.pixels(first.halves["body"]).shape == (58, 18, 3)


def test_paths_that_lead_outside_are_no_pictures(tmp_path: Path) -> None:
    root = make_published(tmp_path / "data", series=1)
    save(tmp_path / "secret/5_0/bodies/0.jpg", figure(1))
    table = root / "ssl/merged_face_body.csv"
    table.write_text(table.read_text() + "../../secret,5_0,body,0,0,1,1,9,9\n")
    lists = root / "ssl/filtered_all_body.csv"
    lists.unlink()
    (root / "ssl/filtered_all_face.csv").unlink()
    found = open_instances(root)
    assert {instance.series for instance in found.instances} == {"100"}
    assert any("there is no picture of body 0" in line for line in found.problems)


def test_a_corpus_gives_every_character_with_the_halves_it_has(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path, comics=1, pages=2)
    table = open_instances(tmp_path)
    assert not table.relative
    assert not is_split(tmp_path)
    kinds = [(i.page, i.identity, *sorted(i.halves)) for i in table.instances if i.panel == 1]
    assert kinds == [(1, "1", "face"), (1, "2", "body", "face"), (2, "1", "body", "face"), (2, "2", "body")]
    held = hold(table, min_side=8, source_side=0, cache=1)
    face = next(i.halves["face"] for i in table.instances if i.identity == "2" and i.page == 1)
    assert held.pixels(face).shape == (28, 28, 3)  # 1.2 x 24
    # A character of one box only: it is its body.
    page = corpus.pages("comic_0")[0]
    page.characters = [replace(page.characters[0], face=None, body=None)]
    corpus.write_pages("comic_0", [page])
    assert [sorted(i.halves) for i in open_instances(tmp_path).instances] == [["body"]]


def test_small_and_damaged_crops_are_missing_halves(tmp_path: Path) -> None:
    make_published(tmp_path, series=1)
    save(tmp_path / "comics_crops_large_faces/100/5_0/0.jpg", figure(1, 6, 6))
    (tmp_path / "comics_crops/100/5_1/bodies/0.jpg").write_bytes(b"no picture")
    held = hold(open_instances(tmp_path), min_side=16, source_side=0, cache=1)
    assert len(held.table.instances) == 5  # the one whose only half is damaged is gone
    assert sorted(
        held.table.instances[1].halves if held.table.instances[0].halves.keys() == {"face", "body"} else {}
    ) in ([], ["body"], ["body", "face"])
    assert sum(len(instance.halves) for instance in held.table.instances) == 7
    assert sum("min_side" in line for line in held.table.problems) == 1


def certain(*instances: Instance, relative: bool = True) -> np.ndarray:
    table = InstanceTable(list(instances), relative=relative)
    return Certainty(table).different(torch.arange(len(instances))).numpy()


def test_only_what_is_certain_is_another_person() -> None:
    """Worked by hand: one panel, one sequence, another series; the rest of a series may be one person."""
    a = Instance("s", 1, 1, body=0, identity="a", sequences=("q",))
    b = Instance("s", 1, 2, body=1, identity="b", sequences=("q",))
    c = Instance("s", 9, 1, body=2, identity="c", sequences=("r",))
    a_again = Instance("s", 9, 1, body=3, identity="a")
    unnamed = Instance("s", 1, 1, body=4)
    other = Instance("t", 1, 1, body=5, identity="a")
    told = certain(a, b, c, a_again, unnamed, other).astype(int).tolist()
    assert told == [
        [0, 1, 1, 0, 1, 1],  # a and c differ, since a_again stands in one panel with c
        [1, 0, 0, 1, 0, 1],
        [1, 0, 0, 1, 0, 1],
        [0, 1, 1, 0, 0, 1],
        [1, 0, 0, 0, 0, 1],
        [1, 1, 1, 1, 1, 0],
    ]
    absolute = certain(a, b, c, a_again, unnamed, other, relative=False).astype(int).tolist()
    assert absolute[1] == [1, 0, 1, 1, 0, 1]
