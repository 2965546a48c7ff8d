from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from comictool.core.errors import ExitCode, InputError, Stopped, UsageError
from comictool.core.jobs import Done, Item, JobOptions, JobReport, Problem, run_job
from comictool.core.ledger import Ledger


def square(number: int) -> int:
    return number * number


def picky(number: int) -> int:
    if number % 3 == 0:
        raise InputError(f"{number} is divisible by three", cause="it is what it is")
    return number


def deadly(number: int) -> int:
    if number == 4:
        os._exit(9)
    return number


def slow_first(number: int) -> int:
    time.sleep(0.2 if number == 0 else 0)
    return number


class Sink:
    """Collects what is committed, in order."""

    def __init__(self) -> None:
        self.got: list[tuple[str, Any]] = []

    def __call__(self, item: Item, result: Any) -> Done:
        self.got.append((item.key, result))
        return Done({"sum": result})


def items(count: int, fingerprint: str = "") -> list[Item]:
    return [Item(f"i{n}", fingerprint, n) for n in range(count)]


def run(folder: Path, work: Callable[[Any], Any] = square, count: int = 6, **options: Any) -> tuple[JobReport, Sink]:
    sink = Sink()
    kind = options.pop("workers", "inline")
    settings = options.pop("settings", {})
    fingerprint = options.pop("fingerprint", "")
    report = run_job(
        "test job",
        items(count, fingerprint),
        work,
        sink,
        ledger_folder=folder,
        settings=settings,
        options=JobOptions(jobs=2, **options),
        workers=kind,
    )
    return report, sink


@pytest.mark.parametrize("workers", ["inline", "threads", "processes"])
def test_results_are_committed_in_item_order(tmp_path: Path, workers: str) -> None:
    report, sink = run(tmp_path, slow_first, workers=workers)
    assert sink.got == [(f"i{n}", n) for n in range(6)]
    assert (report.done, report.skipped, report.failed, report.totals["sum"]) == (6, 0, 0, 15)
    assert report.exit_code == ExitCode.DONE


def test_finished_items_are_skipped_and_still_counted(tmp_path: Path) -> None:
    run(tmp_path)
    report, sink = run(tmp_path)
    assert sink.got == []
    assert (report.done, report.skipped, report.totals["sum"], report.new["sum"]) == (0, 6, 55, 0)


@pytest.mark.parametrize("change", [{"fingerprint": "touched"}, {"settings": {"size": 2}}, {"resume": "never"}])
def test_changed_inputs_or_settings_are_done_again(tmp_path: Path, change: dict[str, Any]) -> None:
    run(tmp_path)
    assert run(tmp_path, **change)[0].done == 6


@pytest.mark.parametrize("workers", ["inline", "threads", "processes"])
def test_bad_items_are_named_and_the_rest_goes_on(tmp_path: Path, workers: str) -> None:
    report, sink = run(tmp_path, picky, workers=workers)
    assert [result for _, result in sink.got] == [1, 2, 4, 5]
    assert report.failed == 2
    assert report.problems[0].message == "0 is divisible by three (it is what it is)"
    assert report.exit_code == ExitCode.FINDINGS
    again, _ = run(tmp_path, picky, workers=workers)
    assert (again.skipped, again.failed) == (4, 2)  # failures are tried again, successes are not


def test_nothing_readable_is_an_input_error_code(tmp_path: Path) -> None:
    def refuse(number: int) -> int:
        raise InputError("no")

    assert run(tmp_path, refuse)[0].exit_code == ExitCode.INPUT


def test_problems_inside_finished_items_are_remembered(tmp_path: Path) -> None:
    def commit(item: Item, result: Any) -> Done:
        found = [Problem(item.key, "it is worn"), Problem("i1/2", "the page is damaged: cut off")]
        return Done({}, found if result == 1 else [])

    def once() -> JobReport:
        return run_job("p", items(3), square, commit, ledger_folder=tmp_path, settings={}, workers="inline")

    assert [p.fresh for p in once().problems] == [True, True]
    again = once()
    assert [(p.key, p.message, p.fresh) for p in again.problems] == [
        ("i1", "it is worn", False),
        ("i1/2", "the page is damaged: cut off", False),
    ]
    assert again.exit_code == ExitCode.FINDINGS


def test_a_dying_worker_costs_one_item(tmp_path: Path) -> None:
    report, sink = run(tmp_path, deadly, count=8, workers="processes")
    assert [result for _, result in sink.got] == [0, 1, 2, 3, 5, 6, 7]
    assert [p.key for p in report.problems] == ["i4"]
    assert "worker process died" in report.problems[0].message


def test_shards_part_the_items_and_share_what_is_done(tmp_path: Path) -> None:
    seen = [key for n in (1, 2, 3) for key, _ in run(tmp_path, shard=(n, 3))[1].got]
    assert sorted(seen) == [f"i{n}" for n in range(6)]
    assert run(tmp_path)[0].skipped == 6


def test_dry_run_writes_nothing(tmp_path: Path) -> None:
    report, sink = run(tmp_path / "new", dry_run=True)
    assert report.planned == [f"i{n}" for n in range(6)]
    assert sink.got == []
    assert not (tmp_path / "new").exists()


def test_limit_and_must(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to resume"):
        run(tmp_path, resume="must")
    assert run(tmp_path, limit=2)[0].done == 2
    assert run(tmp_path, resume="must")[0].done == 4


@pytest.mark.parametrize("bad", [{"shard": (0, 2)}, {"shard": (3, 2)}, {"resume": "yes"}, {"jobs": -1}])
def test_impossible_options_are_usage_errors(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        JobOptions(**bad)


def test_two_items_of_one_key_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="twice"):
        run_job("d", [*items(1), *items(1)], square, Sink(), ledger_folder=tmp_path, settings={})


def test_a_torn_ledger_line_is_ignored_and_removed(tmp_path: Path) -> None:
    run(tmp_path)
    ledger = tmp_path / "test-job.jsonl"
    lines = ledger.read_text().splitlines(keepends=True)
    ledger.write_text("".join(lines[:3]) + lines[3][:20])
    assert run(tmp_path)[0].done == 3
    assert all(json.loads(line) for line in ledger.read_text().splitlines())


def test_a_hostile_ledger_is_only_ignored(tmp_path: Path) -> None:
    lines = ["[1]", '{"key": []}', "[" * 5000, '{"key":"i0","stamp":"","status":"x"}', ""]
    (tmp_path / "test-job.jsonl").write_text("\n".join(lines))
    assert run(tmp_path)[0].done == 6


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    def commit(item: Item, result: Any) -> Done:
        with pytest.raises(InputError, match="already working"):
            run(tmp_path)
        return Done()

    run_job("test job", items(1), square, commit, ledger_folder=tmp_path, settings={}, workers="inline")


def test_a_full_disk_stops_the_job_instead_of_failing_every_item(tmp_path: Path) -> None:
    def commit(item: Item, result: Any) -> Done:
        raise OSError(28, "No space left on device", "x")

    with pytest.raises(OSError, match="No space"):
        run_job("f", items(3), square, commit, ledger_folder=tmp_path, settings={}, workers="inline")


SCRIPT = """
import sys, time
from pathlib import Path
from comictool.core.errors import Stopped
from comictool.core.jobs import Done, Item, JobOptions, run_job

def work(n):
    time.sleep(0.05)
    return n

def commit(item, result):
    (Path(sys.argv[1]) / item.key).write_text(str(result))
    print(item.key, flush=True)
    return Done()

if __name__ == "__main__":
    try:
        run_job("s", [Item(f"i{n}", "", n) for n in range(200)], work, commit, ledger_folder=Path(sys.argv[1]) / "led",
                settings={}, options=JobOptions(jobs=2), workers=sys.argv[2])
    except Stopped as stop:
        sys.exit(stop.exit_code)
"""


@pytest.mark.parametrize("workers", ["inline", "processes"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_signals_save_and_a_killed_run_continues(tmp_path: Path, workers: str, number: int, code: int) -> None:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    out = tmp_path / "out"
    out.mkdir()
    command = [sys.executable, str(script), str(out), workers]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    for _ in range(5):
        process.stdout.readline()
    process.send_signal(number)
    process.stdout.read()
    assert process.wait(20) == code
    written = {f.name for f in out.iterdir() if f.is_file()}
    ledger = [json.loads(line)["key"] for line in (out / "led" / "s.jsonl").read_text().splitlines()]
    assert 4 <= len(ledger) < 200  # the fifth may have been killed between its data and its line
    assert set(ledger) <= written
    assert len(written - set(ledger)) <= 1  # data first, line after: at most one item is between the two
    sink = Sink()
    report = run_job(
        "s", [Item(f"i{n}", "", n) for n in range(200)], square, sink, ledger_folder=out / "led", settings={}
    )
    assert report.skipped == len(ledger)
    assert report.done == 200 - len(ledger)


def test_stopped_names_what_is_saved() -> None:
    assert "3 of 9 items" in Stopped(signal.SIGINT, done=3, total=9).fact


def test_names_with_line_separators_are_finished_too(tmp_path: Path) -> None:
    odd = [Item("a\u2028b\u0085c", "", 1)]
    for skipped in (0, 1):
        report = run_job("odd", odd, square, Sink(), ledger_folder=tmp_path, settings={}, workers="inline")
        assert report.skipped == skipped


def test_names_that_are_no_utf8_are_finished_too(tmp_path: Path) -> None:
    key = os.fsdecode(b"bad\xff.cbz")
    for expected in (1, 0):
        report = run_job(
            "count",
            [Item(key, key, 1)],
            lambda value: value,
            lambda item, result: Done({}, [Problem(item.key, key)]),
            ledger_folder=tmp_path,
            settings={"name": key},
            options=JobOptions(jobs=1),
            workers="inline",
        )
        assert report.done == expected
        assert [problem.message for problem in report.problems] == [key]


def test_a_number_of_thousands_of_digits_in_a_ledger_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "count.jsonl").write_text('{"key":' + "9" * 5000 + "}\n")
    assert Ledger(tmp_path, "count").load().entries == {}


def test_must_refuses_an_empty_ledger(tmp_path: Path) -> None:
    with Ledger(tmp_path, "count").writing():
        pass  # another step of the command has opened it, and nothing is finished
    with pytest.raises(InputError, match="nothing to resume"):
        run_job(
            "count",
            [Item("a", "1", 1)],
            lambda value: value,
            lambda item, result: Done(),
            ledger_folder=tmp_path,
            settings={},
            options=JobOptions(jobs=1, resume="must"),
            workers="inline",
        )


def test_workers_end_with_the_job_that_failed(tmp_path: Path) -> None:
    def full(item: Item, result: Any) -> Done:
        raise OSError(errno.ENOSPC, "no space left")

    before = threading.active_count()
    # The traceback that is kept here holds the job's frame, as that of an error does until the program ends.
    with pytest.raises(OSError, match="no space") as failed:
        run_job(
            "count",
            [Item(str(n), "1", n) for n in range(9)],
            abs,
            full,
            ledger_folder=tmp_path,
            settings={},
            options=JobOptions(jobs=2),
            workers="threads",
        )
    assert failed.value.errno == errno.ENOSPC
    assert threading.active_count() == before


def test_items_that_are_shared_out_already_are_all_done(tmp_path: Path) -> None:
    report = run_job(
        "s",
        items(4),
        square,
        Sink(),
        ledger_folder=tmp_path,
        settings={},
        options=JobOptions(shard=(2, 3), limit=1),
        workers="inline",
        shared_out=True,
    )
    assert report.done == 4
