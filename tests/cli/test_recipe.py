"""The recipe of docs/training.md, from pages to a search for characters, run on an outsider's CSV layout."""

from __future__ import annotations

import csv
import re
import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import Run

RECIPE = Path(__file__).parents[2] / "docs" / "training.md"
# Shorter runs of the same commands; what they print is not judged here.
SHORTER = {
    ("train", "asterx"): ["--epochs", "2", "--device", "cpu"],
    ("train", "elric"): ["--max-steps", "8", "--batch-size", "16", "-j", "0", "--device", "cpu"],
    ("evaluate", "elric"): ["--limit", "40", "--no-linear"],
}
# Characters without a name or a panel are told with exit code 1, and the rest is done.
TOLD = {("data", "export", "characters"), ("features", "backbone", "comics", "--level", "character")}


def recipe_lines() -> list[list[str]]:
    """The arguments of each line of the recipe."""
    block = re.search(r"<!-- recipe -->\n```\n(.*?)```", RECIPE.read_text("utf-8"), re.DOTALL)
    assert block, "docs/training.md has no recipe"
    lines = [shlex.split(line, comments=True) for line in block[1].split("\n") if line]
    assert all(line[0] == "comictool" for line in lines)
    return [line[1:] for line in lines]


@pytest.mark.slow
def test_the_recipe_runs_line_by_line_from_pages_to_a_search(comictool: Run, tmp_path: Path) -> None:
    drawing, *steps, asking = recipe_lines()
    assert drawing[:2] == ["data", "draw"]
    drawn = comictool("data", "draw", "-n", "60", "--story", "--width", "320", "--height", "440", "-o", "drawn")
    assert drawn.code == 0, drawn.err
    converted = comictool("data", "convert", "drawn", "comics", "--to", "mast-csv")
    assert converted.code in (0, 1), converted.err  # 1: it names what was wrong in the source
    assert not (tmp_path / "comics" / "corpus.toml").exists()
    for step in steps:
        more = next((more for start, more in SHORTER.items() if tuple(step[:2]) == start), [])
        ran = comictool(*step, *more)
        told = any(tuple(step[: len(start)]) == start for start in TOLD)
        assert ran.code in ((0, 1) if told else (0,)), (step, ran.err)
        assert ran.out, step
        assert "Traceback" not in ran.err, step
    with (tmp_path / "comics/annotations/characters_crops.csv").open(encoding="utf-8", newline="") as stream:
        crop = next(csv.DictReader(stream))["file"]
    # The drawn panels are JPEG crops of JPEG pages: a crop is not the very pixels that its vector is of.
    found = comictool(*[f"comics/{crop}" if word == "figure.jpg" else word for word in asking], "--json")
    assert found.code == 0, found.err
    comic, name = Path(crop).parent.name, Path(crop).stem
    own = "/".join([comic, *name.split("_", 2)])
    first = found.json()[0]
    assert first["id"] == own
    assert first["score"] > 0.95
    assert first["image"].startswith(str(tmp_path / "comics" / "page_images" / comic))
    assert first["box"]
    assert (tmp_path / "similar.html").is_file()
    others = comictool("query", "characters", "--id", own, "-k", "3", "--json")
    assert others.code == 0, others.err
    assert len(others.json()) == 3
    assert own not in {hit["id"] for hit in others.json()}
    panel = own.rsplit("/", 1)[0]
    assert comictool("query", "features", "--id", panel, "-k", "1", "--json").json()[0]["id"] != panel


def test_every_line_of_the_recipe_names_what_an_earlier_line_wrote() -> None:
    """What must lie beside what is no puzzle: each folder that is read was made above it."""
    made: set[str] = set()
    for line in recipe_lines()[:-1]:
        read = {line[2] if line[:2] != ["data", "export"] else line[3]} if line[:2] != ["data", "draw"] else set()
        read |= {line[i + 1] for i, word in enumerate(line) if word in ("--features", "--model")}
        read |= {line[i + 1].removesuffix("/model") for i, word in enumerate(line) if word == "--plugin"} - {"classic"}
        assert read <= made, line
        made |= {line[i + 1] for i, word in enumerate(line) if word == "-o"}
    assert recipe_lines()[-1][1] in made
