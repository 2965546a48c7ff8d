"""Where the real comics are that some tests read: the folder that COMICTOOL_TEST_DATA names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_folder = os.environ.get("COMICTOOL_TEST_DATA", "")
DATA: Path | None = Path(_folder) if _folder and Path(_folder).is_dir() else None

needs_data = pytest.mark.skipif(DATA is None, reason="COMICTOOL_TEST_DATA does not name a folder of test comics")


def data(*parts: str) -> Path:
    """A path in the test data; only for tests marked `needs_data`."""
    assert DATA is not None
    return DATA.joinpath(*parts)
