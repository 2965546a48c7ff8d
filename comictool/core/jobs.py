"""The job: anything done to many items.

Bounded memory, workers, shards, a ledger so that a killed run continues, errors collected item by item, progress,
and signals that finish what is running. Every command that maps over items calls `run_job`; none has its own loop.
"""

from __future__ import annotations

import errno
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from comictool.core.errors import ComicError, ExitCode, InputError, Stopped, UsageError
from comictool.core.ledger import Entry, Ledger, stamp_of
from comictool.core.progress import Progress
from comictool.core.workers import Kind, cores, in_order

T = TypeVar("T")

# Not the fault of one item: going on would fail every item after it too.
FATAL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE}


@dataclass(frozen=True)
class Item:
    """One thing to do. `fingerprint` changes whenever the input does; `payload` goes to the worker."""

    key: str
    fingerprint: str
    payload: Any = None


@dataclass
class Problem:
    """One thing that went wrong: the item or what is in it (`comic/page`), one line of reason, whether in this run."""

    key: str
    message: str
    fresh: bool = True

    def __str__(self) -> str:
        return f"{self.key}: {self.message}"


@dataclass
class Done:
    """What is worth remembering of a finished item: counts and facts, and problems inside it (a bad page)."""

    summary: dict[str, Any] = field(default_factory=dict)
    problems: Sequence[Problem] = ()


@dataclass(frozen=True)
class JobOptions:
    """How a job runs.

    Attributes:
        jobs: workers; 0 means one for each core.
        shard: `(i, n)`: do every n-th item, counting from the i-th (1-based).
        resume: `auto` skips finished unchanged items, `never` does all again, `must` refuses to start over.
        limit: consider only the first items.
        dry_run: only say what would be done.
    """

    jobs: int = 0
    shard: tuple[int, int] = (1, 1)
    resume: str = "auto"
    limit: int | None = None
    dry_run: bool = False

    def __post_init__(self) -> None:
        index, count = self.shard
        if not 1 <= index <= count:
            raise UsageError(f"shard {index}/{count}: the first number must be from 1 to {count}")
        if self.resume not in ("auto", "never", "must"):
            raise UsageError(f"resume is auto, never or must, not {self.resume!r}")
        if self.jobs < 0:
            raise UsageError(f"{self.jobs} jobs: give 1 or more, or 0 for one for each core")

    @property
    def workers(self) -> int:
        """The number of workers meant."""
        return self.jobs or cores()

    def share(self, things: Iterable[T]) -> list[T]:
        """Those of this shard, within the limit. Every shard must be given the same things in the same order."""
        index, count = self.shard
        return list(things)[index - 1 :: count][: self.limit]


@dataclass
class JobReport:
    """What a job did. `totals` sums the numbers in the summaries of all finished items, old and new alike.

    `told` holds the problems that were said while it ran; what is added to `problems` later is still to be said.
    `planned` are the keys of what a dry run would do, `to_do` these items. `changes` are keys of items by what became
    of them, for jobs that can tell.
    """

    name: str
    total: int = 0
    done: int = 0
    skipped: int = 0
    failed: int = 0
    problems: list[Problem] = field(default_factory=list)
    totals: Counter[str] = field(default_factory=Counter)
    new: Counter[str] = field(default_factory=Counter)
    planned: list[str] = field(default_factory=list)
    to_do: list[Item] = field(default_factory=list)
    changes: dict[str, list[str]] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)

    @property
    def exit_code(self) -> ExitCode:
        """0 all well, 1 some failed, 3 nothing could be read."""
        if self.failed and not self.done and not self.skipped:
            return ExitCode.INPUT
        return ExitCode.FINDINGS if self.problems else ExitCode.DONE


def run_job(
    name: str,
    items: Iterable[Item],
    work: Callable[[Any], Any],
    commit: Callable[[Item, Any], Done],
    *,
    ledger_folder: Path,
    settings: Mapping[str, Any],
    options: JobOptions | None = None,
    workers: Kind = "processes",
    progress: Progress | None = None,
    present: Callable[[Item, dict[str, Any]], bool] = lambda item, summary: True,
    within: AbstractContextManager[Any] | None = None,
    shared_out: bool = False,
) -> JobReport:
    """Do `work` for every item that is not finished yet, and `commit` each result in item order.

    Args:
        name: names the ledger; the same for all runs that continue each other.
        items: in a stable order, keys unique.
        work: payload to result; runs in a worker. A `ComicError` fails that item with its sentence.
        commit: writes the result and says what to remember; runs here, one at a time. The ledger line follows.
        settings: everything besides the input that decides the result; another value means doing the item again.
        present: whether what a finished, unchanged item wrote is still there; if not, it is done again. It is given
            the summary of the item and may correct it, which the ledger then keeps. Asked in a dry run too.
        within: entered when the ledger is held, before anything is looked at, and left before it is let go, however
            the job ends; for what only one process at a time may do, such as clearing a folder of half-done work.
        shared_out: `items` are already those of this shard and within the limit (`JobOptions.share`). For jobs whose
            shards are parted by something larger than an item, such as whole comics.

    Raises:
        Stopped: on the first SIGINT or SIGTERM, after what was running has been finished and committed.
        InputError: duplicate keys, or another process works on the same ledger.
    """
    options = options or JobOptions()
    progress = progress or Progress()
    chosen = _unique(items)
    chosen = chosen if shared_out else options.share(chosen)
    report = JobReport(name, total=len(chosen))
    ledger = Ledger(ledger_folder, name, options.shard)
    if options.resume == "must" and not ledger.load().entries:
        raise InputError(f"nothing to resume: {ledger.path} has no finished items", hint="leave --resume out to begin")
    if options.dry_run:
        report.to_do = list(_plan(chosen, ledger.load(), settings, options, report, present))
        report.planned = [item.key for item in report.to_do]
        return report
    with ledger.writing(), within or nullcontext(), stop_signals() as stop:
        open_items = _plan(chosen, ledger, settings, options, report, present)
        progress.start(name.split()[-1], len(open_items))
        try:
            results = in_order(
                work, (i.payload for i in open_items), kind=workers, jobs=options.workers, stopped=stop.is_set
            )
            # closing(): when a commit fails (a full disk) the workers end here and now, not at the exit of Python
            with closing(results):
                for item, (result, error) in zip(open_items, results, strict=False):
                    entry = _finish(item, result, error, commit, stamp_of(item.fingerprint, settings))
                    ledger.append(entry)
                    _count(report, entry, fresh=True)
                    for key, message in entry.problems:
                        report.told.add(line := f"{key or item.key}: {message}")
                        progress.message(line)
                    progress.advance(1, item.key)
        finally:
            progress.finish()
    if stop.is_set() and report.done + report.failed < len(open_items):
        raise Stopped(stop.number, done=report.skipped + report.done, total=report.total)
    return report


def _unique(items: Iterable[Item]) -> list[Item]:
    chosen = list(items)
    twice = [key for key, times in Counter(item.key for item in chosen).items() if times > 1]
    if twice:
        raise InputError(f"{twice[0]!r} occurs twice among the items")
    return chosen


def _plan(
    chosen: list[Item],
    ledger: Ledger,
    settings: Mapping[str, Any],
    options: JobOptions,
    report: JobReport,
    present: Callable[[Item, dict[str, Any]], bool],
) -> list[Item]:
    open_items = []
    for item in chosen:
        entry = ledger.entries.get(item.key)
        finished = entry is not None and entry.status == "done" and entry.stamp == stamp_of(item.fingerprint, settings)
        if entry is None or not finished or options.resume == "never":
            open_items.append(item)
            continue
        before = dict(entry.summary)
        if present(item, entry.summary):
            _count(report, entry, fresh=False)
            if entry.summary != before and not options.dry_run:
                ledger.append(entry)
        else:
            open_items.append(item)
            if not options.dry_run:
                ledger.forget(item.key)  # whoever reads the ledger must not take it for finished meanwhile
    return open_items


def _finish(item: Item, result: Any, error: Exception | None, commit: Callable[[Item, Any], Done], stamp: str) -> Entry:
    if error is None:
        try:
            done = commit(item, result)
            problems = [("" if p.key == item.key else p.key, p.message) for p in done.problems]
            return Entry(item.key, stamp, "done", done.summary, problems)
        except ComicError as refused:
            error = refused
    if isinstance(error, ComicError):
        return Entry(item.key, stamp, "failed", problems=[("", _one_line(error))])
    if isinstance(error, OSError) and error.errno in FATAL:
        raise error
    if isinstance(error, OSError):
        reason = f"{error.strerror or error}: {error.filename or ''}".rstrip(": ")
        return Entry(item.key, stamp, "failed", problems=[("", reason)])
    if isinstance(error, MemoryError):
        return Entry(item.key, stamp, "failed", problems=[("", "not enough memory for it")])
    return Entry(item.key, stamp, "failed", problems=[("", f"unexpected {type(error).__name__}: {error}")])


def _one_line(error: ComicError) -> str:
    return " ".join(f"{error.fact} ({error.cause})".split()) if error.cause else " ".join(error.fact.split())


def _count(report: JobReport, entry: Entry, *, fresh: bool) -> None:
    numbers = {k: v for k, v in entry.summary.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}
    if entry.status == "failed":
        report.failed += 1
    else:
        report.totals.update(numbers)
        if fresh:
            report.done += 1
            report.new.update(numbers)
        else:
            report.skipped += 1
    report.problems.extend(Problem(key or entry.key, message, fresh) for key, message in entry.problems)


class StopFlag:
    """Set by the first SIGINT or SIGTERM; `number` is which."""

    def __init__(self) -> None:
        self.number = 0
        self.since = 0.0  # time.monotonic() of the signal

    def is_set(self) -> bool:
        """Whether a signal came."""
        return self.number != 0


@contextmanager
def stop_signals(echo_seconds: float = 0.0) -> Iterator[StopFlag]:
    """Within the block the first SIGINT or SIGTERM only sets the flag; a second one acts as usual.

    Args:
        echo_seconds: signals within this time of the first are the same one: Ctrl-C reaches every process of the
            terminal, and a launcher among them passes it on once more.
    """
    flag = StopFlag()
    if threading.current_thread() is not threading.main_thread():
        yield flag  # only the main thread may set handlers; it stays in charge
        return
    before: dict[int, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        if flag.is_set() and time.monotonic() - flag.since > echo_seconds:
            for each, handler in before.items():
                signal.signal(each, handler)
            signal.raise_signal(number)
        elif not flag.is_set():
            flag.number, flag.since = number, time.monotonic()

    before.update({int(number): signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)})
    try:
        yield flag
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
