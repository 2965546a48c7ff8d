"""Annotations in shares, of pictures that EXIF turns, and of pictures of another size (4G.30)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from comictool.core.images import decode
from comictool.core.jobs import JobOptions
from comictool.corpus.records import PageRecord
from comictool.datasets.exporting.panels import export_panels
from comictool.datasets.verifying.checking_corpus import verify
from comictool.formats.comix_coco import CATEGORIES
from comictool.formats.fitting import Fit
from comictool.formats.masks import rle_bounds
from comictool.formats.registry import open_any

WIDTH, HEIGHT = 60, 40
BOX = (10, 5, 30, 20)  # where the stored picture is black


def stored() -> Image.Image:
    """A white picture, black in `BOX`."""
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    image.paste("black", BOX)
    return image


def dark(image: Image.Image) -> tuple[int, int, int, int]:
    """The box of what is black: the oracle."""
    found = ImageOps.invert(image.convert("L")).point(lambda v: 255 * (v > 128)).getbbox()
    assert found is not None
    return found


def coco(root: Path, size: tuple[int, int], box: list[float], **more: Any) -> None:
    """A COCO file that says that the picture has this size."""
    image = {"id": 1, "file_name": "book/001.png", "width": size[0], "height": size[1]}
    note = {"id": 1, "image_id": 1, "category_id": 1, "bbox": box, **more}
    names = [{"id": number, "name": name} for number, name in CATEGORIES.items()]
    value = {"images": [image], "annotations": [note], "categories": names}
    (root / "x.json").write_text(json.dumps(value))


def save(root: Path, image: Image.Image, orientation: int = 1) -> Path:
    """The page picture with an EXIF orientation."""
    path = root / "book/001.png"
    path.parent.mkdir(exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(path, exif=exif)
    return path


def page(root: Path) -> PageRecord:
    """The one page."""
    return open_any(root).pages("book")[0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_turn_as_the_picture_does(orientation: int, tmp_path: Path) -> None:
    path = save(tmp_path, stored(), orientation)
    shown = decode(path)
    fit = Fit((WIDTH, HEIGHT), shown.size, orientation)
    assert fit.box(BOX) == dark(shown)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("scale", [1, 2])
def test_what_was_annotated_as_stored_is_turned_and_what_as_shown_is_not(
    orientation: int, scale: int, tmp_path: Path
) -> None:
    path = save(tmp_path, stored(), orientation)
    shown = decode(path)
    want = dark(shown)
    for size, box in (((WIDTH, HEIGHT), BOX), (shown.size, want)):
        x0, y0, x1, y1 = (v * scale for v in box)
        coco(tmp_path, (size[0] * scale, size[1] * scale), [x0, y0, x1 - x0, y1 - y0])
        view = open_any(tmp_path)
        found = view.read("book")
        assert (found.pages[0].width, found.pages[0].height) == shown.size
        assert found.pages[0].panels[0].box == want
        assert found.problems == []
        assert (len(view.notes()) == 1) == (size != shown.size or scale != 1)  # type: ignore[attr-defined]
    assert verify(open_any(tmp_path)) == []


def test_half_a_turn_cannot_be_known_and_is_told(tmp_path: Path) -> None:
    save(tmp_path, stored(), 3)
    coco(tmp_path, (WIDTH, HEIGHT), [10, 5, 20, 15])
    assert "does not tell whether" in str(open_any(tmp_path).read("book").problems[0])


def test_boxes_of_a_larger_picture_are_scaled_and_cut_right(tmp_path: Path) -> None:
    save(tmp_path, stored())
    outline = [40, 20, 120, 20, 120, 80, 40, 80]
    coco(tmp_path, (WIDTH * 4, HEIGHT * 4), [40, 20, 80, 60], segmentation=[outline])
    assert page(tmp_path).panels[0].box == BOX
    assert page(tmp_path).panels[0].polygon == [(10, 5), (30, 5), (30, 20), (10, 20)]
    export_panels(open_any(tmp_path), output=tmp_path / "crops", options=JobOptions(jobs=1))
    crop = np.asarray(Image.open(tmp_path / "crops/panel_images/book/1_1.jpg").convert("L"))
    assert (crop.shape, crop.max() < 40) == ((15, 20), True)


def test_a_picture_of_another_shape_is_told(tmp_path: Path) -> None:
    save(tmp_path, stored())
    coco(tmp_path, (50, 50), [10, 5, 20, 15])
    found = open_any(tmp_path).read("book")
    assert "annotated as 50x50, but its picture has 60x40 pixels" in str(found.problems[0])
    assert (found.pages[0].width, found.pages[0].panels[0].box) == (50, BOX)


def test_boxes_in_shares_of_the_page(tmp_path: Path) -> None:
    save(tmp_path, stored())
    coco(tmp_path, (WIDTH, HEIGHT), [10 / 60, 5 / 40, 20 / 60, 15 / 40])
    view = open_any(tmp_path)
    assert all(abs(a - b) <= 1 for a, b in zip(view.pages("book")[0].panels[0].box, BOX, strict=True))
    assert view.notes() == ["1 pages: boxes are shares of the page (0 to 1)"]  # type: ignore[attr-defined]
    coco(tmp_path, (WIDTH, HEIGHT), [0, 0, 1, 1])  # whole numbers are pixels
    assert page(tmp_path).panels[0].box == (0, 0, 1, 1)


@pytest.mark.parametrize("compressed", [False, True])
def test_the_box_of_a_mask_of_run_lengths(compressed: bool) -> None:
    mask = pytest.importorskip("pycocotools.mask")
    random = np.random.default_rng(3)
    for _ in range(20):
        width, height = random.integers(3, 30, 2)
        picture = np.zeros((height, width), np.uint8)
        x, y = random.integers(0, width), random.integers(0, height)
        picture[y : y + random.integers(1, 9), x : x + random.integers(1, 9)] = 1
        runs = [[int(v) for v in np.diff([0, *np.flatnonzero(np.diff(picture.T.ravel())) + 1, picture.size])]]
        runs = [[0, *runs[0]]] if picture[0, 0] else runs
        value: Any = {"size": [int(height), int(width)], "counts": runs[0]}
        if compressed:
            value["counts"] = mask.encode(np.asfortranarray(picture))["counts"].decode()
        rows, columns = np.flatnonzero(picture.any(1)), np.flatnonzero(picture.any(0))
        box = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        found = rle_bounds(value)
        assert found is not None
        inside = picture.any()
        assert inside
        # Runs that pass from one column to the next reach over the whole height.
        assert found[0] == box[0]
        assert found[2] == box[2]
        assert found[1] <= box[1] < box[3] <= found[3]


def test_an_annotation_with_a_mask_alone_has_a_box(tmp_path: Path) -> None:
    save(tmp_path, stored())
    counts = [4 * HEIGHT + 5, 10, HEIGHT - 10, 10, (WIDTH - 6) * HEIGHT + HEIGHT - 15]
    coco(tmp_path, (WIDTH, HEIGHT), [], segmentation={"size": [HEIGHT, WIDTH], "counts": counts})
    assert page(tmp_path).panels[0].box == (4, 5, 6, 15)


def _entry(number: int, name: str, **more: Any) -> dict[str, Any]:
    return {"id": number, "file_name": name, "width": 40, "height": 60, **more}


def write(path: Path, images: list[dict[str, Any]], names: list[str], kinds: list[int]) -> None:
    """A COCO file with one box on the first image for each kind."""
    notes = [
        {"id": n, "image_id": images[0]["id"], "category_id": k, "bbox": [n, 0, 9, 9]} for n, k in enumerate(kinds)
    ]
    categories = [{"id": number, "name": name} for number, name in enumerate(names)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": images, "annotations": notes, "categories": categories}))


@pytest.mark.parametrize(
    ("names", "comic", "numbers"),
    [
        (["ch01_p010_jpg.rf.ffee99.jpg", "ch01_p002_jpg.rf.0a1b2c.jpg"], "ch01", [2, 10]),
        (["upload/1/8f3a2b1c-ch01_p010.jpg", "upload/1/0f3a2b1d-ch01_p002.jpg"], "ch01", [2, 10]),
        (["book\\010.jpg", "book\\002.jpg"], "book", [2, 10]),
    ],
)
def test_names_that_annotation_tools_give(names: list[str], comic: str, numbers: list[int], tmp_path: Path) -> None:
    write(tmp_path / "x.json", [_entry(n, name) for n, name in enumerate(names)], ["panel"], [0])
    view = open_any(tmp_path)
    assert view.comics() == [comic]
    assert [page.page for page in view.pages(comic)] == numbers


def test_files_that_are_about_one_page_are_one_page(tmp_path: Path) -> None:
    write(tmp_path / "panels.json", [_entry(1, "book/001.jpg")], ["comic", "Panels"], [1, 1])
    write(tmp_path / "people.json", [_entry(7, "book/001.jpg")], ["Characters", "speech bubbles"], [0, 1])
    write(tmp_path / "again.json", [_entry(7, "book/001.jpg")], ["Characters"], [0])
    found = open_any(tmp_path).read("book")
    (only,) = found.pages
    assert (len(only.panels), len(only.characters), only.extra["balloons"]) == (2, 1, [[1, 0, 10, 9]])
    assert not [problem for problem in found.problems if "number" in problem.message]


def test_splits_with_bare_numbers_keep_all_pages_and_their_own_pictures(tmp_path: Path) -> None:
    """F1: the name of the file stood for the comic, and nobody looked whether it was taken."""
    for split, size in (("train", (40, 60)), ("valid", (80, 120))):
        write(tmp_path / split / "_annotations.coco.json", [_entry(1, "001.jpg")], ["panel"], [0])
        Image.new("RGB", size).save(tmp_path / split / "001.jpg")
    view = open_any(tmp_path)
    pages = [(page.page, page.image, page.width) for comic in view.comics() for page in view.pages(comic)]
    assert sorted(pages) == [(1, "train/001.jpg", 40), (1, "valid/001.jpg", 80)]
    assert [view.read(comic).problems for comic in view.comics()] == [[], []]


def test_outlines_of_characters_and_balloons_are_kept_and_masks_told(tmp_path: Path) -> None:
    save(tmp_path, stored())
    star = [[10, 5, 30, 5, 30, 20, 20, 12, 10, 20]]
    for category, kept in ((2, "polygon"), (3, "balloon_outlines")):
        coco(tmp_path, (WIDTH, HEIGHT), [10, 5, 20, 15], category_id=category, segmentation=star)
        only = page(tmp_path)
        found = only.characters[0].extra[kept] if category == 2 else only.extra[kept][0]
        assert found == [[10, 5], [30, 5], [30, 20], [20, 12], [10, 20]]
    coco(tmp_path, (WIDTH, HEIGHT), [10, 5, 20, 15], segmentation=[*star, *star])
    (problem,) = open_any(tmp_path).read("book").problems
    assert "a mask, or an outline of several parts, is left out; its box is kept" in problem.message
