"""`features asterx`: a contextual vector for every panel, filed under that panel, in the published layout.

`<split>_sequence_features.hdf5` with the group `<split>_sequence_features` and its index, one row for each row of the
panel features it was made from. Work is cut into runs of panels across comics; what a killed run finished is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from comictool import __version__
from comictool.asterx.data import SPLITS, Panels, load_panels
from comictool.asterx.encoding import BATCH, encode_batches, standard_matrix
from comictool.asterx.weights import ORIGIN_LENGTH, SequencePlugin
from comictool.core.errors import InputError, UsageError
from comictool.core.jobs import Done, Item, JobOptions, JobReport, run_job
from comictool.core.ledger import Ledger, stamp_of
from comictool.core.progress import Progress
from comictool.corpus.journal import forget
from comictool.corpus.packs.feature_parts import FeatureParts, Piece, by_comic
from comictool.corpus.packs.features import FeaturePack, index_file, write_features

JOB = "features asterx"
ITEM_PANELS = 4096  # what a kill can cost
TOKENS = ("cls", "centre")
WINDOWS = ("auto", "one", "two")
SUFFIX = "_features.hdf5"


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


def feature_packs(source: Path, splits: Sequence[str] = ()) -> dict[str, Path]:
    """The packs of panel features at a place, by split: the one that is named, or those of a folder.

    Raises:
        InputError: there are none, or a split is missing.
    """
    if source.is_file():
        if not source.name.endswith(SUFFIX) or source.name.endswith("_sequence" + SUFFIX):
            raise InputError(
                f"{source} is no pack of panel features", hint=f"they are called <split>{SUFFIX}, such as train{SUFFIX}"
            )
        return {source.name.removesuffix(SUFFIX): source}
    names = [name.removesuffix(SUFFIX) for name in (p.name for p in source.glob(f"*{SUFFIX}"))]
    found = sorted(name for name in names if name and not name.endswith("_sequence"))
    found.sort(key=lambda name: SPLITS.index(name) if name in SPLITS else len(SPLITS))
    missing = [split for split in splits if split not in found]
    if missing or not found:
        raise InputError(
            f"{source} holds no {missing[0] if missing else '<split>'}{SUFFIX}",
            hint="comictool features backbone CORPUS -o FEATURES", near=found,
        )  # fmt: skip
    return {split: source / f"{split}{SUFFIX}" for split in (splits or found)}


def extract(
    source: Path, plugin: SequencePlugin, output: Path, *, splits: Sequence[str] = (),
    chosen: ExtractOptions | None = None, device: str = "cpu", options: JobOptions | None = None,
    progress: Progress | None = None,
) -> ExtractReport:  # fmt: skip
    """Write the contextual vectors of panel features.

    Args:
        source: a folder of panel features, or one pack.
        output: folder; `<split>_sequence_features.hdf5` and its index go there.
        splits: only these of a folder.

    Raises:
        InputError: features that the model cannot read, by their width or by what made them.
        Stopped: after a signal; the packs are still those of before.
    """
    chosen, options = chosen or ExtractOptions(), options or JobOptions()
    two = chosen.two(plugin)
    settings = {
        "identity": plugin.identity, "windows": "two" if two else "one",
        **{key: value for key, value in asdict(chosen).items() if key not in ("batch_size", "windows")},
        "before": plugin.model.window.before, "after": plugin.model.window.after,
    }  # fmt: skip
    work = output / ".work" / "asterx"
    reader = _Reader(feature_packs(source, splits), plugin, device)
    items = [
        Item(f"{span.split} {span.begin}", f"{reader.sizes[span.split][1]}/{span.end}", span)
        for split, (count, _) in reader.sizes.items()
        for begin in range(0, count, ITEM_PANELS)
        for span in [_Span(split, begin, min(begin + ITEM_PANELS, count))]
    ]
    parts = {split: FeatureParts(work / split) for split in reader.sizes}
    stamps = {item.key: stamp_of(item.fingerprint, settings) for item in items}
    if not options.dry_run:
        ledger = Ledger(work, JOB, options.shard)
        done = [item for item in items if (entry := ledger.load().entries.get(item.key)) and entry.status == "done"]
        forget(ledger, [item.key for item in done if not parts[item.payload.split].has(item.key, stamps[item.key])])

    def compute(span: _Span) -> list[Piece]:
        panels, matrix = reader.open(span.split)
        vectors = np.concatenate(
            [
                _vectors(encoded.sequence, encoded.centre, encoded.tokens, chosen)
                for encoded in encode_batches(
                    plugin.model, matrix, panels, np.arange(span.begin, span.end), two=two, masked=chosen.masked,
                    batch_size=chosen.batch_size, all_tokens=chosen.legacy_shape,
                )
            ]
        )  # fmt: skip
        return list(_pieces(panels, span, vectors))

    def commit(item: Item, pieces: list[Piece]) -> Done:
        parts[item.payload.split].write(item.key, stamps[item.key], pieces)
        return Done({"vectors": item.payload.end - item.payload.begin})

    report = run_job(
        JOB, items, compute, commit, ledger_folder=work, settings=settings,
        options=JobOptions(1, options.shard, options.resume, options.limit, options.dry_run), workers="threads",
        progress=progress,
    )  # fmt: skip
    packs: list[Path] = []
    for split in reader.sizes if not options.dry_run else ():
        own = [item for item in items if item.payload.split == split]
        if all(parts[split].has(item.key, stamps[item.key]) for item in own):
            facts = {**settings, "split": split, "features": reader.sizes[split][1], "title": plugin.title,
                     "tool": f"comictool {__version__}"}  # fmt: skip
            packs.append(_write(output, split, own, parts[split], stamps, facts))
    return ExtractReport(report, packs, settings["windows"])


class _Reader:
    """The panels of one split at a time, on the model's device."""

    def __init__(self, files: dict[str, Path], plugin: SequencePlugin, device: str) -> None:
        self._files, self._plugin, self._device = files, plugin, device
        self._open: tuple[str, Panels, torch.Tensor] | None = None
        plugin.model.to(device)
        self.sizes = {split: (len(panels), panels.digest()) for split, panels in self._all()}

    def _all(self) -> Iterator[tuple[str, Panels]]:
        for split, file in self._files.items():
            panels = load_panels(file)
            fits(self._plugin, panels, file)
            yield split, panels

    def open(self, split: str) -> tuple[Panels, torch.Tensor]:
        """The panels of a split and their standardised matrix."""
        if self._open is None or self._open[0] != split:
            self._open = None  # never two splits in memory
            panels = load_panels(self._files[split])
            self._open = (split, panels, standard_matrix(self._plugin.model, panels, self._device))
        return self._open[1], self._open[2]


def fits(plugin: SequencePlugin, panels: Panels, file: Path) -> None:
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
            f"{file} was made by {panels.origin}", cause=f"the model was trained on features of {plugin.reads}",
            hint="make features with that encoder: comictool features backbone CORPUS --plugin ...",
        )  # fmt: skip


def _vectors(
    sequence: np.ndarray, centre: np.ndarray, tokens: np.ndarray | None, chosen: ExtractOptions
) -> np.ndarray:  # fmt: skip
    if tokens is not None:
        return tokens
    return sequence if chosen.token == "cls" else centre


def _pieces(panels: Panels, span: _Span, vectors: np.ndarray) -> Iterator[Piece]:
    """The vectors of consecutive panels, comic by comic under the panels' own names."""
    comics = panels.comic_of[span.begin : span.end]
    edges = np.flatnonzero(np.diff(comics)) + 1
    for begin, end in zip([0, *edges], [*edges, len(comics)], strict=True):
        yield panels.comics[comics[begin]], panels.names[span.begin + begin : span.begin + end], vectors[begin:end]


def _write(
    output: Path, split: str, items: Sequence[Item], parts: FeatureParts, stamps: dict[str, str], facts: dict[str, Any]
) -> Path:
    group = f"{split}_sequence_features"
    file = output / f"{group}.hdf5"
    contents = stamp_of(facts["features"], facts)
    if not _is(file, contents):

        def pieces() -> Iterator[Piece]:
            for item in items:
                yield from parts.read(item.key, stamps[item.key]) or ()

        write_features(file, group, by_comic(pieces()), {**facts, "contents": contents})
    parts.keep_only(item.key for item in items)
    return file


def _is(file: Path, contents: str) -> bool:
    if not file.is_file() or not index_file(file).is_file():
        return False
    try:
        pack = FeaturePack(file)
    except InputError:
        return False
    found = bool(pack.attributes.get("contents") == contents)
    pack.close()
    return found
