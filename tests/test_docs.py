"""README and docs: rows of figures that a bench can write, and links that lead somewhere."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from tests.bench.figures import README, TABLE, replace_row

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]


def rows(file: Path) -> list[list[str]]:
    lines = [line for line in file.read_text("utf-8").splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "---" not in line][1:]


def test_each_figure_has_a_bench_and_a_day() -> None:
    for what, ours, _, command, day in rows(TABLE):
        bench = command.strip("` *").split()[0]
        assert (ROOT / "tests" / "bench" / f"{bench}.py").is_file(), command
        assert all((what, ours, date.fromisoformat(day))), command


def test_the_figures_of_the_readme_are_those_of_the_docs() -> None:
    assert all(row in [cells[:3] for cells in rows(TABLE)] for row in rows(README))


def test_a_row_takes_the_place_of_the_one_that_measures_the_same(tmp_path: Path) -> None:
    file = tmp_path / "figures.md"
    file.write_text("| what | ours |\n| --- | --- |\n| a | 1 |\n| b | 2 |\n\nEnd.\n")
    replace_row(file, "a", ["a", "3"], add=True)
    replace_row(file, "c", ["c", ""], add=True)
    replace_row(file, "d", ["d", "4"], add=False)
    assert file.read_text() == "| what | ours |\n| --- | --- |\n| a | 3 |\n| b | 2 |\n| c | |\n\nEnd.\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8"))
    assert not [link for link in links if "://" not in link and not (page.parent / link).exists()]


def test_the_map_names_files_that_are_there() -> None:
    named = re.findall(r"`((?:[a-z_0-9]+/)+(?:[a-z_0-9]+\.(?:py|md))?)`", (ROOT / "CONTRIBUTING.md").read_text("utf-8"))
    assert len(named) > 20
    assert not [name for name in named if not any((place / name).exists() for place in (ROOT, ROOT / "comictool"))]
