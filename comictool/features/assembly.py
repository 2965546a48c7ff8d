"""From the vectors of finished items to the packs of each split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comictool import __version__
from comictool.core.errors import InputError
from comictool.core.jobs import Item
from comictool.core.ledger import Entry, Ledger, stamp_of
from comictool.corpus.packs.feature_parts import FeatureParts, Piece, by_comic
from comictool.corpus.packs.features import FeaturePack, index_file, write_features
from comictool.features.sources import digest
from comictool.features.zarr_pack import contents_of, write_zarr

LAYOUTS = ("published", "zarr", "both")


@dataclass(frozen=True)
class Task:
    """An item of the job, the split that its vectors go to, and the settings that decide them."""

    split: str
    item: Item
    settings: Mapping[str, Any]

    @property
    def stamp(self) -> str:
        """A short hash of the item's pictures and the settings, as in the ledger."""
        return stamp_of(self.item.fingerprint, self.settings)

    def finished(self, output: Path) -> bool:
        """Whether its vectors are there, whoever made them."""
        return parts_of(output, self.split).has(self.item.key, self.stamp)

    def failed(self, entries: Mapping[str, Entry]) -> bool:
        """Whether it was tried as it is now, and could not be done."""
        entry = entries.get(self.item.key)
        return entry is not None and entry.status == "failed" and entry.stamp == self.stamp


def work_folder(output: Path) -> Path:
    """Where ledger and parts lie."""
    return output / ".work"


def parts_of(output: Path, split: str) -> FeatureParts:
    """The vectors of finished items of a split."""
    return FeatureParts(work_folder(output) / "parts" / split)


def assemble(output: Path, splits: Sequence[str], tasks: Sequence[Task], layout: str, storage: str) -> list[Path]:
    """Write the packs of all splits from the parts that are there; those that are current stay as they are.

    Returns:
        The packs.

    Raises:
        InputError: a part is damaged, or another run is writing the packs.
    """
    packs = []
    with Ledger(work_folder(output), "assembly").writing():
        for split in splits:
            own = [task for task in tasks if task.split == split]
            packs += _write_split(output, split, [t for t in own if t.finished(output)], layout, storage)
            parts_of(output, split).keep_only(task.item.key for task in own)
    return packs


def _write_split(output: Path, split: str, tasks: Sequence[Task], layout: str, storage: str) -> list[Path]:
    group, parts = f"{split}_features", parts_of(output, split)
    contents = digest([*(f"{task.item.key}\0{task.stamp}" for task in tasks), storage])
    settings = tasks[0].settings if tasks else {}
    attributes = {**settings, "split": split, "contents": contents, "tool": f"comictool {__version__}"}

    def pieces() -> Iterator[Piece]:
        for task in tasks:
            yield from parts.read(task.item.key, task.stamp) or ()

    packs = []
    if layout != "zarr":
        packs.append(output / f"{group}.hdf5")
        if _contents(packs[-1]) != contents:
            write_features(packs[-1], group, by_comic(pieces()), attributes, dtype=storage)
    if layout != "published":
        packs.append(output / f"{group}.zarr")
        if contents_of(packs[-1]) != contents:
            dimension = int(settings.get("dimension", 1))
            write_zarr(
                packs[-1], lambda: by_comic(pieces()), attributes, dimension=dimension, dtype=storage
            )  # fmt: skip
    return packs


def _contents(pack: Path) -> str:
    """What a pack was assembled from; empty when it is not there or not whole."""
    if not pack.is_file() or not index_file(pack).is_file():
        return ""
    try:
        found = FeaturePack(pack)
    except InputError:
        return ""
    try:
        return str(found.attributes.get("contents", ""))
    finally:
        found.close()
