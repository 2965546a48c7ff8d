"""Queries as people have them: cut-out panels, phone screenshots, half pages, photographs in perspective.

A library is made of drawn comics and of all real pages with panels. Every `--every`-th page is asked for in each of the
four forms with no option given: is the page the first answer? Beside it, pages alone and panels alone (`--level`), and
chance. Then the same with the page itself taken out of the answers: how often something else passes for it.

The rules were chosen on the drawn comics, alarming_tales_1957 and science_comics_1946; the others are held out.
"""

from __future__ import annotations

import argparse
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from comictool.core.images import decode
from comictool.corpus.corpus import Corpus
from comictool.drawn.corpus import draw_corpus
from comictool.library.building import build_library
from comictool.plugins.load import EncoderSpec, load_encoder
from comictool.search.everyday import pages_showing
from comictool.search.query import Query, query
from comictool.vectors.collection import StoreCollection, open_collection
from tests.bench.everyday_pictures import KINDS
from tests.bench.figures import figure, ratio
from tests.bench.page_search import wilson
from tests.data import DATA

BOOKS = {
    "alarming_tales_1957": "alarming_tales_1957/pages",
    "science_comics_1946": "science_comics_1946/pages",
    "lettered_en": "pepper_carrot/lettered_en",
    "blackjack_manga": "blackjack_manga/pages",
    "page_blanche": "page_blanche/pages",
}
CHOSEN_ON = ("alarming_tales_1957", "science_comics_1946", "drawn")
ENCODER = EncoderSpec("classic")


def library(folder: Path, data: Path) -> Path:
    """A library of 60 drawn pages and of the real books."""
    draw_corpus(folder / "drawn", 60, seed=5)
    comics = [folder / "drawn" / "page_images", *(data / book for book in BOOKS.values())]
    build_library(comics, folder / "library", ENCODER)
    return folder / "library"


def asked(root: Path, every: int) -> list[tuple[str, str, Image.Image]]:
    """Page, kind and picture of each question."""
    corpus, found = Corpus.open(root), []
    pages = [page for page in corpus.all_pages() if len(page.panels) > 1][::every]
    for page in pages:
        picture = decode(corpus.image_path(page)).convert("RGB")
        for kind, make in KINDS.items():
            rng = np.random.default_rng(zlib.crc32(f"{page.id}/{kind}".encode()))
            found.append((page.id, kind, make(picture, [panel.box for panel in page.panels], rng)))
    return found


def series(page: str) -> str:
    """`drawn` or the name of a real book."""
    comic = page.split("/")[0]
    return comic if comic in BOOKS else "drawn"


def top(place: StoreCollection, file: Path, level: str) -> str:
    """The first page that is found at one level alone."""
    hits = query(place, Query(image=file, k=1, level=level), encoder=load_encoder(ENCODER))
    return f"{hits[0].comic}/{hits[0].page}" if hits else ""


def measure(root: Path, every: int) -> list[dict[str, object]]:
    """For each question whether it was answered, three ways, and the evidence for the page and for the best other."""
    rows: list[dict[str, object]] = []
    encoder = load_encoder(ENCODER)
    with open_collection(root) as place, tempfile.TemporaryDirectory() as folder:
        assert isinstance(place, StoreCollection)
        names = {row: f"{c}/{p}" for row, c, p, *_ in place.store.metadata.all_pages()}
        for page, kind, picture in asked(root, every):
            file = Path(folder) / "asked.png"
            picture.save(file)
            found = pages_showing(place, encoder, np.asarray(picture))
            right = next(answer for answer in found if names[answer.page] == page)
            other = next(answer for answer in found if names[answer.page] != page)
            rows.append(
                {
                    "series": series(page),
                    "kind": kind,
                    "first": names[found[0].page] == page,
                    "pages": top(place, file, "page") == page,
                    "panels": top(place, file, "panel") == page,
                    "right": right.match,
                    "other": other.match,
                }
            )
    return rows


def print_table(rows: Sequence[dict[str, object]], pages: int) -> None:
    """By kind and series, then the held-out ones together, which are the figures."""

    def share(chosen: Sequence[dict[str, object]], key: str, value: object = True) -> float:
        return float(np.mean([row[key] == value for row in chosen]))

    print(
        f"{'kind':14} {'series':20} {'n':>4} {'first':>6} {'95 %':>13} {'pages':>6} {'panels':>6} {'chance':>6}"
        "  same if there / not"
    )
    for kind in KINDS:
        names = sorted({str(row["series"]) for row in rows}, key=lambda name: (name not in CHOSEN_ON, name))
        groups = {name: [row for row in rows if row["kind"] == kind and row["series"] == name] for name in names}
        groups["held out"] = [row for name in names if name not in CHOSEN_ON for row in groups[name]]
        for name, chosen in groups.items():
            low, high = wilson(np.array([row["first"] for row in chosen]))
            print(
                f"{kind:14} {name:20} {len(chosen):4} {share(chosen, 'first'):6.3f} [{low:.3f},{high:.3f}]"
                f" {share(chosen, 'pages'):6.3f} {share(chosen, 'panels'):6.3f} {1 / pages:6.3f}"
                f"  {share(chosen, 'right', 'same'):.3f} / {share(chosen, 'other', 'same'):.3f}"
            )
            if name == "held out":
                figure(
                    f"{kind}s, no option given: the right page first, {len(chosen)} held out, {pages} pages",
                    f"{ratio(share(chosen, 'first'))} [{ratio(low)}, {ratio(min(high, 1.0))}]",
                    f"pages alone {ratio(share(chosen, 'pages'))}, panels alone {ratio(share(chosen, 'panels'))}",
                )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=2, help="Every how many pages are asked for.")
    parser.add_argument("--write", action="store_true", help="Put the rows into the table of figures.")
    options = parser.parse_args()
    if DATA is None:
        raise SystemExit("COMICTOOL_TEST_DATA does not name the folder of test comics")
    with tempfile.TemporaryDirectory() as folder:
        root = library(Path(folder), DATA)
        pages = sum(1 for _ in Corpus.open(root).all_pages())
        print_table(measure(root, options.every), pages)


if __name__ == "__main__":
    main()
