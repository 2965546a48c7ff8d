"""Embedding a corpus into a store: a resumable job over chunks of whole pages, then one publication.

A killed run loses at most the chunks in work. Vectors of finished chunks wait as parts beside the store's contents, and
pages whose picture and panels did not change keep the vectors that they have.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from uuid import uuid4

from comictool.core.errors import InputError, Stopped, UsageError
from comictool.core.jobs import Done, Item, JobOptions, JobReport, run_job
from comictool.core.ledger import Ledger
from comictool.core.progress import Progress
from comictool.corpus.corpus import Corpus
from comictool.plugins.encoder import Encoder
from comictool.search.chunks import Chunk, Have, Records, chunks_of, forget_lost, located
from comictool.search.encoders import EncoderChoice, loaded
from comictool.search.encoding import EncodingOptions, encode_pages
from comictool.search.parts import EmbeddedPage, part_file, parts_folder, work_folder, write_part
from comictool.search.publish import Published, publish
from comictool.search.shards import DTYPES
from comictool.search.sources import open_source
from comictool.search.store import LEVELS, StoreHead, StoreSettings, read_head, write_head
from comictool.search.views import FEW_VIEWS, VIEWS, Box

JOB = "embed"
MOST_DECODERS = 4  # one thread decodes 50 pages a second; no encoder of pages and their panels takes more than 200


@dataclass(frozen=True)
class Task:
    """What a worker gets: the pages to embed, and how many of their chunk have their vectors already."""

    chunk: Chunk
    kept_pages: int
    kept_panels: int


@dataclass(frozen=True)
class Worker:
    """What turns tasks into vectors, in any process."""

    corpus: Path
    choice: EncoderChoice
    encoding: EncodingOptions
    run: str

    def __call__(self, task: Task) -> tuple[list[EmbeddedPage], list[str]]:
        """Embed the pages of a task."""
        records = _records(self.run, self.corpus)
        return encode_pages(loaded(self.choice), records.corpus, records.pages(task.chunk), self.encoding)


@lru_cache(maxsize=1)
def _records(run: str, corpus: Path) -> Records:
    """The records that this process works through; `run` keeps a later run from meeting those of an earlier one."""
    return Records(Corpus.open(corpus))


def embed_corpus(
    corpus: Corpus,
    choice: EncoderChoice,
    root: Path,
    *,
    levels: Sequence[str] = LEVELS,
    views: Sequence[Box] | None = None,
    dtype: str = "float16",
    batch_size: int | None = None,
    options: JobOptions | None = None,
    progress: Progress | None = None,
) -> JobReport:
    """Bring a store up to date with a corpus: new and changed pages are embedded, those that are gone leave.

    Args:
        root: the store; made when there is none. With `options.shard` it holds that share of the corpus, and
            `comictool.search.merge.merge_stores` joins the shares.
        levels: what gets vectors, of `panel` and `page`.
        views: the parts of a page that get a vector, the whole page first; None: ten, or six with a heavy encoder,
            for which each is a forward pass.
        dtype: how vectors are stored, `float16` or `float32`.
        batch_size: pictures handed to the encoder at once; None: as it prefers.

    Returns:
        The report of the job; its totals count `pages` and `panels`. Pages that cannot be read are problems in it.

    Raises:
        UsageError: unknown levels or type.
        InputError: the store holds vectors of another encoder or corpus, is damaged, or is being written.
        Stopped: after a signal; what was finished is published and can be searched.
    """
    options = options or JobOptions()
    if not levels or not set(levels) <= set(LEVELS):
        raise UsageError(f"levels are {' and '.join(LEVELS)}, not {', '.join(levels) or 'none'}")
    if dtype not in DTYPES:
        raise UsageError(f"vectors are stored as {' or '.join(DTYPES)}, not as {dtype}")
    encoder = loaded(choice)
    settings = StoreSettings(
        identity=encoder.identity,
        dimension=encoder.dimension,
        dtype=dtype,
        levels=tuple(level for level in LEVELS if level in levels),
        views=tuple(views if views is not None else FEW_VIEWS if encoder.heavy else VIEWS),
        plugin=choice.remembered(),
        corpus=str(corpus.root.resolve()),
        corpus_nearby=_relative(corpus.root, root),
        shard=options.shard,
    )
    check_fits(root, settings)
    decoders = min(MOST_DECODERS, options.workers) if encoder.heavy else 0
    encoding = EncodingOptions(settings.levels, settings.views, dtype, batch_size, decoders)
    work = Worker(corpus.root, choice, encoding, uuid4().hex)
    chunks = chunks_of(corpus)
    if options.dry_run:
        return _run(corpus, encoder, root, settings, chunks, work, options, progress)
    with Ledger(work_folder(root), "store").writing():  # one writer: another is refused while this one works
        head = _begin(root, settings)
        mine = chunks[options.shard[0] - 1 :: options.shard[1]]
        ledger = Ledger(work_folder(root), JOB, options.shard)
        if options.resume != "never" and ledger.path.exists():
            forget_lost(corpus, root, ledger, mine, settings.deciding())
        try:
            report = _run(corpus, encoder, root, settings, chunks, work, options, progress)
        except Stopped:
            if options.resume != "never":  # there the old contents stay until all new vectors are there
                _publish(corpus, root, head, mine)
            raise
        _publish(corpus, root, head, mine, ignore=options.resume == "never" and options.limit is None)
    return report


def check_fits(root: Path, settings: StoreSettings) -> None:
    """Refuse a folder whose vectors do not go together with the settings.

    Raises:
        InputError: not a store, or a store of another encoder, with other settings, of another corpus or share of it.
    """
    if not (root / "zarr.json").exists():
        strangers = [p.name for p in root.iterdir() if not p.name.startswith(".")] if root.is_dir() else []
        if strangers or root.is_file():
            raise InputError(f"{root} exists and is not a store", hint="choose another -o, it will be made")
        return
    head = read_head(root)
    old = head.settings
    if old.identity != settings.identity:
        raise InputError(
            f"{root} holds vectors of {old.identity}, not of {settings.identity}",
            cause="vectors of different encoders cannot be compared",
            hint="choose another -o for this encoder, or delete the store to replace it",
        )
    for name, value in settings.deciding().items():
        if old.deciding()[name] != value:
            raise InputError(
                f"{root} was made with other {name}",
                cause=f"{str(old.deciding()[name])[:80]}, now {str(value)[:80]}",
                hint="choose another -o, or delete the store to replace it",
            )
    if settings.shard not in ((1, 1), old.shard) and head.current:
        share = "the whole corpus" if old.shard == (1, 1) else f"shard {old.shard[0]}/{old.shard[1]}"
        raise InputError(
            f"{root} holds {share}, which shard {settings.shard[0]}/{settings.shard[1]} would replace",
            hint="give each shard a folder of its own with -o, then: comictool merge PART... -o STORE",
        )
    before = [place for place in (Path(old.corpus), root / old.corpus_nearby) if old.corpus and place.is_dir()]
    if before and all(place.resolve() != Path(settings.corpus) for place in before):
        raise InputError(
            f"{root} belongs to the corpus {before[0]}, not to {settings.corpus}",
            hint="choose another -o, or delete the store to replace it",
        )


def _begin(root: Path, settings: StoreSettings) -> StoreHead:
    """Write the root of a new store, or read that of an old one with the present places of corpus and plugin."""
    check_fits(root, settings)  # again, now that nobody else writes
    if not (root / "zarr.json").exists():
        write_head(root, StoreHead(settings))
    old = read_head(root)
    return replace(old, settings=settings)  # its share too: what a run publishes is what it was asked for


def _run(
    corpus: Corpus,
    encoder: Encoder,
    root: Path,
    settings: StoreSettings,
    chunks: Sequence[Chunk],
    work: Worker,
    options: JobOptions,
    progress: Progress | None,
) -> JobReport:
    records = Records(corpus)
    with Have(root, ignore=options.resume == "never") as have:
        items = [Item(chunk.key, chunk.fingerprint, _task(records, chunk, have, settings.levels)) for chunk in chunks]

    def commit(item: Item, result: tuple[list[EmbeddedPage], list[str]]) -> Done:
        pages, problems = result
        write_part(part_file(root, item.key), pages, settings.dimension, DTYPES[settings.dtype])
        task: Task = item.payload
        panels = sum(len(page.panels) for page in pages)
        return Done({"pages": task.kept_pages + len(pages), "panels": task.kept_panels + panels}, problems)

    return run_job(
        JOB, items, work, commit,
        ledger_folder=work_folder(root), settings=settings.deciding(), options=options,
        workers="inline" if encoder.heavy else "processes", progress=progress,
    )  # fmt: skip


def _task(records: Records, chunk: Chunk, have: Have, levels: Sequence[str]) -> Task:
    if have.nothing:
        return Task(chunk, 0, 0)
    entries = records.entries(chunk)
    kept = [entry for entry in entries if have.row(entry) is not None]
    missing = {entry.page for entry in entries} - {entry.page for entry in kept}
    rest = replace(chunk, pages=tuple(sorted(missing))) if entries else chunk
    panels = sum(len(entry.panels) for entry in kept) if "panel" in levels else 0
    return Task(rest, len(kept), panels)


def _publish(
    corpus: Corpus, root: Path, head: StoreHead, chunks: Sequence[Chunk], *, ignore: bool = False
) -> Published:
    pages = (page for _, page in located(corpus, root, chunks, ignore=ignore))
    with ExitStack() as stack:
        published = publish(root, head, pages, open_source(root, stack))
    shutil.rmtree(parts_folder(root), ignore_errors=True)  # whatever stays is found again by the next run
    return published


def _relative(corpus: Path, root: Path) -> str:
    try:
        return os.path.relpath(corpus.resolve(), root.resolve())
    except ValueError:  # different drives
        return ""
