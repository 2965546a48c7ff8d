"""Feature packs: what was written is read, and whatever does not belong together is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from comictool.core.errors import InputError, UsageError
from comictool.datasets.packs.layout import index_file
from comictool.vectors.packs import FeaturePack, write_features
from comictool.vectors.tables import read_pack

GROUP = "train_features"


@pytest.fixture
def comics() -> dict[str, tuple[list[str], np.ndarray]]:
    rng = np.random.default_rng(0)
    return {
        "beta.v1": (["1_1", "1_2", "2_1"], rng.normal(size=(3, 8)).astype(np.float32)),
        "Älpha": (["1_1"], rng.normal(size=(1, 8)).astype(np.float32)),
        "gamma": (["1_1_Ann", "1_1_Ann"], rng.normal(size=(2, 8)).astype(np.float32)),
    }


@pytest.fixture
def pack(tmp_path: Path, comics: dict) -> Path:
    path = tmp_path / f"{GROUP}.hdf5"
    attributes = {"plugin": "classic", "normalised": True, "views": [1, 2]}
    assert write_features(path, GROUP, comics, attributes) == 6
    return path


def change(path: Path, edit: Callable[[h5py.File], None]) -> None:
    with h5py.File(path, "r+") as file:
        edit(file)


def test_what_is_written_is_read(pack: Path, comics: dict) -> None:
    read = FeaturePack(pack)
    assert read.comics() == list(comics)
    assert (len(read), read.dimension, read.group) == (6, 8, GROUP)
    for comic, (names, matrix) in comics.items():
        assert read.names(comic) == names
        assert read.matrix(comic).dtype == np.float32
        np.testing.assert_array_equal(read.matrix(comic), matrix)
    assert read.attributes == {"plugin": "classic", "normalised": True, "views": "[1, 2]", "dimension": 8}


def test_layout_is_the_published_one(pack: Path, comics: dict) -> None:
    """Read as the two projects do, with nothing of ours."""
    index = json.loads((pack.parent / "train_features_indexing.json").read_text())
    with h5py.File(pack) as file:
        for comic, (names, matrix) in comics.items():
            data = file[f"{GROUP}/{comic}/feat_data"]
            assert (data.dtype, data.chunks, data.compression) == (np.float32, None, None)
            np.testing.assert_array_equal(data[:], matrix)
            assert index[GROUP][comic]["feat_data"] == names
    assert list(index) == [GROUP]


def test_stacked_is_all_matrices(pack: Path, comics: dict) -> None:
    for dtype in ("float32", "float16"):
        stacked = read_pack(pack, dtype=dtype)
        assert stacked.vectors.dtype == dtype
        expected = np.concatenate([matrix for _, matrix in comics.values()]).astype(dtype)
        np.testing.assert_array_equal(stacked.vectors, expected)
        assert stacked.offsets.tolist() == [0, 3, 4, 6]
        assert stacked.names == [name for names, _ in comics.values() for name in names]
        assert stacked.comic_of.tolist() == [0, 0, 0, 1, 2, 2]
    with pytest.raises(UsageError, match="int8"):
        FeaturePack(pack).stacked("int8")


def test_same_input_same_bytes(tmp_path: Path, comics: dict) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_features(tmp_path / name / "x.hdf5", GROUP, iter(comics.items()), {"plugin": "p"})
    for file in ("x.hdf5", "x_indexing.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize("dtype", ["float16", "float64", "int32", ">f4"])
def test_other_types_are_converted(tmp_path: Path, dtype: str) -> None:
    values = np.arange(6).reshape(3, 2).astype(dtype)
    with h5py.File(tmp_path / "t.hdf5", "w") as file:
        file[f"{GROUP}/c/feat_data"] = values
    (tmp_path / "t_indexing.json").write_text(json.dumps({GROUP: {"c": {"feat_data": ["1_1", "1_2", "1_3"]}}}))
    read = FeaturePack(tmp_path / "t.hdf5")
    np.testing.assert_array_equal(read.matrix("c"), values.astype(np.float32))
    assert read.matrix("c").dtype == np.float32


def test_legacy_rank_needs_a_token(tmp_path: Path) -> None:
    values = np.random.default_rng(1).normal(size=(4, 6, 16)).astype(np.float32)
    names = ["1_1", "1_2", "1_3", "1_4"]
    write_features(tmp_path / "t.hdf5", "val_sequence_features", {"c": (names, values)}, {})
    with pytest.raises(InputError, match="6 vectors a row") as caught:
        FeaturePack(tmp_path / "t.hdf5").matrix("c")
    assert "token=0" in caught.value.hint
    for token in (0, 3):
        read = FeaturePack(tmp_path / "t.hdf5", token=token)
        assert read.dimension == 16
        np.testing.assert_array_equal(read.matrix("c"), values[:, token])
        np.testing.assert_array_equal(read.stacked(), values[:, token])
    with pytest.raises(InputError, match="no token 6"):
        FeaturePack(tmp_path / "t.hdf5", token=6).matrix("c")


def test_unknown_comic_and_name_have_near_ones(pack: Path) -> None:
    with pytest.raises(InputError, match="no comic 'gama'") as caught:
        FeaturePack(pack).matrix("gama")
    assert caught.value.near == ["gamma"]


def test_index_of_another_pack_is_noticed(pack: Path) -> None:
    index = json.loads(index_file(pack).read_text())

    def put(edit: Callable[[dict], None]) -> None:
        changed = json.loads(json.dumps(index))
        edit(changed)
        index_file(pack).write_text(json.dumps(changed))

    put(lambda i: i[GROUP]["gamma"]["feat_data"].append("3_1"))
    with pytest.raises(InputError, match="2 vectors, its index names 3"):
        FeaturePack(pack).matrix("gamma")
    put(lambda i: i[GROUP]["beta.v1"]["feat_data"].reverse())  # the same count: every vector under the wrong panel
    with pytest.raises(InputError, match="other names than"):
        FeaturePack(pack).matrix("beta.v1")
    put(lambda i: i[GROUP].pop("gamma"))
    with pytest.raises(InputError, match="index does not name: 'gamma'"):
        FeaturePack(pack)
    put(lambda i: i[GROUP].update(gama={"feat_data": []}))
    with pytest.raises(InputError, match=r"lacks 1 of the 4 comics of its index: 'gama'") as caught:
        FeaturePack(pack)
    assert caught.value.near == ["gamma"]
    put(lambda i: i.update({"val_features": i.pop(GROUP)}))
    with pytest.raises(InputError, match="no group 'val_features'"):
        FeaturePack(pack)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"a": {}, "b": {}}', '{"a": 1}', '{"a": {"c": {"feat_data": [1]}}}'])
def test_damaged_index(pack: Path, text: str) -> None:
    index_file(pack).write_text(text)
    with pytest.raises(InputError, match="damaged"):
        FeaturePack(pack)


def test_missing_and_foreign_files(tmp_path: Path, pack: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        FeaturePack(tmp_path / "none.hdf5")
    index_file(pack).write_text(json.dumps({"train_images": {"c": {"img_data": ["1_1"]}}}))
    with pytest.raises(InputError, match="img_data") as caught:
        FeaturePack(pack)
    assert "pictures" in caught.value.cause
    index_file(pack).unlink()
    with pytest.raises(InputError, match="missing"):
        FeaturePack(pack)
    pack.write_bytes(b"no pack")
    index_file(pack).write_text(json.dumps({GROUP: {}}))
    with pytest.raises(InputError, match="cannot be read"):
        FeaturePack(pack)


def test_numbers_that_are_none(pack: Path) -> None:
    change(pack, lambda file: file[f"{GROUP}/beta.v1/feat_data"].__setitem__((1, 4), np.nan))
    with pytest.raises(InputError, match=r"1 vectors of beta\.v1 are not finite, the first for '1_2'"):
        FeaturePack(pack).matrix("beta.v1")
    with pytest.raises(InputError, match="not finite"):
        FeaturePack(pack).stacked()
    change(pack, lambda file: file[f"{GROUP}/beta.v1/feat_data"].__setitem__((1, 4), 1e6))
    assert FeaturePack(pack).matrix("beta.v1")[1, 4] == 1e6
    with pytest.raises(InputError, match="not finite") as caught:
        FeaturePack(pack).stacked("float16")
    assert "65,504" in caught.value.cause


def test_shapes_that_do_not_fit(pack: Path) -> None:
    def replace(shape: tuple[int, ...], dtype: str = "f4") -> None:
        def edit(file: h5py.File) -> None:
            del file[f"{GROUP}/gamma/feat_data"]
            file[f"{GROUP}/gamma"].create_dataset("feat_data", shape, dtype)

        change(pack, edit)

    replace((2, 9))
    with pytest.raises(InputError, match="9 numbers, others of 8"):
        FeaturePack(pack).matrix("gamma")
    replace((2,))
    with pytest.raises(InputError, match="shape"):
        FeaturePack(pack).matrix("gamma")
    replace((2, 8), "S3")
    with pytest.raises(InputError, match="not numbers"):
        FeaturePack(pack).matrix("gamma")
    change(pack, lambda file: file[f"{GROUP}/gamma"].pop("feat_data"))
    with pytest.raises(InputError, match="no feat_data"):
        FeaturePack(pack).matrix("gamma")


def test_writing_refuses_what_could_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "t.hdf5"
    ones = np.ones((2, 4), np.float32)
    two = ["1_1", "1_2"]
    cases = [
        ({"c": (["1_1"], ones)}, "1 names"),
        ({"c": (two, np.full((2, 4), np.nan))}, "'1_1' in c is not finite"),
        ({"c": (two, ones), "d": (two, np.ones((2, 5)))}, "others of"),
        ({"../c": (two, ones)}, "cannot be a folder"),
        ([("c", (two, ones)), ("c", (two, ones))], "comes twice"),
        ({"c": (two, np.ones(2))}, "shape"),
    ]
    for comics, message in cases:
        with pytest.raises(InputError, match=message):
            write_features(path, GROUP, comics, {})
        assert list(tmp_path.iterdir()) == []


def test_a_failed_writing_leaves_the_old_pack(pack: Path) -> None:
    before = pack.read_bytes()

    def broken():
        yield "c", (["1_1"], np.ones((1, 8)))
        raise OSError(28, "no space left")

    with pytest.raises(OSError, match="no space"):
        write_features(pack, GROUP, broken(), {})
    assert pack.read_bytes() == before
    assert len(FeaturePack(pack)) == 6
    assert sorted(p.name for p in pack.parent.iterdir()) == ["train_features.hdf5", "train_features_indexing.json"]


def test_comics_without_panels(tmp_path: Path) -> None:
    path = tmp_path / "t.hdf5"
    write_features(path, GROUP, {"none": ([], np.empty((0, 4))), "one": (["1_1"], np.ones((1, 4)))}, {})
    read = FeaturePack(path)
    assert read.matrix("none").shape == (0, 4)
    assert read_pack(path).offsets.tolist() == [0, 0, 1]
    write_features(path, GROUP, {}, {"dimension": 4})
    assert FeaturePack(path).stacked().shape == (0, 4)
