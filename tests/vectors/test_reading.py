"""What reading pictures at a reduced scale changes in their vectors."""

from __future__ import annotations

import numpy as np
import pytest

from comictool.core.images import decode_array
from comictool.plugins.load import EncoderSpec
from comictool.plugins.preparation import prepare_one
from comictool.vectors.pictures import Picture
from comictool.vectors.reading import SPARE, Decoding, read_picture
from tests.data import data, needs_data

BF16 = 1.1e-5  # 1 - cosine, the most that this arithmetic made on the same pictures (see `SPARE`)


@needs_data
def test_pages_read_small_have_the_vectors_of_pages_read_whole() -> None:
    """In fp32, where arithmetic hides nothing: no farther off than twice what bf16 makes."""
    pytest.importorskip("torch")
    encoder = EncoderSpec("res18_single", device="cpu", precision="fp32", random_weights=True).load()
    spec = encoder.manifest.image
    assert spec is not None
    files = tuple(sorted(data("pepper_carrot").rglob("*.jpg"))[:4])
    whole = [decode_array(file) for file in files]
    assert min(min(picture.shape[:2]) for picture in whole) > 2 * SPARE * max(spec.size), "none would be read small"
    small = [read_picture(Picture(file), [0], Decoding(spec.size, spec)).pixels[0] for file in files]
    assert [picture.shape for picture in small] == [(*spec.size, 3)] * len(files)
    by_torch = [np.ascontiguousarray(prepare_one(picture, spec).permute(1, 2, 0).numpy()) for picture in whole]
    before, now = (encoder.embed(pictures).astype(np.float64) for pictures in (by_torch, small))
    apart = 1 - (before * now).sum(axis=1)
    assert apart.max() < 2 * BF16
    assert 1 - np.min(before @ before.T) > 20 * apart.max()
