"""A small drawn library, packed as CBZ, made once for the tests of this room."""

from __future__ import annotations

from pathlib import Path

import pytest

from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.drawn.cbz import pack_cbz
from comictool.drawn.corpus import draw_corpus


@pytest.fixture(scope="session")
def comics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three comic files of three pages each."""
    root = tmp_path_factory.mktemp("comics")
    draw_corpus(root / "drawn", 9, seed=3, comic_pages=3, options=JobOptions(jobs=1))
    pack_cbz(Corpus.open(root / "drawn"), root / "files")
    return root / "files"
