"""Names: natural order, names that are safe as one path component on every system, and telling alike ones apart."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache

_DIGITS = re.compile(r"(\d+)")
_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}$")  # .jpg, .jpeg, .cb7
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
_DEVICES = {"con", "prn", "aux", "nul", *(f"com{n}" for n in range(1, 10)), *(f"lpt{n}" for n in range(1, 10))}
LONGEST = 120  # characters
MOST_BYTES = 200  # in UTF-8: file systems allow 255, and temporary names add to it


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key in which `page2` comes before `page10`, whatever the case.

    Compared component by component, so a folder's files stay together. Within one: what ends first comes first
    (`cover.jpg` before `cover2.jpg`), then punctuation (collectors put `!` or `_` before what shall be first), then
    numbers by value, then letters. The name itself ends the key, so that only equal names have equal keys.
    """
    folders, slash, last = name.replace("\\", "/").rpartition("/")
    ending = _ENDING.search(last)
    stem, suffix = (last[: ending.start()], ending[0]) if ending and ending.start() else (last, "")
    before = _components_key(folders) if slash else ()
    return (*before, *_component_key(stem), (0, 0, suffix.casefold()), (0, 0, name))


def _component_key(component: str) -> list[tuple[int, int, str]]:
    return [*(_part_key(part) for part in _DIGITS.split(component.casefold()) if part), (0, 0, "")]


@lru_cache(maxsize=1024)  # files are sorted by the thousand, and most share their folder with others
def _components_key(folders: str) -> tuple[tuple[int, int, str], ...]:
    return tuple(part for component in folders.split("/") for part in _component_key(component))


def _part_key(part: str) -> tuple[int, int, str]:
    # isdigit() also accepts superscripts, which int() refuses; isdecimal() is what int() reads, up to 4,300 digits.
    if part.isdecimal():
        return (2, int(part), part) if len(part) <= 4000 else (2, 0, part)
    return (3 if part[0].isalnum() else 1, 0, part)


def safe_component(name: str, fallback: str = "untitled") -> str:
    """A name that can be one folder or file name anywhere: no separators, no reserved names, bounded length.

    Ordinary letters of any script, spaces, quotes and dots inside stay as they are.
    """
    text = unicodedata.normalize("NFC", name)
    text = "".join(c for c in text if unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co", "Cn"} or c == "\u200d")
    text = _FORBIDDEN.sub("_", text).strip(" .")
    text = text.lstrip("~-")  # never an option or a home folder when a shell glob expands it
    text = text[:LONGEST].strip(" .")
    text = _fit(text, MOST_BYTES)
    if not text or set(text) <= {".", "_", " "}:
        return fallback
    if text.split(".")[0].casefold() in _DEVICES:
        text = "_" + text
    return text


def same_name(name: str) -> str:
    """A key that is equal for names that differ only in how accents are encoded (macOS folders, CSV cells)."""
    return unicodedata.normalize("NFC", name).strip()


def with_number(name: str, number: int) -> str:
    """`name_2`: a safe name told apart by a number; where the name is too long, it is cut and never the number."""
    tail = f"_{number}"
    return _fit(name[: LONGEST - len(tail)], MOST_BYTES - len(tail)) + tail


def distinct_names(plain: Mapping[str, str]) -> dict[str, str]:
    """For each key its plain name, or that with `_2`, `_3`... when an earlier key has it, whatever the letter case."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for key, name in plain.items():
        chosen, number = name, 2
        while chosen.casefold() in taken:
            chosen, number = with_number(name, number), number + 1
        taken.add(chosen.casefold())
        names[key] = chosen
    return names


def _fit(text: str, most_bytes: int) -> str:
    """The beginning of a text that takes up at most so many bytes in UTF-8, no character cut in two."""
    return text.encode("utf-8")[:most_bytes].decode("utf-8", "ignore")
