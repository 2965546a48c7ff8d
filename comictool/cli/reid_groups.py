"""`comictool reid cluster|name`: groups of pictures without references, as a table, a page or folders."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from comictool.cli.options import DryRun, Loading, command
from comictool.cli.output import Output
from comictool.cli.reid_options import Action, OnClash, Resume, Vectors
from comictool.core.errors import ExitCode, UsageError


@command
def cluster(
    targets: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Pictures and folders.")],
    method: Annotated[str, typer.Option("--method", metavar="average|hdbscan", help="Of grouping.")] = "average",
    threshold: Annotated[
        float | None, typer.Option("--threshold", min=-1, max=1, help="Least mean cosine of groups that join.")
    ] = None,
    groups: Annotated[int | None, typer.Option("--groups", min=1, help="How many groups there shall be.")] = None,
    name_from: Annotated[
        Path | None, typer.Option("--name-from", metavar="GALLERY", help="Name the groups by enrolled characters.")
    ] = None,
    links: Annotated[
        Path | None, typer.Option("--links", help='JSON: {"must": [[a, b]], "cannot": [[a, c]]}, relative to it.')
    ] = None,
    result_dir: Annotated[
        Path | None, typer.Option("-o", "--result-dir", help="Put the files there, in a folder for each group.")
    ] = None,
    action: Action = None,
    on_clash: OnClash = "rename",
    sheet: Annotated[Path | None, typer.Option("--sheet", help="Also write an HTML page of the groups.")] = None,
    resume: Resume = True,
    dry_run: DryRun = False,
    *,
    vectors: Vectors,
    loading: Loading,
    out: Output,
) -> int:
    """Group pictures by character, without references.

    Crops that `data export characters` cut from one panel never come into one group. Group -1 is what fits nowhere.
    Groups are chosen by shared neighbours, without numbers, or joined until --groups are left; with --threshold they
    are joined while the cosines of their pictures, which `reid similarity` prints for two, have at least this mean.
    With -o the files go into folders; give a folder a character's name (`comictool reid name`, or rename it), then
    `comictool reid learn` makes a gallery of them. `comictool reid undo` takes it all back.

    Example: comictool reid cluster character_images -o groups --sheet groups.html
    """
    from comictool.reid.gallery import Gallery
    from comictool.reid.grouping import Member, group_pictures, write_groups
    from comictool.reid.sorting.actions import Placement, SortOptions
    from comictool.reid.sorting.group_filing import prepare_grouping

    gallery = Gallery.open(name_from) if name_from else None
    reader = vectors.reader(loading, out)
    if result_dir is None:
        if action not in (None, "none"):
            raise UsageError(f"--action {action} needs a folder", hint="-o GROUPS")
        found = group_pictures(
            targets, reader, method=method, threshold=threshold, groups=groups, links=links, gallery=gallery
        )
        done: Any = ((member, None) for member in found.members)
    else:
        options = SortOptions(action or "copy", on_clash)
        how = {"method": method, "threshold": threshold, "groups": groups, "links": links, "gallery": gallery}
        done = prepare_grouping(targets, result_dir, options, reader, dry_run=dry_run, resume=resume, **how)
        found = done.groups
    for line in found.problems:
        out.warn(line)
    rows: list[dict[str, Any]] = []
    shown: list[Member] = []

    def tell() -> None:
        out.rows(rows, ["group", "name", "path", *(["action", "destination"] if result_dir else [])])
        if sheet is not None and not dry_run:
            write_groups(sheet, shown)
            out.note(f"sheet: {sheet}")
        out.note(f"{found.count} groups of {len(found.members)} pictures")
        sys.stdout.flush()

    if result_dir is not None:
        done.tell = tell
    failed = False
    for member, placed in done:
        rows.append(member.as_record() | _told(placed))
        shown.append(_at(member, placed, result_dir))
        if isinstance(placed, Placement) and placed.action == "failed":
            failed = True
            out.warn(f"{member.path}: {placed.error}")
    if result_dir is None:
        tell()
    elif not dry_run:
        group = result_dir / "group-0"
        out.next_commands([f"comictool reid name {group} NAME", f"comictool reid undo {result_dir}"])
    return ExitCode.FINDINGS if failed or found.problems else ExitCode.DONE


def _told(placed: Any) -> dict[str, Any]:
    return {} if placed is None else {"action": placed.action, "destination": placed.destination}


def _at(member: Any, placed: Any, root: Path | None) -> Any:
    """The picture where it lies now."""
    from dataclasses import replace

    if root is None or placed is None or placed.action != "move" or not placed.destination:
        return member
    return replace(member, path=root / placed.destination)


@command
def name(
    group: Annotated[Path, typer.Argument(metavar="GROUP", help="A group's folder, of `reid cluster -o`.")],
    character: Annotated[str, typer.Argument(metavar="NAME", help="Whom its pictures show.")],
    *,
    out: Output,
) -> int:
    """Name a group of pictures.

    All of them go into the folder of that name, which may be there already, and groups.json says so. `comictool reid
    undo` takes it back.

    Example: comictool reid name groups/group-3 Pepper
    """
    from comictool.reid.sorting.group_filing import name_group

    count = name_group(group, character)
    out.record({"group": str(group), "name": character, "pictures": count})
    sys.stdout.flush()
    out.next_commands([f"comictool reid learn {group.parent} -g GALLERY", f"comictool reid undo {group.parent}"])
    return ExitCode.DONE
