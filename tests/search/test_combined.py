"""Filters, several questions at once, groups of duplicates and counts, against explicit loops over the records."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from comictool.core.errors import InputError, UsageError
from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import Character, PageRecord, Text
from comictool.search.facets import Count, facets
from comictool.search.filters import parse_filters
from comictool.search.query import Query, query
from comictool.vectors.collection import StoreCollection, open_collection
from comictool.vectors.columns import PRESENT, Column
from comictool.vectors.published import write_column
from tests.vectors.fakes import ask, embed_corpus, fake, make_page

FACTS = {
    "early": {"series": "Science Comics", "year": 1946},
    "late": {"series": "Alarming Tales", "year": 1957},
    "other": {},
}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three comics of four pages of two panels; every other panel says something."""
    root = tmp_path_factory.mktemp("combined")
    corpus = Corpus.create(root)
    for comic, facts in FACTS.items():
        records = []
        for number in range(1, 5):
            record = make_page(corpus, comic, number, 2 if number < 4 else 1)
            record.type = "cover" if number == 1 else "story"
            record.direction = "rtl" if comic == "late" else "ltr"
            record.texts = [Text(1, f"rocket number{number} of {comic}", panel=1)] if number % 2 else []
            record.characters = [Character(n, (1, 1, 9, 9), 1, identity=name) for n, name in _cast(number)]
            records.append(record)
        corpus.write_pages(comic, records)
        corpus.write_comic_facts(comic, facts)
    embed_corpus(corpus, fake(), root / "store", options=JobOptions(jobs=1), levels=("page", "panel", "character"))
    return root


def _cast(number: int) -> list[tuple[int, str]]:
    return {1: [(1, "Ann")], 2: [(1, "Ann"), (2, "Bob")]}.get(number, [])


def pages(library: Path, *filters: str) -> set[str]:
    hits = ask(library, id="other/4", level="page", k=99, filters=filters)
    return {hit.id for hit in hits}


def records(library: Path) -> list[PageRecord]:
    return [record for record in Corpus.open(library).all_pages() if record.id != "other/4"]


@pytest.mark.parametrize(
    ("typed", "holds"),
    [
        ("type=story", lambda r: r.type == "story"),
        ("type!=story", lambda r: r.type != "story"),
        ("direction=rtl", lambda r: r.direction == "rtl"),
        ("comic=*A*", lambda r: "a" in r.comic),
        ("comic=early,late", lambda r: r.comic in ("early", "late")),
        ("series=Science Comics", lambda r: r.comic == "early"),
        ('series="science*" type=story', lambda r: r.comic == "early" and r.type == "story"),
        ("year=1946..1950", lambda r: r.comic == "early"),
        ("year>1946", lambda r: r.comic == "late"),
        ("year=..1957", lambda r: r.comic in ("early", "late")),
        ("panels>=2", lambda r: len(r.panels) >= 2),
        ("panels<2", lambda r: len(r.panels) < 2),
        ("page=2..3", lambda r: r.page in (2, 3)),
        ("characters>=2", lambda r: len(r.characters) >= 2),
        ("characters=0", lambda r: not r.characters),
        ("character=ann", lambda r: any(c.identity == "Ann" for c in r.characters)),
        ("text=yes", lambda r: bool(r.texts)),
        ("text=no page>1", lambda r: not r.texts and r.page > 1),
    ],
)
def test_filters_are_what_a_loop_over_the_records_finds(library: Path, typed: str, holds: object) -> None:
    assert pages(library, typed) == {record.id for record in records(library) if holds(record)}  # type: ignore[operator]


def test_filters_of_panels_and_words(library: Path) -> None:
    found = ask(library, id="other/4", level="panel", k=99, filters=("character=Bob",))
    assert {hit.id for hit in found} == {f"{comic}/2/1" for comic in FACTS}
    assert {hit.id for hit in ask(library, text="rocket", k=99, filters=("type=story", "year=1957"))} == {"late/3/1"}
    assert ask(library, text="rocket", filters=("page=2",)) == []
    every = {hit.id for hit in ask(library, id="other/4/1", level="character", k=99, filters=("character=Bob",))}
    assert every == {f"{comic}/2/1/Bob" for comic in FACTS}


@pytest.mark.parametrize(
    ("typed", "near"),
    [("typ=story", "type"), ("story", ""), ("year=old", ""), ("type>story", ""), ("text=maybe", ""), ("type=", "")],
)
def test_wrong_filters_are_usage_errors(typed: str, near: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_filters([typed])
    assert not near or near in error.value.near


def test_values_that_nothing_has_are_told_with_near_ones(library: Path) -> None:
    with pytest.raises(InputError) as error:
        pages(library, "series=Sience Comics")
    assert error.value.near == ["Science Comics"]
    with pytest.raises(InputError, match="no comic"):
        pages(library, "publisher=Ace")


def test_several_questions_are_added_as_their_formula_says(library: Path) -> None:
    hits = ask(library, id="early/2/1", text="early", k=99, weights=(("id", 2.0),))
    cosines = {hit.id: hit.score for hit in ask(library, id="early/2/1", k=99)}
    with open_collection(library) as place:
        column = place.columns["panel/image"]
        own = place.find("early/2/1")[1]
        every = (column.rows.read(0, column.rows.rows) @ column.rows.read(own, own + 1)[0]).astype(np.float64)
    middle = np.median(every)
    spread = 1.4826 * np.median(np.abs(every - middle))
    texts = {f"{r.id}/1": r.texts[0].text for r in Corpus.open(library).all_pages() if r.texts}
    for hit in hits:
        z = (cosines[hit.id] - middle) / spread
        assert hit.why["id"]["z"] == pytest.approx(z, abs=0.05)
        if hit.id in texts:
            words = hit.why["text"]["z"]
            assert (words > 0) == ("early" in texts[hit.id])
            assert hit.score == pytest.approx((2 * z + words) / math.sqrt(5), abs=0.1)
        else:  # without text nothing is counted, neither for nor against
            assert "text" not in hit.why
            assert hit.score == pytest.approx(z, abs=0.05)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert "early/2/1" not in {hit.id for hit in hits}
    said = next(hit for hit in hits if hit.id == "early/3/1")
    assert [said.text[a:b] for a, b in said.spans] == ["early"]


def test_weights_are_of_what_is_asked() -> None:
    with pytest.raises(UsageError, match="not asked"):
        Query(id="a/1", weights=(("image", 1.0),))
    with pytest.raises(UsageError, match="above 0"):
        Query(id="a/1", weights=(("id", 0.0),))


def test_pages_that_show_the_same_are_one_answer(library: Path, tmp_path: Path) -> None:
    report = tmp_path / "same.json"
    groups = [{"kind": "hash", "score": 1.0, "pages": ["early/2", "late/2", "gone/7"]}]
    report.write_text(json.dumps({"groups": groups, "comic_groups": []}), "utf-8")
    options = {"group_by": "duplicates", "duplicates": report, "k": 99}
    found = [hit.id for hit in ask(library, id="other/4", level="page", **options)]
    assert len({"early/2", "late/2"} & set(found)) == 1
    assert len(found) == len(records(library)) - 1
    panels = [hit.id for hit in ask(library, id="other/4/1", **options)]
    for number in (1, 2):
        assert len({f"early/2/{number}", f"late/2/{number}"} & set(panels)) == 1
    with pytest.raises(InputError, match="does not exist") as error:
        ask(library, id="other/4", group_by="duplicates")
    assert "data dedupe" in error.value.hint


def test_comics_as_answers(library: Path) -> None:
    hits = ask(library, text="rocket", level="comic")
    assert {hit.id for hit in hits} == set(FACTS)
    assert all(hit.page and hit.comic == hit.id for hit in hits)


def test_counts_are_of_what_may_be_answers(library: Path) -> None:
    with open_collection(library) as place:
        found = facets(place, Query(text="rocket"))
        assert found["comic"] == [Count("early", 2), Count("late", 2), Count("other", 2)]
        assert found["year"] == [Count("1946", 2), Count("1957", 2)]
        assert found["type"] == [Count("cover", 3), Count("story", 3)]
        assert found["character"] == [Count("Ann", 3)]
        found = facets(place, Query(id="other/4", level="page", filters=("year=1946",)))
        assert found["series"] == [Count("Science Comics", 4)]
        assert found["character"] == [Count("Ann", 2), Count("Bob", 1)]


class Alphabet:
    """Counts letters; what a text encoder is to a query."""

    encoder_id = "letters@1"

    def embed_texts(self, texts: list[str]) -> np.ndarray:
        rows = np.array([[text.count(chr(97 + n)) + 1e-3 for n in range(26)] for text in texts], np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_words_that_are_meant_are_asked_of_the_column_of_texts(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_collection(library) as place:
        assert isinstance(place, StoreCollection)
        root, texts = place.root, dict(place.store.metadata.texts("panel", 0, 99))
        names = [(id.split("/")[0], crop.name) for id, _, crop in place.store.metadata.all_crops("panel")]
    column = Column("panel", "text", Alphabet.encoder_id, 26, "float32", encoder={"plugin": "letters"})
    said = [(names[row][0], [names[row][1]], Alphabet().embed_texts([text])) for row, text in texts.items()]
    write_column(root, column, said)
    monkeypatch.setattr("comictool.plugins.load.load_model", lambda spec, kind: Alphabet())
    hits = ask(library, semantic="number3 of late", k=99)
    assert hits[0].comic == "late"
    assert len(hits) == len(texts)
    both = query(library, Query(semantic="number3 of late", id="early/2/1"))
    assert set(both[0].why) <= {"semantic", "id"}
    with open_collection(library) as place:
        assert (place.columns["panel/text"].present.sum(), PRESENT) == (len(texts), 1)
