"""Pictures as people have them find their page with no option given (faults 6.2, 6.3, 6.14)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comictool.core.images import decode
from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.drawn.corpus import draw_corpus
from comictool.library.building import build_library
from comictool.plugins.load import EncoderSpec
from comictool.search.everyday import pages_showing
from comictool.search.flattening import otsu, perspective, sheet_corners, straightened
from comictool.search.query import Query, query
from comictool.search.readings import readings, rim_of
from tests.bench.everyday_pictures import KINDS

ONE = JobOptions(jobs=1)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of 24 drawn pages."""
    root = tmp_path_factory.mktemp("everyday")
    draw_corpus(root / "drawn", 24, seed=3, comic_pages=12, width=500, height=700, options=ONE)
    build_library([root / "drawn" / "page_images"], root / "library", EncoderSpec("classic"), options=ONE)
    return root / "library"


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_right_page_comes_first_with_no_option(library: Path, kind: str, tmp_path: Path) -> None:
    corpus, right = Corpus.open(library), []
    pages = [page for page in corpus.all_pages() if len(page.panels) > 1][::5]
    for number, page in enumerate(pages):
        boxes = [panel.box for panel in page.panels]
        KINDS[kind](decode(corpus.image_path(page)), boxes, np.random.default_rng(number)).save(tmp_path / "asked.png")
        first = query(library, Query(image=tmp_path / "asked.png", k=3))[0]
        right.append((first.comic, first.page) == (page.comic, page.page) and first.match == "same")
        assert (first.panel is None) == (first.found_by != "panel")
    assert sum(right) >= len(right) - 1, right


def test_a_picture_that_is_not_there_is_like_nothing(library: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (300, 200, 3), np.uint8)
    Image.fromarray(noise).resize((400, 600)).save(tmp_path / "asked.png")
    hits = query(library, Query(image=tmp_path / "asked.png", k=3))
    assert len(hits) == 3
    assert {hit.match for hit in hits} <= {"", "similar"}


def test_answers_name_the_comic_file_and_the_page_in_it(library: Path) -> None:
    page = next(Corpus.open(library).all_pages())
    (hit,) = query(library, Query(id=page.id, k=1))
    assert Path(hit.source).is_dir()  # the drawn comics are folders
    assert (Path(hit.source) / hit.member).is_file()


def test_each_page_is_an_answer_once_and_comics_can_be_chosen_or_grouped(library: Path, tmp_path: Path) -> None:
    corpus = Corpus.open(library)
    page = next(corpus.all_pages())
    asked = corpus.image_path(page)
    hits = query(library, Query(image=asked, k=100))
    assert len({(hit.comic, hit.page) for hit in hits}) == len(hits) == 24
    assert hits[0].score == pytest.approx(1, abs=2e-3)
    other = next(name for name in corpus.comics() if name != page.comic)
    assert {hit.comic for hit in query(library, Query(image=asked, k=100, comic_glob=other))} == {other}
    assert len(query(library, Query(image=asked, k=100, group_by="comic"))) == 2


def test_the_ground_round_a_page_is_taken_away() -> None:
    rng = np.random.default_rng(0)
    page = rng.integers(0, 255, (300, 200, 3), np.uint8)
    screen = np.full((800, 400, 3), 20, np.uint8)
    screen[200:500, 100:300] = page
    screen[20:30, 20:60] = 230  # a clock
    screen[760:] = 60  # a bar of the program
    trimmed = readings(screen)[-1]
    assert np.abs(np.array(trimmed.shape[:2]) - (300, 200)).max() <= 12  # the look is at a copy of 256 pixels
    assert len(readings(page)) == 1


def test_a_sheet_in_perspective_is_straightened() -> None:
    corners = np.array([(30, 40), (190, 60), (210, 230), (15, 215)], float)
    page = np.full((256, 230), 90, np.uint8)
    pattern = Image.fromarray(np.kron(np.array([[250, 180], [140, 220]], np.uint8), np.ones((100, 80), np.uint8)))
    numbers = perspective(corners, np.array([(0, 0), (160, 0), (160, 200), (0, 200)], float))
    size, kind = (230, 256), Image.Transform.PERSPECTIVE
    warped = np.asarray(pattern.transform(size, kind, tuple(numbers), Image.Resampling.BILINEAR))
    there = np.asarray(Image.new("L", (160, 200), 255).transform(size, kind, tuple(numbers))) > 0
    photo = np.repeat(np.where(there, warped, page)[..., None], 3, axis=2).astype(np.uint8)
    found = sheet_corners(photo, rim_of(photo))
    assert found is not None
    assert np.abs(found - corners).max() <= 8  # closing gaps blunts corners
    flat = straightened(photo, found)
    height, width = flat.shape[:2]
    quarters = [flat[y * height // 4, x * width // 4, 0] for y in (1, 3) for x in (1, 3)]
    assert np.abs(np.array(quarters, int) - (250, 180, 140, 220)).max() <= 12


def test_otsu_against_trying_every_threshold() -> None:
    values = np.concatenate([np.random.default_rng(2).normal(3, 1, 400), np.random.default_rng(3).normal(20, 2, 100)])

    def within(limit: float) -> float:
        low, high = values[values <= limit], values[values > limit]
        return sum(len(part) * part.var() for part in (low, high) if len(part))

    tried = np.linspace(values.min(), values.max(), 500)[:-1]
    assert within(otsu(values)) <= min(map(within, tried)) * 1.01


def test_equal_pages_are_in_the_order_of_their_rows(library: Path) -> None:
    from comictool.plugins.load import load_encoder
    from comictool.vectors.collection import StoreCollection, open_collection

    with open_collection(library) as place:
        assert isinstance(place, StoreCollection)
        found = pages_showing(place, load_encoder(EncoderSpec("classic")), np.full((64, 64, 3), 255, np.uint8))
    rounded = [(-round(answer.evidence, 5), answer.page) for answer in found]
    assert rounded == sorted(rounded)
