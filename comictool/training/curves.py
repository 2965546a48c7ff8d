"""Curves of a run: `sheets/curves.png` and `sheets/curves.html`, one small chart for each metric.

A chart is computed once, as lines in pixels, and drawn twice: by Pillow, and as SVG in a page that loads nothing.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from comictool.core.files import write_bytes, write_text
from comictool.report.page import escape, html_page
from comictool.training.metrics_log import NAME, read_metrics

WIDTH, HEIGHT, COLUMNS = 560, 250, 2  # of a chart in pixels, and charts in a row
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 34, 30
MOST_POINTS = 250  # of a line; more are put together, their range is drawn behind
LEFT_OUT = {"event", "step", "epoch", "seconds", "waited"}
SCALE = 2  # the PNG is drawn this much larger, for sharp screens
INK, QUIET, LINE, TRAIN, CHECK = "#1b1b1f", "#63636b", "#dcdad3", "#2f6690", "#b3421b"

Point = tuple[float, float]


@dataclass
class Chart:
    """One metric over the steps, in pixels of its own box.

    Attributes:
        line: the curve; `band`: the range of values behind it; `dots`: measured points (validations).
        ticks: `(y, label)`; `steps`: `(x, label)`.
    """

    title: str
    colour: str
    line: list[Point] = field(default_factory=list)
    band: list[Point] = field(default_factory=list)
    dots: list[Point] = field(default_factory=list)
    ticks: list[tuple[float, str]] = field(default_factory=list)
    steps: list[tuple[float, str]] = field(default_factory=list)


def write_curves(run: Path, recipe: str, monitor: str) -> None:
    """Draw what `metrics.jsonl` of a run holds; nothing when it holds no metrics."""
    charts = charts_of(read_metrics(run / NAME), monitor)
    if not charts:
        return
    write_bytes(run / "sheets" / "curves.png", _png(charts))
    write_text(run / "sheets" / "curves.html", _page(charts, f"{recipe}: {run.name}"))


def charts_of(rows: Iterable[dict[str, object]], monitor: str) -> list[Chart]:
    """Charts of every metric: those of validations first, the monitored one leading, then those of steps."""
    series: dict[tuple[str, str], list[Point]] = {}
    for row in rows:
        for name, value in row.items():
            number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if name not in LEFT_OUT and row["event"] in ("step", "validation") and number:
                series.setdefault((str(row["event"]), name), []).append((float(row["step"]), float(value)))  # type: ignore[arg-type]
    last = max((points[-1][0] for points in series.values()), default=0.0)
    order = sorted(series, key=lambda key: (key != ("validation", monitor), key != ("step", "loss"), key[0] == "step"))
    return [_chart(event, name, series[event, name], last) for event, name in order]


def _chart(event: str, name: str, points: list[Point], last: float) -> Chart:
    validation = event == "validation"
    title = f"{name} (held out)" if validation else name
    chart = Chart(f"{title}: {points[-1][1]:.4g}", CHECK if validation else TRAIN)
    groups = _grouped(points)
    low, high = min(y for _, y in points), max(y for _, y in points)
    marks = nice_ticks(low, high)
    low, high = min(low, marks[0]), max(high, marks[-1])

    def place(step: float, value: float) -> Point:
        x = LEFT + (WIDTH - LEFT - RIGHT) * step / max(1.0, last)
        return x, HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / ((high - low) or 1.0)

    chart.line = [place(*_mean(group)) for group in groups]
    if len(groups) < len(points):
        tops = [place(_mean(group)[0], max(y for _, y in group)) for group in groups]
        floors = [place(_mean(group)[0], min(y for _, y in group)) for group in groups]
        chart.band = [*tops, *reversed(floors)]
    chart.dots = [place(*point) for point in points] if validation and len(points) <= MOST_POINTS else []
    chart.ticks = [(place(0, mark)[1], f"{mark:.6g}") for mark in marks]
    chart.steps = [(place(step, low)[0], f"{step:.0f}") for step in nice_ticks(0, last) if step <= last]
    return chart


def nice_ticks(low: float, high: float, wanted: int = 4) -> list[float]:
    """Round numbers (1, 2, 5 times a power of ten) from `low` or just below to `high` or just above."""
    if high <= low:
        pad = abs(low) * 0.5 or 1.0
        low, high = low - pad, high + pad
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def _grouped(points: Sequence[Point]) -> list[Sequence[Point]]:
    size = math.ceil(len(points) / MOST_POINTS)
    return [points[at : at + size] for at in range(0, len(points), size)]


def _mean(group: Sequence[Point]) -> Point:
    return sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)


def _png(charts: Sequence[Chart]) -> bytes:
    rows = math.ceil(len(charts) / COLUMNS)
    columns = min(COLUMNS, len(charts))
    picture = Image.new("RGB", (columns * WIDTH * SCALE, rows * HEIGHT * SCALE), "white")
    draw = ImageDraw.Draw(picture)
    small, large = (ImageFont.load_default(size=points * SCALE) for points in (11, 14))
    for number, chart in enumerate(charts):
        corner = number % COLUMNS * WIDTH, number // COLUMNS * HEIGHT

        def at(points: Iterable[Point], corner: tuple[int, int] = corner) -> list[Point]:
            return [((corner[0] + x) * SCALE, (corner[1] + y) * SCALE) for x, y in points]

        draw.text(at([(LEFT, 8)])[0], chart.title, fill=INK, font=large)
        for y, label in chart.ticks:
            draw.line(at([(LEFT, y), (WIDTH - RIGHT, y)]), fill=LINE, width=SCALE)
            draw.text(at([(LEFT - 8, y)])[0], label, fill=QUIET, font=small, anchor="rm")
        for x, label in chart.steps:
            draw.text(at([(x, HEIGHT - BOTTOM + 6)])[0], label, fill=QUIET, font=small, anchor="ma")
        if chart.band:
            draw.polygon(at(chart.band), fill=_pale(chart.colour))
        if len(chart.line) > 1:
            draw.line(at(chart.line), fill=chart.colour, width=2 * SCALE, joint="curve")
        for x, y in at(chart.dots if chart.dots else chart.line if len(chart.line) == 1 else []):
            draw.ellipse((x - 3 * SCALE, y - 3 * SCALE, x + 3 * SCALE, y + 3 * SCALE), fill=chart.colour)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _pale(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return (red + 3 * 255) // 4, (green + 3 * 255) // 4, (blue + 3 * 255) // 4


def _page(charts: Sequence[Chart], title: str) -> str:
    body = "".join(_svg(chart) for chart in charts)
    style = (
        ".charts { display: grid; gap: 1rem;"
        " grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); }\n"
        "svg { width: 100%; height: auto; background: var(--card); border: 1px solid var(--line);"
        " border-radius: 6px; }\n"
        "svg text { font: 11px system-ui, sans-serif; fill: var(--quiet); }\n"
        "svg .title { font-size: 14px; fill: var(--ink); } svg .rule { stroke: var(--line); }\n"
    )
    return html_page(title, f'<h1>{escape(title)}</h1>\n<div class="charts">\n{body}</div>\n', style)


def _svg(chart: Chart) -> str:
    def path(points: Iterable[Point]) -> str:
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)

    parts = [f'<text class="title" x="{LEFT}" y="22">{escape(chart.title)}</text>']
    for y, label in chart.ticks:
        parts.append(f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{escape(label)}</text>')
    for x, label in chart.steps:
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{escape(label)}</text>')
    if chart.band:
        parts.append(f'<polygon points="{path(chart.band)}" fill="{chart.colour}" fill-opacity="0.25"/>')
    if len(chart.line) > 1:
        parts.append(f'<polyline points="{path(chart.line)}" fill="none" stroke="{chart.colour}" stroke-width="2"/>')
    for x, y in chart.dots if chart.dots else chart.line if len(chart.line) == 1 else []:
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{chart.colour}"/>')
    label = escape(chart.title)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>\n'
