"""CoMix and AI4VA COCO: against pycocotools, and files as others write them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from comictool.core.errors import InputError
from comictool.formats.comix_coco import CATEGORIES, image_id
from comictool.formats.registry import FORMATS, detect_format, open_any
from comictool.formats.saving import save
from tests.formats.corpora import make_corpus, simple_page

NAMES = [{"id": number, "name": name} for number, name in CATEGORIES.items()]


def coco(path: Path, images: list[Any], annotations: list[Any], categories: Any = NAMES) -> Path:
    """Write a COCO file."""
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


def note(number: int, category: int, box: list[float], **more: Any) -> dict[str, Any]:
    """An annotation of image 1."""
    return {"id": number, "image_id": 1, "category_id": category, "bbox": box, **more}


IMAGE = {"id": 1, "file_name": "book/003.jpg", "width": 100, "height": 200}


def test_pycocotools_reads_what_is_written_and_scores_it_perfect(tmp_path: Path) -> None:
    coco_module = pytest.importorskip("pycocotools.coco")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    pages = [simple_page(page=number) for number in range(1, 4)]
    save(make_corpus(tmp_path / "corpus", {"a": pages}), tmp_path / "out", FORMATS["comix-coco"])
    truth = coco_module.COCO(str(tmp_path / "out/annotations.json"))
    assert {c["name"] for c in truth.loadCats(truth.getCatIds())} == set(CATEGORIES.values())
    assert truth.getImgIds() == [image_id("a", number) for number in range(1, 4)]
    assert len(truth.getAnnIds(catIds=[1])) == 6
    every = truth.loadAnns(truth.getAnnIds())
    assert len({a["id"] for a in every}) == len(every)
    assert all(a["area"] == a["bbox"][2] * a["bbox"][3] > 0 for a in every)
    keys = ("image_id", "category_id", "bbox", "score")
    found = truth.loadRes([{key: a[key] for key in keys} for a in every])
    scores = evaluation.COCOeval(truth, found, "bbox")
    scores.evaluate()
    scores.accumulate()
    scores.summarize()
    assert scores.stats[0] == pytest.approx(1.0)
    mask = truth.annToMask(next(a for a in every if a["segmentation"]))  # the triangular panel
    assert mask.shape == (60, 40)
    assert 0 < mask.sum() < 40 * 30


@pytest.mark.parametrize("crowd", [{}, {"iscrowd": 0}, {"iscrowd": 1}])
@pytest.mark.parametrize("packed", [False, True])
def test_a_mask_of_run_lengths_is_a_crowd_only_where_it_says_so(
    tmp_path: Path, packed: bool, crowd: dict[str, int]
) -> None:
    """It was called one for being run lengths, so that evaluation left out every segment with an exact outline."""
    masks = pytest.importorskip("pycocotools.mask")
    coco_module = pytest.importorskip("pycocotools.coco")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    mask = np.zeros((200, 100), np.uint8)
    mask[20:60, 10:30] = mask[40:90, 25:50] = 1
    runs = np.diff([0, *np.flatnonzero(np.diff(mask.T.ravel())) + 1, mask.size]).tolist()
    counts = masks.encode(np.asfortranarray(mask))["counts"].decode() if packed else runs
    drawn = note(5, 22, [10, 20, 40, 70], segmentation={"size": [200, 100], "counts": counts}, **crowd)
    drawn |= {"area": int(mask.sum()), "attributes": {"Interdepth": 1.0}}
    file = coco(tmp_path / "x.json", [IMAGE], [drawn], [{"id": 22, "name": "face"}])
    save(open_any(file, "ai4va-coco"), tmp_path / "corpus", FORMATS["corpus"])
    save(open_any(tmp_path / "corpus"), tmp_path / "out", FORMATS["ai4va-coco"])
    truth = coco_module.COCO(str(tmp_path / "out/annotations.json"))
    (written,) = truth.loadAnns(truth.getAnnIds())
    said = crowd.get("iscrowd", 0)
    assert written["iscrowd"] == said
    assert (truth.annToMask(written) == mask).all()
    found = truth.loadRes([{**written, "segmentation": masks.encode(np.asfortranarray(mask)), "score": 1.0}])
    scores = evaluation.COCOeval(truth, found, "segm")
    scores.evaluate()
    scores.accumulate()
    scores.summarize()
    assert scores.stats[0] == (-1 if said else pytest.approx(1.0))  # -1: there was nothing to find


def test_the_image_id_rule() -> None:
    assert image_id("deadbeef", 12) == 0xDEADBEEF * 10000 + 12
    digits = hashlib.md5(b"Space Cops 01").hexdigest()[:8]
    assert image_id("Space Cops 01", 3) == int(digits, 16) * 10000 + 3


def test_page_numbers_beyond_the_rule_get_ids_of_their_own(tmp_path: Path) -> None:
    pages = [simple_page(page=number) for number in (1, 10_001)]
    saved = save(make_corpus(tmp_path / "corpus", {"a": pages}), tmp_path / "out", FORMATS["comix-coco"])
    value = json.loads((tmp_path / "out/annotations.json").read_text())
    assert len({image["id"] for image in value["images"]}) == 2
    assert list(map(str, saved.problems)) == ["a/10001: the image id rule gives an id that is taken; it gets another"]
    assert [page.page for page in open_any(tmp_path / "out").pages("a")] == [1, 10_001]


def test_a_plain_file_without_our_attributes(tmp_path: Path) -> None:
    annotations = [
        note(1, 1, [50, 0, 50, 90]),
        note(2, 1, [0.5, 0.2, 48.1, 90]),
        note(3, 1, [0, 100, 100, 100]),
        note(4, 2, [5, 5, 20, 60], score=0.8),
        note(5, 7, [8, 8, 6, 6]),
        note(6, 7, [80, 150, 9, 9]),
        note(7, 4, [30, 5, 15, 10]),
        note(8, 5, [60, 120, 20, 20]),
        note(9, 6, [15, 10, 22, 25]),
        note(10, 3, [28, 3, 19, 14]),
    ]
    coco(tmp_path / "val.json", [IMAGE], annotations)
    view = open_any(tmp_path)
    assert view.comics() == ["book"]
    page = view.pages("book")[0]
    assert page.page == 3
    assert [panel.box for panel in page.panels] == [(0, 0, 49, 91), (50, 0, 100, 90), (0, 100, 100, 200)]
    assert [(c.box, c.face, c.score) for c in page.characters] == [
        ((5, 5, 25, 65), (8, 8, 14, 14), 0.8),
        ((80, 150, 89, 159), (80, 150, 89, 159), 1.0),
    ]
    assert [(text.kind, text.speaker) for text in page.texts] == [("dialogue", 1), ("sfx", None)]
    assert page.extra["balloons"] == [[28, 3, 47, 17]]


def test_ids_may_be_text_and_categories_renamed(tmp_path: Path) -> None:
    image = {**IMAGE, "id": "book_003.jpg"}
    annotation = {**note(1, 9, [0, 0, 10, 10]), "image_id": "book_003.jpg"}
    view = open_any(coco(tmp_path / "x.json", [image], [annotation], [{"id": 9, "name": "Frame"}]))
    assert len(view.pages("book")[0].panels) == 1


def test_everything_that_is_wrong_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    annotations: list[Any] = [
        note(1, 1, [0, 0, 10, 10]),
        note(1, 1, [20, 0, 10, 10]),
        note(2, 99, [0, 0, 5, 5]),
        note(3, 99, [0, 0, 5, 5]),
        note(4, 1, [0, 0, 0, 5]),
        note(5, 1, ["x", 0, 5, 5]),
        note(6, 1, [500, 500, 5, 5]),
        {"image_id": 7},
        "nonsense",
        {**note(7, 1, [0, 0, 1e400, 5])},
        note(8, 1, [-5, -5, 10, 10]),
    ]
    images: list[Any] = [IMAGE, IMAGE, {"file_name": "x.jpg"}, None, {"id": 2, "file_name": "../../../etc/passwd"}]
    coco(tmp_path / "x.json", images, annotations)
    view = open_any(tmp_path)
    assert view.comics() == ["book", "etc"]
    found = view.read("book")
    assert {panel.box for panel in found.pages[0].panels} == {(0, 0, 5, 5), (0, 0, 10, 10), (20, 0, 30, 10)}
    text = "\n".join(map(str, [*found.problems, *view.problems]))
    for part in (
        "two annotations have the id 1",
        "unknown category 99 is left out (2 times)",
        "a box that has an area",
        "two images have the id 1",
        "without an id is left out (2 times)",
        "not listed is left out (2 times)",
        "a panel lies outside the page",
        "book/003.jpg is not there",
    ):
        assert part in text
    assert view.image_path(view.pages("etc")[0]).is_relative_to(tmp_path)


@pytest.mark.parametrize("content", ["[" * 100_000, '{"images": ' + "9" * 5000 + "}", '{"images": 3}', '{"images"', ""])
def test_hostile_json_is_one_clear_error(content: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(InputError):
        open_any(tmp_path, "comix-coco")


def test_ai4va_as_published(tmp_path: Path) -> None:
    name = "Vaillant_0542_1955_10_02-16.png"
    image = {"id": 131, "file_name": name, "width": 100, "height": 200}
    square = [[10, 10, 30, 10, 30, 30, 10, 30]]
    annotations = [
        {"id": 1, "image_id": 131, "category_id": 25, "bbox": [0, 0, 90, 90], "segmentation": []},
        {
            "id": 2,
            "image_id": 131,
            "category_id": 25,
            "bbox": [5, 100, 80, 80],
            "segmentation": [[5, 140, 45, 100, 85, 140, 45, 180]],
            "attributes": {"occluded": False},
        },
        {
            "id": 3,
            "image_id": 131,
            "category_id": 22,
            "bbox": [10, 10, 20, 20],
            "segmentation": square,
            "attributes": {"Interdepth": 0.0, "Intradepth": 14.0, "occluded": True},
        },
        {
            "id": 4,
            "image_id": 131,
            "category_id": 22,
            "bbox": [10, 10, 20, 20],
            "segmentation": square + square,
            "attributes": {"Interdepth": 12.0},
        },
        {"id": 5, "image_id": 131, "category_id": 28, "bbox": [90, 190, 50, 50], "segmentation": []},
    ]
    categories = [{"id": 22, "name": "Face"}, {"id": 25, "name": "Panel"}, {"id": 28, "name": "Text"}]
    coco(tmp_path / "train-annotations.json", [image], annotations, categories)
    found = detect_format(tmp_path)
    assert found is not None
    assert found.name == "ai4va-coco"
    view = open_any(tmp_path)
    page = view.pages("Vaillant_0542_1955_10_02")[0]
    assert page.page == 16
    assert [panel.box for panel in page.panels] == [(0, 0, 90, 90), (5, 100, 85, 180)]
    assert page.panels[1].polygon == [(5, 140), (45, 100), (85, 140), (45, 180)]
    first, second, third = page.segments
    assert (first["kind"], first["inter"], first["intra"], first["occluded"]) == ("face", 0, 14, True)
    assert "intra" not in second  # missing stays missing
    assert len(second["polygons"]) == 2
    assert (third["box"], "inter" in third) == ([90, 190, 100, 200], False)
