"""The defects of the released code (Davide-Ds/comics_images_depth_estimation), one test each; in brackets what it did.

Those of training (1 too, 9 to 11: an unseeded split, 537 million parameters, the last epoch called the best) are tested
with the recipe `train depth`; 15, what it needs cannot be installed together, by the gate, which installs ours.
"""

from __future__ import annotations

import ast
import csv
from pathlib import Path

import numpy as np
import pytest

from comictool.cli.table import COMMANDS, Group
from comictool.depth.baselines import constants
from comictool.depth.evaluate import Said, evaluate
from comictool.depth.job import PredictOptions, predict
from comictool.depth.measures import Ranked, errors
from comictool.depth.predicting import DensePredictor, SegmentPredictor
from comictool.depth.saved import normal, overlay
from comictool.depth.segments import read_segments
from comictool.depth.tables import BASELINE, read_predictions
from comictool.drawn.depth import from_stored, to_stored
from tests.depth import fixture
from tests.depth.fixture import Bright

ROOM = Path(__file__).parents[2] / "comictool" / "depth"


def test_1_ranks_are_those_of_the_segment_itself(tmp_path: Path) -> None:
    """(Page i got the rank of annotation i.) Each segment keeps what its own annotation says, on whichever page."""
    (page,) = read_segments(fixture.write(tmp_path))
    said = {a["id"]: a.get("attributes", {}).get("Interdepth") for a in fixture.annotations()}
    assert {each.annotation_id: each.inter for each in page.segments} == {n: v for n, v in said.items() if n != 21}


def test_2_segments_of_a_page_are_told_apart(tmp_path: Path) -> None:
    """(One answer a page.)"""
    predict(fixture.write(tmp_path), Bright(), tmp_path / "out", chosen=PredictOptions(maps=False))
    with (tmp_path / "out" / "segments.csv").open() as stream:
        rows = {(row["pred_Interdepth"], row["pred_Intradepth"]) for row in csv.DictReader(stream)}
    assert len(rows) > 5


def test_3_a_missing_rank_is_not_the_nearest(tmp_path: Path) -> None:
    """(Balloons and panels were taught as 0.) They are in no score and in no constant."""
    (page,) = read_segments(fixture.write(tmp_path))
    mean = constants(page.segments)[0].level
    known = [0, 0, 1, 3, 0, 12, 2, 4]
    assert mean[0] == pytest.approx(np.mean(known))
    truth = Ranked(np.array(["p"] * 2), np.array(["p"] * 2), np.array([np.nan, 3.0]), np.array([np.nan, 1.0]))
    found = errors(truth, (np.array([99.0, 3.0]), np.array([99.0, 1.0])), {})
    assert [(each.value, each.count) for each in found[:2]] == [(0, 1), (0, 1)]


def test_4_inter_and_intra_are_not_exchanged(tmp_path: Path) -> None:
    """(Two unpacked as one another.) From a plugin's answer through both tables to the score."""

    class Known(Bright):
        def segment_depth(self, picture, segments, panels):  # type: ignore[no-untyped-def]
            return np.array([[3.0, 7.0, 1.0]] * len(segments))

    predict(fixture.write(tmp_path), Known(), tmp_path / "out", chosen=PredictOptions(maps=False))
    for name in ("segments.csv", "baseline.csv"):
        with (tmp_path / "out" / name).open() as stream:
            for row in csv.DictReader(stream):
                assert (float(row["pred_Interdepth"]), float(row["pred_Intradepth"])) == (3, 7)
    found = {
        m.name: m.value
        for m in evaluate(tmp_path, Said("x", table=read_predictions(tmp_path / "out" / "segments.csv"))).metrics
    }
    inter, intra = [0, 0, 1, 3, 0, 12, 2, 4], [2, 1, 1, 0, 14, 1, 1]
    assert found["MSE inter"] == pytest.approx(np.mean([(v - 3) ** 2 for v in inter]))
    assert found["MSE intra"] == pytest.approx(np.mean([(v - 7) ** 2 for v in intra]))
    assert found["MSE overall"] == pytest.approx((found["MSE inter"] + found["MSE intra"]) / 2)


def test_5_rows_are_joined_by_annotation_not_by_place(tmp_path: Path) -> None:
    """(Matched by place and cut to the shortest.) Shuffled rows score the same; missing ones are told and cost."""
    file = fixture.write(tmp_path)
    rows = []
    for each in fixture.annotations():
        if said := each.get("attributes"):
            inter, intra = said["Interdepth"], said.get("Intradepth", 0)
            rows.append(f"{each['id']},131,{each['category_id']},{inter},{intra}")
    head = "annotation_id,image_id,category_id,pred_Interdepth,pred_Intradepth"
    table = tmp_path / "said.csv"
    for order in (rows, rows[::-1]):
        table.write_text("\n".join([head, *order]) + "\n")
        assert evaluate(file, Said("x", table=read_predictions(table))).metrics[2].value == 0
    table.write_text("\n".join([head, *rows[1:]]) + "\n")
    found = evaluate(file, Said("x", table=read_predictions(table)))
    assert found.metrics[2].value > 0
    assert "1 of 8 segments have no prediction" in found.problems[-1].message


def test_6_segments_of_one_category_do_not_fall_together(tmp_path: Path) -> None:
    """(Up to 63 segments behind one key.) That way of counting is only had when it is asked for."""
    file = fixture.write(tmp_path)
    table = tmp_path / "old.csv"
    table.write_text("img_id,category_id,pred_Intradepth,pred_Interdepth\n131,22,1,4\n131,23,1,2\n")
    said = Said("old", table=read_predictions(table))
    assert evaluate(file, said).facts["segments"] == 8
    kit = evaluate(file, said, as_kit=True)
    assert kit.facts["counted as the challenge's script"] == 2
    assert kit.metrics[0].value == 0  # the last of each category
    assert evaluate(file, said).metrics[0].value > 0


def test_7_a_plugin_prepares_pictures_itself() -> None:
    """(BGR in training, RGB with another scale in use.) What a predictor hands over is the page as it is, RGB uint8."""

    class Looks(Bright):
        def depth(self, images: list[np.ndarray]) -> list[np.ndarray]:
            assert images[0].dtype == np.uint8
            assert images[0][0, 0].tolist() == [200, 100, 50]
            return super().depth(images)

    page = np.full((40, 40, 3), (200, 100, 50), np.uint8)
    (answer,) = DensePredictor(Looks()).predict(page, read_one(), [])
    assert answer.inter == 0


def test_8_one_segment_is_as_many_as_any(tmp_path: Path) -> None:
    """(A last batch of one became a scalar.)"""
    assert len(DensePredictor(Bright()).predict(np.zeros((40, 40, 3), np.uint8), read_one(), [])) == 1
    assert DensePredictor(Bright()).predict(np.zeros((40, 40, 3), np.uint8), [], []) == []
    truth = Ranked(np.array(["p"]), np.array(["p"]), np.array([2.0]), np.array([1.0]))
    assert errors(truth, (np.array([1.0]), np.array([1.0])), {})[0].value == 1


def test_12_a_model_is_the_one_that_was_named() -> None:
    """(The newest file in a folder, whatever it was.) No file of the room looks for one by its age."""
    for file in ROOM.glob("*.py"):
        assert "st_mtime" not in file.read_text("utf-8"), file


def test_13_importing_runs_nothing() -> None:
    """(Scripts that ran when imported, from one folder alone.) Modules have definitions only."""
    for file in ROOM.glob("*.py"):
        for node in ast.parse(file.read_text("utf-8")).body:
            called = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
            assert not called, f"{file.name} line {node.lineno}"


def test_14_predictions_never_hold_the_truth(tmp_path: Path) -> None:
    """(A table called predictions that held the ranks.) Without ranks in the file the table is the same."""
    tables = []
    for test in (False, True):
        folder = tmp_path / str(test)
        predict(fixture.write(folder, test=test), Bright(), folder / "out", chosen=PredictOptions(maps=False))
        tables.append((folder / "out" / "segments.csv").read_text())
    assert tables[0] == tables[1]


def test_16_pages_go_through_one_by_one_and_none_is_dropped_silently(tmp_path: Path, drawn: Path) -> None:
    """(All pages in one batch; those missing on disk left out.)"""

    class Counts(Bright):
        most = 0

        def depth(self, images: list[np.ndarray]) -> list[np.ndarray]:
            self.most = max(self.most, len(images))
            return super().depth(images)

    model = Counts()
    report = predict(drawn, model, tmp_path / "out", chosen=PredictOptions(maps=False))
    assert model.calls == report.done == 2
    file = fixture.write(tmp_path / "gone")
    (tmp_path / "gone" / fixture.NAME).unlink()
    report = predict(file, model, tmp_path / "none")
    assert report.failed == 1
    assert report.problems


def test_17_there_are_commands() -> None:
    """(None, nor seeds, resuming, maps or order.)"""
    group = COMMANDS["depth"]
    assert isinstance(group, Group)
    assert {"predict", "evaluate"} <= set(group.commands)


def test_18_masks_that_overlap_are_not_added(tmp_path: Path) -> None:
    """(The viewer summed what overlapped and showed missing as 1.) Maps and overlays are of one depth a pixel."""
    depth = np.tile(np.linspace(5, 9, 100, dtype=np.float32), (60, 1))
    panels = [(0, 0, 100, 60), (20, 20, 60, 50)]  # an inset over a panel
    found, ranges = normal(depth, panels)
    assert (np.nanmin(found), np.nanmax(found)) == (0, 1)
    assert (ranges[0].near, ranges[0].far) == (5, 9)
    assert from_stored(to_stored(found)) == pytest.approx(found, abs=2e-5)
    assert overlay(np.full((60, 100, 3), 128, np.uint8), found, panels).shape == (60, 100, 3)


def test_columns_of_the_baseline_are_those_it_wrote() -> None:
    assert BASELINE == ("img_id", "category_id", "pred_Intradepth", "pred_Interdepth")
    assert SegmentPredictor(Bright()).predict(np.zeros((4, 4, 3), np.uint8), [], []) == []


def read_one() -> list:  # type: ignore[type-arg]
    from comictool.depth.segments import Segment

    return [Segment(1, 1, 1, "x", None, (5, 5, 20, 20))]
