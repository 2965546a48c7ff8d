"""Names: natural order, names that are safe as one path component on every system, and telling alike ones apart."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache

_DIGITS = re.compile(r"(\d+)")
_ENDING = re.compile(r"\.[a-z][a-z0-9]{1,4}$")  # .jpg, .jpeg, .cb7
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
_DEVICES = {"con", "prn", "aux", "nul", *(f"com{n}" for n in range(1, 10)), *(f"lpt{n}" for n in range(1, 10))}
LONGEST = 120  # characters
MOST_BYTES = 200  # in UTF-8: file systems allow 255, and temporary names add to it

# Roman numerals that are one character (Ⅳ, Ⅻ) would become letters: IV before IX before V.
_ROMAN = {code: str(n) for first in (0x2160, 0x2170) for n, code in enumerate(range(first, first + 12), start=1)}
# 上中下 and 前中後 are first, middle and last part. Their code points say otherwise, so they trade places.
_PARTS = str.maketrans("前中下後后", "上下中中中")
_NUMERALS = "〇零一二三四五六七八九十百千万億壱弐参壹贰貳叁參肆伍陸陆柒捌玖拾佰仟萬廿卅两兩"
_COUNTERS = "話话巻卷章回集部編编篇節节冊册期幕夜頁页号號目"
# 一 also begins words: it counts after 第, 巻, その..., before a counter, or by itself between other signs.
_NUMERAL = re.compile(
    rf"(?<=[第巻卷の之])[{_NUMERALS}]+|[{_NUMERALS}]+(?=[{_COUNTERS}])|(?<![^\W\d_])[{_NUMERALS}]+(?![^\W\d_])"
)

Key = tuple[tuple[int, int, str], ...]


def natural_key(name: str, leading: re.Pattern[str] | None = None) -> Key:
    """Sort key in which `page2` comes before `page10`, whatever the case, the width and the form of the characters.

    Compared component by component, and the files of a folder come before the folders in it. Within a component: what
    ends first comes first (`a.jpg` before `a2.jpg`), then punctuation (collectors put `!` or `_` before what shall be
    first), then numbers by value, then letters. Numbers may be full-width digits or kanji numerals (第十二話). Names
    that are the same by all this (`01` and `1`, NFC and NFD) are told apart at the very end by themselves, so that
    only equal names have equal keys.

    Args:
        leading: what comes before all else where it stands in a component without ending; matched in NFKC, casefolded.
    """
    folders, slash, last = name.replace("\\", "/").rpartition("/")
    text = _plain(last)
    ending = _ENDING.search(text)
    stem, suffix = (text[: ending.start()], ending[0]) if ending and ending.start() else (text, "")
    before = _folders_key(folders, leading) if slash else ()
    return (*before, (0, 0, ""), *_component_key(stem, leading), (0, 0, suffix), (0, 0, name))


@lru_cache(maxsize=1024)  # files are sorted by the thousand, and most share their folder with others
def _folders_key(folders: str, leading: re.Pattern[str] | None) -> Key:
    parts = (((0, 1, ""), *_component_key(_plain(folder), leading)) for folder in folders.split("/"))
    return tuple(part for key in parts for part in key)


def _plain(component: str) -> str:
    """A component without differences of case, width and encoding, its numerals as digits."""
    if component.isascii():
        return component.casefold()
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", component.translate(_ROMAN)).casefold())
    return _NUMERAL.sub(lambda match: str(_numeral_value(match[0])), text).translate(_PARTS)


def _component_key(plain: str, leading: re.Pattern[str] | None) -> Key:
    if leading is not None and (match := leading.search(plain)):
        rest = _component_key(plain[match.end() :], None)
        return (*_parts_key(plain[: match.start()]), (0, 1, ""), *rest)
    return (*_parts_key(plain), (0, 0, ""))


def _parts_key(text: str) -> Key:
    return tuple(_part_key(part) for part in _DIGITS.split(text) if part)


def _part_key(part: str) -> tuple[int, int, str]:
    if part.isdecimal():
        digits = part if part.isascii() else "".join(str(unicodedata.decimal(digit)) for digit in part)
        digits = digits.lstrip("0")
        return (2, len(digits), digits)  # by value, however many digits there are
    return (3 if part[0].isalnum() else 1, 0, part)


def _numeral_value(numeral: str) -> int:
    """The value of a kanji numeral: with units (百二十) or digit by digit (一二〇)."""
    total, section, digits = 0, 0, ""
    for character in numeral:
        value = int(unicodedata.numeric(character))
        if value < 10:
            digits += str(value)
        elif value < 10_000:
            section += value if value in (20, 30) else int(digits[-9:] or 1) * value  # 廿 and 卅 are no units
            digits = ""
        else:
            total += (section + int(digits[-9:] or 0) or 1) * value
            section, digits = 0, ""
    return total + section + int(digits[-4000:] or 0)


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
