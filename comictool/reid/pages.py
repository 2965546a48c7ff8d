"""Which page a picture was cut from: pictures of one page share light and paper, and often the very drawing."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from comictool.core.errors import InputError
from comictool.corpus.crop_names import is_crop, page_of_file

INDEX = "index.json"
MOST_BYTES = 256 * 1024 * 1024  # of an index


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
    try:
        if index.stat().st_size > MOST_BYTES:
            raise InputError(f"{index} has more than {MOST_BYTES:,} bytes")
        rows = json.loads(index.read_text("utf-8"))
        return {os.path.abspath(index.parent / str(row["file"])): str(row.get("page", "")) for row in rows}
    except OSError as error:
        raise InputError(f"{index} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{index} is not a list of objects with `file` and `page`", hint="move it away") from error
