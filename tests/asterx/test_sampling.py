"""Candidates against explicit loops over every panel: who may be one, and that the hidden panel never is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from comictool.asterx.keys import MemberKey, PanelKey, SamplingKey, ValueKey, read_key, row_hashes
from comictool.asterx.sampling import STRATEGIES, CandidateSampler, skip
from comictool.core.errors import InputError, UsageError

COUNT, WIDTH = 60, 5
VALUES = np.array([-1 if row % 13 == 0 else row % 7 for row in range(COUNT)])
MEMBERS = [{f"c{row % 5}", f"c{row % 3}"} if row % 4 else set() for row in range(COUNT)]


def vectors(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(COUNT, WIDTH)).astype(np.float32)


def generators(count: int, seed: int = 0) -> list[np.random.Generator]:
    return [np.random.default_rng([seed, number]) for number in range(count)]


KEYS: dict[str, tuple[SamplingKey, Callable[[int, int], bool]]] = {
    "panel": (PanelKey(), lambda a, b: False),
    "value": (ValueKey(VALUES), lambda a, b: bool(VALUES[a] >= 0 and VALUES[a] == VALUES[b])),
    "members": (MemberKey(MEMBERS), lambda a, b: bool(MEMBERS[a] & MEMBERS[b])),
}


def permitted(row: int, name: str, negate: bool) -> set[int]:
    """Every panel that may be a negative, asked one by one."""
    alike = KEYS[name][1]
    return {other for other in range(COUNT) if other != row and alike(row, other) == negate}


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("negate", [False, True])
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("count", [2, 6, 50])
def test_negatives_are_permitted_distinct_and_never_the_hidden_panel(
    name: str, negate: bool, strategy: str, count: int
) -> None:
    sampler = CandidateSampler(vectors(), KEYS[name][0], count=count, strategy=strategy, negate=negate)
    rows = np.arange(COUNT)
    drawn = sampler.draw(rows, generators(COUNT))
    for row, candidates, real in zip(rows, drawn["candidates"], drawn["candidates_real"], strict=True):
        assert candidates[0] == row
        assert real[0]
        negatives = candidates[1:][real[1:]].tolist()
        allowed = permitted(int(row), name, negate)
        # The published sampler leaves out a panel five places off, so that the hidden one may be a negative.
        assert row not in negatives
        assert set(negatives) <= allowed
        assert len(set(negatives)) == len(negatives)
        if strategy == "mix":
            assert len(negatives) >= min(count - 1, len(allowed))
        else:
            assert len(negatives) == min(count - 1, len(allowed))
        assert not candidates[~real].any()


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("negate", [False, True])
def test_all_candidates_are_all_that_the_key_permits(name: str, negate: bool) -> None:
    sampler = CandidateSampler(vectors(), KEYS[name][0], count=0, negate=negate)
    allowed = sampler.draw(np.arange(COUNT), generators(COUNT))["allowed"]
    for row in range(COUNT):
        assert set(np.flatnonzero(allowed[row])) == permitted(row, name, negate) | {row}


@pytest.mark.parametrize("similarity", ["euclidean", "cosine"])
@pytest.mark.parametrize("negate", [False, True])
def test_retrieved_negatives_are_the_nearest(similarity: str, negate: bool) -> None:
    matrix = vectors()
    sampler = CandidateSampler(
        matrix, KEYS["value"][0], count=5, strategy="retrieve", negate=negate, similarity=similarity
    )
    drawn = sampler.draw(np.arange(COUNT), generators(COUNT))
    measured = matrix / np.linalg.norm(matrix, axis=1, keepdims=True) if similarity == "cosine" else matrix
    for row in range(COUNT):
        allowed = sorted(permitted(row, "value", negate))
        order = sorted(allowed, key=lambda other: float(((measured[other] - measured[row]) ** 2).sum()))
        found = drawn["candidates"][row, 1:][drawn["candidates_real"][row, 1:]]
        assert set(found) == set(order[:4])


def test_copies_of_the_hidden_panel_are_no_hard_negatives() -> None:
    matrix = vectors()
    matrix[10] = matrix[20] = matrix[30]
    sampler = CandidateSampler(matrix, PanelKey(), count=8, strategy="retrieve")
    drawn = sampler.draw(np.array([30]), generators(1))
    assert not {10, 20} & set(drawn["candidates"][0])
    assert drawn["candidates_real"][0].sum() == 8


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("negate", [False, True])
@pytest.mark.parametrize("count", [0, 4, 50])
def test_copies_of_the_hidden_panel_are_no_negatives(
    dtype: type[np.floating], strategy: str, negate: bool, count: int
) -> None:
    # Black panels, blank ones, an advertisement printed twice: no model can tell which of them was hidden.
    matrix = vectors().astype(dtype)
    copies = {10, 17, 20, 30, 45}
    matrix[sorted(copies)] = matrix[10]
    sampler = CandidateSampler(matrix, KEYS["value"][0], count=count, strategy=strategy, negate=negate)
    rows = np.arange(COUNT)
    drawn = sampler.draw(rows, generators(COUNT))
    for row in rows:
        if count:
            found = set(drawn["candidates"][row, 1:][drawn["candidates_real"][row, 1:]].tolist())
        else:
            found = set(np.flatnonzero(drawn["allowed"][row]).tolist()) - {row}
            assert drawn["allowed"][row, row]
        wanted = permitted(int(row), "value", negate) - (copies if row in copies else {row})
        assert found <= wanted
        assert found == wanted or len(found) >= count - 1 > 0


def test_rows_of_equal_bits_have_equal_hashes_and_no_others() -> None:
    matrix = np.random.default_rng(0).normal(size=(40_000, 3)).astype(np.float16)
    _, expected = np.unique(matrix, axis=0, return_inverse=True)
    _, found = np.unique(row_hashes(matrix), return_inverse=True)
    assert len(np.unique(np.stack([expected.ravel(), found]), axis=1).T) == expected.max() + 1 == found.max() + 1


def test_a_large_split_is_searched_in_a_pool() -> None:
    matrix = vectors()
    sampler = CandidateSampler(matrix, PanelKey(), count=4, strategy="retrieve", pool=15, seed=3)
    drawn = sampler.draw(np.arange(COUNT), generators(COUNT))["candidates"][:, 1:]
    assert len(np.unique(drawn)) <= 15
    assert not (drawn == np.arange(COUNT)[:, None]).any()


def test_every_permitted_panel_is_as_likely() -> None:
    sampler = CandidateSampler(vectors(), KEYS["value"][0], count=6)
    rows = np.full(4000, 8)
    drawn = sampler.draw(rows, generators(4000))["candidates"][:, 1:]
    allowed = permitted(8, "value", False)
    counts = np.bincount(drawn.ravel(), minlength=COUNT)
    assert set(np.flatnonzero(counts)) == allowed
    expected = 4000 * 5 / len(allowed)
    assert np.abs(counts[sorted(allowed)] - expected).max() < 5 * np.sqrt(expected)


def test_candidates_follow_from_the_seed_alone() -> None:
    sampler = CandidateSampler(vectors(), PanelKey(), count=10, strategy="mix")
    rows = np.array([3, 40, 7])
    together = sampler.draw(rows, generators(3))
    for place, row in enumerate(rows):
        alone = sampler.draw(np.array([row]), [generators(3)[place]])
        width = min(alone["candidates"].shape[1], together["candidates"].shape[1])
        assert (alone["candidates"][0, :width] == together["candidates"][place, :width]).all()


def test_skip_counts_past_what_is_left_out() -> None:
    left_out = np.array([0, 3, 4, 9])
    kept = [row for row in range(15) if row not in left_out]
    assert skip(left_out, np.arange(len(kept))).tolist() == kept


@pytest.mark.parametrize(
    ("given", "message"), [({"count": 1}, "candidates"), ({"count": 5, "strategy": "best"}, "strategy")]
)
def test_nonsense_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        CandidateSampler(vectors(), PanelKey(), **given)  # type: ignore[arg-type]


IDENTIFIERS = [f"a/1_{number}" for number in range(1, 5)] + ["b/1_1"]
COMICS = np.array([0, 0, 0, 0, 1])


def test_keys_are_read_from_the_tables_of_a_corpus(tmp_path: Path) -> None:
    (tmp_path / "processed/panels").mkdir(parents=True)
    (tmp_path / "annotations").mkdir()
    (tmp_path / "processed/panels/metainfo_train.csv").write_text(
        "panel_id,ratio_bin,intensity_bin,saturation_bin\na/1_1,0,1,2\na/1_3,0,2,2\nb/1_1,5,1,2\n"
    )
    (tmp_path / "annotations/characters_indexing.csv").write_text(
        "character,panel_id\na_1,a/1_1\na_2,a/1_1\na_2,a/1_4\nb_1,b/1_1\n"
    )
    expected = {
        "panel": ([[0], [1], [4]], 5),
        "comic": ([[0, 1, 2, 3], [0, 1, 2, 3], [4]], 5),
        "ratio": ([[0, 2], [1], [4]], 3),
        "intensity_level": ([[0, 4], [1], [0, 4]], 3),
        "saturation": ([[0, 2, 4], [1], [0, 2, 4]], 3),
        "character": ([[0, 3], [1], [4]], 3),
    }
    for name, (alike, known) in expected.items():
        key, found = read_key(name, IDENTIFIERS, COMICS, [tmp_path], "train")
        assert [key.same(row).tolist() for row in (0, 1, 4)] == alike, name
        assert found == known, name


def test_tables_that_are_missing_or_of_another_corpus_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="metainfo_train"):
        read_key("ratio", IDENTIFIERS, COMICS, [tmp_path], "train")
    (tmp_path / "metainfo_all.csv").write_text("panel_id,ratio_bin\nx/1_1,0\n")
    with pytest.raises(InputError, match="about none of these panels"):
        read_key("ratio", IDENTIFIERS, COMICS, [tmp_path], "train")
    with pytest.raises(UsageError, match="sampling key 'hue'"):
        read_key("hue", IDENTIFIERS, COMICS, [tmp_path], "train")
