"""A corpus directory: opening it, reading its page records, replacing them atomically.

```
CORPUS/
  corpus.toml                          version, name, reading direction default
  page_images/<comic>/page-<n>.<ext>   as imported
  annotations/comics/<comic>.json      title, series, number, source, ... one file per comic
  annotations/pages/<comic>.jsonl      one page record a line
```
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from comictool.core.errors import InputError, near_matches
from comictool.core.files import write_json, write_text
from comictool.corpus.names import natural_key
from comictool.corpus.records import DIRECTIONS, PageRecord, from_json, to_json
from comictool.corpus.views import picture_path

VERSION = 1


class Corpus:
    """A folder of comics with their page records. Cheap to open: nothing is read until asked for."""

    def __init__(self, root: Path, *, name: str, direction: str) -> None:
        self.root = root
        self.name = name
        self.direction = direction

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
                else f"comictool data import COMICS... -o {root}",
            )
        try:
            facts = tomllib.loads(file.read_text("utf-8"))
        except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, a number of thousands of digits, too deep
            raise InputError(f"{file} cannot be read: {error}") from error
        version = facts.get("version", VERSION)
        if not isinstance(version, int) or version > VERSION:
            raise InputError(f"{root} was written by a newer comictool (corpus version {version})")
        direction = facts.get("direction", "ltr")
        if direction not in DIRECTIONS:
            raise InputError(f"{file}: the direction {direction!r:.40} is none of {', '.join(DIRECTIONS)}")
        from comictool.corpus.journal import finish_pending

        finish_pending(root)  # a renaming of comics that was killed half way: nobody may see it so
        return cls(root, name=str(facts.get("name", root.name)), direction=direction)

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

    def comics(self) -> list[str]:
        """Names of all comics, in natural order."""
        return sorted((f.stem for f in self._records.glob("*.jsonl")), key=natural_key)

    def pages(self, comic: str) -> list[PageRecord]:
        """The page records of one comic, by page number.

        Raises:
            InputError: no such comic (with near names), or a damaged line (with its number).
        """
        file = self._records / f"{comic}.jsonl"
        if PurePosixPath(comic).name != comic or not file.is_file():
            raise InputError(f"no comic named {comic!r} in {self.root}", near=near_matches(comic, self.comics()))
        out = []
        # Not splitlines(): a text may hold U+2028, which that takes for the end of a line and JSON does not.
        for number, line in enumerate(_text_of(file).split("\n"), start=1):
            if line.strip():
                try:
                    value = json.loads(line)
                except (ValueError, RecursionError) as error:  # ValueError: also a number of thousands of digits
                    raise InputError(f"{file} line {number} is not JSON") from error
                out.append(from_json(value, f"{file} line {number}"))
        return sorted(out, key=lambda record: record.page)

    def all_pages(self, comics: Iterable[str] | None = None) -> Iterator[PageRecord]:
        """Every page record, comic by comic; one comic in memory at a time."""
        for comic in self.comics() if comics is None else comics:
            yield from self.pages(comic)

    def write_pages(self, comic: str, records: Iterable[PageRecord]) -> None:
        """Replace the page records of one comic atomically."""
        ordered = sorted(records, key=lambda record: record.page)
        lines = (json.dumps(to_json(r), ensure_ascii=False, separators=(",", ":")) + "\n" for r in ordered)
        write_text(self._records / f"{comic}.jsonl", "".join(lines))

    def comic_facts(self, comic: str) -> dict[str, Any]:
        """What is known of a comic as a whole: title, series, number, source...; empty when nothing is."""
        file = self.root / "annotations" / "comics" / f"{comic}.json"
        if not file.is_file():
            return {}
        try:
            value = json.loads(file.read_text("utf-8"))
        except (ValueError, RecursionError) as error:
            raise InputError(f"{file} is not JSON") from error
        return value if isinstance(value, dict) else {}

    def write_comic_facts(self, comic: str, facts: dict[str, Any]) -> None:
        """Replace what is known of a comic as a whole."""
        write_json(self.root / "annotations" / "comics" / f"{comic}.json", facts)

    def image_path(self, record: PageRecord) -> Path:
        """The file of a page picture.

        Raises:
            InputError: the record points outside the corpus.
        """
        return picture_path(self.root, record)

    def jobs_folder(self) -> Path:
        """Where ledgers of jobs over this corpus lie."""
        return self.root / ".jobs"

    @property
    def _records(self) -> Path:
        return self.root / "annotations" / "pages"


def _text_of(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 text (byte {error.start})") from error
