"""Contact sheets: pictures with captions and scores in one HTML file that opens anywhere.

Pressing a picture shows it large; that is CSS alone (`:target`), the file holds no script.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from comictool.core.errors import ComicError
from comictool.core.files import write_text
from comictool.core.images import Held
from comictool.report.page import escape, html_page, marked
from comictool.report.thumbnails import Thumbnail, side_for, thumbnail

MOST_TILES = 400  # beyond that thumbnails are too small to see anything

STYLE = """
.query { margin: 0 0 1rem; max-width: 22rem; }
.query figure { border-color: var(--mark); border-width: 2px; }
.tiles { list-style: none; margin: 0; padding: 0; display: grid; gap: .8rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 10rem), 1fr)); }
@media (min-width: 700px) {
  .tiles { gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); }
  .with-query { display: grid; grid-template-columns: 20rem 1fr; gap: 1.5rem; align-items: start; }
  .query { position: sticky; top: 1rem; } }
figure { margin: 0; height: 100%; background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  overflow: hidden; display: flex; flex-direction: column; }
figure a.open { display: flex; align-items: center; justify-content: center; background: #0001; min-height: 6rem;
  flex: 1; }
figure img { display: block; max-width: 100%; max-height: 22rem; width: auto; height: auto; margin: auto; }
.drawn-on { position: relative; display: inline-block; line-height: 0; margin: auto; }
.outlines { position: absolute; inset: 0; width: 100%; height: 100%; }
.outlines rect { fill: none; stroke: #e0218a; stroke-width: 3; vector-effect: non-scaling-stroke; }
.outlines text { fill: #e0218a; stroke: #fff; stroke-width: 4; paint-order: stroke; font-weight: 700;
  vector-effect: non-scaling-stroke; }
figure:target .drawn-on { height: 100%; }
figure .missing { padding: 1.2rem; color: var(--quiet); font-size: .85rem; flex: 1; }
figcaption { padding: .45rem .6rem .55rem; font-size: .85rem; }
figcaption strong { font-weight: 600; }
figcaption .line { display: block; color: var(--quiet); }
figcaption .score { float: right; margin-left: .5rem; color: var(--mark); font-variant-numeric: tabular-nums; }
figcaption svg { float: right; clear: right; height: 2.2rem; width: auto; max-width: 2.6rem; margin: .25rem 0 0 .5rem;
  overflow: visible; }
figcaption svg .page { fill: none; stroke: var(--quiet); stroke-width: 2; vector-effect: non-scaling-stroke; }
figcaption svg .panel { fill: var(--mark); }
a.close { display: none; }
figure:target { position: fixed; inset: 0; z-index: 2; border: 0; border-radius: 0; }
figure:target img { max-height: calc(100vh - 6rem); max-height: calc(100dvh - 6rem); width: 100%; height: 100%;
  object-fit: contain; }
figure:target a.close { display: block; position: absolute; inset: 0; z-index: 1; text-align: right;
  padding: .6rem 1rem; font-size: 1.6rem; line-height: 1; color: var(--ink); text-decoration: none; }
@media print { .query { position: static; } figure { break-inside: avoid; } }
"""


Shown: TypeAlias = Path | Held


@dataclass(frozen=True)
class Tile:
    """One picture of a sheet.

    Attributes:
        image: the page picture; unreadable ones are shown as a note.
        box: the part of it to show, in pixels; None for all.
        id: shown first, in bold.
        score: shown beside it; None for none.
        lines: further lines of the caption.
        said, spans: what is said there, after the lines, and the ranges of its characters that are marked.
        outlines: boxes to draw on a whole page, in pixels, numbered from 1.
    """

    image: Shown
    box: tuple[int, int, int, int] | None = None
    id: str = ""
    score: float | None = None
    lines: Sequence[str] = field(default_factory=tuple)
    said: str = ""
    spans: Sequence[tuple[int, int]] = field(default_factory=tuple)
    outlines: Sequence[tuple[int, int, int, int]] = field(default_factory=tuple)


def write_sheet(
    path: Path, *, title: str, tiles: Sequence[Tile], query: Tile | None = None, notes: Sequence[str] = ()
) -> int:
    """Write a contact sheet; returns how many of the pictures could not be shown.

    Args:
        path: the HTML file; replaced in one step.
        title: heading and title.
        tiles: in order; at most `MOST_TILES` are shown, and the sheet says so when there are more.
        query: shown first and apart.
        notes: lines under the heading.

    Raises:
        OSError: the file cannot be written.
    """
    shown = min(len(tiles), MOST_TILES)
    markup, missing = sheet_section(tiles, query=query, notes=notes, side=side_for(shown + (query is not None)))
    write_text(path, html_page(title, f"<h1>{escape(title)}</h1>\n<main>\n{markup}</main>\n", STYLE))
    return missing


def sheet_section(
    tiles: Sequence[Tile], *, query: Tile | None = None, notes: Sequence[str] = (), side: int, name: str = ""
) -> tuple[str, int]:
    """The markup of one group of tiles, for a page with `STYLE`; and how many pictures could not be shown.

    Args:
        tiles: in order; at most `MOST_TILES` are shown.
        query: shown first and apart.
        notes: lines above the tiles.
        side: longest side of a thumbnail in pixels.
        name: keeps the anchors of several sections on one page apart.
    """
    shown = tiles[:MOST_TILES]
    lines = [*notes]
    if len(tiles) > len(shown):
        lines.append(f"The first {len(shown)} of {len(tiles)} are shown.")
    if not shown:
        lines.append("Nothing was found.")
    parts = [f'<p class="quiet">{escape(line)}</p>\n' for line in lines]
    parts.append(f"<div{' class=with-query' if query else ''}>\n")
    missing = 0
    if query is not None:
        markup, bad = _figure(query, f"{name}query", side)
        missing += bad
        parts.append(f'<section class="query" id="to-{name}query" aria-label="Query">\n{markup}</section>\n')
    parts.append('<ol class="tiles">\n')
    for number, tile in enumerate(shown, start=1):
        markup, bad = _figure(tile, f"{name}{number}", side)
        missing += bad
        parts.append(f'<li id="to-{name}{number}">{markup}</li>\n')
    parts.append("</ol>\n</div>\n")
    return "".join(parts), missing


def _figure(tile: Tile, name: str, side: int) -> tuple[str, bool]:
    try:
        small = thumbnail(tile.image, tile.box, side)
    except ComicError as error:
        note = f'<div class="missing">{escape(tile.image.name)}: {escape(error.fact)}</div>'
        return f"<figure>{note}{_caption(tile, None)}</figure>", True
    text = escape(tile.id or tile.image.name)
    picture = f'<img src="{small.uri}" width="{small.width}" height="{small.height}" alt="{text}" loading="lazy">'
    if tile.outlines and tile.box is None:
        picture = f'<span class="drawn-on">{picture}{_outlines(tile, small)}</span>'
    opened = f'<a class="open" href="#show-{name}">{picture}</a>'
    closed = f'<a class="close" href="#to-{name}" aria-label="Close">\u2715</a>'
    return f'<figure id="show-{name}">{opened}{closed}{_caption(tile, small)}</figure>', False


def _outlines(tile: Tile, small: Thumbnail) -> str:
    """Numbered boxes over a page; the drawing is stretched with the picture under it."""
    letter = small.page_height / 14
    marks = []
    for number, (x0, y0, x1, y1) in enumerate(tile.outlines, start=1):
        marks.append(f'<rect x="{x0}" y="{y0}" width="{x1 - x0}" height="{y1 - y0}"/>')
        marks.append(f'<text x="{x0 + letter / 4:.0f}" y="{y0 + letter:.0f}" font-size="{letter:.0f}">{number}</text>')
    box = f"0 0 {small.page_width} {small.page_height}"
    return f'<svg class="outlines" viewBox="{box}" preserveAspectRatio="none" aria-hidden="true">{"".join(marks)}</svg>'


def _caption(tile: Tile, small: Thumbnail | None) -> str:
    return f"<figcaption>{''.join(_caption_parts(tile, small))}</figcaption>"


def _caption_parts(tile: Tile, small: Thumbnail | None) -> Iterator[str]:
    if tile.score is not None:
        yield f'<span class="score">{tile.score:.3f}</span>'
    if small is not None and tile.box is not None:
        x0, y0, x1, y1 = tile.box
        yield (
            f'<svg viewBox="0 0 {small.page_width} {small.page_height}" role="img" aria-label="place on the page">'
            f'<rect class="panel" x="{x0}" y="{y0}" width="{x1 - x0}" height="{y1 - y0}"/>'
            f'<rect class="page" width="{small.page_width}" height="{small.page_height}"/></svg>'
        )
    if tile.id:
        yield f"<strong>{escape(tile.id)}</strong>"
    for line in tile.lines:
        yield f'<span class="line">{escape(line)}</span>'
    if tile.said:
        yield f'<span class="line">{marked(tile.said, tile.spans)}</span>'
