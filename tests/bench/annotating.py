"""What a job that annotates costs a page beside the finding itself, by the thickness of a comic.

    python -m tests.bench.annotating [--pages 250,1000,4000] [--times 5] [--write]

One comic of n pages with tiny pictures, and a stage that finds six panels at once on each. The time is that of the
whole job in one process, less decoding the pictures; beside it, the same records read and written once with nothing but
`json`, as the floor. All in milliseconds a page of processor time, medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from comictool.core.images import decode_array
from comictool.core.jobs import JobOptions
from comictool.corpus.annotating import Stage, annotate
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import PageRecord, Panel
from tests.bench.figures import arguments, figure


def _ask(record: PageRecord) -> str:
    return record.direction


def _find(picture: np.ndarray, asked: Any) -> dict[str, Any]:
    return {"panels": [Panel(n, (n, n, n + 9, n + 9), n, source="bench") for n in range(1, 7)]}


def _merge(record: PageRecord, found: PageRecord) -> None:
    record.panels = found.panels


STAGE = Stage("bench", "bench-1", _ask, _find, _merge, workers="inline")


def main() -> None:
    """Print a table: thickness, job, run with nothing new, floor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", default="250,500,1000,2000,4000")
    parser.add_argument("--times", type=int, default=5)
    given = parser.parse_args(arguments())
    thicknesses = [int(value) for value in given.pages.split(",")]
    print("| pages of one comic | job, ms/page | nothing new, ms/page | json alone, ms/page |")
    print("|---:|---:|---:|---:|")
    jobs = []
    for pages in thicknesses:
        with tempfile.TemporaryDirectory() as folder:
            corpus = _corpus(Path(folder), pages)
            rounds = [_round(corpus, pages) for _ in range(given.times)]
            job, again, floor = (statistics.median(values) for values in zip(*rounds, strict=True))
            jobs.append(job)
            print(f"| {pages:,} | {job:.2f} | {again:.2f} | {floor:.2f} |", flush=True)
    what = f"bookkeeping of a job that annotates, a page, one comic of {thicknesses[0]:,} / {thicknesses[-1]:,} pages"
    figure(
        what,
        f"{jobs[0]:.2f} / {jobs[-1]:.2f} ms",
        f"`json` alone {floor:.2f} ms; asked for 1 ms, flat within 1.5 times",
    )
    print(f"\nthickest to thinnest: {jobs[-1] / jobs[0]:.2f} times; asked: 1.5 at most, and under 1 ms a page")


def _corpus(root: Path, pages: int) -> Corpus:
    corpus = Corpus.create(root / "corpus")
    records = [PageRecord("thick", n, f"page_images/thick/page-{n}.png", 8, 8) for n in range(1, pages + 1)]
    (root / "corpus/page_images/thick").mkdir(parents=True)
    for record in records:
        Image.new("RGB", (8, 8), (record.page % 256,) * 3).save(corpus.root / record.image)
    corpus.write_pages("thick", records)
    return corpus


def _round(corpus: Corpus, pages: int) -> tuple[float, float, float]:
    never, auto = JobOptions(jobs=1, resume="never"), JobOptions(jobs=1)
    pictures = [corpus.root / record.image for record in corpus.pages("thick")]
    decoding = _seconds(lambda: [decode_array(picture.read_bytes()) for picture in pictures])
    job = _seconds(lambda: annotate(corpus, STAGE, options=never)) - decoding
    again = _seconds(lambda: annotate(corpus, STAGE, options=auto))
    return tuple(1000 * value / pages for value in (job, again, _seconds(lambda: _floor(corpus))))  # type: ignore[return-value]


def _floor(corpus: Corpus) -> None:
    lines = corpus.records_file("thick").read_text("utf-8").split("\n")
    values = [json.loads(line) for line in lines if line]
    (corpus.root / "floor.jsonl").write_text("\n".join(json.dumps(value) for value in values), "utf-8")


def _seconds(work: Callable[[], Any]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


if __name__ == "__main__":
    main()
