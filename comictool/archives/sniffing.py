"""What kind of file something is, by its first bytes. Endings lie: RAR files named cbz are common."""

from __future__ import annotations

from pathlib import Path
from typing import Final

HEAD: Final = 1100  # the PDF marker may stand anywhere in the first kilobyte

_MAGIC: Final = (
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),  # without entries
    (b"PK\x07\x08", "zip"),  # split marker of a one-part archive
    (b"Rar!\x1a\x07\x00", "rar"),
    (b"Rar!\x1a\x07\x01\x00", "rar"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"\x1f\x8b", "tar.gz"),
    (b"BZh", "tar.bz2"),
    (b"\xfd7zXZ\x00", "tar.xz"),
    (b"\xff\xd8\xff", "image"),
    (b"\x89PNG\r\n\x1a\n", "image"),
    (b"GIF8", "image"),
    (b"II*\x00", "image"),
    (b"MM\x00*", "image"),
    (b"\x00\x00\x00\x0cjP  ", "image"),
    (b"\xff\x4f\xff\x51", "image"),
    (b"\x00\x00\x01\x00", "image"),
    (b"\xff\x0a", "image"),
    (b"\x00\x00\x00\x0cJXL ", "image"),
)


def kind_of_bytes(head: bytes) -> str:
    """The kind of a file with these first `HEAD` bytes.

    Returns:
        `zip`, `rar`, `7z`, `tar`, `tar.gz`, `tar.bz2`, `tar.xz`, `pdf`, `image`, `empty`, `html` or `unknown`.
        An EPUB is a `zip` here: only its table of contents tells.
    """
    if not head:
        return "empty"
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image"
    if head[4:8] == b"ftyp" and head[8:12] in (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1"):
        return "image"
    if head[257:262] == b"ustar" or _is_old_tar(head):
        return "tar"
    if b"%PDF-" in head[:1024]:
        return "pdf"
    text = head[:200].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "html"
    if head.startswith(b"BM") or (head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace()):
        return "image"
    return "unknown"


def kind_of_file(path: Path) -> str:
    """The kind of a file; see `kind_of_bytes`. OSError passes through."""
    with open(path, "rb") as stream:
        return kind_of_bytes(stream.read(HEAD))


def _is_old_tar(head: bytes) -> bool:
    """A tar header without a marker: its checksum field must match (the sum with that field as blanks)."""
    if len(head) < 512 or not head[0]:
        return False
    try:
        declared = int(head[148:156].split(b"\0")[0].strip() or b"-1", 8)
    except ValueError:
        return False
    return declared == sum(head[:148]) + 8 * 32 + sum(head[156:512])
