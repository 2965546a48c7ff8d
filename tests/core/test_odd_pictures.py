"""Odd picture files: what is beside the picture never costs it, what is missing of it is told."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from comictool.core import images
from comictool.core.errors import InputError
from comictool.core.images import decode, decode_array, orientation, shown_size
from comictool.core.odd_pictures import jpeg_ended, jpeg_faults
from comictool.corpus.importing.page_files import page_file

SIZE = (48, 72)


def page(size: tuple[int, int] = SIZE) -> Image.Image:
    blocks = np.random.default_rng(7).integers(0, 256, (6, 4, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize(size, Image.Resampling.BICUBIC)


def encoded(kind: str, picture: Image.Image | None = None, **save: object) -> bytes:
    stream = io.BytesIO()
    (picture or page()).save(stream, kind, **save)
    return stream.getvalue()


def chunk(name: bytes, content: bytes, *, is_right: bool = True) -> bytes:
    checksum = zlib.crc32(name + content) ^ (0 if is_right else 1)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def with_chunk(added: bytes, *, behind: bool = False, mode: str = "RGB") -> bytes:
    data = encoded("PNG", page().convert(mode))
    at = data.index(b"IEND") - 4 if behind else 33
    return data[:at] + added + data[at:]


def odd_pngs() -> Iterator[tuple[str, bytes]]:
    for behind in (False, True):
        for name, added in {
            "eXIf that is no TIFF": chunk(b"eXIf", b"Exif\0\0garbage"),
            "zTXt of 2 MB": chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2_000_000))),
            "iTXt of 2 MB": chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(2_000_000))),
            "69 MB of text in all": chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(990_000))) * 70,
            "zTXt packed in another way": chunk(b"zTXt", b"a\0\7abc"),
            "zTXt that is not packed": chunk(b"zTXt", b"a\0\0abc"),
            "iCCP of 2 MB": chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(2_000_000))),
            "iCCP without a name": chunk(b"iCCP", b"abc"),
            "wrong checksum of tIME": chunk(b"tIME", bytes(7), is_right=False),
            "wrong checksum of pHYs": chunk(b"pHYs", bytes(9), is_right=False),
            "short pHYs": chunk(b"pHYs", b"ab"),
            "short gAMA": chunk(b"gAMA", b"a"),
            "tRNS of another length": chunk(b"tRNS", b"a"),
            "a lost frame": chunk(b"fcTL", bytes(26)),
        }.items():
            yield f"{name}{' behind the picture' * behind}", with_chunk(added, behind=behind)


@pytest.mark.parametrize(("name", "data"), list(odd_pngs()), ids=[name for name, _ in odd_pngs()])
def test_metadata_never_costs_a_png(name: str, data: bytes, tmp_path: Path) -> None:
    """4B.9, for every door: the import, whatever decodes, whatever asks for the size."""
    (tmp_path / "a.png").write_bytes(data)
    for source in (data, tmp_path / "a.png"):
        assert (decode_array(source) == np.asarray(page())).all()
        assert shown_size(source) == SIZE
    stored = page_file(data)
    assert stored.ending == "png"
    with Image.open(io.BytesIO(stored.data)) as plain:  # by any other program too
        assert (np.asarray(plain.convert("RGB")) == np.asarray(page())).all()
        assert ImageOps.exif_transpose(plain).size == SIZE


def test_harmless_metadata_of_a_png_costs_no_byte() -> None:
    text = PngInfo()
    text.add_text("Title", "x" * 1000, zip=True)
    text.add_itxt("XML:com.adobe.xmp", "<x>" * 400)
    data = encoded("PNG", pnginfo=text, dpi=(300, 300), icc_profile=bytes(200))
    assert page_file(data).data == data


@pytest.mark.parametrize("name", [b"IHDR", b"IDAT", b"PLTE"])
def test_a_wrong_checksum_of_the_picture_is_damage(name: bytes) -> None:
    data = bytearray(encoded("PNG", page().convert("P")))
    place = data.index(name) - 4
    end = place + 8 + int.from_bytes(data[place : place + 4])
    data[end] ^= 1
    with pytest.raises(InputError):
        decode(bytes(data))


def test_broken_metadata_of_other_formats() -> None:
    """4B.9: the fault is reported for PNG; its siblings."""
    exif = Image.Exif()
    exif[0x010E] = "a title"
    broken = {}
    for kind in ("JPEG", "WEBP", "AVIF"):
        data = encoded(kind, exif=exif)
        at = data.index(b"Exif\0\0") + 6 if kind == "JPEG" else data.rindex(b"MM\0*")
        broken[kind] = data[:at] + b"\xff" * 8 + data[at + 8 :]
    jpeg = encoded("JPEG")
    broken["JPEG segments"] = (
        jpeg[:2]
        + b"".join(
            struct.pack(">BBH", 255, code, 12) + magic.ljust(10, b"\xfe")
            for code, magic in ((0xE1, b"Exif\0\0"), (0xE2, b"ICC_PROFILE"), (0xE2, b"MPF\0"), (0xED, b"Photoshop"))
        )
        + jpeg[2:]
    )
    for kind, data in broken.items():
        stored = page_file(data)
        assert (stored.width, stored.height) == SIZE, kind
        assert orientation(images.load_picture(data)) == 1, kind
        with Image.open(io.BytesIO(stored.data)) as plain:
            plain.load()


@pytest.mark.parametrize(
    "save", [{}, {"progressive": True}, {"restart_marker_blocks": 3}, {"optimize": True}, {"subsampling": 0}]
)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_without_its_end_mark_is_whole(save: dict[str, object], mode: str) -> None:
    """4B.8. What is kept has the mark, for programs that need it."""
    data = encoded("JPEG", page((200, 300)).convert(mode), **save)
    expected = decode_array(data)
    for odd in (data[:-2], data[:-1], data + b"garbage", data[:-2] + bytes(100)):
        assert (decode_array(odd) == expected).all()
        stored = page_file(odd)
        assert stored.note == ""
        with Image.open(io.BytesIO(stored.data)) as plain:
            assert plain.size == (200, 300)
            plain.load()
    assert page_file(data[:-2]).data == (data if mode != "CMYK" else page_file(data).data)
    assert jpeg_faults(data) == ("", "")


@pytest.mark.parametrize("end", [b"", b"\xff\xd9"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_jpeg_cut_in_its_picture_says_how_much_is_there(share: float, end: bytes) -> None:
    """4B.8: with an end mark behind the cut, Pillow shows grey for the rest and keeps silent."""
    whole = encoded("JPEG", page((400, 800)), quality=95)
    start = whole.index(b"\xff\xda") + 14
    data = whole[: start + int(share * (len(whole) - start))] + end
    with pytest.raises(InputError, match=r"cut off: [0-9]+ of its 800 rows") as caught:
        page_file(data)
    rows = int(caught.value.fact.split("cut off: ")[1].split()[0])
    with Image.open(io.BytesIO(jpeg_ended(data))) as cut:
        same = (np.asarray(cut) == decode_array(whole)).all(axis=(1, 2))
    assert same[: rows - 1].all()  # the last one has colours of the next
    assert not same[rows + 16 :].all()
    if not end:
        with pytest.raises(InputError, match=r"rows are whole"):
            decode(data)


def test_a_broken_part_of_a_jpeg_is_noted() -> None:
    whole = encoded("JPEG", page((400, 800)), quality=95, restart_marker_blocks=10)
    at = whole.index(b"\xff\xd3", whole.index(b"\xff\xda"))
    stored = page_file(whole[:at] + whole[at + 2 :])
    assert "a part of it is damaged" in stored.note


@pytest.mark.parametrize("value", [0, 9, 77, 65_535])
def test_an_orientation_that_means_nothing_turns_nothing(value: int) -> None:
    """4G.31: it used to cost a re-encoding."""
    exif = Image.Exif()
    exif[0x0112] = value
    for kind in ("JPEG", "PNG", "WEBP"):
        data = encoded(kind, exif=exif)
        assert page_file(data).data == data, kind


@pytest.mark.parametrize("turn", range(2, 9))
def test_turned_pictures_are_shown_as_pillow_turns_them(turn: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    tiff = encoded("TIFF", tiffinfo={0x0112: turn})
    for kind, data in {"PNG": encoded("PNG", exif=exif), "JPEG": encoded("JPEG", exif=exif), "TIFF": tiff}.items():
        with Image.open(io.BytesIO(data)) as picture:
            picture.load()
            expected = ImageOps.exif_transpose(picture).convert("RGB")
        assert (decode_array(data) == np.asarray(expected)).all(), (kind, turn)
        (tmp_path / "a").write_bytes(data)
        assert shown_size(tmp_path / "a") == expected.size, (kind, turn)
    at = (plain := encoded("PNG")).index(b"IEND") - 4
    late = plain[:at] + chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")) + plain[at:]
    assert shown_size(late) == decode(late).size


def tiff16(values: np.ndarray, **tags: int) -> bytes:
    names = {"inks": 262, "bits": 258}
    return encoded("TIFF", Image.fromarray(values), tiffinfo={names[key]: value for key, value in tags.items()})


def test_deep_greys_keep_the_range_of_their_type() -> None:
    """4G.31: dark ones used to be stretched, fractions to be black."""
    ramp = np.linspace(0, 1, 256).reshape(8, 32)
    for top in (255, 5_000, 65_535):
        for kind in ("PNG", "TIFF", "JPEG2000"):
            deep = np.round(ramp * top).astype(np.uint16)
            shown = decode_array(encoded(kind, Image.fromarray(deep)))[..., 0]
            assert np.abs(shown - deep / 257.0).max() <= 1, (top, kind)
    for most, white in ((0.3, 1.0), (1.0, 1.0), (1.2, 1.0), (255.0, 255.0), (65_535.0, 65_535.0)):
        values = (ramp * most).astype(np.float32)
        shown = decode_array(encoded("TIFF", Image.fromarray(values)))[..., 0]
        assert np.abs(shown - (values / white).clip(0, 1) * 255).max() <= 0.51, most
    odd = np.array([[np.nan, -1.0, np.inf, 0.5]], np.float32)
    assert decode_array(encoded("TIFF", Image.fromarray(odd)))[0, 0, 0] == 0
    signed = np.round(ramp * (2**31 - 1)).astype(np.int32)
    shown = decode_array(encoded("TIFF", Image.fromarray(signed)))[..., 0]
    assert np.abs(shown - ramp * 255).max() <= 1


def test_deep_pgm_and_white_is_zero() -> None:
    assert decode_array(b"P5 2 1 1000\n" + struct.pack(">2H", 1000, 500))[0, :, 0].tolist() == [255, 128]
    big = encoded("TIFF", Image.fromarray(np.array([[0, 257 * 100]], dtype=">u2").astype(np.uint16)))
    flipped = big.replace(struct.pack("<HHIHH", 262, 3, 1, 1, 0), struct.pack("<HHIHH", 262, 3, 1, 0, 0))
    assert flipped != big
    assert decode_array(flipped)[0, :, 0].tolist() == [255, 155]


def test_colours_of_lab_and_a_transparent_colour_are_shown() -> None:
    lab = Image.new("LAB", (4, 4), (255, 128, 128))
    assert decode_array(encoded("TIFF", lab))[0, 0].min() >= 250
    keyed = encoded("PNG", Image.new("RGB", (4, 4), (10, 20, 30)), transparency=(10, 20, 30))
    assert decode_array(keyed)[0, 0].tolist() == [255, 255, 255]


def test_a_long_strip_is_read(tmp_path: Path) -> None:
    """4G.32: 300x70,000 pixels keep the limit on pixels."""
    strip = Image.new("RGB", (30, 70_000), (1, 2, 3))
    data = encoded("PNG", strip)
    assert page_file(data).data == data
    again = page_file(encoded("TIFF", Image.fromarray(np.zeros((70_000, 3, 3), np.uint8))))
    assert (again.ending, again.height) == ("png", 70_000)


def test_the_message_names_the_limit_that_was_met(monkeypatch: pytest.MonkeyPatch) -> None:
    """4G.32."""
    data = encoded("PNG", Image.new("L", (300, 900)))
    monkeypatch.setattr(images, "MAX_SIDE", 800)
    with pytest.raises(InputError, match=r"300x900 pixels: a side is longer than .*800 at most"):
        decode(data)
    monkeypatch.setattr(images, "MAX_SIDE", 1000)
    monkeypatch.setattr(images, "MAX_PIXELS", 1000)
    with pytest.raises(InputError, match=r"300x900 pixels: more than .*1,000 at most"):
        decode(data)
