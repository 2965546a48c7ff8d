"""A corpus directory: opening it, reading its page records, replacing them atomically.

```
CORPUS/
  corpus.toml                          version, name, reading direction default
  page_images/<comic>/page-<n>.<ext>   as imported; not there for pages that are kept by reference (`page_pictures`)
  annotations/comics/<comic>.json      title, series, number, source, ... one file per comic
  annotations/pages/<comic>.jsonl      one page record a line
```
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from comictool.core.errors import InputError, near_matches
from comictool.core.files import parse_json, read_json, read_lines, read_toml, state_of, write_json, write_text
from comictool.core.jobs import Problem
from comictool.core.names import natural_key
from comictool.core.typed import Check, typed
from comictool.corpus.page_pictures import BY_COPY, BY_REFERENCE, KEEPS, KEPT, MemberPicture, PagePicture
from comictool.corpus.records import DIRECTION, PageRecord, from_json, to_json
from comictool.corpus.views import ComicPages, picture_path

VERSION = 1


@dataclass(frozen=True)
class _Facts:
    """`corpus.toml`."""

    version: int = VERSION
    name: str = ""
    direction: Annotated[str, DIRECTION] = "ltr"
    keep: Annotated[str, Check(KEEPS.__contains__, f"one of {', '.join(KEEPS)}")] = BY_COPY
    extra: dict[str, Any] = field(default_factory=dict)


class Corpus:
    """A folder of comics with their page records. Cheap to open: nothing is read until asked for."""

    format = "corpus"
    problems: tuple[Problem, ...] = ()

    def __init__(self, root: Path, *, name: str, direction: str, keep: str = BY_COPY) -> None:
        self.root = root
        self.name = name
        self.direction = direction
        self.keep = keep
        self._sources: dict[str, tuple[str, Path, bool]] = {}  # state of the facts of a comic, and what they say

    @classmethod
    def open(cls, root: Path) -> Corpus:
        """Open an existing corpus; completes a change of names that was killed half way.

        Raises:
            InputError: there is none, its `corpus.toml` is damaged, or a newer tool wrote it.
        """
        file = root / "corpus.toml"
        if not file.is_file():
            raise InputError(
                f"{root} is not a corpus (it has no corpus.toml)",
                hint=f"comictool data convert {root} CORPUS --to corpus"
                if (root / "annotations").is_dir()
                else f"comictool data import {root} -o CORPUS"
                if root.exists()
                else f"comictool data import COMICS... -o {root}",
            )
        facts = typed(_Facts, read_toml(file), str(file))
        if facts.version > VERSION:
            raise InputError(f"{root} was written by a newer comictool (corpus version {facts.version})")
        from comictool.corpus.journal import refuse_unfinished

        refuse_unfinished(root)  # nobody may see names half changed
        return cls(root, name=facts.name or root.name, direction=facts.direction, keep=facts.keep)

    @classmethod
    def create(cls, root: Path, *, name: str = "", direction: str = "ltr", dry_run: bool = False) -> Corpus:
        """Open the corpus at `root`, making an empty one when there is none (in a dry run: only in memory)."""
        if (root / "corpus.toml").is_file():
            return cls.open(root)
        if root.exists() and not root.is_dir():
            raise InputError(f"{root} is a file, a corpus is a folder")
        title = name or root.resolve().name
        if dry_run:
            return cls(root, name=title, direction=direction)
        root.mkdir(parents=True, exist_ok=True)
        quoted = json.dumps(title, ensure_ascii=False)  # a JSON string is a TOML basic string too
        write_text(root / "corpus.toml", f'version = {VERSION}\nname = {quoted}\ndirection = "{direction}"\n')
        return cls(root, name=title, direction=direction)

    def set_keep(self, keep: str) -> None:
        """Remember in `corpus.toml` how pages are kept that are imported from now on, `copy` or `reference`."""
        if keep != self.keep:
            file = self.root / "corpus.toml"
            others = [line for line in file.read_text("utf-8").splitlines() if line.partition("=")[0].strip() != "keep"]
            told = [] if keep == BY_COPY else [f'keep = "{keep}"']
            write_text(file, "\n".join([*others, *told, ""]))
            self.keep = keep

    def comics(self) -> list[str]:
        """Names of all comics, in natural order."""
        return sorted((f.stem for f in self._records.glob("*.jsonl")), key=natural_key)

    def pages(self, comic: str) -> list[PageRecord]:
        """The page records of one comic, by page number.

        Raises:
            InputError: no such comic (with near names), or a damaged line (with its number).
        """
        file = self.records_file(comic)
        if PurePosixPath(comic).name != comic or not file.is_file():
            raise InputError(f"no comic named {comic!r} in {self.root}", near=near_matches(comic, self.comics()))
        return sorted((read_record(file, *line) for line in read_lines(file)), key=lambda record: record.page)

    def read(self, comic: str) -> ComicPages:
        """The page records of one comic; the native layout has no other problems than errors. Raises like `pages`."""
        return ComicPages(self.pages(comic))

    def annotation_files(self, comic: str) -> list[Path]:
        """The file of a comic's page records."""
        return [self.records_file(comic)]

    def records_file(self, comic: str) -> Path:
        """The file of a comic's page records, which may not be there."""
        return self._records / f"{comic}.jsonl"

    def all_pages(self, comics: Iterable[str] | None = None) -> Iterator[PageRecord]:
        """Every page record, comic by comic; one comic in memory at a time."""
        for comic in self.comics() if comics is None else comics:
            yield from self.pages(comic)

    def write_pages(self, comic: str, records: Iterable[PageRecord]) -> None:
        """Replace the page records of one comic atomically."""
        ordered = sorted(records, key=lambda record: record.page)
        lines = (json.dumps(to_json(r), ensure_ascii=False, separators=(",", ":")) + "\n" for r in ordered)
        write_text(self.records_file(comic), "".join(lines))

    def comic_facts(self, comic: str) -> dict[str, Any]:
        """What is known of a comic as a whole: title, series, number, source...; empty when nothing is."""
        file = self.root / "annotations" / "comics" / f"{comic}.json"
        return typed(dict[str, Any], read_json(file, default={}), str(file))

    def write_comic_facts(self, comic: str, facts: dict[str, Any]) -> None:
        """Replace what is known of a comic as a whole."""
        write_json(self.root / "annotations" / "comics" / f"{comic}.json", facts)

    def image_path(self, record: PageRecord) -> Path:
        """Where the file of a page picture is, or would be if the page was not kept by reference.

        Raises:
            InputError: the record points outside the corpus.
        """
        return picture_path(self.root, record)

    def picture(self, record: PageRecord) -> PagePicture:
        """The picture of a page, wherever it is kept; it may be missing.

        Raises:
            InputError: the record points outside the corpus, or the page is kept by reference to nothing.
        """
        path = self.image_path(record)
        if record.extra.get(KEPT) != BY_REFERENCE:
            return path
        member, digest = record.extra.get("member"), record.extra.get("digest")
        source, nested = self._source_of(record.comic)
        if not isinstance(member, str) or not isinstance(digest, str) or not source.name:
            raise InputError(f"{record.id} is kept by reference, but its facts do not say to what")
        return MemberPicture(source, member, digest, path.name, nested)

    def _source_of(self, comic: str) -> tuple[Path, bool]:
        """The file or folder that a comic was imported from, and whether the folders below belong to it."""
        if PurePosixPath(comic).name != comic:
            return Path(), True
        try:
            state = state_of((self.root / "annotations" / "comics" / f"{comic}.json").stat())
        except (OSError, ValueError):
            state = "missing"
        if self._sources.get(comic, ("",))[0] != state:
            facts = self.comic_facts(comic)
            source = facts.get("source")
            path = Path(source) if isinstance(source, str) and "\0" not in source else Path()
            self._sources[comic] = (state, path, facts.get("nested") is not False)
        return self._sources[comic][1:]

    def jobs_folder(self) -> Path:
        """Where ledgers of jobs over this corpus lie."""
        return self.root / ".jobs"

    @property
    def _records(self) -> Path:
        return self.root / "annotations" / "pages"


def read_record(file: Path, number: int, line: str) -> PageRecord:
    """The page record in a line of a file.

    Raises:
        InputError: it is none; the sentence names file and line.
    """
    where = f"{file} line {number}"
    return from_json(parse_json(line, where), where)
