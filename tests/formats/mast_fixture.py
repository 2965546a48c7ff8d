"""A corpus in MAST layout that holds every trap of the research recipe, and the same one in the native layout.

Every panel is a flat colour of its own and every character a flat colour on it, so that a test can tell by looking at a
crop where it was cut. Pages are PNG data under the published name `page-<n>.jpg`: lossless, and content decides.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageDraw

from comictool.corpus.corpus import Corpus
from comictool.corpus.views import CorpusView
from comictool.formats.registry import open_any

WIDTH, HEIGHT = 240, 320
PLAIN = "Plain_Comic"
SPACED = "Science Comics 001"
QUOTED = 'Tintin "L\'Île Noire"'
ACCENTED = "Café é"
ALIKE_A, ALIKE_B = "What If?", "What If!"  # both become what_if-
KANJI = "鋼の 錬金術師"
FIRST_COLOUR = 40

Box = tuple[float, float, float, float]


@dataclass
class Figure:
    """A character region: identity, box, and what the emotions file says."""

    identity: str
    box: Box
    region: str = ""
    valence: str = ""
    arousal: str = ""


@dataclass
class Page:
    """A page: panels in reading order (a list of points is a polygon), figures, and how its picture is stored."""

    number: int
    panels: list[Box | list[tuple[float, float]]]
    figures: list[Figure] = field(default_factory=list)
    mode: str = "RGB"
    missing: bool = False


def comics() -> dict[str, list[Page]]:
    """All comics of the fixture with their pages."""
    grid: list[Box | list[tuple[float, float]]] = [
        (5 + 46 * (n % 5), 5 + 62 * (n // 5), 45 + 46 * (n % 5), 60 + 62 * (n // 5)) for n in range(25)
    ]
    top, bottom, inset = (10, 10, 230, 150), (10, 160, 230, 310), (150, 170, 220, 240)
    polygon = [(10.0, 10.5), (120.25, 5.75), (118.0, 150.0), (12.0, 148.9)]
    return {
        PLAIN: [
            Page(1, [top, bottom], [Figure("7", (20, 20, 60, 80), "r1", "Slighly Negative", "3")]),
            Page(2, [top, bottom], [Figure("7", (30, 30, 70, 90), "r2", "Slightly Negative", "2.0")]),
            Page(3, [top, bottom], [Figure("7", (30, 30, 70, 90), "r3", "Positive", "much")]),
        ],
        SPACED: [
            Page(1, grid, [Figure("1", grid_box(grid[20]), "r4")]),
            Page(2, [top, bottom], mode="L"),
            Page(10, [top, bottom], [Figure("1", (20, 200, 50, 240), "r5")]),
        ],
        QUOTED: [
            Page(
                1,
                [top, bottom, inset],
                [Figure("3", (160, 180, 200, 230), "r6"), Figure("4", (20, 200, 90, 290), "r7")],
            ),
            Page(2, [polygon, bottom], [Figure("3", (20.4, 20.6, 60.2, 80.1), "r8")]),
        ],
        ACCENTED: [
            Page(1, [top], [Figure("5", (20, 20, 50, 60), "r9"), Figure("5", (80, 20, 110, 60), "r10")]),
            Page(2, [top, bottom], missing=True),
        ],
        ALIKE_A: [Page(1, [top], [Figure("6", (200, 20, 234, 80), "r11")])],  # sticks out of its panel by 4 pixels
        ALIKE_B: [Page(1, [(-15, 10, 400, 150)], [Figure("6", (20, 20, 60, 80), "r12")], mode="CMYK")],
        KANJI: [Page(1, [top, bottom], [Figure("8", (20, 20, 60, 80), "r13")], mode="P")],
    }


def grid_box(panel: Box | list[tuple[float, float]]) -> Box:
    """A figure inside a panel of the grid."""
    assert isinstance(panel, tuple)
    x0, y0, x1, y1 = panel
    return x0 + 5, y0 + 5, x1 - 5, y1 - 5


def panel_colour(comic: str, page: int, panel: int) -> tuple[int, int, int]:
    """The colour of a panel: unlike that of any other panel of the page."""
    return (FIRST_COLOUR + 8 * panel, (17 * page + 3 * len(comic)) % 200 + 20, 255 - 8 * panel)


def figure_colour(number: int) -> tuple[int, int, int]:
    """The colour of the n-th figure of a page, counted from 0."""
    return (250 - 40 * number, 5, 5)


def write_mast(root: Path, chosen: Iterable[str] | None = None) -> Path:
    """Write the fixture in MAST layout; `chosen` limits it to some comics."""
    found = {title: pages for title, pages in comics().items() if chosen is None or title in set(chosen)}
    for title, pages in found.items():
        for page in pages:
            if not page.missing:
                _draw(title, page, root / "page_images" / title / f"page-{page.number}.jpg")
    annotations = root / "annotations"
    annotations.mkdir(parents=True, exist_ok=True)
    _write(annotations / "panels.csv", _panel_rows(found))
    _write(annotations / "characters.csv", _character_rows(found))
    _write(annotations / "emotions.csv", _emotion_rows(found))
    _write(annotations / "metadata.csv", _metadata_rows(found))
    return root


def write_native(root: Path, chosen: Iterable[str] | None = None) -> Path:
    """The same fixture as a native corpus."""
    mast = write_mast(root.with_name(root.name + "-mast"), chosen)
    view = open_any(mast)
    corpus = Corpus.create(root)
    for comic in view.comics():
        corpus.write_pages(comic, view.pages(comic))
        corpus.write_comic_facts(comic, view.comic_facts(comic))
    shutil.copytree(mast / "page_images", root / "page_images", dirs_exist_ok=True)
    shutil.rmtree(mast)
    return root


def open_fixture(root: Path) -> CorpusView:
    """Open either layout."""
    return open_any(root)


def contents(root: Path) -> dict[str, bytes | str]:
    """Every file of a corpus but the ledgers: bytes, or where a link points to."""
    found: dict[str, bytes | str] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if name.startswith(".jobs"):
            continue
        if path.is_symlink():
            found[name] = "-> " + path.readlink().as_posix()
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


def _draw(title: str, page: Page, file: Path) -> None:
    picture = Image.new("RGB", (WIDTH, HEIGHT), (255, 255, 255))
    draw = ImageDraw.Draw(picture)
    for number, panel in enumerate(page.panels, start=1):
        colour = panel_colour(title, page.number, number)
        if isinstance(panel, list):
            draw.polygon(panel, fill=colour)
        else:
            draw.rectangle((panel[0], panel[1], panel[2] - 1, panel[3] - 1), fill=colour)
    for number, figure in enumerate(page.figures):
        x0, y0, x1, y1 = figure.box
        draw.rectangle((x0, y0, x1 - 1, y1 - 1), fill=figure_colour(number))
    file.parent.mkdir(parents=True, exist_ok=True)
    if page.mode == "CMYK":
        picture.convert("CMYK").save(file, "TIFF")
    else:
        picture.convert(page.mode).save(file, "PNG")


def _write(file: Path, rows: Iterator[list[str]]) -> None:
    with open(file, "w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(rows)


def _vertices(region: Box | list[tuple[float, float]]) -> str:
    points = region if isinstance(region, list) else [region[:2], region[2:]]
    return ",".join(f"({x:g},{y:g})" for x, y in points)


def _directory(title: str) -> str:
    return f"/corpus/{title}"


def _panel_rows(found: dict[str, list[Page]]) -> Iterator[list[str]]:
    yield ["Document Name", "Document Directory", "Page Number", "Region Vertices", "Annotation Notes"]
    for title, pages in found.items():
        for page in pages:
            # Out of reading order, and as a spreadsheet with blanks in the column writes them: 3.0
            for number, panel in reversed(list(enumerate(page.panels, start=1))):
                yield [title, _directory(title), f"{page.number}.0", _vertices(panel), str(number)]
    if PLAIN in found:
        yield [PLAIN, _directory(PLAIN), "", "(1,1),(5,5)", "1"]
        yield [PLAIN, _directory(PLAIN), "3.0", "", "3"]
        yield [PLAIN, _directory(PLAIN), "3.0", "(50,50),(50,90)", "4"]


def _character_rows(found: dict[str, list[Page]]) -> Iterator[list[str]]:
    yield ["Document Name", "Region Page", "Region Vertices", "Relation ID", "Region ID"]
    for title, pages in found.items():
        for page in pages:
            for figure in page.figures:
                yield [title, str(page.number), _vertices(figure.box), figure.identity, figure.region]
    if PLAIN in found:
        yield [PLAIN, "1", "(100,20),(140,60)", "", "r90"]  # nobody said who it is
        yield [PLAIN, "1", "(0,152),(9,158)", "9", "r91"]  # stands in no panel
        yield [PLAIN, "1", "", "7", "r92"]


def _emotion_rows(found: dict[str, list[Page]]) -> Iterator[list[str]]:
    yield ["Document Name", "Region ID", "Taxonomy Path", "Annotation Notes"]
    for title, pages in found.items():
        for figure in (figure for page in pages for figure in page.figures):
            if figure.valence:
                yield [title, figure.region, f"VLT: Semantics: Emotion (v.4) / Valence / {figure.valence}", ""]
            if figure.arousal:
                yield [title, figure.region, "VLT: Semantics: Emotion (v.4) / Arousal", figure.arousal]


def _metadata_rows(found: dict[str, list[Page]]) -> Iterator[list[str]]:
    yield ["Document Directory", "Global Region", "Series"]
    for number, title in enumerate(found):
        yield [_directory(title), "Europe" if number % 2 else "America", "what if" if "What" in title else title]
    yield ["/corpus/nowhere", "Asia", ""]  # a comic without panels
