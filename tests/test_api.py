"""`import comictool`: light, complete, typed, and as docs/python.md shows it."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import comictool as ct
from tests.panels.panel_pages import page_of

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/python.md"
HEAVY = ("numpy", "torch", "PIL", "rich", "typer", "zarr", "h5py", "sqlite3")


def python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COMICTOOL_CACHE": str(folder / "cache")}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


def test_importing_it_imports_nothing_of_weight(tmp_path: Path) -> None:
    ran = python(f"import sys, comictool; print([m for m in {HEAVY} if m in sys.modules], len(sys.modules))", tmp_path)
    heavy, _, count = ran.stdout.rpartition(" ")
    assert heavy == "[]", ran.stderr
    assert int(count) < 120, "a bare interpreter has about fifty modules"


@pytest.mark.parametrize("name", ct.__all__)
def test_every_name_is_there_and_explained(name: str) -> None:
    assert getattr(ct, name) is not None
    assert name in dir(ct)
    if name != "__version__":
        assert getattr(ct, name).__doc__
        assert f"`{name}`" in PAGE.read_text("utf-8")


def test_a_wrong_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ct.nothing  # noqa: B018


def test_type_checkers_see_the_same_names_in_the_same_places() -> None:
    """The imports under TYPE_CHECKING against the table by which names are imported at run time."""
    tree = ast.parse(Path(ct.__file__).read_text("utf-8"))
    typed = {
        alias.asname: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("comictool")
        for alias in node.names
    }
    lazy = {name: f"comictool.{module}.{name}" for name, module in ct._MODULE_OF.items()}
    assert typed == {**lazy, "metrics": "comictool.metrics"}
    assert set(ct.__all__) == {*typed, "__version__"}
    assert (Path(ct.__file__).parent / "py.typed").is_file()


def test_the_page_runs_as_one_script(tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COMICTOOL_CACHE": str(tmp_path / "cache")}
    ran = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240
    )
    assert ran.returncode == 0, ran.stderr
    assert "<corpus of 1 comics at comics>" in ran.stdout
    assert ran.stderr == ""


def test_panels_of_one_page_by_columns() -> None:
    boxes = [(x, y, x + 200, y + 160) for y in (30, 220, 410) for x in (40, 260)]
    page = page_of(boxes, size=(500, 600))
    assert [panel.box[0] < 250 for panel in ct.find_panels(page)] == [True, False] * 3
    assert [panel.box[0] < 250 for panel in ct.find_panels(page, order="columns")] == [True] * 3 + [False] * 3
    with pytest.raises(ValueError, match="spiral"):
        ct.find_panels(page, order="spiral")


def test_open_says_what_it_found(tmp_path: Path) -> None:
    ct.draw(tmp_path / "drawn", pages=2, seed=1)
    corpus = ct.open(str(tmp_path / "drawn"))
    assert (corpus.kind, corpus.store, len(list(corpus.pages()))) == ("corpus", None, 2)
    with pytest.raises(ct.ComicError, match="no vectors"):
        corpus.query(id="a/1")
    ct.embed(tmp_path / "drawn", tmp_path / "drawn/store")
    assert ct.open(tmp_path / "drawn").kind == "library"
    page = next(page for page in corpus.pages() if len(page.panels) > 1)
    only = [f"page={page.page}", "panels>=2"]
    library, own = ct.open(tmp_path / "drawn"), f"{page.id}/1"
    every = [hit.id for hit in library.query(id=own, filters=only)]
    assert every == [name for name in every if name.startswith(f"{page.id}/") and name != own]
    assert [hit.id for hit in library.query(id=own, filters=only, offset=1)] == every[1:]
    assert [hit.id for hit in library.query(id=own, filters=only, group_by="comic", weights={"id": 2})] == every[:1]
    with pytest.raises(ct.ComicError, match="not asked"):
        library.query(id=own, weights={"text": 1})
    store = ct.open(tmp_path / "drawn/store")
    assert (store.kind, store.view) == ("store", None)
    with pytest.raises(ct.ComicError, match="vectors alone"):
        next(store.pages())
    with pytest.raises(ct.ComicError):
        ct.open(tmp_path / "nothing")
