"""`depth predict` as a job: what it writes, that a kill undoes nothing, and that a page is looked at once."""

from __future__ import annotations

import csv
import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comictool.core.errors import InputError
from comictool.core.jobs import JobOptions, JobReport
from comictool.depth.evaluate import PluginMaps, Said, evaluate
from comictool.depth.job import PredictOptions, predict
from comictool.depth.log import append_block
from comictool.depth.predicting import DensePredictor, SegmentPredictor, predictor_of
from comictool.depth.saved import SavedMaps, read_pages
from comictool.depth.segments import read_segments
from comictool.depth.tables import BASELINE, CHALLENGE, Predictions, read_predictions
from comictool.drawn.depth import read_depth
from comictool.formats.converting import convert
from tests.archives.comic_files import tree
from tests.bench import kill_me
from tests.depth import fixture
from tests.depth.fixture import Bright


class Asked(Bright):
    """It answers for segments itself: the right thing, told apart by the annotation's number."""

    def segment_depth(self, picture: np.ndarray, segments: list, panels: list) -> np.ndarray:  # type: ignore[type-arg]
        self.calls += 1
        return np.array([[each.annotation_id, 100 + each.annotation_id, 0.5] for each in segments], float)


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_annotation_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    report = predict(fixture.write(tmp_path / "in", test=True), Asked(), tmp_path / "out")
    table = rows(tmp_path / "out" / "segments.csv")
    assert tuple(table[0]) == CHALLENGE
    assert [int(row["annotation_id"]) for row in table] == list(range(11, 23))
    assert {row["image_id"] for row in table} == {"131"}
    for row in table:
        if row["annotation_id"] != "21":  # it has no box, and gets the median of the others
            assert (float(row["pred_Interdepth"]), float(row["pred_Intradepth"])) == (
                int(row["annotation_id"]),
                100 + int(row["annotation_id"]),
            )
    assert any("1 annotations could not be looked at" in problem.message for problem in report.problems)
    other = rows(tmp_path / "out" / "baseline.csv")
    assert tuple(other[0]) == BASELINE
    assert len(other) == len(table)
    assert [row["pred_Interdepth"] for row in other] == [row["pred_Interdepth"] for row in table]


def test_a_page_is_looked_at_once_whatever_its_segments(tmp_path: Path) -> None:
    for model in (Bright(), Asked()):
        predict(fixture.write(tmp_path / "in"), model, tmp_path / "out", chosen=PredictOptions(maps=False))
        assert model.calls == 1
        shutil.rmtree(tmp_path / "out")
    (page,) = read_segments(tmp_path / "in")
    dense = Bright()
    predictor = predictor_of(dense)
    assert isinstance(predictor, DensePredictor)
    assert isinstance(predictor_of(Asked()), SegmentPredictor)
    picture = np.asarray(Image.open(tmp_path / "in" / fixture.NAME))
    found = dict(
        zip(
            [s.annotation_id for s in page.segments],
            predictor.predict(picture, page.segments, page.panels),
            strict=True,
        )
    )
    assert dense.calls == 1
    # The page grows lighter, that is farther, to the right; each panel starts anew.
    assert found[14].inter < found[16].inter < found[17].inter
    assert found[18].inter < found[19].inter


def test_maps_arrays_clouds_and_the_sheet(tmp_path: Path) -> None:
    fixture.write(tmp_path / "in")
    chosen = PredictOptions(arrays=True, clouds=True, sheet=True)
    predict(tmp_path / "in", Bright(), tmp_path / "out", chosen=chosen)
    (page,) = read_pages(tmp_path / "out")
    depth = read_depth(tmp_path / "out", page.map, (fixture.HEIGHT, fixture.WIDTH))
    assert [panel.box for panel in page.panels] == [(0, 0, 100, 100), (100, 0, 200, 100)]
    for x in (0, 100):
        assert (depth[50, x], depth[50, x + 99]) == (0, 1)  # of its panel
    with np.load(tmp_path / "out" / page.array) as arrays:
        assert arrays["depth"][50, 199] > arrays["depth"][50, 99] > arrays["depth"][50, 0]
        assert arrays["panels"].shape == (2, 4)
    cloud = (tmp_path / "out" / page.cloud).read_bytes()
    header, _, body = cloud.partition(b"end_header\n")
    assert b"element vertex 20000" in header
    assert len(body) == 20000 * 15
    points = np.frombuffer(body, [("p", "<f4", 3), ("c", "u1", 3)])["p"]
    assert points[0][2] > points[50][2]  # nearer is towards the viewer
    with Image.open(tmp_path / "out" / page.overlay) as shown:
        assert shown.size == (fixture.WIDTH, fixture.HEIGHT)
    html = (tmp_path / "out" / "sheet.html").read_text("utf-8")
    assert "http" not in html.replace("http-equiv", "")
    saved = SavedMaps(tmp_path / "out").of(tmp_path / "in" / fixture.NAME, [(0, 0, 100, 100), None])
    assert [part.shape for part in saved] == [(100, 100), (100, 200)]
    with pytest.raises(InputError, match="nothing of"):
        SavedMaps(tmp_path / "out").of(Path("other.png"), [None])


def test_a_page_that_breaks_is_a_problem_and_the_rest_is_done_once(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "a").mkdir(parents=True)
    for name in ("a/one.png", "a/one.jpg", "two.png"):
        Image.new("RGB", (60, 80), (9, 99, 199)).save(folder / name)
    (folder / "bad.png").write_bytes(b"no picture")
    model = Bright()
    report = predict(folder, model, tmp_path / "out", options=JobOptions(limit=2))
    assert report.done + report.failed == 2
    report = predict(folder, model, tmp_path / "out")
    assert (report.done + report.skipped, report.failed) == (3, 1)
    assert [problem.key for problem in report.problems if problem.fresh] == ["bad.png"]
    calls = model.calls
    assert {page.map for page in read_pages(tmp_path / "out")} == {
        "maps/a/one.png",
        "maps/a/one.png.png",
        "maps/two.png",
    }
    again = predict(folder, model, tmp_path / "out")
    assert (again.skipped, model.calls) == (3, calls)
    (tmp_path / "out" / "maps" / "two.png").unlink()
    assert predict(folder, model, tmp_path / "out").done == 1


def test_a_kill_at_any_moment_leaves_what_the_next_run_ends(tmp_path: Path) -> None:
    """Two small pages of a corpus; the child kills itself before every third thing that it does to the disk."""
    file = fixture.write(tmp_path / "in")
    said = json.loads(file.read_text())
    other = fixture.NAME.replace("-16", "-17")
    shutil.copy(file.parent / fixture.NAME, file.parent / other)
    said["images"].append({**said["images"][0], "id": 132, "file_name": other})
    said["annotations"] += [{**each, "id": each["id"] + 100, "image_id": 132} for each in said["annotations"]]
    file.write_text(json.dumps(said))
    corpus = tmp_path / "corpus"
    convert(file.parent, corpus, "corpus")

    def run(output: Path) -> JobReport:
        return predict(corpus, Bright(), output, chosen=PredictOptions(arrays=True, sheet=True))

    def killed(output: Path, moment: int) -> None:
        kill_me.at([signal.SIGKILL], [moment])
        run(output)

    assert run(tmp_path / "whole").done == 2
    whole = tree(tmp_path / "whole")
    assert len(whole) == 2 * 3 + 4  # a map, an overlay and an array each; tables, pages and the sheet
    finished, moment, status = [], 0, -signal.SIGKILL
    while status == -signal.SIGKILL:
        output = tmp_path / f"broken {moment}"
        status = kill_me.in_a_child(lambda output=output, moment=moment: killed(output, moment))  # type: ignore[misc]
        report = run(output)
        finished.append(report.skipped)
        assert report.done + report.skipped == 2
        assert not report.failed
        assert tree(output) == whole, moment
        moment += 3
    assert status == 0
    assert finished == sorted(finished)
    assert set(finished) == {0, 1, 2}


def test_the_truth_itself_scores_perfectly_and_floors_do_not(tmp_path: Path, drawn: Path) -> None:
    class Exact(Bright):
        """The exact maps, by the height of the page's panels: what a perfect plugin would say."""

        def of(self, picture: Path, boxes: list) -> list[np.ndarray]:  # type: ignore[type-arg]
            name = picture.relative_to(drawn / "page_images").with_suffix(".png")
            page = np.nan_to_num(read_depth(drawn, f"depth/{name}"), nan=1.0)
            return [page[b[1] : b[3], b[0] : b[2]] for b in boxes]

    segments = [each for page in read_segments(drawn) for each in page.segments]
    table = Predictions(
        {each.annotation_id: (each.inter or 0.0, each.intra or 0.0) for each in segments}, {}, len(segments)
    )
    found = evaluate(drawn, Said("truth", table=table, maps=Exact()))
    values = {each.name: each for each in found.metrics}
    assert values["MSE overall"].value == 0
    assert values["order inter"].value == values["order intra"].value == 1
    assert values["order inter"].chance < 1
    assert set(values["order inter"].details["floors"]) >= {
        "mean",
        "median",
        "category",
        "lower",
        "taller",
        "larger",
        "over",
    }
    assert values["dense AbsRel"].value == pytest.approx(0, abs=1e-4)
    assert values["dense AbsRel"].chance > 0.2
    log = tmp_path / "evaluation_metrics.txt"
    append_block(log, "first", found.metrics)
    append_block(log, "second", found.metrics)
    text = log.read_text()
    assert text.count("Evaluation written on: ") == 2
    assert text.index("Model: first") < text.index("Overall MSE: 0.0000") < text.index("Model: second")


def test_a_plugin_is_measured_by_points(tmp_path: Path) -> None:
    fixture.write(tmp_path)
    pairs = [{"image": fixture.NAME, "panel_box": [0, 0, 100, 100], "near": [10, 60], "far": [90, 20]}]
    pairs.append({"image": fixture.NAME, "panel_box": [100, 0, 200, 100], "near": [110, 20], "far": [190, 60]})
    (tmp_path / "pairs.json").write_text(json.dumps(pairs))
    model = Bright()
    found = evaluate(tmp_path / "pairs.json", Said("bright", model=model, maps=PluginMaps(model)))
    assert {each.name: (each.value, each.chance) for each in found.metrics}["pairs, balanced"] == (1, 0.5)
    with pytest.raises(InputError, match="has no maps"):
        evaluate(tmp_path / "pairs.json", Said("table"))


def test_ranks_of_pages_are_matched_row_by_row(tmp_path: Path) -> None:
    from comictool.depth.truth import read_page_ranks

    (tmp_path / "truth.csv").write_text("image_id,inter_depth,intra_depth\na.png,0,1\na.png,2,3\nb.png,4,\n")
    (tmp_path / "said.csv").write_text("image_id,inter_depth,intra_depth\na.png,0,1\nb.png,4,9\na.png,2,5\n")
    found = evaluate(tmp_path / "truth.csv", Said("x", pages=read_page_ranks(tmp_path / "said.csv")))
    assert {each.name: each.value for each in found.metrics if "MSE" in each.name} == {
        "MSE inter": 0,
        "MSE intra": 2,
        "MSE overall": 1,
    }


def test_tables_that_cannot_be_are_sentences(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    head = "annotation_id,image_id,category_id,pred_Interdepth,pred_Intradepth\n"
    file.write_text(head + "1,1,1,0,1\n1,1,1,2,3\n")
    with pytest.raises(InputError, match="annotation 1 has two rows"):
        read_predictions(file)
    file.write_text(head + "1,1,1,nan,1\n2,1,1,0,1\n")
    assert read_predictions(file).problems == ("row 2 has a cell that is no number; it is left out",)
    file.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="no table of predicted ranks"):
        read_predictions(file)
