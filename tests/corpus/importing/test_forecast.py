"""What a dry run says of pages, bytes and time, against what the import then takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.corpus.importing import forecast as room
from comictool.corpus.importing.forecast import RECORD_BYTES, Forecast, forecast
from comictool.corpus.importing.job import import_comics
from comictool.corpus.importing.options import ImportOptions
from tests.archives.comic_files import make_zip, picture, tree


def dry_run(shelf: Path, root: Path, **how: Any) -> Forecast:
    corpus = Corpus.create(root, dry_run=True)
    report = import_comics([shelf], corpus, ImportOptions(**how), options=JobOptions(jobs=1, dry_run=True))
    return forecast([item.payload for item in report.to_do], root, jobs=1)


def test_pages_and_bytes_are_those_of_the_import(tmp_path: Path) -> None:
    """Twenty comics of like pages, of which six are opened; a bad one takes nothing."""
    shelf, root = tmp_path / "shelf", tmp_path / "corpus"
    shelf.mkdir()
    for number in range(20):
        pages = {f"{n}.jpg": picture(10 * number + n, (200, 300)) for n in range(2 + number % 3)}
        make_zip(shelf / f"{number:02}.cbz", pages)
    (shelf / "bad.cbz").write_bytes(b"PK\x03\x04 nothing")
    expected = dry_run(shelf, root)
    assert not root.exists()
    referred = dry_run(shelf, root, keep="reference")
    corpus = Corpus.create(root)
    import_comics([shelf], corpus, options=JobOptions(jobs=1))
    pages = len(list(corpus.all_pages()))
    taken = sum(map(len, tree(root / "page_images").values()))
    assert expected.pages == pytest.approx(pages, rel=0.15)
    assert expected.bytes - expected.pages * RECORD_BYTES == pytest.approx(taken, rel=0.15)
    assert referred.pages == expected.pages
    assert referred.bytes == pytest.approx(referred.pages * RECORD_BYTES, rel=0.02)
    assert expected.seconds > 0
    assert dry_run(shelf, root).pages == 0  # all is there


def test_time_counts_later_steps_and_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock that only the later step moves: ten seconds a page, on one worker or two."""
    make_zip(tmp_path / "a.cbz", {f"{n}.jpg": picture(n) for n in range(8)})
    now = [0.0]
    monkeypatch.setattr(room.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(room, "cores", lambda: 2)
    corpus = Corpus.create(tmp_path / "corpus", dry_run=True)
    report = import_comics([tmp_path / "a.cbz"], corpus, options=JobOptions(dry_run=True))

    def later(page: object) -> int:
        now[0] += 10.0
        return 5000

    tasks = [item.payload for item in report.to_do]
    alone = forecast(tasks, tmp_path, later=later, jobs=1)
    assert (alone.pages, alone.seconds) == (8, 80.0)
    assert forecast(tasks, tmp_path, later=later).seconds == 40.0
    assert forecast(tasks, tmp_path, later=later, jobs=64).seconds == 40.0  # there are no more cores
    assert alone.bytes > 8 * 5000
    assert alone.fits
    assert not replace(alone, free_bytes=8 * 5000).fits
    assert str(replace(alone, pages=12_000, bytes=3_400_000_000, free_bytes=12_000_000_000, seconds=6000)) == (
        "about 12,000 pages, 3.4 GB (12 GB are free), 100 minutes"
    )
