"""Where the pictures of a result folder are now, and what a person did with them since the program filed them."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from comictool.core.names import natural_key
from comictool.reid.configuration import SUGGESTIONS
from comictool.reid.sorting.journal import Contents, Entry, all_contents
from comictool.reid.sorting.moving import content_digest
from comictool.vectors.files import find_pictures


@dataclass(frozen=True)
class Filed:
    """A picture that the program filed: where it put it and where it is, relative to the result folder.

    `before` and `now` have forward slashes. `origin` is the absolute path that the picture had before the first run.
    `named`: the name that a person gave the group that it is in (`reid name`), else empty.
    """

    before: str
    now: str
    digest: str
    origin: str
    named: str = ""

    @property
    def moved(self) -> bool:
        """Whether a person moved it."""
        return self.before != self.now


@dataclass
class Positions:
    """All that the program filed and that is still in the result folder, in natural order.

    Attributes:
        pictures: each with its place.
        copied: digest and place of pictures that a person put a second time into another folder.
        gone: what was filed and is not in the folder any more.
        strange: how many pictures no run has put there.
        undecided: folders of what could not be named.
        grouping: whether the folders are those of groups.
    """

    pictures: list[Filed] = field(default_factory=list)
    copied: list[tuple[str, str]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    strange: int = 0
    undecided: set[str] = field(default_factory=set)
    grouping: bool = False

    def folder(self, place: str) -> str:
        """The character's folder that a place is in; empty for folders of what could not be named."""
        top, _, rest = place.partition("/")
        return "" if not rest or top in self.undecided else top

    def suggestion(self, place: str) -> str:
        """The character's folder that a picture is in, or under whose suggestions; empty in neither."""
        parts = place.split("/")
        if parts[0] == SUGGESTIONS:
            return parts[1] if len(parts) > 2 else ""
        return self.folder(place)


def find_positions(root: Path, *, without: Path | None = None) -> Positions:
    """Compare what the journals, but for `without`, say with what is there.

    A picture that is not where it was put is looked for by its content among the pictures that no run put where they
    are. Nothing is followed through links to folders.

    Raises:
        InputError: a journal that is damaged.
    """
    found, filed = Positions(), dict[str, tuple[str, str, str]]()
    for contents in all_contents(root):
        if contents.path == without:
            continue
        found.undecided.update(contents.purpose.undecided)
        found.grouping = found.grouping or contents.purpose.grouping
        _replay(contents, root, filed)
    here = {path.relative_to(root).as_posix(): path for path in find_pictures([root], [])}
    missing: dict[str, list[str]] = defaultdict(list)
    for place, (digest, _, _) in filed.items():
        if not os.path.lexists(root / place):
            missing[digest].append(place)
    known = {digest for digest, _, _ in filed.values()}
    now_at: dict[str, str] = {}
    for place in sorted(here.keys() - filed.keys(), key=natural_key):
        try:
            digest = content_digest(here[place])
        except OSError:
            digest = ""
        if digest not in known:
            found.strange += 1
        elif missing[digest]:
            now_at[_nearest(place, missing[digest])] = place
        else:
            found.copied.append((digest, place))
    for place, (digest, origin, named) in filed.items():
        now = now_at.get(place, place)
        if now != place or place in here or os.path.lexists(root / place):
            found.pictures.append(Filed(place, now, digest, origin, named))
        else:
            found.gone.append(place)
    found.pictures.sort(key=lambda one: natural_key(one.now))
    return found


def adopted(moved: Iterable[Filed], positions: Positions) -> Iterator[tuple[str, str, str, list[str]]]:
    """What a person moved, as `Sorter.adopt` takes it; folders that hold nothing a run put there are theirs."""
    ours = {parent.as_posix() for one in positions.pictures for parent in Path(one.before).parents}
    for one in moved:
        parents = [parent.as_posix() for parent in list(Path(one.now).parents)[-2::-1]]
        yield one.before, one.now, one.digest, [parent for parent in parents if parent not in ours]


def _replay(contents: Contents, root: Path, filed: dict[str, tuple[str, str, str]]) -> None:
    """Bring places, with digest and origin, up to the end of a run; what an undo took back was not filed."""
    naming = contents.purpose.naming
    for entry, destination in _kept(contents):
        source = os.path.abspath(entry.source)
        inside = os.path.relpath(source, os.path.abspath(root)).replace(os.sep, "/")
        earlier = filed.pop(inside, None) if entry.action == "move" else None
        filed[destination] = (entry.digest, earlier[1] if earlier else source, naming.after if naming else "")


def _kept(contents: Contents) -> Iterator[tuple[Entry, str]]:
    for entry, destination in contents.filed():
        if contents.left is None or entry.number in contents.left:
            yield entry, destination


def _nearest(place: str, candidates: list[str]) -> str:
    """Of several files of one content that were moved, the one of this file name, else the first."""
    name = os.path.basename(place)
    chosen = next((one for one in candidates if os.path.basename(one) == name), candidates[0])
    candidates.remove(chosen)
    return chosen
