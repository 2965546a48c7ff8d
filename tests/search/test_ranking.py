"""Words by arrays against FTS5's own BM25, and against loops over all texts and all words."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from comictool.core.errors import InputError
from comictool.search.likeness import TORN, allowed_edits, rarity
from comictool.search.text_query import CHANCE, ENOUGH, FEW, LEAST, saying
from comictool.search.wording import Term, Words, parse_words
from comictool.vectors.metadata import CropEntry, Metadata, MetadataWriter, PageEntry
from comictool.vectors.postings import MANY, Postings, common, together
from comictool.vectors.vocabulary import CONFUSED, Vocabulary
from comictool.vectors.words import is_spaceless, part

LATIN = """the moon and sea are far beyond mountain mountains mountaln inside something some thing in side week-end
don't moom noon soon maan m0on beyomd cafe a of is"""
OTHERS = """\u041b\u0443\u043d\u0430 \u043b\u0443\u043d\u044b \u6708\u306b\u884c\u304d\u305f\u3044
\u884c\u304d\u305f\u304f\u306a\u3044"""
WORDS = f"{LATIN} {OTHERS}".split()


def texts_of(seed: int, count: int) -> list[str]:
    """Sentences in which some words are common."""
    chance = random.Random(seed)
    shares = [1 / (n + 1) for n in range(len(WORDS))]
    some = [" ".join(chance.choices(WORDS, shares, k=chance.randrange(0, 9))) for _ in range(count)]
    return [text.upper() if chance.random() < 0.3 else text for text in some]


def metadata_of(folder: Path, texts: list[str]) -> Metadata:
    """One text a panel, four panels a page."""
    writer = MetadataWriter(folder / "metadata.sqlite")
    for page in range(0, len(texts), 4):
        panels = tuple(CropEntry(f"{page}_{n}", n, text=t) for n, t in enumerate(texts[page : page + 4], 1))
        writer.add(PageEntry("c", page, "", "", text="\n".join(texts[page : page + 4]), panels=panels))
    writer.close()
    return Metadata(folder / "metadata.sqlite")


def questions(seed: int, count: int) -> list[str]:
    """Words, typing errors, phrases, beginnings, hyphens, one of several, and what must not be there."""
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        typed = []
        for word in chance.choices(WORDS, k=chance.choice((1, 1, 2, 2, 3, 5))):
            place = chance.randrange(len(word))
            slip = word[:place] + chance.choice("xo1") + word[place + 1 :]
            typed.append(chance.choice((word, word, slip, f'"{word}"', f"{word[:3]}*", f"-{word}", f"{word} OR far")))
        found.append(" ".join([chance.choice(["moon", '"the moon"', "sea", "mountian"]), *typed]))
    return found


def distance(one: str, other: str) -> float:
    """The restricted edit distance, a mistaken letter counting half."""
    cost = {(row, 0): float(row) for row in range(len(one) + 1)} | {(0, n): float(n) for n in range(len(other) + 1)}
    for row, letter in enumerate(one, 1):
        for column, counterpart in enumerate(other, 1):
            step = 0.0 if letter == counterpart else 0.5 if frozenset((letter, counterpart)) in CONFUSED else 1.0
            cost[row, column] = min(
                cost[row - 1, column - 1] + step, cost[row - 1, column] + 1, cost[row, column - 1] + 1
            )
            if row > 1 and column > 1 and letter == other[column - 2] and counterpart == one[row - 2]:
                cost[row, column] = min(cost[row, column], cost[row - 2, column - 2] + 1)
    return cost[len(one), len(other)]


def test_words_alike_are_those_of_a_loop() -> None:
    chance = random.Random(3)
    words = {"".join(chance.choices("aeo0lti1csdzq\u044f\u0436", k=chance.randrange(3, 13))) for _ in range(600)}
    words |= {word[:n] + chance.choice("o0czi") + word[n + 1 :] for word in [*words] for n in (1, 2)}

    def read(length: int) -> bytes:
        return "".join(sorted(word for word in words if len(word) == length)).encode("utf-32-le")

    vocabulary, met = Vocabulary(read), 0
    for word in sorted(words)[::300]:
        for most in (1, 2):
            expected = {other: distance(word, other) for other in words if other != word}
            expected = {other: edits for other, edits in expected.items() if edits <= most}
            assert dict(vocabulary.near(word, most)) == expected
            met += len(expected)
    assert met > 15


@pytest.mark.parametrize("level", ["panel", "page"])
def test_exact_answers_are_those_of_fts5(tmp_path: Path, level: str) -> None:
    with metadata_of(tmp_path, texts_of(1, 240)) as metadata:
        rows = 240 if level == "panel" else 60
        for number, typed in enumerate(questions(2, 150)):
            words = parse_words(typed)
            inside = None if number % 3 else np.arange(rows) % 3 > 0
            rows_there = dict(metadata.rows_matching(level, words.expression, inside=inside))
            # By terms: within `(a OR b) NOT c` FTS5 leaves out what some of them add.
            parts = [dict(metadata.rows_matching(level, term.expression)) for term in words.terms]
            told = {row: sum(part.get(row, 0.0) for part in parts) for row in rows_there}
            if not words.without:
                assert told == pytest.approx(rows_there, abs=5e-6)
            best = sorted(told.values(), reverse=True)
            for most in (-1, 5):
                found = saying(metadata, level, words, inside=inside, enough=5, most=most, near=False)
                assert len(found.rows) == len(set(found.rows)) == (len(told) if most < 0 else min(most, len(told)))
                assert found.scores == pytest.approx(best[: len(found.rows)], abs=5e-6)
                assert [told[int(row)] for row in found.rows] == pytest.approx(found.scores, abs=5e-6)
                if not words.without and all(len(term.words) == 1 and not term.begins for term in words.terms):
                    assert [int(row) for row in found.rows] == [*rows_there][: len(found.rows)]


def likeness(terms: tuple[Term, ...], alike: dict[str, dict[str, float]], text: str) -> float:
    """How like the likest of the terms is in a text, by reading it."""
    parted = part(text)
    there = {word.word for word in (*parted.words, *parted.joined)}
    torn = {one.word + other.word for one, other in pairwise(parted.words)}
    best = 0.0
    for term in terms:
        if term.single:
            least = TORN if term.single in torn else 0.0
            best = max([best, *([like for word, like in alike[term.single].items() if word in there] or [least])])
        elif is_spaceless(term.words[0]) and not term.quoted and len(term.words) > 1:
            found = sum(word in there for word in term.words) / len(term.words)
            best = max(best, found if found >= 0.5 else 0.0)
        elif next(term.spans(parted), None) is not None:
            best = 1.0
    return best


def evidences(words: Words, texts: list[str], weight: list[float], alike: dict[str, dict[str, float]]) -> dict:
    """Evidence of every text that says the words nearly."""
    few = len(words.groups) < FEW and len(weight) >= sum(len(term.words) for term in words.terms)
    chance = math.log(sum(map(bool, texts))) + CHANCE
    need = math.inf if few else min(ENOUGH * sum(weight), max(chance, LEAST * sum(weight)))
    found = {}
    for row, text in enumerate(texts):
        if any(next(term.spans(part(text)), None) is not None for term in words.without):
            continue
        like = [likeness(group, alike, text) for group in words.groups]
        total = sum(w * own for w, own in zip(weight, like, strict=True))
        if all(like) or total >= need:
            found[row] = total
    return found


def test_near_answers_are_those_of_a_loop_over_all_texts(tmp_path: Path) -> None:
    texts, met = texts_of(5, 240), 0
    with metadata_of(tmp_path, texts) as metadata:
        vocabulary = {w.word for text in texts for p in [part(text)] for w in (*p.words, *p.joined)}
        for typed in questions(6, 80):
            words = parse_words(typed)
            found = saying(metadata, "panel", words, enough=10_000)
            assert found.alike is not None
            for term in words.terms:
                if len(word := term.single) >= 4:
                    allowed = allowed_edits(word)
                    near = {other for other in vocabulary if len(other) >= 4 and distance(word, other) <= allowed}
                    assert near <= found.alike.of[word].keys()
            weight = []
            texts_there, postings = metadata.text_count("panel"), metadata.postings("panel")
            for group in words.groups:
                counts = [
                    [found.alike.counts[term.single]] if term.single else [len(postings.of(w).rows) for w in term.words]
                    for term in group
                ]
                weight.append(min(sum(rarity(n, texts_there) for n in own) for own in counts))
            expected = evidences(words, texts, weight, found.alike.of)
            exact = {int(row) for row in found.rows[: found.exact]}
            near = dict(zip(map(int, found.rows[found.exact :]), found.evidence[found.exact :], strict=True))
            torn = {row for row in expected if row not in exact and row not in near}
            # A word in two pieces is looked for where others of the question are, not by itself.
            assert all(
                any(t.single in "".join(texts[row].lower().split()) for t in words.terms if t.single) for row in torn
            )
            assert near == pytest.approx({row: e for row, e in expected.items() if row not in exact | torn}, abs=2e-3)
            assert [*near.values()] == sorted(near.values(), reverse=True)
            assert (np.diff(found.scores) <= 0).all()
            met += len(near)
    assert met > 300


def test_damaged_postings_are_told() -> None:
    for rows, times in ((b"\1\0\0\0", b""), (b"\xff\0\0\0", b"\1")):
        with pytest.raises(InputError, match="damaged"):
            Postings(lambda _, told=(rows, times): told, b"\1\0\0\0", 1).of("moon")
    with pytest.raises(InputError, match="damaged"):
        Vocabulary(lambda _: b"abc").near("moon", 1)


@pytest.mark.parametrize("sizes", [(0, 9), (30, 4000), (MANY + 9, MANY * 3), (MANY * 2, MANY * 2)])
def test_what_ascending_rows_have_in_common(sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(4)
    one, other = (np.sort(rng.choice(MANY * 4, size, replace=False)).astype(np.uint32) for size in sizes)
    here, there = common(one, other)
    assert one[here].tolist() == other[there].tolist() == sorted(set(one.tolist()) & set(other.tolist()))
    assert together([one, other]).tolist() == sorted({*one.tolist(), *other.tolist()})
