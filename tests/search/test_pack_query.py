"""Searching feature packs: against an explicit loop, and with packs that somebody else wrote."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comictool.core.errors import InputError, UsageError
from comictool.plugins.load import EncoderSpec, load_encoder
from comictool.vectors.packs import write_features
from comictool.vectors.tables import pack_files
from tests.vectors.fakes import ask


def write(folder: Path, split: str, comics: dict[str, list[str]], *, dimension: int = 5, seed: int = 0) -> None:
    rng = np.random.default_rng([seed, len(split)])
    rows = {comic: (names, rng.normal(size=(len(names), dimension))) for comic, names in comics.items()}
    write_features(folder / f"{split}_features.hdf5", f"{split}_features", rows, {"encoder_id": "one"})


@pytest.fixture
def packs(tmp_path: Path) -> Path:
    write(tmp_path, "train", {"a": ["1_1_ann", "1_2_ann_lee", "10_1_bo"], "b": ["1_1_cy", "2_1_cy"]})
    write(tmp_path, "test", {"c": ["1_1_di", "1_1_ed"]})
    write(tmp_path, "val", {})
    return tmp_path


def slow(folder: Path, asked: str) -> list[tuple[str, float]]:
    """Every identifier with its cosine to one of them, by reading the files as anybody would."""
    import h5py

    rows: dict[str, list[float]] = {}
    for split in ("train", "test"):
        index = json.loads((folder / f"{split}_features_indexing.json").read_text("utf-8"))[f"{split}_features"]
        with h5py.File(folder / f"{split}_features.hdf5") as pack:
            for comic, entry in index.items():
                for row, name in enumerate(entry["feat_data"]):
                    page, panel, identity = name.split("_", 2)
                    vector = pack[f"{split}_features/{comic}/feat_data"][row].tolist()
                    rows[f"{comic}/{page}/{panel}/{identity}"] = vector
    own = rows.pop(asked)

    def cosine(other: list[float]) -> float:
        return sum(x * y for x, y in zip(own, other, strict=True)) / (math.hypot(*own) * math.hypot(*other))

    return sorted(((id, cosine(vector)) for id, vector in rows.items()), key=lambda pair: -pair[1])


@pytest.mark.parametrize("asked", ["a/1/2/ann_lee", "c/1/1/ed"])
def test_all_splits_are_ranked_as_by_a_loop(packs: Path, asked: str) -> None:
    hits = ask(packs, id=asked, k=100)
    wanted = slow(packs, asked)
    assert [hit.id for hit in hits] == [id for id, _ in wanted]
    assert [hit.score for hit in hits] == pytest.approx([score for _, score in wanted], abs=1e-12)
    assert [hit.rank for hit in hits] == list(range(1, 7))


def test_a_hit_knows_its_place(packs: Path) -> None:
    hit = next(hit for hit in ask(packs, id="a/1/1/ann") if hit.id == "a/10/1/bo")
    assert (hit.comic, hit.page, hit.panel, hit.identity, hit.split, hit.image) == ("a", 10, 1, "bo", "train", None)


def test_filters(packs: Path) -> None:
    def ids(**options: object) -> list[str]:
        return [hit.id for hit in ask(packs, id="a/1/1/ann", **options)]  # type: ignore[arg-type]

    everything = ids()
    assert ids(k=2) == everything[:2]
    assert ids(comic_glob="[bc]") == ids(exclude_same_comic=True) == [id for id in everything if id[0] != "a"]
    assert ids(group_by="comic") == [
        next(id for id in everything if id[0] == c) for c in dict.fromkeys(id[0] for id in everything)
    ]


def test_equal_vectors_come_in_natural_order(tmp_path: Path) -> None:
    names = ["10_1", "2_1", "1_1", "3_1"]
    rows = {"a": (names, np.ones((4, 3)))}
    write_features(tmp_path / "train_features.hdf5", "train_features", rows, {})
    assert [hit.id for hit in ask(tmp_path, id="a/3/1")] == ["a/1/1", "a/2/1", "a/10/1"]


def test_sequence_vectors_are_searched_when_named(packs: Path) -> None:
    rows = {"a": (["1_1", "2_1"], np.eye(2, 3))}
    write_features(packs / "train_sequence_features.hdf5", "train_sequence_features", rows, {})
    assert packs / "train_sequence_features.hdf5" not in pack_files(packs).values()
    assert [hit.id for hit in ask(packs / "train_sequence_features.hdf5", id="a/1/1")] == ["a/2/1"]
    with pytest.raises(InputError, match="does not say which encoder"):
        ask(packs / "train_sequence_features.hdf5", image=packs / "x.png")


def test_wrong_questions(packs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not in the packs") as error:
        ask(packs, id="a/1/1")
    assert error.value.near == ["a/1/1/ann"]
    with pytest.raises(InputError, match="no comic"):
        ask(packs, id="a/1/1/ann", comic_glob="z*")
    for options in (
        {},
        {"id": "a/1/1/ann", "weights": (("image", 1.0),)},
        {"id": "a/1/1/ann", "filters": ("type=story",)},
        {"id": "x", "k": 0},
        {"id": "x", "group_by": "page"},
        {"image": Path("y"), "exclude_same_comic": True},
    ):
        with pytest.raises(UsageError):
            ask(packs, **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="does not exist"):
        ask(tmp_path / "nothing", id="x")
    write(packs, "val", {"d": ["1_1_x"]}, dimension=7)
    with pytest.raises(InputError, match="different encoders"):
        ask(packs, id="a/1/1/ann")


def test_a_picture_is_embedded_by_the_encoder_that_the_folder_remembers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (40, 30, 3), dtype=np.uint8) for _ in range(3)]
    spec = EncoderSpec("classic")
    encoder = load_encoder(spec)
    names = ["1_1_a", "1_2_b", "2_1_c"]
    rows = {"comic": (names, encoder.embed(pictures))}

    def write(**facts: object) -> None:
        write_features(tmp_path / "train_features.hdf5", "train_features", rows, facts)

    Image.fromarray(pictures[1]).save(tmp_path / "asked.png")
    write(encoder_id=encoder.encoder_id)
    with pytest.raises(InputError, match="does not say which encoder"):
        ask(tmp_path, image=tmp_path / "asked.png")
    write(encoder_id=encoder.encoder_id, encoder=spec.remembered())
    first = ask(tmp_path, image=tmp_path / "asked.png")[0]
    assert first.id == "comic/1/2/b"
    assert first.score == pytest.approx(1.0, abs=1e-5)
    write(encoder_id="another", encoder=spec.remembered())
    with pytest.raises(InputError, match="was made by another"):
        ask(tmp_path, image=tmp_path / "asked.png")
    write(encoder_id="another", encoder="[")
    with pytest.raises(InputError, match="not JSON"):
        ask(tmp_path, image=tmp_path / "asked.png")
