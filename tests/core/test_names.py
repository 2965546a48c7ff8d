from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable
from itertools import takewhile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comictool.core.names import distinct_names, natural_key, safe_component, with_number


def test_natural_order() -> None:
    names = [
        "page1.jpg",
        "page2.jpg",
        "Page10.jpg",
        "page11.jpg",
        "Vol 1/Ch 2/1.jpg",
        "Vol 1/Ch 10/1.jpg",
        "Vol 2/1.jpg",
    ]
    shuffled = names[:]
    random.Random(4).shuffle(shuffled)
    assert sorted(shuffled, key=natural_key) == names


def test_superscripts_and_endless_digits_do_not_break_the_order() -> None:
    assert sorted(["a²", "a2", "a" + "9" * 5000], key=natural_key)


def _slow_order(a: str, b: str) -> int:
    """Natural order of two names, character by character: an oracle that shares nothing with the key."""
    first, second = (name.replace("\\", "/").split("/") for name in (a, b))
    for level, (one, other) in enumerate(zip(first, second, strict=False)):
        ends = level == len(first) - 1, level == len(second) - 1
        if ends[0] != ends[1]:
            return -1 if ends[0] else 1  # a file before the folders beside it
        if result := _slow_component(one, other):
            return result
    return (a > b) - (a < b)


def _slow_component(a: str, b: str) -> int:
    one, other = (unicodedata.normalize("NFKC", text).casefold() for text in (a, b))
    while one and other:
        kinds = [2 if text[0].isdecimal() else 3 if text[0].isalnum() else 1 for text in (one, other)]
        if kinds[0] != kinds[1]:
            return kinds[0] - kinds[1]
        runs = ["".join(takewhile(lambda c, k=kinds[0]: c.isdecimal() == (k == 2), text)) for text in (one, other)]
        values: list[Any] = [int(run) for run in runs] if kinds[0] == 2 else runs
        if values[0] != values[1]:
            return -1 if values[0] < values[1] else 1
        one, other = one[len(runs[0]) :], other[len(runs[1]) :]
    return (one > "") - (other > "")


# Names without endings, which have a rule of their own.
simple = st.lists(st.text("aBé12０９_ -", max_size=6), min_size=1, max_size=4).map("/".join)


@given(simple, simple)
def test_order_is_that_of_a_slow_comparison(a: str, b: str) -> None:
    expected = _slow_order(a, b)
    assert (natural_key(a) < natural_key(b)) == (expected < 0)
    assert (natural_key(a) > natural_key(b)) == (expected > 0)


def in_kanji(number: int) -> str:
    """A number below 10,000 as it is written in titles: 百二十三."""
    out = ""
    for unit, sign in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = number // unit % 10
        if digit:
            out += ("" if digit == 1 and sign else "一二三四五六七八九"[digit - 1]) + sign
    return out or "〇"


WRITTEN = [
    str,
    lambda number: f"{number:04}",
    lambda number: "".join(chr(0xFF10 + int(digit)) for digit in str(number)),
    in_kanji,
    lambda number: "".join("〇一二三四五六七八九"[int(digit)] for digit in str(number)),
]


@given(st.lists(st.tuples(st.integers(0, 9999), st.sampled_from(WRITTEN)), unique_by=lambda pair: pair[0], max_size=8))
def test_numbers_count_by_value_however_they_are_written(numbers: list[tuple[int, Callable[[int], str]]]) -> None:
    """4C.15: full-width digits and kanji numerals, with units or digit by digit; 4C.14: leading zeros."""
    names = [f"v{'0' * (n % 3)}1 第{write(n)}話/p.jpg" for n, write in numbers]
    ranked = [name for _, name in sorted(zip([n for n, _ in numbers], names, strict=True))]
    assert sorted(names, key=natural_key) == ranked


accented = st.text("eéêoöüñガギ가각Å12 ", min_size=1, max_size=6)


@given(st.lists(st.tuples(accented, accented).map("/".join), max_size=6), st.randoms(use_true_random=False))
def test_encoding_of_accents_makes_no_difference(names: list[str], chance: random.Random) -> None:
    """4C.15: NFC beside NFD. Only names that are the same but for that are told apart by it."""
    composed = sorted({unicodedata.normalize("NFC", name) for name in names}, key=natural_key)
    mixed = [unicodedata.normalize(chance.choice(["NFC", "NFD"]), name) for name in composed]
    chance.shuffle(mixed)
    assert [unicodedata.normalize("NFC", name) for name in sorted(mixed, key=natural_key)] == composed


@pytest.mark.parametrize(
    "names",
    [
        ["v1 c001 p1.jpg", "v01 c002 p1.jpg", "v1 c003 p1.jpg", "v01 c004 p1.jpg"],
        ["ｐ１.jpg", "p2.jpg", "ｐ３.jpg", "P10.jpg"],
        ["第一話", "第2話", "第３話", "第十話", "第十二話", "第百二十話"],
        ["一", "二", "三", "九", "十", "廿一", "一〇〇"],
        ["上巻", "中巻", "下巻"],
        ["第一話 前編", "第一話 中編", "第一話 後編", "第二話 前編"],
        ["その一", "その二", "その三"],
        ["Ⅰ", "Ⅳ", "Ⅴ", "Ⅸ", "Ⅻ"],
        ["zz.jpg", "Chapter 1/1.jpg", "Chapter 1/extras/1.jpg"],
    ],
)
def test_order_of_what_people_write(names: list[str]) -> None:
    """4C.14, 4C.15."""
    assert sorted(random.Random(1).sample(names, len(names)), key=natural_key) == names


@given(st.text(), st.text())
def test_only_equal_names_have_equal_keys(a: str, b: str) -> None:
    assert (natural_key(a) == natural_key(b)) == (a == b)
    assert (natural_key(a) < natural_key(b)) or (natural_key(b) <= natural_key(a))


@given(st.text(max_size=400))
def test_a_safe_name_is_one_component_everywhere(name: str) -> None:
    safe = safe_component(name)
    assert safe not in {"", ".", ".."}
    assert not set(safe) & set('/\\:*?"<>|\0\n')
    assert len(safe.encode()) <= 201
    assert safe == safe.strip(" .")
    assert safe_component(safe) == safe


def test_safe_names_keep_what_people_write() -> None:
    assert safe_component("Astérix & Obélix #12 'Édition'") == "Astérix & Obélix #12 'Édition'"
    assert safe_component("../../etc/passwd") == "_.._etc_passwd"
    assert safe_component("CON.jpg") == "_CON.jpg"
    assert safe_component("///") == "untitled"
    assert safe_component("ワンピース 第1巻") == "ワンピース 第1巻"


def test_a_number_is_never_cut_off() -> None:
    longest = safe_component("漫" * 80 + "ab")
    numbered = {with_number(longest, number) for number in range(2, 200)}
    assert len(numbered) == 198
    assert all(safe_component(name) == name for name in numbered)


def test_names_that_differ_only_in_case_or_after_the_cut_are_told_apart() -> None:
    plain = {"a": "Alpha", "b": "alpha", "c": "alpha_2", **{f"long {n}": safe_component("漫" * 80) for n in range(12)}}
    names = distinct_names(plain)
    assert names["a"] == "Alpha"
    assert len({name.casefold() for name in names.values()}) == len(plain)


def test_punctuation_comes_first_and_copies_after_their_original() -> None:
    names = ["!first.jpg", "_second.jpg", "00.jpg", "cover.jpg", "cover2.jpg"]
    backwards = names[::-1]
    assert sorted(backwards, key=natural_key) == names
