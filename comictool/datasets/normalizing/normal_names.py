"""The normal form of a comic's name, and giving each comic one that no other has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from hashlib import blake2b

from anyascii import anyascii

from comictool.core.names import safe_component

LONGEST = 100  # characters, all ASCII, so bytes too
_SPACES = re.compile(r"\s")
_OTHER = re.compile(r"[^a-z0-9_-]")
_DASHES = re.compile(r"-{2,}")


def normal_name(name: str) -> str:
    """Lower-case ASCII letters, digits, `-` and `_`: safe as a folder, in a shell, in a CSV and in an HDF5 path.

    As the published script does, spaces become `_` and punctuation `-`. Other than there, letters of every script are
    transliterated (not only two accented ones), runs of dashes become one, and nothing begins with a dash, which a
    program could take for an option. Doing it twice changes nothing.
    """
    text = anyascii(name).lower()
    text = _OTHER.sub("-", _SPACES.sub("_", text))
    text = _DASHES.sub("-", text).lstrip("-")
    if len(text) > LONGEST:
        text = f"{text[: LONGEST - 9]}-{blake2b(name.encode('utf-8'), digest_size=4).hexdigest()}"
    return safe_component(text, fallback="comic")


def assign_names(comics: Iterable[str], known: Mapping[str, str], titles: Mapping[str, str]) -> dict[str, str]:
    """A normal name for each comic, never one for two.

    Args:
        comics: in a stable order; the first of two that are alike gets the plain name, the next `-2`, then `-3`.
        titles: what each comic is really called, from which its name is made.
        known: names given before, normal name to original; those stay, and their originals get the same again.
    """
    given = {original: normal for normal, original in known.items()}
    names: dict[str, str] = {}
    taken = set(known)
    rest = []
    for comic in comics:
        if comic in known:
            names[comic] = comic
        elif comic in given:
            names[comic] = given[comic]
        else:
            rest.append(comic)
    # A comic whose name is normal already keeps it, whatever other name would become the same.
    for comic in sorted(rest, key=lambda name: normal_name(titles[name]) != name):
        plain = normal_name(titles[comic])
        name, number = plain, 2
        while name in taken:
            name, number = f"{plain}-{number}", number + 1
        taken.add(name)
        names[comic] = name
    return names
