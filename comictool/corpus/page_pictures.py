"""The one door to page pictures: a file of the corpus, or a page in the comic file that it was imported from.

`Corpus.picture(record)` gives either; both have a `name` and `read_bytes()`, and `core.images` decodes both. A page
that is kept by reference is read out of its comic file, of which each process keeps the last few open. What comes out
has the content that was imported, or it is refused: so a comic file that changed is told, and a corpus from somebody
else, whose records may name any file, shows nothing that its author did not have.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict, defaultdict
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from comictool.core.errors import InputError
from comictool.core.files import state_of

if TYPE_CHECKING:
    from comictool.archives.members import Member
    from comictool.archives.opening import ComicArchive

KEPT, BY_REFERENCE, BY_COPY = "kept", "reference", "copy"  # of a page record; and what `corpus.toml` says of new ones
KEEPS = (BY_COPY, BY_REFERENCE)
BY_CONTENT = "content "  # how the state of a picture begins that only its content tells
KINDS = ("zip", "tar", "image")  # of files whose members are read one by one, without unpacking the others
OPEN = 4  # comic files that a process keeps open; readers go comic by comic
DIGEST_BYTES = 16


def picture_digest(data: bytes) -> str:
    """What a page record remembers of its picture's content."""
    return blake2b(data, digest_size=DIGEST_BYTES).hexdigest()


@dataclass(frozen=True)
class MemberPicture:
    """A page in the comic file or folder that it was imported from. It can be pickled.

    Attributes:
        source: the file or folder.
        member: what the page is called in there.
        digest: of its content; nothing else is ever handed out.
        name: of the file that a copy would be, such as `page-3.jpg`.
        nested: for a folder: whether the folders below belong to the comic.
    """

    source: Path
    member: str
    digest: str
    name: str
    nested: bool = True

    def __str__(self) -> str:
        return f"{self.source}!{self.member}"

    def is_there(self) -> bool:
        """Whether the comic file is; nothing in it is looked at."""
        return self.source.exists()

    def read_bytes(self) -> bytes:
        """The encoded picture.

        Raises:
            InputError: the comic file is gone, cannot be read, or does not hold this picture any more.
        """
        if not self.is_there():
            raise InputError(f"{self.source}, which holds it, is gone", hint=_AGAIN)
        for opened in (_opened(self.source, self.nested), None):
            # The list of a folder that a process has may be older than what is in there.
            archive = opened or _opened(self.source, self.nested, anew=True)
            for data in archive.read(self.member):
                if picture_digest(data) == self.digest:
                    return data
        raise InputError(f"{self.member} in {self.source} is not what was imported", hint=_AGAIN)


PagePicture: TypeAlias = Path | MemberPicture
_AGAIN = "import the comics again, from where they are now"


def is_there(picture: PagePicture) -> bool:
    """Whether the file of a page picture is there."""
    return picture.is_file() if isinstance(picture, Path) else picture.is_there()


def state_of_picture(picture: PagePicture) -> str:
    """Changes whenever a picture does: size and time of change of a file, the content of a page kept by reference.

    Raises:
        OSError: the file is gone or cannot be looked at.
    """
    return state_of(picture.stat()) if isinstance(picture, Path) else f"{BY_CONTENT}{picture.digest}"


class _Opened:
    """A comic file that is open, its pages by name. It is closed when nobody holds it any more."""

    def __init__(self, source: Path, nested: bool) -> None:
        self._lock = threading.Lock()
        # The context is never left by hand: dropping it closes the file, in whichever thread reads last.
        self._context, comic = _open(source, nested)
        self._comic = comic
        self._members: defaultdict[str, list[Member]] = defaultdict(list)
        from comictool.archives.members import printable

        for member in comic.members:
            self._members[printable(member.name)].append(member)

    def read(self, name: str) -> list[bytes]:
        """The content of the members of this name, mostly one; those that cannot be read are left out."""
        found = []
        with self._lock:
            for member in self._members.get(name, ()):
                try:
                    found.append(self._comic.read(member))
                except InputError:
                    continue
        return found


def _open(source: Path, nested: bool) -> tuple[AbstractContextManager[ComicArchive], ComicArchive]:
    from comictool.archives.opening import open_comic
    from comictool.archives.sniffing import kind_of_file

    if not source.is_dir() and (not source.is_file() or kind_of_file(source) not in KINDS):
        raise InputError(f"{source} is nothing whose pages are read singly", hint=_AGAIN)
    context = open_comic(source, nested=nested, text_books=True)
    return context, context.__enter__()


_cache: OrderedDict[tuple[int, Path, bool, str], _Opened] = OrderedDict()
_cache_lock = threading.Lock()


def _opened(source: Path, nested: bool, *, anew: bool = False) -> _Opened:
    try:
        # A forked worker shares the place in an open file with its parent, so each process opens its own.
        key = (os.getpid(), source, nested, state_of(source.stat()))
        with _cache_lock:
            if not anew and key in _cache:
                _cache.move_to_end(key)
                return _cache[key]
        opened = _Opened(source, nested)
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror or error}") from error
    with _cache_lock:
        _cache[key] = opened
        while len(_cache) > OPEN:
            _cache.popitem(last=False)
    return opened
