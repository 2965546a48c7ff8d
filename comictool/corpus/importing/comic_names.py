"""Which name a comic gets in the corpus: stable over re-imports, unique, the same in every shard of a job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

from comictool.core.files import state_of
from comictool.corpus.archives.finding import ComicSource
from comictool.corpus.archives.folder_files import files_below
from comictool.corpus.archives.members import ending
from comictool.corpus.corpus import Corpus
from comictool.corpus.names import safe_component, with_number


def source_id(source: ComicSource) -> str:
    """What identifies a source: its real path. It is remembered in the facts of the comic."""
    return str(source.path.resolve())


def name_comics(sources: Sequence[ComicSource], corpus: Corpus) -> list[str]:
    """A name for each source, in the order of the sources.

    A source that was imported before keeps its name. Otherwise the first of these that nobody has: the suggested
    name; `name_ending` when sources of one name differ in their endings (`plain`, `plain_cbt`); `name_folder` after
    the folder it lies in; `name_2`, `name_3`... Letter case does not make a difference, as on many file systems.
    """
    known, taken = _known_names(corpus)
    wanted = [safe_component(source.name) for source in sources]
    sharing = Counter((name.casefold(), _ending(source)) for name, source in zip(wanted, sources, strict=True))
    names: list[str] = []
    for name, source in zip(wanted, sources, strict=True):
        chosen = known.get(source_id(source), "")
        if not chosen:
            alone = sharing[name.casefold(), _ending(source)] == 1
            chosen = next(c for c in _candidates(name, source, alone) if c.casefold() not in taken)
        taken.add(chosen.casefold())
        names.append(chosen)
    return names


def _known_names(corpus: Corpus) -> tuple[dict[str, str], set[str]]:
    """Names by source, and all names in use. Facts are written before pages, so they alone know of killed imports."""
    known: dict[str, str] = {}
    taken = {name.casefold() for name in corpus.comics()}
    for file in sorted((corpus.root / "annotations" / "comics").glob("*.json")):
        if file.name.startswith("."):
            continue
        taken.add(file.stem.casefold())
        source = corpus.comic_facts(file.stem).get("source")
        if isinstance(source, str):
            known.setdefault(source, file.stem)
    return known, taken


def _candidates(name: str, source: ComicSource, only_one_with_its_ending: bool) -> Iterator[str]:
    yield name
    if only_one_with_its_ending:
        yield safe_component(f"{name}_{_ending(source)}")
    folder = source.path.resolve().parent.name
    if folder:
        yield safe_component(f"{name}_{folder}")
    number = 2
    while True:
        yield with_number(name, number)
        number += 1


def _ending(source: ComicSource) -> str:
    return "folder" if source.kind == "folder" else ending(source.path.name) or source.kind


def fingerprint_of(path: Path, *, nested: bool) -> str:
    """Changes whenever a file, or any file of a folder, changes its size or time of last change.

    Raises:
        OSError: the file is gone or cannot be looked at.
    """
    if not path.is_dir():
        return f"file {state_of(path.stat())}"
    digest = blake2b(digest_size=12)
    for name, status in files_below(path, nested=nested):
        digest.update(f"{name}\0{state_of(status)}\n".encode("utf-8", "surrogateescape"))
    return f"folder {digest.hexdigest()}"
