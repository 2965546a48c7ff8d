"""Exporting panels: `python -m tests.bench.exporting [PAGES]`.

The rival opens and decodes the page anew for every panel, as the published script does (here with RGB conversion and
the same JPEG quality 95). Pages are real ones when COMICTOOL_TEST_DATA is set, else drawn; six panels each. With D to
decode a page and E to encode its panels, no export of six panels can be more than (6 D + E) / (D + E) times as fast as
the rival: the floor row shows where that lies for these pages. CPU seconds give the ratio per core; wall seconds of one
worker on one core and of two on two give the scaling, beside which two processes that share nothing show how much of
two cores the machine has to give at this moment. Runs take turns; the best of several counts.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from comictool.core.files import write_bytes
from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import PageRecord, Panel
from comictool.datasets.exporting.panels import export_panels
from comictool.drawn.corpus import draw_corpus
from tests.bench.figures import arguments, figure
from tests.data import DATA

ROUNDS = 4
PER_CORE, TWO_CORES = 4.0, 1.8  # what is asked for


def prepare(root: Path, pages: int) -> Corpus:
    """Six panels a page, with margins and gutters that take a fifth of it; real pages when there are some."""
    if DATA is None:
        draw_corpus(root, pages, seed=1, width=1000, height=1500, style="painted")
    else:
        _copy_pages(root, sorted(DATA.glob("pepper_carrot/*/*.jpg"))[:pages])
    corpus = Corpus.open(root)
    for comic in corpus.comics():
        records = corpus.pages(comic)
        for record in records:
            w, h = record.width / 2, record.height / 3
            boxes = [(w * (n % 2) + 0.05 * w, h * (n // 2) + 0.06 * h, w * 0.9, h * 0.88) for n in range(6)]
            record.panels = [
                Panel(n, (int(x), int(y), int(x + width), int(y + height)), n)
                for n, (x, y, width, height) in enumerate(boxes, start=1)
            ]
        corpus.write_pages(comic, records)
    return corpus


def _copy_pages(root: Path, files: list[Path]) -> None:
    corpus = Corpus.create(root)
    records = []
    for number, file in enumerate(files, start=1):
        image = f"page_images/pages/page-{number}.jpg"
        write_bytes(root / image, file.read_bytes())
        with Image.open(file) as picture:
            records.append(PageRecord("pages", number, image, *picture.size))
    corpus.write_pages("pages", records)


def naive(corpus: Corpus, target: Path) -> None:
    """Open the page again for every panel."""
    for record in corpus.all_pages():
        folder = target / record.comic
        folder.mkdir(parents=True, exist_ok=True)
        for panel in record.panels:
            with Image.open(corpus.image_path(record)) as page:
                crop = page.convert("RGB").crop(panel.box)
                crop.save(folder / f"{record.page}_{panel.id}.jpg", quality=95)


def once(corpus: Corpus, target: Path) -> None:
    """The floor: decode once, crop, save; no job, no ledger, no atomic files."""
    for record in corpus.all_pages():
        folder = target / record.comic
        folder.mkdir(parents=True, exist_ok=True)
        with Image.open(corpus.image_path(record)) as file:
            page = file.convert("RGB")
        for panel in record.panels:
            page.crop(panel.box).save(folder / f"{record.page}_{panel.id}.jpg", quality=95)


@contextmanager
def on_cores(count: int) -> Iterator[None]:
    """Keep this thread, and those it starts, on so many cores."""
    every = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(every)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, every)


def measure(run: Callable[[Path], None], target: Path) -> tuple[float, float]:
    """CPU and wall seconds of one run into an empty folder."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    cpu, wall = time.process_time(), time.perf_counter()
    run(target)
    return time.process_time() - cpu, time.perf_counter() - wall


def main() -> None:
    """Print the table."""
    pages = int([*arguments(), "40"][0])
    with tempfile.TemporaryDirectory() as folder:
        corpus = prepare(Path(folder) / "corpus", pages)
        target = Path(folder) / "out"

        def ours(workers: int) -> Callable[[Path], None]:
            def run(output: Path) -> None:
                export_panels(corpus, output=output, options=JobOptions(jobs=workers))

            return run

        def apart(output: Path) -> None:
            children = []
            for number in (1, 2):
                child = os.fork()
                if child == 0:
                    options = JobOptions(jobs=1, shard=(number, 2))
                    export_panels(corpus, output=output / str(number), options=options)
                    os._exit(0)
                children.append(child)
            for child in children:
                os.waitpid(child, 0)

        arms: dict[str, Callable[[Path], None]] = {
            "naive: reopen for each panel": lambda output: naive(corpus, output),
            "floor: decode once, bare loop": lambda output: once(corpus, output),
            "data export panels, 1 worker": ours(1),
            "data export panels, 2 workers": ours(2),
            "two processes, a shard each": apart,
        }
        best: dict[str, tuple[float, float]] = {}
        for _ in range(ROUNDS):
            for name, run in arms.items():
                # One worker has the writing thread beside it; on one core it may not use a second.
                with on_cores(2 if "two" in name or "2" in name else 1):
                    cpu, wall = measure(run, target)
                old = best.get(name, (cpu, wall))
                best[name] = (min(cpu, old[0]), min(wall, old[1]))
    base, _ = best["naive: reopen for each panel"]
    _, alone = best["data export panels, 1 worker"]
    print(f"{pages} pages, {6 * pages} panels, best of {ROUNDS}")
    print(f"{'':<32}{'CPU ms/page':>12}{'wall ms/page':>14}{'x naive (CPU)':>15}{'panels/s (wall)':>17}")
    for name, (cpu, wall) in best.items():
        if name == "two processes, a shard each":  # its CPU seconds belong to its children
            print(f"{name:<32}{'':>12}{1e3 * wall / pages:>14.1f}{'':>15}{6 * pages / wall:>17.0f}")
            continue
        figures = f"{1e3 * cpu / pages:>12.1f}{1e3 * wall / pages:>14.1f}{base / cpu:>15.2f}{6 * pages / wall:>17.0f}"
        print(f"{name:<32}{figures}")
    core = base / best["data export panels, 1 worker"][0]
    scale = alone / best["data export panels, 2 workers"][1]
    apart_scale = alone / best["two processes, a shard each"][1]
    print(f"asked for {PER_CORE} per core, {TWO_CORES} with two workers")
    floor = base / best["floor: decode once, bare loop"][0]
    figure(
        "export of panels, against reopening the page for each panel: one core; two workers against one",
        f"{core:.2f} times; {scale:.2f}",
        f"bare decode-once loop {floor:.2f}; two processes {apart_scale:.2f}",
    )


if __name__ == "__main__":
    main()
