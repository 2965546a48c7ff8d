"""Who is on which picture, from packs and from pages; contexts in the right rows; pictures of any kind."""

from __future__ import annotations

import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from comictool.core.errors import InputError, UsageError
from comictool.datasets.exporting.characters import export_characters
from comictool.datasets.packs.packing import pack_corpus
from comictool.datasets.splitting.folders import members, read_manifest
from comictool.datasets.splitting.split import SplitOptions, split_dataset
from comictool.datasets.verifying.checking_corpus import verify
from comictool.elric.context_rows import ContextRows, context_rows, derangement, read_features
from comictool.elric.data import ElricData, frequent
from comictool.elric.evaluate import embed_characters, gather
from comictool.elric.settings import PRESETS, RECIPE, ElricConfig
from comictool.elric.sources import Character, chosen_split, has_split, open_source
from comictool.elric.train import prepare
from comictool.features.backbone import backbone_features
from comictool.plugins.load import EncoderSpec
from comictool.selfsup.held_pictures import Pictures, large_enough, shrunk
from comictool.selfsup.options import CropOptions
from comictool.training.config import resolve
from comictool.training.recipe import Prepared, SampleKey
from comictool.vectors.encoders import LazyEncoder
from comictool.vectors.job import EmbedOptions
from comictool.vectors.pictures import Picture
from comictool.vectors.reading import Decoded, read_picture
from comictool.vectors.tables import read_tables
from tests.elric.drawn import figure, make_corpus, make_features, make_pack

CROPS = CropOptions(global_size=16, local_size=8, local_count=2)


def test_pages_give_the_characters_with_panel_identity_and_feelings(tmp_path: Path) -> None:
    make_corpus(tmp_path)
    source = open_source(tmp_path)
    assert len(source.characters) == 3 * 3 * 4
    first = source.characters[0]
    assert (first.comic, first.panel_name, first.identity, first.valence, first.arousal) == (
        "comic_0",
        "1_1",
        "1",
        1,
        3,
    )
    picture = Pictures(source, range(36))[0]
    assert picture.shape == (36, 24, 3)
    np.testing.assert_array_equal(picture, np.asarray(figure(1)))  # as it is drawn: no JPEG in between


def test_packed_and_cut_characters_are_the_same(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    from_pages = open_source(corpus.root)
    export_characters(corpus)
    split_dataset(corpus, split=SplitOptions(ratios=(2, 1, 0), level="characters"))
    cut = {split: open_source(corpus.root, split) for split in ("train", "val")}
    pack_corpus(corpus.root)
    for split in ("train", "val"):
        packed = open_source(corpus.root, split)
        assert packed.characters == cut[split].characters
        every = range(len(packed.characters))
        for exported, drawn in zip(Pictures(packed, every), Pictures(cut[split], every, cache=1), strict=True):
            assert np.abs(exported.astype(int) - drawn.astype(int)).mean() < 25  # JPEG of hard edges
    assert len(cut["train"].characters) + len(cut["val"].characters) == len(from_pages.characters)
    assert len(open_source(corpus.root).characters) == len(from_pages.characters)
    assert has_split(corpus.root, "val")
    assert not has_split(corpus.root, "all")


def test_packs_and_vectors_of_an_older_split_are_refused(tmp_path: Path) -> None:
    # After a new split, training took the packs of the old one: comics of the new test were trained on.
    corpus = make_corpus(tmp_path / "corpus", comics=6)
    export_characters(corpus)

    def split(seed: int) -> None:
        split_dataset(corpus, split=SplitOptions(ratios=(1, 0, 1), level="characters", seed=seed))

    split(0)
    pack_corpus(corpus.root)
    features, chosen = tmp_path / "features", EmbedOptions(("panel",))
    backbone_features(corpus.root, EncoderSpec("classic"), features, chosen)
    assert open_source(corpus.root, "train").characters
    assert [len(table.comics) for table in read_tables(features).values()] == [3, 3]
    assert not [finding for finding in verify(corpus) if "split" in finding.detail]
    split(1)
    for place in (corpus.root, corpus.root / "processed" / "characters"):
        with pytest.raises(InputError, match="of an older split"):
            open_source(place, "train")
    with pytest.raises(InputError, match="of an older split"):
        read_tables(features)
    assert {finding.item for finding in verify(corpus) if "splits.json" in finding.detail} == {
        f"processed/characters/{name}_images.hdf5" for name in ("train", "test")
    }
    pack_corpus(corpus.root)
    backbone_features(corpus.root, EncoderSpec("classic"), features, chosen)
    assert {c.comic for c in open_source(corpus.root, "train").characters} == set(read_tables(features)["train"].comics)


def test_equal_identities_of_different_comics_are_different_characters(tmp_path: Path) -> None:
    make_corpus(tmp_path, comics=3)
    labels = {character.label for character in open_source(tmp_path).characters}
    assert len(labels) == 6  # the released code made two of them


def test_a_split_is_the_split_that_was_asked_for(tmp_path: Path) -> None:
    for split in ("train", "test"):
        make_pack(tmp_path, split, {f"{split}_comic/1_1_7.png": figure(1)})
    assert open_source(tmp_path, "test").characters[0].comic == "test_comic"  # the released code read train
    with pytest.raises(InputError, match="no pack of val"):
        open_source(tmp_path, "val")


def test_a_split_that_is_not_there_is_never_replaced_by_everything(tmp_path: Path) -> None:
    # Metrics "of the test split" over all comics would count those that the model was trained on.
    packs, plain = tmp_path / "packs", tmp_path / "plain"
    for split in ("train", "val"):
        make_pack(packs, split, {f"{split}_comic/1_1_7.png": figure(1)})
    make_corpus(plain, comics=3)
    for missing in ("test", "vall"):
        with pytest.raises(InputError, match=f"no split '{missing}'"):
            chosen_split(packs, missing)
    assert (chosen_split(packs, "val"), chosen_split(packs, "all")) == ("val", "all")
    # What was never split has nothing to choose from; but a name that no split has is a slip of the pen.
    assert chosen_split(plain, "test") == chosen_split(packs / "train_images.hdf5", "test") == "all"
    with pytest.raises(UsageError, match="'tset'") as refused:
        chosen_split(plain, "tset")
    assert "test" in refused.value.near
    corpus = make_corpus(tmp_path / "corpus", comics=3)
    split_dataset(corpus, split=SplitOptions(ratios=(2, 1, 0), level="panels"))
    with pytest.raises(InputError, match="no split 'tset'"):
        chosen_split(corpus.root, "tset")
    with pytest.raises(InputError, match="in test"):
        open_source(corpus.root, chosen_split(corpus.root, "test"))


def test_feelings_come_from_the_index_beside_the_pack(tmp_path: Path) -> None:
    make_pack(tmp_path, "train", {"a/1_1_bob.png": figure(1), "a/1_1_bob.2.png": figure(2), "a/1_2_eve.png": figure(3)})
    (tmp_path / "characters_indexing.csv").write_text(
        "character,document,page,panel,panel_id,x0,y0,x1,y1,valence,arousal,character_frequency\n"
        "a_bob,a,1,1_1,a/1_1,0,0,1,1,4,2,2\na_bob,a,1,1_1,a/1_1,0,0,1,1,5,-1,2\n"
    )
    found = [(c.identity, c.valence, c.arousal) for c in open_source(tmp_path, "train").characters]
    assert found == [("bob", 4, 2), ("bob", 5, -1), ("eve", -1, -1)]


def test_a_pack_of_panels_is_refused(tmp_path: Path) -> None:
    make_pack(tmp_path, "train", {"a/1_1.png": figure(1)})
    with pytest.raises(InputError, match="no pack of characters"):
        open_source(tmp_path, "train")


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGBA", "P", "1", "LA"])
def test_pictures_of_any_kind_have_crops(tmp_path: Path, mode: str) -> None:
    suffix = "jpg" if mode == "CMYK" else "png"
    source = open_source(make_pack(tmp_path, "train", {f"a/1_1_x.{suffix}": figure(1, mode=mode)}))
    batch = ElricData(Pictures(source, [0]), CROPS, None).load([SampleKey(0, 1)])
    assert batch["globals"].shape == (1, 2, 3, 16, 16)


def test_small_and_damaged_pictures_are_left_out_with_their_reasons(tmp_path: Path) -> None:
    files = {"a/1_1_x.png": figure(1), "a/1_2_x.png": figure(2, 5, 90), "a/1_3_x.png": b"no picture"}
    source = open_source(make_pack(tmp_path, "train", files))
    kept, problems = large_enough(source, range(3), 16)
    assert kept == [0]
    assert "5x90" in problems[0]
    assert "1_3" in problems[1]


def test_rare_identities_are_counted_within_their_comic() -> None:
    characters = [Character("a", 1, 1, "x"), Character("a", 2, 1, "x"), Character("b", 1, 1, "x")]
    assert frequent(characters, 2) == [0, 1]


def test_the_same_ticket_gives_the_same_sample_in_any_batch_and_any_process(tmp_path: Path) -> None:
    make_corpus(tmp_path)
    source = open_source(tmp_path)
    held = Pictures(source, range(8), cache=4)
    assert (held.held, Pictures(source, range(8)).held) == (8, 0)
    data = ElricData(held, CROPS, ContextRows(np.eye(8, dtype=np.float32), list(range(8))))
    whole = data.load([SampleKey(i, 100 + i) for i in (3, 5, 1)])
    sent = pickle.loads(pickle.dumps(ElricData(Pictures(source, range(8)), CROPS, None)))
    alone = sent.load([SampleKey(5, 105)])
    assert torch.equal(whole["globals"][1], alone["globals"][0])
    assert torch.equal(whole["locals"][1], alone["locals"][0])
    assert whole["context"].argmax(1).tolist() == [3, 5, 1]
    assert torch.equal(whole["draws"], data.load([SampleKey(i, 100 + i) for i in (3, 5, 1)])["draws"])
    assert len(set(whole["draws"].tolist())) == 3


def test_pictures_keep_no_more_pixels_than_crops_use() -> None:
    assert shrunk(np.asarray(figure(1, 400, 900)), 60).shape == (90, 40, 3)
    assert shrunk(np.asarray(figure(1, 40, 90)), 60).shape == (90, 40, 3)


def test_pages_are_decoded_once_and_what_does_not_fit_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each start decoded every page, encoded every crop as JPEG and held them all, however large.
    make_corpus(tmp_path, comics=1, pages=3, size=(30, 50))
    read: list[str] = []

    def counted(picture: Picture, *others: object, **options: object) -> Decoded:
        read.append(picture.name)
        return read_picture(picture, *others, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("comictool.selfsup.held_pictures.read_picture", counted)
    source = open_source(tmp_path)
    assert not read
    held = Pictures(source, range(12), cache=1)
    assert (held.held, sorted(read)) == (12, ["comic_0/1", "comic_0/2", "comic_0/3"])
    monkeypatch.setattr("comictool.selfsup.held_pictures.MEBIBYTE", 3 * 30 * 50 * 5)  # five of them
    some = Pictures(source, range(12), cache=1).only([11, 4, 0])
    assert some.held == 2
    for position, number in enumerate((11, 4, 0)):
        np.testing.assert_array_equal(some[position], held[number])


def test_damaged_pages_are_left_out_and_the_rest_goes_on(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path, comics=1)
    whole = (tmp_path / "page_images/comic_0/page-2.png").read_bytes()
    (tmp_path / "page_images/comic_0/page-1.png").unlink()
    (tmp_path / "page_images/comic_0/page-2.png").write_bytes(whole[: len(whole) // 2])
    source = open_source(tmp_path)
    assert source.problems == ["comic_0/1: page_images/comic_0/page-1.png is missing"]
    pictures = Pictures(source, range(len(source.characters)), cache=1)
    assert sorted(pictures.lost) == [0, 1, 2, 3]
    assert len(pictures.only([4, 5])) == 2
    prepared = prepare(resolve(ElricConfig, PRESETS, preset="tiny").config, {"data": tmp_path}, torch.device("cpu"))
    assert prepared.facts["characters"] == 4
    assert prepared.facts["left out, small or damaged"] == 4
    queries = gather(corpus.root, "all", 16)
    assert len(embed_characters(LazyEncoder(EncoderSpec("classic")), queries)[1]) == 4


# --- contexts ------------------------------------------------------------------------------------------------------

CHARACTERS = [
    Character("a", 1, 1, "x"),
    Character("a", 1, 2, "x"),
    Character("a", 1, 1, "y"),
    Character("b", 9, 1, "x"),
]


def test_each_character_has_the_vector_of_its_own_panel_and_lacking_ones_are_counted() -> None:
    features = {"a/1_2": np.array([2.0, 2]), "a/1_1": np.array([1.0, 1]), "a/7_7": np.array([7.0, 7])}
    rows = context_rows("asterx", CHARACTERS, features, seed=0)
    assert rows is not None
    assert rows.rows([0, 1, 2, 3])[:, 0].tolist() == [1, 2, 1, 0]
    assert rows.missing == 1
    assert rows.present() == [0, 1, 2]
    assert rows.only([1, 3]).rows([0, 1])[:, 0].tolist() == [2, 0]


def test_shuffled_contexts_are_not_those_of_the_same_comic() -> None:
    # The next panel's would mean nearly as much as the own one's, and the ablation would compare nothing.
    characters = [Character(f"c{comic}", 1, n, "x") for comic in range(10) for n in range(1, 21)]
    features = {c.panel_id: np.array([float(number)]) for number, c in enumerate(characters)}
    rows = context_rows("shuffled", characters, features, seed=0)
    assert rows is not None
    given = rows.rows(range(200))[:, 0].numpy()
    assert np.mean(given // 20 == np.arange(200) // 20) < 0.2  # 19 of 199 by chance


def test_shuffled_contexts_are_those_of_other_panels_and_always_the_same() -> None:
    features = {f"a/1_{n}": np.array([float(n)]) for n in range(1, 9)}
    characters = [Character("a", 1, n, "x") for n in range(1, 9)]
    found = context_rows("shuffled", characters, features, seed=3)
    again = context_rows("shuffled", characters, features, seed=3)
    assert found is not None
    assert again is not None
    values = found.rows(range(8))[:, 0]
    assert torch.equal(values, again.rows(range(8))[:, 0])
    assert sorted(values.tolist()) == list(range(1, 9))
    assert not (values == torch.arange(1.0, 9)).any()


@pytest.mark.parametrize("count", [2, 3, 50])
def test_a_derangement_leaves_nothing_in_its_place(count: int) -> None:
    for seed in range(10):
        order = derangement(count, seed)
        assert sorted(order) == list(range(count))
        assert not (order == np.arange(count)).any()


def test_zero_and_no_context() -> None:
    zero = context_rows("zero", CHARACTERS, None, seed=0)
    assert zero is not None
    assert zero.rows([0, 3]).shape == (2, 768)
    assert not zero.rows([0, 1, 2, 3]).any()
    assert context_rows("none", CHARACTERS, None, seed=0) is None


def test_features_that_belong_elsewhere_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        context_rows("asterx", CHARACTERS, {"other/1_1": np.ones(3)}, seed=0)
    assert "a/1_1" in caught.value.cause
    assert "other/1_1" in caught.value.cause
    with pytest.raises(UsageError, match="needs the vectors"):
        context_rows("shuffled", CHARACTERS, None, seed=0)
    with pytest.raises(UsageError, match="none of none"):
        context_rows("nothing", CHARACTERS, None, seed=0)


@pytest.mark.parametrize("names", [["1_1"], []])
def test_features_of_other_comics_are_not_taken_for_none_given(names: list[str]) -> None:
    features = {f"zzz/{name}": np.ones(2) for name in names}
    with pytest.raises(InputError, match="none of the characters' panels"):
        context_rows("asterx", CHARACTERS, features, seed=0)


def test_features_are_read_by_comic_and_panel_from_all_splits(tmp_path: Path) -> None:
    make_features(tmp_path, "train", {"a": ["1_1", "1_2"]})
    make_features(tmp_path, "val", {"b": ["9_1"]})
    found = read_features(tmp_path, ["a", "b"])
    assert sorted(found) == ["a/1_1", "a/1_2", "b/9_1"]
    assert sorted(read_features(tmp_path / "val_sequence_features.hdf5", ["a", "b"])) == ["b/9_1"]
    make_features(tmp_path, "test", {"c": ["1_1"]}, width=5)
    with pytest.raises(InputError, match="different widths"):
        read_features(tmp_path, ["a", "c"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no"):
        read_features(tmp_path / "empty", ["a"])


def test_the_published_six_vectors_a_panel_give_the_first(tmp_path: Path) -> None:
    from comictool.vectors.packs import write_features

    vectors = np.arange(2 * 6 * 4, dtype=np.float32).reshape(2, 6, 4)
    path = tmp_path / "train_sequence_features.hdf5"
    write_features(path, "train_sequence_features", {"a": (["1_1", "1_2"], vectors)}, {})
    found = read_features(path, ["a"])
    np.testing.assert_array_equal(found["a/1_2"], vectors[1, 0])


def test_a_split_that_is_empty_now_leaves_no_pack(tmp_path: Path) -> None:
    """F2: the old pack of val was validated and measured on after a split without val."""
    corpus = make_corpus(tmp_path / "corpus", comics=6)
    export_characters(corpus)
    split_dataset(corpus, split=SplitOptions(ratios=(1, 1, 1), level="characters"))
    pack_corpus(corpus.root)
    place = corpus.root / "processed" / "characters"
    assert (place / "val_images.hdf5").exists()
    split_dataset(corpus, split=SplitOptions(ratios=(1, 0, 1), level="characters"))
    assert not list(place.glob("val_*"))
    assert not has_split(corpus.root, "val")
    report = pack_corpus(corpus.root)
    assert (report.exit_code, report.total) == (0, 2)
    # A pack of before that somebody put back is of no split; the next packing removes it.
    shutil.copy(place / "test_images.hdf5", place / "val_images.hdf5")
    shutil.copy(place / "test_images_indexing.json", place / "val_images_indexing.json")
    assert [finding.item for finding in verify(corpus) if finding.kind == "stale"]
    pack_corpus(corpus.root)
    assert not list(place.glob("val_*"))
    assert not verify(corpus)


def test_a_pack_that_lacks_a_comic_of_its_split_is_stale(tmp_path: Path) -> None:
    """F2: train grew by what was test; the pack of train is a part of it."""
    corpus = make_corpus(tmp_path / "corpus", comics=6)
    export_characters(corpus)
    split_dataset(corpus, split=SplitOptions(ratios=(1, 0, 1), level="characters"))
    pack_corpus(corpus.root)
    split_dataset(corpus, split=SplitOptions(ratios=(1, 0, 0), level="characters"))
    with pytest.raises(InputError, match="of an older split") as refusal:
        open_source(corpus.root, "train")
    assert "it lacks comic_" in refusal.value.cause
    assert refusal.value.hint == f"comictool data hdf5 {corpus.root}"
    pack_corpus(corpus.root)  # the hint leads out
    assert len({c.comic for c in open_source(corpus.root, "train").characters}) == 6


def test_one_comic_split_by_page_is_trained_when_the_user_says_so(tmp_path: Path) -> None:
    """F11: `data split` splits one comic by page, and `train elric` sent back to `data split`."""
    corpus = make_corpus(tmp_path / "corpus", comics=1, pages=6)
    assert split_dataset(corpus, split=SplitOptions(level="characters")).manifest["by"] == "page"
    sources = {"data": corpus.root}

    def ready(*sets: str) -> Prepared:
        return prepare(RECIPE.resolve(preset="tiny", sets=sets).config, sources, torch.device("cpu"))

    with pytest.raises(InputError, match="trained and validated on") as refusal:
        ready()
    assert "data split" not in refusal.value.hint
    for setting in re.findall(r"--set (\S+)", refusal.value.hint):
        assert ready(setting).facts["characters"] == 4 * len(members(read_manifest(corpus.root), "train")["comic_0"])
