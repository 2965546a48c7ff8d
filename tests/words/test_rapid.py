"""RapidOCR itself on a drawn page, offline, and tesseract's table."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from comictool.core.errors import SetupError, UsageError
from comictool.corpus.records import PageRecord, Panel
from comictool.plugins.load import EncoderSpec, load_model
from comictool.words import rapid, tesseract
from comictool.words.engines import EngineOptions, make_reading
from comictool.words.page import question_of
from comictool.words.tesseract import parse_table

needs_rapidocr = pytest.mark.skipif(bool(rapid.missing()), reason=rapid.INSTALL)
needs_tesseract = pytest.mark.skipif(bool(tesseract.missing()), reason=tesseract.INSTALL)


def drawn() -> tuple[np.ndarray, PageRecord]:
    """A page of two panels with a balloon in each; black letters of 22 pixels on white."""
    sheet = Image.new("RGB", (640, 480), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(22)
    panels = [Panel(1, (10, 10, 315, 470), 1), Panel(2, (325, 10, 630, 470), 2)]
    for panel in panels:
        pen.rectangle(panel.box, outline="black", width=3)
    for x, y, words in (
        (60, 60, "Where is the"),
        (60, 88, "yellow subma-"),
        (60, 116, "rine today?"),
        (380, 300, "Under the sea!"),
    ):
        pen.text((x, y), words, fill="black", font=font)
    return np.asarray(sheet), PageRecord("c", 1, "p.png", 640, 480, panels=panels)


@needs_rapidocr
def test_a_drawn_page_is_read_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refused(*arguments: object, **named: object) -> None:
        raise AssertionError("it reaches for the network")

    monkeypatch.setattr(socket, "create_connection", refused)
    monkeypatch.setattr(socket.socket, "connect", refused)
    picture, record = drawn()
    reading = make_reading(EngineOptions("rapidocr"))
    texts = reading.find(picture, question_of(record))["texts"]
    assert [(text.id, text.text, text.panel, text.source) for text in texts] == [
        (1, "Where is the yellow submarine today?", 1, "rapidocr"),
        (2, "Under the sea!", 2, "rapidocr"),
    ]
    assert texts[0].box is not None
    assert np.abs(np.array(texts[0].box) - (60, 62, 208, 140)).max() <= 14
    assert reading.workers == "processes"


@needs_rapidocr
def test_languages_are_refused_where_one_model_reads_them_all() -> None:
    with pytest.raises(UsageError, match="one model"):
        make_reading(EngineOptions("rapidocr", languages=("ja",)))


@needs_tesseract
def test_tesseract_reads_a_drawn_page_and_names_languages_that_it_lacks() -> None:
    picture, record = drawn()
    reading = make_reading(EngineOptions("tesseract", languages=("en",)))
    texts = reading.find(picture, question_of(record))["texts"]
    assert "Under the sea!" in [text.text for text in texts]
    with pytest.raises(SetupError) as raised:
        load_model(EncoderSpec("tesseract", languages=("xyz_vert",)), "ocr")
    assert raised.value.hint == "apt install tesseract-ocr-xyz-vert"


def test_words_of_a_table_become_lines() -> None:
    head = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext\n"
    rows = [
        "1\t1\t0\t0\t0\t0\t0\t0\t100\t80\t-1\t",
        "5\t1\t1\t1\t1\t1\t10\t10\t30\t12\t90\tHello",
        '5\t1\t1\t1\t1\t2\t45\t9\t70\t14\t70\t"there',
        "5\t1\t2\t1\t1\t1\t10\t40\t10\t10\t95\t ",
        "5\t1\t3\t1\t1\t1\t10\t60\t20\t40\t50\tend",
    ]
    first, second = parse_table(head + "\n".join(rows), 100, 80)
    assert (first.box, first.text, first.score) == ((10, 9, 100, 23), 'Hello "there', 0.8)
    assert second.box == (10, 60, 30, 80)
    assert parse_table("", 100, 80) == []
