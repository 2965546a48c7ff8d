"""Speed of importing: `python -m tests.bench.importing`. Floors: copying the files, and only decoding every page.

With COMICTOOL_TEST_DATA it also times the real book there; without, drawn noise pages of 1000x1500 pixels.
"""

from __future__ import annotations

import io
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from comictool.archives.finding import find_comics
from comictool.archives.opening import open_comic
from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.corpus.importing.job import import_comics
from tests.bench.figures import figure
from tests.data import DATA

BOOKS, PAGES = 12, 24
ROUNDS = 3


def drawn_shelf(folder: Path) -> int:
    """Books of pages that are as costly to decode as real ones (about half a megabyte at 1000x1500)."""
    random = np.random.default_rng(5)
    pages = []
    for _ in range(PAGES):
        coarse = Image.fromarray(random.integers(0, 256, (60, 40, 3), dtype=np.uint8))
        page = np.asarray(coarse.resize((1000, 1500), Image.Resampling.BICUBIC)).astype(np.int16)
        noisy = (page + random.integers(-9, 10, page.shape)).clip(0, 255).astype(np.uint8)
        stream = io.BytesIO()
        Image.fromarray(noisy).save(stream, "JPEG", quality=88)
        pages.append(stream.getvalue())
    for book in range(BOOKS):
        with zipfile.ZipFile(folder / f"book {book}.cbz", "w") as archive:
            for number, data in enumerate(pages):
                archive.writestr(f"{number}.jpg", data)
    return BOOKS * PAGES


def decode_all(shelf: Path) -> None:
    """The floor: read and decode every page, keep nothing."""
    for source in find_comics([shelf]):
        with open_comic(source.path) as comic:
            for member in comic.members:
                Image.open(io.BytesIO(comic.read(member))).load()


def best(run: Callable[[Path], object], scratch: Path) -> float:
    """Least seconds of `ROUNDS` runs, each with an empty folder."""
    seconds = []
    for number in range(ROUNDS):
        target = scratch / str(number)
        begin = time.perf_counter()
        run(target)
        seconds.append(time.perf_counter() - begin)
        shutil.rmtree(target, ignore_errors=True)
    return min(seconds)


def measure(shelf: Path, count: int, label: str) -> None:
    """Print one block of the table."""
    again = Path(tempfile.mkdtemp()) / "corpus"
    import_comics([shelf], Corpus.create(again), options=JobOptions(jobs=1))

    def importing(jobs: int) -> Callable[[Path], object]:
        return lambda target: import_comics([shelf], Corpus.create(target), options=JobOptions(jobs=jobs))

    rows: list[tuple[str, Callable[[Path], object]]] = [
        ("floor: copy the files", lambda target: shutil.copytree(shelf, target)),
        ("floor: decode every page, 1 process", lambda target: decode_all(shelf)),
        ("import --jobs 1", importing(1)),
        ("import --jobs 2", importing(2)),
        ("import again, nothing new", lambda target: import_comics([shelf], Corpus.open(again))),
    ]
    print(f"\n{label}: {count} pages")
    speeds: dict[str, float] = {}
    for name, run in rows:
        with tempfile.TemporaryDirectory() as scratch:
            seconds = best(run, Path(scratch))
        print(f"  {name:38} {seconds:7.2f} s {count / seconds:9.0f} pages/s")
        speeds[name] = count / seconds
    decoding, one, _, again_speed = list(speeds.values())[1:]
    figure(
        f"import of {label}, one process / nothing new",
        f"{one:,.0f} / {again_speed:,.0f} pages/s",
        f"decoding alone {decoding:,.0f}",
    )
    shutil.rmtree(again.parent)


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), drawn_shelf(Path(folder)), "drawn books, 1000x1500 JPEG")
    if DATA is not None:
        measure(DATA / "science_comics_1946", 72, "Science Comics 1, as CBZ and as folder")


if __name__ == "__main__":
    main()
