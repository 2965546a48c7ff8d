"""Told panels on found ones: the chain against all its paths, overlap, and what has no counterpart."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from comictool.corpus.read_texts import likeness, read_texts
from comictool.corpus.records import Box, PageRecord, Panel, Text
from comictool.corpus.text_panels import MERGES, SKIPS, SPLITS, SaidText, TextPanel, _Chain, align
from comictool.corpus.told_texts import BOX_SOURCE, take_over

PANELS: list[Box] = [(0, 0, 100, 100), (110, 0, 200, 100), (0, 110, 200, 200)]
BOXES: list[Box] = [(10, 10, 40, 20), (50, 50, 90, 70), (20, 120, 60, 150)]
SIZE = (200, 200)


def said(*counts: int) -> list[TextPanel]:
    return [TextPanel(tuple(SaidText(f"words {k} {n}") for n in range(count))) for k, count in enumerate(counts)]


def every_path(chain: _Chain, steps: list[bool], fitting: np.ndarray) -> np.ndarray:
    """Posterior by going through all sequences of panels, one weight for each."""
    count = len(PANELS)
    out, texts = np.zeros((len(steps), count)), np.cumsum([not opens for opens in steps]) - 1
    for path in itertools.product(range(count), repeat=len(steps)):
        # A step that stays in its panel, and one that goes on, may end in the same panel only if it stays.
        weight, told, passed = 1.0, np.zeros(count, int), lambda i: SKIPS * chain.leave[i, 0]
        weight *= (1 - SKIPS) * np.prod([passed(i) for i in range(path[0])])
        for step in range(len(steps)):
            here, before = path[step], path[step - 1] if step else path[0]
            if here < before:
                weight = 0.0
                break
            if step and steps[step]:
                if here == before:
                    weight *= SPLITS
                else:
                    weight *= (1 - SPLITS) * chain.leave[before, told[before]]
                    weight *= (1 - SKIPS) * np.prod([passed(i) for i in range(before + 1, here)])
            elif step:
                if here == before:
                    weight *= 1 - MERGES
                elif here == before + 1:
                    weight *= MERGES * chain.leave[before, told[before]]
                else:
                    weight = 0.0
                    break
            if not steps[step]:
                told[here] += 1
                weight *= fitting[texts[step], here]
        if weight:
            last = path[-1]
            weight *= chain.leave[last, told[last]] * np.prod([passed(i) for i in range(last + 1, count)])
            for step, panel in enumerate(path):
                out[step, panel] += weight
    return out / out.sum(1, keepdims=True)


@pytest.mark.parametrize("boxes", [BOXES, []])
@pytest.mark.parametrize("counts", [(2, 1), (1, 0, 2), (0, 1, 1, 1), (3,)])
def test_the_chain_agrees_with_all_its_paths(counts: tuple[int, ...], boxes: list[Box]) -> None:
    chain = _Chain(PANELS, boxes)
    steps = [step for count in counts for step in (True, *[False] * count)]
    fitting = chain.fitting(["word" * random.Random(n).randint(1, 9) for n in range(sum(counts))])
    assert np.allclose(chain.posterior(steps, fitting), every_path(chain, steps, fitting), atol=1e-6)


def test_equal_counts_go_one_by_one() -> None:
    found = align(PANELS, said(1, 2, 1), SIZE, [])
    assert found.method == "order"
    assert [p.panel for p in found.panels] == [0, 1, 2]
    assert [[t.panel for t in texts] for texts in found.texts] == [[0], [1, 1], [2]]
    assert found.confidence > 0.9


def test_boxes_of_texts_tell_which_panels_were_merged() -> None:
    boxes = [(10, 10, 40, 20), (120, 10, 150, 20), (130, 40, 160, 60), (20, 120, 60, 150)]
    found = align(PANELS, said(3, 1), SIZE, boxes)  # the first two panels as one
    assert [[t.panel for t in texts] for texts in found.texts] == [[0, 1, 1], [2]]
    found = align(PANELS, said(1, 3), SIZE, boxes)  # the last two
    assert [[t.panel for t in texts] for texts in found.texts] == [[0], [1, 1, 2]]
    assert align(PANELS, said(3, 1), SIZE, []).confidence < 0.85  # without them nobody can know


def test_overlap_counts_more_than_order_and_a_text_goes_where_its_own_box_lies() -> None:
    seen = [
        TextPanel((SaidText("c", box=(0.1, 0.6, 0.2, 0.7)),), (0.02, 0.57, 1, 1)),
        TextPanel((SaidText("a"), SaidText("b", box=(0.6, 0.1, 0.8, 0.2))), (0, 0, 1, 0.52)),  # two panels as one
    ]
    found = align(PANELS, seen, SIZE, [])
    assert found.method == "overlap"
    assert found.texts[0][0].panel == 2
    assert found.texts[1][1].panel == 1
    assert found.texts[1][1].confidence > 0.8 > found.texts[1][0].confidence
    assert found.panels[0].iou == pytest.approx(0.94, abs=0.03)


def test_boxes_that_lie_nowhere_are_not_trusted() -> None:
    seen = [TextPanel((SaidText("a"),), (0.99, 0.99, 1, 1)) for _ in PANELS]
    assert align(PANELS, seen, SIZE, []).method == "order"


@pytest.mark.parametrize(
    ("panels", "seen"), [([], said(1)), (PANELS, []), (PANELS, said(*[1] * 2000)), (PANELS, said(3000))]
)
def test_pages_that_cannot_be_aligned_place_nothing(panels: list[Box], seen: list[TextPanel]) -> None:
    found = align(panels, seen, SIZE, [])
    assert found.method == "none"
    assert all(p.panel is None for p in found.panels)
    assert len(found.texts) == len(seen)


def page(texts: list[Text] | None = None) -> PageRecord:
    panels = [Panel(n, box, n) for n, box in enumerate(PANELS, start=1)]
    return PageRecord("c", 1, "x", *SIZE, panels=panels, texts=texts or [])


def test_words_take_the_boxes_that_a_detector_drew() -> None:
    record = page([Text(n, "", box=box) for n, box in enumerate(BOXES, start=1)])
    seen = [*said(2), TextPanel((), None, {"text": "a quiet street"}), *said(1)]
    take_over(record, seen, source="toy", summary="a page", model="toy-1")
    assert [(t.id, t.text, t.box, t.panel, t.source) for t in record.texts] == [
        (1, "words 0 0", BOXES[0], 1, "toy"),
        (2, "words 0 1", BOXES[1], 1, "toy"),
        (3, "words 0 0", BOXES[2], 3, "toy"),
    ]
    assert [p.extra["modalities"]["text"] for p in record.panels] == [True, False, True]
    assert record.panels[1].extra["description"] == {"text": "a quiet street", "model": "toy-1"}
    assert record.extra["description"] == {"text": "a page", "model": "toy-1"}
    assert record.extra["text_panels"] == 3


def test_what_has_no_counterpart_is_kept() -> None:
    record = page([Text(1, "", box=(10, 10, 40, 20)), Text(2, "already read", box=(120, 10, 160, 30), panel=2)])
    seen = [
        TextPanel((SaidText("a", box=(0.05, 0.05, 0.2, 0.1)),), (0, 0, 0.5, 0.5)),
        TextPanel((SaidText("d", box=(0.6, 0.05, 0.7, 0.1)),), (0.55, 0, 1, 0.5)),
        TextPanel((SaidText("b"),), (0, 0.55, 1, 1)),
        TextPanel((SaidText("c"),), None, {"text": "no such panel"}),
    ]
    take_over(record, seen, source="toy", model="toy-1")
    assert {t.text: t.panel for t in record.texts} == {"a": 1, "d": 2, "b": 3, "c": None, "already read": 2}
    assert record.extra["unmatched_text_panels"] == [
        {
            "number": 4,
            "modalities": {"image": False, "text": True, "layout": False},
            "text": "no such panel",
            "model": "toy-1",
        }
    ]
    assert record.extra["alignment"]["confidence"] < 0.85


def read(number: int, text: str, box: Box | None, source: str = "toy-ocr") -> Text:
    return Text(number, text, "sfx", box, confidence=0.8, source=source)


@pytest.mark.parametrize(
    "run", [{"model": "toy-ocr@1+abc"}, {"model": "other@1+abc", "kept": True, "found_by": "toy-ocr@1+abc"}]
)
def test_told_words_take_the_place_of_those_that_an_engine_read(run: dict[str, Any]) -> None:
    at = [(10, 10, 40, 20), (10, 60, 80, 70), (120, 10, 160, 30), (20, 120, 90, 140), (150, 60, 190, 80)]
    words = ["H0LD 1T rlght there", "utter nonsense", "BANG", "where did you put the keys", "by hand"]
    record = page([read(n, *each) for n, each in enumerate(zip(words, at, strict=True), start=1)])
    record.texts[4].source = "a person"
    record.record_run("text", **run)
    seen = [
        TextPanel((SaidText("Hold it right there!"), SaidText("Somebody else.")), (0, 0, 0.5, 0.5)),
        TextPanel((SaidText("Boom", box=(0.61, 0.06, 0.8, 0.14)), SaidText("By hand")), (0.55, 0, 1, 0.5)),
        TextPanel((), (0, 0.55, 1, 1)),
    ]
    seen[1] = replace(seen[1], texts=(*seen[1].texts, SaidText("Where did you put the keys?")))
    take_over(record, seen, source="told")
    assert [(t.id, t.text, t.box, t.panel, t.source, t.confidence) for t in record.texts] == [
        (1, "Hold it right there!", at[0], 1, "told", 1.0),
        (6, "Somebody else.", None, 1, "told", 1.0),
        (3, "Boom", at[2], 2, "told", 1.0),
        (7, "By hand", None, 2, "told", 1.0),  # what a person wrote is never taken for it
        (4, "Where did you put the keys?", at[3], 3, "told", 1.0),  # told of another panel, but read there
        (2, "utter nonsense", at[1], None, "toy-ocr", 0.8),
        (5, "by hand", at[4], None, "a person", 0.8),
    ]
    assert [t.extra.get(BOX_SOURCE) for t in record.texts] == ["toy-ocr", None, "toy-ocr", None, "toy-ocr", None, None]


def test_who_read_a_text_is_told_by_the_notes_of_the_page() -> None:
    record = page([read(1, "a", None), read(2, "b", None, "vlm:m"), read(3, "c", None, ""), read(4, "d", None, "toy")])
    assert read_texts(record) == []
    record.record_run("panels", model="toy@1")
    record.record_run("text", model="m 3", kept=True, found_by="toy-ocr@2")
    assert [text.id for text in read_texts(record)] == [1, 2]


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("Hold it!", "HOLD\nIT", 1),
        ("ええ、そう", "ええそう！", 1),
        ("!?", "! ?", 1),
        ("", "", 1),
        ("ab", "cd", 0),
        ("ab", "bc", 0.5),
    ],
)
def test_likeness_of_readings(one: str, other: str, alike: float) -> None:
    assert likeness(one, other) == alike
