from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from PIL import Image

from comictool.training.curves import HEIGHT, MOST_POINTS, WIDTH, charts_of, nice_ticks, write_curves
from comictool.training.metrics_log import MetricsLog, read_metrics


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.7, 0.95), (-3, 1e6), (5, 5), (0, 0), (1e-9, 3e-9)])
def test_ticks_are_round_and_hold_the_range(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    step = ticks[1] - ticks[0]
    assert ticks[0] <= low + 1e-6 * step
    assert ticks[-1] >= high - 1e-6 * step
    assert 2 <= len(ticks) <= 7
    assert round(step / 10.0 ** math.floor(math.log10(step * 1.0001)), 6) in (1, 2, 5)


def test_long_runs_are_put_together_and_keep_their_range() -> None:
    rows = [{"event": "step", "step": n, "loss": float(n % 7), "epoch": 0.1, "grade": "x"} for n in range(1, 5001)]
    rows += [{"event": "validation", "step": 5000, "top5": 0.5}, {"event": "resumed", "step": 2500}]
    first, second = charts_of(rows, "top5")
    assert (first.title, second.title) == ("top5 (held out): 0.5", "loss: 2")
    assert len(first.dots) == 1
    assert len(second.line) <= MOST_POINTS
    assert len(second.band) == 2 * len(second.line)
    for x, y in [*second.line, *second.band]:
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT


def test_sheets_are_written_and_load_nothing(tmp_path: Path) -> None:
    run = tmp_path / "<b>run"
    run.mkdir()
    log = MetricsLog(run, tensorboard=False)
    for step in range(1, 9):
        log.write("step", step, {"loss": 1 / step, "<i>": float("nan")})
    log.close()
    write_curves(run, "synthetic", "accuracy")
    with Image.open(run / "sheets" / "curves.png") as picture:
        assert picture.size == (2 * WIDTH, 2 * HEIGHT)
    page = (run / "sheets" / "curves.html").read_text("utf-8")
    assert "<svg" in page
    assert "<b>run" not in page
    assert "http" not in page.replace('http-equiv="Content', "")


def test_no_figures_no_sheets(tmp_path: Path) -> None:
    MetricsLog(tmp_path, tensorboard=False).close()
    write_curves(tmp_path, "synthetic", "accuracy")
    assert not (tmp_path / "sheets").exists()


def test_rows_are_json_whatever_the_numbers(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, tensorboard=False)
    log.write("step", 1, {"loss": float("inf"), "note": "line\u2028end"})
    size = log.sync()
    log.write("step", 2, {"loss": 1.0})
    log.close()
    assert [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text("utf-8").split("\n")[:-1]]
    assert [row["step"] for row in read_metrics(tmp_path / "metrics.jsonl")] == [1, 2]
    again = MetricsLog(tmp_path, keep_bytes=size, step=1, tensorboard=False)
    again.write("step", 2, {"loss": 2.0})
    again.close()
    assert [row["loss"] for row in read_metrics(tmp_path / "metrics.jsonl")] == ["inf", 2.0]


def test_tensorboard_gets_the_same_numbers(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    log = MetricsLog(tmp_path)
    log.write("step", 1, {"loss": 0.5})
    log.close()
    assert list((tmp_path / "tensorboard").glob("events*"))
