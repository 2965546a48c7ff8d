"""Rows of a damaged store: what a forged one may hold ends in a sentence when it is written again."""

from __future__ import annotations

from pathlib import Path

import pytest

from comictool.core.errors import InputError
from comictool.vectors.metadata import MetadataWriter, PageEntry


@pytest.mark.parametrize("entry", [PageEntry("a", 1, "x", ""), PageEntry("b", 1, "x", "", width=2**63)])
def test_rows_that_no_store_can_hold_are_told(tmp_path: Path, entry: PageEntry) -> None:
    """Section 5, fuzzed stores: IntegrityError for a page that is there twice, OverflowError for a huge number."""
    writer = MetadataWriter(tmp_path / "metadata.sqlite")
    writer.add(PageEntry("a", 1, "y", ""))
    with pytest.raises(InputError, match="damaged store"):
        writer.add(entry)
