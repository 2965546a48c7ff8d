"""Writers of archives that no library writes: ZIP headers at will, and RAR 5 with members that are only stored."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

UTF8 = 0x800


@dataclass
class Entry:
    """A ZIP member. `local` is the name in the header before it, when that is not the one of the table."""

    name: bytes
    data: bytes
    flags: int = 0
    local: bytes | None = None
    extra: bytes = b""
    method: int = 0
    mode: int = 0


def unicode_path(name: str, plain: bytes) -> bytes:
    """The extra field of Info-ZIP that holds the name in UTF-8 beside a plain one."""
    body = struct.pack("<BI", 1, zlib.crc32(plain)) + name.encode()
    return struct.pack("<HH", 0x7075, len(body)) + body


def write_zip(path: Path, entries: Sequence[Entry]) -> Path:
    """A ZIP with these entries; data of another method than 0 (stored) and 8 (deflated) is written as it is."""
    out, table = bytearray(), bytearray()
    for entry in entries:
        squeeze = zlib.compressobj(wbits=-15)
        packed = squeeze.compress(entry.data) + squeeze.flush() if entry.method == 8 else entry.data
        local = entry.name if entry.local is None else entry.local
        sizes = struct.pack("<III", zlib.crc32(entry.data), len(packed), len(entry.data))
        start = struct.pack("<HHHHH", 20, entry.flags, entry.method, 0, 0x21)
        place = len(out)
        out += b"PK\x03\x04" + start + sizes + struct.pack("<HH", len(local), 0) + local + packed
        table += b"PK\x01\x02" + struct.pack("<H", 0x314) + start + sizes
        table += struct.pack("<HHHHHII", len(entry.name), len(entry.extra), 0, 0, 0, entry.mode << 16, place)
        table += entry.name + entry.extra
    end = struct.pack("<HHHHIIH", 0, 0, len(entries), len(entries), len(table), len(out), 0)
    path.write_bytes(bytes(out + table) + b"PK\x05\x06" + end)
    return path


@dataclass
class Stored:
    """A RAR 5 member, or a reference to another one.

    `kind` of a reference: 1 symbolic link, 4 hard link, 5 copy.
    """

    name: str
    data: bytes = b""
    target: str = ""
    kind: int = 5


def write_rar(path: Path, members: Sequence[Stored], volume_bytes: int = 0) -> list[Path]:
    """A RAR 5 archive; with `volume_bytes`, in volumes `NAME.part1.rar`... that hold so much packed data each."""
    volumes: list[bytearray] = [bytearray()]
    room = volume_bytes or 1 << 60
    for member in members:
        at, before = 0, False
        while True:
            piece = member.data[at : at + room]
            at += len(piece)
            room -= len(piece)
            after = at < len(member.data)
            volumes[-1] += _rar_file(member, piece, before, after)
            if not after:
                break
            volumes.append(bytearray())
            room, before = volume_bytes, True
    paths = []
    for number, blocks in enumerate(volumes):
        several = len(volumes) > 1
        flags = _vint(several) if number == 0 else _vint(3) + _vint(number)
        whole = b"Rar!\x1a\x07\x01\x00" + _rar_block(b"\x01\x00" + flags) + bytes(blocks)
        whole += _rar_block(b"\x05\x00" + _vint(number + 1 < len(volumes)))
        paths.append(path.with_name(f"{path.stem}.part{number + 1}.rar") if several else path)
        paths[-1].write_bytes(whole)
    return paths


def _rar_file(member: Stored, piece: bytes, before: bool, after: bool) -> bytes:
    checksum = zlib.crc32(piece if after else member.data)
    name = member.name.encode()
    extra = b""
    if member.target:
        target = member.target.encode()
        body = _vint(5) + _vint(member.kind) + _vint(0) + _vint(len(target)) + target
        extra = _vint(len(body)) + body
    head = _vint(2) + _vint(2 | bool(extra) | before << 3 | after << 4)
    head += _vint(len(extra)) if extra else b""
    head += _vint(len(piece)) + _vint(4) + _vint(len(member.data)) + _vint(0o100644) + struct.pack("<I", checksum)
    return _rar_block(head + _vint(0) + _vint(1) + _vint(len(name)) + name + extra) + piece


def _rar_block(head: bytes) -> bytes:
    body = _vint(len(head)) + head
    return struct.pack("<I", zlib.crc32(body)) + body


def _vint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
