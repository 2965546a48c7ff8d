"""What all pictures of a run have in common: its mean, when it is left, and runs that are resumed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from comictool.core.errors import UsageError
from comictool.plugins.known import parts_of
from comictool.plugins.load import EncoderSpec
from comictool.reid import common, reader
from comictool.reid.common import LEAST_TARGETS, NOTHING, Common, common_part
from comictool.reid.configuration import read_config
from comictool.reid.enrolled import calibrate_gallery
from comictool.reid.gallery import Gallery
from comictool.reid.reader import PictureReader
from comictool.reid.reranking import less
from comictool.reid.sorting.actions import SortOptions
from comictool.reid.sorting.rules import DEFAULT_FAR
from comictool.reid.sorting.sort import prepare_sorting, sort_pictures
from comictool.vectors.files import find_pictures
from comictool.vectors.stream import EmbeddedBatch
from tests.reid.drawings import cast, drawing, save


def rows(count: int, size: int = 6, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, size)).astype(np.float32) + 1
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def embedding(vectors: np.ndarray, broken: tuple[int, ...] = ()) -> common.Embed:
    """Batches of five of pictures that are called by their number."""

    def embed(paths: list[Path]) -> list[EmbeddedBatch]:
        chunks = [paths[start : start + 5] for start in range(0, len(paths), 5)]
        return [
            EmbeddedBatch(
                5 * number,
                chunk,
                np.stack([vectors[int(path.name)] * (int(path.name) not in broken) for path in chunk]),
                [path.name for path in chunk],
                {path: "spoilt" for path in chunk if int(path.name) in broken},
            )
            for number, chunk in enumerate(chunks)
        ]

    return embed  # type: ignore[return-value]


def test_the_mean_of_references_and_readable_targets_is_taken_off() -> None:
    references, targets = rows(7), rows(40, seed=1)
    paths = [Path(str(number)) for number in range(40)]
    found = common_part(references, paths, embedding(targets, broken=(3, 17)))
    left = np.delete(targets, [3, 17], axis=0)
    assert np.allclose(found.vector, (references.sum(axis=0) + left.mean(axis=0) * 40) / 47, atol=1e-6)
    expected = references - found.vector
    assert np.allclose(found.less(references), expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-6)


def test_few_targets_leave_vectors_as_they_are_and_many_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    references, targets = rows(7), rows(100, seed=1)
    paths = [Path(str(number)) for number in range(100)]
    assert common_part(references, paths[: LEAST_TARGETS - 1], embedding(targets)) is NOTHING
    assert common_part(rows(101), paths, embedding(targets)) is NOTHING
    assert common_part(references, paths[:30], embedding(targets, broken=tuple(range(20)))) is NOTHING
    assert NOTHING.less(references) is references
    monkeypatch.setattr(common, "SAMPLE", 30)
    places = np.linspace(0, 99, 30).astype(int)
    found = common_part(references, paths, embedding(targets))
    assert np.allclose(found.vector, (references.sum(axis=0) + targets[places].mean(axis=0) * 100) / 107, atol=1e-6)


def test_each_part_of_a_joined_vector_keeps_its_length() -> None:
    joined = np.concatenate([0.8 * rows(20, 4), 0.6 * rows(20, 3, seed=2)], axis=1)
    moved = less(joined, joined.mean(axis=0), (4, 3))
    assert np.allclose(np.linalg.norm(moved[:, :4], axis=1), 0.8, atol=1e-5)
    alone = less(joined[:, :4] / 0.8, joined[:, :4].mean(axis=0) / 0.8)
    assert np.allclose(moved[:, :4] / 0.8, alone, atol=1e-5)
    assert np.allclose(np.linalg.norm(less(joined, joined.mean(axis=0), (4, 4)), axis=1), 1, atol=1e-6)
    assert parts_of(EncoderSpec("comic_small")) == (576, 713)
    assert parts_of(EncoderSpec("classic")) == ()
    with pytest.raises(UsageError, match="7 numbers, and a common part of 6"):
        Common(np.ones(6, np.float32)).less(joined)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    cast(tmp_path / "refs", ("ann", "bob", "cat"), 4)
    for number in range(30):
        save(tmp_path / "targets" / f"{number:02}.png", drawing(("ann", "bob", "cat", "dan")[number % 4], number + 10))
    return tmp_path


def test_a_run_takes_it_off_unless_the_threshold_is_for_cosines_as_they_are(folder: Path) -> None:
    cached = PictureReader(cache=folder / "cache", jobs=1)
    gallery = Gallery.create(folder / "gallery")
    gallery.enroll(read_config(folder / "refs"), cached)

    def prepared(**options: object) -> tuple[bool, float]:
        run = prepare_sorting(folder / "targets", gallery, options=SortOptions(**options), reader=cached)  # type: ignore[arg-type]
        fitted = run.rules.threshold
        return bool(run.common.vector.size), getattr(fitted, "far", fitted)  # type: ignore[return-value]

    assert prepared() == (True, DEFAULT_FAR)
    assert prepared(threshold="none") == (True, None)
    assert prepared(threshold=0.5) == (False, 0.5)
    calibrate_gallery(gallery, cached, far=0.2)
    assert prepared() == (True, 0.2)  # the rate of the gallery, fitted to what is left
    calibrate_gallery(gallery, cached, far=0.2, per_character=True)
    assert prepared() == (False, 0.2)
    legacy = prepare_sorting(
        folder / "targets", folder / "refs", reader=PictureReader(EncoderSpec("classic"), legacy=True, cached=False)
    )
    assert not legacy.common.vector.size
    vectors = cached.embed(find_pictures([folder / "targets"])).vectors
    run = prepare_sorting(folder / "targets", folder / "refs", reader=cached)
    both = np.concatenate([vectors, gallery.vectors]).mean(axis=0)
    assert np.allclose(run.common.vector, both, atol=1e-6)
    assert np.allclose(run.enrolled.found.vectors, less(gallery.vectors, both), atol=1e-5)


def test_a_resumed_move_takes_off_what_the_run_before_took_off(folder: Path) -> None:
    """Half of its targets are gone by then, and so would be their part in the mean."""
    shutil.copytree(folder / "targets", folder / "again")
    cached, options = PictureReader(cache=folder / "cache", jobs=1), SortOptions("move", threshold="none")

    def told(records: list[dict[str, object]]) -> list[tuple[object, object, float]]:
        # Products of vectors differ in their sixth place by where a picture stands in its batch.
        return [(Path(str(r["path"])).name, r["character"], round(float(str(r["score"])), 4)) for r in records]

    whole = sort_pictures(folder / "targets", folder / "refs", folder / "whole", options, reader=cached)
    stopped = iter(prepare_sorting(folder / "again", folder / "refs", folder / "sorted", options, reader=cached))
    for _ in range(16):
        next(stopped)
    stopped.close()  # type: ignore[attr-defined]
    assert len(list((folder / "again").iterdir())) < 30
    resumed = sort_pictures(folder / "again", folder / "refs", folder / "sorted", options, reader=cached)
    assert told(resumed.records()) == told(whole.records())
    assert np.array_equal(resumed.run.common.vector, whole.run.common.vector)


def test_without_torch_the_default_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert PictureReader().spec().name_or_path == "comic_small"
    monkeypatch.setattr(reader, "find_spec", lambda name: None)
    assert PictureReader().spec().name_or_path == "classic_character"
