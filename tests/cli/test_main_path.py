"""The main path as a user types it: every command, its JSON, its exit codes, its streams."""

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
from typing import Any

import pytest

from tests.cli.conftest import KILLED_AT, Run
from tests.data import data, needs_data


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn library, built by the program."""
    root = tmp_path_factory.mktemp("main")
    for arguments in (
        ["data", "draw", "-n", "6", "--comic-pages", "3", "--seed", "5", "-o", "drawn"],
        ["embed", "drawn", "-o", "drawn/store"],
    ):
        subprocess.run([sys.executable, "-m", "comictool", *arguments], cwd=root, check=True, capture_output=True)
    return root / "drawn"


def first_page(library: Path) -> dict[str, Any]:
    file = sorted((library / "annotations" / "pages").glob("*.jsonl"))[0]
    pages: list[dict[str, Any]] = [json.loads(line) for line in file.read_text().splitlines()]
    return next(page for page in pages if len(page["panels"]) > 1)


def test_query_by_id_in_every_format(comictool: Run, library: Path) -> None:
    page = first_page(library)
    name = f"{page['comic']}/{page['page']}/1"
    as_json = comictool("query", library, "--id", name, "-k", "3", "--json")
    assert as_json.code == 0
    hits = as_json.json()
    assert [hit["rank"] for hit in hits] == [1, 2, 3]
    assert hits[0]["score"] >= hits[1]["score"] >= hits[2]["score"]
    assert name not in [hit["id"] for hit in hits]
    lines = comictool("query", library, "--id", name, "-k", "3", "--format", "jsonl").out.splitlines()
    assert [json.loads(line) for line in lines] == hits
    rows = list(
        csv.DictReader(io.StringIO(comictool("query", library, "--id", name, "-k", "3", "--format", "csv").out))
    )
    assert [row["id"] for row in rows] == [hit["id"] for hit in hits]
    table = comictool("query", library, "--id", name, "-k", "3").out
    assert [line.split()[2] for line in table.splitlines()[1:]] == [hit["id"] for hit in hits]


def test_query_by_picture_finds_the_page_and_writes_a_sheet(comictool: Run, library: Path, tmp_path: Path) -> None:
    page = first_page(library)
    sheet = tmp_path / "sheet.html"
    ran = comictool("query", library, "--image", library / page["image"], "--json", "--sheet", sheet)
    assert ran.json()[0]["id"] == f"{page['comic']}/{page['page']}"
    assert "<html" in sheet.read_text()


def test_query_errors_are_helpful(comictool: Run, library: Path, tmp_path: Path) -> None:
    page = first_page(library)
    ran = comictool("query", library, "--id", f"{page['comic']}/999", "--json")
    assert (ran.code, ran.out) == (3, "")
    assert f"did you mean: {page['comic']}/" in ran.err
    assert comictool("query", library).code == 2
    (tmp_path / "x.jpg").write_text("<html>")
    assert comictool("query", library, "--image", tmp_path / "x.jpg").code == 3
    assert comictool("query", tmp_path, "--id", "a/1").code == 3
    assert comictool("query", library, "--id", f"{page['comic']}/{page['page']}", "--comic", "nothing*").code == 3


def test_shards_and_merge_equal_one_run(comictool: Run, library: Path, tmp_path: Path) -> None:
    for part in (1, 2):
        assert comictool("embed", library, "-o", tmp_path / f"part-{part}", "--shard", f"{part}/2").code == 0
    ran = comictool("merge", tmp_path / "part-1", tmp_path / "part-2", "-o", tmp_path / "store", "--json")
    assert ran.json()["pages"] == 6
    page = first_page(library)
    name = f"{page['comic']}/{page['page']}"
    whole = comictool("query", library, "--id", name, "--json").out
    assert comictool("query", tmp_path / "store", "--id", name, "--json").out == whole


def test_another_plugin_on_a_store_is_refused_with_a_way_out(comictool: Run, library: Path) -> None:
    ran = comictool("embed", library, "-o", library / "store", "--plugin", "timm:test_resnet?random")
    assert ran.code == 3
    assert "classic" in ran.err


def test_timm_weights_are_asked_for_and_nothing_is_fetched(comictool: Run, library: Path, tmp_path: Path) -> None:
    ran = comictool("embed", library, "-o", tmp_path / "s", "--plugin", "timm:test_resnet")
    assert ran.code == 2
    assert "--weights" in ran.err
    assert "--download" in ran.err
    assert comictool("embed", library, "-o", tmp_path / "s", "--download", "--offline").code == 2
    assert not (tmp_path / "s").exists()


def test_a_timm_model_works_end_to_end(comictool: Run, library: Path, tmp_path: Path) -> None:
    store = tmp_path / "timm"
    ran = comictool("embed", library, "-o", store, "--plugin", "timm:test_resnet?random", "--gpu", "-1", "--json")
    assert ran.code == 0, ran.err
    assert ran.json()["pages"] == 6
    page = first_page(library)
    found = comictool("query", store, "--image", library / page["image"], "-k", "1", "--json").json()
    assert found[0]["id"] == f"{page['comic']}/{page['page']}"


def test_a_gpu_that_is_not_there_is_an_environment_error(comictool: Run, library: Path, tmp_path: Path) -> None:
    ran = comictool("embed", library, "-o", tmp_path / "s", "--plugin", "timm:test_resnet?random", "--gpu", "31")
    assert ran.code == 4
    assert "--device cpu" in ran.err or "cpu" in ran.err


def test_drawn_panels_are_kept_by_the_detector(comictool: Run, library: Path) -> None:
    before = first_page(library)
    assert comictool("data", "panels", library, "--json").code == 0
    assert first_page(library)["panels"] == before["panels"]


def test_import_reports_per_item_and_quiet_still_names_errors(comictool: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.cbz").write_bytes(b"PK\x03\x04 and no more")
    ran = comictool("data", "import", tmp_path / "bad.cbz", "-o", tmp_path / "corpus", "-q")
    assert ran.code == 3
    assert "bad.cbz" in ran.err
    for command in (["data", "import"], ["index"]):
        missing = comictool(*command, tmp_path / "nowhere", "-o", tmp_path / "new")
        assert missing.code == 3
        assert "nowhere" in missing.err
        assert not (tmp_path / "new").exists()


def test_dry_run_writes_nothing(comictool: Run, library: Path, tmp_path: Path) -> None:
    ran = comictool("index", library / "page_images", "-o", tmp_path / "lib", "-n", "--json")
    assert ran.code == 0
    assert len(ran.json()) == 2
    assert not (tmp_path / "lib").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_command_saves_and_says_how_to_go_on(tmp_path: Path, number: int, code: int) -> None:
    arguments = ["data", "draw", "-n", "120", "--comic-pages", "2", "-j", "2", "-o", "drawn"]
    process = subprocess.Popen(
        [sys.executable, "-m", "comictool", *arguments],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    ledger = tmp_path / "drawn" / ".jobs"
    while not any(f.stat().st_size for f in ledger.glob("*.jsonl")) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=240)
    assert process.returncode == code
    assert out == ""
    assert "to resume: comictool data draw -n 120" in err


@needs_data
@pytest.mark.data
@pytest.mark.slow
def test_the_real_library_of_good_and_bad_files(comictool: Run, tmp_path: Path) -> None:
    """The issue's own line: everything readable is imported, every bad file is named, and the exit code is 1."""
    root = tmp_path / "library"
    folders = [data("archives"), data("science_comics_1946")]
    ran = comictool("index", *folders, "-o", root, "--json")
    assert ran.code == 1
    facts = ran.json()
    assert facts["pages"] == sum(1 for f in (root / "annotations" / "pages").glob("*.jsonl") for _ in f.open())
    for bad in (
        "empty.cbz",
        "no_images.cbz",
        "password.cbz",
        "fake_cbr.cbr",
        "rar4-encrypted.rar",
        "03_zero_bytes.jpg",
        "02_truncated.jpg",
        "04_html_named_jpg.jpg",
        "book.epub",
    ):
        assert bad in ran.err, bad
    again = comictool("index", *folders, "-o", root, "--json")
    assert again.code == 1
    assert again.json()["added"] == 0
    assert again.json()["pages"] == facts["pages"]
    assert "02_truncated.jpg" in again.err


def contents(root: Path) -> dict[str, bytes]:
    """Everything a library holds that its comics decide: pictures, records, vectors (not time stamps and places)."""
    kept = [
        *root.glob("page_images/**/*"),
        *root.glob("annotations/pages/*.jsonl"),
        *root.glob("store/contents-*/**/c/**/*"),
    ]
    return {str(f.relative_to(root)): f.read_bytes() for f in kept if f.is_file()}


@needs_data
@pytest.mark.data
@pytest.mark.slow
def test_an_index_killed_at_any_moment_ends_with_the_same_library(comictool: Run, tmp_path: Path) -> None:
    folders = [str(data("archives", "built")), str(data("archives", "komga")), str(data("page_blanche", "pages"))]
    assert comictool("index", *folders, "-o", tmp_path / "whole", "-q").code == 1
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    for moment in (3, 20, 45, 80, 120, 170):  # of what a run does to the disk
        ran = subprocess.run(
            [sys.executable, "-c", KILLED_AT, str(moment), "index", *folders, "-o", str(tmp_path / "killed"), "-q"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            check=False,
        )
        assert ran.returncode in (-signal.SIGKILL, 1), "killed, or at its end before that"
    last = comictool("index", *folders, "-o", tmp_path / "killed", "--json")
    assert last.code == 1
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    left = [f for f in (tmp_path / "killed").rglob("*") if "partial" in f.name or "staging" in f.name]
    assert left == []


def test_devices_and_precisions_are_checked_whoever_computes(comictool: Run, library: Path, tmp_path: Path) -> None:
    name = first_page(library)["comic"] + "/1"
    for arguments in (
        ["query", library, "--id", name, "--device", "foo"],
        ["plugins", "check", "classic", "--device", "foo"],
        ["embed", library, "-o", tmp_path / "s", "--precision", "fp99"],
    ):
        ran = comictool(*arguments)
        assert (ran.code, ran.out) == (2, ""), ran.err
        assert "foo" in ran.err or "fp99" in ran.err


def test_index_knows_a_wrong_plugin_before_it_works(comictool: Run, library: Path, tmp_path: Path) -> None:
    pictures = library / "page_images" / first_page(library)["comic"]
    ran = comictool("index", pictures, "-o", tmp_path / "out", "--plugin", "nope")
    assert (ran.code, ran.out) == (3, "")
    assert not (tmp_path / "out").exists()


def test_a_sheet_replaces_only_a_sheet(comictool: Run, library: Path, tmp_path: Path) -> None:
    name = first_page(library)["comic"] + "/1"
    precious = tmp_path / "comic.cbz"
    precious.write_bytes(b"PK precious")
    ran = comictool("query", library, "--id", name, "--sheet", precious)
    assert (ran.code, ran.out) == (3, "")
    assert precious.read_bytes() == b"PK precious"
    ran = comictool("query", library, "--id", name, "--sheet", tmp_path)
    assert (ran.code, ran.out) == (3, "")
    assert ".partial" not in ran.err
    for _ in range(2):
        assert comictool("query", library, "--id", name, "--sheet", tmp_path / "s.html").code == 0


def test_query_by_a_named_plugin(comictool: Run, library: Path, tmp_path: Path) -> None:
    picture = library / first_page(library)["image"]
    ran = comictool("query", library, "--image", picture, "--plugin", "classic", "--json")
    assert ran.code == 0
    assert ran.json() == comictool("query", library, "--image", picture, "--json").json()
    wrong = comictool("query", library, "--image", picture, "--plugin", "timm:test_resnet?random")
    assert (wrong.code, wrong.out) == (3, "")
    assert comictool("query", library, "--image", picture, "--plugin-dir", tmp_path).code == 2


def test_bytes_that_are_no_utf8(library: Path) -> None:
    run = [sys.executable, "-m", "comictool"]
    ran = subprocess.run([*run, "query", library, "--id", b"\xff/1"], capture_output=True, check=False)
    assert (ran.returncode, ran.stdout) == (3, b"")
    assert b"not in the store" in ran.stderr
    picture = library / first_page(library)["image"]
    folder = Path(os.fsdecode(os.fsencode(library.parent) + b"/bad\xff"))
    folder.mkdir()
    (folder / "1.png").symlink_to(picture)
    ran = subprocess.run([*run, "index", folder, "-o", library.parent / "odd", "-q"], capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_json_is_json_on_an_ascii_stream(library: Path) -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    run = [sys.executable, "-c", "from comictool.cli.output import *; Output(Format.json).record({'a': '\U0001f600é'})"]
    ran = subprocess.run(run, capture_output=True, check=True, env=environment)
    assert json.loads(ran.stdout) == {"a": "\U0001f600é"}


def test_closed_streams_are_no_bug(library: Path) -> None:
    name = first_page(library)["comic"] + "/1"
    for closed in (">&-", "2>&-"):
        line = f'"{sys.executable}" -m comictool query "$0" --id "$1" {closed}'
        ran = subprocess.run(["sh", "-c", line, library, name], capture_output=True, check=False)
        assert ran.returncode == 0, ran.stderr
        assert ran.stderr == b""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_bad_input(comictool: Run, library: Path, tmp_path: Path) -> None:
    picture = tmp_path / "x.png"
    picture.write_bytes(b"x")
    picture.chmod(0)
    assert comictool("query", library, "--image", picture).code == 3
