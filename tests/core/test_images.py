from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from comictool.core import images
from comictool.core.errors import InputError
from comictool.core.images import decode, decode_array, open_picture


def encoded(picture: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "F"])
def test_every_mode_becomes_rgb_with_its_brightness(mode: str) -> None:
    grey = np.full((8, 6), 255, np.uint8)
    grey[:, :3] = 0
    picture = Image.fromarray(grey)
    if mode == "I;16":
        picture = Image.fromarray(grey.astype(np.uint16) * 257)
    else:
        picture = picture.convert(mode)
    data = encoded(picture, "TIFF")
    array = decode_array(data)
    assert array.shape == (8, 6, 3)
    assert array.dtype == np.uint8
    assert array[0, 0].max() <= 3
    assert array[0, 5].min() >= 252


def test_transparent_pixels_show_paper_not_black() -> None:
    picture = Image.new("RGBA", (4, 4), (10, 20, 30, 0))
    assert decode_array(encoded(picture, "PNG"))[0, 0].tolist() == [255, 255, 255]


def test_exif_rotation_is_applied() -> None:
    picture = Image.new("RGB", (40, 20))
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(encoded(picture, "JPEG", exif=exif)).size == (20, 40)


def test_the_reduced_decode_keeps_the_promised_size() -> None:
    picture = Image.new("RGB", (1600, 2400))
    small = decode(encoded(picture, "JPEG"), at_least=300)
    assert 300 <= min(small.size) < 1600


@pytest.mark.parametrize("cut", [0, 1, 10, 100, 400])
def test_damaged_bytes_give_one_clear_error(cut: int) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    with pytest.raises(InputError):
        decode(encoded(noise, "JPEG")[:cut])


def test_html_is_not_a_picture(tmp_path: Path) -> None:
    page = tmp_path / "04.jpg"
    page.write_text("<html><body>404</body></html>")
    with pytest.raises(InputError, match="not a picture"):
        decode(page)


def test_a_bomb_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = encoded(Image.new("1", (20_000, 11_000)), "PNG")
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(InputError, match="safe"):
        decode(bomb)


def test_too_many_bytes_are_refused_before_opening(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_BYTES", 10)
    with pytest.raises(InputError, match="more than the 10"):
        open_picture(b"x" * 11)
