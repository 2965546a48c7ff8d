"""Progress for people and for logs: a bar on a terminal, heartbeat lines anywhere else, nothing when quiet.

Rich on a pipe prints only the finished bar, so an overnight job would look dead until it ends; hence `Heartbeat`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

HEARTBEAT_SECONDS = 30.0
HEARTBEAT_SHARE = 0.05  # also a line at each twentieth, but not more often than QUIET_SECONDS
QUIET_SECONDS = 5.0


class Progress:
    """What a job reports to, one task at a time; this one shows nothing (tests, library use)."""

    def start(self, label: str, total: int | None) -> None:
        """Begin a task of `total` items (None: unknown); ends the task before."""

    def advance(self, count: int = 1, note: str = "") -> None:
        """`count` more items are finished; `note` names the latest."""

    def message(self, text: str) -> None:
        """Show a line now, without breaking the bar."""

    def finish(self) -> None:
        """End the task."""


class Heartbeat(Progress):
    """Plain lines such as `panels: 120/400 (30 %), 14.2/s, about 20 s left`.

    Args:
        stream: where lines go; standard error by default.
        clock: seconds, for tests.
    """

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._label = ""

    def start(self, label: str, total: int | None) -> None:
        self.finish()
        self._label, self._total, self._count = label, total, 0
        self._began = self._last_time = self._clock()
        self._last_count = 0
        self._spoke = False

    def advance(self, count: int = 1, note: str = "") -> None:
        self._count += count
        since = self._clock() - self._last_time
        grown = self._total and (self._count - self._last_count) >= HEARTBEAT_SHARE * self._total
        if since >= HEARTBEAT_SECONDS or (grown and since >= QUIET_SECONDS):
            self._line()

    def message(self, text: str) -> None:
        print(text, file=self._stream or sys.stderr, flush=True)

    def finish(self) -> None:
        # A task that ended within one quiet period needs no line of its own: the summary says it.
        long = bool(self._label) and (self._spoke or self._clock() - self._began >= QUIET_SECONDS)
        if long and not (self._spoke and self._last_count == self._count):  # else it was just said
            self._line()
        self._label = ""

    def _line(self) -> None:
        now = self._clock()
        rate = self._count / max(now - self._began, 1e-9)
        text = f"{self._label}: {self._count}"
        if self._total:
            text += f"/{self._total} ({100 * self._count // self._total} %)"
        text += f", {rate:.1f}/s"
        if self._total and 0 < self._count < self._total:
            text += f", about {duration((self._total - self._count) / rate)} left"
        self.message(text)
        self._last_time, self._last_count, self._spoke = now, self._count, True


class Bar(Progress):
    """A rich progress bar on standard error."""

    def __init__(self, console: Any) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._rich = RichProgress(
            SpinnerColumn(),
            TextColumn("{task.description:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
            console=console,
        )
        self._task: Any = None

    def start(self, label: str, total: int | None) -> None:
        self.finish()
        self._rich.start()
        self._task = self._rich.add_task(label, total=total, note="")

    def advance(self, count: int = 1, note: str = "") -> None:
        self._rich.update(self._task, advance=count, note=note[:40])

    def message(self, text: str) -> None:
        self._rich.console.print(text, markup=False, highlight=False)

    def finish(self) -> None:
        if self._task is not None:
            self._rich.update(self._task, note="")
            self._rich.stop()
            self._rich.remove_task(self._task)  # its line stays on the terminal; the next start would print it again
            self._task = None


def duration(seconds: float) -> str:
    """Seconds as a person says them: `40 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
