"""Which members of an archive or folder are its pages, in reading order; every other that may have been one is told."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence

from comictool.archives.container import Container, Link
from comictool.archives.limits import Limits
from comictool.archives.members import (
    ARCHIVE_ENDINGS,
    Member,
    components,
    ending,
    is_drawing,
    is_junk,
    is_page,
    is_unnamed,
    page_key,
    printable,
)
from comictool.archives.sniffing import HEAD, kind_of_bytes
from comictool.core.errors import InputError

_COMICS = {"zip", "rar", "7z", "tar", "pdf"}
_LONGEST_CHAIN = 40  # links to links, as in Linux
# Backups and unfinished downloads of a page that is there.
_COPIES = {"bak", "old", "orig", "tmp", "part", "backup"}


def select_pages(container: Container, entries: Sequence[Member], limits: Limits) -> list[Member]:
    """The pages in natural order of their names, whatever order the archive has them in; see `page_key`.

    Pages are members with the ending of a picture, members without a telling ending that hold one, links to members,
    and drawings that cannot be read here (they fail by themselves) unless they are there as a picture too. Of several
    with one name the last counts, as for every unpacking program. What is left out is added to the problems of the
    container: comic files inside, links that lead nowhere, and those of one name that differ.
    """
    wanted = [*entries, *_linked(container, entries)]
    pages = [member for member in wanted if is_page(member.name)]
    pictured = {_stem(member.name) for member in pages}
    unnamed = sum(m.size for m in wanted if is_unnamed(m.name) and m.size <= limits.member_bytes)
    if unnamed > limits.total_bytes:  # they are unpacked to be looked at
        raise InputError(f"members without an ending that unpack to {unnamed:,} bytes: this looks like a zip bomb")
    for member in wanted:
        if is_junk(member.name):
            continue
        if is_drawing(member.name) and _stem(member.name) not in pictured:
            pages.append(member)
        elif ending(member.name) in ARCHIVE_ENDINGS:
            _tell_inner(container, member)
        elif _is_hidden_page(container, member, pictured, limits):
            pages.append(member)
    latest: dict[str, Member] = {}
    for member in pages:
        earlier = latest.get(member.name)
        if earlier is not None and not _same(container, earlier, member, limits):
            container.problems.append(f"{printable(member.name)}: two members have this name; the later one is read")
        latest[member.name] = member
    return sorted(latest.values(), key=lambda member: page_key(member.name))


def _linked(container: Container, entries: Sequence[Member]) -> list[Member]:
    """Links as further members with the content of those that they lead to; others are told where pages are meant."""
    files = {_path(member.name): member for member in entries}
    links = {_path(link.name): link for link in container.links}
    out = []
    for link in container.links:
        target = _target(link, links, files)
        if target is not None:
            out.append(Member(link.name, target.size, target.index, target.packed))
        elif is_page(link.name) or is_unnamed(link.name):
            container.problems.append(f"{printable(link.name)}: it leads to no file in here; links are not followed")
    return out


def _target(link: Link, links: dict[str, Link], files: dict[str, Member]) -> Member | None:
    for _ in range(_LONGEST_CHAIN):
        if link.target is None or (link.target.startswith("/") and not link.hard):
            return None
        folder = "" if link.hard else posixpath.dirname(_path(link.name))
        path = _path(posixpath.join(folder, link.target.replace("\\", "/")))
        if path in files:
            return files[path]
        if path not in links:
            return None
        link = links[path]
    return None


def _path(name: str) -> str:
    return posixpath.normpath("/".join(components(name)))


def _stem(name: str) -> str:
    return name.rpartition(".")[0].casefold()


def _is_copy(name: str, pictured: Iterable[str]) -> bool:
    plain = name.removesuffix("~") if name.endswith("~") else name.rpartition(".")[0]
    return (name.endswith("~") or ending(name) in _COPIES) and is_page(plain) and _stem(plain) in pictured


def _tell_inner(container: Container, member: Member) -> None:
    container.problems.append(f"{printable(member.name)}: a comic file inside; unpack it and import that by itself")


def _is_hidden_page(container: Container, member: Member, pictured: Iterable[str], limits: Limits) -> bool:
    """Whether a member whose name says nothing holds a picture, and not a backup of one that is a page."""
    if not is_unnamed(member.name) or not member.size or _is_copy(member.name, pictured):
        return False
    try:
        limits.check_member(member.size, member.packed)
        kind = kind_of_bytes(container.read(member)[:HEAD])
    except InputError as error:
        if not ending(member.name):
            container.problems.append(f"{printable(member.name)}: perhaps a page: {error.fact}")
        return False
    if kind in _COMICS:
        _tell_inner(container, member)
    return kind == "image"


def _same(container: Container, one: Member, other: Member, limits: Limits) -> bool:
    if one.index == other.index or one.size != other.size:
        return one.index == other.index
    try:
        limits.check_member(one.size, one.packed)
        return container.read(one) == container.read(other)
    except InputError:
        return False
