"""Who is on which picture, from packs and from pages; contexts in the right rows; pictures of any kind."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from comictool.core.errors import InputError, UsageError
from comictool.corpus.exporting import export_characters
from comictool.corpus.packs import pack_corpus
from comictool.corpus.splitting import SplitOptions, split_dataset
from comictool.elric.context_rows import ContextRows, context_rows, derangement, read_features
from comictool.elric.crops import CropOptions
from comictool.elric.data import ElricData, Pictures, frequent, large_enough, shrunk
from comictool.elric.sources import Character, chosen_split, has_split, open_source
from comictool.training.recipe import Ticket
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
    assert (
        np.abs(picture.astype(int) - np.asarray(figure(1)).astype(int)).mean() < 12
    )  # JPEG of hard edges, as exported


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
        assert [packed.read(i) for i in range(len(packed.characters))] == [
            cut[split].read(i) for i in range(len(packed.characters))
        ]
    assert len(cut["train"].characters) + len(cut["val"].characters) == len(from_pages.characters)
    assert len(open_source(corpus.root).characters) == len(from_pages.characters)
    assert has_split(corpus.root, "val")
    assert not has_split(corpus.root, "all")


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
    # Figures "of the test split" over all comics would count those that the model was trained on.
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
    batch = ElricData(Pictures(source, [0]), CROPS, None).load([Ticket(0, 1)])
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
    assert held.held
    assert not Pictures(source, range(8)).held
    data = ElricData(held, CROPS, ContextRows(np.eye(8, dtype=np.float32), list(range(8))))
    whole = data.load([Ticket(i, 100 + i) for i in (3, 5, 1)])
    sent = pickle.loads(pickle.dumps(ElricData(Pictures(source, range(8)), CROPS, None)))
    alone = sent.load([Ticket(5, 105)])
    assert torch.equal(whole["globals"][1], alone["globals"][0])
    assert torch.equal(whole["locals"][1], alone["locals"][0])
    assert whole["context"].argmax(1).tolist() == [3, 5, 1]
    assert torch.equal(whole["lots"], data.load([Ticket(i, 100 + i) for i in (3, 5, 1)])["lots"])
    assert len(set(whole["lots"].tolist())) == 3


def test_pictures_keep_no_more_pixels_than_crops_use() -> None:
    assert shrunk(figure(1, 400, 900), 60).size == (40, 90)
    assert shrunk(figure(1, 40, 90), 60).size == (40, 90)


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
    from comictool.corpus.packs.features import write_features

    vectors = np.arange(2 * 6 * 4, dtype=np.float32).reshape(2, 6, 4)
    path = tmp_path / "train_sequence_features.hdf5"
    write_features(path, "train_sequence_features", {"a": (["1_1", "1_2"], vectors)}, {})
    found = read_features(path, ["a"])
    np.testing.assert_array_equal(found["a/1_2"], vectors[1, 0])
