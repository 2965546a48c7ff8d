"""From page records to what a store remembers of pages, with a fingerprint that tells whether vectors still hold."""

from __future__ import annotations

import json
from hashlib import blake2b

from comictool.core.errors import InputError
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import PageRecord
from comictool.search.metadata import PageEntry, PanelEntry

MISSING = "missing"


def entry_of(corpus: Corpus, record: PageRecord) -> PageEntry:
    """The entry of a page, its panels by number."""
    panels = sorted(record.panels, key=lambda panel: panel.id)
    words = _words_by_panel(record)
    return PageEntry(
        comic=record.comic,
        page=record.page,
        fingerprint=fingerprint(corpus, record),
        image=record.image,
        width=record.width,
        height=record.height,
        type=record.type,
        direction=record.direction,
        text="\n".join(text.text for text in record.texts),
        panels=tuple(PanelEntry(p.id, p.box, p.score, "\n".join(words.get(p.id, []))) for p in panels),
    )


def fingerprint(corpus: Corpus, record: PageRecord) -> str:
    """Changes with the picture (its name, size in bytes, time of change) and with the panels.

    The time stands for the content: reading every picture would make each resume as slow as half the job.
    """
    try:
        facts = corpus.image_path(record).stat()
    except (OSError, InputError):
        return MISSING
    boxes = sorted([panel.id, *panel.box] for panel in record.panels)
    values = [record.image, facts.st_size, facts.st_mtime_ns, record.width, record.height, boxes]
    return blake2b(json.dumps(values).encode("utf-8"), digest_size=12).hexdigest()


def _words_by_panel(record: PageRecord) -> dict[int, list[str]]:
    """Text of each panel: that which names the panel, else that whose middle lies in it."""
    words: dict[int, list[str]] = {}
    for text in record.texts:
        panel = text.panel
        if panel is None and text.box is not None:
            x, y = (text.box[0] + text.box[2]) // 2, (text.box[1] + text.box[3]) // 2
            inside = (p.id for p in record.panels if p.box[0] <= x < p.box[2] and p.box[1] <= y < p.box[3])
            panel = next(inside, None)
        if panel is not None:
            words.setdefault(panel, []).append(text.text)
    return words
