"""Packs from somebody else: links out of the file, data that lies elsewhere, shapes without bytes, damaged heaps."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pytest

from comictool.core.errors import InputError
from comictool.datasets.packs.packing import layout_of, pack_folder
from comictool.datasets.packs.reading import Pack
from comictool.datasets.packs.renaming import rename_comics
from comictool.vectors.packs import FeaturePack

GROUP = "train_images"
Forge = Callable[[h5py.Group, Path], None]


def external_link(place: h5py.Group, secret: Path) -> None:
    place["c"] = h5py.ExternalLink(str(secret), f"/{GROUP}/c")


def soft_link(place: h5py.Group, secret: Path) -> None:
    place.create_group("d").create_dataset("feat_data", data=np.ones((1, 4), np.float32))
    place["c"] = h5py.SoftLink(f"/{GROUP}/d")


def external_data(place: h5py.Group, secret: Path) -> None:
    storage = [(str(secret), 0, 16)]
    for kind, shape, dtype in (("feat_data", (1, 4), "f4"), ("img_data", (1,), "S16")):
        place.require_group("c").create_dataset(kind, shape, dtype, external=storage)


def virtual_data(place: h5py.Group, secret: Path) -> None:
    layout = h5py.VirtualLayout((1, 4), "f4")
    layout[:] = h5py.VirtualSource(str(secret), f"{GROUP}/c/feat_data", (1, 4), "f4")
    for kind in ("feat_data", "img_data"):
        place.require_group("c").create_virtual_dataset(kind, layout)


def no_bytes(place: h5py.Group, secret: Path) -> None:
    for kind in ("feat_data", "img_data"):
        place.require_group("c").create_dataset(kind, (1, 1 << 40), "f4", chunks=(1, 1 << 10))


def forged(folder: Path, forge: Forge | None, index: str = "img_data") -> Path:
    file, secret = folder / f"{GROUP}.hdf5", folder / "secret.hdf5"
    with h5py.File(secret, "w") as pack:
        pack.create_dataset(f"{GROUP}/c/feat_data", data=np.full((1, 4), 7, np.float32))
        pack.create_dataset(f"{GROUP}/c/img_data", data=np.array([b"secret picture"]))
    with h5py.File(file, "w") as pack:
        (forge or soft_link)(pack.create_group(GROUP), secret)
    (folder / f"{GROUP}_indexing.json").write_text(json.dumps({GROUP: {"c": {index: ["1_1"]}}}))
    return file


@pytest.mark.parametrize("forge", [external_link, soft_link, external_data, virtual_data, no_bytes])
def test_nothing_outside_is_read_and_no_memory_taken(tmp_path: Path, forge: Forge) -> None:
    file = forged(tmp_path, forge)
    with pytest.raises(InputError, match=r"link out|lies outside|has not the bytes"):
        Pack(file).read("c", 0)
    forged(tmp_path, forge, "feat_data")
    with pytest.raises(InputError, match=r"link out|lies outside|has not the bytes|not name|lacks"):
        FeaturePack(file).matrix("c")


def test_a_group_that_is_a_link_is_refused_where_packs_are_renamed(tmp_path: Path) -> None:
    file, secret = forged(tmp_path, None), tmp_path / "secret.hdf5"
    with h5py.File(file, "w") as pack:
        pack[GROUP] = h5py.ExternalLink(str(secret), f"/{GROUP}")
    before = secret.read_bytes()
    for work in (lambda: rename_comics(file, {"c": "d"}), lambda: layout_of(file), lambda: Pack(file).read("c", 0)):
        with pytest.raises(InputError, match="link out"):
            work()
    assert secret.read_bytes() == before


@pytest.mark.parametrize("layout", ["published", "blob"])
def test_a_damaged_pack_is_one_sentence(tmp_path: Path, layout: str) -> None:
    crops = tmp_path / GROUP / "c"
    crops.mkdir(parents=True)
    for panel in range(1, 4):
        (crops / f"1_{panel}.jpg").write_bytes(bytes(range(256)) * panel)
    pack_folder(tmp_path / GROUP, layout=layout)
    file = tmp_path / f"{GROUP}.hdf5"
    sound = file.read_bytes()
    heaps = [place for place in range(len(sound)) if sound.startswith(b"HEAP", place)]
    assert heaps
    said = []
    for place in heaps:  # the free list of a group's names: h5py raises RuntimeError, not OSError
        file.write_bytes(sound[: place + 16] + b"\xee" * 8 + sound[place + 24 :])
        with suppress(InputError):
            layout_of(file)
            said.append("read")
    assert len(said) < len(heaps)
    for length in (0, 4, len(sound) // 2, len(sound) - 1):
        file.write_bytes(sound[:length])
        with pytest.raises(InputError):
            Pack(file).read("c", 0)
