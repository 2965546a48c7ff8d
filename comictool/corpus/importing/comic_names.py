"""Which name a comic gets in the corpus: stable over re-imports, unique, the same in every shard of a job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from comictool.archives.finding import ComicSource, place_of
from comictool.archives.members import ending
from comictool.core.names import safe_component, with_number
from comictool.corpus.corpus import Corpus
from comictool.corpus.importing.following import SOURCE, Facts, source_id


def name_comics(
    sources: Sequence[ComicSource], corpus: Corpus, facts: Mapping[str, Facts], moved: Mapping[str, str]
) -> list[str]:
    """A name for each source, in the order of the sources.

    A source that was imported before keeps its name, wherever it was moved (`facts` by name, `moved` by
    `source_id`). Otherwise the first of these that nobody has: the suggested
    name; `name_ending` when sources of one name differ in their endings (`plain`, `plain_cbt`); `name_folder` after
    the folder it lies in; `name_2`, `name_3`... Letter case does not make a difference, as on many file systems.
    """
    known = {place: name for name, told in reversed(list(facts.items())) if isinstance(place := told.get(SOURCE), str)}
    known.update(moved)
    taken = {name.casefold() for name in (*corpus.comics(), *facts)}
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


def _candidates(name: str, source: ComicSource, only_one_with_its_ending: bool) -> Iterator[str]:
    yield name
    if only_one_with_its_ending:
        yield safe_component(f"{name}_{_ending(source)}")
    folder = place_of(source).parent.name
    if folder:
        yield safe_component(f"{name}_{folder}")
    number = 2
    while True:
        yield with_number(name, number)
        number += 1


def _ending(source: ComicSource) -> str:
    return "folder" if source.kind == "folder" else ending(source.path.name) or source.kind
