from __future__ import annotations

import random
from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from comictool.corpus.names import distinct_names, natural_key, safe_component, with_number


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


@given(st.lists(st.text("aB12_. ", max_size=6), max_size=4), st.text("aB12_. ", max_size=6))
def test_folders_order_one_by_one_before_the_file(folders: list[str], file: str) -> None:
    """Folders' keys are remembered; they are those of the components, each by itself."""
    name = "/".join([*folders, file])
    expected = [part for folder in folders for part in _slow_parts(folder)] + list(natural_key(file)[:-1])
    assert list(natural_key(name)) == [*expected, (0, 0, name)]


def _slow_parts(component: str) -> list[tuple[int, int, str]]:
    parts = ["".join(run) for _, run in groupby(component.casefold(), str.isdecimal)]
    kinds = [(2, int(part), part) if part.isdecimal() else (3 if part[0].isalnum() else 1, 0, part) for part in parts]
    return [*kinds, (0, 0, "")]


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
