"""The job that both exporters share: one item a page, crops written whole, what is stale removed.

A finished page is in the ledger with what the index needs of it, so that a killed run loses nothing and the index of
the whole corpus can be written at the end from all runs and shards.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from comictool.core.errors import InputError
from comictool.core.files import state_of, write_bytes
from comictool.core.jobs import Done, Item, JobOptions, JobReport, Problem, run_job
from comictool.core.ledger import Entry, Ledger
from comictool.core.progress import Progress
from comictool.corpus.crop_names import comic_folder, is_crop, page_of_file
from comictool.corpus.exporting.crops import Crop, CropOptions, CutPage, PageCrops, cut_page
from comictool.corpus.journal import forget
from comictool.corpus.records import PageRecord
from comictool.corpus.views import CorpusView, in_stable_order, original_names, read_comic


@dataclass(frozen=True)
class PagePlan:
    """One page to export: where its crops go, how they are cut, and what is already known to be wrong with it."""

    comic: str
    page: int
    order: PageCrops
    problems: tuple[str, ...] = ()
    facts: Any = None


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
    plans = Plans(others=[Problem(view.root.name, str(line)) for line in getattr(view, "problems", [])])
    for comic in comics:
        records, problems = read_comic(view, comic)
        for record in records:
            own = [line.removeprefix(f"{record.id}: ") for line in problems if line.startswith(f"{record.id}: ")]
            plans.pages.append(make(record, own))
        ids = tuple(f"{record.id}: " for record in records)
        plans.others += [
            Problem(comic, line.removeprefix(f"{comic}: ")) for line in problems if not line.startswith(ids)
        ]
    return plans


def export_pages(
    name: str, source: Plans, target: Path, *, describe: Describe, settings: Mapping[str, Any],
    options: JobOptions | None, progress: Progress | None,
) -> JobReport:  # fmt: skip
    """Cut and write the crops of all planned pages.

    Args:
        name: of the job, which names its ledger.
        target: the folder that holds one folder of crops for each comic.
        describe: what the ledger remembers of a page besides counts.

    Raises:
        Stopped: after a signal.
    """
    options = options or JobOptions()
    plans = source.pages
    root = target.parent
    folders = {plan.comic: comic_folder(plan.comic) for plan in plans}
    if not options.dry_run:
        _forget_missing(Ledger(jobs_folder(root), name, options.shard), plans, target, folders)
    stale = _StaleFiles(target)

    def commit(item: Item, result: CutPage) -> Done:
        plan = by_key[item.key]
        folder = folders[plan.comic]
        for file, data in result.files.items():
            write_bytes(target / folder / file, data)
        stale.remove(folder, plan.page, keep=result.files)
        facts = describe(plan, result)
        return Done({"files": len(result.files), **facts}, [*plan.problems, *result.problems])

    by_key = {f"{plan.comic}/{plan.page}": plan for plan in plans}
    items = (Item(f"{plan.comic}/{plan.page}", page_fingerprint(plan), plan.order) for plan in plans)
    # Pillow lets go of the interpreter while it decodes and encodes: threads scale as processes do, without pickling.
    report = run_job(
        name, items, cut_page, commit, ledger_folder=jobs_folder(root), settings=settings,
        options=options, workers="threads", progress=progress,
    )  # fmt: skip
    report.problems += source.others
    report.totals.pop("files", None)
    report.new.pop("files", None)
    if not options.dry_run and options.shard == (1, 1) and options.limit is None:
        _remove_vanished(plans, target, folders)
    return report


def page_crops(
    view: CorpusView, record: PageRecord, crops: Iterable[Crop], options: CropOptions, *,
    scale: float = 1.0, square: bool = False,
) -> PageCrops:  # fmt: skip
    """The crops of one page as work; a picture that must not be read becomes that item's error."""
    size = (record.width, record.height)
    try:
        return PageCrops(view.image_path(record), size, tuple(crops), options, scale, square)
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
        picture = state_of(plan.order.image.stat())
    except OSError:
        picture = "missing"
    crops = [[crop.name, crop.box] for crop in plan.order.crops]
    text = json.dumps([crops, plan.order.size, plan.problems, plan.facts], default=str, ensure_ascii=False)
    return f"{picture}/{blake2b(text.encode('utf-8'), digest_size=12).hexdigest()}"


def _forget_missing(ledger: Ledger, plans: list[PagePlan], target: Path, folders: Mapping[str, str]) -> None:
    """Let pages be done again whose crops somebody removed since."""
    finished = ledger.load().entries
    if not finished:
        return
    present = Counter(
        (comic, page_of_file(file))
        for comic, folder in folders.items()
        for file in _names(target / folder)
        if is_crop(file)
    )
    lost = []
    for plan in plans:
        entry = finished.get(f"{plan.comic}/{plan.page}")
        if entry and entry.status == "done" and entry.summary.get("files") != present[plan.comic, plan.page]:
            lost.append(entry.key)
    forget(ledger, lost)


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
