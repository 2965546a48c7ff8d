"""Queries: what is found, in which order, and how wrong questions and damaged or hostile stores are answered."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from comictool.core.errors import ComicError, InputError, UsageError
from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.library.sheets import write_query_sheet
from comictool.search.embed import embed_corpus
from comictool.search.encoders import SpecChoice, recall
from comictool.search.metadata import MetadataWriter, PageEntry
from comictool.search.query import query_store
from comictool.search.store import Store, read_head
from comictool.search.views import VIEWS
from tests.search.fakes import FakeChoice, FakeEncoder, make_corpus, make_page

COMICS = {"b": 6, "a 10": 4, "a 2": 8, "odd 'name' % [x]": 3}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> tuple[Corpus, Path]:
    folder = tmp_path_factory.mktemp("library")
    corpus = make_corpus(folder, COMICS)
    embed_corpus(corpus, FakeChoice(), folder / "store", options=JobOptions(jobs=1))
    return corpus, folder / "store"


def ids_and_cosines(root: Path, level: str, query: np.ndarray) -> list[tuple[str, float]]:
    """All items by falling cosine, in float64, from the files themselves."""
    with Store.open(root) as store:
        array = store.vectors[level]
        rows = array.read(0, array.rows).astype(np.float64)
        wide = query.astype(np.float64)
        cosines = rows @ wide / np.linalg.norm(rows, axis=1) / np.linalg.norm(wide)
        entries = list(store.metadata.entries())
    if level == "page":
        cosines = cosines.reshape(-1, len(VIEWS)).max(axis=1)
        ids = [entry.id for entry in entries]
    else:
        ids = [f"{entry.id}/{panel.panel}" for entry in entries for panel in entry.panels]
    order = sorted(range(len(ids)), key=lambda n: (-round(cosines[n], 12), n))
    return [(ids[n], cosines[n]) for n in order]


def vector(root: Path, level: str, row: int) -> np.ndarray:
    with Store.open(root) as store:
        return store.vectors[level].read(row, row + 1)[0]


def test_panel_and_page_by_id(library: tuple[Corpus, Path]) -> None:
    _, root = library
    everything = ids_and_cosines(root, "panel", vector(root, "panel", 0))
    assert everything[0][0] == "a 2/1/1"
    hits = query_store(root, id="a 2/1/1", k=5)
    assert [(hit.id, pytest.approx(hit.score)) for hit in hits] == everything[1:6]
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5]
    pages = ids_and_cosines(root, "page", vector(root, "page", 0))
    hits = query_store(root, id="a 2/1", k=100)
    assert [(hit.id, pytest.approx(hit.score)) for hit in hits] == [item for item in pages if item[0] != "a 2/1"]
    assert hits[0].panel is None
    assert hits[0].image.is_file()


def test_a_hit_knows_its_place(library: tuple[Corpus, Path]) -> None:
    corpus, root = library
    for hit in query_store(root, id="b/2/1", k=100):
        record = next(page for page in corpus.pages(hit.comic) if page.page == hit.page)
        panel = next(panel for panel in record.panels if panel.id == hit.panel)
        assert hit.box == panel.box
        assert hit.image == corpus.image_path(record).resolve()
        assert hit.id == record.panel_id(panel)
        assert json.loads(json.dumps(hit.as_dict()))["box"] == list(panel.box)


def test_levels_may_be_crossed(library: tuple[Corpus, Path]) -> None:
    _, root = library
    hits = query_store(root, id="b/1/1", level="page", k=1)  # the panel is the whole page
    assert (hits[0].id, hits[0].score) == ("b/1", pytest.approx(1.0))
    hits = query_store(root, id="b/1", level="panel", k=1)
    assert (hits[0].id, hits[0].score) == ("b/1/1", pytest.approx(1.0))


def test_by_image(library: tuple[Corpus, Path]) -> None:
    corpus, root = library
    encoder = FakeEncoder("fake@1+none+own", False)
    image = corpus.image_path(corpus.pages("b")[0])
    hits = query_store(root, image=image, encoder=encoder, k=2)
    assert (hits[0].id, hits[0].score) == ("b/1", pytest.approx(1.0, abs=1e-6))
    assert query_store(root, image=image, encoder=encoder, level="panel", k=1)[0].id == "b/1/1"
    with pytest.raises(InputError, match=r"made by fake@1\+none\+own, the plugin found is other"):
        query_store(root, image=image, encoder=FakeEncoder("other", False))
    with pytest.raises(InputError, match=r"nothing\.png"):
        query_store(root, image=root / "nothing.png", encoder=encoder)


def test_filters(library: tuple[Corpus, Path]) -> None:
    _, root = library
    everything = [hit.id for hit in query_store(root, id="b/2/1", k=1000)]
    assert [hit.id for hit in query_store(root, id="b/2/1", k=1000, comic_glob="a *")] == [
        name for name in everything if name.startswith("a ")
    ]
    assert [hit.id for hit in query_store(root, id="b/2/1", k=1000, exclude_same_comic=True)] == [
        name for name in everything if not name.startswith("b/")
    ]
    best: dict[str, str] = {}
    for name in everything:
        best.setdefault(name.split("/")[0], name)
    assert [hit.id for hit in query_store(root, id="b/2/1", group_by="comic")] == list(best.values())
    assert query_store(root, id="b/2/1", comic_glob="b", exclude_same_comic=True) == []
    assert [hit.comic for hit in query_store(root, id="b/1", comic_glob="odd*", k=1)] == ["odd 'name' % [x]"]


def test_equal_scores_come_in_natural_order(tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path / "c")
    for comic in ("x 10", "x 9", "Y", "x 1"):
        pages = []
        for number in (10, 9, 2):
            page = make_page(corpus, "same", 1, 1)
            page.comic, page.page = comic, number
            pages.append(page)
        corpus.write_pages(comic, pages)
    embed_corpus(corpus, FakeChoice(), tmp_path / "s", options=JobOptions(jobs=1))
    names = [hit.id for hit in query_store(tmp_path / "s", id="x 9/9", k=6)]
    assert names == ["x 1/2", "x 1/9", "x 1/10", "x 9/2", "x 9/10", "x 10/2"]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("b/99", "b/6"),
        ("b/2/7", "b/2/2"),
        ("b/three", "b/1"),
        ("a2/3", "a 2/3"),
        ("a 2/3/x", "a 2/3"),
        ("", None),
        ("b", "b/1"),
        ("b/1/1/1", "b/1"),
        ("b/\u0661", "b/1"),
        ("b/99999999999999999999999", "b/1"),
    ],
)
def test_unknown_ids(library: tuple[Corpus, Path], name: str, near: str | None) -> None:
    with pytest.raises(InputError, match="is not in the store") as refused:
        query_store(library[1], id=name)
    if near:
        assert near in refused.value.near


def test_wrong_questions(library: tuple[Corpus, Path], tmp_path: Path) -> None:
    root = library[1]
    for arguments in ({}, {"id": "b/1", "image": root}, {"id": "b/1", "k": 0}, {"id": "b/1", "level": "pannel"}):
        with pytest.raises(UsageError):
            query_store(root, **arguments)  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        query_store(root, image=root, exclude_same_comic=True)
    with pytest.raises(UsageError):
        query_store(root, id="b/1", group_by="series")
    with pytest.raises(InputError, match="no comic") as refused:
        query_store(root, id="b/1", comic_glob="a 1")
    assert "a 10" in refused.value.near
    with pytest.raises(InputError, match="not a store"):
        query_store(tmp_path, id="b/1")


def test_a_library_is_its_store_and_may_move(library: tuple[Corpus, Path], tmp_path: Path) -> None:
    corpus, _ = library
    moved = tmp_path / "moved"
    shutil.copytree(corpus.root, moved)
    hit = query_store(moved, id="b/1", k=1)[0]
    assert hit.image.is_relative_to(moved)


def test_pages_only(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "c", {"b": 3})
    embed_corpus(corpus, FakeChoice(), tmp_path / "s", options=JobOptions(jobs=1), levels=("page",))
    assert len(query_store(tmp_path / "s", id="b/1")) == 2
    with pytest.raises(InputError, match="no vectors of panels"):
        query_store(tmp_path / "s", id="b/1/1")
    with pytest.raises(InputError, match="no vectors of panels"):
        query_store(tmp_path / "s", id="b/1", level="panel")


@pytest.fixture
def copied(library: tuple[Corpus, Path], tmp_path: Path) -> Path:
    """A store to damage."""
    shutil.copytree(library[1], tmp_path / "s")
    return tmp_path / "s"


def _change(root: Path, *path: str, value: object) -> None:
    file = root / "zarr.json"
    header = json.loads(file.read_text())
    inner = header["attributes"]
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    file.write_text(json.dumps(header))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format",), "other"),
        (("version",), 99),
        (("version",), "1"),
        (("current",), "../../somewhere"),
        (("current",), "contents-000009"),
        (("current",), 5),
        (("levels",), ["panel", "book"]),
        (("levels",), []),
        (("levels",), 3),
        (("modalities",), {}),
        (("modalities", "image", "dimension"), 47),
        (("modalities", "image", "dimension"), 10**12),
        (("modalities", "image", "dimension"), True),
        (("modalities", "image", "dtype"), "object"),
        (("modalities", "image", "views"), [[0, 0, 1, 1]]),
        (("modalities", "image", "views"), "all"),
        (("modalities", "image", "plugin"), 7),
        (("corpus",), None),
    ],
)
def test_damaged_roots(copied: Path, path: tuple[str, ...], value: object) -> None:
    _change(copied, *path, value=value)
    with pytest.raises(InputError):
        query_store(copied, id="b/1")


def test_a_store_does_not_decide_what_is_read(copied: Path, tmp_path: Path) -> None:
    """A store from somewhere else names /etc, or a picture above its corpus: nothing is read there for a sheet."""
    private = make_page(Corpus.create(tmp_path / "private"), "b", 1, 0)
    (tmp_path / "private" / "corpus.toml").unlink()
    for nearby, corpus in (("../private", ""), ("", str(tmp_path / "private")), ("../../../../../../../etc", "/etc")):
        _change(copied, "corpus_nearby", value=nearby)
        _change(copied, "corpus", value=corpus or str(tmp_path / "private"))
        hits = query_store(copied, id="b/1")
        with pytest.raises(InputError, match="says that its corpus is") as refusal:
            write_query_sheet(tmp_path / "sheet.html", copied, hits, id="b/1")
        assert refusal.value.cause == "no picture is read from there"
        assert not (tmp_path / "sheet.html").exists()
    assert private.image


@pytest.mark.parametrize("image", ["../private.png", "/etc/private.png", "link.png"])
def test_a_picture_outside_of_the_corpus_is_refused(copied: Path, tmp_path: Path, image: str) -> None:
    corpus = make_corpus(tmp_path / "corpus", {"b": 2})
    (tmp_path / "private.png").write_bytes(corpus.image_path(corpus.pages("b")[0]).read_bytes())
    (corpus.root / "link.png").symlink_to(tmp_path / "private.png")
    _change(copied, "corpus", value=str(corpus.root))
    _change(copied, "corpus_nearby", value="")
    file = copied / read_head(copied).current / "metadata.sqlite"
    with sqlite3.connect(file) as base:
        base.execute("UPDATE pages SET image = ?", (image,))
    with pytest.raises(InputError, match="outside the corpus"):
        query_store(copied, id="b/1")


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff\xfe", b'{"zarr_format": 2}', b"[" * 100_000])
def test_roots_that_are_not_json(copied: Path, damage: bytes) -> None:
    (copied / "zarr.json").write_bytes(damage)
    with pytest.raises(InputError):
        query_store(copied, id="b/1")


@pytest.mark.parametrize("cut", [0, 1, 100, 5000])
def test_damaged_metadata(copied: Path, cut: int) -> None:
    file = copied / read_head(copied).current / "metadata.sqlite"
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(InputError, match="damaged"):
        query_store(copied, id="b/1")


@pytest.mark.parametrize(
    "remembered",
    [
        {},
        {"name": 3},
        {"name": "x", "directories": "abc"},
        {"name": "x", "directories": [None]},
        {"name": "x\0y"},
        {"name": "x", "weights": 3},
        {"name": "x", "random_weights": "yes"},
    ],
)
def test_what_a_store_remembers_may_be_anything(remembered: dict) -> None:
    with pytest.raises(InputError, match="does not say"):
        recall(remembered)


def test_a_store_cannot_make_code_run(copied: Path, library: tuple[Corpus, Path], tmp_path: Path) -> None:
    """Neither by naming a plugin with code, nor by claiming trust or a download for it."""
    witness = tmp_path / "ran"
    plugin = tmp_path / "evil"
    plugin.mkdir()
    (plugin / "main.py").write_text(f"open({str(witness)!r}, 'w')\nclass MainModule:\n    pass\n")
    hostile = {
        "name": str(plugin), "directories": [str(tmp_path)], "weights": None, "random_weights": False,
        "trust": True, "allow_download": True,
    }  # fmt: skip
    _change(copied, "modalities", "image", "plugin", value=hostile)
    image = library[0].image_path(library[0].pages("b")[0])
    with pytest.raises(ComicError, match="trust"):
        query_store(copied, image=image)
    assert not witness.exists()
    spec = recall(hostile)
    assert not spec.trust
    assert not spec.allow_download


def test_the_real_plugin_is_found_again(tmp_path: Path) -> None:
    from comictool.plugins.load import EncoderSpec

    corpus = make_corpus(tmp_path / "c", {"b": 3})
    embed_corpus(corpus, SpecChoice(EncoderSpec("classic")), tmp_path / "s", options=JobOptions(jobs=1))
    hits = query_store(tmp_path / "s", image=corpus.image_path(corpus.pages("b")[1]), k=1)
    assert (hits[0].id, hits[0].score) == ("b/2", pytest.approx(1.0, abs=1e-3))


def test_a_query_by_id_imports_nothing_heavy(library: tuple[Corpus, Path]) -> None:
    script = (
        "import sys; from pathlib import Path; from comictool.search.query import query_store\n"
        f"assert query_store(Path({str(library[1])!r}), id='b/1/1', k=3)\n"
        "heavy = {'torch', 'zarr', 'PIL', 'scipy', 'pandas', 'timm', 'h5py', 'sklearn', 'comictool.plugins.load'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_full_disk_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = MetadataWriter(tmp_path / "metadata.sqlite")
    writer._connection.execute("PRAGMA max_page_count = 20")  # what SQLite says then is what it says of a full disk
    with pytest.raises(OSError, match="No space") as full:
        writer.add(PageEntry("comic", 1, "f" * 100_000, "image", 1, 1))
    assert full.value.errno == errno.ENOSPC
