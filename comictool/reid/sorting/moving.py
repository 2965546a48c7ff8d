"""The file actions themselves: each leaves its destination whole or absent, and never replaces a file."""

from __future__ import annotations

import errno
import os
import shutil
from hashlib import blake2b
from pathlib import Path

CHUNK = 1 << 20


def content_digest(path: Path) -> str:
    """Hash of a file's content (blake2b, hexadecimal)."""
    digest = blake2b(digest_size=20)
    with open(path, "rb") as stream:
        while block := stream.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()


def copy_file(source: Path, destination: Path, staged: Path) -> None:
    """Copy content, times and permissions; the destination appears when all of it is there."""
    try:
        shutil.copyfile(source, staged)
        shutil.copystat(source, staged)
        os.rename(staged, destination)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise


def move_file(source: Path, destination: Path, staged: Path) -> None:
    """Rename, or on another disk copy whole and then remove the source."""
    try:
        os.rename(source, destination)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        copy_file(source, destination, staged)
        source.unlink()


def link_file(source: Path, destination: Path, staged: Path) -> None:
    """A symbolic link that names the source absolutely, so that the result folder may be moved."""
    os.symlink(source, destination)


def hardlink_file(source: Path, destination: Path, staged: Path) -> None:
    """A second name for the same content; both must be on one disk."""
    os.link(source, destination)


ACTIONS = {"copy": copy_file, "move": move_file, "symlink": link_file, "hardlink": hardlink_file}
