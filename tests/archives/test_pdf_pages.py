"""Pages of PDFs against the pixels that were put into them, faults 4A.2, 4D.16 to 4D.18."""

from __future__ import annotations

import io
import random
import zlib
from pathlib import Path

import numpy as np
import pypdf
import pytest
from PIL import Image

from comictool.archives.opening import open_comic
from comictool.core.errors import InputError
from tests.archives.generate_pdf import DAMAGES, LAYOUTS, LOSSLESS, LOSSY, Pdf, add_page


def read_pages(path: Path) -> list[np.ndarray | str]:
    """(height, width, 3) of each page, or why there is none."""
    pages: list[np.ndarray | str] = []
    with open_comic(path) as comic:
        for member in comic.members:
            try:
                with Image.open(io.BytesIO(comic.read(member))) as picture:
                    pages.append(np.asarray(picture.convert("RGB")))
            except InputError as error:
                pages.append(error.fact)
    return pages


def only_page(path: Path) -> np.ndarray:
    (page,) = read_pages(path)
    assert isinstance(page, np.ndarray), page
    return page


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", LOSSLESS)
def test_every_pixel_of_a_picture_is_one_of_the_page(tmp_path: Path, kind: str, layout: str) -> None:
    """4D.16, 4D.18: strips, tiles, forms, turned and mirrored matrices, units, crop boxes: nothing is scaled."""
    for seed in range(2):
        rng, pdf = random.Random(f"{kind} {layout} {seed}"), Pdf()
        made = add_page(pdf, rng, rng.randrange(4096), kind=kind, layout=layout)
        (tmp_path / "a.pdf").write_bytes(pdf.written())
        shown = only_page(tmp_path / "a.pdf")
        assert shown.shape == made.pixels.shape, made.description
        assert (shown == made.pixels).all(), made.description


@pytest.mark.parametrize("kind", LOSSY)
def test_lossy_pictures_keep_their_size_and_look(tmp_path: Path, kind: str) -> None:
    """4D.16: the same for JPEG, printing inks and profiles, whose colours pdfium decides on."""
    for seed in range(2):
        rng, pdf = random.Random(f"{kind} {seed}"), Pdf()
        made = add_page(pdf, rng, rng.randrange(4096), kind=kind)
        (tmp_path / "a.pdf").write_bytes(pdf.written())
        shown = only_page(tmp_path / "a.pdf")
        assert shown.shape == made.pixels.shape, made.description
        difference = np.abs(shown.astype(int) - made.pixels).mean()
        assert difference < (30 if "cmyk" in kind else 12), made.description


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_page_with_something_damaged_is_told(tmp_path: Path, damage: str) -> None:
    """4A.2: it used to come blank or half."""
    pdf, rng = Pdf(), random.Random(damage)
    add_page(pdf, rng, 1)
    kinds = LOSSLESS + LOSSY if damage in ("cut", "missing") else ("rgb", "dct")
    for kind in kinds:
        add_page(pdf, rng, 2, kind=kind, damage=damage)
    (tmp_path / "a.pdf").write_bytes(pdf.written())
    good, *bad = read_pages(tmp_path / "a.pdf")
    assert isinstance(good, np.ndarray)
    for kind, page in zip(kinds, bad, strict=True):
        if (kind, damage) == ("dct", "cut") and isinstance(page, np.ndarray):
            continue
        assert isinstance(page, str), (kind, damage)


def picture_of(pixels: np.ndarray, more: str = "") -> tuple[str, bytes]:
    size = f"/Width {pixels.shape[1]}/Height {pixels.shape[0]}"
    entries = f"/Type/XObject/Subtype/Image{size}/BitsPerComponent 8/ColorSpace/DeviceRGB/Filter/FlateDecode{more}"
    return entries, zlib.compress(pixels.tobytes())


def document(
    path: Path, content: str, pictures: dict[str, tuple[str, bytes]], page: str = "/MediaBox[0 0 100 150]"
) -> Path:
    pdf = Pdf()
    named = "".join(f"/{name} {pdf.add(*picture)} 0 R" for name, picture in pictures.items())
    stream = pdf.add("", content.encode())
    font = "/Font<</Helv<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>"
    resources = f"/Resources<</XObject<<{named}>>{font}>>"
    pdf.pages.append(pdf.add(f"/Type/Page/Parent 2 0 R{page}/Contents {stream} 0 R{resources}"))
    path.write_bytes(pdf.written())
    return path


def noise(width: int, height: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_stretched_picture_has_the_shape_of_its_page(tmp_path: Path) -> None:
    """4D.17: thumbnails squeezed to a square used to look alike."""
    stream = io.BytesIO()
    Image.fromarray(noise(4, 3)).resize((400, 300)).save(stream, "JPEG")
    entries = (
        "/Type/XObject/Subtype/Image/Width 400/Height 300/BitsPerComponent 8/ColorSpace/DeviceRGB/Filter/DCTDecode"
    )
    path = document(tmp_path / "a.pdf", "100 0 0 150 0 0 cm /I Do", {"I": (entries, stream.getvalue())})
    assert only_page(path).shape[:2] == (600, 400)


def test_letters_over_a_picture_are_drawn_at_its_resolution(tmp_path: Path) -> None:
    pixels = noise(400, 600)
    content = "q 100 0 0 150 0 0 cm /I Do Q BT /Helv 20 Tf 0 1 0 rg 10 10 Td (HA) Tj ET"
    shown = only_page(document(tmp_path / "a.pdf", content, {"I": picture_of(pixels)}))
    assert shown.shape == pixels.shape
    same = (shown == pixels).all(axis=2)
    assert same[:450].all()
    assert not same[450:].all()


def test_a_page_without_pictures_is_drawn_at_150_dots_an_inch(tmp_path: Path) -> None:
    """4D.16: an inch has UserUnit times fewer units. 4D.18: no pixel more than the page has."""
    content = "0 0 1 rg 10 10 50 50 re f"
    assert only_page(document(tmp_path / "a.pdf", content, {}, "/MediaBox[0 0 240 360]")).shape[:2] == (750, 500)
    coarse = "/MediaBox[0 0 24 36]/UserUnit 10"
    assert only_page(document(tmp_path / "b.pdf", content, {}, coarse)).shape[:2] == (750, 500)


def test_a_blurred_background_does_not_make_letters_coarse(tmp_path: Path) -> None:
    content = "q 100 0 0 150 0 0 cm /I Do Q BT /Helv 20 Tf 10 10 Td (HA) Tj ET"
    assert only_page(document(tmp_path / "a.pdf", content, {"I": picture_of(noise(20, 30))})).shape[:2] == (312, 208)


def test_a_picture_with_margins_keeps_its_pixels(tmp_path: Path) -> None:
    pixels = noise(120, 180)
    shown = only_page(document(tmp_path / "a.pdf", "60 0 0 90 20.1 30.2 cm /I Do", {"I": picture_of(pixels)}))
    assert shown.shape == (300, 200, 3)
    left, top = 40, 300 - 60 - 180
    assert (shown[top : top + 180, left : left + 120] == pixels).all()
    assert (shown[:top] == 255).all()


def test_strips_placed_at_whole_points_stay_together(tmp_path: Path) -> None:
    """4D.16: heights of 41 and 42 points for strips of 173 rows."""
    pixels, content, pictures, bottom = noise(300, 692), [], {}, 166
    for number, height in enumerate((42, 41, 42, 41)):
        bottom -= height
        pictures[f"I{number}"] = picture_of(pixels[173 * number : 173 * (number + 1)])
        content.append(f"q 72 0 0 {height} 0 {bottom} cm /I{number} Do Q")
    path = document(tmp_path / "a.pdf", " ".join(content), pictures, "/MediaBox[0 0 72 166]")
    assert (only_page(path) == pixels).all()


@pytest.mark.parametrize(
    ("page", "placed"),
    [
        ((173.0, 248.0), (0.0, 0.0, 173.0, 248.0)),
        ((173.0, 248.0), (0.0, 0.0, 172.8, 247.68)),
        ((172.0, 247.0), (0.0, 0.0, 172.8, 247.68)),
        ((172.8, 247.68), (0.0, 0.0, 173.0, 248.0)),
        ((172.8, 247.68), (-0.5, -0.5, 173.8, 248.68)),
        ((172.8, 247.68), (0.3, 0.3, 172.2, 247.08)),
        ((172.8, 247.68), (0.4, -0.4, 172.8, 247.68)),
    ],
)
def test_rounded_sides_change_no_pixel(
    tmp_path: Path, page: tuple[float, float], placed: tuple[float, float, float, float]
) -> None:
    """4D.18: a picture of 172.8 x 247.68 points whose page or place was rounded by up to a point."""
    pixels, (left, bottom, width, height) = noise(360, 516), placed
    content = f"{width} 0 0 {height} {left} {bottom} cm /I Do"
    path = document(tmp_path / "a.pdf", content, {"I": picture_of(pixels)}, f"/MediaBox[0 0 {page[0]} {page[1]}]")
    shown = only_page(path)
    assert shown.shape == pixels.shape
    assert (shown == pixels).all()


def test_what_shines_through_shows_paper_at_full_resolution(tmp_path: Path) -> None:
    pixels, alpha = noise(100, 150), np.full((150, 100), 255, np.uint8)
    alpha[:50] = 0
    pdf = Pdf()
    size = "/Subtype/Image/Width 100/Height 150/BitsPerComponent 8/ColorSpace/DeviceGray/Filter/FlateDecode"
    mask = pdf.add(size, zlib.compress(alpha.tobytes()))
    picture = pdf.add(*picture_of(pixels, f"/SMask {mask} 0 R"))
    content = pdf.add("", b"50 0 0 75 0 0 cm /I Do")
    pdf.pages.append(
        pdf.add(
            f"/Type/Page/Parent 2 0 R/MediaBox[0 0 50 75]/Contents {content} 0 R"
            f"/Resources<</XObject<</I {picture} 0 R>>>>"
        )
    )
    (tmp_path / "a.pdf").write_bytes(pdf.written())
    shown = only_page(tmp_path / "a.pdf")
    assert (shown[:50] == 255).all()
    assert (shown[50:] == pixels[50:]).all()


def test_a_jpeg_in_a_form_over_a_white_sheet_keeps_its_bytes(tmp_path: Path) -> None:
    for extra in ("", "white below", "text"):
        rng, pdf = random.Random(extra), Pdf()
        for _ in range(30):
            add_page(pdf, rng, 7, kind="dct", layout="whole", extra=extra)
        (tmp_path / "a.pdf").write_bytes(pdf.written())
        with open_comic(tmp_path / "a.pdf") as comic:
            kept = [data for data in map(comic.read, comic.members) if data.startswith(b"\xff\xd8")]
        assert len(kept) >= 3
        assert all(data in (tmp_path / "a.pdf").read_bytes() for data in kept)


def test_a_wrong_checksum_is_noted_and_the_page_kept(tmp_path: Path) -> None:
    pixels = noise(40, 60)
    entries, data = picture_of(pixels)
    path = document(
        tmp_path / "a.pdf", "20 0 0 30 0 0 cm /I Do", {"I": (entries, data[:-1] + b"?")}, "/MediaBox[0 0 20 30]"
    )
    assert (only_page(path) == pixels).all()
    with open_comic(path) as comic:
        comic.read(comic.members[0])
        assert comic.note(comic.members[0]) == "a picture of the page has a wrong checksum"


def test_an_encrypted_document_is_checked_as_well(tmp_path: Path) -> None:
    pdf = Pdf()
    good = add_page(pdf, random.Random(1), 1, kind="grey", layout="strips")
    add_page(pdf, random.Random(2), 2, kind="rgb", layout="strips", damage="cut")
    writer = pypdf.PdfWriter(io.BytesIO(pdf.written()))
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(tmp_path / "a.pdf")
    with pytest.raises(InputError, match="encrypted"), open_comic(tmp_path / "a.pdf"):
        pass
    with open_comic(tmp_path / "a.pdf", "secret") as comic:
        with Image.open(io.BytesIO(comic.read(comic.members[0]))) as picture:
            assert (np.asarray(picture.convert("RGB")) == good.pixels).all()
        with pytest.raises(InputError, match="cut off"):
            comic.read(comic.members[1])


def test_a_page_whose_pictures_are_not_painted_is_told(tmp_path: Path) -> None:
    """4A.2: its content or its form cannot be followed."""
    pictures = {"I": picture_of(noise(4, 4))}
    for number, entries in enumerate(("/Type/XObject/Subtype/Fo?m/BBox[0 0 9 9]", "/Type/XObject/Subtype/Image")):
        path = document(tmp_path / f"{number}.pdf", "/X Do", pictures | {"X": (entries, b"")})
        assert isinstance(read_pages(path)[0], str)
    blank = document(tmp_path / "blank.pdf", "", pictures)  # an empty page is one, whatever others could show
    assert (only_page(blank) == 255).all()
    blank.write_bytes(blank.read_bytes().replace(b"/Contents", b"/C?ntents"))
    assert isinstance(read_pages(blank)[0], str)
