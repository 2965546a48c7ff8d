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
from comictool.plugins.load import EncoderSpec
from comictool.search.query import Query, query
from comictool.vectors.collection import open_collection
from comictool.vectors.columns import Column
from comictool.vectors.metadata import MetadataWriter, PageEntry
from comictool.vectors.published import write_column
from comictool.vectors.store import Store, read_head
from comictool.vectors.views import VIEWS
from tests.vectors.fakes import FakeEncoder, ask, embed_corpus, fake, make_corpus, make_page

COMICS = {"b": 6, "a 10": 4, "a 2": 8, "odd 'name' % [x]": 3}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> tuple[Corpus, Path]:
    folder = tmp_path_factory.mktemp("library")
    corpus = make_corpus(folder, COMICS)
    embed_corpus(corpus, fake(), folder / "store", options=JobOptions(jobs=1))
    return corpus, folder / "store"


def ids_and_cosines(root: Path, level: str, query: np.ndarray) -> list[tuple[str, float]]:
    """All items by falling cosine, in float64, from the files themselves."""
    with Store.open(root) as store:
        array = store.columns[f"{level}/image"].rows
        rows = array.take(range(array.rows)).astype(np.float64)
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
        return store.columns[f"{level}/image"].vectors([row])[0]


def test_panel_and_page_by_id(library: tuple[Corpus, Path]) -> None:
    _, root = library
    everything = ids_and_cosines(root, "panel", vector(root, "panel", 0))
    assert everything[0][0] == "a 2/1/1"
    hits = ask(root, id="a 2/1/1", k=5)
    assert [(hit.id, pytest.approx(hit.score)) for hit in hits] == everything[1:6]
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5]
    pages = ids_and_cosines(root, "page", vector(root, "page", 0))
    hits = ask(root, id="a 2/1", k=100)
    assert [(hit.id, pytest.approx(hit.score)) for hit in hits] == [item for item in pages if item[0] != "a 2/1"]
    assert hits[0].panel is None
    assert hits[0].image.is_file()


def test_a_hit_knows_its_place(library: tuple[Corpus, Path]) -> None:
    corpus, root = library
    for hit in ask(root, id="b/2/1", k=100):
        record = next(page for page in corpus.pages(hit.comic) if page.page == hit.page)
        panel = next(panel for panel in record.panels if panel.id == hit.panel)
        assert hit.box == panel.box
        assert hit.image == corpus.image_path(record).resolve()
        assert hit.id == record.panel_id(panel)
        assert json.loads(json.dumps(hit.as_dict()))["box"] == list(panel.box)


def test_levels_may_be_crossed(library: tuple[Corpus, Path]) -> None:
    _, root = library
    hits = ask(root, id="b/1/1", level="page", k=1)  # the panel is the whole page
    assert (hits[0].id, hits[0].score) == ("b/1", pytest.approx(1.0))
    hits = ask(root, id="b/1", level="panel", k=1)
    assert (hits[0].id, hits[0].score) == ("b/1/1", pytest.approx(1.0))


def test_by_image(library: tuple[Corpus, Path]) -> None:
    corpus, root = library
    encoder = FakeEncoder("fake@1+none+own", False)
    image = corpus.image_path(corpus.pages("b")[0])
    hits = ask(root, image=image, encoder=encoder, k=2)
    assert (hits[0].id, hits[0].score) == ("b/1", pytest.approx(1.0, abs=1e-3))
    assert ask(root, image=image, encoder=encoder, level="panel", k=1)[0].id == "b/1/1"
    with pytest.raises(InputError, match=r"made by fake@1\+none\+own, the plugin found is other"):
        ask(root, image=image, encoder=FakeEncoder("other", False))
    with pytest.raises(InputError, match=r"nothing\.png"):
        ask(root, image=root / "nothing.png", encoder=encoder)


def test_filters(library: tuple[Corpus, Path]) -> None:
    _, root = library
    everything = [hit.id for hit in ask(root, id="b/2/1", k=1000)]
    assert [hit.id for hit in ask(root, id="b/2/1", k=1000, comic_glob="a *")] == [
        name for name in everything if name.startswith("a ")
    ]
    assert [hit.id for hit in ask(root, id="b/2/1", k=1000, exclude_same_comic=True)] == [
        name for name in everything if not name.startswith("b/")
    ]
    best: dict[str, str] = {}
    for name in everything:
        best.setdefault(name.split("/")[0], name)
    assert [hit.id for hit in ask(root, id="b/2/1", group_by="comic")] == list(best.values())
    assert ask(root, id="b/2/1", comic_glob="b", exclude_same_comic=True) == []
    assert [hit.comic for hit in ask(root, id="b/1", comic_glob="odd*", k=1)] == ["odd 'name' % [x]"]


def test_equal_scores_come_in_natural_order(tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path / "c")
    for comic in ("x 10", "x 9", "Y", "x 1"):
        pages = []
        for number in (10, 9, 2):
            page = make_page(corpus, "same", 1, 1)
            page.comic, page.page = comic, number
            pages.append(page)
        corpus.write_pages(comic, pages)
    embed_corpus(corpus, fake(), tmp_path / "s", options=JobOptions(jobs=1))
    names = [hit.id for hit in ask(tmp_path / "s", id="x 9/9", k=6)]
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
        ask(library[1], id=name)
    if near:
        assert near in refused.value.near


def test_wrong_questions(library: tuple[Corpus, Path], tmp_path: Path) -> None:
    root = library[1]
    for arguments in ({}, {"id": "b/1", "image": root}, {"id": "b/1", "k": 0}, {"id": "b/1", "level": "pannel"}):
        with pytest.raises(UsageError):
            ask(root, **arguments)  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        ask(root, image=root, exclude_same_comic=True)
    with pytest.raises(UsageError):
        ask(root, id="b/1", group_by="series")
    with pytest.raises(InputError, match="no comic") as refused:
        ask(root, id="b/1", comic_glob="a 1")
    assert "a 10" in refused.value.near
    with pytest.raises(InputError, match="not a store"):
        ask(tmp_path, id="b/1")


def test_columns_are_combined_by_weight(library: tuple[Corpus, Path], tmp_path: Path) -> None:
    """Against explicit loops: the mean of cosines by weight, where a row without a vector adds nothing."""
    shutil.copytree(library[1], tmp_path / "s")
    rng = np.random.default_rng(0)
    with Store.open(tmp_path / "s") as store:
        rows = store.columns["panel/image"].vectors(range(store.counts["panel"])).astype(np.float64)
        crops = [(name, crop.name) for name, _, crop in store.metadata.all_crops("panel")]
    told: dict[str, np.ndarray] = {}
    pieces: dict[str, list[tuple[str, np.ndarray]]] = {}
    for number, (id, name) in enumerate(crops):
        if number % 3:
            told[id] = rng.normal(size=5)
            pieces.setdefault(id.split("/")[0], []).append((name, told[id]))
    column = Column("panel", "sequence", "seq@1", 5, "float32", normalised=False)
    made = [(comic, [n for n, _ in own], np.array([v for _, v in own])) for comic, own in pieces.items()]
    write_column(tmp_path / "s", column, made)
    asked = crops[1][0]

    def cosine(one: np.ndarray, other: np.ndarray) -> float:
        return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))

    wanted = {
        id: (cosine(rows[1], rows[number]) + 3 * (cosine(told[asked], told[id]) if id in told else 0)) / 4
        for number, (id, _) in enumerate(crops)
        if id != asked
    }
    hits = ask(tmp_path / "s", id=asked, columns=(("image", 1.0), ("sequence", 3.0)), k=200)
    assert {hit.id: hit.score for hit in hits} == pytest.approx(wanted, abs=1e-6)
    assert [hit.score for hit in hits] == sorted(wanted.values(), reverse=True) or len(hits) == len(wanted)
    assert {hit.id for hit in ask(tmp_path / "s", id=asked, columns=(("sequence", 1.0),), k=200)} == set(told) - {asked}
    with pytest.raises(InputError, match="no vector panel/sequence"):
        ask(tmp_path / "s", id=crops[0][0], columns=(("sequence", 1.0),))
    with pytest.raises(InputError, match="no column panel/layout"):
        ask(tmp_path / "s", id=asked, columns=(("layout", 1.0),))


def test_a_library_is_its_store_and_may_move(library: tuple[Corpus, Path], tmp_path: Path) -> None:
    corpus, _ = library
    moved = tmp_path / "moved"
    shutil.copytree(corpus.root, moved)
    hit = ask(moved, id="b/1", k=1)[0]
    assert hit.image.is_relative_to(moved)


def test_pages_only(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "c", {"b": 3})
    embed_corpus(corpus, fake(), tmp_path / "s", options=JobOptions(jobs=1), levels=("page",))
    assert len(ask(tmp_path / "s", id="b/1")) == 2
    with pytest.raises(InputError, match="no vectors of panels"):
        ask(tmp_path / "s", id="b/1/1")
    with pytest.raises(InputError, match="no vectors of panels"):
        ask(tmp_path / "s", id="b/1", level="panel")


@pytest.fixture
def copied(library: tuple[Corpus, Path], tmp_path: Path) -> Path:
    """A store to damage."""
    shutil.copytree(library[1], tmp_path / "s")
    return tmp_path / "s"


def _change(root: Path, *path: str | int, value: object) -> None:
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
        (("columns",), {}),
        (("columns",), []),
        (("columns",), [{}] * 100),
        (("columns", 0, "level"), "book"),
        (("columns", 0, "modality"), "../image"),
        (("columns", 0, "folder"), "contents-000001/pages/../../../image"),
        (("columns", 0, "folder"), "contents-000001/panels/image"),
        (("columns", 0, "dimension"), 47),
        (("columns", 0, "dimension"), 10**12),
        (("columns", 0, "dimension"), True),
        (("columns", 0, "dtype"), "object"),
        (("columns", 0, "views"), [[0, 0, 1, 1]]),
        (("columns", 0, "views"), [[0, 0, 1, 7]] * 10),
        (("columns", 0, "views"), "all"),
        (("columns", 0, "encoder"), 7),
        (("corpus",), None),
        (("shard",), [3, 2]),
    ],
)
def test_damaged_roots(copied: Path, path: tuple[str | int, ...], value: object) -> None:
    _change(copied, *path, value=value)
    with pytest.raises(InputError):
        ask(copied, id="b/1")


def test_a_store_does_not_decide_what_is_read(copied: Path, tmp_path: Path) -> None:
    """A store from somewhere else names /etc, or a picture above its corpus: nothing is read there for a sheet."""
    private = make_page(Corpus.create(tmp_path / "private"), "b", 1, 0)
    (tmp_path / "private" / "corpus.toml").unlink()
    for nearby, corpus in (("../private", ""), ("", str(tmp_path / "private")), ("../../../../../../../etc", "/etc")):
        _change(copied, "corpus", value=nearby)
        _change(copied, "corpus_before", value=corpus or str(tmp_path / "private"))
        asked = Query(id="b/1")
        with open_collection(copied) as place:
            hits = query(place, asked)
            with pytest.raises(InputError, match="says that its corpus is") as refusal:
                write_query_sheet(tmp_path / "sheet.html", place, asked, hits)
        assert refusal.value.cause == "no picture is read from there"
        assert not (tmp_path / "sheet.html").exists()
    assert private.image


@pytest.mark.parametrize("image", ["../private.png", "/etc/private.png", "link.png"])
def test_a_picture_outside_of_the_corpus_is_refused(copied: Path, tmp_path: Path, image: str) -> None:
    corpus = make_corpus(tmp_path / "corpus", {"b": 2})
    (tmp_path / "private.png").write_bytes(corpus.image_path(corpus.pages("b")[0]).read_bytes())
    (corpus.root / "link.png").symlink_to(tmp_path / "private.png")
    _change(copied, "corpus_before", value=str(corpus.root))
    _change(copied, "corpus", value="")
    file = copied / read_head(copied).current / "metadata.sqlite"
    with sqlite3.connect(file) as base:
        base.execute("UPDATE pages SET image = ?", (image,))
    with pytest.raises(InputError, match="outside the corpus"):
        ask(copied, id="b/1")


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff\xfe", b'{"zarr_format": 2}', b"[" * 100_000])
def test_roots_that_are_not_json(copied: Path, damage: bytes) -> None:
    (copied / "zarr.json").write_bytes(damage)
    with pytest.raises(InputError):
        ask(copied, id="b/1")


@pytest.mark.parametrize("cut", [0, 1, 100, 5000])
def test_damaged_metadata(copied: Path, cut: int) -> None:
    file = copied / read_head(copied).current / "metadata.sqlite"
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(InputError, match="damaged"):
        ask(copied, id="b/1")


def test_a_store_cannot_make_code_run(copied: Path, library: tuple[Corpus, Path], tmp_path: Path) -> None:
    """Neither by naming a plugin with code, nor by claiming trust or a download for it."""
    witness = tmp_path / "ran"
    plugin = tmp_path / "evil"
    plugin.mkdir()
    (plugin / "main.py").write_text(f"open({str(witness)!r}, 'w')\nclass MainModule:\n    pass\n")
    hostile = {
        "plugin": str(plugin),
        "plugin_dirs": [str(tmp_path)],
        "weights": None,
        "random_weights": False,
        "trust": True,
        "allow_download": True,
    }
    _change(copied, "columns", 0, "encoder", value=hostile)
    image = library[0].image_path(library[0].pages("b")[0])
    with pytest.raises(ComicError, match="trust"):
        ask(copied, image=image)
    assert not witness.exists()
    spec = EncoderSpec.recalled(hostile)
    assert not spec.trust
    assert not spec.allow_download


def test_the_real_plugin_is_found_again(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "c", {"b": 3})
    embed_corpus(corpus, EncoderSpec("classic"), tmp_path / "s", options=JobOptions(jobs=1))
    hits = ask(tmp_path / "s", image=corpus.image_path(corpus.pages("b")[1]), k=1)
    assert (hits[0].id, hits[0].score) == ("b/2", pytest.approx(1.0, abs=1e-3))


def test_a_query_by_id_imports_nothing_heavy(library: tuple[Corpus, Path]) -> None:
    script = (
        "import sys; from pathlib import Path; from comictool.search.query import Query, query\n"
        f"assert query(Path({str(library[1])!r}), Query(id='b/1/1', k=3))\n"
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
