"""Finding comics in what a user names: files, folders of pictures, and trees that hold both.

The rules, for a folder:
1. Hidden and junk folders, and folders that are corpora themselves, are passed over. So are links to folders and
   links to nothing, but these are named, unless what they lead to is imported anyway.
2. When neither it nor anything below holds comic files (cbz, pdf, ...), then pictures directly in it make it one
   comic, and the folders below are its chapters. Without pictures of its own it is still one comic when all its
   folders with pictures are called like parts of one (`Ch 2`, `Vol 1`, `03`); otherwise each of them is looked at
   on its own. So it is when it holds only a few pictures beside folders that are not called like parts: these are
   strays, and make a comic of their own.
3. When it or a folder below holds comic files, each of these is a comic, the folders below are looked at on their
   own, and loose pictures beside comic files make one more comic, except those that illustrate the files: `cover`,
   `folder` and the like, and pictures with the name of a comic file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from unicodedata import normalize

from comictool.archives.folder_files import is_unpacked_book, leads_to_file, may_matter
from comictool.archives.members import ARCHIVE_ENDINGS, ending, is_junk, is_picture, is_unnamed
from comictool.archives.sniffing import kind_of_file
from comictool.archives.volumes import later_volumes, volume
from comictool.core.errors import InputError, near_matches
from comictool.core.names import natural_key

COMPRESSED_TAR = (".tar.gz", ".tar.bz2", ".tar.xz")
# Endings that are comics in any tree. A lone `notes.gz` or `data.bz2` is not one, a named one is looked into.
_IN_TREES = ARCHIVE_ENDINGS - {"gz", "bz2", "xz"}
_PART_OF_A_COMIC = re.compile(
    r"(?i)^[\W_]*(?:(?:vol(?:ume)?|v|tome|t|book|part|chapter|chapitre|chap|ch|c|[eé]p(?:isode)?|e|kapitel|band"
    r"|cap[ií]tulo|parte)[\W_]*)?\d+(?:[.\-_]\d+)?(?:[\W_].*)?$"
    r"|^第?[\d〇零一二三四五六七八九十百]+[巻話章回卷话集部]|^제?\d+[화권장회부]|^(?:[上中下]|[前中後])[巻編卷篇]$"
)
_SIDE_PICTURES = {"cover", "folder", "poster", "thumb", "front", "back", "banner", "logo", "backdrop", "fanart"}
_COVERS = {"cover", "front", "表紙", "封面"}
_WITHOUT_ENDING = {"zip", "rar", "7z", "pdf"}  # what is a comic in any tree even when its name has no ending
_NAMES_THAT_SAY_NOTHING = {"pages", "page", "images", "image", "img", "scans", "scan", "pictures", "jpg", "png", "raw"}
_NAMES_OF_SOME_PAGES = _NAMES_THAT_SAY_NOTHING | {"extras", "extra", "bonus", "omake", "credits", "covers", "cover"}
_DEEPEST = 64


@dataclass(frozen=True)
class ComicSource:
    """A comic to import.

    Attributes:
        path: the file or folder.
        kind: `folder`, or what the first bytes say (`zip`, `rar`, `7z`, `tar`..., `pdf`, `image`, or a reason why not);
            `link` for one that is not followed.
        name: suggested name of the comic, not yet made safe or unique.
        nested: for a folder: whether the folders below belong to it.
    """

    path: Path
    kind: str
    name: str
    nested: bool = True


@dataclass
class _Folder:
    path: Path
    comics: list[Path] = field(default_factory=list)
    pictures: list[Path] = field(default_factory=list)
    folders: list[_Folder] = field(default_factory=list)
    links: list[Path] = field(default_factory=list)  # to folders or to nothing
    closed: bool = False  # it may not be listed

    @property
    def has_comics(self) -> bool:
        return bool(self.comics) or any(folder.has_comics for folder in self.folders)

    @property
    def picture_count(self) -> int:
        return len(self.pictures) + sum(folder.picture_count for folder in self.folders)


def find_comics(paths: Sequence[Path]) -> list[ComicSource]:
    """All comics that the paths name or hold, in natural order below each path, each once.

    A file that is named itself is always returned, so that it is reported when it is no comic.

    Raises:
        InputError: a path does not exist or a folder cannot be listed.
    """
    found: dict[Path, ComicSource] = {}
    for path in paths:
        if path.is_dir():
            if _is_corpus(path):
                raise InputError(f"{path} is a corpus already", hint=f"comictool data panels {path}")
            sources = list(_in_folder(_survey(path, 0)))
        elif path.exists():
            sources = [ComicSource(path, _sniffed(path), comic_stem(path))]
        else:
            beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
            raise InputError(f"{path} does not exist", near=near_matches(path.name, beside))
        for source in sources:
            found.setdefault(place_of(source), source)
    together: dict[Path, list[str]] = {}
    for place in found:
        together.setdefault(place.parent, []).append(place.name)
    later = {folder / name for folder, names in together.items() for name in later_volumes(names)}
    comics = [source for place, source in found.items() if place not in later and source.kind != "link"]
    # Links come last, so that they take no name from a comic, and go without a word where all is imported anyway.
    trees = [path.resolve() for path in paths if path.is_dir()]
    return [*comics, *(s for s in found.values() if s.kind == "link" and not _leads_into(s.path, trees))]


def _leads_into(link: Path, trees: list[Path]) -> bool:
    try:
        return link.exists() and any(link.resolve().is_relative_to(tree) for tree in trees)
    except (OSError, RuntimeError):  # a link to itself
        return False


def place_of(source: ComicSource) -> Path:
    """The real path of a source; that of the link itself for one that is not followed."""
    return source.path.parent.resolve() / source.path.name if source.kind == "link" else source.path.resolve()


def comic_stem(path: Path) -> str:
    """The name of a comic file without its ending, however many parts that has."""
    name = path.name
    for double in COMPRESSED_TAR:
        if name.lower().endswith(double):
            return name[: -len(double)]
    part = volume(name)
    if part is not None and (part[1] or ".part" in name.lower()):
        return part[0]
    return path.stem if ending(name) in ARCHIVE_ENDINGS or is_picture(name) else name


def _in_folder(folder: _Folder) -> Iterator[ComicSource]:
    if folder.closed:
        yield ComicSource(folder.path, "folder", folder.path.name)  # importing it will say why not
        return
    if not folder.has_comics and _is_one_comic(folder):
        yield ComicSource(folder.path, "folder", _folder_name(folder.path))
        return
    stems = {comic_stem(comic).casefold() for comic in folder.comics} | _SIDE_PICTURES
    things: list[Path | _Folder] = [*folder.comics, *folder.folders]
    if any(picture.stem.casefold() not in stems for picture in folder.pictures):
        yield ComicSource(folder.path, "folder", _folder_name(folder.path), nested=False)
    yield from (ComicSource(link, "link", link.name) for link in folder.links)
    for thing in sorted(things, key=lambda t: natural_key((t.path if isinstance(t, _Folder) else t).name)):
        if isinstance(thing, _Folder):
            yield from _in_folder(thing)
        else:
            yield ComicSource(thing, _sniffed(thing), comic_stem(thing))


def _is_one_comic(folder: _Folder) -> bool:
    """Whether the pictures in a folder and below it are the pages of one comic; there are no comic files."""
    if is_unpacked_book(folder.path):
        return True
    below = [f for f in folder.folders if f.picture_count]
    if all(
        _PART_OF_A_COMIC.match(normalize("NFKC", f.path.name)) or f.path.name.casefold() in _NAMES_OF_SOME_PAGES
        for f in below
    ):
        return bool(folder.pictures or below)
    if any(picture.stem.casefold() in _COVERS for picture in folder.pictures):
        return True
    # Folders with names of their own: extras of the comic, or comics beside a stray picture. More pages tell.
    others = sum(f.picture_count for f in below)
    return len(folder.pictures) > others or (len(folder.pictures) == others and len(below) == 1)


def _survey(path: Path, depth: int) -> _Folder:
    folder = _Folder(path)
    try:
        with os.scandir(path) as scan:
            entries = sorted(scan, key=lambda entry: natural_key(entry.name))
    except OSError as error:
        if depth == 0:
            raise InputError(f"{path} cannot be listed: {error.strerror}") from error
        folder.closed = True
        return folder
    later = later_volumes(entry.name for entry in entries)
    split = {part[0].casefold() for name in later if (part := volume(name))}
    for entry in entries:
        # Links to folders are not followed: they may lead in circles.
        if entry.is_dir(follow_symlinks=False):
            below = path / entry.name
            if depth < _DEEPEST and not is_junk(entry.name + "/x") and not _is_corpus(below):
                folder.folders.append(_survey(below, depth + 1))
        elif is_junk(entry.name) or entry.name in later:
            continue
        elif not leads_to_file(entry):
            if entry.is_symlink() and may_matter(entry.name):
                folder.links.append(path / entry.name)
        elif ending(entry.name) in _IN_TREES or entry.name.lower().endswith(COMPRESSED_TAR):
            folder.comics.append(path / entry.name)
        elif is_picture(entry.name):
            folder.pictures.append(path / entry.name)
        elif (part := volume(entry.name)) and (part[1] or part[0].casefold() in split):
            # book.r00 without its book.rar, or a program with further parts; other programs are none of ours.
            folder.comics.append(path / entry.name)
        elif is_unnamed(entry.name):
            kind = _sniffed(path / entry.name)
            if kind == "image":
                folder.pictures.append(path / entry.name)
            elif kind in _WITHOUT_ENDING and (ending(entry.name) or "0").isdigit():
                folder.comics.append(path / entry.name)
    return folder


def _is_corpus(folder: Path) -> bool:
    try:
        return (folder / "corpus.toml").is_file()
    except OSError:
        return False  # a folder that may not be entered; listing it will say so


def _folder_name(path: Path) -> str:
    whole = path.resolve()
    return whole.parent.name if whole.name.casefold() in _NAMES_THAT_SAY_NOTHING and whole.parent.name else whole.name


def _sniffed(path: Path) -> str:
    try:
        return kind_of_file(path) if path.is_file() else "unknown"
    except OSError:
        return "unknown"  # opening it will say why
