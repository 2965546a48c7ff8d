"""Writing the arrays of one version of a store's contents, whole shards at a time, through the zarr library."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from comictool.corpus.vector_rows import IdWriter, RowWriter, create_array
from comictool.search.metadata import Metadata

__all__ = ["RowWriter", "create_groups", "write_pointers"]


def create_groups(contents: Path) -> None:
    """Make the groups that the arrays of one version lie in."""
    import zarr

    root = zarr.open_group(contents, mode="w")
    for name in ("panels", "pages"):
        root.create_group(name)


def write_pointers(contents: Path, metadata: Metadata) -> None:
    """Write ids, page rows, panel offsets and boxes, as the metadata file has them."""
    pages, panels = contents / "pages", contents / "panels"
    _, page_count, panel_count = metadata.counts()
    offsets = np.empty(page_count + 1, np.int64)
    page_row = np.empty(panel_count, np.int64)
    boxes = np.empty((panel_count, 4), np.int32)
    offsets[-1] = panel_count
    with IdWriter(pages / "ids", page_count) as ids:
        for row, (name, first_panel) in enumerate(metadata.page_names()):
            offsets[row] = first_panel
            ids.add(name)
    with IdWriter(panels / "ids", panel_count) as ids:
        for row, (name, page, box) in enumerate(metadata.panel_names()):
            page_row[row], boxes[row] = page, box
            ids.add(name)
    for folder, values in (
        (pages / "panel_offsets", offsets),
        (panels / "page_row", page_row),
        (panels / "box", boxes),
    ):
        array = create_array(folder, values.shape, tuple(max(1, size) for size in values.shape), values.dtype, fill=0)
        if values.size:
            array[...] = values
