"""`embed`: bringing the columns of a store up to date with a corpus, a pack of pictures or a folder of crops.

A resumable job over groups of pages, then one publication. A killed run loses at most the items in work: vectors of
finished items wait as parts beside the store's contents, and rows whose picture and box did not change keep the vectors
that they have.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from comictool.core.device import choose_device
from comictool.core.errors import InputError, Stopped, UsageError
from comictool.core.jobs import Done, Item, JobOptions, JobReport, Problem, run_job
from comictool.core.ledger import Ledger, stamp_of
from comictool.core.progress import Progress
from comictool.core.typed import typed
from comictool.corpus.views import CorpusView
from comictool.datasets.exporting.characters import CharacterOptions
from comictool.datasets.splitting.folders import SPLITS
from comictool.plugins.load import EncoderSpec
from comictool.vectors.columns import ABSENT, DTYPES, LEVELS, LOST, PRESENT, WHOLE, Column, refuse_others
from comictool.vectors.encoders import lazy_encoder
from comictool.vectors.metadata import CROPS, PageEntry
from comictool.vectors.pages import open_place
from comictool.vectors.parts import Parts, work_folder
from comictool.vectors.pictures import CHARACTER, PAGE, PANEL
from comictool.vectors.plan import Plan, PlannedPage, make_plan
from comictool.vectors.publish import Blocks, joined, publish
from comictool.vectors.sources import Wanted
from comictool.vectors.store import Head, Store, read_head, refuse_strangers, remove_unused
from comictool.vectors.stream import EmbeddedPicture, EmbedPictures, reading_of
from comictool.vectors.views import FEW_VIEWS, VIEWS, Box

JOB = "embed"
IMAGE = "image"
CPU_WORKERS = 2  # of an encoder with torch: one computes while the other decodes; more only hold memory
ELSEWHERE = "choose another -o, or delete the store to replace it"


def default_plugin(levels: Sequence[str]) -> str:
    """The encoder of a run that names none: `comic_small` where only characters get vectors, else `classic`."""
    return "comic_small" if set(levels) == {"character"} else "classic"


@dataclass(frozen=True)
class EmbedOptions:
    """What gets vectors, and how they are stored.

    Attributes:
        levels: of page, panel and character.
        views: the parts of a page that get a vector, the whole page first; None: ten, or six with a heavy encoder,
            for which each is a forward pass.
        dtype: how vectors are stored, float16, float32 or int8.
        raw: the model's own output, as the published `[CLS]` features are, instead of vectors of length 1.
        cutting: which part of characters, and how.
        split: encode only train, val or test; None or `all`: everything.
        batch_size: pictures handed to the encoder at once; None: as it prefers.
        shared: shards work in one folder, and the one that finishes last publishes; else each has a store of its own.

    Raises:
        UsageError: an unknown level, type or split.
    """

    levels: tuple[str, ...] = (PAGE, PANEL)
    views: tuple[Box, ...] | None = None
    dtype: str = "float16"
    raw: bool = False
    cutting: CharacterOptions = field(default_factory=CharacterOptions)
    split: str | None = None
    batch_size: int | None = None
    shared: bool = False

    def __post_init__(self) -> None:
        if not self.levels or not set(self.levels) <= set(LEVELS):
            raise UsageError(f"levels are {', '.join(LEVELS)}, not {', '.join(self.levels) or 'none'}")
        if self.dtype not in DTYPES:
            raise UsageError(f"vectors are stored as {' or '.join(DTYPES)}, not as {self.dtype}")
        if self.split not in (None, "all", *SPLITS):
            raise UsageError(f"split {self.split!r}: it is {', '.join(SPLITS)} or all")


def embed(
    source: Path | CorpusView,
    spec: EncoderSpec,
    root: Path,
    chosen: EmbedOptions | None = None,
    *,
    options: JobOptions | None = None,
    progress: Progress | None = None,
) -> JobReport:
    """Bring a store up to date: new and changed rows are embedded, those that are gone leave.

    Args:
        source: see `comictool.vectors.pages.open_place`.
        root: the store; made when there is none. With `options.shard` it holds that share of the corpus, and
            `comictool.vectors.merge.merge_stores` joins the shares.

    Returns:
        The report of the job; its totals count `pages`, and `panels` and `characters` with a vector. Pictures that
        cannot be read are problems in it. `new` is empty when nothing had to be published.

    Raises:
        UsageError: raw outputs of an encoder that has none.
        InputError: the store holds vectors of another encoder or corpus, is damaged, or is being written.
        Stopped: after a signal; what was finished is published and can be searched.
    """
    return EmbedRun(source, spec, root, chosen or EmbedOptions(), options or JobOptions()).run(progress)


def bring_rows(source: Path | CorpusView, root: Path, *, options: JobOptions | None = None) -> JobReport:
    """Bring the rows of a store up to date with a corpus, and encode nothing: what has a vector keeps it.

    Raises:
        InputError: as for `embed`.
    """
    return _RowsRun(source, EncoderSpec(default_plugin(())), root, EmbedOptions(), options or JobOptions()).run(None)


class EmbedRun:
    """One run of `embed`: what it was asked for, and the store as it finds it.

    Attributes:
        waiting: after `run`, how many items other shards still have to do before the store is published.
    """

    def __init__(
        self, source: Path | CorpusView, spec: EncoderSpec, root: Path, chosen: EmbedOptions, options: JobOptions
    ) -> None:
        self.place, self.encoder, self.root = (place := open_place(source)), lazy_encoder(spec), root
        self.chosen, self.options, self.waiting = chosen, options, 0
        if chosen.split in SPLITS and chosen.split not in place.splits:
            raise InputError(
                f"{place.root} has no {' or '.join(chosen.levels)}s in {chosen.split}"
                if place.splits
                else f"{place.root} was never split",
                hint="" if place.splits else f"comictool data split {place.root}",
            )
        self.head = self._found = self._head()
        self.columns = {column.level: column for column in self._columns()}
        self.settings = {column.name: column.deciding() for column in self.columns.values()}
        self.parts = Parts(work_folder(root) / "parts")
        self.plan = Plan()
        self.store: Store | None = None

    def run(self, progress: Progress | None) -> JobReport:
        """Plan, encode, publish."""
        with ExitStack() as stack:
            if not self.options.dry_run and not self.chosen.shared:
                stack.enter_context(Ledger(work_folder(self.root), "store").writing())  # one writer
                self.head = self._head()  # again, now that nobody else writes
                self.columns = {column.level: column for column in self._columns()}
            self._open(stack)
            keep = self.options.resume != "never"
            split = self.chosen.split if self.chosen.split in SPLITS else None
            self.plan = make_plan(self.place, self._wanted(), self.columns, self.store, split=split, anew=not keep)
            try:
                report = self._encode(progress)
            except Stopped:
                if keep and not self.chosen.shared:  # else the old vectors stay until all new ones are there
                    self._publish()
                raise
            report.problems += self.place.problems
            if self.options.dry_run:
                return report
            if self.chosen.shared:
                self.waiting = self._unfinished()
                if self.waiting:
                    return report
                stack.enter_context(Ledger(work_folder(self.root), "store").writing())
                if self._head() != self._found:  # the shard that ended just now has published
                    return report
            self._publish(mine=not self.chosen.shared)
            return report

    def _head(self) -> Head:
        """The head of the store, or a new one; refuses a folder of something else, of another corpus or share."""
        root, shard = self.root, self.options.shard if not self.chosen.shared else (1, 1)
        if not (root / "zarr.json").exists():
            refuse_strangers(root)
            return Head(shard=shard).of_corpus(self.place.root, root)
        head = read_head(root)
        if shard not in ((1, 1), head.shard) and head.current:
            share = "the whole corpus" if head.shard == (1, 1) else f"shard {head.shard[0]}/{head.shard[1]}"
            raise InputError(
                f"{root} holds {share}, which shard {shard[0]}/{shard[1]} would replace",
                hint="give each shard a folder of its own with -o, then: comictool merge PART... -o STORE",
            )
        refuse_other_corpus(root, head, self.place.root)
        return replace(head, shard=shard).of_corpus(self.place.root, root)

    def _columns(self) -> Iterator[Column]:
        """The columns of this run; refuses to mix vectors of different encoders or settings."""
        encoder, chosen = self.encoder, self.chosen
        if chosen.raw and not hasattr(encoder.loaded(), "embed_raw"):
            raise UsageError(
                f"{encoder.manifest.id} has no raw output: its vectors have length 1", hint="leave --raw out"
            )
        views = chosen.views or (FEW_VIEWS if encoder.needs_torch else VIEWS)
        precision = {"precision": asked} if (asked := reading_of(encoder).precision) else {}
        for level in self.place.levels or chosen.levels:
            old = self.head.column(f"{level}/{IMAGE}")
            known = old is not None and old.encoder_id == encoder.encoder_id
            cutting = (
                {"cutting": _plain_cutting(chosen.cutting)} if level == CHARACTER and not self.place.levels else {}
            )
            column = Column(
                level=level,
                modality=IMAGE,
                encoder_id=encoder.encoder_id,
                dimension=old.dimension if old is not None and known else encoder.dimension,
                dtype=chosen.dtype,
                views=tuple(views) if level == PAGE else (WHOLE,),
                normalised=not chosen.raw,
                settings=precision | cutting,
                encoder=encoder.spec.remembered(),
            )
            if old is not None:
                refuse_others(old, column, str(self.root), ELSEWHERE)
            yield column

    def _wanted(self) -> Wanted:
        """What the pages are read for. Characters are rows as long as some column of the store has them."""
        cutting = self.chosen.cutting
        levels = [level for level in LEVELS if level in self.columns]
        known = next((column for column in self.head.columns if column.level == CHARACTER), None)
        if CHARACTER not in levels and known is not None and "cutting" in known.settings:
            cutting = typed(CharacterOptions, known.settings["cutting"], f"the store is damaged: {self.root}")
            levels.append(CHARACTER)
        views = self.columns[PAGE].views if PAGE in self.columns else (WHOLE,)
        return Wanted(tuple(levels) or (PAGE,), views, cutting)

    def _open(self, stack: ExitStack) -> None:
        try:
            self.store = stack.enter_context(Store.open(self.root)) if self.head.current else None
        except InputError as error:
            if self.options.resume == "never":
                self.head = replace(self.head, columns=(), current="", digest="")
                return
            hint = "--resume never embeds everything again and replaces what is damaged"
            raise InputError(error.fact, cause=error.cause, hint=hint) from error

    def _stamp(self, item: Item) -> str:
        return stamp_of(item.fingerprint, self.settings)

    def _encode(self, progress: Progress | None) -> JobReport:
        encoder, options = self.encoder, self.options
        members: dict[str, list[PlannedPage]] = {item.key: [] for item in self.plan.items}
        for page in self.plan.pages:
            if page.item >= 0:
                members[self.plan.items[page.item].key].append(page)

        def commit(item: Item, results: Sequence[EmbeddedPicture]) -> Done:
            pieces, problems = [], []
            counts: Counter[str] = Counter(pages=0)
            given = iter(results)
            for page in members[item.key]:
                lost = False
                for picture, targets in page.work:
                    result = next(given)
                    lost = lost or bool(result.error)
                    counted = f"; {len(targets)} without a vector" if targets else ""
                    lines = [f"{line}{counted if line == result.error else ''}" for line in result.problems]
                    problems += [Problem(picture.name, line) for line in lines]
                    if not result.error:
                        names = [f"{level} {place}" for level, place in targets]
                        there = np.flatnonzero(result.present)
                        pieces.append((page.id, [names[place] for place in there], result.vectors[there]))
                        counts.update(f"{level}s" for level, _ in (targets[place] for place in there) if level != PAGE)
                counts.update({"pages": int(not lost)}, **self._counted(page))
            self.parts.write(item.key, self._stamp(item), pieces)
            return Done(dict(counts), problems)

        kept = Counter(self.plan.items[page.item].key for page in self.plan.pages if page.item >= 0 and not page.work)

        def present(item: Item, summary: dict[str, Any]) -> bool:
            # A comic that left the corpus and came back is in the ledger, and its vectors have gone from the store.
            return kept[item.key] >= summary.get("pages", 0) or self.parts.has(item.key, self._stamp(item))

        on_cpu = encoder.needs_torch and choose_device(encoder.spec.device).kind == "cpu"
        threads = min(CPU_WORKERS, options.workers) if on_cpu else options.workers
        work = EmbedPictures(
            encoder.spec, self.chosen.raw, self.chosen.batch_size, options.workers if encoder.needs_torch else 1
        )
        report = run_job(
            JOB,
            self.plan.items,
            work,
            commit,
            ledger_folder=work_folder(self.root),
            settings=self.settings,
            options=replace(options, jobs=threads) if encoder.needs_torch else options,
            workers=work.workers,
            progress=progress,
            present=present,
        )
        return report

    def _counted(self, page: PlannedPage) -> dict[str, int]:
        """The panels and characters of a page whose vectors are kept."""
        counts = {}
        for level in CROPS:
            if level in self.columns:
                found = self.store.columns.get(self.columns[level].name) if self.store is not None else None
                rows = page.rows(level)
                usable = found is not None and self.options.resume != "never"
                counts[f"{level}s"] = int(found.present[rows[rows >= 0]].sum()) if usable and found is not None else 0
        return counts

    def _unfinished(self) -> int:
        """How many items of any shard are neither finished nor known to fail."""
        entries = Ledger(work_folder(self.root), JOB).load().entries
        with_work = {page.item for page in self.plan.pages if page.work}
        known = (entries.get(item.key) for item in self.plan.items)
        tried = [
            entry is not None and entry.status in ("done", "failed") and entry.stamp == self._stamp(item)
            for item, entry in zip(self.plan.items, known, strict=True)
        ]
        return sum(not tried[number] for number in with_work)

    def _publish(self, *, mine: bool = True) -> None:
        """Make what is finished current; does nothing when it is already."""
        index, count = self.options.shard if mine else (1, 1)
        found = _Found(self.plan.items, self.parts, self._stamp)

        def holds(page: PlannedPage) -> bool:
            own = count == 1 or (page.item >= 0 and page.item % count == index - 1)
            kept = (page.old is not None and not self._replaces) or (page.item >= 0 and not page.work)
            return own and (kept or found.has(page))

        pages = [page for page in self.plan.pages if holds(page)]
        fresh = {column.name for column in self.columns.values()}
        others = [column for column in self.head.columns if column.name not in fresh]
        head = replace(self.head, columns=(*others, *self.columns.values()))
        blocks = {}
        for column in head.columns:
            made = found if column.name in fresh else None
            if not self._unchanged(pages, column, made):
                blocks[column.name] = partial(self._blocks, pages, column, made)
        old = [page.old.row for page in pages if page.old is not None and page.entry is None]
        published = {page.comic for page in pages}
        facts = {comic: told for comic, told in self.plan.facts.items() if comic in published}
        same_rows = (
            self.store is not None
            and len(old) == len(pages)
            and old == list(range(self.store.counts[PAGE]))
            and self.store.metadata.has_words  # else it is of an earlier version, and is written anew
            and self.store.metadata.facts() == facts
        )
        if same_rows and not blocks and _bare(head) == _bare(now := read_head(self.root)):
            remove_unused(self.root, now)  # what a kill may have left
            shutil.rmtree(self.parts.folder, ignore_errors=True)
            return
        lacking = {page.comic for page in self.plan.pages} - {page.comic for page in pages}
        lacking |= {page.comic for page in self.plan.pages if page.work and not found.has(page)}
        told = {problem.key.partition("/")[0] for problem in self.place.problems}
        states = {comic: state for comic, state in self.plan.states.items() if comic not in lacking | told}
        entries = None if same_rows else self._entries(pages)
        publish(self.root, head, entries=entries, blocks=blocks, states=states, facts=facts)
        shutil.rmtree(self.parts.folder, ignore_errors=True)  # whatever stays is found again by the next run

    @property
    def _replaces(self) -> bool:
        """Whether no vector of the columns of this run is kept, not even of what cannot be encoded again."""
        return self.options.resume == "never" and self.options.limit is None

    def _entries(self, pages: Sequence[PlannedPage]) -> Iterator[PageEntry]:
        for page in pages:
            if page.entry is not None:
                yield page.entry
            else:
                assert self.store is not None
                assert page.old is not None
                yield self.store.metadata.entry(page.old)

    def _unchanged(self, pages: Sequence[PlannedPage], column: Column, made: _Found | None) -> bool:
        """Whether a column keeps all of its rows in their places and gets no new ones."""
        if self.store is None or column.name not in self.store.columns:
            return False
        if made is not None and (self._replaces or any(made.has(page) for page in pages)):
            return False
        rows = [page.rows(column.level) for page in pages]
        every = np.concatenate(rows) if rows else np.empty(0, np.int64)
        return np.array_equal(every, np.arange(self.store.counts[column.level]))

    def _blocks(self, pages: Sequence[PlannedPage], column: Column, made: _Found | None) -> Blocks:
        return joined(self._row_of(page, column, made) for page in pages)

    def _row_of(self, page: PlannedPage, column: Column, made: _Found | None) -> tuple[np.ndarray, np.ndarray]:
        """The rows of a page in a column: those that the store has, and what was encoded over them."""
        views = len(column.views)
        rows = page.rows(column.level)
        vectors = np.zeros((len(rows), views, column.dimension), np.float32)
        states = np.full(len(rows), ABSENT, np.uint8)
        there = np.flatnonzero(rows >= 0)
        old = self.store.columns.get(column.name) if self.store is not None else None
        if old is not None and len(there) and (made is None or not self._replaces):
            states[there] = old.states[rows[there]]
            vectors[there] = old.vectors(rows[there]).reshape(len(there), views, column.dimension)
        encoded = made.vectors(page) if made is not None else None
        for level, place in (target for _, targets in page.work for target in targets) if encoded is not None else ():
            if level == column.level:
                row, view = (0, place) if level == PAGE else (place, 0)
                vector = encoded.get(f"{level} {place}") if encoded is not None else None
                states[row] = LOST if vector is None else PRESENT
                if vector is not None:
                    vectors[row, view] = vector
        return vectors.reshape(len(rows) * views, column.dimension), states


class _RowsRun(EmbedRun):
    """A run without columns of its own."""

    def _columns(self) -> Iterator[Column]:
        return iter(())

    def _encode(self, progress: Progress | None) -> JobReport:
        return JobReport(JOB)


class _Found:
    """The vectors of finished items that are not published yet, page by page; those of one item in memory."""

    def __init__(self, items: Sequence[Item], parts: Parts, stamp: Any) -> None:
        self._items, self._parts, self._stamp = items, parts, stamp
        self._number = -1
        self._pages: dict[str, dict[str, np.ndarray]] = {}

    def has(self, page: PlannedPage) -> bool:
        """Whether a page was encoded."""
        return self.vectors(page) is not None

    def vectors(self, page: PlannedPage) -> dict[str, np.ndarray] | None:
        """The vectors of what was encoded of a page, by level and number."""
        if page.item < 0 or not page.work:
            return None
        if page.item != self._number:
            self._number, self._pages = page.item, {}
            item = self._items[page.item]
            for name, names, rows in self._parts.read(item.key, self._stamp(item)) or ():
                self._pages.setdefault(name, {}).update(zip(names, rows, strict=True))
        return self._pages.get(page.id)


def refuse_other_corpus(root: Path, head: Head, corpus: Path) -> None:
    """Refuse a store that belongs to another corpus, one that is still there.

    Raises:
        InputError: it does.
    """
    before = [place for place in (Path(head.corpus_before), root / head.corpus) if head.corpus and place.exists()]
    if before and all(place.resolve() != corpus.resolve() for place in before):
        raise InputError(f"{root} belongs to the corpus {before[0]}, not to {corpus.resolve()}", hint=ELSEWHERE)


def _bare(head: Head) -> Head:
    """A head without what publishing fills in."""
    columns = [replace(column, folder="", fingerprint="") for column in head.columns]
    return replace(head, columns=tuple(sorted(columns, key=lambda column: column.name)), current="", digest="")


def _plain_cutting(cutting: CharacterOptions) -> dict[str, Any]:
    values = asdict(cutting)
    del values["crops"]  # how crops would be encoded as files
    return values
