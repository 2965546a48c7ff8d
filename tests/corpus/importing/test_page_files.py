"""What happens to the bytes of a page: kept when nothing needs to change, else decoded once and stored by rule."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageChops

from comictool.core.errors import InputError
from comictool.core.images import decode
from comictool.corpus.importing.page_files import page_file
from tests.archives.comic_files import opened, picture


def encoded(image: Image.Image, kind: str, **save: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **save)
    return stream.getvalue()


def png(size: tuple[int, int], rows: bytes, depth: int = 8) -> bytes:
    """An RGB PNG built by hand, for what Pillow does not write."""
    header = struct.pack(">2I5B", *size, depth, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    body = b"".join(struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


def painting(colours: int = 200_000) -> Image.Image:
    """Many colours, as in a scan."""
    side = int(colours**0.5) + 1
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (side, side, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("data", "ending"),
    [
        (picture(1), "jpg"),
        (picture(1, mode="L"), "jpg"),
        (picture(1, kind="JPEG", progressive=True), "jpg"),
        (picture(1, kind="PNG"), "png"),
        (picture(1, kind="PNG", mode="L"), "png"),
        (picture(1, kind="PNG", mode="P"), "png"),
        (picture(1, kind="PNG", mode="1"), "png"),
        (picture(1, kind="PNG", mode="RGBA"), "png"),  # an alpha channel that hides nothing
        (picture(1, kind="WEBP"), "webp"),
        (picture(1, kind="WEBP", lossless=True), "webp"),
        (picture(1, kind="AVIF"), "avif"),
        (picture(1, kind="GIF"), "gif"),
    ],
)
def test_bytes_that_need_no_change_are_kept(data: bytes, ending: str) -> None:
    kept = page_file(data)
    assert kept.data is data
    assert (kept.ending, kept.width, kept.height) == (ending, 40, 60)


@pytest.mark.parametrize(
    ("kind", "mode", "save", "stored_mode"),
    [
        ("BMP", "RGB", {}, "RGB"),
        ("TIFF", "RGB", {}, "RGB"),
        ("TIFF", "1", {"compression": "group4"}, "L"),
        ("TIFF", "L", {}, "L"),
        ("PPM", "RGB", {}, "RGB"),
    ],
)
def test_lossless_sources_of_few_colours_become_png_without_loss(
    kind: str, mode: str, save: dict[str, object], stored_mode: str
) -> None:
    data = picture(2, kind=kind, mode=mode, **save)
    stored = page_file(data)
    assert stored.ending == "png"
    assert opened(stored.data).mode == stored_mode
    assert ImageChops.difference(decode(stored.data), opened(data).convert("RGB")).getbbox() is None


def test_sixteen_bits_keep_their_range() -> None:
    ramp = np.linspace(0, 65535, 256 * 8).round().astype(np.uint16).reshape(8, 256)
    for kind in ("PNG", "TIFF"):
        stored = page_file(encoded(Image.fromarray(ramp), kind))
        assert stored.ending == "png"
        grey = np.asarray(opened(stored.data)).astype(float)
        assert np.abs(grey - ramp / 257.0).max() <= 1.0


def test_sixteen_bits_in_colour_become_eight() -> None:
    rows = b"".join(b"\x00" + struct.pack(">6H", 65535, 0, 32768, 0, 65535, 0) for _ in range(2))
    stored = page_file(png((2, 2), rows, depth=16))
    assert stored.data[24] == 8
    assert opened(stored.data).getpixel((0, 0)) in ((255, 0, 127), (255, 0, 128))


def test_see_through_parts_show_paper() -> None:
    image = Image.new("RGBA", (20, 10), (200, 0, 0, 255))
    image.paste((0, 0, 0, 0), (0, 0, 10, 10))
    for kind, save in (("PNG", {}), ("WEBP", {"lossless": True})):
        stored = page_file(encoded(image, kind, **save))
        assert stored.ending == "png"
        assert opened(stored.data).mode == "RGB"
        assert opened(stored.data).getpixel((2, 2)) == (255, 255, 255)
        assert opened(stored.data).getpixel((15, 2)) == (200, 0, 0)
    blocks = opened(picture(1, kind="PNG", mode="P"))
    palette = page_file(encoded(blocks, "PNG", transparency=blocks.getpixel((0, 0))))
    assert palette.ending == "png"
    assert opened(palette.data).getpixel((0, 0)) == (255, 255, 255)


def test_printing_inks_become_jpeg_in_full_colour_resolution() -> None:
    stored = page_file(picture(3, mode="CMYK", size=(64, 64)))
    image = opened(stored.data)
    assert (stored.ending, image.mode, image.size) == ("jpg", "RGB", (64, 64))
    assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3  # type: ignore[attr-defined]
    assert page_file(picture(3, kind="TIFF", mode="CMYK")).ending == "png"


@pytest.mark.parametrize(("orientation", "turn"), [(3, Image.Transpose.ROTATE_180), (6, Image.Transpose.ROTATE_270)])
def test_turned_photographs_are_set_upright_once(orientation: int, turn: Image.Transpose) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = picture(4, size=(64, 32), exif=exif)
    stored = page_file(data)
    assert (stored.width, stored.height) == opened(data).transpose(turn).size
    assert opened(stored.data).getexif().get(0x0112, 1) == 1
    difference = ImageChops.difference(decode(stored.data), opened(data).transpose(turn))
    assert max(high for _, high in difference.getextrema()) < 40  # type: ignore[misc]
    assert page_file(stored.data).data == stored.data


def test_many_colours_become_jpeg_few_become_png() -> None:
    assert page_file(encoded(painting(), "TIFF")).ending == "jpg"
    assert page_file(encoded(painting(10_000), "TIFF")).ending == "png"
    assert page_file(picture(1, kind="JPEG2000")).ending == "jpg"  # lossy already
    assert page_file(picture(1, kind="ICO", size=(32, 32))).ending == "png"


def test_animations_give_their_first_picture_and_lost_pages_are_told() -> None:
    frames = [opened(picture(n, kind="PNG")) for n in range(3)]
    for kind in ("GIF", "WEBP", "PNG"):
        stored = page_file(encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=100))
        assert getattr(opened(stored.data), "n_frames", 1) == 1
        assert stored.note == ""
    assert "3 pictures" in page_file(encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:])).note


def test_wide_colour_profile_survives_and_ink_profile_does_not() -> None:
    profile = b"\x00" * 128
    kept = page_file(encoded(opened(picture(1, kind="BMP")), "TIFF", icc_profile=profile))
    assert opened(kept.data).info["icc_profile"] == profile
    inks = page_file(encoded(opened(picture(1)).convert("CMYK"), "JPEG", icc_profile=profile))
    assert "icc_profile" not in opened(inks.data).info


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "0 bytes"),
        (b" \n<!doctype html><title>404</title>", "a web page"),
        (b"\xff\x0a" + bytes(40), "JPEG XL"),
        (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\x00\x00\x00\x18ftypheic" + bytes(40), "HEIC"),
        (b"%PDF-1.4", "PDF"),
        (b"hello", "not a picture"),
        (picture(1, size=(300, 300))[:1500], "cut off"),
        (picture(1, kind="PNG", size=(300, 300))[:-40], "cut off|damaged"),
        (picture(1, kind="WEBP")[:60], "damaged|cut off|cannot be read"),
        (png((60_000, 60_000), b""), "safe to decode"),
    ],
)
def test_bad_pages_are_refused_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        page_file(data)
