from __future__ import annotations

import io

import pytest

from comictool.core.progress import Heartbeat, duration


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
