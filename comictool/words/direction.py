"""Which way a comic is read, from its words: lettering in columns is read from right to left, as in manga.

Files of manga mostly say nothing of it. Only a comic whose direction nobody told is judged: neither the person who
imported it, nor its own description, nor its shape.
"""

from __future__ import annotations

from collections.abc import Iterable

from comictool.corpus.corpus import Corpus
from comictool.corpus.records import DIRECTION_BY, PageRecord, Text

COLUMNS = "vertical"  # in a text that was read from columns
ENOUGH = 8  # texts of two letters or more, before a comic is judged


def follow_columns(corpus: Corpus) -> list[str]:
    """Comics that are read from right to left from now on: more than half of their texts stand in columns.

    Each comic is judged once. Panels and texts are still counted as before: `panels.job.detect_corpus` and
    `words.job.read_corpus` count those of the turned comics anew.
    """
    turned = []
    for comic in corpus.comics():
        facts = corpus.comic_facts(comic)
        if facts.get(DIRECTION_BY) != "default":
            continue
        records = corpus.pages(comic)
        judged = in_columns(records)
        if judged is None:
            continue
        if judged and facts.get("direction") == "ltr":
            for record in records:
                record.direction = "rtl"
            corpus.write_pages(comic, records)
            facts["direction"] = "rtl"
            turned.append(comic)
        corpus.write_comic_facts(comic, {**facts, DIRECTION_BY: "words"})
    return turned


def in_columns(records: Iterable[PageRecord]) -> bool | None:
    """Whether more than half of the texts stand in columns; None with fewer than eight texts of two letters."""
    texts: list[Text] = [text for record in records for text in record.texts if len(text.text) > 1]
    if len(texts) < ENOUGH:
        return None
    return 2 * sum(bool(text.extra.get(COLUMNS)) for text in texts) > len(texts)
