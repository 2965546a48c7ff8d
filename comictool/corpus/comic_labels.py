"""What is known of a comic as a whole, by column: its facts, which for MAST are its line of metadata.csv."""

from __future__ import annotations

from comictool.core.errors import InputError, near_matches
from comictool.corpus.views import CorpusView


def comic_labels(view: CorpusView, column: str) -> dict[str, str]:
    """The value of a column for each comic that has one, in the order of `view.comics()`.

    Letter case of the column does not matter (`Series` and `series` are one).

    Raises:
        InputError: no comic has the column (with near names).
    """
    known: dict[str, None] = {}
    labels: dict[str, str] = {}
    for comic in view.comics():
        facts = view.comic_facts(comic)
        known.update(dict.fromkeys(facts))
        value = next((facts[name] for name in facts if name.casefold() == column.casefold()), None)
        if value is not None and str(value).strip():
            labels[comic] = str(value).strip()
    if not labels:
        raise InputError(f"no comic of {view.root} has a column {column!r}", near=near_matches(column, known))
    return labels
