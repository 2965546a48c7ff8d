"""What a place holds, page by page: what a store will say of each, and the picture whose parts get vectors.

A place is a corpus in any layout, a pack of pictures, or a folder of crops. Its records are read and its pictures
stat()ed once, here, whatever a run does with them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from comictool.core.errors import InputError
from comictool.core.files import state_of
from comictool.core.jobs import Problem
from comictool.core.names import natural_key
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import Box, PageRecord
from comictool.corpus.views import CorpusView
from comictool.datasets.splitting.folders import SPLITS, members, read_manifest
from comictool.vectors.metadata import ComicFacts, CropEntry, PageEntry, kept_facts
from comictool.vectors.pictures import CHARACTER, PAGE, PANEL, Part, Picture
from comictool.vectors.sources import Wanted, crops_at, page_picture, records_of

_NAME = re.compile(r"(\d{1,9})_(\d{1,9})(?:_(.*))?", re.DOTALL)

Target = tuple[str, int]  # the level of a part, and its number among those of the page: a view, panel or character


@dataclass(slots=True)
class SourcePage:
    """A page, and the pictures that its vectors come from, each with what its parts are."""

    entry: PageEntry
    pictures: list[tuple[Picture, list[Target]]]


class ComicState(NamedTuple):
    """The name of a comic, and what changes whenever the file of its records does; empty when nothing tells.

    `facts` are what is known of it, as a store keeps them.
    """

    comic: str
    state: str
    facts: ComicFacts = MappingProxyType({})


Unchanged = Callable[[str], bool]
"""Whether a comic need not be read; asked after its state was given."""


@dataclass
class Place:
    """Where vectors come from.

    Attributes:
        root: the corpus, the pack or the folder of crops.
        levels: of a pack or folder, what its pictures are; None for a corpus, which can have any.
        problems: what belongs to no page; filled while the pages are read.
        splits: the names of the splits that it has; empty when it was never split.
    """

    root: Path
    levels: tuple[str, ...] | None
    splits: tuple[str, ...]
    _pages: Callable[[Wanted, list[Problem], Unchanged], Iterator[SourcePage | ComicState]]
    problems: list[Problem] = field(default_factory=list)

    def pages(self, wanted: Wanted) -> Iterator[SourcePage]:
        """Every page in natural order of comics, one comic in memory at a time."""
        found = self.pages_and_states(wanted, lambda comic: False)
        return (page for page in found if isinstance(page, SourcePage))

    def pages_and_states(self, wanted: Wanted, unchanged: Unchanged) -> Iterator[SourcePage | ComicState]:
        """The same; before the pages of each comic comes its state, and where that is unchanged they do not come."""
        self.problems.clear()
        return self._pages(wanted, self.problems, unchanged)


def open_place(source: Path | CorpusView) -> Place:
    """Find out what a path is; no record is read yet.

    Args:
        source: an open corpus; or a path: a corpus in any layout that `data convert` reads, a pack
            `<split>_images.hdf5`, or a folder `panel_images` or `<split>_images` that holds a folder for each comic.

    Raises:
        InputError: none of these.
    """
    if isinstance(source, Path):
        if not source.exists():
            raise InputError(f"{source} does not exist")
        if (source.is_file() and source.suffix == ".hdf5") or (source.is_dir() and source.name.endswith("_images")):
            return _crops(source)
        from comictool.formats.registry import open_any

        source = open_any(source)
    return _corpus(source)


def _corpus(view: CorpusView) -> Place:
    manifest = read_manifest(view.root)
    names = tuple(name for name in SPLITS if manifest is not None and manifest["splits"][name])
    chosen = {name: members(manifest, name) for name in names} if manifest is not None else {}

    def split_of(comic: str, page: int) -> str:
        for name, comics in chosen.items():
            if comic in comics and ((numbers := comics[comic]) is None or page in numbers):
                return name
        return ""

    def pages(wanted: Wanted, problems: list[Problem], unchanged: Unchanged) -> Iterator[SourcePage | ComicState]:
        problems += view.problems
        comics = sorted(view.comics(), key=natural_key)
        for name, asked in chosen.items():
            gone = [comic for comic in asked if comic not in comics]
            problems += [Problem(comic, f"splits.json has it in {name}, the corpus has not") for comic in gone]
        cutting = wanted.cutting if CHARACTER in wanted.levels else None
        for comic in comics:
            asked_of = [sorted(asked.get(comic) or ()) if comic in asked else None for asked in chosen.values()]
            found = _state(view, comic, cutting, asked_of)
            yield ComicState(comic, found, _facts(view, comic, problems))
            if unchanged(comic):
                continue
            own: list[Problem] = []
            seen: set[int] = set()
            for record, lines in records_of(view, comic, own):
                if record.page in seen:
                    problems.append(Problem(record.id, "the page occurs twice; the first is taken"))
                    continue
                seen.add(record.page)
                yield _page(view, record, lines, wanted, split_of(comic, record.page))
            problems += own

    return Place(view.root, None, names if manifest is not None else (), pages)


def _facts(view: CorpusView, comic: str, problems: list[Problem]) -> ComicFacts:
    try:
        return kept_facts(view.comic_facts(comic))
    except InputError as error:
        problems.append(Problem(comic, error.fact))
        return {}


def _state(view: CorpusView, comic: str, *others: object) -> str:
    """Of the file of a comic's records, and of what else decides its entries."""
    if not isinstance(view, Corpus):
        return ""
    try:
        state = state_of(view.records_file(comic).stat())
    except OSError:
        return ""
    return blake2b(f"{state} {others!r}".encode("utf-8", "backslashreplace"), digest_size=12).hexdigest()


def _page(view: CorpusView, record: PageRecord, lines: Sequence[str], wanted: Wanted, split: str) -> SourcePage:
    picture, facts = page_picture(view, record, wanted, lines)
    words = _words_by_panel(record) if record.texts else {}
    panels = [
        CropEntry(f"{record.page}_{panel.id}", panel.id, panel.box, panel.score, "", "\n".join(words.get(panel.id, ())))
        for panel in sorted(record.panels, key=lambda panel: panel.id)
    ]
    characters = [
        CropEntry(part.id, panel, box_of(part), score, identity)
        for part, (_, panel, identity, _, score, *_) in zip(
            (part for part in picture.parts if part.level == CHARACTER), facts, strict=True
        )
    ]
    entry = PageEntry(
        record.comic,
        record.page,
        entry_fingerprint(picture.fingerprint, record.image, record.width, record.height),
        record.image,
        record.width,
        record.height,
        record.type,
        record.direction,
        split,
        "\n".join(text.text for text in record.texts),
        tuple(panels),
        tuple(characters),
        str(record.extra.get("member") or ""),
    )
    return SourcePage(entry, [(picture, _targets(picture))])


def entry_fingerprint(state: str, image: str, width: int, height: int) -> str:
    """The fingerprint of a page whose picture file is in this state."""
    return f"{state} {image} {width}x{height}"


def box_of(part: Part) -> Box:
    """The annotated box of a part, whole pixels."""
    assert part.box is not None
    x0, y0, x1, y1 = (int(value) for value in part.box)
    return x0, y0, x1, y1


def _crops(path: Path) -> Place:
    """Pictures that are crops already, filed under the pages that their names tell of."""
    split, pictures = crops_at(path)
    named = [match[3] for picture in pictures if (match := _NAME.fullmatch(picture.parts[0].id))]
    level = CHARACTER if any(identity is not None for identity in named) else PANEL
    split = split if split in SPLITS else ""

    def page_of(picture: Picture) -> int:
        match = _NAME.fullmatch(picture.parts[0].id)
        return int(match[1]) if match else 0

    def pages(wanted: Wanted, problems: list[Problem], unchanged: Unchanged) -> Iterator[SourcePage | ComicState]:
        last: str | None = None
        ordered = sorted(pictures, key=lambda picture: (natural_key(picture.comic), page_of(picture)))
        for (comic, page), group in groupby(ordered, key=lambda picture: (picture.comic, page_of(picture))):
            own = list(group)
            if comic != last:
                yield ComicState(last := comic, "")
            marks = blake2b("\n".join(picture.fingerprint for picture in own).encode(), digest_size=12).hexdigest()
            crops = tuple(_crop(picture.parts[0].id) for picture in own)
            entry = PageEntry(comic, page, marks, "", split=split)
            entry = entry._replace(panels=crops) if level == PANEL else entry._replace(characters=crops)
            yield SourcePage(entry, [(picture, [(level, number)]) for number, picture in enumerate(own)])

    return Place(path, (level,), (split,) if split else (), pages)


def _crop(name: str) -> CropEntry:
    match = _NAME.fullmatch(name)
    return CropEntry(name, int(match[2]) if match else 0, identity=(match[3] or "") if match else "")


def _targets(picture: Picture) -> list[Target]:
    counts = {PAGE: 0, PANEL: 0, CHARACTER: 0}
    targets = []
    for part in picture.parts:
        targets.append((part.level, counts[part.level]))
        counts[part.level] += 1
    return targets


def _words_by_panel(record: PageRecord) -> dict[int, list[str]]:
    """Text of each panel: that which names the panel, else that whose middle lies in it."""
    words: dict[int, list[str]] = {}
    for text in record.texts:
        panel = text.panel
        if panel is None and text.box is not None:
            x, y = (text.box[0] + text.box[2]) // 2, (text.box[1] + text.box[3]) // 2
            inside = (p.id for p in record.panels if p.box[0] <= x < p.box[2] and p.box[1] <= y < p.box[3])
            panel = next(inside, None)
        if panel is not None:
            words.setdefault(panel, []).append(text.text)
    return words
