"""Panels as pictures of their own: `panel_images/<comic>/<page>_<panel>.jpg`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from comictool.core.jobs import JobOptions, JobReport
from comictool.core.progress import Progress
from comictool.corpus.crop_names import number_copies
from comictool.corpus.records import PageRecord
from comictool.corpus.views import CorpusView
from comictool.datasets.exporting.crops import Crop, CropOptions
from comictool.datasets.exporting.export import PagePlan, export_pages, page_crops

JOB = "export panels"
FOLDER = "panel_images"


def export_panels(
    view: CorpusView,
    *,
    output: Path | None = None,
    crops: CropOptions | None = None,
    options: JobOptions | None = None,
    progress: Progress | None = None,
) -> JobReport:
    """Cut every panel of every page into `panel_images/<comic>/<page>_<panel>.jpg`.

    Each page is decoded once. Boxes are clamped to the page; a missing page, a damaged picture or a box without area
    is that page's problem in the report. Panels count as their records say (reading order). When the corpus is split
    already, the split's folders are brought up to date.

    Args:
        view: the corpus, native or opened from another layout.
        output: where the folder goes; the corpus itself by default.

    Returns:
        `totals["panels"]` counts the crops of all finished pages.

    Raises:
        InputError: the corpus holds no comics.
        Stopped: after a signal.
    """
    chosen = crops or CropOptions()
    report, _ = export_pages(
        view,
        JOB,
        lambda record, problems: plan_page(view, record, problems, chosen),
        (output or view.root) / FOLDER,
        describe=lambda _, result: {"panels": len(result.files)},
        settings=asdict(chosen),
        options=options,
        progress=progress,
    )
    return report


def plan_page(view: CorpusView, record: PageRecord, problems: list[str], options: CropOptions) -> PagePlan:
    """The panels of a page as crops, in reading order; what is wrong with them is added to `problems`."""
    order = page_crops(view, record, panel_crops(record, problems, options.suffix), options)
    return PagePlan(record.comic, record.page, order, tuple(problems))


def panel_crops(record: PageRecord, problems: list[str], suffix: str = ".jpg") -> list[Crop]:
    """What is cut of a page for its panels, in reading order; numbers that occur twice are added to `problems`."""
    panels = sorted(record.panels, key=lambda panel: panel.id)
    stems = number_copies(f"{record.page}_{panel.id}" for panel in panels)
    for panel, stem in zip(panels, stems, strict=True):
        if "." in stem:
            problems.append(f"panel number {panel.id} occurs twice: the second is {stem}{suffix}")
    return [Crop(stem + suffix, panel.box, f"panel {panel.id}") for panel, stem in zip(panels, stems, strict=True)]
