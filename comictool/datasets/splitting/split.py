"""Train, validation and test: who goes where, the same on every machine, with nothing on two sides.

The draw hashes the seed with each comic's original name, so it depends neither on the order of directories nor on
whether names were normalised before or after. The manifest `splits.json` is the truth; folders only follow it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from comictool import __version__
from comictool.core.errors import InputError, UsageError
from comictool.core.files import remove_left, write_json
from comictool.core.jobs import JobOptions, JobReport
from comictool.core.names import natural_key
from comictool.core.progress import Progress
from comictool.corpus.journal import refuse_unfinished
from comictool.corpus.views import CorpusView, in_stable_order, original_names
from comictool.datasets.classes import comic_labels
from comictool.datasets.splitting.folders import (
    LEVELS,
    LINKS,
    MANIFEST,
    SPLITS,
    place_split,
    read_manifest,
    remove_empty,
    remove_stale,
)

UNITS = ("comic", "series", "page")


@dataclass(frozen=True)
class SplitOptions:
    """How a corpus is split.

    Attributes:
        ratios: of train, val and test; any positive numbers, taken relative to their sum. A zero leaves a split out.
        by: what stays together: a comic, a series (`series` of its facts or of metadata.csv), or only a page.
        stratify: a column whose values are spread over the splits in proportion.
        level: panels, characters, or both.
        link: symlink, hardlink or copy.
        groups: comics that show the same pages (from `data dedupe`); each group stays on one side.
    """

    ratios: tuple[float, float, float] = (0.8, 0.1, 0.1)
    seed: int = 0
    by: str = "comic"
    stratify: str | None = None
    level: str = "both"
    link: str = "symlink"
    groups: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        if len(self.ratios) != 3 or min(self.ratios) < 0 or self.ratios[0] <= 0 or not sum(self.ratios) < float("inf"):
            raise UsageError(f"ratios {self.ratios}: three numbers of 0 or more, the first above 0")
        if self.by not in UNITS:
            raise UsageError(f"a split goes by {', '.join(UNITS)}, not by {self.by!r}")
        if self.level not in (*LEVELS, "both"):
            raise UsageError(f"level {self.level!r} is none of {', '.join(LEVELS)}, both")
        if self.link not in LINKS:
            raise UsageError(f"link {self.link!r} is none of {', '.join(LINKS)}")

    @property
    def levels(self) -> tuple[str, ...]:
        """The levels meant."""
        return LEVELS if self.level == "both" else (self.level,)


@dataclass
class SplitReport:
    """The manifest as written, how many comics or pages each split has, and what the user should know of it."""

    manifest: dict[str, Any]
    sizes: dict[str, int]
    notices: list[str]
    job: JobReport


@dataclass
class Unit:
    """What must stay on one side: `key` names it for the draw, `weight` is its number of comics or pages."""

    key: str
    members: list[str] = field(default_factory=list)
    stratum: str = ""

    @property
    def weight(self) -> int:
        """How much it counts towards the ratios."""
        return len(self.members)


def split_dataset(
    view: CorpusView,
    *,
    split: SplitOptions | None = None,
    output: Path | None = None,
    options: JobOptions | None = None,
    progress: Progress | None = None,
) -> SplitReport:
    """Decide who is in train, val and test, write `splits.json`, and fill `processed/<level>/<split>_images/`.

    Panels and characters follow one and the same manifest, so nothing leaks from one level to the other. Works before
    or after the export: an export fills the folders when it ends.

    The rule for small corpora: every split with a ratio above 0 gets at least one comic (or series, or page). When
    there are fewer series than splits, comics are split; when there are fewer comics than splits, pages are, and the
    manifest says so. When there are fewer pages than splits, the first splits get one each.

    Raises:
        InputError: nothing to split, an unknown column or comic, or fewer groups of duplicates than splits.
        Stopped: after a signal.
    """
    chosen = split or SplitOptions()
    root = output or view.root
    dry_run = options is not None and options.dry_run
    if not dry_run:
        refuse_unfinished(view.root)
    manifest, notices = decide(view, chosen)
    if not dry_run:
        previous = read_manifest(root)
        if previous is not None:
            manifest["levels"] = [level for level in LEVELS if level in {*previous["levels"], *chosen.levels}]
            remove_stale(root, previous, manifest)
        remove_empty(root, manifest)
        remove_left(root / MANIFEST)
        write_json(root / MANIFEST, manifest)
    job = place_split(root, manifest, options=options, progress=progress)
    return SplitReport(manifest, {name: len(ids) for name, ids in manifest["splits"].items()}, notices, job)


def decide(view: CorpusView, chosen: SplitOptions) -> tuple[dict[str, Any], list[str]]:
    """The manifest of a split, and notices; nothing is written."""
    originals = original_names(view.root)
    comics = in_stable_order(view.comics(), originals)
    pages: dict[str, list[int]] = {}
    for comic in comics:
        records = view.pages(comic)
        numbers = [record.page for record in records if record.panels or record.characters]
        if numbers:
            pages[comic] = sorted(numbers)
    if not pages:
        raise InputError(
            f"{view.root} has no page with panels or characters", hint=f"comictool data panels {view.root}"
        )
    wanted = sum(ratio > 0 for ratio in chosen.ratios)
    by, notices = chosen.by, []
    units = _units(view, pages, by, chosen, originals)
    for finer in {"series": ("comic", "page"), "comic": ("page",)}.get(by, ()):
        if len(units) >= wanted:
            break
        if chosen.groups:
            raise InputError(
                f"{len(units)} independent {by} groups cannot fill {wanted} splits",
                cause="near-duplicates stay on one side",
                hint="give a ratio of 0 to the splits you can do without, such as --ratios 1,0,0",
            )
        notices.append(f"only {len(units)} {by} for {wanted} splits: split by {finer} instead")
        by = finer
        units = _units(view, pages, by, chosen, originals)
    placed = assign(units, chosen.ratios, chosen.seed)
    empty = [name for name, ratio in zip(SPLITS, chosen.ratios, strict=True) if ratio > 0 and not placed[name]]
    if empty:
        notices.append(f"{' and '.join(empty)} stay empty: there are only {len(units)} pages")
    place = {member: index for index, member in enumerate(_members(pages, by))}
    manifest: dict[str, Any] = {
        "version": 1,
        "tool": f"comictool {__version__}",
        "seed": chosen.seed,
        "ratios": list(chosen.ratios),
        "by": by,
        "asked_by": chosen.by,
        "stratify": chosen.stratify,
        "groups": [sorted(group, key=lambda c: natural_key(str(originals.get(c, c)))) for group in chosen.groups],
        "levels": list(chosen.levels),
        "link": chosen.link,
        "splits": {name: sorted(placed[name], key=place.__getitem__) for name in SPLITS},
    }
    return manifest, notices


def assign(units: Sequence[Unit], ratios: Sequence[float], seed: int) -> dict[str, list[str]]:
    """Members of each split: largest units first, then in hashed order, each to where most is missing.

    What is missing is counted over all units and within the unit's stratum, and the two are added; so a stratum is
    spread as the whole is, and many strata of one unit each still fill every split.
    """
    total = sum(ratios)
    shares = [ratio / total for ratio in ratios]
    everything = sum(unit.weight for unit in units)
    strata = Counter[str]()
    for unit in units:
        strata[unit.stratum] += unit.weight
    missing = [share * everything for share in shares]
    missing_in = {stratum: [share * weight for share in shares] for stratum, weight in strata.items()}
    order = sorted(units, key=lambda unit: (-unit.weight, _draw(seed, unit.key), unit.key))
    placed: list[list[Unit]] = [[] for _ in shares]
    usable = [index for index, share in enumerate(shares) if share > 0]
    for unit in order:
        local = missing_in[unit.stratum]
        best = max(usable, key=lambda index: (round(missing[index] + local[index], 9), -index))
        placed[best].append(unit)
        missing[best] -= unit.weight
        local[best] -= unit.weight
    for index in usable:  # no empty split while another has two units to give one
        donor = max(usable, key=lambda other: (len(placed[other]), -other))
        if not placed[index] and len(placed[donor]) > 1:
            placed[index].append(placed[donor].pop())
    return {
        name: [member for unit in chosen for member in unit.members]
        for name, chosen in zip(SPLITS, placed, strict=True)
    }


def _units(
    view: CorpusView, pages: dict[str, list[int]], by: str, chosen: SplitOptions, originals: dict[str, str]
) -> list[Unit]:
    strata = comic_labels(view, chosen.stratify) if chosen.stratify else {}
    series = _series(view) if by == "series" else {}
    links: list[Sequence[str]] = [*chosen.groups]
    unknown = {comic for group in chosen.groups for comic in group} - set(view.comics())
    if unknown:
        raise InputError(f"the groups of duplicates name {min(unknown)!r}, which is no comic of {view.root}")
    if by == "series":
        links += [[c for c in pages if series.get(c) == name] for name in dict.fromkeys(series.values())]
    together = _joined(list(pages), links)
    sizes = Counter(together.values())
    units: dict[str, Unit] = {}
    for comic, numbers in pages.items():  # in stable order, so the first comic of a unit names it
        head = together[comic]
        for member, number in [(f"{comic}/{n}", n) for n in numbers] if by == "page" else [(comic, 0)]:
            # Pages of near-duplicate comics do not pair off by number: such comics stay whole.
            lone = by == "page" and sizes[head] == 1
            name = f"{originals.get(comic, comic)}/{number}" if lone else originals.get(head, head)
            unit = units.setdefault(name, Unit(name, stratum=strata.get(comic, "")))
            unit.members.append(member)
    return list(units.values())


def _series(view: CorpusView) -> dict[str, str]:
    try:
        return comic_labels(view, "series")
    except InputError as error:
        raise InputError(error.fact, hint=f"comictool data split {view.root} --by comic") from error


def _joined(comics: list[str], links: Iterable[Sequence[str]]) -> dict[str, str]:
    """Each comic to the first comic of everything it is linked with."""
    head = {comic: comic for comic in comics}
    place = {comic: index for index, comic in enumerate(comics)}

    def find(comic: str) -> str:
        while head[comic] != comic:
            head[comic] = head[head[comic]]
            comic = head[comic]
        return comic

    for link in links:
        present = [find(comic) for comic in link if comic in head]
        for other in present[1:]:
            first, second = sorted((find(present[0]), find(other)), key=place.__getitem__)
            head[second] = first
    return {comic: find(comic) for comic in comics}


def _members(pages: dict[str, list[int]], by: str) -> list[str]:
    if by == "page":
        return [f"{comic}/{number}" for comic, numbers in pages.items() for number in numbers]
    return list(pages)


def _draw(seed: int, key: str) -> str:
    return blake2b(f"{seed}\0{key}".encode(), digest_size=16).hexdigest()
