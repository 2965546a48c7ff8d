"""`features backbone` as a library: right rows under right names, resumable, honest about what is missing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from comictool.core.errors import InputError, UsageError
from comictool.core.images import decode_array
from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import Character, PageRecord, Panel
from comictool.datasets.exporting.characters import CharacterOptions, export_characters
from comictool.datasets.exporting.crops import CropOptions
from comictool.datasets.exporting.panels import export_panels
from comictool.datasets.packs.packing import pack_folder
from comictool.features.backbone import BackboneReport
from comictool.features.backbone import backbone_features as run
from comictool.plugins.load import EncoderSpec, load_encoder
from comictool.search.query import Query, query
from comictool.vectors.job import EmbedOptions
from comictool.vectors.packs import FeaturePack, by_comic
from comictool.vectors.parts import Parts
from comictool.vectors.plan import _Grouping
from comictool.vectors.store import Store

CLASSIC = EncoderSpec("classic")
ONE = JobOptions(jobs=1)


def backbone_features(
    source: Path,
    spec: EncoderSpec,
    output: Path,
    *,
    level: str = "panel",
    options: JobOptions = ONE,
    dtype: str = "float32",
    **chosen: Any,
) -> BackboneReport:
    return run(source, spec, output, EmbedOptions((level,), dtype=dtype, **chosen), options=options)


@pytest.fixture(scope="module")
def corpus_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three comics of 2, 3 and 2 pages; eleven panels on one page, so that 10 must come after 9."""
    root = tmp_path_factory.mktemp("features") / "corpus"
    corpus = Corpus.create(root)
    rng = np.random.default_rng(1)
    for comic, pages in (("alpha", 2), ("beta", 3), ("gamma ä", 2)):
        records = []
        for number in range(1, pages + 1):
            count = 11 if (comic, number) == ("beta", 2) else 2
            blocks = rng.integers(0, 255, (count, 3), dtype=np.uint8)
            page = np.repeat(blocks, 40, axis=0)[:, None, :].repeat(120, axis=1).astype(np.uint8)
            page[:, :60] ^= rng.integers(0, 64, (count * 40, 60, 3), dtype=np.uint8)
            file = root / "page_images" / comic / f"page-{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(page).save(file)
            panels = [Panel(i + 1, (0, 40 * i, 120, 40 * i + 40), i + 1) for i in range(count)]
            people = [Character(1, (5, 5, 60, 35), panel=1, identity="Ann"), Character(2, (70, 2, 110, 38), panel=1)]
            people.append(Character(3, (10, 45, 60, 75), panel=2, identity="Bo"))
            image = f"page_images/{comic}/page-{number}.png"
            records.append(PageRecord(comic, number, image, 120, 40 * count, panels=panels, characters=people))
        corpus.write_pages(comic, records)
    return root


@pytest.fixture
def corpus(corpus_folder: Path, tmp_path: Path) -> Corpus:
    return Corpus.open(Path(shutil.copytree(corpus_folder, tmp_path / "corpus")))


def slow_loop(corpus: Corpus) -> dict[tuple[str, str], np.ndarray]:
    """Every panel by itself: its page opened anew, cut, and given to the encoder alone."""
    encoder = load_encoder(CLASSIC)
    expected = {}
    for record in corpus.all_pages():
        for panel in record.panels:
            x0, y0, x1, y1 = panel.box
            crop = decode_array(corpus.image_path(record))[y0:y1, x0:x1]
            expected[record.comic, f"{record.page}_{panel.id}"] = encoder.embed([np.ascontiguousarray(crop)])[0]
    return expected


def vectors(pack: FeaturePack) -> dict[tuple[str, str], np.ndarray]:
    return {
        (comic, name): row
        for comic in pack.comics()
        for name, row in zip(pack.names(comic), pack.matrix(comic), strict=True)
    }


def test_every_panel_has_its_own_vector_under_its_own_name(corpus: Corpus, tmp_path: Path) -> None:
    report = backbone_features(corpus.root, CLASSIC, tmp_path / "f", options=ONE)
    assert (report.job.problems, report.job.totals["panels"]) == ([], 23)
    (file,) = report.packs
    assert file.name == "all_features.hdf5"
    pack = FeaturePack(file)
    assert pack.comics() == ["alpha", "beta", "gamma ä"]
    assert pack.names("beta") == ["1_1", "1_2", *(f"2_{n}" for n in range(1, 12)), "3_1", "3_2"]
    expected, found = slow_loop(corpus), vectors(pack)
    assert found.keys() == expected.keys()
    for key, row in found.items():
        assert float(row @ expected[key]) > 0.999, key
        others = [other for other in expected if other != key]
        assert all(float(row @ expected[other]) < float(row @ expected[key]) for other in others)
    assert pack.attributes["normalised"] is True
    assert pack.attributes["level"] == "panel"
    assert pack.attributes["encoder_id"] == load_encoder(CLASSIC).encoder_id
    with Store.open(tmp_path / "f") as store:
        assert store.counts["panel"] == 23
        assert store.columns["panel/image"].present.all()


def test_names_are_those_of_data_hdf5(corpus: Corpus, tmp_path: Path) -> None:
    """Corpus, exported crops and their pack give the same names, and from lossless crops the same vectors."""
    png = CropOptions("png")
    export_panels(corpus, crops=png)
    export_characters(corpus, characters=CharacterOptions(crops=png, unidentified=True))
    cutting = CharacterOptions(unidentified=True)
    for level, folder in (("panel", "panel_images"), ("character", "character_images")):
        pack_folder(corpus.root / folder)
        packs = []
        for number, source in enumerate((corpus.root, corpus.root / folder, corpus.root / f"{folder}.hdf5")):
            report = backbone_features(source, CLASSIC, tmp_path / f"{level}-{number}", level=level, cutting=cutting)
            assert report.job.problems == []
            shutil.rmtree(tmp_path / f"{level}-{number}" / ".work")
            with pytest.MonkeyPatch.context() as without:  # a second run keeps every vector
                without.setattr("comictool.vectors.stream.EmbeddingStream._compute_here", None)
                again = backbone_features(source, CLASSIC, tmp_path / f"{level}-{number}", level=level, cutting=cutting)
            assert (again.job.totals, again.job.problems) == (report.job.totals, [])
            packs.append(FeaturePack(report.packs[0]))
        first, *others = packs
        assert len(first) == (23 if level == "panel" else 21)
        for other in others:
            assert [(c, first.names(c)) for c in first.comics()] == [(c, other.names(c)) for c in other.comics()]
            cosines = (first.stacked() * other.stacked()).sum(axis=1)
            assert cosines.min() > 0.999
    assert "1_1_Ann" in first.names("alpha")


def test_a_file_for_each_split(corpus: Corpus, tmp_path: Path) -> None:
    splits = {"train": ["gamma ä", "alpha"], "val": ["beta"], "test": []}
    manifest = {"splits": splits, "levels": ["panels"], "link": "copy", "by": "comic"}
    (corpus.root / "splits.json").write_text(json.dumps(manifest))
    report = backbone_features(corpus.root, CLASSIC, tmp_path / "f", options=ONE)
    assert [file.name for file in report.packs] == ["train_features.hdf5", "val_features.hdf5"]
    assert FeaturePack(report.packs[0]).comics() == ["gamma ä", "alpha"]
    assert FeaturePack(report.packs[0]).group == "train_features"
    assert FeaturePack(report.packs[1]).comics() == ["beta"]
    # one split, then the other, in the same folder: neither disturbs the other
    for split, done in (("val", 0), ("train", 0)):
        again = backbone_features(corpus.root, CLASSIC, tmp_path / "f", split=split, options=ONE)
        assert again.job.done == done
        assert [file.name for file in again.packs] == [f"{split}_features.hdf5"]
    whole = backbone_features(corpus.root, CLASSIC, tmp_path / "f", split="all", options=ONE)
    assert len(FeaturePack(whole.packs[0])) == 23
    with pytest.raises(InputError, match="no panels in test"):
        backbone_features(corpus.root, CLASSIC, tmp_path / "f", split="test")
    manifest |= {"by": "page", "splits": {"train": ["alpha/1", "beta/2"], "val": ["alpha/2"], "test": []}}
    (corpus.root / "splits.json").write_text(json.dumps(manifest))
    train, val = backbone_features(corpus.root, CLASSIC, tmp_path / "g", options=ONE).packs
    assert FeaturePack(train).names("alpha") == ["1_1", "1_2"]
    assert FeaturePack(val).names("alpha") == ["2_1", "2_2"]


def test_nothing_new_is_nothing_done_and_a_change_is_noticed(corpus: Corpus, tmp_path: Path) -> None:
    first = backbone_features(corpus.root, CLASSIC, tmp_path / "f", options=ONE)
    before = first.packs[0].stat()
    again = backbone_features(corpus.root, CLASSIC, tmp_path / "f", options=ONE)
    assert (again.job.done, again.job.skipped) == (0, first.job.done)
    assert again.packs[0].stat().st_mtime_ns == before.st_mtime_ns  # not even written anew
    records = corpus.pages("alpha")
    records[0].panels = records[0].panels[:1]
    corpus.write_pages("alpha", records)
    changed = backbone_features(corpus.root, CLASSIC, tmp_path / "f", options=ONE)
    assert FeaturePack(changed.packs[0]).names("alpha") == ["1_1", "2_1", "2_2"]


def test_lost_vectors_and_packs_are_made_again(corpus: Corpus, tmp_path: Path) -> None:
    first = backbone_features(corpus.root, CLASSIC, tmp_path / "f", options=ONE)
    content = first.packs[0].read_bytes()
    for lose in (
        lambda: first.packs[0].unlink(),
        lambda: (tmp_path / "f" / "all_features_indexing.json").unlink(),
        lambda: first.packs[0].write_bytes(b"damaged"),
        lambda: shutil.rmtree(tmp_path / "f" / ".work"),
    ):
        lose()
        again = backbone_features(corpus.root, CLASSIC, tmp_path / "f", options=ONE)
        assert again.packs[0].read_bytes() == content
        assert len(FeaturePack(again.packs[0])) == 23
    shutil.rmtree(tmp_path / "f" / "contents-000001")
    with pytest.raises(InputError, match="damaged") as refused:
        backbone_features(corpus.root, CLASSIC, tmp_path / "f")
    assert "--resume never" in refused.value.hint
    again = backbone_features(corpus.root, CLASSIC, tmp_path / "f", options=JobOptions(jobs=1, resume="never"))
    assert len(FeaturePack(again.packs[0])) == 23


def test_unreadable_pages_are_named_with_what_they_cost(corpus: Corpus, tmp_path: Path) -> None:
    (corpus.root / "page_images/alpha/page-2.png").write_bytes(b"no picture")
    (corpus.root / "page_images/beta/page-2.png").unlink()
    (corpus.root / "annotations/pages/gamma ä.jsonl").write_text("{damaged\n")
    records = corpus.pages("beta")
    records[2].panels.append(Panel(3, (500, 500, 600, 600), 3))
    corpus.write_pages("beta", records)
    report = backbone_features(corpus.root, CLASSIC, tmp_path / "f", options=ONE)
    problems = [f"{problem.key}: {problem.message}" for problem in report.job.problems]
    assert {problem.key for problem in report.job.problems} == {"alpha/2", "beta/2", "beta/3", "gamma ä"}
    assert any("alpha/2" in line and "2 without a vector" in line for line in problems)
    assert any("beta/2" in line and "missing" in line and "11 without a vector" in line for line in problems)
    assert any("panel 3" in line and "no vector" in line for line in problems)
    assert any("not JSON" in line for line in problems)
    pack = FeaturePack(report.packs[0])
    assert {comic: pack.names(comic) for comic in pack.comics()} == {
        "alpha": ["1_1", "1_2"],
        "beta": ["1_1", "1_2", "3_1", "3_2"],
    }
    assert report.job.exit_code == 1


def test_shards_together_are_one_run(corpus: Corpus, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("comictool.vectors.plan.ITEM_ROWS", 4)
    whole = backbone_features(corpus.root, CLASSIC, tmp_path / "whole", options=ONE)
    assert whole.job.total > 3
    for shard in ((1, 3), (3, 3), (2, 3)):
        part = backbone_features(corpus.root, CLASSIC, tmp_path / "parts", options=JobOptions(jobs=1, shard=shard))
        assert bool(part.packs) == (shard == (2, 3))
        assert bool(part.waiting) == (shard != (2, 3))
    assert part.packs[0].read_bytes() == whole.packs[0].read_bytes()
    again = backbone_features(corpus.root, CLASSIC, tmp_path / "parts", options=ONE)
    assert again.job.done == 0  # a run without shards finds what the shards did


def test_a_folder_holds_one_kind_of_features(corpus: Corpus, tmp_path: Path) -> None:
    backbone_features(corpus.root, CLASSIC, tmp_path / "f", options=ONE)
    with pytest.raises(InputError, match="level panel, not character"):
        backbone_features(corpus.root, CLASSIC, tmp_path / "f", level="character")
    with pytest.raises(InputError, match="holds vectors of classic@"):
        backbone_features(corpus.root, EncoderSpec("classic_character"), tmp_path / "f")
    FeaturePack(tmp_path / "f" / "all_features.hdf5")
    with h5py.File(tmp_path / "f" / "all_features.hdf5", "a") as pack:
        del pack["all_features"].attrs["tool"]
    with pytest.raises(InputError, match="not written by this"):
        backbone_features(corpus.root, CLASSIC, tmp_path / "f")
    with pytest.raises(UsageError, match="no raw output"):
        backbone_features(corpus.root, CLASSIC, tmp_path / "g", raw=True)
    for wrong in ({"level": "panels"}, {"dtype": "int4"}, {"split": "valid"}):
        with pytest.raises(UsageError):
            backbone_features(corpus.root, CLASSIC, tmp_path / "g", **wrong)
    with pytest.raises(InputError, match="never split"):
        backbone_features(corpus.root, CLASSIC, tmp_path / "g", split="val")
    with pytest.raises(InputError, match="does not exist"):
        backbone_features(tmp_path / "nowhere", CLASSIC, tmp_path / "g")


def test_a_moved_folder_shows_its_pictures(corpus: Corpus, tmp_path: Path) -> None:
    """Corpus and features go to another place together; also when only exported crops are left of the pages."""
    for number, source in enumerate(("", "panel_images")):
        home = tmp_path / f"home-{number}"
        shutil.copytree(corpus.root, home / "corpus")
        export_panels(Corpus.open(home / "corpus"))
        backbone_features(home / "corpus" / source, CLASSIC, home / "f")
        home.rename(tmp_path / f"moved-{number}")
        (hit,) = query(tmp_path / f"moved-{number}" / "f", Query(id="beta/2/10", k=1))
        assert hit.image is not None
        assert hit.image.is_file()
        assert hit.image.is_relative_to(tmp_path / f"moved-{number}")


def test_items_cross_comics_and_keep_pages_whole() -> None:
    def sizes(comics: list[tuple[str, int, int]]) -> list[list[str]]:
        """The pages of each item, of comics with so many pages of so many rows."""
        grouping, items = _Grouping(), list[list[str]]()
        for comic, pages, rows in comics:
            for page in range(pages):
                if grouping.begins(comic, rows, 1):
                    items.append([])
                items[-1].append(f"{comic}/{page}")
        return items

    short = [len(item) * 6 for item in sizes([(f"c{n}", 1, 6) for n in range(60)])]
    assert sum(short) == 360
    assert max(short) <= 256
    assert min(short[:-1]) >= 128  # batches are filled across comics
    assert [len(item) for item in sizes([("a", 1, 400), ("b", 1, 1)])] == [1, 1]
    long, more = sizes([("a", 40, 5), ("b", 40, 5)]), sizes([("a", 41, 5), ("b", 40, 5)])
    assert [item for item in long if item[0] == "b/0"] == [item for item in more if item[0] == "b/0"]


def test_parts_belong_to_their_input(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "parts")
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    parts.write("k/ü", "one", [("a", ["1_1"], rows[:1]), ("b", ["1_1", "1_2"], rows[1:])])
    assert parts.read("k/ü", "two") is None
    assert parts.read("other", "one") is None
    assert parts.has("k/ü", "one")
    assert not parts.has("k/ü", "two")
    (first, second) = parts.read("k/ü", "one") or []
    assert first[0] == "a"
    np.testing.assert_array_equal(second[2], rows[1:])
    parts.write("l", "one", [("b", ["2_1"], rows[:1])])
    joined = dict(by_comic(piece for key in ("k/ü", "l") for piece in parts.read(key, "one") or ()))
    assert joined["b"][0] == ["1_1", "1_2", "2_1"]
    np.testing.assert_array_equal(joined["b"][1], rows[[1, 2, 0]])
    parts.file("l").write_bytes(b"damaged")
    assert not parts.has("l", "one")
    with pytest.raises(InputError, match="damaged"):
        parts.read("l", "one")
    parts.keep_only(["k/ü"])
    assert [p.name for p in parts.folder.iterdir()] == [parts.file("k/ü").name]


def test_raw_vectors_have_the_direction_of_unit_ones(corpus: Corpus, tmp_path: Path) -> None:
    """A torch model, whose batches cross pages: each row is that of the panel alone, up to rounding."""
    spec = EncoderSpec("timm:test_vit?random", device="cpu", precision="fp32")
    encoder = load_encoder(spec)
    found = {}
    for raw in (True, False):
        report = backbone_features(corpus.root, spec, tmp_path / str(raw), raw=raw, batch_size=5)
        pack = FeaturePack(report.packs[0])
        assert pack.attributes["normalised"] is not raw
        found[raw] = vectors(pack)
    for record in corpus.all_pages():
        for panel in record.panels:
            x0, y0, x1, y1 = panel.box
            crop = np.ascontiguousarray(decode_array(corpus.image_path(record))[y0:y1, x0:x1])
            key = record.comic, f"{record.page}_{panel.id}"
            np.testing.assert_allclose(found[True][key], encoder.embed_raw([crop])[0], rtol=1e-3, atol=1e-4)
            np.testing.assert_allclose(found[False][key], encoder.embed([crop])[0], rtol=1e-3, atol=1e-4)
            length = np.linalg.norm(found[True][key])
            np.testing.assert_allclose(found[True][key] / length, found[False][key], rtol=1e-3, atol=1e-4)
    assert not np.allclose([np.linalg.norm(row) for row in found[True].values()], 1.0)
