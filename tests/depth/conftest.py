"""A small drawn corpus, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from comictool.core.jobs import JobOptions
from comictool.drawn.corpus import draw_corpus


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pages with exact maps; nobody may write into it."""
    root = tmp_path_factory.mktemp("depth") / "drawn"
    draw_corpus(root, pages=2, seed=5, comic_pages=2, width=420, height=600, options=JobOptions(jobs=1))
    return root
