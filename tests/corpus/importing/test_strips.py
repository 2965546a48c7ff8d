"""Fault 6.14: strips and slices of one are read from top to bottom without being told."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.corpus.importing.job import import_comics
from comictool.corpus.importing.options import ImportOptions
from comictool.corpus.importing.staging import StagedPage
from comictool.corpus.importing.strips import is_strip, rims_of
from comictool.drawn.page import draw_page
from comictool.panels.job import detect_corpus
from tests.archives.comic_files import make_zip
from tests.data import data, needs_data

ONE = JobOptions(jobs=1)


def pages(pictures: list[Image.Image]) -> list[StagedPage]:
    return [StagedPage(1, "", one.width, one.height, "", "", None, True, rims=rims_of(one)) for one in pictures]


def strip(seed: int, height: int) -> Image.Image:
    """Soft shapes, 200 wide."""
    rough = np.random.default_rng(seed).integers(0, 256, (max(2, height // 50), 6, 3), dtype=np.uint8)
    return Image.fromarray(rough).resize((200, height), Image.Resampling.BICUBIC)


def slices(whole: Image.Image, height: int) -> list[Image.Image]:
    return [whole.crop((0, y, whole.width, y + height)) for y in range(0, whole.height - height + 1, height)]


def test_slices_go_on_in_each_other() -> None:
    assert is_strip(pages(slices(strip(1, 1800), 300)))
    for quality in (40, 90):
        files = [io.BytesIO() for _ in range(6)]
        for file, piece in zip(files, slices(strip(1, 1800), 300), strict=True):
            piece.save(file, "JPEG", quality=quality)
        assert is_strip(pages([Image.open(file).convert("RGB") for file in files]))


def test_pages_do_not() -> None:
    bleeding = [strip(seed, 300) for seed in range(8)]
    bordered = [Image.new("RGB", (200, 300), "white") for _ in range(8)]
    for page in bordered:
        page.paste((20, 20, 20), (0, 0, 12, 300))  # the scanner's border is the same on every page
    mirrored = Image.Transpose.FLIP_LEFT_RIGHT
    spreads = [half for seed in range(3) for half in (strip(seed, 300), strip(seed, 300).transpose(mirrored))]
    for comic in (bleeding, bordered, spreads, slices(strip(1, 600), 300), [strip(1, 300)]):
        assert not is_strip(pages(comic))


def test_most_pages_twice_as_high_as_wide() -> None:
    assert is_strip(pages([strip(1, 500)]))
    assert is_strip(pages([strip(1, 300), strip(2, 900), strip(3, 900)]))
    assert not is_strip(pages([strip(1, 330), strip(2, 330), strip(3, 900)]))


def test_a_drawn_strip_is_read_downwards(tmp_path: Path) -> None:
    """Whole and in slices; what the comic itself or the user says wins."""
    drawn = draw_page(1, 2, 1, width=300, height=1500, layout="webtoon")
    make_zip(tmp_path / "whole.cbz", {"1.png": png(Image.fromarray(drawn.image))})
    cut = {f"{n}.png": png(piece) for n, piece in enumerate(slices(strip(4, 1500), 300))}
    make_zip(tmp_path / "cut.cbz", cut)
    make_zip(tmp_path / "says.cbz", {"ComicInfo.xml": b"<ComicInfo><Manga>No</Manga></ComicInfo>", **cut})
    corpus = Corpus.create(tmp_path / "corpus")
    import_comics([tmp_path], corpus, options=ONE)
    found = {comic: corpus.pages(comic)[0].direction for comic in corpus.comics()}
    assert found == {"whole": "ttb", "cut": "ttb", "says": "ltr"}
    detect_corpus(corpus, options=ONE)
    record = corpus.pages("whole")[0]
    assert record.direction == "ttb"
    tops = [panel.box[1] for panel in record.panels]
    assert len(tops) == len(drawn.record.panels) > 1
    assert tops == sorted(tops)
    import_comics([tmp_path], corpus, ImportOptions(direction="ltr"), options=ONE)
    assert {page.direction for page in corpus.all_pages()} == {"ltr"}


def png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


@needs_data
@pytest.mark.parametrize(
    ("folder", "strips"),
    [("climate_frogs/webtoon", True), ("blackjack_manga/pages", False), ("alarming_tales_1957/pages", False)],
)
def test_real_comics(folder: str, strips: bool) -> None:
    files = sorted((data() / folder).glob("*.jp*g"))[:26]
    assert is_strip(pages([Image.open(file).convert("RGB") for file in files])) == strips
