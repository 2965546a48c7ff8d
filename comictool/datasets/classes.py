"""Labels of whole comics by column, and the file of classes that trainers read (`data classes`).

A label comes from the facts of a comic, which for MAST are its line of metadata.csv.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comictool.core.errors import InputError, near_matches
from comictool.core.files import read_json, remove_left, write_json
from comictool.core.names import natural_key
from comictool.core.typed import typed
from comictool.corpus.journal import refuse_unfinished
from comictool.corpus.views import CorpusView, in_stable_order, original_names


def data_classes(view: CorpusView, *, column: str = "Global Region", output: Path | None = None) -> dict[str, Any]:
    """Write `classification.json`: `comic_to_cls` and `cls_to_label` (label to number, as the published file has it).

    Numbers follow the labels in natural order, so they are the same on every machine. Comics without a label are left
    out.

    Raises:
        InputError: no comic has the column.
    """
    refuse_unfinished(view.root)
    labels = comic_labels(view, column)
    numbers = {label: n for n, label in enumerate(sorted(set(labels.values()), key=natural_key))}
    ordered = in_stable_order(list(labels), original_names(view.root))
    value = {"comic_to_cls": {comic: numbers[labels[comic]] for comic in ordered}, "cls_to_label": numbers}
    file = (output or view.root) / "classification.json"
    remove_left(file)
    write_json(file, value)
    return value


@dataclass(frozen=True)
class Classes:
    """`classification.json`: the number of each comic's class, and of each label."""

    comic_to_cls: dict[str, int]
    cls_to_label: dict[str, int]

    def labels(self) -> dict[str, str]:
        """The label of each comic."""
        names = {number: label for label, number in self.cls_to_label.items()}
        return {comic: names[number] for comic, number in self.comic_to_cls.items()}


def read_classes(file: Path, *, hint: str = "comictool data classes CORPUS --column COLUMN") -> Classes:
    """The classes of comics in a `classification.json`.

    Raises:
        InputError: missing or damaged, or a comic has a class without a label.
    """
    found = typed(Classes, read_json(file, hint=hint), str(file), hint=hint)
    if not set(found.comic_to_cls.values()) <= set(found.cls_to_label.values()):
        raise InputError(f"{file}: a comic has a class without a label", hint=hint)
    return found


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
