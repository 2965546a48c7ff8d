"""The defects of the released code (Davide-Ds/comics_images_depth_estimation), one test each; in brackets what it did.

Those of training (1 too, 9 to 11: an unseeded split, 537 million parameters, the last epoch called the best) are tested
with the recipe `train depth`.
"""

from __future__ import annotations

import ast
import csv
import os
import re
import runpy
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from packaging.requirements import Requirement
from PIL import Image

from comictool.cli.app import load_command
from comictool.cli.reference import every_command
from comictool.core.errors import ComicError
from comictool.depth.baselines import constants
from comictool.depth.evaluate import Said, evaluate
from comictool.depth.inputs import as_input
from comictool.depth.job import PredictOptions, predict
from comictool.depth.measures import Ranked, errors
from comictool.depth.pages import PageNetwork, ReleasedNetwork
from comictool.depth.predicting import DensePredictor, SegmentPredictor
from comictool.depth.saved import normal, overlay, read_pages
from comictool.depth.segments import read_segments
from comictool.depth.tables import BASELINE, read_predictions
from comictool.drawn.depth import from_stored, to_stored
from comictool.plugins.load import EncoderSpec, load_model
from tests.bench.kill_me import CHANGES, WRITING
from tests.depth import fixture
from tests.depth.fixture import Bright

ROOT = Path(__file__).parents[2]
ROOM = ROOT / "comictool" / "depth"


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


def test_12_a_model_is_the_one_that_was_named(tmp_path: Path) -> None:
    """(The newest file in a folder, whatever it was, into one of two networks of one name.) Others beside it, newer
    ones too, are not looked at, and which network it is for stands in the file itself."""
    torch.manual_seed(3)
    models = tmp_path / "models"
    models.mkdir()
    networks = {"old.pth": PageNetwork().eval(), "new.pth": ReleasedNetwork(4).eval()}
    for age, (name, network) in enumerate(networks.items()):
        torch.save(network.state_dict(), models / name)
        os.utime(models / name, (1000 + age, 1000 + age))
    (models / "newest.keras").write_bytes(b"no weights")
    picture = np.random.default_rng(3).integers(0, 256, (60, 40, 3), dtype=np.uint8)
    planes = as_input(torch.from_numpy(picture).permute(2, 0, 1)[None])
    for name, network in networks.items():
        model = load_model(EncoderSpec("depth_page", device="cpu", weights=models / name), "depth")
        with torch.inference_mode():
            wanted = network(planes)[0].tolist()
        assert model.segment_depth(picture, read_one(), [])[0, :2].tolist() == pytest.approx(wanted, rel=1e-4)
    for folder in (models, tmp_path):
        with pytest.raises(ComicError):
            load_model(EncoderSpec("depth_page", device="cpu", weights=folder), "depth")
        with pytest.raises(ComicError):
            load_model(EncoderSpec(str(folder), device="cpu"), "depth")


def test_12_names_of_files_can_be_had_anywhere(tmp_path: Path) -> None:
    """(A time with a colon in it.)"""
    (tmp_path / "in").mkdir()
    Image.new("RGB", (60, 80)).save(tmp_path / "in" / "page 12:30.png")
    predict(tmp_path / "in", Bright(), tmp_path / "out", chosen=PredictOptions(arrays=True, clouds=True, sheet=True))
    written = [file.relative_to(tmp_path / "out").as_posix() for file in (tmp_path / "out").rglob("*")]
    assert len(written) > 8
    assert not [name for name in written if ":" in name]


OLD_SCRIPT = """
import os
os.makedirs("models", exist_ok=True)
for name in ("a", "b"):
    with open("models/" + name, "w") as stream:
        stream.write("weights")
"""


def test_13_importing_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """(Scripts that ran when imported, from one folder alone, which others could not import.) Run anew from a folder of
    nothing, no module of the room writes, or opens what lies in the folder where it happens to be run."""
    monkeypatch.chdir(tmp_path)
    assert touched(lambda: exec(compile(OLD_SCRIPT, "old.py", "exec"), {}))[:2] == ["models", "models/a"]
    shutil.rmtree("models")
    for file in sorted(ROOM.glob("*.py")):
        assert touched(lambda file=file: runpy.run_path(str(file), run_name="anew")) == [], file.name  # type: ignore[misc]
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            assert not (isinstance(node, ast.ImportFrom) and node.level), f"{file.name} line {node.lineno}"
    assert list(tmp_path.iterdir()) == []


def test_13_a_path_means_the_same_from_every_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """(`annotations/` or `data/annotations/`, by the script.)"""
    fixture.write(tmp_path / "in")
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")
    predict(tmp_path / "in", Bright(), tmp_path / "out")
    assert list(Path().iterdir()) == []
    monkeypatch.chdir(tmp_path)
    predict(Path("in"), Bright(), Path("again"))
    for name in ("segments.csv", "baseline.csv", "pages.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_14_predictions_never_hold_the_truth(tmp_path: Path) -> None:
    """(A table called predictions that held the ranks.) Without ranks in the file the table is the same."""
    tables = []
    for test in (False, True):
        folder = tmp_path / str(test)
        predict(fixture.write(folder, test=test), Bright(), folder / "out", chosen=PredictOptions(maps=False))
        tables.append((folder / "out" / "segments.csv").read_text())
    assert tables[0] == tables[1]


def test_15_what_is_needed_can_be_installed_together() -> None:
    """(Three TensorFlows, Keras of another, one for Windows alone.) All that the project asks for, and what that asks
    for in turn, is here at once, in versions that suit all of them."""
    assert [each.split(" (")[0] for each in unmet(["numpy>=2.0", "numpy<2.0", "tensorflow-intel==2.17.0"])] == [
        "numpy<2.0",
        "tensorflow-intel==2.17.0",
    ]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    assert unmet(asked) == []
    assert not [each for each in asked if "==" in each]  # a pin holds until the next one


def test_15_the_pages_say_it_as_it_is() -> None:
    """(`pip install requirements.txt` without -r, a script by another name.) Every extra and command that the pages
    name is there."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    known = [name.split() for name, _ in every_command()]
    lines = 0
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        text = page.read_text("utf-8")
        for name in re.findall(r"pip install (?:-e )?'?(?:\.|comictool)\[(\w+)\]", text):
            assert name in extras, f"{page.name}: {name}"
        assert not re.search(r"pip install (?!-r )\S+\.txt", text), page.name
        for block in re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S):
            for line in re.findall(r"^comictool (.*)", block, re.M):
                words, lines = line.split(), lines + 1
                assert words[0].startswith("-") or any(words[: len(name)] == name for name in known), line
    assert lines > 50


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
    """(None, no configuration, no seed, no choice of device or batch, no resuming, no licence.)"""
    asked = {
        "depth predict": {"--device", "--maps", "--sheet", "--plugin", "--jobs", "--resume", "--dry-run"},
        "depth evaluate": {"--device", "--truth", "--append"},
        "train depth": {"--device", "--seed", "--config", "--set", "--batch-size", "--resume", "--dry-run"},
    }
    commands = dict(every_command())
    for name, wanted in asked.items():
        parser = load_command(name.split()[-1], commands[name])
        assert wanted <= {option for each in parser.params for option in each.opts}, name
    assert (ROOT / "LICENSE").is_file()


def test_17_what_is_predicted_is_kept_shown_and_measured_by_order(tmp_path: Path) -> None:
    """(No map, nothing to look at, all anew each time, MSE alone.)"""
    file = fixture.write(tmp_path)
    model = Bright()
    assert predict(file, model, tmp_path / "out").done == 1
    (page,) = read_pages(tmp_path / "out")
    for name in (page.map, page.overlay):
        with Image.open(tmp_path / "out" / name) as shown:
            assert shown.size == (fixture.WIDTH, fixture.HEIGHT)
    report = predict(file, model, tmp_path / "out")
    assert (report.skipped, report.done, model.calls) == (1, 0, 1)
    said = Said("x", table=read_predictions(tmp_path / "out" / "segments.csv"))
    first, second = ({m.name: (m.value, m.low, m.high) for m in evaluate(file, said).metrics} for _ in range(2))
    assert {"order inter", "order intra", "tau inter", "tau intra"} <= set(first)
    assert str(first) == str(second)  # intervals are drawn from a seed


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


def touched(run: Callable[[], object]) -> list[str]:
    """What a call makes, writes or removes anywhere, and opens without a whole path; compiled modules aside."""
    found: list[str] = []
    LISTENING.append(found)
    try:
        run()
    finally:
        LISTENING.pop()
    return found


LISTENING: list[list[str]] = []


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if not LISTENING or (event != "open" and event not in CHANGES) or not isinstance(arguments[0], str):
        return
    writes = event != "open" or (isinstance(arguments[2], int) and arguments[2] & WRITING)
    if (writes or not os.path.isabs(arguments[0])) and "__pycache__" not in arguments[0]:
        LISTENING[-1].append(arguments[0])


sys.addaudithook(_hear)


def unmet(asked: Iterable[str]) -> list[str]:
    """Requirements, and those of what they ask for, that what is installed does not fulfil, with what there is."""
    found, waiting, seen = [], [(line, "") for line in asked], set()
    while waiting:
        each = waiting.pop(0)
        if each in seen:
            continue
        seen.add(each)
        line, extra = each
        wanted = Requirement(line)
        if wanted.marker and not wanted.marker.evaluate({"extra": extra}):
            continue
        try:
            there = metadata.distribution(wanted.name)
        except metadata.PackageNotFoundError:
            found.append(f"{line} (not there)")
            continue
        if not wanted.specifier.contains(there.version, prereleases=True):
            found.append(f"{line} ({there.version})")
        waiting += [(below, extra) for below in there.requires or () for extra in ("", *wanted.extras)]
    return found
