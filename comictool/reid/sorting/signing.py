"""A journal that this user wrote can be told from one that came with somebody's folder: its lines are signed.

`undo` moves files to wherever a journal says they were, so a forged one could put a file anywhere. A key that only
this user can read lies in the settings folder; every line carries a keyed hash of itself and of the line before it
(BLAKE2 as a MAC, https://www.rfc-editor.org/rfc/rfc7693), so no line can be changed, added or left out in between.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import re
import secrets
from hashlib import blake2b
from pathlib import Path

from comictool.core.files import TEMPORARY_SUFFIX, read_bounded, remove_left
from comictool.plugins.trust import config_folder

KEY_FILE = "journal.key"
KEY_BYTES = 32
_SIGNED = re.compile(rb'(.*),"mac":"([0-9a-f]{32})"\}\n', re.DOTALL)


def user_key() -> bytes:
    """The key of this user, made at its first use; empty when the settings folder cannot hold one."""
    file = config_folder() / KEY_FILE
    if not file.exists():
        try:
            _make(file)
        except OSError:
            return b""  # a journal without a signature: undo asks before it believes it
    key: bytes = read_bounded(file, what="the key of this user's journals", most_bytes=KEY_BYTES)
    return key


def _make(file: Path) -> None:
    """Whole or absent, and never replaced: another process may have made one meanwhile, and signed with it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{KEY_FILE}.{os.getpid()}{TEMPORARY_SUFFIX}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
        stream.write(secrets.token_bytes(KEY_BYTES))
    # Missing when another process, whose key is there by then, took it for one that a kill left.
    with contextlib.suppress(FileExistsError, FileNotFoundError):
        os.link(temporary, file)
    remove_left(file)


class Chain:
    """Signs, or checks, the lines of one journal in their order. `sound` while every line was signed by this user."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._last = b""
        self.sound = bool(key)

    def sign(self, line: bytes) -> bytes:
        """A JSON object on a line of its own, with its hash as last entry; unchanged without a key."""
        body = line.removesuffix(b"}\n")
        if not self._key:
            return line
        self._last = self._hash(body)
        return body + b',"mac":"' + self._last + b'"}\n'

    def check(self, line: bytes) -> None:
        """Look at the next line of a journal that is being read."""
        found = _SIGNED.fullmatch(line)
        expected = self._hash(found[1]) if found else b""
        self.sound = self.sound and found is not None and hmac.compare_digest(expected, found[2])
        self._last = found[2] if found else b""

    def _hash(self, body: bytes) -> bytes:
        return blake2b(self._last + body, key=self._key, digest_size=16).hexdigest().encode()
