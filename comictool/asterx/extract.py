"""`features asterx`: a contextual vector for every panel, filed under that panel.

`<split>_sequence_features.hdf5` in the published layout, one row for each row of the panel features it was made from;
where these are a store in the same folder, also its column `panel/sequence`. Work is cut into runs of panels across
comics; what a killed run finished is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from comictool.asterx.data import panels_of
from comictool.asterx.encoding import BATCH, Encoded, encode_batches, standard_matrix
from comictool.asterx.weights import ORIGIN_LENGTH, SequencePlugin
from comictool.core.errors import InputError, UsageError
from comictool.core.jobs import Done, Item, JobOptions, JobReport, run_job
from comictool.core.ledger import stamp_of
from comictool.core.progress import Progress
from comictool.vectors.columns import Column
from comictool.vectors.packs import by_comic
from comictool.vectors.parts import Parts, Piece, work_folder
from comictool.vectors.published import check_packs, write_column, write_pack
from comictool.vectors.store import read_head, store_at
from comictool.vectors.tables import Table, split_of, splits_at

JOB = "features asterx"
ITEM_PANELS = 4096  # what a kill can cost
TOKENS = ("cls", "centre")
WINDOWS = ("auto", "one", "two")


@dataclass(frozen=True)
class ExtractOptions:
    """Which vector of a window is a panel's.

    Attributes:
        token: `cls`, the vector of the whole window, or `centre`, that of the panel's own place in it.
        masked: hide the panel itself, as in training: the vector then says what its neighbours tell of it.
        windows: `two`: with the next and with the previous window, the mean of both; `one`: the window alone; `auto`:
            what the model saw in training, which is `two` unless it was trained with `window.single` above 0.
        legacy_shape: all tokens of the window, (N, 1 + L, W), as the published code writes them.
        batch_size: windows at once.

    Raises:
        UsageError: an unknown token or layout.
    """

    token: str = "cls"
    masked: bool = True
    windows: str = "auto"
    legacy_shape: bool = False
    batch_size: int = BATCH

    def __post_init__(self) -> None:
        if self.token not in TOKENS:
            raise UsageError(f"token {self.token!r}: it is {' or '.join(TOKENS)}")
        if self.windows not in WINDOWS:
            raise UsageError(f"windows {self.windows!r}: it is {', '.join(WINDOWS)}")
        if self.batch_size < 1:
            raise UsageError(f"a batch of {self.batch_size}: at least 1")

    def two(self, plugin: SequencePlugin) -> bool:
        """Whether neighbouring windows are shown to a model."""
        return self.windows == "two" or (self.windows == "auto" and not plugin.single)


@dataclass
class ExtractReport:
    """The job's report, the packs that are current now, and how the windows were shown."""

    job: JobReport
    packs: list[Path]
    windows: str


@dataclass(frozen=True)
class _Span:
    """Panels `begin` to `end` of a split."""

    split: str
    begin: int
    end: int


def extract(
    source: Path,
    plugin: SequencePlugin,
    output: Path,
    *,
    splits: Sequence[str] = (),
    chosen: ExtractOptions | None = None,
    device: str = "cpu",
    options: JobOptions | None = None,
    progress: Progress | None = None,
) -> ExtractReport:
    """Write the contextual vectors of panel features.

    Args:
        source: a store, a folder of packs, or one pack.
        output: folder; `<split>_sequence_features.hdf5` and its index go there.
        splits: only these of a store or folder.

    Raises:
        InputError: features that the model cannot read, by their width or by what made them.
        Stopped: after a signal; the packs are still those of before.
    """
    chosen, options = chosen or ExtractOptions(), options or JobOptions()
    two = chosen.two(plugin)
    settings = {
        "encoder_id": plugin.encoder_id,
        "windows": "two" if two else "one",
        **{key: value for key, value in asdict(chosen).items() if key not in ("batch_size", "windows")},
        "before": plugin.model.window.before,
        "after": plugin.model.window.after,
    }
    work = work_folder(output) / "asterx"
    features = _Features(source, plugin, device)
    taken = splits or ([split_of(source)] if source.is_file() else splits_at(source))
    digests, items = {}, list[Item]()
    for split in taken:
        panels, digests[split] = features.open(split)[0], features.open(split)[0].digest()
        for begin in range(0, len(panels), ITEM_PANELS):
            span = _Span(split, begin, min(begin + ITEM_PANELS, len(panels)))
            items.append(Item(f"{split} {begin}", f"{digests[split]}/{span.end}", span))
    parts = {split: Parts(work / split) for split in taken}
    stamps = {item.key: stamp_of(item.fingerprint, settings) for item in items}

    def finished(item: Item) -> bool:
        return parts[item.payload.split].has(item.key, stamps[item.key])

    check_packs(output, "panel", "sequence")

    def compute(span: _Span) -> list[Piece]:
        panels, matrix = features.open(span.split)
        batches = encode_batches(
            plugin.model,
            matrix,
            panels,
            np.arange(span.begin, span.end),
            two=two,
            masked=chosen.masked,
            batch_size=chosen.batch_size,
            all_tokens=chosen.legacy_shape,
        )
        return list(_pieces(panels, span, np.concatenate([_vectors(encoded, chosen) for encoded in batches])))

    def commit(item: Item, pieces: list[Piece]) -> Done:
        parts[item.payload.split].write(item.key, stamps[item.key], pieces)
        return Done({"vectors": item.payload.end - item.payload.begin})

    report = run_job(
        JOB,
        items,
        compute,
        commit,
        ledger_folder=work,
        settings=settings,
        options=replace(options, jobs=1),
        workers="threads",
        progress=progress,
        present=lambda item, summary: finished(item),
    )
    if options.dry_run:
        return ExtractReport(report, [], settings["windows"])

    def pieces(split: str) -> Iterator[Piece]:
        for item in items:
            if item.payload.split == split:
                yield from parts[split].read(item.key, stamps[item.key]) or ()

    packs, lacking = [], {item.payload.split for item in items if not finished(item)}
    origin = features.open(taken[0])[0].origin
    for split in (split for split in taken if split not in lacking):
        facts = {**settings, "level": "panel", "features": digests[split], "title": plugin.title, "reads": [origin]}
        packs.append(write_pack(output, split, "sequence", by_comic(pieces(split)), facts))
        parts[split].keep_only(item.key for item in items)
    root = store_at(source)
    if not lacking and not splits and not chosen.legacy_shape and _is_store_of(root, output):
        made = {**settings, "features": [digests[split] for split in taken]}
        width, reads = plugin.model.shape.width, (origin,) if origin else ()
        column = Column(
            "panel", "sequence", plugin.encoder_id, width, "float32", normalised=False, reads=reads, settings=made
        )
        old = read_head(root).column(column.name)
        if old is None or old.deciding() != column.deciding():
            write_column(root, column, chain.from_iterable(map(pieces, taken)))
    return ExtractReport(report, packs, settings["windows"])


def _is_store_of(root: Path, output: Path) -> bool:
    return (root / "zarr.json").is_file() and store_at(output).resolve() == root.resolve()


class _Features:
    """The panels of one split at a time, on the model's device."""

    def __init__(self, source: Path, plugin: SequencePlugin, device: str) -> None:
        self._source, self._plugin, self._device = source, plugin, device
        self._open: tuple[str, Table, torch.Tensor] | None = None
        plugin.model.to(device)

    def open(self, split: str) -> tuple[Table, torch.Tensor]:
        """The panels of a split and their standardised matrix."""
        if self._open is None or self._open[0] != split:
            self._open = None  # never two splits in memory
            panels = panels_of(self._source, split)
            fits(self._plugin, panels, self._source)
            self._open = (split, panels, standard_matrix(self._plugin.model, panels, self._device))
        return self._open[1], self._open[2]


def fits(plugin: SequencePlugin, panels: Table, file: Path) -> None:
    """Refuse features that a model was not made for.

    Raises:
        InputError: of another width, or made by another encoder than those it was trained on.
    """
    width = plugin.model.shape.features
    if panels.dimension != width:
        raise InputError(
            f"{file} has vectors of {panels.dimension} numbers, the model reads {width}",
            hint="make features with the encoder that the model was trained on",
        )
    if plugin.reads and panels.origin and plugin.reads != panels.origin[:ORIGIN_LENGTH]:
        raise InputError(
            f"{file} was made by {panels.origin}",
            cause=f"the model was trained on features of {plugin.reads}",
            hint="make features with that encoder: comictool features backbone CORPUS --plugin ...",
        )


def _vectors(encoded: Encoded, chosen: ExtractOptions) -> np.ndarray:
    if encoded.tokens is not None:
        return encoded.tokens
    return encoded.sequence if chosen.token == "cls" else encoded.centre


def _pieces(panels: Table, span: _Span, vectors: np.ndarray) -> Iterator[Piece]:
    """The vectors of consecutive panels, comic by comic under the panels' own names."""
    comics = panels.comic_of[span.begin : span.end]
    edges = np.flatnonzero(np.diff(comics)) + 1
    for begin, end in zip([0, *edges], [*edges, len(comics)], strict=True):
        yield panels.comics[comics[begin]], panels.names[span.begin + begin : span.begin + end], vectors[begin:end]
