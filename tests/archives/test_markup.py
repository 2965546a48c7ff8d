"""Documents in any encoding, hostile and sloppy ones."""

from __future__ import annotations

import contextlib

import pytest

from comictool.archives.markup import decoded, parse_document
from comictool.core.errors import InputError


def test_entities_are_never_expanded_without_bound() -> None:
    bomb = '<!DOCTYPE html [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c SYSTEM "file:///etc/passwd">]>'
    text = "".join(parse_document(f"{bomb}<html><p>&a; &b; &c;</p></html>".encode(), 10_000).itertext())
    assert text == "aaaaaaaaaa &b; &c;"
    many = f'<!DOCTYPE html [<!ENTITY a "{"x" * 200}">]><html>{"&a;" * 100_000}</html>'
    assert len("".join(parse_document(many.encode(), 10**6).itertext())) < 2 * 1024 * 1024
    with pytest.raises(InputError, match="too many"):
        parse_document(b"<html>" + b"<p/>" * 10_000 + b"</html>", 10_000)
    assert parse_document(b'<html><img src="data:image/png;base64,' + b"A" * 20_000 + b'"/></html>', 10_000) is not None


def test_namespaces_out_of_entities() -> None:
    """As drawing programs write them."""
    text = '<!DOCTYPE svg PUBLIC "x" "y" [<!ENTITY ns_svg "http://www.w3.org/2000/svg">]><svg xmlns="&ns_svg;"/>'
    assert parse_document(text.encode(), 10_000).tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.parametrize("data", [b"\xff\xfea\0", b"\0<\0a", b"<\0a\0", "é".encode("latin-1"), b""])
def test_any_bytes_are_some_text(data: bytes) -> None:
    assert isinstance(decoded(data), str)


@pytest.mark.parametrize(
    "piece", ["<!--", "<![CDATA[", "<a ", "</", "<?", '<a b="', "<a \"'", "<script>", "<!DOCTYPE x [", "&x"]
)
def test_what_is_never_closed_takes_no_time(piece: str) -> None:
    """The parser of the standard library takes minutes for some of these when it gets them as they are."""
    with contextlib.suppress(InputError):
        parse_document(("<html><p>" + piece * 20_000).encode(), 10**6)


def test_brackets_in_quotes_are_no_tags() -> None:
    root = parse_document(
        b'<html><p>1 < 2 <br><img alt="a < b > c" src="x.jpg"><img src="y.jpg"> <!-- <img src=z> --></html>', 1000
    )
    assert [element.get("src") for element in root.iter() if element.get("src")] == ["x.jpg", "y.jpg"]
