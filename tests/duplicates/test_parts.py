from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.fft import dctn

from comictool.duplicates.books import find_runs, longest_chain
from comictool.duplicates.candidates import MOST_BITS_APART, bits_apart, find_candidates, key_bits
from comictool.duplicates.fingerprint import fingerprint_page, from_json, ink_share, small_pictures
from comictool.duplicates.groups import join
from comictool.duplicates.hashes import REGION, REGIONS, coarse, packed_signs, region_distances, region_frequencies
from comictool.duplicates.results import Link
from comictool.duplicates.similarity import CUTS, UNMOVED, align, best_starts, inverse, move, similarity, softened
from tests.bench.duplicates_cost import planted
from tests.duplicates.page_copies import cut, random_page, with_balloons


def small(page: Image.Image) -> np.ndarray:
    return small_pictures(page.convert("L"))[0]


def test_a_fingerprint_survives_json_and_knows_the_halves_of_a_wide_page(tmp_path) -> None:  # type: ignore[no-untyped-def]
    wide = Image.new("RGB", (640, 384), "white")
    wide.paste(random_page(1, (320, 384)), (0, 0))
    wide.save(tmp_path / "wide.png")
    made = fingerprint_page(7, tmp_path / "wide.png")
    again = from_json(made.as_json())
    assert (again.page, again.width, again.height) == (7, 640, 384)
    assert (again.file_digest, again.pixel_digest) == (made.file_digest, made.pixel_digest)
    np.testing.assert_array_equal(again.pictures, made.pictures)
    assert made.pictures.shape == (3, 64, 64)
    assert made.pictures[2].min() > 250
    np.testing.assert_allclose(made.pictures[0][:, :32], made.pictures[1].reshape(64, 32, 2).mean(axis=2), atol=1)


def test_turned_pictures_are_measured_upright(tmp_path) -> None:  # type: ignore[no-untyped-def]
    exif = Image.Exif()
    exif[0x0112] = 6
    random_page(1, (420, 300)).save(tmp_path / "turned.jpg", exif=exif)
    made = fingerprint_page(1, tmp_path / "turned.jpg")
    assert (made.width, made.height, len(made.pictures)) == (300, 420, 1)


def test_ink_is_the_share_of_cells_with_something_on_them() -> None:
    page = Image.new("L", (160, 320), 255)
    assert ink_share(page) == 0
    noise = np.random.default_rng(0).integers(0, 2, (160, 80), dtype=np.uint8) * 255
    page.paste(Image.fromarray(noise).resize((80, 160), Image.Resampling.NEAREST), (0, 0))
    assert ink_share(page) == pytest.approx(0.25, abs=0.02)


def test_frequencies_are_those_of_a_cosine_transform() -> None:
    pictures = np.random.default_rng(1).uniform(0, 255, (3, 32, 32)).astype(np.float32)
    frequencies, drawn = region_frequencies(pictures)
    top, left = REGIONS[5]
    plain = dctn(pictures[2, top : top + REGION, left : left + REGION].astype(np.float64), norm="ortho")
    np.testing.assert_allclose(frequencies[2, 5, :3], [plain[0, 1], plain[1, 0], plain[1, 1]], rtol=1e-3, atol=1e-2)
    assert drawn.all()
    assert not region_frequencies(np.full((1, 32, 32), 7, np.float32))[1].any()


def test_packed_signs_and_distances_count_bits() -> None:
    values = np.zeros((1, 2, 32), np.float32)
    values[0, 0, [0, 31]] = 1
    packed = packed_signs(values)
    assert packed.tolist() == [[0x80000001, 0]]
    assert region_distances(packed, packed[:, ::-1]).tolist() == [[2, 2]]


def test_flat_regions_say_nothing() -> None:
    hashes = np.zeros((1, 9), np.uint32)
    drawn = np.ones((1, 9), bool)
    assert bits_apart(hashes, drawn, hashes, drawn).tolist() == [0]
    drawn[0, :6] = False
    assert bits_apart(hashes, drawn, hashes, drawn)[0] > 0


def test_candidates_hold_the_copies_and_few_others() -> None:
    prints, copies = planted(3000)
    found = find_candidates(prints.pictures)
    first, second = np.minimum(found.whole, found.cut), np.maximum(found.whole, found.cut)
    pairs = set(zip(first.tolist(), second.tolist(), strict=True))
    rng = np.random.default_rng(3)
    sources = _planted_sources(rng, 3000)
    wanted = {(min(source, 3000 - copies + n), max(source, 3000 - copies + n)) for n, source in enumerate(sources)}
    assert len(wanted & pairs) >= 0.95 * len(wanted)
    assert len(pairs) < 4 * 3000
    assert len(pairs) == len(found)


def _planted_sources(rng: np.random.Generator, count: int) -> list[int]:
    """The sources that `planted` drew, found by brute force: the original most correlated with each copy."""
    prints, copies = planted(count)
    flat = softened(coarse(prints.pictures)).reshape(count, -1)
    return (flat[count - copies :] @ flat[: count - copies].T).argmax(axis=1).tolist()


def test_crowds_of_equal_pages_stay_linear_and_connected() -> None:
    page = small(random_page(1))
    noise = np.random.default_rng(2).integers(0, 2, (600, 64, 64), dtype=np.uint8)
    found = find_candidates(page + noise * (page < 255))
    assert found.crowded > 0
    assert 599 <= len(found) <= 600 * 48
    reached = {0}
    for pair in sorted(zip(found.whole.tolist(), found.cut.tolist(), strict=True), key=min):
        if reached & set(pair):
            reached |= set(pair)
    assert len(reached) == 600


def test_keys_grow_with_the_corpus() -> None:
    assert [key_bits(count) for count in (2, 1000, 100_000, 10_000_000)] == [16, 17, 24, 29]
    assert find_candidates(np.zeros((1, 64, 64), np.uint8)).whole.size == 0
    assert MOST_BITS_APART < 4 * 16


def test_similarity_of_copies_and_of_others() -> None:
    pages = [random_page(n) for n in range(8)]
    one = np.stack([small(page) for page in pages])
    lettered = np.stack([small(with_balloons(page, 3)) for page in pages])
    border = np.stack([small(cut(page, 0.05)) for page in pages])
    others = np.roll(one, 1, axis=0)
    assert similarity(one, one).min() == 1
    assert similarity(one, lettered).min() > 0.6
    assert similarity(one, border).min() > 0.6
    assert similarity(one, 255 - others).max() < 0.3
    assert similarity(one, others).max() < 0.4
    assert similarity(one[:1], np.full((1, 64, 64), 255, np.uint8))[0] == 0
    np.testing.assert_array_equal(similarity(one, others, hopeless=2.0), np.zeros(8))
    np.testing.assert_allclose(similarity(one, lettered), similarity(lettered, one), atol=0.15)


def test_alignment_finds_a_known_move() -> None:
    pictures = coarse(np.stack([small(random_page(n)) for n in range(6)]))
    wanted = np.tile(np.array([0.94, 0.8, 0.92, -0.6], np.float32), (6, 1))
    moved, inside = move(pictures, wanted)
    assert inside.all()
    found = align(softened(moved), softened(pictures), np.tile(UNMOVED, (6, 1)))
    np.testing.assert_allclose(found[:, 0::2], wanted[:, 0::2], atol=0.03)
    np.testing.assert_allclose(found[:, 1::2], wanted[:, 1::2], atol=0.4)


def test_the_best_start_is_the_cut_that_was_made() -> None:
    picture = small(random_page(3))[None]
    for number, made in enumerate(CUTS):
        fine = made * np.array([1, 2, 1, 2], np.float32)
        moved = move(picture.astype(np.float32), fine[None])[0]
        np.testing.assert_array_equal(best_starts(moved, picture)[0], CUTS[number])
        back = best_starts(picture, moved)[0]
        np.testing.assert_allclose(back, inverse(made[None])[0], atol=1e-5)


def test_moving_by_whole_pixels_shifts() -> None:
    picture = np.random.default_rng(0).uniform(0, 255, (1, 32, 32)).astype(np.float32)
    moved, inside = move(picture, np.array([[1, 3, 1, -2]], np.float32))
    np.testing.assert_allclose(moved[0, 2:, :29], picture[0, :30, 3:], rtol=1e-5)
    assert inside[0, 2:, :29].all()
    assert not inside[0, :2].any()
    assert not inside[0, :, 29:].any()


def test_groups_do_not_chain() -> None:
    values = np.array([0.0, 0.4, 0.8, 1.2, 5.0, 5.1])
    links = [
        Link(a, b, "hash", 1 - abs(values[a] - values[b]) / 2)
        for a, b in combinations(range(6), 2)
        if abs(values[a] - values[b]) < 0.5
    ]
    near = lambda one, other: np.abs(values[one] - values[other]) < 0.6  # noqa: E731
    groups = join(links, near)
    assert [pages for pages, _ in groups] == [[0, 1], [2, 3], [4, 5]]
    assert all(len(used) == len(pages) - 1 for pages, used in groups)


def test_exact_links_count_before_better_scores() -> None:
    links = [Link(0, 1, "hash", 1.0), Link(1, 2, "file", 1.0)]
    groups = join(links, lambda one, other: np.zeros(len(one), bool))
    assert groups == [([1, 2], [links[1]])]


def test_the_order_of_links_does_not_matter() -> None:
    rng = np.random.default_rng(5)
    values = rng.uniform(0, 10, 40)
    links = [
        Link(a, b, "hash", float(1 - abs(values[a] - values[b])))
        for a, b in combinations(range(40), 2)
        if abs(values[a] - values[b]) < 0.4
    ]
    near = lambda one, other: np.abs(values[one] - values[other]) < 0.5  # noqa: E731
    expected = join(links, near)
    for _ in range(5):
        shuffled = [links[n] for n in rng.permutation(len(links))]
        assert join(shuffled, near) == expected
    for pages, _ in expected:
        apart = np.abs(values[pages][:, None] - values[pages])[np.triu_indices(len(pages), 1)]
        assert (apart < 0.5).mean() >= 0.75


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=9))
def test_the_longest_chain_is_the_longest(matches: list[tuple[int, int]]) -> None:
    unique = sorted(set(matches))
    chain = longest_chain(matches)
    assert all(a < c and b < d for (a, b), (c, d) in pairwise(chain))
    assert set(chain) <= set(unique)
    best = max(
        (
            size
            for size in range(len(unique) + 1)
            for chosen in combinations(unique, size)
            if all(a < c and b < d for (a, b), (c, d) in pairwise(chosen))
        ),
        default=0,
    )
    assert len(chain) == best


def test_runs_are_found_in_any_order_and_end_at_gaps() -> None:
    first = [(2 * n, 2 * (n + 20)) for n in range(5)]
    second = [(2 * (n + 10), 2 * n) for n in range(4)]
    stray = [(60, 90), (70, 10)]
    assert find_runs(first + second + stray) == [first, second]
    far = [(0, 0), (2, 2), (4, 4), (60, 60), (62, 62), (64, 64)]
    assert find_runs(far) == [far[:3], far[3:]]
    assert find_runs([(0, 0), (2, 2)]) == []
    assert find_runs([(0, 0), (2, 2)], least=2) == [[(0, 0), (2, 2)]]
