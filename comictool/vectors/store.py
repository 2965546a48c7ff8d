"""The store: columns of vectors of a corpus, and what they are of, in one folder that is a zarr v3 group.

```
STORE/
  zarr.json                  the group; its attributes say which columns, of which corpus, in which contents
  contents-000001/           rows that never change
    pages/ids                `comic/page`
    pages/panel_offsets      (pages + 1): the panels of page p are the rows offsets[p] to offsets[p + 1]
    pages/character_offsets  the same for characters
    panels/ids               `comic/page/panel`
    panels/page_row          which row of `pages` each panel is on
    panels/box               x0, y0, x1, y1 in page pixels
    characters/...           the same three; ids are `comic/page/panel/identity`
    metadata.sqlite          comics, pages, panels, characters, fingerprints, splits, text (FTS5)
    pages/image/             a column: `vectors` (pages * views, D) and `state` (pages,), 1 where there is a vector
    panels/image/            `vectors` (panels, D), `state` (panels,)
    panels/sequence/
  .work/                     ledger and unpublished parts of a job (`comictool.vectors.parts`)
```
Whatever is published never changes. A new column over the same rows is a new folder beside the others; other rows are
new contents, into which columns whose rows stayed the same are hard-linked. Either becomes current when `zarr.json` is
replaced, in one step: a reader or a kill at any moment meets the old store or the new one, never a mixture.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from comictool import __version__
from comictool.core.errors import InputError
from comictool.core.files import is_inside, write_json
from comictool.core.typed import Check, text, typed
from comictool.vectors.columns import DTYPES, PRESENT, Column
from comictool.vectors.metadata import Metadata
from comictool.vectors.rows import RowArray, read_header, read_states

FORMAT = "comictool store"
VERSION = 2
GROUPS = {"page": "pages", "panel": "panels", "character": "characters"}
CONTENTS = "contents-"
NESTED = "store"  # a library keeps its store in a folder of this name
MAX_COLUMNS = 64
_FEW = Check(lambda found: len(found) <= MAX_COLUMNS, f"at most {MAX_COLUMNS} columns")
_SHARE = Check(lambda found: 1 <= found[0] <= found[1], "a share i of n")


@dataclass(frozen=True)
class Head:
    """The root of a store, as its `zarr.json` has it.

    Attributes:
        columns: in order of level and modality.
        current: the folder of the current contents; empty: none yet.
        digest: of everything that the rows are; changes whenever a row does.
        corpus: the folder of the corpus, relative to the store, so that a library can be moved as a whole.
        corpus_before: the same as an absolute path, for when the store alone was moved.
        shard: which share of the corpus the store holds, `(i, n)`; `(1, 1)` is all of it.
    """

    format: Literal["comictool store"] = "comictool store"
    version: int = VERSION
    tool_version: str = __version__
    columns: Annotated[tuple[Column, ...], _FEW] = ()
    current: Annotated[str, text(30, pattern=r"(contents-\d{1,9})?", must="a folder of contents")] = ""
    digest: str = ""
    corpus: str = ""
    corpus_before: str = ""
    shard: Annotated[tuple[int, int], _SHARE] = (1, 1)

    def column(self, name: str) -> Column | None:
        """The column `level/modality`."""
        return next((column for column in self.columns if column.name == name), None)

    def of_corpus(self, corpus: Path, root: Path) -> Head:
        """The same for a corpus that lies here, and a store there."""
        try:
            nearby = Path(os.path.relpath(corpus.resolve(), root.resolve())).as_posix()
        except ValueError:  # different drives
            nearby = ""
        return replace(self, corpus=nearby, corpus_before=str(corpus.resolve()))


def _towards_a_store(root: Path) -> str:
    """The command that leads from what is there to vectors."""
    from comictool.formats.registry import detect_format

    found = detect_format(root)
    if found is None:
        return f"comictool index {root} -o LIBRARY"
    return (
        f"comictool embed {root} -o STORE"
        if found.read is None
        else f"comictool data convert {root} CORPUS --to corpus"
    )


def read_head(root: Path) -> Head:
    """Read the root of a store.

    Raises:
        InputError: no store, damaged, or written by an older or newer tool.
    """
    file = root / "zarr.json"
    if not file.is_file():
        if not root.exists():
            raise InputError(f"{root} does not exist")
        raise InputError(f"{root} is not a store of vectors", hint=_towards_a_store(root))
    attributes = read_header(file, "group").get("attributes")
    if not isinstance(attributes, dict) or attributes.get("format") != FORMAT:
        raise InputError(f"{root} is a zarr group, but not a comictool store")
    version = attributes.get("version")
    if version != VERSION:
        if type(version) is int and version < VERSION:
            corpus = attributes.get("corpus")
            named = corpus if isinstance(corpus, str) and corpus.isprintable() else "CORPUS"
            raise InputError(
                f"{root} is a store of the older layout {version}",
                hint=f"rm -r {root}, then: comictool embed {named} -o {root}",
            )
        raise InputError(f"{root} was written by a newer comictool (store version {version})")
    return typed(Head, attributes, f"the store is damaged: {file}")


def write_head(root: Path, head: Head) -> None:
    """Replace the root of a store in one step."""
    columns = [column.to_json() for column in head.columns]
    attributes = {**vars(head), "columns": columns, "shard": list(head.shard), "tool_version": __version__}
    header = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    write_json(root / "zarr.json", header, durable=True)


@dataclass
class OpenColumn:
    """A column of an open store: `rows` has `len(column.views)` vectors for each state."""

    column: Column
    rows: RowArray
    states: np.ndarray
    present: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.present = self.states == PRESENT

    def vectors(self, numbers: Sequence[int] | np.ndarray) -> np.ndarray:
        """`(n * views, D)` vectors of rows by number, in the stored type."""
        views = len(self.column.views)
        return self.rows.take((np.asarray(numbers, np.int64)[:, None] * views + np.arange(views)).ravel())


class Store:
    """The current contents of a store, opened for reading; use as a context manager.

    Once open it keeps reading the same contents even if a job publishes new ones meanwhile.
    """

    def __init__(self, root: Path, head: Head) -> None:
        self.root = root
        self.head = head
        self.metadata = Metadata(root / head.current / "metadata.sqlite")
        try:
            self.counts = self.metadata.counts()
            self.columns = {column.name: self._open(column) for column in head.columns}
        except BaseException:
            self.metadata.close()
            raise

    @classmethod
    def open(cls, root: Path) -> Store:
        """Open a store.

        Raises:
            InputError: no store, nothing published in it yet, damaged, or foreign.
        """
        head = read_head(root)
        while True:
            if not head.current:
                raise InputError(
                    f"{root} has no finished contents yet", hint="run the same comictool embed command to its end"
                )
            try:
                return cls(root, head)
            except InputError:
                # A job may have published and removed what we were about to open.
                latest = read_head(root)
                if latest.current == head.current and latest.columns == head.columns:
                    raise
                head = latest

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.metadata.close()

    @cached_property
    def corpus(self) -> Path:
        """Where the corpus lies now: beside the store as it was, else where it was."""
        before, nearby = Path(self.head.corpus_before), self.root / self.head.corpus
        return nearby.resolve() if self.head.corpus and (nearby.exists() or not before.exists()) else before

    def foreign_corpus(self) -> Path | None:
        """The corpus when the store does not lie in it: a folder that only the store names, not the user.

        Raises:
            InputError: what it names is there and is no corpus, so nothing in it is any of our business.
        """
        folder = self.corpus
        if folder.exists() and not is_corpus(folder):
            raise InputError(
                f"{self.root} says that its corpus is {folder}, which is none",
                cause="no picture is read from there",
                hint=f"comictool embed CORPUS -o {self.root}",
            )
        return None if is_inside(self.root, folder) else folder

    def _open(self, column: Column) -> OpenColumn:
        folder = self.root / column.folder
        if not column.folder.startswith(f"{self.head.current}/{GROUPS[column.level]}/"):
            raise InputError(f"the store is damaged: the column {column.name} lies in {column.folder!r}")
        rows = self.counts[column.level]
        array = RowArray(folder / "vectors")
        if array.dimension != column.dimension or array.stored != DTYPES[column.dtype]:
            raise InputError(f"the store is damaged: {folder} does not have the type that the store declares")
        if array.rows != rows * len(column.views):
            raise InputError(
                f"the store is damaged: {array.rows} vectors for {rows} rows of {column.level}s",
                hint=f"comictool embed CORPUS -o {self.root} --resume never",
            )
        return OpenColumn(column, array, read_states(folder / "state", rows))


def next_contents(root: Path) -> Path:
    """A folder name for new contents, after all that exist."""
    numbers = [int(p.name[len(CONTENTS) :]) for p in root.glob(f"{CONTENTS}*") if _is_contents(p.name)]
    return root / f"{CONTENTS}{max(numbers, default=0) + 1:06d}"


def next_column(root: Path, contents: str, column: Column) -> str:
    """A folder name for a new column in contents, relative to the store."""
    stem = f"{contents}/{GROUPS[column.level]}/{column.modality}"
    number = 1
    while (root / (name := stem if number == 1 else f"{stem}-{number}")).exists():
        number += 1
    return name


def remove_unused(root: Path, head: Head) -> None:
    """Delete contents and columns that are not current: older ones, and what a killed job left half-written."""
    for folder in root.glob(f"{CONTENTS}*"):
        if _is_contents(folder.name) and folder.name != head.current:
            shutil.rmtree(folder, ignore_errors=True)  # a reader on Windows may hold it; the next run tries again
    used = {column.folder for column in head.columns}
    for folder in root.glob(f"{head.current}/*/*/state") if head.current else ():
        if folder.parent.relative_to(root).as_posix() not in used:
            shutil.rmtree(folder.parent, ignore_errors=True)


def refuse_strangers(root: Path) -> None:
    """Refuse to make a store of a folder that holds something else; what a killed run left is ours.

    Raises:
        InputError: it does, or it is a file.
    """
    names = [path.name for path in root.iterdir()] if root.is_dir() else []
    if root.is_file() or any(not name.startswith(".") and not _is_contents(name) for name in names):
        raise InputError(f"{root} exists and is not a store", hint="choose another -o, it will be made")


def _is_contents(name: str) -> bool:
    return name.startswith(CONTENTS) and name[len(CONTENTS) :].isascii() and name[len(CONTENTS) :].isdigit()


def is_corpus(folder: Path) -> bool:
    """Whether a folder holds a corpus, in whichever format."""
    from comictool.formats.registry import detect_format

    return (folder / "corpus.toml").is_file() or detect_format(folder) is not None


def store_at(root: Path) -> Path:
    """The store at a path: itself, or the one inside a library."""
    nested = root / NESTED
    return nested if not (root / "zarr.json").is_file() and (nested / "zarr.json").is_file() else root
