"""Reading which pictures show which character: a JSON file, or a folder with a folder for each character."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

from comictool.core.errors import InputError, UsageError
from comictool.core.files import parse_json, read_bounded
from comictool.core.names import natural_key, safe_component
from comictool.vectors.files import find_pictures

MAX_BYTES = 64 * 1024 * 1024  # ten thousand characters with a hundred listed pictures each are about 50 MB
MAX_NAME = 1000  # characters; longer than any name, short enough to print
SUGGESTIONS = "suggestions"  # where `reid classify` puts, by best guess, what it is not sure of
UNDECIDED = (SUGGESTIONS, "unknown", "ambiguous")  # folders of what it could not name: no characters

Config = dict[str, list[Path]]


def read_config(source: Path, notes: list[str] | None = None) -> Config:
    """Characters and the folders or files that hold their reference pictures, in the order given.

    A file holds `{"name": "folder"}`, `{"name": ["folder", ...]}`, or a list of such pairs `[["name", "folder"], ...]`
    (as a table of the older program saves it). Paths are taken from the file's own folder; what is not there, from the
    working directory, as the older program did. A folder instead of a file means one character for each folder in it,
    named like it; folders that `reid classify` filled with what it could not name are none.

    Names stay as they are: labels, whatever they look like; `folder_names` makes folder names of them. They may not
    be empty or hold control characters, since no list could show them.

    Args:
        source: the file or folder.
        notes: gets a line for each folder that is left out.

    Raises:
        InputError: missing, not JSON, not of this form, a name twice, or a folder that does not exist; the message
            names the character.
    """
    if source.is_dir():
        return _from_folders(source, [] if notes is None else notes)
    return _from_pairs(_pairs(source), source)


def _from_folders(source: Path, notes: list[str]) -> Config:
    from comictool.reid.sorting.journal import undecided_folders

    folders = [entry for entry in source.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    undecided = {*UNDECIDED, *undecided_folders(source)}
    left_out = [str(folder) for folder in folders if folder.name in undecided]
    if left_out:
        notes.append(f"{', '.join(sorted(left_out))}: what `reid classify` could not name, and no character")
    folders = [folder for folder in folders if folder.name not in undecided]
    if not folders:
        raise InputError(
            f"{source} has no folders in it", hint="put the references of each character into a folder of its name"
        )
    folders.sort(key=lambda folder: natural_key(folder.name))
    return {checked_name(folder.name, source): [folder] for folder in folders}


def _pairs(source: Path) -> list[tuple[Any, Any]]:
    data = read_bounded(source, most_bytes=MAX_BYTES)
    value = parse_json(data, str(source), pairs=_Pairs)
    if isinstance(value, _Pairs):
        return list(value)
    if isinstance(value, list) and all(isinstance(item, list) and len(item) == 2 for item in value):
        return [(item[0], item[1]) for item in value]
    raise InputError(
        f"{source} is neither an object nor a list of pairs", hint='write {"name": "folder", "other name": "folder"}'
    )


class _Pairs(tuple[tuple[str, Any], ...]):
    """A JSON object with all its keys, also those that occur twice."""


def _from_pairs(pairs: list[tuple[Any, Any]], source: Path) -> Config:
    config: Config = {}
    for name, places in pairs:
        character = checked_name(name, source)
        if character in config:
            raise InputError(
                f"{source}: the character {character!r} occurs twice", hint=f'write {{"{character}": ["A", "B"]}}'
            )
        config[character] = [_place(place, character, source) for place in _listed(places)]
        if not config[character]:
            raise InputError(f"{source}: the character {character!r} has no folder")
    if not config:
        raise InputError(f"{source} names no character")
    return config


def _listed(places: Any) -> list[Any]:
    return list(places) if isinstance(places, list) else [places]


def _place(place: Any, character: str, source: Path) -> Path:
    if not isinstance(place, str) or not place or "\x00" in place:
        raise InputError(f"{source}: the folder of {character!r} is {place!r:.100}, not a text")
    try:
        path = source.parent / Path(place).expanduser()
        exists = path.exists()
        if not exists and Path(place).exists():
            return Path(place)
    except RuntimeError as error:  # `~name` of nobody
        raise InputError(
            f"{source}: the folder of {character!r}, {place:.300}, is in nobody's home", cause=str(error)
        ) from error
    except OSError:  # a component that is too long
        exists = False
    if not exists:
        raise InputError(
            f"{source}: the folder of {character!r}, {place:.300}, does not exist",
            cause=f"it would be {path!s:.500}, or the same from the working directory",
        )
    return path


def checked_name(name: Any, source: Path) -> str:
    """The name, if it can be one of a character.

    Raises:
        InputError: it is not; `source` is where it stands.
    """
    if not isinstance(name, str):
        raise InputError(f"{source}: a character's name is {name!r:.100}, not a text")
    if not name.strip():
        raise InputError(f"{source}: a character's name is empty")
    if len(name) > MAX_NAME:
        raise InputError(
            f"{source}: the name {name[:60]!r}... has {len(name):,} characters, at most {MAX_NAME:,} may be"
        )
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
        raise InputError(f"{source}: the name {name!a:.200} holds control characters or is no valid text")
    return name


def folder_names(characters: list[str]) -> dict[str, str]:
    """A folder name for each character, safe on every system.

    Raises:
        UsageError: two characters would share a folder (also where upper and lower case are the same).
    """
    owners: dict[str, str] = {}
    names: dict[str, str] = {}
    for character in characters:
        folder = safe_component(character)
        key = unicodedata.normalize("NFKC", folder).casefold()
        if key in owners:
            raise UsageError(
                f"the characters {owners[key]!r} and {character!r} would both be sorted into the folder {folder!r}",
                hint="rename one of them in the configuration",
            )
        owners[key] = character
        names[character] = folder
    return names


def reference_pictures(config: Config, problems: list[str] | None = None) -> dict[str, list[Path]]:
    """The pictures of each character, sorted naturally.

    Raises:
        InputError: a character without any.
    """
    pictures: dict[str, list[Path]] = {}
    for character, places in config.items():
        pictures[character] = find_pictures(places, problems)
        if not pictures[character]:
            shown = ", ".join(str(place) for place in places[:3])
            raise InputError(f"there are no pictures of {character!r} in {shown:.500}")
    return pictures
