"""How crowded it is around a picture: by a loop, when scores stay cosines, and runs that are resumed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from comictool.core.errors import InputError
from comictool.plugins.known import parts_of
from comictool.plugins.load import EncoderSpec
from comictool.reid import reader, surroundings
from comictool.reid.configuration import read_config
from comictool.reid.enrolled import calibrate_gallery
from comictool.reid.gallery import Gallery
from comictool.reid.reader import PictureReader
from comictool.reid.reranking import less
from comictool.reid.scoring import score_characters
from comictool.reid.sorting.actions import SortOptions
from comictool.reid.sorting.rules import DEFAULT_FAR
from comictool.reid.sorting.sort import prepare_sorting, sort_pictures
from comictool.reid.surroundings import LEAST_TARGETS, NOTHING, SAMPLE, Surroundings, surroundings_of
from comictool.vectors.stream import EmbeddedBatch
from tests.reid.drawings import cast, drawing, save


def rows(count: int, size: int = 6, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, size)).astype(np.float32) + 1
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def embedding(vectors: np.ndarray, broken: tuple[int, ...] = ()) -> surroundings.Embed:
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


def test_around_is_what_a_slow_loop_finds_and_scores_keep_their_order() -> None:
    pictures, vectors = rows(31).astype(np.float16), rows(9, seed=1)
    vectors[4] = pictures[7] / np.linalg.norm(pictures[7].astype(np.float32))
    found = Surroundings(pictures).around(vectors)
    assert found is not None
    for vector, value in zip(vectors, found, strict=True):
        cosines = sorted((float(vector @ other) for other in pictures.astype(np.float32)), reverse=True)
        others = [cosine for cosine in cosines if cosine <= 1 - 1e-4]
        assert len(others) == (30 if np.array_equal(vector, vectors[4]) else 31)
        assert value == pytest.approx(np.mean(others[: (len(others) + 1) // 2]), abs=1e-5)
    plain = score_characters(vectors, rows(6, seed=2), list("aabbcc"), "mixed")
    scaled = plain.scaled(found)
    assert np.array_equal(plain.order(), scaled.order())
    assert np.allclose(scaled.scores, 1 - (1 - plain.scores) / (1 - found)[:, None], atol=1e-5)
    assert plain.scaled(None) is plain


def test_mixed_is_the_mean_of_the_nearest_and_the_centroid() -> None:
    queries, references, excluded = rows(5), rows(6, seed=2), np.eye(5, 6, dtype=bool)
    one, two, both = (
        score_characters(queries, references, list("aabbcc"), mode, excluded=excluded).scores
        for mode in ("max", "centroid", "mixed")
    )
    assert np.allclose(both, (one + two) / 2, atol=1e-6)


def test_few_targets_leave_cosines_and_many_are_sampled() -> None:
    targets = rows(300, seed=1)
    paths = [Path(str(number)) for number in range(300)]
    assert surroundings_of(paths[: LEAST_TARGETS - 1], embedding(targets)) is NOTHING
    assert surroundings_of(paths[:30], embedding(targets, broken=tuple(range(20)))) is NOTHING
    assert NOTHING.around(rows(3)) is None
    found = surroundings_of(paths, embedding(targets, broken=(0,)))
    places = np.linspace(0, 299, SAMPLE).astype(int)[1:]
    assert np.array_equal(found.pictures, targets[places].astype(np.float16))


def test_the_journal_gives_the_same_surroundings_or_says_that_it_is_damaged() -> None:
    found = Surroundings(rows(30).astype(np.float16))
    assert np.array_equal(Surroundings.from_text(found.to_text(), 6).pictures, found.pictures)
    assert Surroundings.from_text(found.to_text(), 7) is NOTHING
    for forged in ("?", "AAA", Surroundings(np.full((1, 6), np.nan, np.float16)).to_text()[:-1]):
        with pytest.raises(InputError, match="damaged"):
            Surroundings.from_text(forged, 6)


def test_each_part_of_a_joined_vector_keeps_its_length() -> None:
    joined = np.concatenate([0.8 * rows(20, 4), 0.6 * rows(20, 3, seed=2)], axis=1)
    moved = less(joined, joined.mean(axis=0), (4, 3))
    assert np.allclose(np.linalg.norm(moved[:, :4], axis=1), 0.8, atol=1e-5)
    alone = less(joined[:, :4] / 0.8, joined[:, :4].mean(axis=0) / 0.8)
    assert np.allclose(moved[:, :4] / 0.8, alone, atol=1e-5)
    assert np.allclose(np.linalg.norm(less(joined, joined.mean(axis=0), (4, 4)), axis=1), 1, atol=1e-6)
    assert parts_of(EncoderSpec("comic_small")) == ()  # its parts are mixed
    assert parts_of(EncoderSpec("classic")) == ()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    cast(tmp_path / "refs", ("ann", "bob", "cat"), 4)
    for number in range(30):
        save(tmp_path / "targets" / f"{number:02}.png", drawing(("ann", "bob", "cat", "dan")[number % 4], number + 10))
    return tmp_path


def test_scores_are_scaled_unless_the_threshold_is_for_cosines_as_they_are(folder: Path) -> None:
    cached = PictureReader(cache=folder / "cache", jobs=1)
    gallery = Gallery.create(folder / "gallery")
    gallery.enroll(read_config(folder / "refs"), cached)

    def prepared(**options: object) -> tuple[bool, float]:
        run = prepare_sorting(folder / "targets", gallery, options=SortOptions(**options), reader=cached)  # type: ignore[arg-type]
        fitted = run.rules.threshold
        return bool(run.among), getattr(fitted, "far", fitted)  # type: ignore[return-value]

    assert prepared() == (True, DEFAULT_FAR)
    assert prepared(threshold="none") == (False, None)
    assert prepared(threshold=0.5) == (False, 0.5)
    calibrate_gallery(gallery, cached, far=0.2)
    assert prepared() == (True, 0.2)  # the rate of the gallery, fitted to scaled scores
    calibrate_gallery(gallery, cached, far=0.2, per_character=True)
    assert prepared() == (False, 0.2)
    legacy = prepare_sorting(
        folder / "targets", folder / "refs", reader=PictureReader(EncoderSpec("classic"), legacy=True, cached=False)
    )
    assert not legacy.among


def test_a_resumed_move_is_scaled_by_what_the_run_before_was(folder: Path) -> None:
    """Half of its targets are gone by then, and so would be what they say of the others."""
    shutil.copytree(folder / "targets", folder / "again")
    cached, options = PictureReader(cache=folder / "cache", jobs=1), SortOptions("move")

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
    assert np.array_equal(resumed.run.among.pictures, whole.run.among.pictures)


def test_without_torch_the_default_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert PictureReader().spec().name_or_path == "comic_small"
    monkeypatch.setattr(reader, "find_spec", lambda name: None)
    assert PictureReader().spec().name_or_path == "classic_character"
