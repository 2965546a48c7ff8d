"""How much an archive may hold and unpack to. Everything declared is checked before it is read, and again while."""

from __future__ import annotations

from dataclasses import dataclass

from comictool.core.errors import InputError
from comictool.core.images import MAX_BYTES

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """Bounds on one comic file.

    Attributes:
        entries: entries of any kind; a 500-chapter webtoon has some 30,000.
        member_bytes: one unpacked member; no picture file is larger than `core.images` accepts.
        total_bytes: all that is unpacked; the largest scanned omnibus editions reach 4 GiB.
        free_bytes: below this no ratio is asked for: blank pages kept as BMP shrink a thousandfold and are harmless.
        ratio: above `free_bytes`, how many times its own size a file may unpack to. Comics reach about 20 (BMP or
            TIFF pages); a zip bomb starts at several hundred.
        document_bytes: one text document (ComicInfo.xml, an EPUB chapter); it is parsed as a whole.
        extract_seconds: how long an external extractor may take for one comic.
    """

    entries: int = 100_000
    member_bytes: int = MAX_BYTES
    total_bytes: int = 16 * 1024 * MEBIBYTE
    free_bytes: int = 256 * MEBIBYTE
    ratio: int = 200
    document_bytes: int = 8 * MEBIBYTE
    extract_seconds: float = 900.0

    def allowance(self, file_bytes: int) -> int:
        """How many bytes a comic file of `file_bytes` may unpack to."""
        return min(self.total_bytes, max(self.free_bytes, self.ratio * file_bytes))

    def check_entries(self, count: int) -> None:
        """Raise InputError when an archive lists too many entries."""
        if count > self.entries:
            raise InputError(f"it lists {count:,} entries, more than the {self.entries:,} allowed")

    def check_member(self, size: int, packed: int | None) -> None:
        """Raise InputError when a member declares too many bytes, or far too many for what it takes up packed."""
        if size > self.member_bytes:
            raise InputError(f"unpacks to {size:,} bytes, more than the {self.member_bytes:,} allowed for one picture")
        if packed is not None and size > self.member_bytes // 8 and size > self.ratio * max(1, packed):
            raise InputError(f"{packed:,} bytes that unpack to {size:,}: this looks like a zip bomb")

    def check_total(self, total: int, file_bytes: int) -> None:
        """Raise InputError when the members together unpack to more than the allowance."""
        if total > self.allowance(file_bytes):
            raise InputError(
                f"{file_bytes:,} bytes that unpack to {total:,}: this looks like a zip bomb",
                cause=f"at most {self.allowance(file_bytes):,} are allowed",
            )


DEFAULT_LIMITS = Limits()
