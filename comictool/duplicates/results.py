"""What a search for duplicates found, as plain values and as a JSON file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from comictool.core.files import read_json, write_json
from comictool.core.jobs import JobReport
from comictool.core.typed import typed

# From the strongest evidence to the weakest; a group is called after its weakest link.
KINDS = ("file", "pixels", "hash", "embedding")
SPREAD = "spread"
METHODS = ("exact", "hash", "embedding", "all")


class Link(NamedTuple):
    """Two pages, by place in the table of fingerprints, that show the same. `kind` is one of `KINDS`; score 0..1."""

    first: int
    second: int
    kind: str
    score: float


def link_of(one: int, other: int, kind: str, score: float) -> Link:
    """A link with its pages in order."""
    return Link(min(one, other), max(one, other), kind, score)


@dataclass
class PageGroup:
    """Pages that show the same page, in the order of the corpus.

    Attributes:
        kind: `file` the same bytes, `pixels` the same picture in another file, `hash` the same drawing,
            `embedding` alike for an encoder, `spread` a double page and its halves as single pages.
        score: of the weakest link, 0..1.
        pages: ids; of a spread the double page first, then left and right as far as they were found.
        evidence: the links that hold the group together.
    """

    kind: str
    score: float
    pages: list[str]
    evidence: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class PageRun:
    """Neighbouring pages of one comic that another has in the same order: first and last page number in each."""

    a: tuple[int, int]
    b: tuple[int, int]
    pages: int


@dataclass
class BookOverlap:
    """Two comics that share runs of pages. Shares are of the pages that are not near-empty, 0..1.

    `relation`: `same`, `inside` (nearly all of `a` lies in `b`: an issue in a collected edition), or `overlap`.
    """

    a: str
    b: str
    relation: str
    pages: int
    share_of_a: float
    share_of_b: float
    runs: list[PageRun]


@dataclass
class DuplicateReport:
    """All findings. `near_empty` pages are in no group; `notices` say what the findings leave out."""

    groups: list[PageGroup]
    books: list[BookOverlap]
    job: JobReport
    near_empty: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def copies(self) -> int:
        """Pages that another page of their group makes superfluous; spreads are not counted."""
        return sum(len(group.pages) - 1 for group in self.groups if group.kind != SPREAD)

    def comic_groups(self) -> list[tuple[str, ...]]:
        """Comics that share runs of pages, joined: what a split must keep on one side. Sorted within and among groups.

        Single pages do not join comics: the same advertisement would join half a library.
        """
        parent: dict[str, str] = {}

        def root(comic: str) -> str:
            while parent.setdefault(comic, comic) != comic:
                parent[comic] = parent[parent[comic]]
                comic = parent[comic]
            return comic

        for book in self.books:
            parent[root(book.b)] = root(book.a)
        joined: dict[str, list[str]] = {}
        for comic in sorted(parent):
            joined.setdefault(root(comic), []).append(comic)
        return sorted(tuple(comics) for comics in joined.values())

    def as_record(self) -> dict[str, Any]:
        """Plain values: `groups`, `books`, `comic_groups`, `near_empty`, `notices`, `settings`."""
        books = []
        for book in self.books:
            record = asdict(book)
            record["runs"] = [{"a": list(run.a), "b": list(run.b), "pages": run.pages} for run in book.runs]
            books.append(record)
        return {
            "groups": [asdict(group) for group in self.groups],
            "books": books,
            "comic_groups": [list(group) for group in self.comic_groups()],
            "near_empty": self.near_empty,
            "notices": self.notices,
            "settings": self.settings,
        }


@dataclass(frozen=True)
class _Groups:
    comic_groups: list[list[str]]
    extra: dict[str, Any] = field(default_factory=dict)


def read_comic_groups(path: Path) -> tuple[tuple[str, ...], ...]:
    """The `comic_groups` of a report that `write_report` wrote.

    Raises:
        InputError: the file is missing, damaged, or no such report.
    """
    hint = f"comictool data dedupe CORPUS -o {path}"
    groups = typed(_Groups, read_json(path, hint=hint), f"the report of duplicates {path}", hint=hint).comic_groups
    return tuple(tuple(group) for group in groups)


@dataclass(frozen=True)
class _PageGroup:
    pages: list[str]
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _PageGroups:
    groups: list[_PageGroup]
    extra: dict[str, Any] = field(default_factory=dict)


def read_groups(path: Path) -> list[list[str]]:
    """The pages of each group of a report that `write_report` wrote.

    Raises:
        InputError: the file is missing, damaged, or no such report.
    """
    hint = f"comictool data dedupe CORPUS -o {path}"
    found = typed(_PageGroups, read_json(path, hint=hint), f"the report of duplicates {path}", hint=hint)
    return [group.pages for group in found.groups]


def write_report(report: DuplicateReport, path: Path) -> None:
    """Write the findings as JSON, in one step."""
    write_json(path, report.as_record())
