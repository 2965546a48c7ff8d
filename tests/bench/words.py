"""How well the words of real pages are read, end to end: `python -m tests.bench.words` (needs COMICTOOL_TEST_DATA).

    python -m tests.bench.words [--language en|fr|ja] [--engine rapidocr] [--rival tesseract] [--every 1] [-j N]

A corpus is made of the lettered pages of Pepper&Carrot: import, panels, text, vectors. Found texts are laid on the
transcribed boxes by where they lie. Printed are the character error rate (Levenshtein distance by the letters that are
transcribed; a text that was not found counts whole, and so does one that is none), the recall of words on their page
(letters and digits, case aside), the share of transcribed texts that were found on the right panel, and, for each
transcribed sentence of four words or more, how often `comictool.search.query` has its page first, and its panel.

Settings were chosen on episodes 1 to 4; the figures are of the others.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse.csgraph import connected_components

from comictool.core.errors import ComicError
from comictool.core.jobs import JobOptions
from comictool.corpus.assignment import assign_panel
from comictool.corpus.boxes import share_inside
from comictool.corpus.corpus import Corpus
from comictool.corpus.importing.job import import_comics
from comictool.corpus.order import order_boxes
from comictool.corpus.records import Box, PageRecord, Panel, Text, clamp_box
from comictool.panels.job import detect_corpus
from comictool.plugins.load import EncoderSpec
from comictool.search.query import Query, query
from comictool.vectors.collection import open_collection
from comictool.vectors.job import embed
from comictool.words.engines import EngineOptions, Reading, make_reading
from comictool.words.job import read_corpus
from tests.bench.figures import arguments, figure, ratio
from tests.bench.panels import wilson
from tests.data import DATA

CHOSEN_ON = ("e01", "e02", "e03", "e04")
LEAST_WORDS = 4
MARGIN = 6  # pixels around a transcribed box, which ends at the ink
ON_IT = 0.5  # share of a found text's box in a transcribed one
RIGHT = 0.5  # of a true panel in a found one, and of the found one in it


@dataclass
class Written:
    """One transcribed text, its box, and the panel that it stands in on a page with panel truth."""

    text: str
    box: Box
    panel: Panel | None


@dataclass
class Page:
    """A page, what is written on it, and which found texts lie on which of it.

    Attributes:
        groups: (transcribed, found) texts that lie on each other, both in the page's reading order. A group is one of
            each unless balloons were joined or parted; what was found where nothing is transcribed has none of the
            first, what was not found none of the second.
    """

    name: str
    record: PageRecord
    truth: list[Written]
    clean: bool
    story: bool
    groups: list[tuple[list[Written], list[Text]]]

    @property
    def held_out(self) -> bool:
        """Whether no setting was chosen on it."""
        return not self.name.startswith(CHOSEN_ON)


def plain(text: str) -> str:
    """Blanks alike, and what different keyboards write for one sign."""
    for one, other in (("\u2019", "'"), ("\u2026", "..."), ("\u00a0", " "), ("\u3000", " ")):
        text = text.replace(one, other)
    return " ".join(text.split())


def words_of(text: str) -> list[str]:
    """Its words, letters and digits alone, in small letters."""
    return re.findall(r"\w+", plain(text).casefold().replace("'", ""))


def distance(a: str, b: str) -> int:
    """Levenshtein's."""
    row = list(range(len(b) + 1))
    for i, one in enumerate(a, start=1):
        before, row[0] = row[0], i
        for j, other in enumerate(b, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (one != other))
    return row[-1]


def read_pages(corpus: Corpus, names: Sequence[str], truth: Mapping[str, Any], language: str) -> list[Page]:
    """The pages with what is transcribed and what was found on them."""
    pages = []
    for record in corpus.all_pages():
        entry = truth[name := names[record.page - 1]]
        clean = entry["panel_quality"] == "clean"
        panels = [Panel(n, tuple(box)) for n, box in enumerate(entry["panels"] if clean else [], start=1)]
        lines = []
        for text in entry["text"].get(language, []):
            box = clamp_box(text["box"], record.width, record.height)
            if box is not None and any(letter.isalnum() for letter in text["text"]):
                lines.append(Written(plain(text["text"]), box, assign_panel(box, panels, 0.3)))
        story = entry["page_type"] == "story"
        pages.append(Page(name, record, lines, clean, story, _groups(lines, record.texts)))
    return pages


def _groups(lines: Sequence[Written], texts: Sequence[Text]) -> list[tuple[list[Written], list[Text]]]:
    """Connected components of "one holds most of the other"."""
    near = np.zeros((len(lines) + len(texts),) * 2, bool)
    for i, line in enumerate(lines):
        for j, text in enumerate(texts):
            assert text.box is not None
            wide = _wider(line.box)
            near[i, len(lines) + j] = max(share_inside(text.box, wide), share_inside(line.box, text.box)) >= ON_IT
    count, labels = connected_components(near, directed=False)
    found = []
    for label in range(count):
        members = np.flatnonzero(labels == label).tolist()
        written = [lines[i] for i in members if i < len(lines)]
        written = [written[i] for i in order_boxes([line.box for line in written])]
        found.append((written, [texts[i - len(lines)] for i in members if i >= len(lines)]))
    return found


def error_rate(pages: Sequence[Page], *, spaces: bool = True) -> tuple[float, float]:
    """Character error rate over stories, all and without what was found where nothing is transcribed."""
    letters = wrong = extra = 0
    for page in pages:
        for written, found in page.groups if page.story else []:
            said, true = (plain(" ".join(text.text for text in texts)) for texts in (found, written))
            if not spaces:
                said, true = said.replace(" ", ""), true.replace(" ", "")
            if written:
                letters += len(true)
                wrong += distance(true, said)
            else:
                extra += len(said)
    return (wrong + extra) / max(1, letters), wrong / max(1, letters)


def balloons(pages: Sequence[Page]) -> tuple[int, int]:
    """How many transcribed texts of those that were found at all are one found text each."""
    met = [written for page in pages for written, found in page.groups if found for _ in written]
    one = [written for page in pages for written, found in page.groups if len(written) == len(found) == 1]
    return len(one), len(met)


def word_recall(pages: Sequence[Page]) -> float:
    """The share of transcribed words that were read on their page."""
    there, read = 0, 0
    for page in pages:
        true = Counter(word for line in page.truth for word in words_of(line.text))
        found = Counter(word for text in page.record.texts for word in words_of(text.text))
        there, read = there + true.total(), read + (true & found).total()
    return read / max(1, there)


def on_right_panel(pages: Sequence[Page]) -> tuple[int, int]:
    """Of the transcribed texts of pages with panel truth that were found, how many name the right panel."""
    right = total = 0
    for page in pages:
        for written, found in page.groups if page.clean else []:
            for line in written if found else []:
                if line.panel is not None:
                    total += 1
                    right += all(_is(page.record, text.panel, line.panel) for text in found)
    return right, total


def sentences(page: Page) -> Iterator[tuple[str, Panel | None]]:
    """What is asked: each sentence of four words or more, with its panel where that is known."""
    for line in page.truth:
        for sentence in re.split(r"(?<=[.!?])\s+", line.text):
            if len(words_of(sentence)) >= LEAST_WORDS:
                yield sentence, line.panel


def searched(store: Path, pages: Sequence[Page]) -> dict[str, tuple[int, int]]:
    """Right first answers and questions, for pages and for panels."""
    page_right = pages_asked = panel_right = panels_asked = 0
    with open_collection(store) as place:
        for page in pages:
            for sentence, panel in sentences(page):
                try:
                    hits = query(place, Query(text=sentence, k=1))
                except ComicError:
                    hits = []
                pages_asked += 1
                page_right += bool(hits) and hits[0].page == page.record.page
                if panel is not None:
                    panels_asked += 1
                    same = bool(hits) and hits[0].page == page.record.page
                    panel_right += same and _is(page.record, hits[0].panel, panel)
    return {"page": (page_right, pages_asked), "panel": (panel_right, panels_asked)}


def _is(record: PageRecord, number: int | None, true: Panel) -> bool:
    found = next((panel for panel in record.panels if panel.id == number), None)
    return found is not None and min(share_inside(found.box, true.box), share_inside(true.box, found.box)) >= RIGHT


def _wider(box: Box) -> Box:
    return box[0] - MARGIN, box[1] - MARGIN, box[2] + MARGIN, box[3] + MARGIN


def library(folder: Path, pictures: Sequence[Path], jobs: JobOptions) -> Corpus:
    """A corpus of these pages with panels."""
    (folder / "book").mkdir()
    for file in pictures:
        shutil.copyfile(file, folder / "book" / file.name)
    corpus = Corpus.create(folder / "corpus")
    import_comics([folder / "book"], corpus, options=jobs)
    detect_corpus(corpus, options=jobs)
    return corpus


def measure(
    corpus: Corpus, names: Sequence[str], truth: Mapping[str, Any], language: str, reading: Reading, jobs: JobOptions
) -> tuple[list[Page], Path, float]:
    """Read a corpus with one engine, make it searchable; the pages, the store, and processor seconds a page."""
    begin = _processor_time()
    read_corpus(corpus, reading, replace=True, options=jobs)
    seconds = (_processor_time() - begin) / len(names)
    store = corpus.root / "store"
    embed(corpus, EncoderSpec("classic"), store, options=jobs)
    return read_pages(corpus, names, truth, language), store, seconds


def _processor_time() -> float:
    import resource

    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in spent)


def summary(pages: Sequence[Page], store: Path, *, spaces: bool) -> str:
    """All figures of some pages on one line."""
    whole, matched = error_rate(pages, spaces=spaces)
    right, total = on_right_panel(pages)
    one, met = balloons(pages)
    found = searched(store, pages)
    parts = [f"CER {ratio(whole)} ({ratio(matched)} without extras)", f"words {ratio(word_recall(pages))}"]
    parts += [f"balloons {one} of {met}", f"right panel {right} of {total}"]
    for level, (first, asked) in found.items():
        low, high = wilson(first, asked) if asked else (0.0, 0.0)
        parts.append(f"{level} first {first} of {asked} [{ratio(low)}, {ratio(high)}]")
    return "; ".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--language", default="en", choices=["en", "fr", "ja"])
    parser.add_argument("--engine", default="rapidocr")
    parser.add_argument("--rival", default="tesseract", help="empty for none")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("-j", type=int, default=1, dest="jobs")
    chosen = parser.parse_args(arguments())
    assert DATA is not None, "COMICTOOL_TEST_DATA names no folder"
    book = DATA / "pepper_carrot"
    truth = json.loads((book / "annotations.json").read_text("utf-8"))["pages"]
    pictures = sorted((book / f"lettered_{chosen.language}").glob("*.jpg"))[:: chosen.every]
    names, jobs = [file.stem for file in pictures], JobOptions(jobs=chosen.jobs)
    spaces = chosen.language != "ja"
    lines: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        corpus = library(Path(folder), pictures, jobs)
        for engine in filter(None, [chosen.engine, chosen.rival]):
            begin = time.monotonic()
            reading = make_reading(EngineOptions(engine))
            pages, store, seconds = measure(corpus, names, truth, chosen.language, reading, jobs)
            cost = f"{seconds:.1f} s of a processor a page"
            parts = {"chosen on": [p for p in pages if not p.held_out], "held out": [p for p in pages if p.held_out]}
            lines[engine] = {name: f"{summary(p, store, spaces=spaces)}; {cost}" for name, p in parts.items() if p}
            for name, line in lines[engine].items():
                print(f"{engine:10s} {name:10s} {len(parts[name]):3d} pages: {line}")
            print(f"{engine:10s} {time.monotonic() - begin:.0f} s in all")
    ours, rival = lines[chosen.engine], lines.get(chosen.rival, {})
    what = f"words of Pepper&Carrot, {chosen.language}, held out"
    figure(what, ours.get("held out", ""), f"{chosen.rival}: {rival['held out']}" if rival else "")


if __name__ == "__main__":
    main()
