"""One comic, checked page by page in a worker: what has to be written lies in a staging folder afterwards."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from comictool.archives.comicinfo import ComicInfo
from comictool.archives.finding import ComicSource
from comictool.archives.folder_files import why_not_followed
from comictool.archives.limits import Limits
from comictool.archives.members import printable
from comictool.archives.opening import ComicArchive, open_comic
from comictool.core.errors import ComicError, InputError, SetupError
from comictool.core.files import write_bytes
from comictool.corpus.corpus import Corpus
from comictool.corpus.importing.following import content_of_source, size_of_source
from comictool.corpus.importing.page_files import page_file
from comictool.corpus.page_pictures import picture_digest

MOST_PROBLEMS = 200  # lines kept for one comic; a damaged archive of 5,000 pages says the same 5,000 times


@dataclass(frozen=True)
class ImportTask:
    """What a worker needs for one comic."""

    source: ComicSource
    comic: str
    corpus: Path
    staging: Path
    password: str | None
    limits: Limits
    trust_files: bool  # whether a page that is in the corpus already need not be written again
    text_books: bool = False
    by_reference: bool = False  # whether pages stay in the comic file, where they can

    @property
    def pictures(self) -> Path:
        """Where the pages of the comic lie in the corpus."""
        return self.corpus / "page_images" / self.comic


@dataclass(frozen=True)
class StagedPage:
    """One good page. `staged` is False when the file in the corpus is the same already, or stays in the comic file.

    `rims` are those of `PageFile`.
    """

    page: int
    file: str
    width: int
    height: int
    digest: str
    member: str
    type: str | None
    staged: bool
    referred: bool = False
    rims: bytes = b""


@dataclass
class StagedComic:
    """What a worker hands back: small facts, while the pictures wait in the staging folder."""

    kind: str
    info: ComicInfo | None
    member_count: int
    content: str = ""
    size: int = 0
    singly: bool = True
    pages: list[StagedPage] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def stage_comic(task: ImportTask) -> StagedComic:
    """Check all pages of a comic and put the new and changed ones into the staging folder.

    Raises:
        InputError: not a single page can be read.
        SetupError: a program that unpacks this kind of file is missing.
    """
    if task.staging.is_dir():
        shutil.rmtree(task.staging)  # this very item was begun before, by a worker that died
    try:
        return _staged(task)
    except ComicError as error:
        shutil.rmtree(task.staging, ignore_errors=True)
        kind = SetupError if isinstance(error, SetupError) else InputError
        raise kind(f"{task.source.path}: {error.fact}", cause=error.cause, hint=error.hint) from error


def _staged(task: ImportTask) -> StagedComic:
    path = task.source.path
    if task.source.kind == "link":
        raise InputError(why_not_followed(path))
    before = _digests(task) if task.trust_files else {}
    with open_comic(
        path,
        task.password,
        nested=task.source.nested,
        scratch=task.staging / "unpacked",
        limits=task.limits,
        text_books=task.text_books,
    ) as comic:
        try:
            content, size = content_of_source(task.source), size_of_source(task.source)
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}") from error
        singly = comic.reads_singly and task.password is None
        result = StagedComic(comic.kind, comic.comic_info, len(comic.members), content, size, singly)
        result.problems.extend(f"{path}: {line}" for line in comic.problems)
        types = comic.comic_info.page_types if comic.comic_info else {}
        reasons: list[tuple[str, str]] = []  # member, why
        for index in range(len(comic.members)):
            try:
                page, note = _staged_page(task, comic, index, types.get(index), before, task.by_reference and singly)
            except InputError as error:
                reasons.append((printable(comic.members[index].name), error.fact))
                result.problems.append(f"{path}!{': '.join(reasons[-1])}")
                continue
            if note:
                result.problems.append(f"{path}!{printable(page.member)}: {note}")
            result.pages.append(page)
    if not result.pages:
        raise InputError(_nothing_readable(reasons))
    if len(result.problems) > MOST_PROBLEMS:
        more = len(result.problems) - MOST_PROBLEMS
        result.problems = [*result.problems[:MOST_PROBLEMS], f"{path}: and {more} more problems like these"]
    return result


def _staged_page(
    task: ImportTask, comic: ComicArchive, index: int, kind: str | None, before: dict[str, str], refer: bool
) -> tuple[StagedPage, str]:
    member = comic.members[index]
    found = comic.read(member)
    stored = page_file(found)
    # The number is the place among all pages, so a bad page leaves a hole and the others keep their names.
    number = index + 1
    name = f"page-{number}.{stored.ending}"
    digest = picture_digest(stored.data)
    facts = number, name, stored.width, stored.height, digest, printable(member.name), kind
    if refer and stored.data == found:
        page = StagedPage(*facts, staged=False, referred=True, rims=stored.rims)
        return page, "; ".join(filter(None, (comic.note(member), stored.note)))
    # The file itself is asked as well: an import that was killed may have left another picture under the old record.
    fresh = before.get(name) != digest or picture_digest((task.pictures / name).read_bytes()) != digest
    if fresh:
        write_bytes(task.staging / name, stored.data)
    page = StagedPage(*facts, staged=fresh, rims=stored.rims)
    return page, "; ".join(filter(None, (comic.note(member), stored.note)))


def _nothing_readable(reasons: list[tuple[str, str]]) -> str:
    if len(reasons) == 1:
        return f"its only page cannot be read ({': '.join(reasons[0])})"
    if len({why for _, why in reasons}) == 1:
        return f"none of its {len(reasons)} pages can be read ({reasons[0][1]})"
    return f"none of its {len(reasons)} pages can be read (first {': '.join(reasons[0])})"


def _digests(task: ImportTask) -> dict[str, str]:
    """File name to digest of the pages that are in the corpus already, as their records say."""
    corpus = Corpus.open(task.corpus)
    try:
        records = corpus.pages(task.comic)
    except InputError:
        return {}  # not imported yet, or its records are damaged: then all is written anew
    out = {}
    for record in records:
        name = Path(record.image).name
        if (task.pictures / name).is_file():
            out[name] = str(record.extra.get("digest", ""))
    return out
