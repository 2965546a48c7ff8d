"""Size and colour of every exported panel, in bins (`data metainfo`)."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from comictool.core.errors import ComicError, InputError, UsageError
from comictool.core.files import atomic_file, atomic_text, remove_left, state_of
from comictool.core.images import decode, shown_size
from comictool.core.jobs import Done, Item, JobOptions, JobReport, Problem, run_job
from comictool.core.ledger import Entry, Ledger
from comictool.core.names import natural_key
from comictool.core.progress import Progress
from comictool.core.typed import typed
from comictool.corpus.crop_names import crop_key, entry_name, is_crop
from comictool.corpus.journal import refuse_unfinished

COLUMNS = ("panel_id", "comic", "panel", "width", "height", "ratio", "hue", "saturation", "intensity")
BINNED = ("ratio", "saturation", "intensity")
BINS = 100  # of the published script
THUMBNAIL = 128  # shorter side from which mean colours are taken: they move by less than 1 % and decode far faster
CHART = (640, 360)
INK, BAR = (40, 40, 40), (70, 110, 160)


@dataclass(frozen=True)
class _Order:
    """The panels of one comic, as they travel to a worker."""

    folder: Path
    names: tuple[str, ...]


def panel_metainfo(
    root: Path,
    *,
    split: str | None = "train",
    bins: int = BINS,
    options: JobOptions | None = None,
    progress: Progress | None = None,
) -> JobReport:
    """Measure every exported panel: `metainfo_<split>.csv` and a histogram picture for each binned column.

    Columns: width and height in pixels, ratio = width / height, hue in degrees (mean direction on the colour circle,
    weighted by saturation), saturation and intensity in 0..1 (HSI: intensity is the mean of red, green and blue,
    saturation 1 - min / intensity), then `<column>_bin` for ratio, saturation and intensity: quantile bins from 0.

    Args:
        split: train, val or test (files go to `processed/panels`), or None for all panels (`metainfo_all.csv` in the
            corpus).
        bins: how many quantile bins.

    Raises:
        InputError: nothing was exported or split yet.
        UsageError: fewer than two bins.
        Stopped: after a signal.
    """
    if bins < 2:
        raise UsageError(f"{bins} bins: at least 2")
    options = options or JobOptions()
    if not options.dry_run:
        refuse_unfinished(root)
    folder = root / "panel_images" if split is None else root / "processed" / "panels" / f"{split}_images"
    comics = sorted(os.listdir(folder), key=natural_key) if folder.is_dir() else []
    items = []
    for comic in comics:
        names = _crops(folder / comic)
        if names:
            items.append(Item(comic, _fingerprint(folder / comic, names), _Order(folder / comic, names)))
    if not items:
        step = "export panels" if split is None else "split"
        raise InputError(f"{folder} holds no panels", hint=f"comictool data {step} {root}")
    name = f"metainfo {split or 'all'}"
    report = run_job(
        name,
        items,
        _measure,
        lambda item, result: Done(
            {"panels": len(result[0]), "rows": result[0]}, [Problem(item.key, line) for line in result[1]]
        ),
        ledger_folder=root / ".jobs",
        settings={"thumbnail": THUMBNAIL},
        options=options,
        workers="threads",
        progress=progress,
    )
    if not options.dry_run:
        entries = Ledger(root / ".jobs", name).load().entries
        rows = [[i.key, *row] for i in items if i.key in entries for row in _rows(entries[i.key])]
        _write(root if split is None else folder.parent, split or "all", rows, bins)
    return report


def colour_means(picture: Image.Image) -> tuple[float, float, float]:
    """Hue in degrees, saturation and intensity in 0..1 of an RGB picture (HSI; Gonzalez and Woods, ch. 6)."""
    rgb = np.asarray(picture, np.float64).reshape(-1, 3) / 255
    intensity = rgb.mean(axis=1)
    saturation = np.where(intensity > 0, 1 - rgb.min(axis=1) / np.maximum(intensity, 1e-12), 0)
    red, green, blue = rgb.T
    # The angle as a vector sum: hues of 359 and 1 degree have the mean 0, not 180.
    across, along = np.sqrt(3) * (green - blue), 2 * red - green - blue
    length = np.maximum(np.hypot(across, along), 1e-12)
    y, x = float((saturation * across / length).sum()), float((saturation * along / length).sum())
    hue = float(np.degrees(np.arctan2(y, x)) % 360) if np.hypot(x, y) > 1e-9 else 0.0
    return hue, float(saturation.mean()), float(intensity.mean())


def quantile_bins(values: Sequence[float], bins: int) -> list[int]:
    """The quantile bin of each value, 0 to bins - 1; equal values share a bin."""
    data = np.asarray(values, np.float64)
    edges = np.quantile(data, np.linspace(0, 1, bins + 1)[1:-1])
    return [int(place) for place in np.searchsorted(edges, data, side="right")]


def histogram(values: Sequence[float], title: str, *, bars: int = 40) -> Image.Image:
    """A small chart of how values are distributed."""
    counts, edges = np.histogram(np.asarray(values, np.float64), bins=bars)
    width, height = CHART
    left, top, right, bottom = 50, 30, width - 20, height - 40
    chart = Image.new("RGB", CHART, (255, 255, 255))
    draw = ImageDraw.Draw(chart)
    highest = max(1, int(counts.max()))
    for place, count in enumerate(counts):
        x0 = left + (right - left) * place // bars
        x1 = left + (right - left) * (place + 1) // bars - 2
        y = bottom - (bottom - top) * int(count) // highest
        if count:
            draw.rectangle((x0, min(y, bottom - 1), max(x0, x1), bottom), fill=BAR)
    draw.line((left, bottom, right, bottom), fill=INK)
    draw.text((left, 8), f"{title}, {len(values)} panels", fill=INK)
    draw.text((left, bottom + 6), f"{edges[0]:.3g}", fill=INK)
    draw.text((right, bottom + 6), f"{edges[-1]:.3g}", fill=INK, anchor="ra")
    draw.text((left - 6, top), str(highest), fill=INK, anchor="ra")
    return chart


def _measure(order: _Order) -> tuple[list[list[Any]], list[str]]:
    rows: list[list[Any]] = []
    problems = []
    for name in order.names:
        try:
            width, height = shown_size(order.folder / name)
            hue, saturation, intensity = colour_means(decode(order.folder / name, at_least=THUMBNAIL))
        except ComicError as error:
            problems.append(f"{name}: {error.fact}")
            continue
        colours = [round(value, 6) for value in (width / height, hue, saturation, intensity)]
        rows.append([entry_name(name), width, height, *colours])
    return rows, problems


def _rows(entry: Entry) -> list[tuple[str, int, int, float, float, float, float]]:
    """What `_measure` found of a comic, back from the ledger, which may be somebody else's."""
    return typed(list[tuple[str, int, int, float, float, float, float]], entry.summary.get("rows", []), entry.key)


def _write(folder: Path, split: str, rows: list[list[Any]], bins: int) -> None:
    columns: dict[str, list[Any]] = {
        name: [row[place] for row in rows] for place, name in enumerate(("comic", "panel", *COLUMNS[3:]))
    }
    binned = {name: quantile_bins(columns[name], bins) if rows else [] for name in BINNED}
    remove_left(folder / f"metainfo_{split}.csv")
    with atomic_text(folder / f"metainfo_{split}.csv") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow([*COLUMNS, *(f"{name}_bin" for name in BINNED)])
        for number, row in enumerate(rows):
            writer.writerow([f"{row[0]}/{row[1]}", *row, *(binned[name][number] for name in BINNED)])
    for name in BINNED if rows else ():
        remove_left(folder / f"metainfo_{split}_{name}.png")
        with atomic_file(folder / f"metainfo_{split}_{name}.png") as stream:
            histogram(columns[name], name).save(stream, "PNG")


def _crops(folder: Path) -> tuple[str, ...]:
    if not folder.is_dir():
        return ()
    return tuple(sorted((name for name in os.listdir(folder) if is_crop(name)), key=crop_key))


def _fingerprint(folder: Path, names: Sequence[str]) -> str:
    digest = blake2b(digest_size=12)
    for name in names:
        digest.update(f"{name}/{state_of((folder / name).stat())}\n".encode())
    return digest.hexdigest()
