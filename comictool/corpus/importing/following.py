"""How a corpus follows its comic files: which are the ones it knows, which moved, which are gone.

The facts of a comic remember where it came from and what was in it. The content decides: the same bytes at another
place are the same comic, as long as they are no longer at the old one, and the same bytes with another time of change
have not changed. Contents are read only where path, size and time do not tell.
"""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any

from comictool.archives.finding import ComicSource, place_of
from comictool.archives.folder_files import files_below
from comictool.archives.volumes import volumes_beside
from comictool.core.files import state_of
from comictool.core.workers import cores
from comictool.corpus.corpus import Corpus

Facts = dict[str, Any]
SOURCE, STATE, SEEN, CONTENT, SIZE = "source", "source_state", "source_seen", "source_content", "source_size"


def source_id(source: ComicSource) -> str:
    """What identifies a source until it is moved: its real path. It is remembered in the facts of the comic."""
    return str(place_of(source))


def known_facts(corpus: Corpus) -> dict[str, Facts]:
    """The facts of every comic by name. They are written before pages, so they alone know of killed imports."""
    files = sorted((corpus.root / "annotations" / "comics").glob("*.json"))
    return {file.stem: corpus.comic_facts(file.stem) for file in files if not file.name.startswith(".")}


def state_of_source(source: ComicSource) -> str:
    """Changes whenever a file, any part of an archive in parts, or any file of a folder changes its size or time.

    Raises:
        OSError: the file is gone or cannot be looked at.
    """
    path = source.path
    if source.kind == "link":
        return "link"  # it never counts as finished, and what it leads to is not looked at
    if not path.is_dir():
        return "file " + " ".join(state_of(part.stat()) for part in volumes_beside(path))
    digest = blake2b(digest_size=12)
    for name, status in files_below(path, nested=source.nested):
        digest.update(f"{name}\0{state_of(status)}\n".encode("utf-8", "surrogateescape"))
    return f"folder {digest.hexdigest()}"


def size_of_source(source: ComicSource) -> int:
    """Bytes of a file, or of all files of a folder. Raises OSError."""
    if not source.path.is_dir():
        return sum(part.stat().st_size for part in volumes_beside(source.path))
    return sum(status.st_size for _, status in files_below(source.path, nested=source.nested))


def content_of_source(source: ComicSource) -> str:
    """A digest of the bytes of a file, or of the names and bytes of all files of a folder. Raises OSError."""
    if not source.path.is_dir():
        return "file " + " ".join(_digest(part) for part in volumes_beside(source.path))
    digest = blake2b(digest_size=16)
    for name, _ in files_below(source.path, nested=source.nested):
        digest.update(f"{name}\0{_digest(source.path / name)}\n".encode("utf-8", "surrogateescape"))
    return f"folder {digest.hexdigest()}"


def fingerprints(
    sources: Mapping[str, ComicSource], known: Mapping[str, Facts], corpus: Corpus | None
) -> dict[str, str]:
    """What tells whether a comic is to be imported again: the state in which its file was imported, if it is as it was.

    Args:
        sources: by the name of the comic.
        known: facts by the name of the comic.
        corpus: remembers there that a file has another time of change and the same content; None only looks.
    """
    states: dict[str, str] = {}
    to_read: list[str] = []
    for name, source in sources.items():
        facts = known.get(name, {})
        try:
            state = state_of_source(source)
            states[name] = str(facts[STATE]) if state in (facts.get(STATE), facts.get(SEEN)) else state
            if facts.get(STATE) and states[name] == state != facts[STATE] and size_of_source(source) == facts.get(SIZE):
                to_read.append(name)
        except OSError as error:
            states[name] = f"unreadable: {error.strerror}"  # the worker will report it; it never counts as finished
    for name, content in zip(to_read, _contents([sources[name] for name in to_read]), strict=True):
        facts = known[name]
        if content and content == facts.get(CONTENT):
            if corpus is not None:
                corpus.write_comic_facts(name, {**facts, SEEN: states[name]})
            states[name] = str(facts[STATE])
    return states


def moved_comics(sources: Sequence[ComicSource], known: Mapping[str, Facts]) -> dict[str, str]:
    """Which comic a file is whose path nobody knows: one whose own file is gone and had the same content.

    Returns:
        The name of the comic by `source_id`.
    """
    paths = {facts.get(SOURCE) for facts in known.values()}
    gone: dict[tuple[str, int], list[str]] = defaultdict(list)
    for name, facts in known.items():
        if isinstance(facts.get(CONTENT), str) and isinstance(facts.get(SIZE), int) and is_gone(facts.get(SOURCE)):
            gone[facts[CONTENT].split(" ")[0], facts[SIZE]].append(name)
    candidates = []
    for source in sources if gone else ():
        if source.kind == "link":
            continue
        try:
            key = ("folder" if source.path.is_dir() else "file", size_of_source(source))
        except OSError:
            continue  # reported by the worker
        if source_id(source) not in paths and key in gone:
            candidates.append(source)
    free = {name for names in gone.values() for name in names}
    found: dict[str, str] = {}
    for source, content in zip(candidates, _contents(candidates), strict=True):
        same = [name for name in sorted(free) if content and known[name][CONTENT] == content]
        if same:  # of several equal files that of the same name
            called = source.path.name
            chosen = next((name for name in same if Path(known[name][SOURCE]).name == called), same[0])
            found[source_id(source)] = chosen
            free.discard(chosen)
    return found


def gone_comics(sources: Sequence[ComicSource], paths: Iterable[Path], known: Mapping[str, Facts]) -> list[str]:
    """Comics whose files were below one of the folders looked through, and are there no longer.

    A folder in which nothing at all was found may be one that is not mounted: nothing is gone from there.
    """
    found = [Path(source_id(source)) for source in sources]
    looked = [folder for folder in (path.resolve() for path in paths) if folder.is_dir()]
    alive = [folder for folder in looked if any(file.is_relative_to(folder) for file in found)]
    places = {name: facts[SOURCE] for name, facts in known.items() if isinstance(facts.get(SOURCE), str)}
    return [
        name
        for name, place in places.items()
        if any(Path(place).is_relative_to(folder) for folder in alive)
        and is_gone(place)
        and not _on_lost_mount(place, alive)
    ]


def is_gone(place: object) -> bool:
    """Whether nothing is at a path. A place that cannot be looked at is not gone."""
    if not isinstance(place, str) or "\0" in place:
        return False
    try:
        os.lstat(place)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _on_lost_mount(place: str, folders: Sequence[Path]) -> bool:
    """Whether the nearest folder left, below those looked through, is empty, as a mount point without its disk."""
    parent = next(folder for folder in Path(place).parents if folder.is_dir())
    try:
        return parent not in folders and not any(parent.iterdir())
    except OSError:
        return True


def forget_comics(corpus: Corpus, names: Iterable[str]) -> None:
    """Remove comics from a corpus: records, then pictures, then facts, so that a kill leaves what is still known."""
    for name in names:
        corpus.records_file(name).unlink(missing_ok=True)
        folder = corpus.root / "page_images" / name
        if folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder)
        (corpus.root / "annotations" / "comics" / f"{name}.json").unlink(missing_ok=True)


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return file_digest(stream, lambda: blake2b(digest_size=16)).hexdigest()


def _contents(sources: Sequence[ComicSource]) -> list[str]:
    """The contents of many sources, read by several threads; empty where one cannot be read."""

    def content(source: ComicSource) -> str:
        try:
            return content_of_source(source)
        except OSError:
            return ""

    with ThreadPoolExecutor(cores()) as pool:
        return list(pool.map(content, sources))
