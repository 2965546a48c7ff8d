"""`data normalize`: the same new name for a comic in every folder and every file, before or after any other step."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath

from comictool.core.errors import InputError
from comictool.core.ledger import Ledger
from comictool.core.names import natural_key, same_name
from comictool.core.progress import Progress
from comictool.corpus.journal import Change, Staging, carry_out, finish_pending
from comictool.corpus.views import NAMES_FILE, Names, in_stable_order, read_names
from comictool.datasets.csv_tables import read_rows
from comictool.datasets.normalizing import documents
from comictool.datasets.normalizing.documents import METADATA, NAME, Renaming
from comictool.datasets.normalizing.normal_names import assign_names
from comictool.datasets.splitting.folders import read_manifest
from comictool.formats.pictures import comic_names

MAST_TABLES = ("panels.csv", "characters.csv", "emotions.csv")


@dataclass
class NormalizeReport:
    """What was (or in a dry run: would be) renamed.

    Attributes:
        names: old to new name of each comic whose name changes.
        folders: `(old, new)` path of each folder, relative to the corpus.
        files: files whose contents change.
    """

    names: dict[str, str] = field(default_factory=dict)
    folders: list[tuple[str, str]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)


Tell = Callable[[NormalizeReport], None]


def normalize_names(
    root: Path, *, dry_run: bool = False, progress: Progress | None = None, tell: Tell = lambda report: None
) -> NormalizeReport:
    """Give every comic of a corpus its normal name, in folders, annotations, splits and packs.

    Original names are kept in `annotations/names.json`, from which `undo_names` takes them back. The change is decided
    by one rename of a journal file: a run that is killed before it changed nothing, one that is killed after it is
    completed by the next run, which says so first. Running it again only treats what is new.

    Args:
        tell: called with the report when all is done, before the journal goes: a run that was killed before it told is
            completed and told by the next.

    Raises:
        InputError: no comics here, a target folder exists already, a file is damaged, or another process is at it.
    """
    if not dry_run and (resumed := _resumed(root, "normalize", progress, tell)):
        return resumed
    before = read_names(root)
    known = before.names
    comics, titles = _comics(root)
    if not comics:
        raise InputError(f"{root} holds no comics: neither annotations nor page_images name one")
    title_of = {comic: title for title, comic in titles.items()}
    ordered = in_stable_order(comics, known)
    names = assign_names(ordered, known, {comic: title_of.get(comic, comic) for comic in ordered})
    renaming = Renaming(names, {title: names[comic] for title, comic in titles.items()})
    originals = {**known, **{new: comic for comic, new in names.items() if new != comic and new not in known}}
    spelled = dict(before.titles)
    for comic, new in names.items():
        if new not in known and title_of.get(comic, comic) != comic:
            spelled[new] = title_of[comic]
    return _change(root, renaming, originals, spelled, dry_run=dry_run, tell=tell)


def undo_names(
    root: Path, *, dry_run: bool = False, progress: Progress | None = None, tell: Tell = lambda report: None
) -> NormalizeReport:
    """Give every comic the name back that it had before `normalize_names`; arguments as there.

    Raises:
        InputError: names were never normalised here, or a target folder exists already.
    """
    if not dry_run and (resumed := _resumed(root, "undo", progress, tell)):
        return resumed
    before = read_names(root)
    known = before.names
    if not known and not before.title_norm:
        raise InputError(f"the names of {root} were not normalised: there is no {NAMES_FILE}")
    titles = {normal: before.titles.get(normal, original) for normal, original in known.items()}
    return _change(root, Renaming(known, titles), None, {}, dry_run=dry_run, tell=tell)


def _resumed(root: Path, asked: str, progress: Progress | None, tell: Tell) -> NormalizeReport | None:
    """Complete a change that was killed; what it did, when it is the one that is asked for."""

    def tell_ours(change: Change) -> None:
        if change.asked == asked:
            tell(_report(change))

    change = finish_pending(root, progress, tell=tell_ours)
    return _report(change) if change is not None and change.asked == asked else None


def _report(change: Change) -> NormalizeReport:
    folders = [(f"{folder}/{old}", f"{folder}/{new}") for folder, old, new in change.renames]
    return NormalizeReport(change.names, folders, [target for _, target in change.replacements])


def _change(
    root: Path,
    renaming: Renaming,
    originals: Mapping[str, str] | None,
    titles: Mapping[str, str],
    *,
    dry_run: bool,
    tell: Tell,
) -> NormalizeReport:
    """Do a renaming; `originals` and `titles` are remembered, or with None forgotten (undo)."""
    names = {old: new for old, new in renaming.names.items() if old != new}
    renames, links = _folder_changes(root, renaming)
    if dry_run:
        report = _report(Change(renames, names=names))
        report.files = [file for file, _ in _documents(root)] if names else []
        tell(report)
        return report

    def prepare(staging: Staging) -> None:
        staging.change = Change(renames, links, asked="normalize" if originals is not None else "undo", names=names)
        _stage_documents(staging, renaming, originals, titles)

    with _nobody_exporting(root):
        return _report(carry_out(root, prepare, tell=lambda change: tell(_report(change))))


@contextmanager
def _nobody_exporting(root: Path) -> Iterator[None]:
    """Hold the locks of the steps that write under the names of comics."""
    with ExitStack() as stack:
        for pattern in ("export-*.jsonl", "split.jsonl", "pack.jsonl"):
            for file in sorted((root / ".jobs").glob(pattern)):
                stack.enter_context(Ledger(file.parent, file.stem).writing())
        yield


def _stage_documents(
    staging: Staging, renaming: Renaming, originals: Mapping[str, str] | None, titles: Mapping[str, str]
) -> None:
    root = staging.root
    before = read_names(root)
    for file, stage in _documents(root):
        stage(staging, file, renaming)
    documents.stage_records(staging, renaming)
    ours = before.title_norm
    ours |= documents.stage_titles(staging, renaming, remove=originals is None and ours)
    if originals is None:
        staging.change.removals.append(NAMES_FILE)
        return
    ordered = dict(sorted(originals.items(), key=lambda pair: natural_key(pair[1])))
    after = Names(1, ours, ordered, {normal: titles[normal] for normal in ordered if normal in titles})
    if (ordered or ours) and after != before:
        with staging.replacing(NAMES_FILE) as stream:
            stream.write((json.dumps(asdict(after), ensure_ascii=False, indent=2) + "\n").encode("utf-8"))


def _documents(root: Path) -> list[tuple[str, documents.Stage]]:
    """The files that mention comics, and how each kind is changed."""
    found: list[tuple[str, documents.Stage]] = []

    def add(pattern: str, stage: documents.Stage, skip: Iterable[str] = ()) -> None:
        for file in sorted(root.glob(pattern)):
            name = file.relative_to(root).as_posix()
            if file.is_file() and name not in {*skip, *(other for other, _ in found)}:
                found.append((name, stage))

    add("annotations/*.csv", documents.stage_table, skip=[METADATA])
    add("processed/**/metainfo_*.csv", documents.stage_table)
    add("metainfo_*.csv", documents.stage_table)
    add("splits.json", documents.stage_manifest)
    add("classification.json", documents.stage_classes)
    add("processed/*/classification.json", documents.stage_classes)
    add("annotations/*.json", documents.stage_json, skip=[NAMES_FILE])
    add("processed/*/*.hdf5", documents.stage_pack)
    add(".jobs/export-*.jsonl", documents.stage_ledger)
    return found


def _comics(root: Path) -> tuple[list[str], dict[str, str]]:
    """Every comic that a folder or a file names, and the comic of each title as `Document Name` spells it."""
    annotations = root / "annotations"
    titles: dict[str, str] = {}
    for name in MAST_TABLES:
        if (annotations / name).is_file():
            for row in read_rows(annotations / name):
                titles.setdefault(same_name(row.get(NAME, "")), row.get(NAME, "").strip())
    titles.pop("", None)
    named = comic_names(titles)  # as the reader of the format names them
    found = dict.fromkeys(named.values())
    for pattern, column in (("*_indexing.csv", "document"), ("*_crops.csv", "comic")):
        for file in sorted(annotations.glob(pattern)):
            found.update(dict.fromkeys(row.get(column, "") for row in read_rows(file)))
    found.update(dict.fromkeys(file.stem for file in sorted((annotations / "pages").glob("*.jsonl"))))
    manifest = read_manifest(root) or {"by": "comic", "splits": {}}
    for members in manifest["splits"].values():
        found.update(dict.fromkeys(m.rpartition("/")[0] if manifest["by"] == "page" else m for m in members))
    found.pop("", None)
    spellings = {same_name(comic) for comic in found}
    for folder in _containers(root):
        for entry in sorted(os.listdir(root / folder)):
            if _is_comic(root / folder / entry) and same_name(entry) not in spellings:
                found[entry] = None
                spellings.add(same_name(entry))
    return list(found), {raw: named[key] for key, raw in titles.items()}


def _containers(root: Path) -> list[str]:
    """The folders that hold one folder for each comic."""
    patterns = ("*_images", "depth", "processed/*/*_images")
    return [f.relative_to(root).as_posix() for p in patterns for f in sorted(root.glob(p)) if f.is_dir()]


def _is_comic(path: Path) -> bool:
    return not path.name.startswith(".") and (path.is_dir() or path.is_symlink())


def _folder_changes(root: Path, renaming: Renaming) -> tuple[list[tuple[str, str, str]], list[tuple[str, str]]]:
    renames: list[tuple[str, str, str]] = []
    links: list[tuple[str, str]] = []
    for folder in _containers(root):
        entries = sorted(entry for entry in os.listdir(root / folder) if _is_comic(root / folder / entry))
        final: dict[str, str] = {}
        for entry in entries:
            new = renaming.name(entry)
            if new in final:
                raise InputError(
                    f"{folder}/{entry} and {folder}/{final[new]} would both become {new}",
                    cause="one of them appeared after the names were normalised",
                    hint="merge or remove one of the two folders",
                )
            final[new] = entry
            if new != entry:
                renames.append((folder, entry, new))
            links += _links(root, folder, entry, new, renaming)
    return renames, links


def _links(root: Path, folder: str, entry: str, new: str, renaming: Renaming) -> list[tuple[str, str]]:
    """Symbolic links into the corpus whose target text names a comic's folder that gets another name."""
    path = root / folder / entry
    if path.is_symlink():
        found = [(f"{folder}/{new}", os.readlink(path))]
    elif folder.startswith("processed/"):
        inside = sorted(name for name in os.listdir(path) if (path / name).is_symlink())
        found = [(f"{folder}/{new}/{name}", os.readlink(path / name)) for name in inside]
    else:
        return []
    changed = []
    for link, text in found:
        parts = PurePosixPath(text).parts
        at = next((i for i, part in enumerate(parts) if part.endswith("_images")), None)
        if at is not None and at + 1 < len(parts) and not PurePosixPath(text).is_absolute():
            renamed = renaming.name(parts[at + 1])
            if renamed != parts[at + 1]:
                changed.append((link, "/".join([*parts[: at + 1], renamed, *parts[at + 2 :]])))
    return changed
