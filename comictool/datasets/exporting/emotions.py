"""Valence and arousal as the published index has them: classes 1 to 5, -1 where unknown."""

from __future__ import annotations

from dataclasses import dataclass

from comictool.corpus.records import Character

MISSING = -1


@dataclass(frozen=True)
class Emotion:
    """Valence class 1..5 (negative to positive) and arousal as annotated."""

    valence: int = MISSING
    arousal: int = MISSING


def emotion_of(character: Character) -> Emotion:
    """The emotion of a character: records hold both in -1..1, five equal steps of which are the classes.

    An arousal that was annotated outside 1..5 stands in the record as `arousal_note`; the index has it as it was.
    """
    note = character.extra.get("arousal_note")
    arousal = note if isinstance(note, int) else _class(character.arousal)
    return Emotion(_class(character.valence), arousal)


def _class(value: float | None) -> int:
    if value is None:
        return MISSING
    from comictool.formats.mast_csv import class_of  # only with emotions: every run that cuts characters comes here

    return class_of(value)
