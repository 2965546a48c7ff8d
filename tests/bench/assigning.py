"""Who is who in a book: clusters under links against the published baseline.

    [COMICTOOL_TEST_DATA=FOLDER] python -m tests.bench.assigning [--folder F] [--plugin NAME ...] [--speed] [--write]

Drawn books: lines and cuts are fitted on books of three styles and measured on books of six others, with other seeds.
Real crops: fitted on the drawn books alone; and on the other two series, never on the one that is measured. AMI
(adjusted mutual information) of clusters with the names of those that have one; chance is 0 by its definition, and
shown with shuffled names. Intervals are 95 %: a bootstrap over drawn books; of a real series the jackknife over its
pages (Efron 1982), for drawing pages twice would put copies of a head into one cluster and count them as found.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sklearn.metrics import adjusted_mutual_info_score

from comictool.assigning.evidence import Calibration, Line
from comictool.assigning.figures import protocol_figures
from comictool.assigning.fitting import Named, embed_comics, fit
from comictool.assigning.instances import KINDS, Instance, Vectors, pictures_of, vectors_of
from comictool.assigning.measured import BOTH, rows_of
from comictool.assigning.protocols import People
from comictool.assigning.scopes import PUBLISHED, scopes
from comictool.assigning.solving import average, broken_panels, constrained, known_of
from comictool.assigning.streaming import IdentityStream
from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import PageRecord
from comictool.drawn.corpus import draw_corpus
from comictool.measure.intervals import Z95, bootstrap
from comictool.plugins.load import EncoderSpec
from comictool.vectors.cache import EmbeddingCache
from comictool.vectors.encoders import LazyEncoder
from comictool.vectors.stream import EmbeddingStream, encoder_key
from tests.bench.figures import WRITE, between, figure, ratio
from tests.data import DATA

PLUGINS = ("classic_character", "comic_small")
FITTED = {"flat": 301, "screentone": 302, "benday": 303}
MEASURED = {"line": 411, "wash": 412, "painted": 413, "duotone": 414, "hatching": 415, "faded": 416}
SHUFFLES = 20
BOOK = 10  # pages
BOOKS = {"fitted": 2, "measured": 1}  # of a style; two have one cast
Method = Callable[[Named, Calibration], np.ndarray]


def links(book: Named) -> list[str | None]:
    """Nobody is named beforehand."""
    return [None] * len(book.instances)


def streamed(book: Named, calibration: Calibration) -> np.ndarray:
    """Page after page."""
    stream, found = IdentityStream(calibration), []
    for places in scopes(book.instances, "page"):
        part = Vectors(
            {kind: book.vectors.rows[kind][places] for kind in KINDS},
            {kind: book.vectors.present[kind][places] for kind in KINDS},
        )
        found.append(stream.read([book.instances[p] for p in places], part))
    return np.concatenate(found)


def without_links(book: Named, calibration: Calibration) -> np.ndarray:
    """The same evidence and cut, and nothing known."""
    return constrained(book.vectors, replace(known_of(book.instances, links(book)), cannot=[]), calibration)


def constrained_by(book: Named, calibration: Calibration | None) -> np.ndarray:
    """The method of `reid assign`."""
    return constrained(book.vectors, known_of(book.instances, links(book)), calibration)


METHODS: dict[str, Method] = {
    "constrained": constrained_by,
    "evidence without links": without_links,
    "average linkage, best distance": lambda book, calibration: average(book.vectors, calibration.distance),
    "average linkage at .82": lambda book, calibration: average(book.vectors, PUBLISHED),
    "no calibration": lambda book, calibration: constrained_by(book, None),
    "stream": streamed,
}


@dataclass(frozen=True)
class Result:
    """One method on some books: AMI of each, with shuffled names, and panels that have one identity twice.

    Attributes:
        parts: AMI of each page of a single book left out in turn; empty for several books.
    """

    values: np.ndarray
    chance: float
    broken: int
    parts: np.ndarray

    @property
    def value(self) -> float:
        """The mean over books."""
        return float(self.values.mean())

    def text(self) -> str:
        """The mean with its interval."""
        return f"{ratio(self.value)} {between(*interval(self.values, self.parts))}"


def interval(values: np.ndarray, parts: np.ndarray) -> tuple[float, float]:
    """95 % over books, or over the pages of the only one."""
    if len(values) > 1:
        return bootstrap(len(values), lambda rows: float(values[rows].mean()))
    count = len(parts)
    half = Z95 * float(np.sqrt((count - 1) / count * ((parts - parts.mean()) ** 2).sum()))
    return float(values[0]) - half, min(1.0, float(values[0]) + half)


def gain(ours: Result, other: Result) -> str:
    """By how much one method is better on the same books, with the interval of the difference."""
    low, high = interval(ours.values - other.values, ours.parts - other.parts)
    return f"{ours.value - other.value:+.3f} [{low:+.3f}, {high:+.3f}]"


def measure(books: Sequence[Named], method: Method, calibration: Calibration) -> Result:
    """AMI of every book."""
    values, chance, parts, broken = [], [], [], 0
    for number, book in enumerate(books):
        groups = method(book, calibration)
        known = book.names != ""
        names, found = book.names[known], groups[known]
        values.append(ami(names, found))
        rng = np.random.default_rng(number)
        chance += [ami(rng.permutation(names), found) for _ in range(SHUFFLES)]
        broken += len(broken_panels(book.instances, groups))
        if len(books) == 1:
            pages = np.array([instance.page for instance in book.instances])[known]
            parts = [ami(names[pages != page], found[pages != page]) for page in np.unique(pages)]
    return Result(np.array(values), float(np.mean(chance)), broken, np.array(parts))


def ami(names: np.ndarray, groups: np.ndarray) -> float:
    """Of names and clusters."""
    return float(adjusted_mutual_info_score(names, groups))


def drawn_books(folder: Path, styles: dict[str, int], books: int, spec: EncoderSpec) -> list[Named]:
    """Books of each style, drawn and embedded where that is not done yet."""
    found = []
    with EmbeddingCache(folder / "vectors.sqlite") as cache:
        for style, seed in styles.items():
            root = folder / f"{style}-{seed}"
            draw_corpus(root, BOOK * books, seed=seed, style=style, options=JobOptions(jobs=1))
            problems: list = []
            found += embed_comics(Corpus.open(root), spec, problems, cache=cache)
            assert not problems, problems
    return found


def real_books(data: Path, spec: EncoderSpec) -> Iterator[Named]:
    """The labelled heads of three series, each as one book of faces; panels where they are annotated."""
    for series in ("alarming_tales", "peppercarrot"):
        folder = data / "characters" / series
        rows = json.loads((folder / "index.json").read_text("utf-8"))
        rows.sort(key=lambda row: (row["page"], row.get("panel", 0)))
        pages = {name: number for number, name in enumerate(dict.fromkeys(row["page"] for row in rows), 1)}
        instances = [
            Instance(
                series,
                pages[row["page"]],
                row.get("panel", 0),
                row.get("panel", 0),
                n,
                (0, 0, 1, 1),
                None,
                row["identity"],
            )
            for n, row in enumerate(rows)
        ]
        found = EmbeddingStream(LazyEncoder(spec), jobs=1)
        batches = list(found.batches([folder / row["file"] for row in rows]))
        names = np.array([row["identity"] for row in rows], dtype=str)
        yield _faces(series, instances, np.concatenate([batch.vectors for batch in batches]), names)
    folder = data / "blackjack_manga"
    annotated = json.loads((folder / "annotations.json").read_text("utf-8"))["pages"]
    instances, records = [], []
    for number, (image, page) in enumerate(sorted(annotated.items()), 1):
        if page.get("faces"):
            records.append(PageRecord("blackjack", number, image, *page["size"]))
        for face in page.get("faces", ()):
            x, y = (face["box"][0] + face["box"][2]) / 2, (face["box"][1] + face["box"][3]) / 2
            inside = [n for n, b in enumerate(page.get("panels", ()), 1) if b[0] <= x < b[2] and b[1] <= y < b[3]]
            panel = inside[0] if inside else 0
            box = tuple(face["box"])
            instances.append(Instance("blackjack", number, panel, panel, len(instances), box, None, face["identity"]))
    instances.sort(key=lambda i: (i.page, i.panel))
    corpus = Corpus(folder, name="blackjack", direction="rtl")
    embedded = list(EmbeddingStream(LazyEncoder(spec), jobs=1).embed(pictures_of(corpus, records, instances)))
    names = np.array([i.identity for i in instances], dtype=str)
    yield Named("blackjack", instances, vectors_of(instances, embedded), names)


def _faces(series: str, instances: list[Instance], rows: np.ndarray, names: np.ndarray) -> Named:
    there = np.ones(len(instances), bool)
    vectors = Vectors({"face": rows, "body": np.zeros_like(rows)}, {"face": there, "body": ~there})
    return Named(series, instances, vectors, names)


def measure_all(title: str, books: Sequence[Named], calibration: Calibration) -> dict[str, Result]:
    """Every method, printed."""
    found = {name: measure(books, method, calibration) for name, method in METHODS.items()}
    for name, result in found.items():
        print(f"{title:60} {name:32} {result.text()} shuffled {result.chance:+.3f} twice in a panel {result.broken}")
    assert found["constrained"].broken == 0, "links are never broken"
    return found


def report_drawn(plugin: str, books: Sequence[Named], calibration: Calibration) -> None:
    """Books of styles that nothing was fitted on."""
    found = measure_all(f"{plugin}, {len(books)} drawn books", books, calibration)
    ours, plain = found["constrained"], found["average linkage, best distance"]
    figure(
        f"identities in {len(books)} drawn books of {len(MEASURED)} styles, fitted on others, {plugin}: AMI",
        f"{ours.text()}, {ours.broken} of one panel with one identity; as a stream {ratio(found['stream'].value)}; cut "
        f"without labels {ratio(found['no calibration'].value)}",
        f"average linkage at its best distance {plain.text()}, {plain.broken}; at .82 "
        f"{ratio(found['average linkage at .82'].value)}; gain {gain(ours, plain)}; chance {ours.chance:+.3f}",
    )


def report_protocols(plugin: str, books: Sequence[Named]) -> None:
    """In-series and inter-series, on the instances that have a face and a body: what each half knows."""
    known = [book.names != "" for book in books]
    vectors = Vectors(
        *(
            {
                kind: np.concatenate([getattr(b.vectors, what)[kind][k] for b, k in zip(books, known, strict=True)])
                for kind in KINDS
            }
            for what in ("rows", "present")
        )
    )
    names = [book.names[k] for book, k in zip(books, known, strict=True)]
    series = np.repeat([book.comic for book in books], [len(own) for own in names])
    together = {book.comic: [set(own.tolist())] for book, own in zip(books, names, strict=True)}
    people = People(series, np.concatenate(names), together)
    found = {metric.name: metric for row in rows_of(vectors)[:3] for metric in protocol_figures(row, people)[0]}
    for metric in found.values():
        print(
            f"{plugin:18} {metric.name:45} {ratio(metric.value)} {between(metric.low, metric.high)} {metric.chance:.3f}"
        )
    for protocol, keys in (("in-series", ("P@1", "MAP@R")), ("inter-series", ("P@1", "MRR"))):
        cells = []
        for half in (BOTH, "face", "body"):
            both = [found[f"{half}, {protocol} {key}"] for key in keys]
            cells.append(" / ".join(f"{ratio(m.value)} {between(m.low, m.high)}" for m in both))
        chance = " / ".join(ratio(found[f"{BOTH}, {protocol} {key}"].chance) for key in keys)
        figure(
            f"{protocol} protocol, {len(books)} drawn books of {len(MEASURED)} styles, {plugin}: {' / '.join(keys)}, "
            "face and body",
            cells[0],
            f"face {cells[1]}; body {cells[2]}; chance {chance}",
        )


def report_real(plugin: str, books: Sequence[Named], drawn: Calibration, encoder_id: str) -> None:
    """Each series with what was fitted on drawn books, and with what was fitted on the other two."""
    for book in books:
        others, _ = fit([other for other in books if other is not book], encoder_id, "the other series")
        pairs = len(known_of(book.instances, links(book)).cannot)
        for fitted, calibration in (("drawn books", drawn), ("the other two series", others)):
            found = measure_all(f"{plugin}, {book.comic}, fitted on {fitted}", [book], calibration)
            ours, plain = found["constrained"], found["average linkage, best distance"]
            figure(
                f"identities of {book.comic}, {len(book.instances)} heads, {pairs} pairs of one panel, fitted on "
                f"{fitted}, {plugin}: AMI",
                f"{ours.text()}, {ours.broken} of one panel with one identity; cut without labels "
                f"{ratio(found['no calibration'].value)}",
                f"average linkage at its best distance {plain.text()}, {plain.broken}; at .82 "
                f"{ratio(found['average linkage at .82'].value)}; gain {gain(ours, plain)}; chance {ours.chance:+.3f}",
            )


def report_speed(count: int = 10_000) -> None:
    """Made-up instances of a very thick book, two in a panel."""
    rng = np.random.default_rng(0)
    who = np.arange(count) % (count // 50)
    rows = rng.normal(size=(count // 50, 64))[who] + 1.2 * rng.normal(size=(count, 64))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    box = (0, 0, 1, 1)
    instances = [Instance("thick", 1 + n // 8, 1 + n % 8 // 2, 1, n, box, None, None) for n in range(count)]
    book = _faces("thick", instances, rows, who.astype(str))
    calibration = Calibration("made", {"face": Line(4.0, 4.2)})
    began = time.process_time()
    groups = constrained_by(book, calibration)
    seconds = time.process_time() - began
    assert not broken_panels(instances, groups)
    figure(
        f"{count:,} instances clustered, {len(known_of(instances, links(book)).cannot):,} pairs of one panel, one core",
        f"{seconds:.0f} s of a processor",
    )


def main() -> None:
    """Draw, fit, measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--plugin", action="append")
    parser.add_argument("--speed", action="store_true", help="only how fast it is")
    parser.add_argument(WRITE, action="store_true")
    given = parser.parse_args()
    if given.folder:  # a place on somebody's machine, and no part of what was measured
        place = sys.argv.index("--folder")
        del sys.argv[place : place + 2]
    if given.speed:
        report_speed()
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        for plugin in given.plugin or PLUGINS:
            spec = EncoderSpec(plugin, device="cpu", precision="fp32")
            encoder_id = encoder_key(spec)
            calibration, reached = fit(drawn_books(folder, FITTED, BOOKS["fitted"], spec), encoder_id, "drawn books")
            print(plugin, calibration, reached)
            books = drawn_books(folder, MEASURED, BOOKS["measured"], spec)
            report_drawn(plugin, books, calibration)
            report_protocols(plugin, books)
            if DATA is not None:
                report_real(plugin, list(real_books(DATA, spec)), calibration, encoder_id)


if __name__ == "__main__":
    began = time.process_time()
    main()
    print(f"{time.process_time() - began:.0f} s of a processor")
