"""Names: safe, unlike each other, the same in every folder and file, and given back."""

from __future__ import annotations

import csv
import itertools
import json
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comictool.core.errors import InputError
from comictool.core.jobs import JobOptions
from comictool.core.ledger import Ledger
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import Text
from comictool.datasets.exporting.characters import export_characters
from comictool.datasets.exporting.panels import export_panels
from comictool.datasets.filtering.identities import filter_characters
from comictool.datasets.normalizing.normal_names import assign_names, normal_name
from comictool.datasets.normalizing.normalize import normalize_names, undo_names
from comictool.datasets.packs.packing import pack_corpus
from comictool.datasets.packs.reading import Pack
from comictool.datasets.splitting.split import SplitOptions, split_dataset
from tests.formats import mast_fixture as fixture
from tests.formats.mast_fixture import ALIKE_A, KANJI, PLAIN, QUOTED, SPACED

NORMAL = {
    PLAIN: "plain_comic",
    SPACED: "science_comics_001",
    QUOTED: "tintin_-l-ile_noire-",
    "Café é": "cafe_e",
    "What If!": "what_if-",
    "What If?": "what_if--2",
    KANJI: "gangno_lianjinshushi",
}
WRITERS = {"mast": fixture.write_mast, "native": fixture.write_native}


def export(root: Path) -> None:
    view = fixture.open_fixture(root)
    export_panels(view)
    export_characters(view)


def split(root: Path) -> None:
    split_dataset(fixture.open_fixture(root), split=SplitOptions(seed=3, ratios=(0.6, 0.2, 0.2)))


STEPS: dict[str, Callable[[Path], object]] = {"export": export, "normalize": normalize_names, "split": split}


def rows(file: Path) -> list[dict[str, str]]:
    with open(file, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("layout", WRITERS)
def test_any_order_of_steps_ends_in_the_same_place(tmp_path: Path, layout: str) -> None:
    results = {}
    final: dict[tuple[str, ...], dict[str, object]] = {}
    for order in itertools.permutations(STEPS):
        root = WRITERS[layout](tmp_path / "-".join(order) / "corpus")
        for step in order:
            STEPS[step](root)
        results[order] = fixture.contents(root)
        pack_corpus(root, options=JobOptions(jobs=1))
        filter_characters(root, min_frequency=2)
        final[order] = {
            **{name: content for name, content in fixture.contents(root).items() if not name.endswith(".hdf5")},
            **{file.name: list(Pack(file).entries()) for file in sorted(root.glob("processed/characters/*.hdf5"))},
        }
    first = results[tuple(STEPS)]
    assert any(name.startswith("panel_images/science_comics_001/1_25") for name in first)
    assert any(name.startswith("processed/characters/train_images/") for name in first)
    for order, found in results.items():
        assert sorted(found) == sorted(first), order
        assert found == first, order
        assert final[order] == final[tuple(STEPS)], order


@pytest.mark.parametrize("layout", WRITERS)
def test_every_file_has_the_new_names_and_undo_gives_the_old_ones_back(tmp_path: Path, layout: str) -> None:
    root = WRITERS[layout](tmp_path / "corpus")
    export(root)
    split(root)
    pack_corpus(root)
    before = fixture.contents(root)
    report = normalize_names(root)
    assert report.names.items() >= NORMAL.items()
    for name, content in fixture.contents(root).items():
        if name == "annotations/names.json" or name.endswith(".hdf5"):  # HDF5 leaves freed bytes as they were
            continue
        text = content.decode("utf-8", "ignore") if isinstance(content, bytes) else content
        for old in (SPACED, QUOTED, KANJI, "What If"):
            assert old not in name, name
            if "metadata" not in name and "annotations/comics" not in name and "panels.csv" not in name:
                assert old not in text, name
    view = fixture.open_fixture(root)
    assert sorted(view.comics()) == sorted(NORMAL.values())
    for comic in view.comics():
        for record in view.pages(comic):
            missing = comic == "cafe_e" and record.page == 2
            assert view.image_path(record).is_file() is not missing
    for pack in sorted(root.glob("processed/*/*.hdf5")):
        opened = Pack(pack)
        assert set(opened.comics()) <= set(NORMAL.values())
        assert all(opened.read_row(row) for row in range(len(opened)))
    assert (export_panels(view).done, export_characters(view).done) == (0, 0)  # the ledger was renamed too
    undo_names(root)
    after = fixture.contents(root)
    assert sorted(after) == sorted(before)
    assert {name for name in after if after[name] != before[name] and not name.endswith(".hdf5")} == set()


def test_mast_tables_are_rewritten_as_documented(tmp_path: Path) -> None:
    root = fixture.write_mast(tmp_path / "corpus")
    export_characters(fixture.open_fixture(root))
    normalize_names(root)
    assert {row["Document Name"] for row in rows(root / "annotations" / "panels.csv")} == set(NORMAL.values())
    metadata = {row["Document Directory"]: row["Title Norm"] for row in rows(root / "annotations" / "metadata.csv")}
    assert metadata[f"/corpus/{KANJI}"] == NORMAL[KANJI]
    assert metadata["/corpus/nowhere"] == ""  # a comic that has no panels stops nothing
    index = rows(root / "annotations" / "characters_indexing.csv")
    row = next(row for row in index if row["document"] == NORMAL[QUOTED])
    assert row["character"].startswith(NORMAL[QUOTED] + "_")
    assert row["panel_id"].startswith(NORMAL[QUOTED] + "/")


def test_character_names_that_can_be_read_in_two_ways(tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    (root / "annotations").mkdir(parents=True)
    with open(root / "annotations" / "characters_indexing.csv", "w", newline="") as stream:
        csv.writer(stream).writerows([["character", "document"], ["A_b_1", "A"], ["A_b_1", "A_b"]])
    normalize_names(root)
    assert [r["character"] for r in rows(root / "annotations" / "characters_indexing.csv")] == ["a_b_1", "a_b_1"]
    (root / "annotations" / "names.json").write_text(
        json.dumps({"version": 1, "names": {"a": "One", "a_b": "Two"}}), "utf-8"
    )
    undo_names(root)
    assert [r["character"] for r in rows(root / "annotations" / "characters_indexing.csv")] == ["One_b_1", "Two_1"]


def test_dry_run_says_everything_and_does_nothing(tmp_path: Path) -> None:
    root = fixture.write_mast(tmp_path / "corpus")
    before = fixture.contents(root)
    report = normalize_names(root, dry_run=True)
    assert (f"page_images/{ALIKE_A}", "page_images/what_if--2") in report.folders
    assert report.names.items() >= NORMAL.items()
    assert fixture.contents(root) == before
    assert not (root / ".jobs").exists()


def test_again_does_nothing_and_new_comics_never_take_a_name_that_is_taken(tmp_path: Path) -> None:
    root = fixture.write_native(tmp_path / "corpus", [ALIKE_A])
    normalize_names(root)
    before = fixture.contents(root)
    assert not normalize_names(root).names
    assert fixture.contents(root) == before
    corpus = Corpus.open(root)
    record = corpus.pages("what_if-")[0]
    record.comic = "What If;"
    corpus.write_pages("What If;", [record])
    assert normalize_names(root).names == {"What If;": "what_if--2"}
    assert sorted(corpus.comics()) == ["what_if-", "what_if--2"]
    undo_names(root)
    assert sorted(corpus.comics()) == ["What If;", "What If?"]


def test_accents_encoded_in_another_way_are_the_same_comic(tmp_path: Path) -> None:
    root = fixture.write_mast(tmp_path / "corpus", ["Café é"])
    (root / "page_images" / "Café é").rename(root / "page_images" / unicodedata.normalize("NFD", "Café é"))
    normalize_names(root)
    assert [f.name for f in (root / "page_images").iterdir()] == ["cafe_e"]


def test_names_may_swap(tmp_path: Path) -> None:
    root = fixture.write_native(tmp_path / "corpus", [PLAIN])
    corpus = Corpus.open(root)
    other = corpus.pages(PLAIN)[0]
    other.comic = "second"
    corpus.write_pages("second", [other])
    (root / "annotations" / "names.json").write_text(
        json.dumps({"version": 1, "names": {PLAIN: "second", "second": PLAIN}}), "utf-8"
    )
    pages = {comic: len(corpus.pages(comic)) for comic in corpus.comics()}
    undo_names(root)
    assert {comic: len(corpus.pages(comic)) for comic in corpus.comics()} == {"second": pages[PLAIN], PLAIN: 1}


def test_csv_style_is_kept(tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    (root / "annotations").mkdir(parents=True)
    file = root / "annotations" / "panels.csv"
    header = '"Document Name";"Document Directory";"Page Number";"Region Vertices";"Annotation Notes"\r\n'
    file.write_bytes(b"\xef\xbb\xbf" + f'{header}"Ünï";"/x";"1";"(0,0),(5,5)";"1"\r\n'.encode())
    normalize_names(root)
    assert file.read_bytes() == b"\xef\xbb\xbf" + f'{header}"uni";"/x";"1";"(0,0),(5,5)";"1"\r\n'.encode()


def test_a_running_export_is_not_disturbed(tmp_path: Path) -> None:
    root = fixture.write_mast(tmp_path / "corpus", [PLAIN])
    export(root)
    before = fixture.contents(root)
    with Ledger(root / ".jobs", "export panels").writing(), pytest.raises(InputError, match="already working"):
        normalize_names(root)
    assert fixture.contents(root) == before


def test_coco_paths_are_renamed(tmp_path: Path) -> None:
    root = fixture.write_native(tmp_path / "corpus", [PLAIN])
    file = root / "annotations" / "train.json"
    images = [{"file_name": f"{PLAIN}/1.jpg"}, {"file_name": f"page_images/{PLAIN}/2.jpg"}, {"file_name": "x/3.jpg"}]
    file.write_text(json.dumps({"images": images, "text": f"{PLAIN}/not a path"}), "utf-8")
    normalize_names(root)
    value = json.loads(file.read_text("utf-8"))
    assert [image["file_name"] for image in value["images"]] == [
        "plain_comic/1.jpg",
        "page_images/plain_comic/2.jpg",
        "x/3.jpg",
    ]
    assert value["text"] == f"{PLAIN}/not a path"


def test_conflicts_stop_before_anything_changes(tmp_path: Path) -> None:
    root = fixture.write_mast(tmp_path / "corpus", [PLAIN])
    normalize_names(root)
    (root / "page_images" / PLAIN).mkdir()  # somebody put the old folder back
    before = fixture.contents(root)
    with pytest.raises(InputError, match="would both become"):
        normalize_names(root)
    assert fixture.contents(root) == before
    with pytest.raises(InputError, match="not normalised"):
        undo_names(tmp_path)
    with pytest.raises(InputError, match="no comics"):
        normalize_names(tmp_path / "nothing")


@given(st.text(min_size=0, max_size=150))
def test_normal_names_are_safe_and_stable(name: str) -> None:
    normal = normal_name(name)
    assert set(normal) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")
    assert 0 < len(normal) <= 110
    assert not normal.startswith("-")
    assert normal_name(normal) == normal


@given(st.lists(st.text(alphabet="aA é!?_-2", min_size=1, max_size=6), unique=True))
def test_names_never_collide(comics: list[str]) -> None:
    names = assign_names(comics, {}, {comic: comic for comic in comics})
    assert len(set(names.values())) == len(comics)
    known = {normal: comic for comic, normal in names.items()}
    assert assign_names(list(names.values()), known, {n: n for n in names.values()}) == {n: n for n in names.values()}


def test_published_form_of_plain_titles() -> None:
    # Lower-case, punctuation to dashes, spaces to underscores, dashes run together.
    assert normal_name("The Spirit (1946) No. 5") == "the_spirit_-1946-_no-_5"
    assert normal_name('Tintin\'s "Moon" & Co') == "tintin-s_-moon-_-_co"
    assert normal_name("CON") == "_con"


def test_texts_and_names_may_hold_other_line_separators(tmp_path: Path) -> None:
    """U+2028 and U+0085 end a line for `str.splitlines`, but not in JSON, which may hold them as they are."""
    root = fixture.write_native(tmp_path / "corpus")
    corpus = Corpus.open(root)
    spoken = "one\u2028two\u0085three"
    pages = corpus.pages(PLAIN)
    pages[0].texts.append(Text(1, spoken))
    corpus.write_pages(PLAIN, pages)
    export(root)
    ledger = root / ".jobs" / "export-panels.jsonl"
    finished = ledger.read_text("utf-8").count("\n")
    first = json.loads(ledger.read_text("utf-8").split("\n")[0])
    first["problems"] = [[f"{PLAIN}/1", spoken]]
    ledger.write_text(ledger.read_text("utf-8") + json.dumps(first, ensure_ascii=False) + "\n", "utf-8")
    normalize_names(root)
    assert Corpus.open(root).pages(NORMAL[PLAIN])[0].texts[0].text == spoken
    lines = ledger.read_text("utf-8").rstrip("\n").split("\n")
    assert len(lines) == finished + 1
    assert json.loads(lines[-1])["problems"] == [[f"{NORMAL[PLAIN]}/1", spoken]]
