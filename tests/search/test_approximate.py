"""An index gives what exact search gives, of the vectors that are there now, and only one of the user is opened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from comictool.core.errors import UsageError
from comictool.search.approximate import build_index
from comictool.search.query import Query, query
from comictool.vectors import ann
from comictool.vectors.collection import StoreCollection, open_collection
from comictool.vectors.columns import Column
from comictool.vectors.published import write_column
from comictool.vectors.store import Store
from tests.bench.synthetic_store import make_store

pytest.importorskip("usearch")
PANELS, ID = 1200, "comic 00001/3/2"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own; and one thread, with which the same rows give the same index."""
    monkeypatch.setattr(ann, "cores", lambda: 1)
    monkeypatch.setenv("COMICTOOL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "ann"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hundred pages of ten views, six panels on each."""
    root = tmp_path_factory.mktemp("ann") / "store"
    make_store(root, PANELS, 32)
    return root


def opened(root: Path) -> StoreCollection:
    place = open_collection(root)
    assert isinstance(place, StoreCollection)
    return place


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"k": 60, "offset": 20},
        {"exclude_same_comic": True},
        {"comic_glob": "comic 00004"},
        {"group_by": "comic", "k": 3},
        {"group_by": "comic", "k": 500},
        {"filters": ("comic=comic 0000[35]",)},
        {"level": "page", "id": "comic 00001/3"},
        {"level": "comic", "k": 4},
    ],
)
def test_the_same_answers_and_scores_as_of_every_row(store: Path, asked: dict[str, object]) -> None:
    wanted = Query(**{"id": ID, **asked})  # type: ignore[arg-type]
    with opened(store) as place:
        facts = build_index(place, "page/image" if asked.get("level") == "page" else "panel/image")
        assert facts.recall > 0.97
        assert facts.low < facts.recall <= facts.high
        exact, found = query(place, replace(wanted, exact=True)), query(place, replace(wanted, ann=True))
    assert len(found) == len(exact)
    assert len({hit.id for hit in exact} & {hit.id for hit in found}) >= 0.8 * len(exact)
    scores = {hit.id: hit.score for hit in exact}
    assert all(hit.score == scores[hit.id] for hit in found if hit.id in scores)


def test_an_index_of_other_vectors_is_not_met_and_goes_when_a_new_one_is_made(tmp_path: Path, cache: Path) -> None:
    make_store(tmp_path / "store", 60, 8, views=1)
    with opened(tmp_path / "store") as place:
        build_index(place, "panel/image")
        assert place.index("panel/image") is not None
        names = {}
        for crop in place.store.metadata.all_crops("panel"):
            names.setdefault(crop[0].rsplit("/", 2)[0], []).append(crop[2].name)
    rng = np.random.default_rng(0)

    def pieces():  # half of the panels have a vector now
        for comic, own in names.items():
            rows = rng.standard_normal((len(own[::2]), 8)).astype(np.float32)
            yield comic, own[::2], rows / np.linalg.norm(rows, axis=1, keepdims=True)

    write_column(tmp_path / "store", Column("panel", "image", "made-up@1+none+own", 8), pieces())
    with opened(tmp_path / "store") as place:
        assert place.index("panel/image") is None
        before = query(place, Query(id="comic 00000/1/1", ann=True))
        assert build_index(place, "panel/image").count == 30
        assert [hit.id for hit in query(place, Query(id="comic 00000/1/1", ann=True))] == [hit.id for hit in before]
    assert len(list(cache.glob("*/index.json"))) == 1


def test_no_index_of_somebody_else_is_opened(store: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(store) as place:
        build_index(place, "panel/image")
        column = place.columns["panel/image"]
        folder = ann.index_folder(column)
        rows, facts = folder / ann.ROWS, folder / ann.FACTS
        assert ann.open_index(column) is not None
        rows.chmod(0o666)  # anybody could have written it
        assert ann.open_index(column) is None
        rows.chmod(0o600)
        told, whole = facts.read_bytes(), rows.read_bytes()
        for damaged in (b"{", b"[]", told.replace(b'"rows": 1200', b'"rows": 1199'), told.replace(b"1200", b"0")):
            facts.write_bytes(damaged)
            assert ann.open_index(column) is None
        facts.write_bytes(told)
        for damaged in (whole[:-1], b"", b"\0" * len(whole)):
            rows.write_bytes(damaged)
            assert ann.open_index(column) is None
        rows.unlink()
        (cache / "elsewhere").write_bytes(whole)
        rows.symlink_to(cache / "elsewhere")
        assert ann.open_index(column) is None
        rows.unlink()
        rows.write_bytes(whole)
        assert ann.open_index(column) is not None
        monkeypatch.setattr(ann, "installed", lambda: False)
        assert ann.open_index(column) is None
    assert not any("usearch" in file.name for file in store.rglob("*"))


def test_a_kill_while_one_is_made_leaves_none(store: Path, cache: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from comictool.vectors import ann\n"
        "from comictool.search.approximate import build_index\n"
        "from comictool.vectors.collection import open_collection\n"
        "ann.write_json = lambda *a: os.kill(os.getpid(), signal.SIGKILL)\n"
        "build_index(open_collection(Path(sys.argv[1])), 'panel/image')"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(store)], env={**os.environ}, check=False)
    assert killed.returncode == -signal.SIGKILL
    with opened(store) as place:
        assert place.index("panel/image") is None
        build_index(place, "panel/image")
        assert place.index("panel/image") is not None
    assert not list(cache.glob(".*.tmp"))


def test_what_contradicts_is_said(store: Path) -> None:
    with pytest.raises(UsageError, match="--exact"):
        Query(id=ID, ann=True, exact=True)
    with Store.open(store) as one, pytest.raises(UsageError, match="one column"):
        query(StoreCollection(one), Query(id=ID, ann=True, columns=(("image", 1.0), ("image", 2.0))))


def test_the_command_makes_an_index_and_says_how_good_it_is(store: Path) -> None:
    command = [sys.executable, "-m", "comictool", "query", str(store), "--id", ID, "-k", "3"]
    first = subprocess.run([*command, "--ann"], capture_output=True, text=True, check=True)
    assert "recall@10" in first.stderr
    again = subprocess.run([*command, "--ann"], capture_output=True, text=True, check=True)
    assert "recall@10" not in again.stderr
    assert first.stdout == again.stdout
