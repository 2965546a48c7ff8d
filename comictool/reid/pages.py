"""Which page a picture was cut from: pictures of one page share light and paper, and often the very drawing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from comictool.core.errors import InputError
from comictool.core.files import read_json
from comictool.core.typed import Check, typed
from comictool.corpus.crop_names import is_crop, page_of_file

INDEX = "index.json"


@dataclass(frozen=True)
class _Row:
    file: Annotated[str, Check(lambda name: "\0" not in name, "a file name")]
    page: str | int = ""
    extra: dict[str, Any] = field(default_factory=dict)


def pages_of(paths: Sequence[Path]) -> list[str]:
    """The page each picture was cut from, as far as its place says; empty where nothing does.

    Known from an `index.json` (as for `comictool.reid.labelled.read_labelled`) in the picture's folder or the one
    above, else from names that `comictool data export characters` writes, `<page>_<panel>_<identity>.jpg`, in a folder
    for each comic. Such an index was not necessarily meant for this: one that cannot be read says nothing.
    """
    indices: dict[str, dict[str, str]] = {}
    pages = []
    for path in paths:
        own = str(path.absolute())
        parent, name = os.path.split(own)
        page = ""
        for folder in (parent, os.path.dirname(parent)):
            if folder not in indices:
                indices[folder] = _index_beside(folder)
            if page := indices[folder].get(own, ""):
                page = f"{folder}/{page}"
                break
        if not page and is_crop(name) and os.path.splitext(name)[0].count("_") > 1:
            page = f"{parent}/{page_of_file(name)}"
        pages.append(page)
    return pages


def _index_beside(folder: str) -> dict[str, str]:
    index = Path(folder, INDEX)
    try:
        return pages_by_index(index) if index.is_file() else {}
    except InputError:
        return {}


def pages_by_index(index: Path) -> dict[str, str]:
    """Pages by absolute path of picture, from a list of objects with `file` and `page`.

    Raises:
        InputError: unreadable, or no such list.
    """
    rows = typed(list[_Row], read_json(index), str(index), hint="move it away")
    return {os.path.abspath(index.parent / row.file): str(row.page) for row in rows}
