"""Labels of whole comics by column, and the file of classes that trainers read (`data classes`).

A label comes from the facts of a comic, which for MAST are its line of metadata.csv.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from comictool.core.errors import InputError, near_matches
from comictool.core.files import write_json
from comictool.corpus.journal import finish_pending, remove_left
from comictool.corpus.names import natural_key
from comictool.corpus.views import CorpusView, in_stable_order, original_names


def data_classes(view: CorpusView, *, column: str = "Global Region", output: Path | None = None) -> dict[str, Any]:
    """Write `classification.json`: `comic_to_cls` and `cls_to_label` (label to number, as the published file has it).

    Numbers follow the labels in natural order, so they are the same on every machine. Comics without a label are left
    out.

    Raises:
        InputError: no comic has the column.
    """
    finish_pending(view.root)
    labels = comic_labels(view, column)
    numbers = {label: n for n, label in enumerate(sorted(set(labels.values()), key=natural_key))}
    ordered = in_stable_order(list(labels), original_names(view.root))
    value = {"comic_to_cls": {comic: numbers[labels[comic]] for comic in ordered}, "cls_to_label": numbers}
    file = (output or view.root) / "classification.json"
    remove_left(file)
    write_json(file, value)
    return value


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
