"""`comictool reid ...` as a user types it, and the defects of the first program of this kind, by their number there."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from comictool.core.names import natural_key
from tests.cli.conftest import Run
from tests.reid.sorting.world import tree

COLOURS = {"hero": (200, 40, 40), "villain": (40, 60, 200), "clown": (240, 220, 30)}


def draw(path: Path, character: str, seed: int) -> Path:
    """A figure in the character's colours, in a pose of the seed's."""
    random = np.random.default_rng([seed, len(character)])
    picture = Image.new("RGB", (64, 80), (235, 235, 225))
    pen = ImageDraw.Draw(picture)
    dx, dy = (int(v) for v in random.integers(-4, 5, 2))
    pen.rectangle((18 + dx, 34 + dy, 46 + dx, 78), fill=COLOURS[character], outline=(0, 0, 0))
    pen.ellipse((20 + dx, 8 + dy, 44 + dx, 34 + dy), fill=(250, 210, 180), outline=(0, 0, 0))
    if character == "villain":
        pen.polygon([(20 + dx, 14 + dy), (44 + dx, 14 + dy), (32 + dx, dy)], fill=(20, 20, 20))
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
    return path


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """References of two characters; targets: both, twice under the same name, somebody else, and a spoilt file."""
    for seed in range(3):
        draw(tmp_path / f"refs/hero [red]/{seed}.png", "hero", seed)
        draw(tmp_path / f"refs/villain/deep/er/{seed}.jpeg", "villain", seed)
    (tmp_path / "refs.json").write_text('{"hero": "refs/hero [red]", "villain": ["refs/villain"]}')
    draw(tmp_path / "targets/a/one.png", "hero", 10)
    draw(tmp_path / "targets/b/one.png", "hero", 11)
    draw(tmp_path / "targets/b/deep/er/two.JPEG", "villain", 12)
    draw(tmp_path / "targets/z10.png", "villain", 13)
    draw(tmp_path / "targets/z9.png", "villain", 14)
    (tmp_path / "targets/spoilt.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    return tmp_path


def records(text: str) -> dict[str, dict[str, object]]:
    return {os.path.relpath(r["path"], "targets"): r for r in map(json.loads, text.splitlines())}


def test_the_older_command_lines_work(comictool: Run, world: Path) -> None:
    """Defects 8 (brackets), 10 (no mode), 4 (a spoilt file), 6 (equal names), 14 (order), and the depth of folders."""
    plugin = Path(__file__).parents[2] / "plugins/classic_character"
    ran = comictool(
        "reid",
        "--plugin-dir",
        plugin,
        "--gpu",
        "-1",
        "classify",
        "--enroll-config-fn",
        "refs.json",
        "--target-dir",
        "targets",
        "--mode",
        "Any",
        "--result-dir",
        "sorted",
        "--threshold",
        "none",
        "--format",
        "jsonl",
        COMICTOOL_CACHE="cache",
    )
    assert ran.code == 1, ran.err
    assert "spoilt.png" in ran.err
    found = records(ran.out)
    assert set(found) == {"a/one.png", "b/deep/er/two.JPEG", "b/one.png", "spoilt.png", "z9.png", "z10.png"}
    assert list(found) == sorted(found, key=natural_key)
    assert sorted(p for p, f in tree(world / "sorted").items() if f[0] == "folder" and p != ".reid") == [
        "hero",
        "villain",
    ]
    assert {p.name for p in (world / "sorted/hero").iterdir()} == {"one.png", "one (2).png"}
    assert found["spoilt.png"]["status"] == "error"
    ran = comictool("reid", f"--plugin-dir={plugin}", "similarity", "--files", "targets/z9.png", "targets/z9.png")
    assert (ran.code, ran.out) == (0, "1.000000\n")
    ran = comictool(
        "reid",
        "--plugin-dir",
        plugin,
        "--plugin-name",
        "main",
        "similarity",
        "--legacy",
        "--files",
        "targets/z9.png",
        "targets/z9.png",
    )
    assert float(ran.out) == pytest.approx(0, abs=1e-6)


def test_from_a_gallery_with_report_and_undo(comictool: Run, world: Path) -> None:
    """Defects 1 (unknown), 2 and 3 (all embedded again), 12 (scores thrown away), 13 (copy only), 21 (streams)."""
    environment = {"COMICTOOL_CACHE": "cache"}
    ran = comictool("reid", "enroll", "refs.json", "-g", "gallery", "--json", **environment)
    assert (ran.code, ran.json()["added"], ran.json()["embedded"]) == (0, 6, 6), ran.err
    assert comictool("reid", "enroll", "refs.json", "-g", "gallery", "--json", **environment).json()["embedded"] == 0
    draw(world / "targets/stranger.png", "clown", 1)
    (world / "targets/spoilt.png").unlink()
    before = tree(world / "targets")
    arguments = [
        "reid",
        "classify",
        "targets",
        "-g",
        "gallery",
        "--threshold",
        "0.9",
        "--action",
        "move",
        "-o",
        "sorted",
    ]
    planned = comictool(*arguments, "--dry-run", "--format", "jsonl", **environment)
    assert planned.code == 0
    assert tree(world / "targets") == before
    assert not (world / "sorted").exists()
    ran = comictool(*arguments, "--report", "report.html", "--fail-on-unknown", "--format", "jsonl", **environment)
    assert ran.code == 10, ran.err
    assert ran.out == planned.out
    found = records(ran.out)
    assert found["stranger.png"]["status"] == "unknown"
    assert found["stranger.png"]["destination"] == "suggestions/hero/stranger.png"
    one = found["a/one.png"]
    assert (one["character"], one["threshold"], one["action"]) == ("hero", 0.9, "move")
    assert [c["character"] for c in one["candidates"]] == ["hero", "villain"]  # type: ignore[union-attr,index]
    assert "refs/hero [red]" in one["candidates"][0]["reference"]  # type: ignore[index,operator]
    html = (world / "report.html").read_text()
    assert "data:image/jpeg" in html
    assert html.count("<script") == 1, "its own"
    assert [p for p in tree(world / "targets").items() if p[1][0] == "file"] == []
    ran = comictool("reid", "undo", "sorted", "--json")
    assert (ran.code, ran.json()["restored"], ran.json()["kept"]) == (0, 6, 0)
    assert tree(world / "targets") == before
    assert not (world / "sorted").exists()
    assert comictool("reid", "undo", "sorted").code == 3


def test_gallery_commands(comictool: Run, world: Path) -> None:
    environment = {"COMICTOOL_CACHE": "cache"}
    assert comictool("reid", "enroll", "refs.json", "-g", "both", **environment).code == 0
    (world / "one.json").write_text('[["hero", "refs/hero [red]"]]')
    (world / "two.json").write_text('[["villain", "refs/villain"]]')
    for name in ("one", "two"):
        assert comictool("reid", "enroll", f"{name}.json", "-g", name, **environment).code == 0
    ran = comictool("reid", "gallery", "merge", "one", "two", "-g", "joined", "--json")
    assert (ran.code, ran.json()["references"]) == (0, 6)
    info = comictool("reid", "gallery", "info", "joined", "--json").json()
    assert [c["character"] for c in info["characters"]] == ["hero", "villain"]
    assert info["characters"] == comictool("reid", "gallery", "info", "both", "--json").json()["characters"]
    rows = list(csv.DictReader(io.StringIO(comictool("reid", "gallery", "list", "joined", "--format", "csv").out)))
    assert [row["character"] for row in rows] == ["hero"] * 3 + ["villain"] * 3
    ran = comictool("reid", "calibrate", "-g", "joined", "--far", "0.05", "--json")
    assert (ran.code, ran.json()["far"]) == (0, 0.05), ran.err
    assert comictool("reid", "gallery", "verify", "joined").code == 0
    (world / "refs/hero [red]/0.png").unlink()
    ran = comictool("reid", "gallery", "verify", "joined")
    assert (ran.code, "is gone" in ran.out) == (1, True)
    ran = comictool("reid", "enroll", "-g", "joined", "--prune", "--remove", "villain", "--json")
    assert (ran.code, ran.json()["references"], ran.json()["removed"]) == (0, 2, 4)


def test_clusters_and_figures(comictool: Run, world: Path) -> None:
    """Defect 18: grouping without references is a command, and works."""
    environment = {"COMICTOOL_CACHE": "cache"}
    comictool("reid", "enroll", "refs.json", "-g", "gallery", **environment)
    ran = comictool(
        "reid",
        "cluster",
        "targets",
        "--name-from",
        "gallery",
        "--sheet",
        "groups.html",
        "--format",
        "jsonl",
        **environment,
    )
    assert ran.code == 1, "the spoilt file is named"
    groups = [json.loads(line) for line in ran.out.splitlines()]
    assert {(g["name"], Path(g["path"]).name) for g in groups} == {
        ("hero", "one.png"),
        ("villain", "two.JPEG"),
        ("villain", "z9.png"),
        ("villain", "z10.png"),
    }
    assert (world / "groups.html").read_text().count("<h2>") == 2
    (world / "links.json").write_text(json.dumps({"cannot": [["targets/z9.png", "targets/z10.png"]]}))
    ran = comictool("reid", "cluster", "targets", "--links", "links.json", "--format", "jsonl", **environment)
    group = {Path(r["path"]).name: r["group"] for r in map(json.loads, ran.out.splitlines())}
    assert group["z9.png"] != group["z10.png"]
    ran = comictool("reid", "evaluate", "refs.json", "--json", **environment)
    assert ran.code == 0, ran.err
    metrics = {metric["metric"]: metric for metric in ran.json()["metrics"]}
    assert metrics["rank-1"]["value"] == 1.0
    assert 0 < metrics["rank-1"]["chance"] < metrics["rank-1"]["low"] < 1
    (world / "pairs.csv").write_text(
        "a,b,same\ntargets/z9.png,targets/z10.png,1\ntargets/z9.png,targets/a/one.png,0\n"
        "targets/a/one.png,targets/b/one.png,1\ntargets/z10.png,targets/b/one.png,0\n"
    )
    ran = comictool("reid", "evaluate", "--pairs", "pairs.csv", "--json", **environment)
    assert (ran.code, ran.json()["pairs"], ran.json()["metrics"][0]["value"]) == (0, 4, 0.0), ran.err


HOSTILE = {
    "duplicate": ('{"hero": "refs/villain", "hero": "refs/hero [red]"}', "hero"),
    "no text": ('{"hero": 7}', "hero"),
    "missing": ('{"hero": "refs/nobody"}', "nobody"),
    "empty": ('{"": "refs/villain"}', "empty"),
    "not JSON": ("hero: refs", "JSON"),
    "same folder": ('{"a/b": "refs/villain", "a:b": "refs/hero [red]"}', "folder"),
    "control": ('{"a\\u0007b": "refs/villain"}', "control"),
    "suggestions": ('{"suggestions": "refs/villain", "b": "refs/hero [red]"}', "--unknown suggestions"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_configurations_are_refused_plainly(comictool: Run, world: Path, case: str) -> None:
    """Defect 9 (a name twice) and others: exit 2 or 3, the place named, nothing on standard output, nothing written."""
    text, said = HOSTILE[case]
    (world / "bad.json").write_text(text)
    before = {path for path in tree(world) if not path.startswith("cache")}
    ran = comictool(
        "reid", "classify", "targets", "--enroll-config", "bad.json", "-o", "sorted", COMICTOOL_CACHE="cache"
    )
    assert (ran.code in (2, 3), ran.out) == (True, ""), ran.err
    assert said in ran.err
    assert "Traceback" not in ran.err
    assert {path for path in tree(world) if not path.startswith("cache")} == before


def test_hostile_names_stay_inside(comictool: Run, world: Path) -> None:
    """Defect 7: a character called ../esc, an absolute path, a device, 300 characters, an emoji."""
    names = ["../esc", str(world / "absolute"), "CON", "x" * 300, "\N{CLOWN FACE}"]
    for number, _ in enumerate(names):
        draw(world / f"refs/odd{number}/0.png", ["hero", "villain"][number % 2], number)
    (world / "odd.json").write_text(json.dumps({name: f"refs/odd{n}" for n, name in enumerate(names)}))
    before = {path for path in tree(world) if not path.startswith(("sorted", "cache", "config"))}
    ran = comictool(
        "reid",
        "classify",
        "targets",
        "--enroll-config",
        "odd.json",
        "-o",
        "sorted",
        "--threshold",
        "none",
        COMICTOOL_CACHE="cache",
    )
    assert ran.code == 1, ran.err
    assert {path for path in tree(world) if not path.startswith(("sorted", "cache", "config"))} == before
    assert all(len(Path(path).parts) <= 2 for path in tree(world / "sorted"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["similarity"],
        ["similarity", "--files", "targets/z9.png"],
        ["classify", "targets"],
        ["classify", "--enroll-config", "refs.json"],
        ["classify", "targets", "-g", "x", "--enroll-config", "refs.json"],
        ["classify", "targets", "--enroll-config", "refs.json", "--mode", "most"],
        ["classify", "targets", "--enroll-config", "refs.json", "--action", "delete"],
        ["classify", "targets", "--enroll-config", "refs.json", "--threshold", "high"],
        ["enroll", "-g", "x"],
        ["evaluate"],
    ],
    ids=" ".join,
)
def test_what_is_missing_or_wrong_is_a_usage_error_before_any_work(
    comictool: Run, world: Path, arguments: list[str]
) -> None:
    """Defects 10 and 11: the first program failed after all the work, or with a traceback."""
    ran = comictool("reid", *arguments, COMICTOOL_CACHE="cache")
    assert (ran.code, ran.out) == (2, ""), ran.err
    assert "Traceback" not in ran.err
    assert not (world / "cache").exists()


def test_a_killed_run_is_resumed_and_undone(comictool: Run, world: Path) -> None:
    (world / "targets/spoilt.png").unlink()
    for seed in range(400):
        draw(world / f"targets/many/{seed}.png", ["hero", "villain"][seed % 2], seed)
    before = tree(world / "targets")
    arguments = [
        "reid",
        "classify",
        "targets",
        "--enroll-config",
        "refs.json",
        "-o",
        "sorted",
        "--action",
        "move",
        "--threshold",
        "none",
        "--format",
        "jsonl",
    ]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COMICTOOL_")}
    environment |= {"COMICTOOL_CACHE": "cache", "PYTHONPATH": str(Path(__file__).parents[2])}
    environment |= {"COMICTOOL_PLUGIN": "classic_character"}  # as the fixture says
    environment |= {"COMICTOOL_CONFIG_DIR": str(world / "config")}  # that of the fixture: its key signs the journal
    run = subprocess.Popen(
        [sys.executable, "-m", "comictool", *arguments],
        cwd=world,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert run.stdout is not None
    first = json.loads(run.stdout.readline())
    assert first["status"] == "ok", "records come while the rest is still to be done"
    time.sleep(0.02)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    run.stdout.close()
    done = len((world / "sorted/.reid/journal-0001.jsonl").read_bytes().splitlines()) - 1
    assert 0 < done < 406
    ran = comictool(*arguments, "--resume", COMICTOOL_CACHE="cache")
    assert ran.code == 0, ran.err
    assert len(ran.out.splitlines()) == 405
    assert len({json.loads(line)["path"] for line in ran.out.splitlines()}) == 405
    assert comictool("reid", "undo", "sorted", "--json").json()["restored"] == 405
    assert tree(world / "targets") == before


def test_calibrate_leaves_pictures_of_one_page_out_and_tells_what_few_characters_support(
    comictool: Run, tmp_path: Path
) -> None:
    # Two characters on the same pages, whose pictures of one page look nearly alike: no stranger looks so.
    rng = np.random.default_rng(3)
    entries = []
    for page in range(5):
        base = rng.integers(0, 256, (8, 8, 3))
        for character in ("ann", "bob"):
            tint = rng.integers(-25, 26, (8, 8, 3))
            pixels = np.kron(np.clip(base + tint, 0, 255), np.ones((6, 6, 1))).astype(np.uint8)
            file = tmp_path / "refs" / character / f"{page}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(file)
            entries.append({"file": f"{character}/{page}.png", "page": f"p{page}"})
    assert comictool("reid", "enroll", "refs", "-g", "gallery").code == 0
    blind = comictool("reid", "calibrate", "-g", "gallery", "--far", "0.2", "--json").json()
    (tmp_path / "refs/index.json").write_text(json.dumps(entries))
    seeing = comictool("reid", "calibrate", "-g", "gallery", "--far", "0.2", "--json").json()
    assert seeing["overall"] < blind["overall"] - 0.02
    ran = comictool("reid", "calibrate", "-g", "gallery", "--far", "0.01", "--json")
    assert "2 characters show rates from 0.33 by themselves" in ran.err
    assert "--background" in ran.err
    assert ran.json()["supported"] == pytest.approx(1 / 3)
    # What classify fits on the way knows the pages as well.
    records = [
        json.loads(line)
        for line in comictool(
            "reid", "classify", "refs", "--enroll-config", "refs", "--far", "0.2", "--format", "jsonl"
        ).out.split("\n")
        if line
    ]
    assert [record["threshold"] for record in records] == [pytest.approx(seeing["overall"])] * 10
