"""What a corpus holds, in numbers: one record for the whole and one row for each comic."""

from __future__ import annotations

from collections import Counter
from typing import Any

from comictool.archives.members import ending
from comictool.core.errors import InputError
from comictool.corpus.page_pictures import BY_REFERENCE, KEPT, is_there
from comictool.corpus.records import PageRecord
from comictool.corpus.views import CorpusView
from comictool.formats.view import ForeignCorpus


def info(corpus: CorpusView) -> dict[str, Any]:
    """Count what a corpus holds. One comic is in memory at a time; pictures are not opened.

    Returns:
        `name`, `format`, totals (`comics`, `pages`, `panels`, `characters`, `identities`, `texts`, `segments`), counts
        by page type, direction, kind of text and picture format, the smallest, middle and largest page side
        (`sizes`, pixels), `lettering`: how many pages have words, and of those the smallest, middle and largest count
        of words and of letters a page (words are what spaces part; of Japanese the letters say more), `stages` that
        wrote into the records, `rows`: the totals of each comic with its title, and
        `problems`: what its reader could not make sense of. `notes` say what was done to fit boxes to pictures.
    """
    totals: Counter[str] = Counter()
    types: Counter[str] = Counter()
    directions: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    pictures: Counter[str] = Counter()
    stages: Counter[str] = Counter()
    words: Counter[int] = Counter()
    letters: Counter[int] = Counter()
    widths: Counter[int] = Counter()
    heights: Counter[int] = Counter()
    rows: list[dict[str, Any]] = []
    problems = list(corpus.problems)
    referred = 0
    for comic in corpus.comics():
        read = corpus.read(comic)
        pages = read.pages
        problems += read.problems
        counts = _counts(pages)
        facts = corpus.comic_facts(comic)
        rows.append(
            {
                "comic": comic,
                "title": str(facts.get("title", "")),
                **counts,
                "direction": "/".join(sorted({page.direction for page in pages})),
            }
        )
        totals.update(counts)
        for page in pages:
            types[page.type] += 1
            directions[page.direction] += 1
            referred += page.extra.get(KEPT) == BY_REFERENCE
            kinds.update(text.kind for text in page.texts)
            pictures[ending(page.image) or "none" if _is_there(corpus, page) else "not there"] += 1
            stages.update({str(run.get("stage", "?")) for run in page.runs if isinstance(run, dict)})
            if said := [word for text in page.texts for word in text.text.split()]:
                words[len(said)] += 1
                letters[sum(map(len, said))] += 1
            widths[page.width] += 1
            heights[page.height] += 1
    return {
        "name": corpus.name,
        "format": corpus.format,
        "comics": len(rows),
        **{name: totals[name] for name in ("pages", "panels", "characters", "identities", "texts", "segments")},
        "types": _by_count(types),
        "directions": _by_count(directions),
        "text_kinds": _by_count(kinds),
        "lettering": {
            "pages_with_words": words.total(),
            "pages_without": totals["pages"] - words.total(),
            "words_a_page": _spread(words),
            "letters_a_page": _spread(letters),
        },
        "pictures": _by_count(pictures),
        "pages_by_reference": referred,
        "sizes": {"width": _spread(widths), "height": _spread(heights)},
        "stages": _by_count(stages),
        "rows": rows,
        "notes": corpus.notes() if isinstance(corpus, ForeignCorpus) else [],
        "problems": [{"item": problem.key, "reason": problem.message} for problem in problems],
    }


def _is_there(corpus: CorpusView, page: PageRecord) -> bool:
    try:
        return is_there(corpus.picture(page))
    except InputError:
        return False


def _counts(pages: list[PageRecord]) -> dict[str, int]:
    identities = {c.identity for page in pages for c in page.characters if c.identity is not None}
    return {
        "pages": len(pages),
        "panels": sum(len(page.panels) for page in pages),
        "characters": sum(len(page.characters) for page in pages),
        "identities": len(identities),
        "texts": sum(len(page.texts) for page in pages),
        "segments": sum(len(page.segments) for page in pages),
    }


def _by_count(counts: Counter[str]) -> dict[str, int]:
    """Most frequent first, names in order among equals."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _spread(counts: Counter[int]) -> dict[str, int]:
    """Smallest, middle (lower median) and largest of counted values; empty for none."""
    if not counts:
        return {}
    half, seen = (counts.total() + 1) // 2, 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= half:
            return {"smallest": min(counts), "middle": value, "largest": max(counts)}
    raise AssertionError("half of all values is reached before their end")
