"""Names: natural order, and names that are safe as one path component on every system."""

from __future__ import annotations

import re
import unicodedata

_DIGITS = re.compile(r"(\d+)")
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
_DEVICES = {"con", "prn", "aux", "nul", *(f"com{n}" for n in range(1, 10)), *(f"lpt{n}" for n in range(1, 10))}
LONGEST = 120  # characters; with four UTF-8 bytes each this still leaves room under 255 bytes after cutting below


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key in which `page2` comes before `page10`, whatever the case.

    Folders sort before what is in them deeper down by comparing component by component. The name itself ends
    the key, so that two names never compare equal unless they are.
    """
    key: list[tuple[int, int, str]] = []
    for component in name.replace("\\", "/").split("/"):
        for part in _DIGITS.split(component.casefold()):
            # isdigit() also accepts superscripts, which int() refuses; isdecimal() is what int() reads.
            if part.isdecimal():
                key.append((1, int(part) if len(part) <= 4000 else 0, part))
            elif part:
                key.append((2, 0, part))
        key.append((0, 0, ""))  # end of component: shorter folder names come first
    key.append((0, 0, name))
    return tuple(key)


def safe_component(name: str, fallback: str = "untitled") -> str:
    """A name that can be one folder or file name anywhere: no separators, no reserved names, bounded length.

    Ordinary letters of any script, spaces, quotes and dots inside stay as they are.
    """
    text = unicodedata.normalize("NFC", name)
    text = "".join(c for c in text if unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co", "Cn"} or c == "\u200d")
    text = _FORBIDDEN.sub("_", text).strip(" .")
    text = text.lstrip("~-")  # never an option or a home folder when a shell glob expands it
    text = text[:LONGEST].strip(" .")
    while len(text.encode("utf-8")) > 200:
        text = text[:-1]
    if not text or set(text) <= {".", "_", " "}:
        return fallback
    if text.split(".")[0].casefold() in _DEVICES:
        text = "_" + text
    return text
