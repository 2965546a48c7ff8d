"""The job that both exporters share: one item a page, crops written whole, what is stale removed.

A finished page is in the ledger with what the index needs of it, so that a killed run loses nothing and the index of
the whole corpus can be written at the end from all runs and shards.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from comictool.core.errors import InputError
from comictool.core.files import write_bytes
from comictool.core.jobs import Done, Item, JobOptions, JobReport, Problem, run_job
from comictool.core.ledger import Entry, Ledger
from comictool.core.progress import Progress
from comictool.corpus.crop_names import comic_folder, is_crop, page_of_file
from comictool.corpus.journal import refuse_unfinished
from comictool.corpus.page_pictures import state_of_picture
from comictool.corpus.records import PageRecord
from comictool.corpus.views import CorpusView, in_stable_order, original_names
from comictool.datasets.exporting.crops import Crop, CropOptions, CutPage, PageCrops, cut_page
from comictool.datasets.splitting.folders import refresh_split


@dataclass(frozen=True)
class PagePlan:
    """One page to export: where its crops go, how they are cut, and what is already known to be wrong with it."""

    comic: str
    page: int
    order: PageCrops
    problems: tuple[str, ...] = ()
    facts: Any = None
    source: str = ""


SOURCE = "of"  # in the ledger: what `crops_source` gave when the crops of the page were cut
Describe = Callable[[PagePlan, CutPage], dict[str, Any]]


def jobs_folder(root: Path) -> Path:
    """Where the ledgers of the data steps lie."""
    return root / ".jobs"


@dataclass
class Plans:
    """All pages to export, and what is wrong with the source that belongs to no page."""

    pages: list[PagePlan] = field(default_factory=list)
    others: list[Problem] = field(default_factory=list)


def plan_pages(view: CorpusView, make: Callable[[PageRecord, list[str]], PagePlan]) -> Plans:
    """The plan of every page, comic by comic in an order that does not depend on the current names.

    Args:
        make: takes a record and what its reader could not make sense of on that page.

    Raises:
        InputError: the corpus holds no comics.
    """
    comics = in_stable_order(view.comics(), original_names(view.root))
    if not comics:
        raise InputError(f"{view.root} holds no comics")
    plans = Plans(others=list(view.problems))
    for comic in comics:
        read = view.read(comic)
        for record in read.pages:
            plans.pages.append(replace(make(record, read.problems_of(record)), source=crops_source(record)))
        plans.others += read.of_no_page()
    return plans


def export_pages(
    view: CorpusView,
    name: str,
    plan_page: Callable[[PageRecord, list[str]], PagePlan],
    target: Path,
    *,
    describe: Describe,
    settings: Mapping[str, Any],
    options: JobOptions | None,
    progress: Progress | None,
) -> tuple[JobReport, list[PagePlan]]:
    """Plan, cut and write the crops of all pages, and bring the folders of a split up to date with them.

    Args:
        name: of the job, which names its ledger.
        plan_page: see `plan_pages`.
        target: the folder that holds one folder of crops for each comic.
        describe: what the ledger remembers of a page besides counts.

    Returns:
        The report, and the plans.

    Raises:
        InputError: the corpus holds no comics, or names in it are being changed.
        Stopped: after a signal.
    """
    options = options or JobOptions()
    if not options.dry_run:
        refuse_unfinished(view.root)
    source = plan_pages(view, plan_page)
    plans = source.pages
    root = target.parent
    folders = {plan.comic: comic_folder(plan.comic) for plan in plans}
    stale = _StaleFiles(target)

    def commit(item: Item, result: CutPage) -> Done:
        plan = by_key[item.key]
        folder = folders[plan.comic]
        for file, data in result.files.items():
            write_bytes(target / folder / file, data)
        stale.remove(folder, plan.page, keep=result.files)
        facts = describe(plan, result)
        return Done(
            {"files": len(result.files), SOURCE: plan.source, **facts},
            [Problem(item.key, line) for line in (*plan.problems, *result.problems)],
        )

    by_key = {f"{plan.comic}/{plan.page}": plan for plan in plans}
    items = (Item(f"{plan.comic}/{plan.page}", page_fingerprint(plan), plan.order) for plan in plans)
    # Pillow lets go of the interpreter while it decodes and encodes: threads scale as processes do, without pickling.
    report = run_job(
        name,
        items,
        cut_page,
        commit,
        ledger_folder=jobs_folder(root),
        settings=settings,
        options=options,
        workers="threads",
        progress=progress,
        present=_WrittenCrops(target, folders, by_key),
    )
    report.problems += source.others
    report.totals.pop("files", None)
    report.new.pop("files", None)
    if not options.dry_run and options.shard == (1, 1) and options.limit is None:
        _remove_vanished(plans, target, folders)
    if not options.dry_run:
        refresh_split(root)
    return report, plans


def page_crops(
    view: CorpusView,
    record: PageRecord,
    crops: Iterable[Crop],
    options: CropOptions,
    *,
    scale: float = 1.0,
    square: bool = False,
) -> PageCrops:
    """The crops of one page as work; a picture that must not be read becomes that item's error."""
    size = (record.width, record.height)
    try:
        return PageCrops(view.picture(record), size, tuple(crops), options, scale, square)
    except InputError as error:
        return PageCrops(Path(), size, (), options, error=error.fact)


def finished_pages(name: str, plans: Iterable[PagePlan], root: Path) -> dict[str, Entry]:
    """The ledger entries of the planned pages that are finished, by `comic/page`, over all runs and shards."""
    entries = Ledger(jobs_folder(root), name).load().entries
    keys = (f"{plan.comic}/{plan.page}" for plan in plans)
    return {key: entries[key] for key in keys if key in entries and entries[key].status == "done"}


def page_fingerprint(plan: PagePlan) -> str:
    """Changes with the picture file and with everything that decides its crops; not with the comic's name."""
    try:
        picture = state_of_picture(plan.order.image)
    except OSError:
        picture = "missing"
    crops = [[crop.name, crop.box] for crop in plan.order.crops]
    text = json.dumps([crops, plan.order.size, plan.problems, plan.facts], default=str, ensure_ascii=False)
    return f"{picture}/{blake2b(text.encode('utf-8'), digest_size=12).hexdigest()}"


def crops_source(record: PageRecord) -> str:
    """Changes with what crops of a page are cut from, whichever are: its picture, as far as the record knows it, panels
    and characters. First the part that decides panels, then that which decides characters as well.
    """
    panels = [[panel.id, panel.box] for panel in record.panels]
    people = [[c.id, c.box, c.face, c.body, c.panel, c.identity] for c in record.characters]
    parts = [record.extra.get("digest"), record.width, record.height, panels], people
    return " ".join(blake2b(json.dumps(part, default=str).encode(), digest_size=8).hexdigest() for part in parts)


class _WrittenCrops:
    """Whether the crops of a finished page are still in their folder, as many as there were."""

    def __init__(self, target: Path, folders: Mapping[str, str], plans: Mapping[str, PagePlan]) -> None:
        self._target, self._folders, self._plans = target, folders, plans
        self._counted: dict[str, Counter[int | None]] = {}

    def __call__(self, item: Item, summary: dict[str, Any]) -> bool:
        plan = self._plans[item.key]
        folder = self._folders[plan.comic]
        if folder not in self._counted:
            self._counted[folder] = Counter(page_of_file(n) for n in _names(self._target / folder) if is_crop(n))
        return bool(summary.get("files") == self._counted[folder][plan.page])


class _StaleFiles:
    """Crops of earlier exports of a page, and temporary files that a kill left, by comic folder and page."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._folder = ""
        self._files: defaultdict[int, list[str]] = defaultdict(list)

    def remove(self, folder: str, page: int, *, keep: Mapping[str, bytes]) -> None:
        """Remove what the page no longer has."""
        if folder != self._folder:  # pages come comic by comic, so one listing a comic is enough
            self._folder = folder
            self._files.clear()
            for name in _names(self._target / folder):
                number = page_of_file(name)
                if number is not None:
                    self._files[number].append(name)
        for name in self._files[page]:
            if name not in keep and (is_crop(name) or name.startswith(".")):
                (self._target / folder / name).unlink(missing_ok=True)


def _remove_vanished(plans: list[PagePlan], target: Path, folders: Mapping[str, str]) -> None:
    """Remove crops of pages that the corpus no longer has."""
    pages: defaultdict[str, set[int]] = defaultdict(set)
    for plan in plans:
        pages[folders[plan.comic]].add(plan.page)
    for folder, known in pages.items():
        for name in _names(target / folder):
            if is_crop(name) and page_of_file(name) not in known:
                (target / folder / name).unlink()


def _names(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
