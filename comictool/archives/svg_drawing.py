"""Drawing SVG pages with resvg: offline, in a process of its own, with bounds on time, memory and size.

The drawing is written anew for resvg, with its pictures inside and every other address taken out, so that nothing in a
book can make it open a file. resvg itself knows no network and no scripts.
"""

from __future__ import annotations

import base64
import copy
import io
import re
import subprocess
from collections.abc import Callable, Sequence
from typing import Any
from xml.etree import ElementTree as ET

import cssselect2

from comictool.archives.epub_styles import Styles
from comictool.archives.markup import SVG, XLINK, link_of, name_of, parse_document
from comictool.archives.svg_marks import Marks, marks_of, view_of
from comictool.core.children import python_command, safe_environment
from comictool.core.errors import InputError, SetupError
from comictool.core.images import load_sound, orientation, upright, upright_rgb

Fetch = Callable[[str], bytes | None]  # a reference in the drawing to the bytes of a picture

LONG_SIDE = 2_000  # pixels of a page of lines and letters only: A4 at 170 dots per inch
MOST_PIXELS = 25_000_000  # as for pages of PDF
_MOST_SIDE = 30_000
_MOST_PICTURES = 500
_MOST_EMBEDDED = 192 * 1024 * 1024  # bytes of all pictures of one drawing; resvg decodes them all
_DEEPEST = 3  # drawings as pictures inside drawings
_WRITABLE = re.compile(r"(\{[^{}]*\})?[A-Za-z_][\w.-]*")
_LONGEST_SHEET = 100_000  # characters; a command line holds little more
_SECONDS = 60.0  # a page of 25 million pixels takes 2 s
# resvg gets the text on standard input; the memory it may take is bounded where the system can.
_CHILD = """
import sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
except (ImportError, ValueError, OSError):
    pass
import resvg_py
text = sys.stdin.buffer.read().decode()
done = resvg_py.svg_to_bytes(svg_string=text, background="#ffffff", style_sheet=sys.argv[1] or None)
sys.stdout.buffer.write(bytes(done))
"""


def draw(element: Any, fetch: Fetch, sheets: Sequence[str], most: int) -> tuple[bytes, str]:
    """A drawing as PNG on white, at the resolution of its finest picture, and what is wrong with it (mostly nothing).

    Args:
        element: its outermost `svg`.
        fetch: gives the pictures that it names, or None.
        sheets: style sheets of the document that it stands in.
        most: characters that a drawing inside it may have.

    Raises:
        InputError: it has no size, or cannot be drawn.
        SetupError: resvg is missing.
    """
    marks = marks_of(cssselect2.ElementWrapper.from_xml_root(element), Styles())
    if marks.size is None:
        raise InputError("a drawing (SVG) without a size")
    whole = _Writer(fetch, most).written(element)
    width, height = _pixels(marks, whole.sizes)
    sheet = "\n".join(sheets) if len("\n".join(sheets)) < _LONGEST_SHEET else ""
    drawn = _run(whole.text(width, height), sheet)
    # resvg leaves letters out without a word when this machine has no font for them.
    if marks.letters and drawn == _run(whole.without_letters().text(width, height), sheet):
        return drawn, "its letters are not drawn: no font for them on this machine"
    return drawn, ""


class _Writer:
    """Writes a drawing with its pictures inside.

    Attributes:
        root: the drawing.
        sizes: pixels of its pictures, by reference.
    """

    def __init__(self, fetch: Fetch, most: int, depth: int = 0) -> None:
        self.root: Any = None
        self.sizes: dict[str, tuple[int, int]] = {}
        self._fetch, self._most, self._depth = fetch, most, depth
        self._embedded: dict[str, str] = {}
        self._bytes = 0

    def written(self, element: Any) -> _Writer:
        """Take a drawing."""
        root = copy.deepcopy(element)
        root.tail = None
        for inner in root.iter():
            self._clean(inner)
        if root.get("viewBox") is None:
            view = view_of(root)
            if view:
                root.set("viewBox", " ".join(f"{number:g}" for number in view))
        self.root = root
        return self

    def text(self, width: int = 0, height: int = 0) -> str:
        """The drawing as it is written for a size in pixels."""
        if width and height:
            self.root.set("width", str(width))
            self.root.set("height", str(height))
        return ET.tostring(self.root, encoding="unicode")

    def without_letters(self) -> _Writer:
        """The same drawing, with all its letters taken out."""
        for parent in list(self.root.iter()):
            for inner in [inner for inner in parent if name_of(inner)[1] == "text"]:
                parent.remove(inner)
        return self

    def _clean(self, element: Any) -> None:
        space, name = name_of(element)
        if not isinstance(element.tag, str):
            return
        if space in ("", "svg", "html"):  # without namespace, or with a prefix that was never declared
            local = element.tag.rpartition("}")[2].rpartition(":")[2]
            element.tag = f"{{{SVG}}}{local if local.isalnum() else 'g'}"
        reference = link_of(element)
        for key in [key for key in element.attrib if key == "href" or key.endswith(("}href", ":href"))]:
            del element.attrib[key]
        for key in [key for key in element.attrib if not _WRITABLE.fullmatch(key)]:
            del element.attrib[key]  # a prefix without its namespace, or no name at all
        if name in ("script", "foreignobject"):
            element.clear()
        elif reference and reference.startswith("#"):
            element.set(f"{{{XLINK}}}href", reference)
        elif reference and name in ("image", "feimage"):
            inside = self._inside(reference)
            if inside:
                element.set(f"{{{XLINK}}}href", inside)

    def _inside(self, reference: str) -> str:
        if reference not in self._embedded:
            if len(self._embedded) >= _MOST_PICTURES:
                raise InputError(f"a drawing (SVG) of more than {_MOST_PICTURES} pictures")
            data = self._fetch(reference)
            if data is None:
                raise InputError(f"a drawing (SVG) whose picture {reference[:100]} is not there")
            self._embedded[reference] = self._encoded(reference, data)
            self._bytes += len(self._embedded[reference])
            if self._bytes > _MOST_EMBEDDED:
                raise InputError("a drawing (SVG) with too many pictures to be drawn")
        return self._embedded[reference]

    def _encoded(self, reference: str, data: bytes) -> str:
        if is_svg(data):
            if self._depth >= _DEEPEST:
                raise InputError("drawings (SVG) inside each other without end")
            inner = _Writer(self._fetch, self._most, self._depth + 1).written(parse_document(data, self._most))
            return "data:image/svg+xml;base64," + base64.b64encode(inner.text().encode()).decode()
        picture, data = load_sound(data)
        self.sizes[reference] = picture.size
        if (
            picture.format in ("PNG", "JPEG")
            and picture.mode in ("L", "RGB", "RGBA", "P")
            and orientation(picture) == 1
        ):
            kind = picture.format.lower()
        else:
            data, kind = _as_png(picture), "png"
        return f"data:image/{kind};base64," + base64.b64encode(data).decode()


def is_svg(data: bytes) -> bool:
    """Whether these are the bytes of a drawing."""
    start = data[:4000].replace(b"\0", b"").lower()
    return b"<svg" in start or b":svg" in start


def _as_png(picture: Any) -> bytes:
    stream = io.BytesIO()
    (upright(picture) if picture.mode == "RGBA" else upright_rgb(picture)).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def _pixels(marks: Marks, sizes: dict[str, tuple[int, int]]) -> tuple[int, int]:
    """Width and height of the drawn page: as fine as its finest picture, within what is allowed."""
    assert marks.size is not None
    width, height = marks.size
    finest = [
        max(sizes[reference][0] / drawn[0], sizes[reference][1] / drawn[1])
        for reference, drawn in zip(marks.pictures, marks.drawn, strict=True)
        if drawn and reference in sizes and drawn[0] > 0 and drawn[1] > 0
    ]
    scale = max(finest) if finest else LONG_SIDE / max(width, height)
    scale = min(scale, (MOST_PIXELS / (width * height)) ** 0.5, _MOST_SIDE / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _run(text: str, sheet: str) -> bytes:
    command = [*python_command(), "-c", _CHILD, sheet]
    try:
        done = subprocess.run(
            command, input=text.encode(), capture_output=True, timeout=_SECONDS, env=safe_environment(), check=False
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(f"a drawing (SVG) that takes longer than {_SECONDS:.0f} s") from error
    if done.returncode == 0 and done.stdout.startswith(b"\x89PNG"):
        return done.stdout
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    if any("No module named 'resvg_py'" in line for line in said):
        raise SetupError("resvg is missing, which draws SVG pages", hint="pip install resvg-py")
    raise InputError(f"a drawing (SVG) that cannot be drawn ({said[-1][:120] if said else done.returncode})")
