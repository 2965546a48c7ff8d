"""Lines to balloons, and a page's texts in reading order."""

from __future__ import annotations

import numpy as np
import pytest

from comictool.corpus.records import PageRecord, Panel
from comictool.plugins.protocols import TextLine
from comictool.words.blocks import blocks_of, joined
from comictool.words.page import page_texts, question_of


def line(x: float, y: float, text: str, *, size: float = 20, width: float = 0) -> TextLine:
    """A horizontal line of letters of a size; (x, y) is its middle at the top."""
    half = (width or size * 0.5 * len(text)) / 2
    return TextLine((x - half, y, x + half, y + size), text, 0.9)


def column(right: float, y: float, text: str, *, size: float = 20) -> TextLine:
    return TextLine((right - size, y, right, y + size * len(text)), text, 0.9)


def texts_of(lines: list[TextLine]) -> list[str]:
    return [block.text for block in blocks_of(lines, [None] * len(lines))]


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (["Please prepare two", "dozen of everything"], "Please prepare two dozen of everything"),
        (["an impor-", "tant word"], "an important word"),
        (["AN IMPOR-", "TANT WORD"], "AN IMPORTANT WORD"),
        (["W-", "what"], "W-what"),
        (["wait --", "what"], "wait -- what"),
        (["Jean-", "Pierre"], "Jean-Pierre"),
        (["本日は君に当院の", "当直の"], "本日は君に当院の当直の"),
        (["C'est  la", "", " vie"], "C'est la vie"),
    ],
)
def test_lines_are_joined(lines: list[str], text: str) -> None:
    assert joined(lines) == text


def test_two_balloons_side_by_side_stay_two() -> None:
    left = [line(100, 100, "Hey look, it's"), line(100, 122, "Pepper")]
    right = [line(290, 100, "Oh, let me guess"), line(290, 122, "business is booming")]
    assert sorted(texts_of([right[1], left[1], left[0], right[0]])) == [
        "Hey look, it's Pepper",
        "Oh, let me guess business is booming",
    ]


def test_balloons_above_each_other_and_other_letters_stay_apart() -> None:
    assert len(texts_of([line(100, 100, "First one"), line(100, 150, "Second one")])) == 2
    assert len(texts_of([line(100, 100, "small words"), line(100, 122, "BOOM", size=60)])) == 2


def test_parts_of_one_line_come_in_their_order() -> None:
    assert texts_of([line(180, 101, "hand"), line(100, 100, "the other")]) == ["the other hand"]


def test_columns_are_read_from_right_to_left_and_readings_stand_aside() -> None:
    ruby = TextLine((302, 100, 311, 150), "さいとう", 0.9)
    lines = [column(250, 100, "お願いする"), column(300, 100, "斉藤くん本日は"), ruby, column(275, 100, "当院の当直を")]
    (block,) = blocks_of(lines, [None] * 4)
    assert block.text == "斉藤くん本日は当院の当直をお願いする"
    assert block.vertical
    assert block.ruby == [ruby]


def test_a_panel_border_parts_lines() -> None:
    lines = [line(100, 100, "above"), line(100, 118, "below")]
    assert len(blocks_of(lines, [1, 2])) == 2
    assert len(blocks_of(lines, [1, 1])) == 1


def test_texts_come_panel_by_panel_in_the_direction_of_the_page() -> None:
    panels = [Panel(1, (300, 0, 600, 300), 1), Panel(2, (0, 0, 290, 300), 2), Panel(3, (0, 310, 600, 600), 3)]
    record = PageRecord("c", 1, "p.png", 600, 700, direction="rtl", panels=panels)
    picture = np.full((700, 600, 3), 255, np.uint8)
    lines = [
        line(100, 50, "third"),
        line(500, 40, "first"),
        line(400, 200, "second"),
        line(300, 400, "fourth"),
        line(300, 660, "below all"),
    ]
    texts = page_texts(picture, lines, question_of(record), "toy")
    assert [(text.id, text.text, text.panel) for text in texts] == [
        (1, "first", 1),
        (2, "second", 1),
        (3, "third", 2),
        (4, "fourth", 3),
        (5, "below all", None),
    ]
    assert {text.source for text in texts} == {"toy"}
    assert texts[0].box == (475, 40, 525, 60)


def test_lines_without_panels_are_ordered_by_the_page() -> None:
    picture = np.full((700, 600, 3), 255, np.uint8)
    lines = [line(450, 52, "two"), line(100, 50, "one"), line(300, 400, "three")]
    texts = page_texts(picture, lines, question_of(PageRecord("c", 1, "p.png", 600, 700)), "toy")
    assert [text.text for text in texts] == ["one", "two", "three"]
    assert page_texts(picture, [], question_of(PageRecord("c", 1, "p.png", 600, 700)), "toy") == []
