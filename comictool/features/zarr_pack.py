"""Features as a zarr v3 group, for readers that map them into memory or fetch parts of them.

```
<split>_features.zarr/
  zarr.json     attributes: format, version, and what the writer said of the vectors
  vectors       (N, D) float32 or float16, whole rows in plain shards, in the order of the published pack
  ids           (N,) `<comic>/<name>`
  comics        (C,) names
  offsets       (C + 1,) int64; comic c has the rows offsets[c] to offsets[c + 1]
```
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from comictool.core.errors import InputError
from comictool.core.files import TEMPORARY_SUFFIX, write_json
from comictool.corpus.packs.features import Rows
from comictool.corpus.vector_rows import IdWriter, RowWriter, create_array

FORMAT, VERSION = "comictool features", 1


def write_zarr(
    folder: Path, comics: Callable[[], Iterable[tuple[str, Rows]]], attributes: Mapping[str, Any], *, dimension: int,
    dtype: str,
) -> int:  # fmt: skip
    """Write the group beside its place and put it there in one step, one comic in memory at a time.

    Args:
        comics: gives each comic with its names and (N, D) vectors; called twice, first to count.

    Returns:
        Vectors written.

    Raises:
        InputError: a vector is not finite in the type asked for.
        OSError: the disk is full; what was there before is unchanged.
    """
    new = folder.with_name(f".{folder.name}{TEMPORARY_SUFFIX}")
    shutil.rmtree(new, ignore_errors=True)
    counts = {comic: len(names) for comic, (names, _) in comics()}
    total = sum(counts.values())
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(list(counts.values()), out=offsets[1:])
    try:
        new.mkdir(parents=True)
        vectors = RowWriter(new / "vectors", total, dimension, dtype)
        with IdWriter(new / "ids", total) as ids, IdWriter(new / "comics", len(counts)) as names_of_comics:
            for comic, (names, rows) in comics():
                with np.errstate(over="ignore"):
                    block = np.asarray(rows, dtype)
                if not np.isfinite(block).all():
                    raise InputError(f"{folder.name}: a vector of {comic} is not finite in {dtype}")
                vectors.add(block)
                names_of_comics.add(comic)
                for name in names:
                    ids.add(f"{comic}/{name}")
        vectors.close()
        array = create_array(new / "offsets", offsets.shape, offsets.shape, offsets.dtype, fill=0)
        array[...] = offsets
        own = {"format": FORMAT, "version": VERSION, **attributes, "dimension": dimension}
        write_json(new / "zarr.json", {"zarr_format": 3, "node_type": "group", "attributes": own})
        _replace(folder, new)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    return total


def contents_of(folder: Path) -> str:
    """The attribute `contents` of a group; empty when there is none."""
    try:
        value = json.loads((folder / "zarr.json").read_text("utf-8"))
        return str(value["attributes"]["contents"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""


def _replace(folder: Path, new: Path) -> None:
    """Folders are not replaced in one step, so the old one goes aside first; a kill between the two leaves none."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
