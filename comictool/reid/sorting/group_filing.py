"""Groups as folders (`reid cluster -o`, `reid name`): filed with a journal as characters are, named by their folder."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from comictool.core.errors import InputError, Stopped, near_matches
from comictool.core.files import write_json
from comictool.core.jobs import stop_signals
from comictool.reid.configuration import checked_name, folder_names
from comictool.reid.gallery import Gallery
from comictool.reid.grouping import Groups, Member, group_pictures
from comictool.reid.reader import PictureReader
from comictool.reid.sorting.actions import Placement, Sorter, SortOptions, prepare_root
from comictool.reid.sorting.journal import (
    FOLDER,
    Contents,
    Journal,
    Naming,
    Purpose,
    all_contents,
    disk_errors_told,
    holding,
    unfinished,
)
from comictool.reid.sorting.positions import Filed, adopted, find_positions
from comictool.reid.sorting.undoing import settle

ALONE = "alone"  # folder of pictures that fit nowhere
GROUPS_FILE = "groups.json"  # what is in which group, beside their folders


@dataclass
class GroupingRun:
    """Groups that are to be filed; iterating over it does so, and gives each picture with where it went.

    Attributes:
        groups: what was found; of a run that is resumed, what it had found before it was killed.
        root: the result folder.
        options: file action and what happens when a file has the place.
        bases: the targets.
        stamp: of what was asked.
        dry_run, resume: as in `comictool.reid.sorting.sort.sort_pictures`.
        tell: called when all is done, before the journal says so.
    """

    groups: Groups
    root: Path
    options: SortOptions
    bases: Sequence[Path]
    stamp: str
    dry_run: bool = False
    resume: bool = True
    tell: Callable[[], None] = lambda: None

    def __iter__(self) -> Iterator[tuple[Member, Placement]]:
        """Raises Stopped, and InputError for a result folder that cannot be used."""
        members = self.groups.members
        folders = group_folders(members)
        sorter = Sorter(self.root, self.options, folders, earlier=all_contents(self.root))
        if self.dry_run:
            yield from ((member, _place(sorter, member)) for member in members)
            self.tell()
            return
        with ExitStack() as stack:
            stack.enter_context(disk_errors_told(self.root, "the same command again"))
            made = prepare_root(self.root)
            stack.enter_context(holding(self.root))
            settle(self.root, self.stamp if self.resume else "")
            before = unfinished(self.root, self.stamp) if self.resume else None
            nameless = sorted({folders[title(m)] for m in members if m.name is None})
            plan = [(m.group, m.name, str(m.path), m.digest) for m in members]
            purpose = Purpose(nameless, grouping=True, plan=plan)
            journal = (
                Journal.go_on(before)
                if before
                else Journal.begin(self.root, self.stamp, made_root=made, purpose=purpose)
            )
            stack.callback(journal.close)
            sorter = Sorter(self.root, self.options, folders, (), all_contents(self.root), journal, before)
            done = _placements(before) if before else {}
            with stop_signals() as stop:
                for count, member in enumerate(members):
                    if stop.is_set():
                        raise Stopped(stop.number, done=count, total=len(members), noun="pictures")
                    placed = done.get(os.path.abspath(member.path))
                    yield member, placed if placed is not None else _place(sorter, member)
            write_groups_file(self.root)
            self.tell()
            journal.finish()


def prepare_grouping(
    targets: Sequence[Path],
    root: Path,
    options: SortOptions | None = None,
    reader: PictureReader | None = None,
    *,
    dry_run: bool = False,
    resume: bool = True,
    **how: Any,
) -> GroupingRun:
    """Group pictures for filing; nothing is written.

    Args:
        targets: pictures and folders.
        root: the result folder; each group gets a folder in it.
        options: the file action (copy, when none is given) and `on_clash`.
        reader, how: see `comictool.reid.grouping.group_pictures`.
        dry_run, resume: see `comictool.reid.sorting.sort.sort_pictures`.

    Raises:
        InputError, UsageError: see `group_pictures`.
    """
    options = replace(options or SortOptions(), action=(options.action if options else "") or "copy")
    gallery: Gallery | None = how.get("gallery")
    asked = {key: str(value) for key, value in how.items() if key != "gallery"}
    places = [os.path.abspath(target) for target in targets]
    value = [
        "cluster",
        places,
        vars(options),
        asked,
        gallery.encoder_id if gallery else "",
        reader and str(reader.encoder),
    ]
    stamp = hashlib.blake2b(json.dumps(value, sort_keys=True, default=str).encode(), digest_size=12).hexdigest()
    before = unfinished(root, stamp) if resume and (root / FOLDER).is_dir() else None
    if before is not None and before.purpose.plan:
        members = [Member(Path(path), group, name, digest) for group, name, path, digest in before.purpose.plan]
        groups = Groups(members, [])
    else:
        groups = group_pictures(targets, reader, **how)
    return GroupingRun(groups, root, options, targets, stamp, dry_run, resume)


def title(member: Member) -> str:
    """What a picture's folder is called before it is made safe: the name of its group, else its number."""
    return member.name or (f"group-{member.group}" if member.group >= 0 else ALONE)


def group_folders(members: Sequence[Member]) -> dict[str, str]:
    """A folder for each group, by `title`. Raises UsageError when two would share one."""
    return folder_names(list(dict.fromkeys(map(title, members))))


def _place(sorter: Sorter, member: Member) -> Placement:
    return sorter.place(member.path, "ok", title(member), member.digest, member.as_record())


def _placements(contents: Contents) -> dict[str, Placement]:
    """What a killed run did, by absolute path of the picture; what failed is tried again."""
    found = {}
    sources = {entry.number: entry.picture for entry in contents.entries if entry.number not in contents.failed}
    for number, record in contents.records():
        if number in sources:
            found[sources[number]] = Placement(str(record.get("action")), record.get("destination"))
    return found


def name_group(group: Path, name: str) -> int:
    """Give a group a name: its pictures go into the folder of that name, and `groups.json` says so.

    Run again after a kill it does the rest; `comictool.undo` takes it back.

    Args:
        group: a folder that `reid cluster -o` made.
        name: of the character; a folder of this name that is there already takes the pictures in.

    Returns:
        how many pictures it names.

    Raises:
        InputError: no such group, or a name that cannot be one.
    """
    root, before = group.parent, group.name
    checked_name(name, group)
    folder = folder_names([name])[name]
    if not (root / FOLDER).is_dir():
        raise InputError(f"{group} is no group of `reid cluster -o`", hint="comictool reid cluster PICTURES -o GROUPS")
    stamp = hashlib.blake2b(json.dumps(["name", before, name]).encode("utf-8", "replace"), digest_size=12).hexdigest()
    with ExitStack() as stack:
        stack.enter_context(disk_errors_told(root, "the same command again"))
        stack.enter_context(holding(root))
        settle(root, stamp)
        positions = find_positions(root)
        resumed = unfinished(root, stamp)
        own = [one for one in positions.pictures if one.now.split("/")[0] == before]
        if resumed is None and (not own or not positions.grouping or before == folder):
            tops = sorted({one.now.split("/")[0] for one in positions.pictures if positions.grouping})
            raise InputError(f"{group} is no group of `reid cluster -o`", near=near_matches(before, tops))
        purpose = Purpose(naming=Naming(before, name))
        journal = Journal.go_on(resumed) if resumed else Journal.begin(root, stamp, made_root=False, purpose=purpose)
        stack.callback(journal.close)
        sorter = Sorter(root, SortOptions("move"), {name: folder}, journal=journal, going_on=resumed, within=True)
        for moved in adopted([one for one in own if one.moved], positions):
            sorter.adopt(*moved)
        count = sum(1 for entry in resumed.filed() if entry[0].source and not entry[0].adopted) if resumed else 0
        for one in own:
            placed = sorter.place(root / one.now, "ok", name, one.digest, {"path": str(root / one.now), "name": name})
            if placed.action == "failed":
                raise InputError(f"{root / one.now}: {placed.error}", hint="comictool reid undo takes the rest back")
            count += 1
        write_groups_file(root)
        journal.finish()
    return count


def write_groups_file(root: Path, *, without: Path | None = None) -> None:
    """Write what is in which group into `groups.json`, or remove it when nothing is filed in groups any more.

    Args:
        root: the result folder.
        without: a journal that is about to go.
    """
    found = find_positions(root, without=without)
    if not found.grouping:
        (root / GROUPS_FILE).unlink(missing_ok=True)
        return
    groups: dict[str, list[Filed]] = {}
    for one in found.pictures:
        groups.setdefault(one.now.split("/")[0], []).append(one)
    rows = [
        {
            "folder": folder,
            "name": None if folder in found.undecided else own[0].named or folder,
            "pictures": [{"file": one.now, "path": one.origin} for one in own],
        }
        for folder, own in groups.items()
    ]
    write_json(root / GROUPS_FILE, {"kind": "comictool reid groups", "version": 1, "groups": rows})
