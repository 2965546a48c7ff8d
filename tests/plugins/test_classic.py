from __future__ import annotations

import pickle

import numpy as np
import pytest

from comictool.plugins.classic import ClassicEncoder, describe


def picture(seed: int = 0, height: int = 70, width: int = 90) -> np.ndarray:
    """Coarse coloured blocks: enough structure for every measurement."""
    blocks = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return np.kron(blocks, np.ones((height // 7, width // 9, 1), np.uint8))


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 2), (3, 5), (96, 96), (301, 200)])
def test_any_size_gives_a_finite_unit_row(size: tuple[int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    rows = ClassicEncoder().embed([image, np.zeros_like(image), np.full_like(image, 255)])
    assert rows.shape == (3, ClassicEncoder().dimension)
    assert rows.dtype == np.float32
    assert np.isfinite(rows).all()
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_same_bits_alone_in_a_batch_and_after_pickling() -> None:
    images = [picture(seed) for seed in range(4)]
    encoder = ClassicEncoder()
    batch = encoder.embed(images)
    copy = pickle.loads(pickle.dumps(encoder))
    assert copy.embed(images[::-1])[::-1].tobytes() == batch.tobytes()
    assert b"".join(describe(image).tobytes() for image in images) == batch.tobytes()


def test_no_pictures_give_no_rows() -> None:
    assert ClassicEncoder().embed([]).shape == (0, ClassicEncoder().dimension)
