from __future__ import annotations

import io

import pytest
from rich.console import Console

from comictool.core.progress import Bar, Heartbeat, duration


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_heartbeats_are_alive_but_not_chatty() -> None:
    stream, clock = io.StringIO(), Clock()
    heartbeat = Heartbeat(stream, clock)
    heartbeat.start("panels", 1000)
    for _ in range(1000):
        clock.now += 0.125  # 125 s in all, each twentieth 6.25 s
        heartbeat.advance()
    heartbeat.finish()
    lines = stream.getvalue().splitlines()
    # About twenty lines, never one an item.
    assert 15 <= len(lines) <= 21
    assert lines[0].startswith("panels: 50/1000 (5 %), 8.0/s, about 1 min 59 s left")
    assert lines[-1].startswith("panels: 1000/1000 (100 %)")


def test_a_slow_job_speaks_every_half_minute() -> None:
    stream, clock = io.StringIO(), Clock()
    heartbeat = Heartbeat(stream, clock)
    heartbeat.start("embed", 10_000)
    for _ in range(4):
        clock.now += 31
        heartbeat.advance()
    assert len(stream.getvalue().splitlines()) == 4


def test_a_short_job_says_nothing() -> None:
    stream, clock = io.StringIO(), Clock()
    heartbeat = Heartbeat(stream, clock)
    heartbeat.start("import", 3)
    heartbeat.advance(3)
    heartbeat.finish()
    assert stream.getvalue() == ""


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")])
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_last_line_is_not_said_twice() -> None:
    stream, clock = io.StringIO(), Clock()
    heartbeat = Heartbeat(stream, clock)
    heartbeat.start("panels", 4)
    clock.now += 10
    heartbeat.advance(4)
    heartbeat.finish()
    assert stream.getvalue().count("panels: 4/4") == 1


def test_each_bar_stays_once_on_the_terminal() -> None:
    stream = io.StringIO()
    bar = Bar(Console(file=stream, force_terminal=True, width=80))
    for label in ("import", "panels", "embed"):
        bar.start(label, 2)
        bar.advance(2)
        bar.finish()
    # Once another task has begun, the finished one is not drawn again: its line stands above.
    shown = stream.getvalue().split("panels", 1)[1]
    assert "import" not in shown
