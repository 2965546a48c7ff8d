"""Packs, read byte for byte by a reader that knows only the description of the format."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from comictool.core.errors import InputError, UsageError
from comictool.core.jobs import JobOptions
from comictool.datasets.packs.packing import LAYOUTS, layout_of, pack_corpus, pack_folder
from comictool.datasets.packs.reading import Pack

INLINE = JobOptions(jobs=1)


def folder_of_crops(
    folder: Path, panels: int = 25, pages: tuple[int, ...] = (1, 2, 10)
) -> dict[str, list[tuple[str, bytes]]]:
    """Write crops out of order; returns what must be read, in order."""
    expected: dict[str, list[tuple[str, bytes]]] = {}
    for comic in ("comic 10", "comic 2", 'quo"té'):
        (folder / comic).mkdir(parents=True)
        rows = []
        for page in pages:
            for panel in range(1, panels + 1):
                data = f"{comic}/{page}/{panel}".encode() * (1 + panel % 7)
                (folder / comic / f"{page}_{panel}.jpg").write_bytes(data)
                rows.append((f"{page}_{panel}", data))
        expected[comic] = rows
    return {comic: expected[comic] for comic in ("comic 2", "comic 10", 'quo"té')}


def independent_reader(file: Path) -> dict[str, list[tuple[str, bytes]]]:
    """From the description alone: `/<split>_images/<comic>/img_data`, rows named by `_indexing.json` in their order."""
    index = json.loads(Path(str(file)[: -len(".hdf5")] + "_indexing.json").read_text("utf-8"))
    group = file.name[: -len(".hdf5")]
    found: dict[str, list[tuple[str, bytes]]] = {}
    with h5py.File(file, "r") as pack:
        assert list(pack) == list(index) == [group]
        assert set(pack[group]) == set(index[group])
        for comic, kinds in index[group].items():
            dataset = pack[group][comic]["img_data"]
            assert dataset.shape == (len(kinds["img_data"]),)
            assert h5py.check_vlen_dtype(dataset.dtype) == np.uint8
            assert dataset.chunks is None
            assert dataset.compression is None
            found[comic] = [(name, dataset[row].tobytes()) for row, name in enumerate(kinds["img_data"])]
    return found


def test_published_layout_byte_for_byte_in_numeric_order(tmp_path: Path) -> None:
    expected = folder_of_crops(tmp_path / "train_images")
    report = pack_folder(tmp_path / "train_images", options=INLINE)
    assert report.totals["pictures"] == 3 * 75
    found = independent_reader(tmp_path / "train_images.hdf5")
    assert found == expected
    assert list(found) == list(expected)


@pytest.mark.parametrize("layout", ["published", "blob"])
def test_own_reader_in_either_layout(tmp_path: Path, layout: str) -> None:
    expected = folder_of_crops(tmp_path / "train_images")
    (tmp_path / "train_images" / "comic 2" / "b.csv").write_text("a,b\né,2\n", encoding="utf-8")
    (tmp_path / "train_images" / "comic 2" / "a.csv").write_bytes("a,b\né,2\n".encode("cp1252"))
    pack_folder(tmp_path / "train_images", layout=layout, options=INLINE)
    file = tmp_path / "train_images.hdf5"
    assert layout_of(file) == layout
    pack = Pack(file)
    assert pack.comics() == list(expected)
    assert len(pack) == 225
    assert {c: [(n, pack.read(c, r)) for r, n in enumerate(pack.names(c))] for c in pack.comics()} == expected
    assert [pack.read_row(row) for row in range(225)] == [data for rows in expected.values() for _, data in rows]
    assert list(pack.entries())[75] == ("comic 10", "1_1")
    texts = Pack(file, kind="str_data")
    assert texts.names("comic 2") == ["a", "b"]
    assert [texts.text("comic 2", row) for row in (0, 1)] == ["a,b\né,2\n"] * 2
    with pytest.raises(InputError, match="no row 75"):
        pack.read("comic 2", 75)
    with pytest.raises(InputError) as wrong:
        pack.names("comic 3")
    assert "comic 2" in wrong.value.near


def test_blob_is_contiguous_with_offsets(tmp_path: Path) -> None:
    expected = folder_of_crops(tmp_path / "val_images")
    pack_folder(tmp_path / "val_images", layout="blob", options=INLINE)
    with h5py.File(tmp_path / "val_images.hdf5", "r") as pack:
        data, offsets = pack["val_images"]["blob"], pack["val_images"]["offsets"][:]
        rows = [data[a:b].tobytes() for a, b in itertools.pairwise(offsets)]
        assert data.chunks is None
    assert rows == [entry for entries in expected.values() for _, entry in entries]


@pytest.mark.parametrize("layout", ["published", "blob"])
def test_same_bytes_twice_and_nothing_done_when_unchanged(tmp_path: Path, layout: str) -> None:
    folder_of_crops(tmp_path / "train_images")
    pack_folder(tmp_path / "train_images", layout=layout, options=INLINE)
    first = (tmp_path / "train_images.hdf5").read_bytes()
    assert pack_folder(tmp_path / "train_images", layout=layout, options=INLINE).skipped == 1
    (tmp_path / "train_images.hdf5").unlink()
    assert pack_folder(tmp_path / "train_images", layout=layout, options=INLINE).done == 1
    assert (tmp_path / "train_images.hdf5").read_bytes() == first
    (tmp_path / "train_images" / "comic 2" / "3_1.jpg").write_bytes(b"new")
    assert pack_folder(tmp_path / "train_images", layout=layout, options=INLINE).done == 1
    assert Pack(tmp_path / "train_images.hdf5").read("comic 2", 50) == b"new"


def test_trailing_slash_and_two_crops_of_one_identity(tmp_path: Path) -> None:
    folder = tmp_path / "test_images" / "c"
    folder.mkdir(parents=True)
    for name in ("1_1_7.jpg", "1_1_7.2.jpg", "1_1_10.jpg", "1_2_3.png", "x.txt", ".hidden.jpg"):
        (folder / name).write_bytes(name.encode())
    pack_folder(Path(f"{tmp_path}/test_images/"), options=INLINE)
    found = independent_reader(tmp_path / "test_images.hdf5")["c"]
    assert found == [
        ("1_1_7", b"1_1_7.jpg"),
        ("1_1_7", b"1_1_7.2.jpg"),
        ("1_1_10", b"1_1_10.jpg"),
        ("1_2_3", b"1_2_3.png"),
    ]


def _read_in_worker(task: tuple[Pack, str, int]) -> tuple[int, bytes]:
    pack, comic, row = task
    return os.getpid(), pack.read(comic, row)


@pytest.mark.parametrize("layout", ["published", "blob"])
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_each_worker_opens_its_own_file(tmp_path: Path, layout: str, method: str) -> None:
    expected = folder_of_crops(tmp_path / "train_images", panels=4)
    pack_folder(tmp_path / "train_images", layout=layout, options=INLINE)
    pack = Pack(tmp_path / "train_images.hdf5")
    pack.read("comic 2", 0)  # open in the parent, as a careless caller would have it
    tasks = [(pack, "comic 2", row) for row in range(12)]
    with multiprocessing.get_context(method).Pool(2) as pool:
        results = pool.map(_read_in_worker, tasks, chunksize=1)
    assert [data for _, data in results] == [data for _, data in expected["comic 2"]]
    assert os.getpid() not in {process for process, _ in results}
    assert pickle.loads(pickle.dumps(pack)).read("comic 2", 3) == expected["comic 2"][3][1]
    pack.close()
    assert pack.read("comic 2", 1) == expected["comic 2"][1][1]


def test_picture_is_rgb_whatever_was_packed(tmp_path: Path) -> None:
    folder = tmp_path / "train_images" / "c"
    folder.mkdir(parents=True)
    Image.new("L", (5, 4), 200).save(folder / "1_1.png")
    pack_folder(tmp_path / "train_images", options=INLINE)
    picture = Pack(tmp_path / "train_images.hdf5").picture("c", 0)
    assert (picture.mode, picture.size, picture.getpixel((0, 0))) == ("RGB", (5, 4), (200, 200, 200))


def test_all_splits_of_a_corpus_in_processes(tmp_path: Path) -> None:
    expected = {
        split: folder_of_crops(tmp_path / "processed" / "panels" / f"{split}_images", 3) for split in ("train", "val")
    }
    report = pack_corpus(tmp_path, options=JobOptions(jobs=2))
    assert (report.done, report.failed) == (2, 0)
    for split, comics in expected.items():
        assert independent_reader(tmp_path / "processed" / "panels" / f"{split}_images.hdf5") == comics


def test_memory_does_not_grow_with_the_comic(tmp_path: Path) -> None:
    import resource

    folder = tmp_path / "train_images" / "c"
    folder.mkdir(parents=True)
    data = os.urandom(1 << 20)
    for panel in range(1, 121):
        (folder / f"1_{panel}.jpg").write_bytes(data)
    child = os.fork()
    if child == 0:  # a fresh high-water mark
        base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        pack_folder(tmp_path / "train_images", options=INLINE)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) / 1024
        os._exit(0 if grown < 80 else 1)
    assert os.waitpid(child, 0)[1] == 0, "packing 120 MB took more than 80 MB of memory"


def test_damaged_or_mismatched_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        Pack(tmp_path / "train_images.hdf5")
    folder_of_crops(tmp_path / "train_images", panels=2)
    pack_folder(tmp_path / "train_images", layout="blob", options=INLINE)
    file, index = tmp_path / "train_images.hdf5", tmp_path / "train_images_indexing.json"
    value = json.loads(index.read_text("utf-8"))
    value["train_images"]["comic 2"]["img_data"].append("9_9")
    index.write_text(json.dumps(value), "utf-8")
    with pytest.raises(InputError, match="pack it again"):
        Pack(file).read("comic 2", 0)
    for text in ("[]", "{", '{"a": {"b": {"img_data": [3]}}}', "{}"):
        index.write_text(text, "utf-8")
        with pytest.raises(InputError, match="damaged"):
            Pack(file)
    index.unlink()
    with pytest.raises(InputError, match="is missing"):
        Pack(file)


def test_what_cannot_be_packed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a folder"):
        pack_folder(tmp_path / "none")
    with pytest.raises(InputError, match="no processed"):
        pack_corpus(tmp_path)
    (tmp_path / "a_images" / "c").mkdir(parents=True)
    with pytest.raises(UsageError, match="layout"):
        pack_folder(tmp_path / "a_images", layout="tar")
    with pytest.raises(InputError, match="nothing to pack"):
        pack_folder(tmp_path / "a_images", options=INLINE)
    (tmp_path / "a_images" / "c" / "1_1.jpg").touch()
    report = pack_folder(tmp_path / "a_images", options=INLINE)
    assert "empty" in report.problems[0].message
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".partial")]


def test_a_pack_that_lacks_what_its_index_names(tmp_path: Path) -> None:
    for layout in LAYOUTS:
        folder = tmp_path / layout / "train_images"
        (folder / "a").mkdir(parents=True)
        (folder / "a" / "1_1.jpg").write_bytes(b"first")
        pack_folder(folder, layout=layout, options=JobOptions(jobs=1))
        pack = folder.with_suffix(".hdf5")
        index = pack.with_name("train_images_indexing.json")
        value = json.loads(index.read_text())
        value["train_images"]["a"]["str_data"] = ["text"]
        index.write_text(json.dumps(value))
        with pytest.raises(InputError, match="pack it again"):
            Pack(pack, kind="str_data").read("a", 0)


def test_empty_tables_are_packed_in_both_layouts(tmp_path: Path) -> None:
    for layout in LAYOUTS:
        folder = tmp_path / layout / "train_images"
        (folder / "a").mkdir(parents=True)
        (folder / "a" / "1_1.jpg").write_bytes(b"first")
        (folder / "a" / "empty.csv").write_bytes(b"")
        pack_folder(folder, layout=layout, options=JobOptions(jobs=1))
        assert Pack(folder.with_suffix(".hdf5"), kind="str_data").text("a", 0) == ""
