"""Pages with everybody's identity drawn on them.

Colours are those of Okabe and Ito, which people who see colours differently tell apart. Eight are not enough for a
book: each further round has another outline, and every box bears the number that the legend explains.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from comictool.assigning.instances import Instance
from comictool.core.errors import ComicError
from comictool.core.files import write_bytes
from comictool.core.images import decode
from comictool.core.jobs import Problem
from comictool.corpus.records import Box, PageRecord
from comictool.corpus.views import CorpusView

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
# Okabe and Ito, Color Universal Design (2008), less black and with grey for it.
COLOURS: tuple[Colour, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
    (153, 153, 153),
)
DASHES: tuple[tuple[int, ...], ...] = ((), (14, 7), (4, 5), (14, 5, 4, 5))  # in widths / 3: whole, dashed, dotted, both
SIDE = 1600  # pixels of a page's longer side; larger pages are shrunk
NONE: Colour = (0, 0, 0)
PAPER, TEXT = (255, 255, 255), (20, 20, 20)
LONGEST = 28  # letters of a name in the legend


def mark_of(number: int) -> tuple[Colour, tuple[int, ...]]:
    """Colour and dashes of the n-th identity, from 0."""
    return COLOURS[number % len(COLOURS)], DASHES[number // len(COLOURS) % len(DASHES)]


def draw_pages(
    view: CorpusView,
    records: Sequence[PageRecord],
    instances: Sequence[Instance],
    names: Sequence[str | None],
    folder: Path,
) -> list[Problem]:
    """Draw every page on which somebody stands, as `folder/page-<n>.jpg`; gives what could not be drawn.

    Args:
        names: of the instances; the numbers go by their first appearance in the comic.
    """
    numbers = {name: number for number, name in enumerate(dict.fromkeys(n for n in names if n is not None))}
    problems = []
    for record in records:
        own = [(i, name) for i, name in zip(instances, names, strict=True) if i.page == record.page]
        if not own:
            continue
        try:
            picture = draw_page(decode(view.picture(record)), record, own, numbers)
        except ComicError as error:
            problems.append(Problem(record.id, error.fact))
            continue
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=88)
        write_bytes(folder / f"page-{record.page}.jpg", stream.getvalue())
    return problems


def draw_page(
    picture: Image.Image, record: PageRecord, own: Sequence[tuple[Instance, str | None]], numbers: dict[str, int]
) -> Image.Image:
    """One page with boxes and a legend below."""
    from PIL import Image, ImageDraw, ImageFont

    scale = min(1.0, SIDE / max(picture.size))
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    line, text = max(2, round(max(size) / 400)), max(11, round(max(size) / 75))
    font = ImageFont.load_default(text)
    shown = sorted({name for _, name in own if name is not None}, key=numbers.__getitem__)
    columns = max(1, size[0] // (text * 14))
    rows = -(-(len(shown) + any(name is None for _, name in own)) // columns)
    whole = Image.new("RGB", (size[0], size[1] + round((rows + 0.5) * text * 1.6)), PAPER)
    whole.paste(picture.convert("RGB").resize(size, Image.Resampling.LANCZOS), (0, 0))
    pen = ImageDraw.Draw(whole)
    factors = size[0] / max(1, record.width), size[1] / max(1, record.height)
    for instance, name in own:
        colour, dashes = (NONE, DASHES[2]) if name is None else mark_of(numbers[name])
        label = "?" if name is None else str(numbers[name] + 1)
        for box in (instance.body, instance.face):
            if box is not None:
                _outline(pen, _scaled(box, factors), colour, dashes, line)
        _tag(pen, _scaled(instance.body or instance.face or (0, 0, 1, 1), factors), label, colour, font, text)
    entries = [(str(numbers[name] + 1), name, *mark_of(numbers[name])) for name in shown]
    if any(name is None for _, name in own):
        entries.append(("?", "nothing to compare", NONE, DASHES[2]))
    for place, (label, name, colour, dashes) in enumerate(entries):
        x = (place % columns) * size[0] // columns + text // 2
        y = size[1] + round((place // columns + 0.35) * text * 1.6)
        _outline(pen, (x, y, x + 2 * text, y + text), colour, dashes, line)
        pen.text((x + 2.5 * text, y - 1), f"{label}  {_latin(name)}", fill=TEXT, font=font)
    return whole


def _scaled(box: Box, factors: tuple[float, float]) -> tuple[int, int, int, int]:
    x, y = factors
    return round(box[0] * x), round(box[1] * y), round(box[2] * x) - 1, round(box[3] * y) - 1


def _outline(
    pen: ImageDraw.ImageDraw, box: tuple[int, int, int, int], colour: Colour, dashes: tuple[int, ...], line: int
) -> None:
    x0, y0, x1, y1 = box
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
    for first, second in pairwise(corners):
        pen.line([first, second], fill=PAPER, width=line + 2)  # seen on dark drawings too
        for begin, end in _dashed(first, second, dashes, line / 3):
            pen.line([begin, end], fill=colour, width=line)


def _dashed(
    first: tuple[int, int], second: tuple[int, int], dashes: tuple[int, ...], unit: float
) -> Iterator[tuple[tuple[float, float], tuple[float, float]]]:
    length = float(abs(second[0] - first[0]) + abs(second[1] - first[1]))  # lines go along the sides
    if not dashes or length < 1:
        yield first, second
        return
    step = ((second[0] - first[0]) / length, (second[1] - first[1]) / length)
    at, place = 0.0, 0
    while at < length:
        end = min(length, at + dashes[place % len(dashes)] * unit)
        if place % 2 == 0:
            yield (
                (first[0] + step[0] * at, first[1] + step[1] * at),
                (first[0] + step[0] * end, first[1] + step[1] * end),
            )
        at, place = end, place + 1


def _tag(
    pen: ImageDraw.ImageDraw,
    box: tuple[int, int, int, int],
    label: str,
    colour: Colour,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    text: int,
) -> None:
    width = round(pen.textlength(label, font=font)) + text // 2
    x, y = max(0, box[0]), max(0, box[1])
    pen.rectangle((x, y, x + width, y + round(text * 1.3)), fill=PAPER, outline=colour, width=2)
    pen.text((x + text // 4, y), label, fill=TEXT, font=font)


def _latin(name: str) -> str:
    """A name in letters that Pillow's own font has."""
    if not name.isascii():
        from anyascii import anyascii

        name = anyascii(name)
    plain = "".join(c if c.isprintable() else "?" for c in name)
    return plain if len(plain) <= LONGEST else plain[: LONGEST - 3] + "..."


def write_pages_sheet(output: Path) -> Path:
    """One HTML page of all drawn pages below `output/pages`; returns its file."""
    from comictool.core.names import natural_key
    from comictool.report.sheet import Tile, write_sheet

    pages = sorted(
        (output / "pages").glob("*/page-*.jpg"), key=lambda path: natural_key(f"{path.parent.name}/{path.name}")
    )
    tiles = [Tile(path, id=f"{path.parent.name}/{path.stem.removeprefix('page-')}") for path in pages]
    write_sheet(output / "identities.html", title="Identities", tiles=tiles)
    return output / "identities.html"
