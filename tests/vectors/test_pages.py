"""Parts of pages: the right pixels under the right names, whoever cuts them, cached by content and box."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comictool.core.images import decode, decode_array
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import Character, PageRecord, Panel
from comictool.datasets.exporting.characters import CharacterOptions
from comictool.datasets.exporting.crops import crop_box
from comictool.datasets.exporting.crops import cut as cut_by_pillow
from comictool.plugins.load import EncoderSpec
from comictool.vectors.cache import EmbeddingCache
from comictool.vectors.pages import open_place
from comictool.vectors.pictures import LEVELS, PANEL, Part, Picture
from comictool.vectors.reading import cut
from comictool.vectors.sources import Wanted, page_picture
from comictool.vectors.stream import EmbeddedPicture, EmbeddingStream, EmbedPictures

CLASSIC = EncoderSpec("classic")
HALF = ((0.0, 0.0, 1.0, 1.0), (0.1, 0.25, 0.9, 0.75))


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Two comics of three pages of 97x131 pixels, two panels and two characters on each."""
    made = Corpus.create(tmp_path / "corpus")
    rng = np.random.default_rng(3)
    for comic in ("alpha", "beta"):
        records = []
        for number in (1, 2, 3):
            image = f"page_images/{comic}/{number}.png"
            file = made.root / image
            file.parent.mkdir(parents=True, exist_ok=True)
            coarse = Image.fromarray(rng.integers(0, 256, (7, 5, 3), dtype=np.uint8))
            coarse.resize((97, 131), Image.Resampling.BICUBIC).save(file)
            panels = [Panel(1, (0, 0, 97, 60), 1), Panel(2, (3, 63, 95, 131), 2)]
            people = [Character(1, (0, 2, 30, 50), panel=1, identity="Ann"), Character(2, (50, 70, 80, 120), panel=2)]
            records.append(PageRecord(comic, number, image, 97, 131, panels=panels, characters=people))
        made.write_pages(comic, records)
    return made


def pictures_of(corpus: Corpus, wanted: Wanted) -> list[Picture]:
    return [picture for page in open_place(corpus).pages(wanted) for picture, _ in page.pictures]


def vectors(done: list[EmbeddedPicture]) -> np.ndarray:
    return np.concatenate([each.vectors for each in done])


def test_one_picture_a_page_gives_the_parts_of_all_levels(corpus: Corpus) -> None:
    wanted = Wanted(LEVELS, HALF, CharacterOptions(unidentified=True))
    (record, *_) = corpus.pages("alpha")
    picture, facts = page_picture(corpus, record, wanted)
    assert [(part.level, part.id) for part in picture.parts] == [
        ("page", "1"),
        ("page", "1"),
        ("panel", "1_1"),
        ("panel", "1_2"),
        ("character", "1_1_Ann"),
        ("character", "1_2_unknown-2"),
    ]
    assert picture.parts[1].box == pytest.approx((9.7, 32.75, 87.3, 98.25))
    assert [fact[2] for fact in facts] == ["Ann", ""]


def test_vectors_are_those_of_each_part_by_itself(corpus: Corpus) -> None:
    """Light encoders share work between parts; a slow loop over the whole page and one box gives the same bits."""
    pictures = pictures_of(corpus, Wanted(LEVELS, HALF, CharacterOptions(unidentified=True)))
    encoder = CLASSIC.load()
    done = list(EmbeddingStream(CLASSIC, jobs=1).embed(pictures))
    for picture, found in zip(pictures, done, strict=True):
        assert found.present.all()
        assert isinstance(picture.source, Path)
        page = decode_array(picture.source)
        for part, row in zip(picture.parts, found.vectors, strict=True):
            box = part.box_on((97, 131))
            assert box is not None
            share = (box[0] / 97, box[1] / 131, box[2] / 97, box[3] / 131)
            np.testing.assert_array_equal(row, encoder.embed_views(page, [share])[0])  # type: ignore[attr-defined]


def test_a_heavy_encoder_gets_the_pixels_of_each_part_in_batches_across_pages(corpus: Corpus) -> None:
    pytest.importorskip("timm")
    spec = EncoderSpec("timm:test_vit?random", device="cpu", precision="fp32")
    pictures = pictures_of(corpus, Wanted(LEVELS, HALF, CharacterOptions(unidentified=True, scale=1.3, square=True)))
    encoder = spec.load()
    expected = []
    for picture in pictures:
        assert isinstance(picture.source, Path)
        page = decode(picture.source)
        for part in picture.parts:
            assert part.box is not None
            box = tuple(map(round, part.box)) if part.level == "page" else None
            box = box or crop_box(part.box, page.size, scale=part.scale, square=part.square)
            assert box is not None
            expected.append(encoder.embed([np.array(cut_by_pillow(page, box))])[0])  # type: ignore[arg-type]
    streamed = vectors(list(EmbeddingStream(spec, jobs=3, batch_size=7).embed(pictures)))
    np.testing.assert_allclose(streamed, np.array(expected), atol=2e-6)
    worked = EmbedPictures(spec, batch_size=7)
    assert worked.workers == "threads"
    np.testing.assert_array_equal(vectors(worked(pictures)), streamed)
    raw = vectors(EmbedPictures(spec, raw=True)(pictures))
    np.testing.assert_allclose(raw / np.linalg.norm(raw, axis=1, keepdims=True), streamed, atol=1e-5)


def test_what_cannot_be_cut_is_absent_with_its_reason(corpus: Corpus) -> None:
    file = corpus.root / "page_images/alpha/1.png"
    parts = (Part("1_1", (0, 0, 97, 60), PANEL, "panel 1"), Part("1_2", (500, 0, 600, 60), PANEL, "panel 2"))
    bad = corpus.root / "page_images/beta/1.png"
    bad.write_bytes(b"no picture")
    done = list(
        EmbeddingStream(CLASSIC, jobs=1).embed(
            [
                Picture(file, parts, size=(97, 131), problems=("known before",)),
                Picture(file, parts, size=(98, 131)),
                Picture(bad, parts),
                Picture(corpus.root / "gone.png", parts),
                Picture(Path(), parts, error="lies outside"),
                Picture(file, parts[:1]),
            ]
        )
    )
    assert [each.present.tolist() for each in done] == [[True, False], *[[False, False]] * 4, [True]]
    assert done[0].problems == ("known before", "panel 2: its box has no area on the page; no vector")
    assert [each.error.partition(":")[0] for each in done[1:5]] == [
        "the picture has 97x131 pixels, its annotations were made for 98x131",
        "not a picture that can be read",
        "the picture is missing",
        "lies outside",
    ]
    assert (done[0].vectors[1] == 0).all()
    np.testing.assert_array_equal(done[5].vectors[0], done[0].vectors[0])


def test_parts_are_cached_by_content_and_box(corpus: Corpus, tmp_path: Path) -> None:
    pictures = pictures_of(corpus, Wanted())
    with EmbeddingCache(tmp_path / "c.sqlite") as cache:
        first = EmbeddingStream(CLASSIC, cache=cache)
        before = vectors(list(first.embed(pictures)))
        assert first.computed == len(before) == 12
        records = corpus.pages("beta")
        records[0].panels[1].box = (4, 63, 95, 131)
        corpus.write_pages("beta", records)
        (corpus.root / "page_images/alpha").rename(corpus.root / "page_images/renamed")
        for page in (pages := corpus.pages("alpha")):
            page.image = page.image.replace("alpha", "renamed")
        corpus.write_pages("alpha", pages)
        second = EmbeddingStream(CLASSIC, cache=cache)
        after = vectors(list(second.embed(pictures_of(corpus, Wanted()))))
    assert second.computed == 1
    changed = (before != after).any(axis=1)
    assert changed.tolist() == [False] * 7 + [True] + [False] * 4


@pytest.mark.parametrize("box", [(2, 3, 9, 8), (-4, -2, 5, 4), (6, 5, 30, 20), (-3, -3, 40, 40), (20, 20, 25, 25)])
def test_cutting_is_that_of_exported_crops(box: tuple[int, int, int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 15, 3), dtype=np.uint8)
    np.testing.assert_array_equal(cut(pixels, box), np.asarray(cut_by_pillow(Image.fromarray(pixels), box)))
