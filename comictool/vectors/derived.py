"""Columns that are made from what a store and its corpus say of the rows: words, layout, and several columns fused.

Rows are brought up to date first, as by `embed`; then a column is computed row after row and written once, straight to
where it stays, so that nothing is written twice. Vectors of texts that take a network are kept in the cache of vectors
by their text, batch by batch: a run that was killed computes no batch again, and a text that occurs twice is computed
once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from comictool.core.errors import InputError, UsageError
from comictool.core.jobs import JobOptions, JobReport
from comictool.core.ledger import Ledger
from comictool.core.progress import Progress
from comictool.corpus.views import CorpusView
from comictool.plugins.load import EncoderSpec, load_model
from comictool.plugins.protocols import TextEncoder
from comictool.vectors.cache import EmbeddingCache, default_cache
from comictool.vectors.columns import ABSENT, PRESENT, Column, refuse_others
from comictool.vectors.job import ELSEWHERE, bring_rows
from comictool.vectors.layout import ENCODER_ID, NUMBERS, layout_numbers
from comictool.vectors.parts import work_folder
from comictool.vectors.publish import Blocks, publish
from comictool.vectors.published import write_column
from comictool.vectors.reading import digest_of
from comictool.vectors.store import Store

TEXT, LAYOUT, FUSED = "text", "layout", "fused"
TEXT_LEVELS = ("panel", "page")
BATCH_ROWS = 128  # what a kill can cost
FUSED_ROWS = 4096


def embed_texts(
    source: Path | CorpusView,
    spec: EncoderSpec,
    root: Path,
    *,
    levels: Sequence[str] = ("panel",),
    dtype: str = "float16",
    options: JobOptions | None = None,
    progress: Progress | None = None,
    cache: Path | None = None,
) -> JobReport:
    """Bring the columns `panel/text` (and `page/text`) of a store up to date; rows without words are absent.

    Args:
        source, root, options: as for `embed`; there are no shards.
        spec: a text encoder.
        cache: of vectors; that of the user by default.

    Returns:
        The report; its totals count rows with a vector by level.

    Raises:
        UsageError: characters have no words; or a plugin that is no text encoder.
        InputError: as for `embed`; or there are no words at all.
    """
    if wrong := [level for level in levels if level not in TEXT_LEVELS]:
        raise UsageError(f"{wrong[0]}s have no words of their own", hint=f"--level {' or '.join(TEXT_LEVELS)}")
    encoder: TextEncoder = load_model(spec, "text-encoder")
    report = bring_rows(source, root, options=_plain(options))
    if options is not None and options.dry_run:
        return report
    with ExitStack() as stack:
        stack.enter_context(Ledger(work_folder(root), "store").writing())
        store = stack.enter_context(Store.open(root))
        if not store.metadata.has_text():
            raise InputError(
                f"no page of {store.corpus} has words",
                hint=f"comictool data text {store.corpus}   reads them from the pictures",
            )
        kept = stack.enter_context(EmbeddingCache(cache or default_cache())) if encoder.needs_torch else None
        dimension = int(encoder.embed_texts(["a"]).shape[1])
        for level in levels:
            column = Column(level, TEXT, encoder.encoder_id, dimension, dtype, encoder=spec.remembered())
            give = partial(_texts, store, level, encoder, dimension, kept, progress)
            _publish(store, root, column, give, report)
    return report


def _texts(
    store: Store,
    level: str,
    encoder: TextEncoder,
    dimension: int,
    cache: EmbeddingCache | None,
    progress: Progress | None,
) -> Blocks:
    progress = progress or Progress()
    progress.start("embedding words", store.counts[level])
    for start in range(0, store.counts[level], BATCH_ROWS):
        stop = min(start + BATCH_ROWS, store.counts[level])
        texts = {row: text for row, text in store.metadata.texts(level, start, stop) if text.strip()}
        keys = {row: digest_of(text.encode("utf-8", "replace")) for row, text in texts.items()}
        known = cache.vectors(keys.values(), encoder.encoder_id) if cache is not None else {}
        wanted = {keys[row]: text for row, text in texts.items() if keys[row] not in known}
        if wanted:
            fresh = dict(zip(wanted, encoder.embed_texts(list(wanted.values())), strict=True))
            known = known | fresh
            if cache is not None:
                cache.keep(encoder.encoder_id, fresh)
        dimension = dimension or (
            len(next(iter(known.values()))) if known else int(encoder.embed_texts(["a"]).shape[1])
        )
        rows, states = np.zeros((stop - start, dimension), np.float32), np.full(stop - start, ABSENT, np.uint8)
        for row, key in keys.items():
            rows[row - start], states[row - start] = known[key], PRESENT
        progress.advance(stop - start)
        yield rows, states
    progress.finish()


def embed_layout(
    source: Path | CorpusView, root: Path, *, options: JobOptions | None = None, progress: Progress | None = None
) -> JobReport:
    """Bring the column `panel/layout` of a store up to date; see `comictool.vectors.layout`.

    Raises:
        InputError: as for `embed`.
    """
    from comictool.formats.registry import open_any

    report = bring_rows(source, root, options=_plain(options))
    if options is not None and options.dry_run:
        return report
    with Store.open(root) as store:
        view = open_any(source) if isinstance(source, Path) else source
        known = [comic.comic for comic in store.metadata.comics()]
        rows = {comic.comic: set[str]() for comic in store.metadata.comics()}
        for name, _, crop in store.metadata.all_crops("panel"):
            rows[name.rsplit("/", 2)[0]].add(crop.name)

    def pieces() -> Iterator[tuple[str, list[str], np.ndarray]]:
        for comic in known:
            found: dict[str, np.ndarray] = {}
            for record in view.read(comic).pages:
                for number, vector in layout_numbers(record).items():
                    name = f"{record.page}_{number}"
                    if name in rows[comic]:
                        found.setdefault(name, vector)
            vectors = np.array(list(found.values()), np.float32).reshape(-1, NUMBERS)
            report.totals["panels"] += len(found)
            yield comic, list(found), vectors

    column = Column("panel", LAYOUT, ENCODER_ID, NUMBERS, "float16", normalised=False)
    write_column(root, column, pieces())
    report.new["panels"] = report.totals["panels"]
    return report


def embed_fused(
    source: Path | CorpusView,
    spec: EncoderSpec,
    root: Path,
    *,
    dtype: str = "float16",
    options: JobOptions | None = None,
    progress: Progress | None = None,
) -> JobReport:
    """Bring the columns `panel/fused` and `page/fused` of a store up to date with those that a fusion plugin reads.

    A panel that lacks one of them is fused from the others; one that has none is absent.

    Raises:
        UsageError: a plugin that is no fusion.
        InputError: as for `embed`; none of the columns that it reads is there, or one is of another encoder.
    """
    model: Any = load_model(spec, "fusion")
    report = bring_rows(source, root, options=_plain(options))
    if options is not None and options.dry_run:
        return report
    with Ledger(work_folder(root), "store").writing(), Store.open(root) as store:
        names = readable(store, model.manifest.reads, str(spec.name_or_path))
        dimension = model.manifest.output["vector"].dimension
        made = Column(
            "panel",
            FUSED,
            model.encoder_id,
            dimension,
            dtype,
            reads=tuple(store.columns[name].column.encoder_id for name in names),
            encoder=spec.remembered(),
        )
        _publish(store, root, made, lambda: _fused(store, model, names, dimension, progress), report)
    if hasattr(model, "fuse_pages"):
        with Ledger(work_folder(root), "store").writing(), Store.open(root) as store:
            pages = replace(made, level="page")
            _publish(store, root, pages, lambda: _fused_pages(store, model, names, dimension), report)
    return report


def readable(store: Store, reads: dict[str, str], who: str) -> list[str]:
    """The columns of a store that a model reads, as far as they are there.

    Raises:
        InputError: none is, or one was made by another encoder than the model was trained on.
    """
    found = [name for name in reads if name in store.columns]
    if not found:
        raise InputError(
            f"{store.root} has none of the columns that {who} reads: {', '.join(reads)}",
            hint=f"comictool embed CORPUS -o {store.root} --modality text, and layout",
        )
    for name in found:
        own = store.columns[name].column.encoder_id
        if reads[name] and own != reads[name]:
            raise InputError(
                f"{store.root} has {name} by {own}, {who} was trained on {reads[name]}",
                cause="vectors of different encoders do not go together",
                hint="embed with that encoder, or train a fusion on this store: comictool train fusion STORE -o RUN",
            )
    return found


def columns_of_rows(store: Store, names: Sequence[str], rows: np.ndarray) -> dict[str, np.ndarray]:
    """By column (N, D) float32 of panels by row, a row of NaN where there is no vector."""
    found = {}
    for name in names:
        opened = store.columns[name]
        vectors = opened.vectors(rows).astype(np.float32)
        vectors[~opened.present[rows]] = np.nan
        found[name] = vectors
    return found


def _fused(store: Store, model: Any, names: Sequence[str], dimension: int, progress: Progress | None) -> Blocks:
    progress = progress or Progress()
    progress.start("fusing", store.counts["panel"])
    for start in range(0, store.counts["panel"], FUSED_ROWS):
        rows = np.arange(start, min(start + FUSED_ROWS, store.counts["panel"]))
        columns = columns_of_rows(store, names, rows)
        there = np.logical_or.reduce([~np.isnan(vectors[:, 0]) for vectors in columns.values()])
        vectors = np.zeros((len(rows), dimension), np.float32)
        if there.any():
            vectors[there] = model.fuse({name: own[there] for name, own in columns.items()})
        progress.advance(len(rows))
        yield vectors, np.where(there, PRESENT, ABSENT).astype(np.uint8)
    progress.finish()


def _fused_pages(store: Store, model: Any, names: Sequence[str], dimension: int) -> Blocks:
    opened = store.columns[f"panel/{FUSED}"]
    for first, count in store.metadata.first_rows("panel"):
        rows = np.arange(first, first + count)
        rows = rows[opened.present[rows]]
        if not len(rows):
            yield np.zeros((1, dimension), np.float32), np.full(1, ABSENT, np.uint8)
            continue
        yield model.fuse_pages(columns_of_rows(store, names, rows)), np.full(1, PRESENT, np.uint8)


def _publish(store: Store, root: Path, column: Column, give: Callable[[], Blocks], report: JobReport) -> None:
    """Write a column beside the others of a store, which stay as they are."""
    head = store.head
    old = head.column(column.name)
    if old is not None and column.modality != FUSED:
        refuse_others(old, column, str(root), ELSEWHERE)
    others = tuple(other for other in head.columns if other.name != column.name)
    present = 0

    def counted() -> Blocks:
        nonlocal present
        for rows, states in give():
            present += int((states == PRESENT).sum())
            yield rows, states

    store.head = publish(root, replace(head, columns=(*others, column)), blocks={column.name: counted})
    report.totals[f"{column.level}s"] += present
    report.new[f"{column.level}s"] += present


def _plain(options: JobOptions | None) -> JobOptions:
    if options is not None and options.shard != (1, 1):
        raise UsageError("columns of words, layout and fused vectors are made in one run", hint="leave --shard out")
    return options or JobOptions()
