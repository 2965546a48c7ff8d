"""Texts of a page that an engine read (`data text`), and how alike two readings of the same lettering are."""

from __future__ import annotations

from difflib import SequenceMatcher
from unicodedata import normalize

from comictool.corpus.annotating import FOUND_BY
from comictool.corpus.records import PageRecord, Text

READING = "text"  # the stage that reads words
_COMPARED = 200  # letters; more of a text are not looked at


def read_texts(record: PageRecord) -> list[Text]:
    """The texts with words that an engine read, by the notes of its run: `rapidocr` of `rapidocr@2+...`.

    Those of annotations and of persons have another source or none. A service that reads whole pages calls itself
    `vlm:MODEL` in texts and `MODEL PROMPT` in the note.
    """
    notes = [run for run in record.runs if run.get("stage") == READING]
    models = [str(run.get(key, "")) for run in notes for key in ("model", FOUND_BY)]
    return [text for text in record.texts if text.text and text.source and _is_of(text.source, models)]


def _is_of(source: str, models: list[str]) -> bool:
    service = source.removeprefix("vlm:")
    return any(
        model.startswith(f"{source}@") or (service != source and model.startswith(f"{service} ")) for model in models
    )


def likeness(one: str, other: str) -> float:
    """How alike two readings are, 0..1, whatever their case, spaces and punctuation.

    Twice the letters in common, in order, by those of both: `difflib.SequenceMatcher.ratio`.
    """
    matcher = SequenceMatcher(None, _letters(one), _letters(other), autojunk=False)
    return matcher.ratio()


def _letters(text: str) -> str:
    folded = normalize("NFKC", text[: 2 * _COMPARED]).casefold()
    return ("".join(letter for letter in folded if letter.isalnum()) or "".join(folded.split()))[:_COMPARED]
