"""Panels as pictures of their own: `panel_images/<comic>/<page>_<panel>.jpg`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from comictool.core.jobs import JobOptions, JobReport
from comictool.core.progress import Progress
from comictool.corpus.crop_names import number_copies
from comictool.corpus.exporting.crops import Crop, CropOptions
from comictool.corpus.exporting.export import PagePlan, export_pages, page_crops, plan_pages
from comictool.corpus.journal import finish_pending
from comictool.corpus.records import PageRecord
from comictool.corpus.splitting.folders import refresh_split
from comictool.corpus.views import CorpusView

JOB = "export panels"
FOLDER = "panel_images"


def export_panels(
    view: CorpusView, *, output: Path | None = None, crops: CropOptions | None = None,
    options: JobOptions | None = None, progress: Progress | None = None,
) -> JobReport:  # fmt: skip
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
    root = output or view.root
    crops = crops or CropOptions()
    dry_run = options is not None and options.dry_run
    if not dry_run:
        finish_pending(view.root)
    plans = plan_pages(view, lambda record, problems: plan_page(view, record, problems, crops))
    report = export_pages(
        JOB, plans, root / FOLDER, describe=lambda _, result: {"panels": len(result.files)},
        settings=asdict(crops), options=options, progress=progress,
    )  # fmt: skip
    if not dry_run:
        refresh_split(root)
    return report


def plan_page(view: CorpusView, record: PageRecord, problems: list[str], options: CropOptions) -> PagePlan:
    """The panels of a page as crops, in reading order; what is wrong with them is added to `problems`."""
    panels = sorted(record.panels, key=lambda panel: panel.id)
    stems = number_copies(f"{record.page}_{panel.id}" for panel in panels)
    for panel, stem in zip(panels, stems, strict=True):
        if "." in stem:
            problems.append(f"panel number {panel.id} occurs twice: the second is {stem}{options.suffix}")
    order = page_crops(
        view, record, (
            Crop(f"{stem}{options.suffix}", panel.box, f"panel {panel.id}")
            for panel, stem in zip(panels, stems, strict=True)
        ), options,
    )  # fmt: skip
    return PagePlan(record.comic, record.page, order, tuple(problems))
