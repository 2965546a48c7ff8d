"""New names in every file that mentions comics: CSV tables, page records, JSON files, packs, ledgers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

from comictool.core.files import parse_json, read_json, read_lines
from comictool.core.ledger import read_entries
from comictool.core.names import same_name
from comictool.corpus.journal import Staging
from comictool.datasets.classes import read_classes
from comictool.datasets.csv_tables import Row, read_rows, rewrite_table
from comictool.datasets.packs.layout import read_index
from comictool.datasets.packs.renaming import rename_comics
from comictool.datasets.splitting.folders import read_manifest

METADATA = "annotations/metadata.csv"
NAME, DIRECTORY = "Document Name", "Document Directory"  # of a MAST export
TITLE = "Title Norm"  # the column that normalising adds to metadata.csv
# Columns that hold a comic's name, and columns that begin with one followed by the separator given here.
NAME_COLUMNS = ("document", "comic")
PREFIX_COLUMNS = {"character": "_", "panel_id": "/"}
# Columns and JSON keys that hold a path in the corpus, such as page_images/<comic>/page-1.jpg.
PATH_KEYS = ("image", "file", "path", "depth", "file_name", "page_image_path")


HINT = "the names in it cannot be changed: mend it, or move it away"

Stage: TypeAlias = "Callable[[Staging, str, Renaming], None]"


class Renaming:
    """New names of comics by old name, however accents are encoded; unknown names stay as they are.

    Args:
        names: by the name under which the corpus opens, which is the name of the folder too.
        titles: by what `Document Name` holds, which need not be possible as a folder.
    """

    def __init__(self, names: Mapping[str, str], titles: Mapping[str, str]) -> None:
        self.names = {same_name(old): new for old, new in names.items()}
        self.titles = {same_name(old): new for old, new in titles.items()}

    def name(self, text: str) -> str:
        """The new name of a comic; blanks around it do not matter."""
        return self.names.get(same_name(text), text)

    def title(self, text: str) -> str:
        """The new contents of a cell of `Document Name`."""
        return self.titles.get(same_name(text), text)

    def prefix(self, text: str, separator: str) -> str:
        """Text that begins with a name: the longest known one, for names may contain the separator."""
        end = len(text)
        while (end := text.rfind(separator, 0, end)) > 0:
            if same_name(text[:end]) in self.names:
                return self.name(text[:end]) + text[end:]
        return text

    def path(self, text: str) -> str:
        """A relative path, `page_images/<comic>/page-1.jpg` or (in COCO) `<comic>/1.jpg`."""
        parts = text.split("/")
        at = 1 if len(parts) > 2 and same_name(parts[1]) in self.names else 0
        return "/".join([*parts[:at], self.name(parts[at]), *parts[at + 1 :]]) if len(parts) > 1 else text

    def values(self, value: Any, key: str = "") -> Any:
        """JSON with new names under `comic` and `document` and new paths under the keys of paths."""
        if isinstance(value, dict):
            return {k: self.values(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [self.values(v, key) for v in value]
        if isinstance(value, str) and key in NAME_COLUMNS:
            return self.name(value)
        if isinstance(value, str) and key in PATH_KEYS:
            return self.path(value)
        return value


def stage_table(staging: Staging, file: str, renaming: Renaming) -> None:
    """New names in a CSV file, by its columns."""

    def make(header: Row) -> tuple[Row, Callable[[Row], Row]]:
        columns = {index: title.strip() for index, title in enumerate(header)}

        return header, lambda row: _row(columns, row, renaming)

    with staging.replacing(file) as stream:
        changed = rewrite_table(staging.root / file, stream, make)
    if not changed:
        staging.change.replacements.pop()


def _row(columns: Mapping[int, str], row: Row, renaming: Renaming) -> Row:
    comic = next((text for index, text in enumerate(row) if columns.get(index) in ("document", "comic")), "")
    return [_cell(columns.get(index, ""), text, comic, renaming) for index, text in enumerate(row)]


def _cell(column: str, text: str, comic: str, renaming: Renaming) -> str:
    if column in (NAME, TITLE):
        return renaming.title(text)
    if column in NAME_COLUMNS:
        return renaming.name(text)
    if column in PREFIX_COLUMNS:
        separator = PREFIX_COLUMNS[column]
        # The row says which comic it is of; the text alone may be read in two ways (a_b_1: 1 of a_b, or b_1 of a).
        if comic and text.startswith(comic + separator):
            return renaming.name(comic) + text[len(comic) :]
        return renaming.prefix(text, separator)
    return renaming.path(text) if column in PATH_KEYS else text


def stage_titles(staging: Staging, renaming: Renaming, *, remove: bool) -> bool:
    """Add the column `Title Norm` to metadata.csv, or remove it again; True when it is ours to remove later.

    A comic that panels.csv does not mention gets an empty cell (the published script stops there).
    """
    file = staging.root / METADATA
    if not file.is_file():
        return False
    comic_of = directories(staging.root)
    added = False

    def make(header: Row) -> tuple[Row, Callable[[Row], Row]]:
        nonlocal added
        columns = {index: title.strip() for index, title in enumerate(header)}
        titles = list(columns.values())
        if remove and TITLE in titles:
            at = titles.index(TITLE)
            return header[:at] + header[at + 1 :], lambda row: _row(columns, row, renaming)[:at] + row[at + 1 :]
        if remove or DIRECTORY not in titles:
            return header, lambda row: _row(columns, row, renaming)
        directory, width = titles.index(DIRECTORY), len(header)
        added = TITLE not in titles
        at = width if added else titles.index(TITLE)

        def change(row: Row) -> Row:
            comic = comic_of.get(row[directory].strip() if directory < len(row) else "", "")
            full = [*_row(columns, row, renaming), *[""] * (at - len(row))]
            return [*full[:at], renaming.title(comic) or "".join(full[at : at + 1]), *full[at + 1 :]]

        return ([*header, TITLE] if added else header), change

    with staging.replacing(METADATA) as stream:
        changed = rewrite_table(file, stream, make)
    if not changed:
        staging.change.replacements.pop()
    return added


def stage_records(staging: Staging, renaming: Renaming) -> None:
    """Page records and comic facts under their new names."""
    for folder, suffix in (("annotations/pages", ".jsonl"), ("annotations/comics", ".json")):
        for file in sorted((staging.root / folder).glob(f"*{suffix}")):
            new = renaming.name(file.stem)
            if new == file.stem:
                continue
            staging.change.renames.append((folder, file.name, new + suffix))
            with staging.replacing(f"{folder}/{new}{suffix}") as stream:
                if suffix == ".jsonl":
                    for number, line in read_lines(file):
                        stream.write(_line(renaming.values(parse_json(line, f"{file} line {number}", hint=HINT))))
                else:
                    value = renaming.values(read_json(file, hint=HINT))
                    stream.write((json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode("utf-8"))


def stage_manifest(staging: Staging, file: str, renaming: Renaming) -> None:
    """`splits.json`: comics or pages of each split, groups of duplicates, folders."""
    value = read_manifest(staging.root) or {}
    pages = value["by"] == "page"
    value["splits"] = {
        split: [renaming.prefix(m, "/") if pages else renaming.name(m) for m in members]
        for split, members in value["splits"].items()
    }
    value["groups"] = [[renaming.name(comic) for comic in group] for group in value.get("groups", [])]
    _stage_json(staging, file, value)


def stage_classes(staging: Staging, file: str, renaming: Renaming) -> None:
    """`classification.json`: the comics are keys."""
    found = read_classes(staging.root / file)
    comics = {renaming.name(comic): number for comic, number in found.comic_to_cls.items()}
    _stage_json(staging, file, {"comic_to_cls": comics, "cls_to_label": found.cls_to_label})


def stage_json(staging: Staging, file: str, renaming: Renaming) -> None:
    """Any other JSON file in the annotations: names and paths by their keys."""
    _stage_json(staging, file, renaming.values(read_json(staging.root / file, hint=HINT)))


def stage_pack(staging: Staging, file: str, renaming: Renaming) -> None:
    """A pack and its index. The pack is copied, so that a kill cannot hurt it."""
    index = file.removesuffix(".hdf5") + "_indexing.json"
    group, comics = read_index(staging.root / file)
    names = {comic: renaming.name(comic) for comic in comics}
    if all(comic == name for comic, name in names.items()):
        return
    with staging.replacing_path(file) as path:
        shutil.copyfile(staging.root / file, path)
        rename_comics(path, names)
    renamed = {group: {names[comic]: entries for comic, entries in comics.items()}}
    _stage_json(staging, index, renamed, indent=None)


def stage_ledger(staging: Staging, file: str, renaming: Renaming) -> None:
    """A ledger of exported pages, whose keys are `<comic>/<page>`, so that finished pages stay finished."""
    lines, changed = [], False
    for entry in read_entries(staging.root / file):
        old, entry.key = entry.key, renaming.prefix(entry.key, "/")
        entry.problems = [(renaming.prefix(item, "/"), message) for item, message in entry.problems]
        changed |= entry.key != old
        lines.append(_line(asdict(entry)))
    if changed:
        with staging.replacing(file) as stream:
            stream.writelines(lines)


def directories(root: Path) -> dict[str, str]:
    """`Document Directory` to `Document Name`, as panels.csv joins them; the first name of a directory counts."""
    file = root / "annotations" / "panels.csv"
    joined: dict[str, str] = {}
    if file.is_file():
        for row in read_rows(file, needed=(NAME,)):
            if row.get(DIRECTORY, "").strip():
                joined.setdefault(row[DIRECTORY].strip(), row[NAME].strip())
    return joined


def _stage_json(staging: Staging, file: str, value: Any, *, indent: int | None = 2) -> None:
    if value == read_json(staging.root / file, hint=HINT):
        return
    with staging.replacing(file) as stream:
        stream.write((json.dumps(value, ensure_ascii=False, indent=indent) + "\n").encode("utf-8"))


def _line(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n").encode("utf-8")
