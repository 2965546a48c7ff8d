"""Sorting pictures into folders by what was decided: where each goes, and getting it there.

Nothing is written outside the result folder, whatever characters and files are called, and nothing is lost: a file
that is in the way is left, moved aside or given a new neighbour, as the user says.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import InitVar, dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from comictool.core.errors import ComicError, InputError, UsageError, near_matches
from comictool.core.files import is_inside
from comictool.core.jobs import FATAL
from comictool.core.names import safe_component
from comictool.reid.configuration import SUGGESTIONS, folder_names
from comictool.reid.sorting.journal import FOLDER, REPLACED, Contents, Entry, Journal, newest_contents, put_aside
from comictool.reid.sorting.moving import ACTIONS, content_digest

CHOICES = ("none", *ACTIONS)
CLASHES = ("rename", "skip", "overwrite")
MOST_NEIGHBOURS = 100_000  # numbers tried for `name (2).png`


@dataclass(frozen=True)
class SortOptions:
    """How pictures are sorted.

    Attributes:
        action: none, copy, move, symlink or hardlink; empty is copy where there is a result folder, else none.
        on_clash: when a file has the place already: rename (`name (2).png`), skip, or overwrite (undo brings the old
            file back). Two pictures of one run never overwrite each other.
        unknown: folder for pictures that are like no enrolled character; empty leaves them where they are. None: they
            go by their best guess, into `suggestions/<character>`.
        ambiguous: the same for those between two characters; None: as `unknown` if that is None, else `ambiguous`.
        preserve_tree: keep the folders that a picture lies in below its target. Pictures of a result folder keep those
            that they have below their character's folder in any case.
        mode, threshold, far, margin, top, own_references: who a picture shows, see
            `comictool.reid.sorting.rules.rules_for`.
    """

    action: str = ""
    on_clash: str = "rename"
    unknown: str | None = None
    ambiguous: str | None = None
    preserve_tree: bool = False
    mode: str = ""
    threshold: float | str | None = None
    far: float | None = None
    margin: float | None = None
    top: int = 5
    own_references: bool = False

    def __post_init__(self) -> None:
        chosen = ((self.action, ("", *CHOICES), "--action"), (self.on_clash, CLASHES, "--on-clash"))
        for value, known, option in chosen:
            if value not in known:
                raise UsageError(
                    f"{option} {value!r}: it is {', '.join(filter(None, known))}", near=near_matches(value, known)
                )

    @property
    def undecided(self) -> dict[str, str]:
        """The folder for each status that gives no name, by that status; `SUGGESTIONS` is parted by best guess."""
        between = SUGGESTIONS if self.unknown is None else "ambiguous"
        return {
            "unknown": SUGGESTIONS if self.unknown is None else self.unknown,
            "ambiguous": between if self.ambiguous is None else self.ambiguous,
        }


@dataclass(frozen=True)
class Placement:
    """What was done with a picture. `action` is none, copy, move, symlink, hardlink, skipped or failed."""

    action: str
    destination: str | None = None
    error: str = ""


def result_folders(characters: Iterable[str], options: SortOptions) -> dict[str, str]:
    """A folder for each character: one safe path component, no two alike on any file system.

    Raises:
        UsageError: two characters, or one and the folder of unknown or ambiguous pictures, would share a folder; or
            the latter is no plain name.
    """
    names = folder_names(list(characters))
    owners = {folder.casefold(): character for character, folder in names.items()}
    for status, folder in options.undecided.items():
        option = "--unknown suggestions" if folder == SUGGESTIONS else f"--{status}-dir"
        if folder and safe_component(folder) != folder:
            raise UsageError(f"{option} {folder!r}: one plain folder name", hint=f"{option} '{safe_component(folder)}'")
        if folder and folder.casefold() in owners:
            raise UsageError(
                f"the character {owners[folder.casefold()]!r} and the pictures of {option} would share a folder",
                hint=f"--{status}-dir 'not sorted'",
            )
    return names


@dataclass
class Sorter:
    """Puts pictures where they belong.

    Args:
        root: the result folder.
        options: what the user wants.
        folders: from `result_folders`.
        bases: absolute targets; with `preserve_tree` folders below them are kept.
        earlier: journals of earlier runs, by which a picture that is there already is not filed again.
        journal: where each action is noted; None for a dry run.
        going_on: the part of this run that was done before it was killed; what that filed is never overwritten.
        within: the pictures are those that lie in the result folder; one that is in its folder stays there.

    `ours` has the absolute paths of what earlier runs filed, so that it is not taken for targets; with `within` only
    what this run filed.
    """

    root: Path
    options: SortOptions
    folders: dict[str, str]
    bases: Sequence[Path] = ()
    earlier: InitVar[Iterable[Contents]] = ()
    journal: Journal | None = None
    going_on: InitVar[Contents | None] = None
    within: bool = False
    ours: set[str] = field(default_factory=set, init=False)
    _there: dict[tuple[str, str], list[tuple[str, str]]] = field(default_factory=dict, init=False)
    _mine: set[str] = field(default_factory=set, init=False)
    _neighbours: dict[str, int] = field(default_factory=dict, init=False)
    _next: int = field(default=0, init=False)

    def __post_init__(self, earlier: Iterable[Contents], going_on: Contents | None) -> None:
        origin: dict[str, tuple[str, str]] = {}
        for contents in earlier:
            for entry, destination in contents.filed():
                place = os.path.abspath(self.root / destination)
                # What a later run moved within the folder is still the picture that was filed at first.
                origin[place] = origin.get(entry.source, (entry.source, entry.action))
                self._there.setdefault(origin[place], []).append((destination, entry.digest))
                if not self.within:
                    self.ours.add(place)
        if self.within and going_on is not None:
            filed = [destination for entry, destination in going_on.filed() if not entry.adopted]
            self.ours.update(os.path.abspath(self.root / destination) for destination in filed)
        if going_on is not None:
            self._mine.update(destination.casefold() for _, destination in going_on.filed())
        self._next = self.journal.last if self.journal else 0

    @property
    def does_something(self) -> bool:
        """Whether `place` acts or leaves a line; otherwise every picture is `Placement("none")`."""
        return self.journal is not None or self.options.action != "none"

    def place(self, source: Path, status: str, character: str | None, digest: str, record: dict[str, Any]) -> Placement:
        """Journal and do what one decision asks for. A failure of this one file is reported in the result.

        Args:
            source: the picture.
            status: ok, unknown, ambiguous or error.
            character: of a picture that is ok.
            digest: hash of its content.
            record: goes into the journal, with `action` and `destination` added; its `guess` is the best candidate.

        Raises:
            OSError: the disk is full or the result folder cannot be written at all.
        """
        folder = self._folder(status, character, record.get("guess"))
        absolute = Path(os.path.abspath(source))
        if self.options.action == "none" or not folder:
            return self._note_only(absolute, digest, record, Placement("none"))
        if self.within and absolute.is_relative_to(os.path.abspath(self.root / folder)):
            return self._note_only(absolute, digest, record, Placement("none"))
        wanted = "/".join((folder, *self._tree(absolute), safe_file_name(absolute.name)))
        already = self._already(absolute, digest, folder)
        if already is not None:
            return self._note_only(absolute, digest, record, Placement("skipped", already, "it is there already"))
        before = self._elsewhere(absolute, digest)
        try:
            return self._act(absolute, wanted, digest, record, before)
        except ComicError as error:
            return self._note_only(absolute, digest, record, Placement("failed", None, error.fact))

    def adopt(self, before: str, now: str, digest: str, folders: Iterable[str]) -> None:
        """Note that a person moved a picture within the result folder, so that an undo puts it back.

        Args:
            before, now: places relative to the result folder.
            digest: hash of its content.
            folders: that the person made for it, outermost first.
        """
        if self.journal is not None:
            self._next += 1
            source = os.path.abspath(self.root / before)
            told = {"path": os.path.abspath(self.root / now)}
            made = tuple(folders)
            self.journal.write(
                Entry(self._next, "move", source, now, folders=made, digest=digest, record=told, adopted=True)
            )

    def _folder(self, status: str, character: str | None, guess: str | None) -> str:
        """Where a picture goes, relative to the result folder; empty: nowhere."""
        if status == "ok":
            return self.folders.get(character or "", "")
        folder = self.options.undecided.get(status, "")
        if folder != SUGGESTIONS:
            return folder
        return f"{SUGGESTIONS}/{self.folders[guess]}" if guess in self.folders else SUGGESTIONS

    def _act(
        self, picture: Path, wanted: str, digest: str, record: dict[str, Any], before: Path | None = None
    ) -> Placement:
        """File a picture, or move what an earlier run made of it, which lies at `before`."""
        action, source = ("move", before) if before else (self.options.action, picture)
        if picture.is_symlink() and action == "move" and not self.within and not before:
            raise InputError("it is a symbolic link, which would break when moved; use copy")
        parent = (self.root / wanted).parent
        if not is_inside(parent, self.root):
            raise InputError(f"{parent} is a link that leads out of the result folder")
        destination = self._free(wanted, source)
        if destination is None:
            there = Placement("skipped", wanted, "a file of this name is there")
            return self._note_only(picture, digest, record, there)
        self._mine.add(destination.casefold())
        placed = Placement(action, destination)
        if self.journal is None:
            return placed
        number = self._next = self._next + 1
        clash = os.path.lexists(self.root / destination)
        entry = Entry(
            number,
            action,
            str(source),
            destination,
            staged=f"{Path(destination).parent.as_posix()}/.comictool-{number}.partial",
            replaced=f"{REPLACED}/{self.journal.path.stem}-{_short(destination)}" if clash else None,
            folders=self._missing_folders(destination),
            digest=digest or content_digest(source),
            record=record | {"action": action, "destination": destination},
            of=str(picture) if before else "",
        )
        self.journal.write(entry)
        try:
            self._carry_out(entry)
        except OSError as error:
            if error.errno in FATAL:
                raise
            reason = f"{error.strerror or error}: {error.filename2 or error.filename or destination}"
            self.journal.fail(number, reason)
            return Placement("failed", None, reason)
        return placed

    def _carry_out(self, entry: Entry) -> None:
        assert entry.destination is not None
        assert entry.staged is not None
        destination, replaced = self.root / entry.destination, self.root / (entry.replaced or "")
        destination.parent.mkdir(parents=True, exist_ok=True)
        if entry.replaced is not None:
            replaced.parent.mkdir(parents=True, exist_ok=True)
            os.rename(destination, replaced)
        try:
            ACTIONS[entry.action](Path(entry.source), destination, self.root / entry.staged)
            if entry.of:
                self._leave(Path(entry.source).parent)
        except OSError:
            if entry.replaced is not None and not os.path.lexists(destination):
                os.rename(replaced, destination)
            raise

    def _leave(self, folder: Path) -> None:
        """Remove the folders that nothing is in any more, since what an earlier run had put there has moved."""
        while folder.is_relative_to(os.path.abspath(self.root)) and folder != Path(os.path.abspath(self.root)):
            try:
                folder.rmdir()
            except OSError:
                return  # there is something in it
            folder = folder.parent

    def _note_only(self, source: Path, digest: str, record: dict[str, Any], placed: Placement) -> Placement:
        if self.journal is not None:
            self._next += 1
            told = record | {"action": placed.action, "destination": placed.destination}
            if placed.action == "failed":
                told["error"] = placed.error
            self.journal.write(Entry(self._next, "none", str(source), None, digest=digest, record=told))
        return placed

    def _tree(self, source: Path) -> list[str]:
        if self.within and source.is_relative_to(os.path.abspath(self.root)):
            folders = source.relative_to(os.path.abspath(self.root)).parts[:-1]
            return list(folders[2 if folders[:1] == (SUGGESTIONS,) else 1 :])
        if not self.options.preserve_tree:
            return []
        for base in self.bases:
            if source.is_relative_to(base) and source != base:
                return [safe_component(part) for part in source.relative_to(base).parts[:-1]]
        return []

    def _already(self, source: Path, digest: str, folder: str) -> str | None:
        """Where an earlier run put this very picture, if it is still there, unchanged, under the same character."""
        return next((place for place in self._filed(source, digest) if place.startswith(f"{folder}/")), None)

    def _elsewhere(self, source: Path, digest: str) -> Path | None:
        """What an earlier run, which decided otherwise, made of this picture: it is in one folder, not in two."""
        place = None if self.within else next(self._filed(source, digest), None)
        return Path(os.path.abspath(self.root / place)) if place else None

    def _filed(self, source: Path, digest: str) -> Iterator[str]:
        """Where earlier runs put this very picture by the same action, if it is still there and unchanged."""
        for destination, filed_digest in self._there.get((str(source), self.options.action), ()):
            place = self.root / destination
            if filed_digest != digest or not is_inside(place.parent, self.root):
                continue
            same = {
                "copy": lambda p=place: p.is_file() and not p.is_symlink() and content_digest(p) == digest,
                "symlink": lambda p=place: p.is_symlink() and os.readlink(p) == str(source),
                "hardlink": lambda p=place: p.exists() and os.path.samefile(p, source),
            }.get(self.options.action)
            if same is not None and same():
                yield destination

    def _free(self, wanted: str, source: Path) -> str | None:
        """The path to use, or None to leave the picture out."""
        if not self._taken(wanted):
            return wanted
        if self.options.on_clash == "skip":
            return None
        if self.options.on_clash == "overwrite" and wanted.casefold() not in self._mine:
            place = self.root / wanted
            if place.is_dir() and not place.is_symlink():
                raise InputError(f"{wanted} is a folder")
            if os.path.abspath(place) == str(source):
                return None  # it lies there already
            return wanted
        stem, ending = os.path.splitext(wanted)
        # From where the last of this name found a place: thousands of equal names would try each other's over again.
        for number in range(self._neighbours.get(wanted, 2), MOST_NEIGHBOURS):
            candidate = f"{stem} ({number}){ending}"
            if not self._taken(candidate):
                self._neighbours[wanted] = number + 1
                return candidate
        raise InputError(f"{wanted} has {MOST_NEIGHBOURS:,} neighbours already")

    def _taken(self, path: str) -> bool:
        return path.casefold() in self._mine or os.path.lexists(self.root / path)

    def _missing_folders(self, destination: str) -> tuple[str, ...]:
        parents = list(Path(destination).parents)[-2::-1]  # outermost first, without "."
        return tuple(p.as_posix() for p in parents if not os.path.lexists(self.root / p))


def _short(destination: str) -> str:
    """A name for what had this place before; each place is taken once a run, however often the run is resumed."""
    return blake2b(destination.encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()


def safe_file_name(name: str) -> str:
    """A file name that is safe on every system and keeps its ending, however long the rest is."""
    stem, ending = os.path.splitext(name)
    ending = safe_component(ending[1:], fallback="")
    return safe_component(stem, fallback="untitled") + (f".{ending}" if ending and len(ending) <= 10 else "")


def prepare_root(root: Path) -> bool:
    """Make the result folder and its `.reid`; True when the program made the result folder, now or before a kill.

    Raises:
        InputError: something else has its place, or its `.reid` is a link.
    """
    if os.path.lexists(root) and not root.is_dir():
        raise InputError(f"{root} is not a folder")
    if (root / FOLDER).is_symlink():
        raise InputError(f"{root / FOLDER} is a link; it must be a folder", hint="choose another --result-dir")
    for left in put_aside(root):  # by an undo that was killed
        left.unlink()
    # With nothing but an empty `.reid` it is what a run left that was killed before its journal.
    made = not root.exists() or (os.listdir(root) == [FOLDER] and newest_contents(root) is None)
    (root / FOLDER).mkdir(parents=True, exist_ok=True)
    return made
