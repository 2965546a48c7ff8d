"""Running one function over many payloads in order: in this thread, in threads, or in processes.

Results come back in the order of the payloads, a bounded window of them is in flight, and a worker process that
dies (out of memory, a crash in a decoder) costs the one item that killed it and nothing else.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from comictool.core.children import importing_safely
from comictool.core.errors import ComicError

if TYPE_CHECKING:  # pools are imported when one is made: importing them takes as long as many a command's work
    from concurrent.futures import Executor, Future, ProcessPoolExecutor

Kind = Literal["inline", "threads", "processes"]
BLAS_THREADS = "OPENBLAS_NUM_THREADS"


class WorkerDied(ComicError):
    """The process that worked on an item ended without an answer."""

    def __init__(self) -> None:
        super().__init__("the worker process died on it (out of memory, or a crash in a decoder)")


def cores() -> int:
    """Processors that this process may use (a container or a cluster job may have fewer than the machine)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def numpy_with_one_thread() -> None:
    """Import numpy so that OpenBLAS computes in the calling thread, unless numpy is there or the user said how many.

    For commands that are short when all is cached: threads of BLAS that wait for work take more processor time than the
    whole rest of such a run, and 10,000 references cost a picture 0.1 ms in one thread, a hundredth of embedding it.
    The variable is taken back at once: it is for this library alone, not for torch nor for processes begun later.
    """
    if "numpy" in sys.modules or BLAS_THREADS in os.environ:
        return
    os.environ[BLAS_THREADS] = "1"
    try:
        import numpy  # noqa: F401 - reads the variable as it is imported
    except ImportError:
        pass  # told by whoever needs it
    finally:
        del os.environ[BLAS_THREADS]


def in_order(
    work: Callable[[Any], Any],
    payloads: Iterable[Any],
    *,
    kind: Kind,
    jobs: int,
    ahead: int = 0,
    stopped: Callable[[], bool] = lambda: False,
) -> Generator[tuple[Any, Exception | None], None, None]:
    """Yield `(result, None)` or `(None, error)` for each payload, in order.

    Args:
        work: the function; for processes a top-level one, with picklable payloads and results.
        jobs: workers; at most one more item than this is in flight or waiting to be taken.
        ahead: or this many, if it is more: workers then continue while the one that takes the results is busy.
        stopped: asked before each new item; once true, what is in flight is finished and nothing more begun.
    """
    if kind == "inline" or (kind == "processes" and jobs == 1):
        for payload in payloads:
            if stopped():
                return
            yield _attempt(work, payload)
        return
    make = (lambda: _processes(jobs, work)) if kind == "processes" else (lambda: _threads(jobs))
    yield from _pooled(make, work, iter(payloads), window=max(jobs + 1, ahead), stopped=stopped)


def _attempt(work: Callable[[Any], Any], payload: Any) -> tuple[Any, Exception | None]:
    try:
        return work(payload), None
    except Exception as error:
        return None, error


def _pooled(
    make: Callable[[], Executor],
    work: Callable[[Any], Any],
    payloads: Iterator[Any],
    *,
    window: int,
    stopped: Callable[[], bool],
) -> Iterator[tuple[Any, Exception | None]]:
    from concurrent.futures import BrokenExecutor, Future

    waiting: deque[tuple[Any, Future[Any]]] = deque()
    pool = make()
    try:
        exhausted = False
        while True:
            while not exhausted and len(waiting) < window and not stopped():
                try:
                    payload = next(payloads)
                except StopIteration:
                    exhausted = True
                    break
                try:
                    waiting.append((payload, pool.submit(work, payload)))
                except BrokenExecutor as error:
                    lost: Future[Any] = Future()
                    lost.set_exception(error)
                    waiting.append((payload, lost))
                    break
            if not waiting:
                return
            payload, future = waiting.popleft()
            try:
                outcome: tuple[Any, Exception | None] = (future.result(), None)
            except BrokenExecutor:
                # Any of those in flight may be the killer: run them again, each in a process of its own.
                suspects = [payload, *(p for p, _ in waiting)]
                waiting.clear()
                pool.shutdown(wait=True, cancel_futures=True)
                pool = make()
                for suspect in suspects:
                    yield _alone(work, suspect)
                continue
            except Exception as error:
                outcome = (None, error)
            yield outcome
    finally:
        for _, future in waiting:
            future.cancel()
        pool.shutdown(wait=True, cancel_futures=True)


def _alone(work: Callable[[Any], Any], payload: Any) -> tuple[Any, Exception | None]:
    from concurrent.futures import BrokenExecutor

    pool = _processes(1, work)
    try:
        return pool.submit(work, payload).result(), None
    except BrokenExecutor:
        return None, WorkerDied()
    except Exception as error:
        return None, error
    finally:
        pool.shutdown(wait=True)


def _threads(jobs: int) -> Executor:
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(jobs)


def _processes(jobs: int, work: Callable[[Any], Any]) -> ProcessPoolExecutor:
    from concurrent.futures import ProcessPoolExecutor

    from comictool.core.processes import Context, WorkerContext

    context = Context() if work.__module__ == "__main__" else WorkerContext()
    if context.get_start_method() == "forkserver":
        # Imports of the work's module then happen once, in the server, not once in every worker.
        context.set_forkserver_preload([work.__module__])
    with importing_safely(), _one_thread_each(), _ctrl_c_blocked():
        pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_prepare_worker)
        pool.submit(os.getpid).result()  # starts the server now, while the environment is set
    return pool


@contextmanager
def _ctrl_c_blocked() -> Iterator[None]:
    """Children that are started within never see a Ctrl-C before they are ready to ignore it; here it waits.

    It reaches the whole process group, and a child that still imports would print a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # it unblocks the signal when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Workers times threads must not exceed the cores: each worker gets one BLAS thread."""
    names = ("OMP_NUM_THREADS", BLAS_THREADS, "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update({name: "1" for name in names if before[name] is None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)


def _prepare_worker() -> None:
    # The parent decides when to stop; Ctrl-C reaches the whole process group and must not kill work in flight.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # for the programs that it starts
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    import multiprocessing
    from multiprocessing.connection import wait

    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)  # the parent was killed: an orphan would hold memory and files for ever
