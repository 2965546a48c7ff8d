"""The research recipe as a user types it, on a drawn corpus: every step and its JSON; verify accepts the result."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import KILLED_AT, Run


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pages in two drawn comics; not to be changed."""
    root = tmp_path_factory.mktemp("steps")
    arguments = ["data", "draw", "-n", "6", "--comic-pages", "3", "--seed", "8", "--style", "flat", "-o", "drawn"]
    subprocess.run([sys.executable, "-m", "comictool", *arguments], cwd=root, check=True, capture_output=True)
    return root / "drawn"


@pytest.fixture
def corpus(comictool: Run, drawn: Path, tmp_path: Path) -> Path:
    """A copy of the drawn corpus that a test may change."""
    assert comictool("data", "convert", drawn, tmp_path / "corpus", "--to", "corpus", "-q").code == 0
    return tmp_path / "corpus"


def test_the_recipe_from_pages_to_packs(comictool: Run, corpus: Path) -> None:
    facts = comictool("data", "info", corpus, "--json").json()
    assert (facts["comics"], facts["pages"]) == (2, 6)
    panels = comictool("data", "export", "panels", corpus, "--json").json()
    assert panels["panels"] == facts["panels"] == len(list((corpus / "panel_images").rglob("*.jpg")))
    characters = comictool("data", "export", "characters", corpus, "--json").json()
    assert characters["characters"] == len(list((corpus / "character_images").rglob("*.jpg")))
    assert comictool("data", "normalize", corpus, "--json").code == 0
    split = comictool("data", "split", corpus, "--ratios", ".5,.25,.25", "--json").json()
    assert min(split["train"], split["val"], split["test"]) >= 1
    assert (corpus / "splits.json").is_file()
    packs = comictool("data", "hdf5", corpus, "--json").json()
    assert packs["pictures"] == panels["panels"] + characters["characters"]
    filtered = comictool("data", "filter", corpus, "--min-frequency", "3", "--json").json()
    assert filtered["kept"] + filtered["removed"] == characters["characters"]
    assert comictool("data", "metainfo", corpus, "--split", "train", "--json").code == 0
    assert comictool("data", "classes", corpus, "--column", "series", "--json").json()[0]["class"] == 0
    verified = comictool("data", "verify", corpus, "--decode", "--json")
    assert (verified.code, verified.json()) == (0, [])


@pytest.mark.parametrize("format", ["mast-csv", "comix-coco", "ai4va-coco", "dataspec", "kumiko", "manga109-xml"])
def test_other_formats_open_without_conversion(comictool: Run, drawn: Path, tmp_path: Path, format: str) -> None:
    written = comictool("data", "convert", drawn, tmp_path / "there", "--to", format, "--json")
    assert written.code == 0
    assert written.json()["losses"], "no other format holds everything a drawn page has"
    facts = comictool("data", "info", tmp_path / "there", "--json").json()
    assert facts["format"] == format
    assert facts["panels"] == written.json()["panels"] > 0
    exported = comictool("data", "export", "panels", tmp_path / "there", "-o", tmp_path / "crops", "--json").json()
    assert exported["panels"] == facts["panels"]


def test_dedupe_finds_a_copied_comic_and_split_keeps_it_on_one_side(
    comictool: Run, drawn: Path, tmp_path: Path
) -> None:
    pages = sorted(drawn.glob("page_images/*/*.jpg"))
    for folder, chosen in {"book": pages, "copy": pages[:3], "other": []}.items():
        (tmp_path / "in" / folder).mkdir(parents=True)
        for number, page in enumerate(chosen):
            (tmp_path / "in" / folder / f"{number}.jpg").write_bytes(page.read_bytes())
    corpus, report = tmp_path / "corpus", tmp_path / "report.json"
    assert comictool("data", "import", tmp_path / "in", "-o", corpus, "-q").code == 0
    found = comictool("data", "dedupe", corpus, "-o", report, "--sheet", tmp_path / "sheet.html", "--json")
    assert found.code == 1
    assert found.json()["comic_groups"] == [["book", "copy"]]
    assert found.json()["books"][0]["relation"] in ("inside", "same")
    assert (tmp_path / "sheet.html").is_file()
    assert comictool("data", "panels", corpus, "-q").code == 0
    split = comictool("data", "split", corpus, "--groups", report, "--json")
    assert split.code == 3  # two comics that are one cannot be on two sides: said, not done by pages
    assert comictool("data", "split", corpus, "--groups", tmp_path / "sheet.html").code == 3


def test_verify_names_what_is_wrong(comictool: Run, corpus: Path) -> None:
    picture = next((corpus / "page_images").rglob("page-1.*"))
    picture.unlink()
    file = next((corpus / "annotations" / "pages").glob("*.jsonl"))
    lines = file.read_text().splitlines()
    record = json.loads(lines[1])
    record["panels"].append({"id": 1, "box": [0, 0, 99999, 5]})
    file.write_text("\n".join([lines[0], json.dumps(record), *lines[2:]]) + "\n")
    ran = comictool("data", "verify", corpus, "--json")
    assert ran.code == 1
    assert {"picture", "duplicate", "box"} <= {finding["kind"] for finding in ran.json()}


def test_wrong_options_are_usage_errors(comictool: Run, drawn: Path) -> None:
    for arguments in (
        ["data", "split", drawn, "--ratios", "a,b"],
        ["data", "filter", drawn],
        ["data", "convert", drawn, "x", "--to", "cocoo"],
        ["data", "hdf5", drawn, "--layout", "round"],
        ["data", "export", "characters", drawn, "--part", "hats"],
    ):
        ran = comictool(*arguments)
        assert (ran.code, ran.out) == (2, ""), arguments
        assert "Traceback" not in ran.err


@pytest.mark.parametrize("step", [["export", "panels"], ["export", "characters"], ["normalize"], ["hdf5"]])
def test_verify_accepts_a_corpus_after_a_kill_and_a_second_run(comictool: Run, corpus: Path, step: list[str]) -> None:
    if step[0] == "normalize":
        comics = sorted((corpus / "annotations" / "pages").glob("*.jsonl"))
        old, new = comics[0].stem, "Straße & Öl"
        for file in [comics[0], *(corpus / "annotations" / "comics").glob(f"{old}.json")]:
            file.write_text(file.read_text().replace(old, new))
            file.rename(file.with_stem(new))
        (corpus / "page_images" / old).rename(corpus / "page_images" / new)
    if step[0] == "hdf5":
        for before in (["export", "panels"], ["split"]):
            assert comictool("data", *before, corpus).code == 0
    _kill_often(corpus, step)
    assert comictool("data", *step, corpus, "-q").code in (0, 1)
    verified = comictool("data", "verify", corpus, "--decode", "--json")
    assert (verified.code, verified.json()) == (0, [])


def test_panels_killed_often_are_those_of_a_run_that_was_not(comictool: Run, corpus: Path, tmp_path: Path) -> None:
    calm = tmp_path / "calm"
    shutil.copytree(corpus, calm)
    for root in (corpus, calm):
        for file in (root / "annotations" / "pages").glob("*.jsonl"):
            file.write_text(_without_panels(file.read_text()))
    assert comictool("data", "panels", calm, "-q").code == 0
    _kill_often(corpus, ["panels"])
    assert comictool("data", "panels", corpus, "-q").code == 0
    for file in (calm / "annotations" / "pages").glob("*.jsonl"):
        assert (corpus / "annotations" / "pages" / file.name).read_bytes() == file.read_bytes()
    assert not list((corpus / ".jobs" / "parts" / "panels").iterdir())


def _without_panels(lines: str) -> str:
    records = [json.loads(line) for line in lines.splitlines()]
    return "".join(json.dumps({**record, "panels": [], "runs": []}) + "\n" for record in records)


def _kill_often(corpus: Path, step: list[str]) -> None:
    killed = 0
    for moment in (0, 2, 4, 6, 9, 12):  # of what a run does to the disk; a later one may end before
        ran = subprocess.run(
            [sys.executable, "-c", KILLED_AT, str(moment), "data", *step, str(corpus), "-q"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            check=False,
        )
        killed += ran.returncode == -signal.SIGKILL
    assert killed >= 3


def test_what_was_never_split_is_told_to_be(comictool: Run, drawn: Path, tmp_path: Path) -> None:
    """F8: a corpus of another format was packed as a plain folder: no pictures, exit 0, a pack beside the corpus."""
    assert comictool("data", "convert", drawn, "mast", "--to", "mast-csv").code in (0, 1)
    (tmp_path / "empty").mkdir()
    before = sorted(path.name for path in tmp_path.iterdir())
    for place, hint in (("mast", "comictool data split mast"), ("empty", "comictool data split CORPUS")):
        ran = comictool("data", "hdf5", place)
        assert (ran.code, ran.out) == (3, "")
        assert hint in ran.err
    assert sorted(path.name for path in tmp_path.iterdir()) == before
