"""Commands on annotations in other formats: what they say, count and lead on to."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from tests.cli.conftest import Run
from tests.formats.test_published_layouts import NEW, book, page_picture, released


def test_info_lists_each_comic_in_every_format(comictool: Run, tmp_path: Path) -> None:
    """6.13: CSV and JSON lines gave totals only. 6.9: columns that say nothing make a table wide."""
    for name in ("A", "B"):
        book(tmp_path / "m109", "annotations", NEW, title=name, name=name)
        page_picture(tmp_path / "m109", f"images/{name}/003.jpg")
    rows = list(csv.DictReader(io.StringIO(comictool("data", "info", "m109", "--format", "csv").out)))
    lines = [json.loads(line) for line in comictool("data", "info", "m109", "--format", "jsonl").out.splitlines()]
    whole = json.loads(comictool("data", "info", "m109", "--format", "json").out)
    assert [(row["comic"], row["characters"]) for row in rows] == [("A", "2"), ("B", "2")]
    assert lines == whole["rows"]
    assert (whole["comics"], whole["characters"], whole["problems"]) == (2, 4, [])
    header = comictool("data", "info", "m109").out.splitlines()[0].split()
    assert header == ["comic", "pages", "panels", "characters", "identities", "texts", "direction"]


def test_what_is_not_used_is_said(comictool: Run, tmp_path: Path) -> None:
    """F1: nothing was said of the set that was left aside; it is a note, for the newer set has all its pages."""
    released(tmp_path / "m109")
    converted = comictool("data", "convert", "m109", "out", "--to", "corpus")
    assert converted.code == 0
    assert "annotations.v2018.05.31: its frames, bodies, faces and texts are not used" in converted.err
    shown = comictool("data", "info", "m109", "--json")
    assert shown.code == 0
    assert "annotations.v2018.05.31" in shown.out


def test_losses_are_one_report(comictool: Run, tmp_path: Path) -> None:
    """By kind and count, the same object for every format, said at the end."""
    released(tmp_path / "m109")
    for name in ("kumiko", "mast-csv", "comic-sequence"):
        ran = comictool("data", "convert", "m109", name, "--to", name, "--format", "json")
        value = json.loads(ran.out)
        assert value["read"] == {"comics": 1, "pages": 1, "panels": 1, "characters": 2, "texts": 3}
        assert {"format": name, "kind": "texts", "what": "", "count": 3} in value["losses"]
        assert f"not kept: {name} has no room for 3 texts" in ran.err


def test_what_needs_a_corpus_of_our_own_leads_to_convert(comictool: Run, tmp_path: Path) -> None:
    """F12: one sentence, and what it names works."""
    released(tmp_path / "m109")
    for command in (["embed", "m109", "-o", "store"], ["query", "m109", "--text", "hi"], ["data", "panels", "m109"]):
        ran = comictool(*command)
        assert (ran.code, ran.out) == (3, "")
        assert "try: comictool data convert m109 CORPUS --to corpus" in ran.err


def test_pictures_from_elsewhere(comictool: Run, tmp_path: Path) -> None:
    """F12: only `data convert` had --pictures-from."""
    book(tmp_path / "m109", "annotations", NEW)
    page_picture(tmp_path, "scans/ARMS/003.jpg")
    for command in (
        ["info", "m109"],
        ["export", "panels", "m109", "-o", "a"],
        ["export", "characters", "m109", "-o", "b"],
    ):
        assert comictool("data", *command).code != 0
        ran = comictool("data", *command, "--pictures-from", "scans")
        assert "is not there" not in ran.err
        assert "missing" not in ran.err
    assert len(list((tmp_path / "a").rglob("*.jpg"))) == 1
