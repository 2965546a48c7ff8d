"""Names of ZIP members: by the UTF-8 flag, by the Unicode path field of Info-ZIP, or guessed from all of them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from comictool.archives.legacy_names import decoded

UTF8_FLAG = 0x800
_UNICODE_PATH = 0x7075  # APPNOTE.TXT 4.6.9


@dataclass(frozen=True)
class StoredName:
    """A name as a ZIP header has it: its bytes, the flags, and the extra fields."""

    raw: bytes
    flags: int
    extra: bytes


def member_names(stored: Sequence[StoredName]) -> list[str]:
    """The names as text, each cut at a zero byte as the standard library does."""
    names = [_declared(one) for one in stored]
    guessed = iter(decoded(one.raw for one, name in zip(stored, names, strict=True) if name is None))
    return [(next(guessed) if name is None else name).partition("\0")[0] for name in names]


def _declared(stored: StoredName) -> str | None:
    """What the header says for certain; None when that is nothing."""
    raw = stored.raw
    for field in (raw if stored.flags & UTF8_FLAG else None, _unicode_path(stored)):
        if field is not None:
            try:
                return field.decode("utf-8")
            except UnicodeDecodeError:
                continue
    return raw.decode("ascii") if raw.isascii() else None


def _unicode_path(stored: StoredName) -> bytes | None:
    """The name in the extra field; it counts only while its checksum is that of the plain name."""
    extra, at = stored.extra, 0
    while at + 4 <= len(extra):
        tag, size = struct.unpack_from("<HH", extra, at)
        body = extra[at + 4 : at + 4 + size]
        if tag == _UNICODE_PATH and len(body) == size > 5 and body[0] == 1:
            (checksum,) = struct.unpack_from("<I", body, 1)
            return body[5:] if checksum == zlib.crc32(stored.raw) else None
        at += 4 + size
    return None
