"""Queries by words: what is found against explicit loops, in which order, and what may be typed."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from comictool.core.errors import InputError, UsageError
from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import Text
from comictool.search.text_query import parse_words
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
    assert ask(store, text="\u6708")[0].score == 2
    assert ids(store, "\u884c\u304d") == ["sea/2/2"]
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
        "-moon",
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


@pytest.mark.parametrize("words", ["", "  ", "!?", '""', "*"])
def test_no_word_is_a_usage_error(words: str) -> None:
    with pytest.raises(UsageError, match="no word"):
        parse_words(words)


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
