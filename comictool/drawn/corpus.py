"""A corpus of drawn comics: as many pages as asked for, with page pictures, records, facts and depth maps."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from comictool.core.errors import UsageError
from comictool.core.files import write_bytes
from comictool.core.jobs import Done, Item, JobOptions, JobReport, run_job
from comictool.core.progress import Progress
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import PageRecord
from comictool.drawn.depth import encode_png16
from comictool.drawn.page import HEIGHT, WIDTH, DrawnPage, draw_page
from comictool.drawn.plan import check_layout, check_style, comic_plan, make_plan

JPEG_QUALITY = 92
LEDGER = "draw"
DRAWING = 1  # raise when the same seed draws other pictures than before, so that finished comics are drawn again
STORY = 2  # the same for stories, of which the first wrote True


@dataclass(frozen=True)
class _Order:
    """One comic to draw, as it travels to a worker."""

    seed: int
    comic: int
    pages: int
    width: int
    height: int
    style: str | None
    story: bool = False
    layout: str | None = None


@dataclass(frozen=True)
class _Sheet:
    """One finished page, encoded."""

    record: PageRecord
    picture: bytes
    depth: bytes


def draw_corpus(
    root: Path,
    pages: int,
    *,
    seed: int,
    comic_pages: int = 10,
    width: int = WIDTH,
    height: int = HEIGHT,
    style: str | None = None,
    story: bool = False,
    layout: str | None = None,
    options: JobOptions | None = None,
    progress: Progress | None = None,
) -> JobReport:
    """Draw comics into a corpus; a killed run continues, and more pages can be added with the same seed.

    Writes `page_images/<comic>/page-<n>.jpg` (PNG for pure line art), `depth/<comic>/page-<n>.png` (see `depth`),
    page records and comic facts. A page is the same however many pages are asked for.

    Args:
        root: of the corpus, made when there is none.
        pages: how many in all; the last comic has what is left.
        seed: of the whole drawing.
        comic_pages: pages a comic.
        width, height: of every page in pixels.
        style: draw all comics in one style of `inks.STYLES`.
        story: every comic is a journey through one day (of ten pages): the light goes from morning to night, the
            sun from left to right, and the places follow each other in one order, so that the direction of time can be
            seen in the panels, in every style.
        layout: one of `plan.LAYOUTS` for every page: manga, 4-koma, strips and other pages that are hard to cut.
        options, progress: of the job; one item is one comic.

    Raises:
        UsageError: fewer than one page, or no such style or layout.
        Stopped: after a signal.
    """
    if pages < 1 or comic_pages < 1:
        raise UsageError(f"{pages} pages in comics of {comic_pages}: both must be 1 or more")
    check_style(style)
    check_layout(layout)
    if options is None or not options.dry_run:
        Corpus.create(root)
    items = []
    for comic in range(1, -(-pages // comic_pages) + 1):
        count = min(comic_pages, pages - (comic - 1) * comic_pages)
        order = _Order(seed, comic, count, width, height, style, story, layout)
        items.append(Item(make_plan(seed, comic, style).name, f"{seed}/{comic}/{count}", order))

    settings = {"drawing": DRAWING, "width": width, "height": height, "style": style or ""}
    if story:  # corpora drawn before there were stories keep their settings
        settings["story"] = STORY
    if layout:
        settings["layout"] = layout

    def commit(item: Item, sheets: list[_Sheet]) -> Done:
        return _commit(Corpus.open(root), item, sheets)

    return run_job(
        LEDGER,
        items,
        _draw_comic,
        commit,
        ledger_folder=root / ".jobs",
        settings=settings,
        options=options,
        workers="processes",
        progress=progress,
    )


def encode_page(page: DrawnPage) -> tuple[bytes, str]:
    """The picture of a page as a file: its bytes and suffix. Line art as grey PNG, anything else as JPEG."""
    stream = io.BytesIO()
    picture = Image.fromarray(page.image)
    if page.record.extra.get("style") == "line":
        picture.convert("L").save(stream, "PNG", compress_level=4)
        return stream.getvalue(), ".png"
    picture.save(stream, "JPEG", quality=JPEG_QUALITY)
    return stream.getvalue(), ".jpg"


def _draw_comic(order: _Order) -> list[_Sheet]:
    sheets = []
    for number in range(1, order.pages + 1):
        page = draw_page(
            order.seed,
            order.comic,
            number,
            width=order.width,
            height=order.height,
            style=order.style,
            story=order.story,
            layout=order.layout,
        )
        picture, suffix = encode_page(page)
        page.record.image = f"page_images/{page.record.comic}/page-{number}{suffix}"
        depth = f"depth/{page.record.comic}/page-{number}.png"
        page.record.extra["depth"] = depth
        page.record.record_run("draw", seed=order.seed, drawing=DRAWING)
        sheets.append(_Sheet(page.record, picture, encode_png16(page.depth)))
    return sheets


def _commit(corpus: Corpus, item: Item, sheets: list[_Sheet]) -> Done:
    order: _Order = item.payload
    records = [sheet.record for sheet in sheets]
    for sheet in sheets:
        write_bytes(corpus.root / sheet.record.image, sheet.picture)
        write_bytes(corpus.root / str(sheet.record.extra["depth"]), sheet.depth)
    corpus.write_comic_facts(item.key, comic_plan(order.seed, order.comic, order.style, order.story, order.layout))
    corpus.write_pages(item.key, records)
    return Done(
        {
            "pages": len(records),
            "panels": sum(len(r.panels) for r in records),
            "characters": sum(len(r.characters) for r in records),
            "texts": sum(len(r.texts) for r in records),
        }
    )
