"""Queries by words: what is found against explicit loops, in which order, and what may be typed."""

from __future__ import annotations

import math
import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from comictool.core.errors import InputError, UsageError
from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import Text
from comictool.search.query import Query, query
from comictool.search.wording import parse_words
from comictool.vectors.collection import StoreCollection, open_collection
from tests.vectors.fakes import ask, embed_corpus, fake, make_page

SAID = {
    "moon/1/1": "To the moon, and beyond!",
    "moon/2/1": "The moon is far. Is the MOON a cheese?",
    "moon/2/2": "Nobody said a word about anything at all today",
    "sea/1/1": "moon over the sea, sea, sea",
    "sea/2/1": "Caf\u00e9 au lait",
    "sea/2/2": "\u6708\u306b\u884c\u304d\u305f\u3044\u3002\u6708\u306f\u9060\u3044",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two comics of two pages of two panels that say what `SAID` has; a caption outside of any panel."""
    root = tmp_path_factory.mktemp("said")
    corpus = Corpus.create(root)
    for comic in ("moon", "sea"):
        records = []
        for number in (1, 2):
            record = make_page(corpus, comic, number, 2)
            record.texts = [
                Text(id=n, text=SAID[f"{record.id}/{n}"], box=(1, 30 * n - 28, 9, 30 * n - 20))
                for n in (1, 2)
                if f"{record.id}/{n}" in SAID
            ]
            records.append(record)
        records[0].texts.append(Text(id=9, text=f"caption of {comic}"))
        corpus.write_pages(comic, records)
    embed_corpus(corpus, fake(), root / "store", options=JobOptions(jobs=1))
    return root


def ids(store: Path, words: str, **options: object) -> list[str]:
    return [hit.id for hit in ask(store, text=words, **options)]  # type: ignore[arg-type]


def bm25(term: str) -> dict[str, float]:
    """Okapi BM25 with SQLite's k1 1.2 and b .75, by an explicit loop over the panels that have text."""
    words = {name: "".join(c if c.isalnum() else " " for c in text.lower()).split() for name, text in SAID.items()}
    words["sea/2/2"] = [pair for run in words["sea/2/2"] for pair in [*(a + b for a, b in pairwise(run)), run[-1]]]
    mean = sum(map(len, words.values())) / len(words)
    holding = [name for name, own in words.items() if term in own]
    # FTS5 takes a millionth where a term is in more than half of the texts and the logarithm would be negative.
    rarity = max(1e-6, math.log((len(words) - len(holding) + 0.5) / (len(holding) + 0.5)))
    scores = {}
    for name in holding:
        times = words[name].count(term)
        scores[name] = rarity * times * 2.2 / (times + 1.2 * (0.25 + 0.75 * len(words[name]) / mean))
    return scores


@pytest.mark.parametrize("word", ["moon", "sea", "beyond", "word"])
def test_the_order_is_that_of_bm25(store: Path, word: str) -> None:
    expected = bm25(word)
    hits = ask(store, text=word)
    assert [hit.id for hit in hits] == sorted(expected, key=lambda name: -expected[name])
    for hit in hits:
        assert hit.score == pytest.approx(expected[hit.id], rel=1e-3, abs=2e-6)
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))


def test_an_answer_knows_its_place_and_its_words(store: Path) -> None:
    hit = ask(store, text="beyond")[0]
    assert (hit.comic, hit.page, hit.panel, hit.box) == ("moon", 1, 1, (0, 0, 40, 30))
    assert hit.text == "To the moon, and beyond!"
    assert hit.as_dict()["text"] == hit.text
    assert hit.image.is_file()


def test_words_phrases_beginnings_and_accents(store: Path) -> None:
    assert ids(store, "far moon") == ["moon/2/1"]
    assert ids(store, "moon sea cheese") == []
    assert set(ids(store, '"the moon"')) == {"moon/1/1", "moon/2/1"}
    assert ids(store, '"moon the"') == []
    assert ids(store, "bey*") == ["moon/1/1"]
    assert ids(store, "bey") == []
    assert ids(store, "cafe") == ["sea/2/1"]


def test_scripts_without_spaces_are_searched_inside_sentences(store: Path) -> None:
    assert ids(store, "\u6708") == ["sea/2/2"]
    assert spots(store, "\u6708") == ["\u6708", "\u6708"]
    assert ids(store, "\u884c\u304d") == ["sea/2/2"]
    assert ids(store, "\u3044") == ["sea/2/2"]  # the last letter of a sentence begins a word as well
    assert spots(store, "\u304d\u305f\u3044") == ["\u304d\u305f\u3044"]
    assert ids(store, "\u304d\u3044", exact=True) == []
    assert ids(store, "\u6708\u306b\u5f80\u304d\u305f\u3044") == ["sea/2/2"]  # one letter was read wrongly
    assert ids(store, "\u661f") == []


def test_filters(store: Path) -> None:
    assert set(ids(store, "moon", comic_glob="m*")) == {"moon/1/1", "moon/2/1"}
    assert len(ids(store, "moon", group_by="comic")) == 2
    assert len({name.split("/")[0] for name in ids(store, "moon", group_by="comic")}) == 2
    assert len(ids(store, "moon", k=1)) == 1
    assert set(ids(store, "moon", level="page")) == {"moon/1", "moon/2", "sea/1"}
    with pytest.raises(InputError, match="no comic"):
        ids(store, "moon", comic_glob="z*")


def test_text_outside_of_panels_is_found_on_its_page(store: Path) -> None:
    assert ids(store, "caption sea") == ["sea/1"]
    assert ids(store, "caption", level="panel") == []


@pytest.mark.parametrize(
    "words",
    [
        "AND",
        "moon OR",
        "NEAR(moon sea)",
        "text:moon",
        "-sea moon",
        "moon OR OR sea",
        "moon)",
        '"moon',
        "moon'; DROP TABLE panels",
        "^moon",
        "a\0b",
        "\ud800 moon",
        "{moon}",
        "moon*sea*",
    ],
)
def test_nothing_that_is_typed_is_an_operator(store: Path, words: str) -> None:
    ids(store, words)


@pytest.mark.parametrize("words", ["", "  ", "!?", '""', "*", "-", "-moon"])
def test_no_word_is_a_usage_error(words: str) -> None:
    with pytest.raises(UsageError, match=r"no word|only words"):
        parse_words(words)


def test_words_may_be_left_out_or_be_one_of_several(store: Path) -> None:
    assert ids(store, "moon -sea") == ["moon/2/1", "moon/1/1"]
    assert ids(store, 'moon -"the moon"') == ["sea/1/1"]
    assert ids(store, "moon -mon -sae") == ["moon/2/1", "moon/1/1", "sea/1/1"]  # what is left out is meant as typed
    assert set(ids(store, "beyond OR cheese")) == {"moon/1/1", "moon/2/1"}
    assert ids(store, "moon beyond OR cheese far") == ["moon/2/1"]


def test_words_that_are_alike_come_after_those_that_are_meant(store: Path) -> None:
    assert ids(store, "beyomd") == ["moon/1/1"]
    assert ids(store, "m0on beyond") == ["moon/1/1"]
    assert ids(store, "beyomd", exact=True) == []
    assert ids(store, "mo") == []  # too short for a slip
    assert [hit.found_by for hit in ask(store, text="word")] == ["words"]
    (hit,) = ask(store, text="wrod")
    assert (hit.id, hit.found_by, spots(store, "wrod")) == ("moon/2/2", "near", ["word"])
    hits = ask(store, text="nobody sayed a wrod about anything")
    assert [hit.id for hit in hits] == ["moon/2/2"]
    assert spots(store, "nobody wrod anything") == ["Nobody", "word", "anything"]


def spots(store: Path, words: str) -> list[str]:
    """What is marked in the first answer."""
    hit = ask(store, text=words)[0]
    return [hit.text[start:stop] for start, stop in hit.spans]


def test_the_next_page_of_answers(store: Path) -> None:
    every = ids(store, "moon")
    assert [ids(store, "moon", k=1, offset=n) for n in range(4)] == [[name] for name in every] + [[]]
    assert [hit.rank for hit in ask(store, text="moon", k=2, offset=1)] == [2, 3]


def test_an_answer_of_many_lines_is_cut_around_its_words(tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path)
    record = make_page(corpus, "long", 1, 1)
    said = "word \n" * 90 + "the\n needle\u2019s   eye " + "word " * 90
    record.texts = [Text(id=1, text=said, panel=1), Text(id=2, text="an un-\nbroken WEEK\u2010END", panel=1)]
    corpus.write_pages("long", [record])
    embed_corpus(corpus, fake(), tmp_path / "store", options=JobOptions(jobs=1))
    (hit,) = ask(tmp_path, text="needle's")
    assert len(hit.text) < 250
    assert hit.text.startswith("\u2026")
    assert hit.text.endswith("\u2026")
    assert [hit.text[a:b] for a, b in hit.spans] == ["needle\u2019s"]
    for words, marked in {"unbroken": "un- broken", "weekend": "WEEK\u2010END", "week-end": "WEEK\u2010END"}.items():
        assert spots(tmp_path, words) == [marked]
    assert ids(tmp_path, '"broken week end"', exact=True) == []
    assert ids(tmp_path, '"an unbroken week end"', exact=True) == ["long/1/1"]


def test_many_threads_may_read_one_store(store: Path) -> None:
    with open_collection(store) as place, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: [hit.id for hit in query(place, Query(text="moon"))], range(40)))
    assert found == [ids(store, "moon")] * 40


def test_a_store_of_an_earlier_version_is_mended_by_embed(tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path)
    corpus.write_pages("old", [make_page(corpus, "old", 1, 1)])
    embed_corpus(corpus, fake(), tmp_path / "store", options=JobOptions(jobs=1))
    said = ids(tmp_path, "old")
    (file,) = (tmp_path / "store").glob("*/metadata.sqlite")
    with sqlite3.connect(file) as connection:
        connection.executescript(
            "PRAGMA user_version = 0; DROP TABLE panel_words; DROP TABLE page_words; DROP TABLE comic_facts;"
            "CREATE TABLE kept AS SELECT row AS rowid_, text FROM page_text; DROP TABLE page_text;"
            "CREATE VIRTUAL TABLE page_text USING fts5(text); INSERT INTO page_text(rowid, text) SELECT * FROM kept;"
        )
    with pytest.raises(InputError, match="earlier comictool") as error:
        ids(tmp_path, "old")
    assert "comictool embed" in error.value.hint
    assert ask(tmp_path, id="old/1/1", level="page")  # vectors are read all the same
    counter = tmp_path / "counted"
    embed_corpus(corpus, fake(count_in=counter), tmp_path / "store", options=JobOptions(jobs=1))
    assert not counter.exists()
    assert ids(tmp_path, "old") == said


def test_words_that_were_read_later_cost_no_vector(tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path)
    record = make_page(corpus, "late", 1, 1)
    record.texts = []
    corpus.write_pages("late", [record])
    embed_corpus(corpus, fake(), tmp_path / "store", options=JobOptions(jobs=1))
    before = {file.name: file.stat().st_ino for file in (tmp_path / "store").glob("*/panels/image/vectors/c/0/0")}
    record.texts = [Text(id=1, text="read later", panel=1)]
    corpus.write_pages("late", [record])
    corpus.write_comic_facts("late", {"series": "Lateness", "year": 1946})
    counter = tmp_path / "counted"
    embed_corpus(corpus, fake(count_in=counter), tmp_path / "store", options=JobOptions(jobs=1))
    assert not counter.exists()
    assert ids(tmp_path, "later") == ["late/1/1"]
    after = {file.name: file.stat().st_ino for file in (tmp_path / "store").glob("*/panels/image/vectors/c/0/0")}
    assert after == before  # the very same files: nothing but metadata was written
    with open_collection(tmp_path) as place:
        assert isinstance(place, StoreCollection)
        assert place.store.metadata.facts() == {"late": {"series": "Lateness", "year": "1946"}}


def test_a_store_without_text_says_so(tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path)
    record = make_page(corpus, "mute", 1, 1)
    record.texts = []
    corpus.write_pages("mute", [record])
    embed_corpus(corpus, fake(), tmp_path / "store", options=JobOptions(jobs=1))
    with pytest.raises(InputError, match="has text"):
        ask(tmp_path, text="moon")


def test_nothing_heavy_is_imported(store: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from comictool.search.query import Query, query\n"
        f"assert query(Path({str(store)!r}), Query(text='moon'))\n"
        "print(sorted({'torch', 'zarr', 'PIL', 'scipy', 'pandas', 'comictool.plugins.load'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_is_filtered_out_takes_no_place_and_the_best_may_stand_last(tmp_path: Path) -> None:
    """Against a loop: of many texts that say a word the best come first, wherever they stand, within any filter."""
    corpus = Corpus.create(tmp_path / "many")
    said: dict[str, int] = {}
    for comic in ("a", "b"):
        records = []
        for number in range(1, 7):
            record = make_page(corpus, comic, number, 1)
            record.texts = [Text(id=1, text="word " * number + "other " * (12 - number), box=(1, 2, 9, 10))]
            said[f"{record.id}/1"] = number
            records.append(record)
        corpus.write_pages(comic, records)
    embed_corpus(corpus, fake(), tmp_path / "store", options=JobOptions(jobs=1))
    with open_collection(tmp_path / "store") as place:
        assert isinstance(place, StoreCollection)
        metadata = place.store.metadata
        names = [f"{page.comic}/{page.page}/1" for page in metadata.all_pages()]
        for inside in (
            None,
            np.array([name.startswith("b/") for name in names]),
            np.array([n % 2 > 0 for n in range(12)]),
        ):
            expected = sorted(
                (row for row in range(12) if inside is None or inside[row]), key=lambda row: (-said[names[row]], row)
            )
            for most in (3, -1):
                rows = metadata.rows_matching("panel", "word", most=most, inside=inside)
                assert [row for row, _ in rows] == expected[: most if most > 0 else None]
            assert [row for row, _ in metadata.rows_matching("panel", "word", most=2, ranges=[(0, 3), (7, 12)])] == [
                11,
                10,
            ]
