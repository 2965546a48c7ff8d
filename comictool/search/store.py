"""The store: vectors and metadata of a corpus in one folder that is a zarr v3 group.

```
STORE/
  zarr.json                  the group; its attributes say which encoder, which settings, which contents are current
  contents-000001/           one complete, immutable version of everything
    panels/image             (panels, D) vectors, one row for each real panel; more arrays beside it for more modalities
    panels/ids               `comic/page/panel`
    panels/page_row          which row of `pages` each panel is on
    panels/box               x0, y0, x1, y1 in page pixels
    pages/image              (pages * views, D) vectors, the views of a page one after the other
    pages/ids                `comic/page`
    pages/panel_offsets      (pages + 1): the panels of page p are the rows offsets[p] to offsets[p + 1]
    metadata.sqlite          comics, pages, panels, fingerprints of what is embedded, text (FTS5)
  .work/                     ledger and unpublished parts of a job (`comictool.search.parts`)
```
New contents are written beside the old ones and become current when `zarr.json` is replaced, in one step: a reader or a
kill at any moment meets the old contents or the new ones, never a mixture.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from comictool import __version__
from comictool.core.errors import InputError
from comictool.core.files import is_inside, write_json
from comictool.search.metadata import Metadata
from comictool.search.shards import DTYPES, MAX_DIMENSION, RowArray, read_header

FORMAT = "comictool store"
VERSION = 1
LEVELS = ("panel", "page")
FOLDERS = {"panel": "panels", "page": "pages"}
MODALITY = "image"  # the one that exists; text, layout and fused will be arrays of their names beside it
CONTENTS = "contents-"


@dataclass(frozen=True)
class StoreSettings:
    """What all vectors of a store have in common.

    Attributes:
        identity: of the encoder: plugin, version, hash of its weights, hash of its preprocessing.
        dimension: numbers in a vector.
        dtype: how they are stored, `float16` or `float32`.
        levels: what has vectors, of `panel` and `page`.
        views: the parts of a page that have a vector each, as `[x0, y0, x1, y1]` fractions of its sides.
        plugin: how to find the encoder again, as plain values (see `comictool.search.encoders`).
        corpus: absolute folder of the corpus when the store was written.
        corpus_nearby: the same relative to the store, so that a library can be moved as a whole.
        shard: which share of the corpus the store holds, `(i, n)`; `(1, 1)` is all of it.
    """

    identity: str
    dimension: int
    dtype: str = "float16"
    levels: tuple[str, ...] = LEVELS
    views: tuple[tuple[float, float, float, float], ...] = ((0.0, 0.0, 1.0, 1.0),)
    plugin: Mapping[str, Any] = field(default_factory=dict)
    corpus: str = ""
    corpus_nearby: str = ""
    shard: tuple[int, int] = (1, 1)

    def deciding(self) -> dict[str, Any]:
        """The settings that decide the numbers; vectors that differ in one of them do not go together."""
        return {
            "identity": self.identity,
            "dimension": self.dimension,
            "dtype": self.dtype,
            "levels": list(self.levels),
            "views": [list(view) for view in self.views],
        }


@dataclass(frozen=True)
class StoreHead:
    """The root of a store: settings, the folder of the current contents (empty: none yet) and their digest."""

    settings: StoreSettings
    current: str = ""
    digest: str = ""


def read_head(root: Path) -> StoreHead:
    """Read the root of a store.

    Raises:
        InputError: no store, damaged, or written by a newer tool.
    """
    if not (root / "zarr.json").is_file():
        if not root.exists():
            raise InputError(f"{root} does not exist")
        raise InputError(f"{root} is not a store of vectors", hint=f"comictool embed CORPUS -o {root}")
    attributes = read_header(root / "zarr.json", "group").get("attributes")
    if not isinstance(attributes, dict) or attributes.get("format") != FORMAT:
        raise InputError(f"{root} is a zarr group, but not a comictool store")
    version = attributes.get("version")
    if type(version) is not int or version > VERSION:
        raise InputError(f"{root} was written by a newer comictool (store version {version})")
    try:
        encoder = attributes["modalities"][MODALITY]
        settings = StoreSettings(
            identity=_text(encoder["identity"]),
            dimension=encoder["dimension"],
            dtype=_text(encoder["dtype"]),
            levels=tuple(_text(level) for level in attributes["levels"]),
            views=tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in encoder["views"]),
            plugin=dict(encoder["plugin"]),
            corpus=_text(attributes["corpus"]),
            corpus_nearby=_text(attributes["corpus_nearby"]),
            shard=_shard(attributes.get("shard", [1, 1])),
        )
        head = StoreHead(settings, _text(attributes["current"]), _text(attributes["digest"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"the store is damaged: {root / 'zarr.json'}: {type(error).__name__}: {error}") from error
    known = settings.dtype in DTYPES and settings.views and set(settings.levels) <= set(LEVELS) and settings.levels
    sane = type(settings.dimension) is int and 1 <= settings.dimension <= MAX_DIMENSION
    if not known or not sane or (head.current and not _is_contents(head.current)):
        raise InputError(f"the store is damaged: {root / 'zarr.json'} holds impossible settings")
    return head


def write_head(root: Path, head: StoreHead) -> None:
    """Replace the root of a store in one step."""
    settings = head.settings
    encoder = {**settings.deciding(), "plugin": dict(settings.plugin)}
    encoder.pop("levels")
    attributes = {
        "format": FORMAT,
        "version": VERSION,
        "tool_version": __version__,
        "current": head.current,
        "digest": head.digest,
        "levels": list(settings.levels),
        "modalities": {MODALITY: encoder},
        "corpus": settings.corpus,
        "corpus_nearby": settings.corpus_nearby,
        "shard": list(settings.shard),
    }
    header = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    write_json(root / "zarr.json", header, durable=True)


class Store:
    """The current contents of a store, opened for reading; use as a context manager.

    Once open it goes on reading the same contents even if a job publishes new ones meanwhile.
    """

    def __init__(self, root: Path, head: StoreHead) -> None:
        self.root = root
        self.settings = head.settings
        self.contents = root / head.current
        self.metadata = Metadata(self.contents / "metadata.sqlite")
        try:
            self.vectors = {level: self._open(level) for level in self.settings.levels}
            _, pages, panels = self.metadata.counts()
            for level, rows in (("panel", panels), ("page", pages * len(self.settings.views))):
                if level in self.vectors and self.vectors[level].rows != rows:
                    raise InputError(
                        f"the store is damaged: {self.vectors[level].rows} vectors for {rows} rows of {level}s",
                        hint=f"comictool embed CORPUS -o {root} --resume never",
                    )
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
                if latest.current == head.current:
                    raise
                head = latest

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.metadata.close()

    def corpus_folder(self) -> Path:
        """Where the corpus lies now: beside the store as it was, else where it was, or was said to be."""
        return self._corpus

    @cached_property
    def _corpus(self) -> Path:
        told, nearby = Path(self.settings.corpus), self.root / self.settings.corpus_nearby
        places = [nearby.resolve(), told] if self.settings.corpus_nearby else [told]
        return next((place for place in places if is_corpus(place)), told)

    def picture(self, image: str) -> Path:
        """Where the picture of a page lies, which its entry names relative to the corpus; it may be gone by now.

        Raises:
            InputError: outside the corpus, which a store made by this program never says.
        """
        folder = self.corpus_folder()
        if not is_inside(folder / image, folder):
            raise InputError(f"the store is damaged: its picture {image!r:.200} lies outside the corpus {folder}")
        return folder / image

    def foreign_corpus(self) -> Path | None:
        """The corpus when the store does not lie in it: a folder that only the store names, not the user.

        Raises:
            InputError: what it names is there and is no corpus, so nothing in it is any of our business.
        """
        folder = self.corpus_folder()
        if folder.exists() and not is_corpus(folder):
            raise InputError(
                f"{self.root} says that its corpus is {folder}, which is none",
                cause="no picture is read from there",
                hint=f"comictool embed CORPUS -o {self.root}",
            )
        return None if is_inside(self.root, folder) else folder

    def _open(self, level: str) -> RowArray:
        array = RowArray(self.contents / FOLDERS[level] / MODALITY)
        if array.dimension != self.settings.dimension or array.dtype != DTYPES[self.settings.dtype]:
            raise InputError(f"the store is damaged: {array.folder} does not have the type that the store declares")
        return array


def next_contents(root: Path) -> Path:
    """A folder name for new contents, after all that exist."""
    numbers = [int(p.name[len(CONTENTS) :]) for p in root.glob(f"{CONTENTS}*") if _is_contents(p.name)]
    return root / f"{CONTENTS}{max(numbers, default=0) + 1:06d}"


def remove_other_contents(root: Path, current: str) -> None:
    """Delete contents that are not current: older ones, and what a killed job left half-written."""
    for folder in root.glob(f"{CONTENTS}*"):
        if _is_contents(folder.name) and folder.name != current:
            shutil.rmtree(folder, ignore_errors=True)  # a reader on Windows may hold it; the next run tries again


def _is_contents(name: str) -> bool:
    return name.startswith(CONTENTS) and name[len(CONTENTS) :].isascii() and name[len(CONTENTS) :].isdigit()


def is_corpus(folder: Path) -> bool:
    """Whether a folder holds a corpus."""
    return (folder / "corpus.toml").is_file()


def _shard(value: Any) -> tuple[int, int]:
    index, count = value
    if type(index) is not int or type(count) is not int or not 1 <= index <= count:
        raise ValueError(f"impossible shard {value!r:.40}")
    return index, count


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {type(value).__name__}")
    return value
