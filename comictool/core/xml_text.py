"""Text for XML files: what XML cannot hold, and how to write the rest so that it is read back unchanged."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape, quoteattr

# XML 1.0 allows tab, line feed, carriage return and everything from U+0020 on, without surrogates and U+FFFE/FFFF.
_IMPOSSIBLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BREAKS = {"\r": "&#13;"}  # parsers turn a bare carriage return into a line feed


def plain_xml(text: str) -> str:
    """The text with what XML cannot hold replaced by U+FFFD."""
    return _IMPOSSIBLE.sub("\ufffd", text)


def element_text(text: str) -> str:
    """Text between tags."""
    return escape(plain_xml(text), _BREAKS)


def attribute(text: str) -> str:
    """An attribute value with its quotes; line breaks and tabs as references, for parsers make blanks of them."""
    return quoteattr(plain_xml(text), {"\r": "&#13;", "\n": "&#10;", "\t": "&#9;"})
