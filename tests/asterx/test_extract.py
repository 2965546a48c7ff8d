"""A vector for every panel, from the window centred on it, filed under it."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from comictool.asterx import extract as extracting
from comictool.asterx.data import panels_of
from comictool.asterx.encoding import encode_panels, standard_matrix
from comictool.asterx.extract import ExtractOptions, extract
from comictool.asterx.model import EncoderShape, SequenceModel
from comictool.asterx.weights import SequencePlugin
from comictool.asterx.windows import WindowShape
from comictool.core.errors import InputError, UsageError
from comictool.core.jobs import JobOptions
from comictool.elric.context_rows import read_features
from comictool.vectors.packs import FeaturePack
from comictool.vectors.tables import read_pack, read_tables
from tests.asterx.stories import WIDTH, of_lengths, story_panels, write_pack
from tests.vectors.fakes import DIMENSION, ask, embed_corpus, fake, make_corpus

LENGTHS = (1, 2, 6, 25)


def plugin(window: WindowShape | None = None, *, single: float = 0.0, reads: str = "") -> SequencePlugin:
    torch.manual_seed(0)
    model = SequenceModel(EncoderShape(WIDTH, 16, 2, 2, 32), window or WindowShape()).eval()
    return SequencePlugin(model, f"asterx@1+{single}", "ASTERX", single=single, reads=reads)


def vectors(folder: Path, split: str = "val") -> tuple[np.ndarray, list[str]]:
    pack = FeaturePack(folder / f"{split}_sequence_features.hdf5")
    names = [f"{comic}/{name}" for comic in pack.comics() for name in pack.names(comic)]
    return np.concatenate([pack.matrix(comic) for comic in pack.comics()]), names


@pytest.mark.parametrize("windows", ["one", "two"])
def test_every_panel_has_a_vector_under_its_own_name(tmp_path: Path, windows: str) -> None:
    # The published export has none for the first 9 and last 5 panels of a comic.
    panels = of_lengths(*LENGTHS)
    write_pack(tmp_path, "val", panels)
    report = extract(tmp_path, plugin(), tmp_path / "out", chosen=ExtractOptions(windows=windows))
    assert [pack.name for pack in report.packs] == ["val_sequence_features.hdf5"]
    found, names = vectors(tmp_path / "out")
    assert names == panels.identifiers
    assert found.shape == (len(panels), 16)
    assert len(np.unique(found.round(5), axis=0)) == len(panels) if windows == "two" else True


@pytest.mark.parametrize(("windows", "reach"), [("one", 2), ("two", 7)])
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("token", ["cls", "centre"])
def test_a_panel_changes_the_vectors_of_the_windows_that_hold_it_and_no_others(
    tmp_path: Path, windows: str, reach: int, masked: bool, token: str
) -> None:
    # The published export files the window around panel i under panel i + 7.
    panels = of_lengths(*LENGTHS)
    write_pack(tmp_path, "val", panels)
    chosen = ExtractOptions(token=token, windows=windows, masked=masked)
    extract(tmp_path, plugin(), tmp_path / "before", chosen=chosen)
    before, _ = vectors(tmp_path / "before")
    for changed in (9, 20, 33, 4):
        other = of_lengths(*LENGTHS)
        other.vectors[changed] += 3
        write_pack(tmp_path / f"{changed}", "val", other)
        extract(tmp_path / f"{changed}", plugin(), tmp_path / f"{changed}", chosen=chosen)
        after, _ = vectors(tmp_path / f"{changed}")
        moved = set(np.flatnonzero(np.abs(after - before).max(axis=1) > 1e-6))
        comic = panels.comic_of
        holding = {row for row in range(len(panels)) if comic[row] == comic[changed] and abs(row - changed) <= reach}
        if masked:  # the centres of the window itself and of its neighbours are hidden
            holding -= {changed} | ({changed - 5, changed + 5} if windows == "two" else set())
        assert moved == holding


def test_vectors_are_those_of_windows_made_by_hand(tmp_path: Path) -> None:
    panels, made = of_lengths(12, 20), plugin()
    write_pack(tmp_path, "val", panels)
    extract(tmp_path, made, tmp_path, chosen=ExtractOptions(windows="two", batch_size=7))
    found, _ = vectors(tmp_path)
    comic = torch.from_numpy(panels.vectors[12:])
    yes, hide = torch.ones(1, 5, dtype=torch.bool), torch.ones(1, dtype=torch.bool)
    for panel in (7, 9, 12):
        with torch.no_grad():
            each = [
                made.model(comic[None, panel - 2 : panel + 3], yes, hide, comic[None, at - 2 : at + 3], yes).sequence
                for at in (panel + 5, panel - 5)
            ]
        np.testing.assert_allclose(found[12 + panel], torch.cat(each).mean(dim=0).numpy(), atol=1e-5)


def test_windows_are_shown_as_in_training() -> None:
    assert ExtractOptions().two(plugin())
    assert not ExtractOptions().two(plugin(single=0.3))
    assert ExtractOptions(windows="two").two(plugin(single=0.3))
    assert not ExtractOptions(windows="one").two(plugin())


def test_the_files_are_those_of_the_published_layout(tmp_path: Path) -> None:
    panels = story_panels()
    write_pack(tmp_path, "train", panels)
    extract(tmp_path, plugin(reads="made up"), tmp_path, chosen=ExtractOptions(legacy_shape=True, windows="one"))
    with h5py.File(tmp_path / "train_sequence_features.hdf5") as pack:
        assert list(pack) == ["train_sequence_features"]
        group = pack["train_sequence_features"]
        assert group["comic_0_0/feat_data"].shape == (20, 6, 16)
        assert group["comic_0_0/feat_data"].dtype == np.float32
        assert group.attrs["encoder_id"] == "asterx@1+0.0"
        every = group["comic_0_0/feat_data"][:]
    extract(tmp_path, plugin(), tmp_path / "plain", chosen=ExtractOptions(windows="one"))
    np.testing.assert_allclose(
        FeaturePack(tmp_path / "plain/train_sequence_features.hdf5").matrix("comic_0_0"), every[:, 0], atol=1e-6
    )
    extract(tmp_path, plugin(), tmp_path / "centre", chosen=ExtractOptions(windows="one", token="centre"))
    np.testing.assert_allclose(
        FeaturePack(tmp_path / "centre/train_sequence_features.hdf5").matrix("comic_0_0"), every[:, 3], atol=1e-6
    )


def test_batches_and_items_do_not_change_the_vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pack(tmp_path, "val", story_panels())
    extract(tmp_path, plugin(), tmp_path / "whole")
    monkeypatch.setattr(extracting, "ITEM_PANELS", 13)
    extract(tmp_path, plugin(), tmp_path / "parts", chosen=ExtractOptions(batch_size=5))
    np.testing.assert_allclose(vectors(tmp_path / "whole")[0], vectors(tmp_path / "parts")[0], atol=1e-6)
    assert vectors(tmp_path / "whole")[1] == vectors(tmp_path / "parts")[1]


def test_what_is_finished_is_kept_and_what_changed_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extracting, "ITEM_PANELS", 25)
    panels = story_panels()
    write_pack(tmp_path, "val", panels)
    first = extract(tmp_path, plugin(), tmp_path, options=JobOptions(limit=2))
    assert (first.job.done, first.packs) == (2, [])
    assert not (tmp_path / "val_sequence_features.hdf5").exists()
    second = extract(tmp_path, plugin(), tmp_path)
    assert (second.job.skipped, second.job.done) == (2, 3)
    written = (tmp_path / "val_sequence_features.hdf5").stat().st_mtime_ns
    third = extract(tmp_path, plugin(), tmp_path)
    assert (third.job.skipped, third.job.done) == (5, 0)
    assert (tmp_path / "val_sequence_features.hdf5").stat().st_mtime_ns == written
    other = extract(tmp_path, plugin(single=0.5), tmp_path)
    assert other.job.done == 5
    panels.vectors[3] += 1
    write_pack(tmp_path, "val", panels)
    assert extract(tmp_path, plugin(single=0.5), tmp_path).job.done == 5


def test_features_of_another_kind_are_refused(tmp_path: Path) -> None:
    write_pack(tmp_path, "val", story_panels(width=8))
    with pytest.raises(InputError, match="vectors of 8 numbers"):
        extract(tmp_path, plugin(), tmp_path)
    write_pack(tmp_path, "val", story_panels())
    with pytest.raises(InputError, match="made by made up"):
        extract(tmp_path, plugin(reads="classic@1"), tmp_path)
    with pytest.raises(InputError, match="holds no test_features"):
        extract(tmp_path, plugin(), tmp_path, splits=["test"])
    (tmp_path / "val_sequence_features.hdf5").write_bytes(b"")
    with pytest.raises(InputError, match="no pack of panel features"):
        extract(tmp_path / "val_sequence_features.hdf5", plugin(), tmp_path)
    for wrong in ({"token": "mask"}, {"windows": "three"}, {"batch_size": 0}):
        with pytest.raises(UsageError):
            ExtractOptions(**wrong)


def test_order_is_asked_in_both_directions(tmp_path: Path) -> None:
    panels, made = of_lengths(3, 16), plugin()
    file = write_pack(tmp_path, "val", panels)
    encoded = encode_panels(made.model, standard_matrix(made.model, panels), read_pack(file))
    assert np.flatnonzero(encoded.orderable).tolist() == [3 + 7, 3 + 8]
    assert np.isnan(encoded.order[:3]).all()
    assert np.isfinite(encoded.order[encoded.orderable]).all()


def test_features_of_a_store_become_a_column_of_it_that_is_read_and_searched(tmp_path: Path) -> None:
    corpus, root = make_corpus(tmp_path / "corpus", {"a": 5, "b": 5}), tmp_path / "store"
    embed_corpus(corpus, fake(), root, options=JobOptions(jobs=1))
    torch.manual_seed(0)
    model = SequenceModel(EncoderShape(DIMENSION, 16, 2, 2, 32), WindowShape()).eval()
    made = SequencePlugin(model, "asterx@1", "ASTERX", reads="fake@1+none+own")
    report = extract(root, made, root)
    table, packed = read_tables(root, modality="sequence")["all"], read_tables(report.packs[0], modality="sequence")
    assert (table.origin, table.facts["reads"]) == ("asterx@1", ["fake@1+none+own"])
    assert table.identifiers == packed["all"].identifiers == panels_of(root, "all").identifiers
    np.testing.assert_array_equal(table.vectors, packed["all"].vectors)
    assert read_features(root, ["a"]).keys() == {name for name in table.identifiers if name.startswith("a/")}
    assert len(ask(root, id="a/2/1", columns=(("sequence", 1.0),), k=99)) == len(table) - 1
    head = (root / "zarr.json").read_bytes()
    assert extract(root, made, root).job.done == 0
    assert (root / "zarr.json").read_bytes() == head
    extract(root, made, tmp_path / "elsewhere", chosen=ExtractOptions(legacy_shape=True))
    assert read_features(tmp_path / "elsewhere", ["b"])["b/1_1"].shape == (16,)
