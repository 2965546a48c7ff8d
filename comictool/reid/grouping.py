"""Pictures grouped by character without references, and groups named by a gallery."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from comictool.core.errors import InputError
from comictool.core.files import write_text
from comictool.reid.calibration import Thresholds, decide
from comictool.reid.clustering import cluster
from comictool.reid.corpus_links import Links, panel_links, read_links
from comictool.reid.enrolled import from_gallery
from comictool.reid.gallery import Gallery
from comictool.reid.reader import PictureReader
from comictool.reid.scoring import score_characters
from comictool.report.page import escape, html_page
from comictool.report.sheet import STYLE, Tile, sheet_section
from comictool.report.thumbnails import side_for
from comictool.vectors.files import find_pictures

MOST_PICTURES = 1500  # on a page of groups


@dataclass(frozen=True)
class Member:
    """A picture, its group (-1 is none) and the hash of its content; `name`: of the group, None where it has none."""

    path: Path
    group: int
    name: str | None = None
    digest: str = ""

    def as_record(self) -> dict[str, Any]:
        """Plain values."""
        return {"group": self.group, "name": self.name, "path": str(self.path)}


@dataclass(frozen=True)
class Groups:
    """Pictures by group, larger groups first, and what could not be used."""

    members: list[Member]
    problems: list[str]

    @property
    def count(self) -> int:
        """How many groups."""
        return len({member.group for member in self.members if member.group >= 0})


def group_pictures(
    targets: Sequence[Path],
    reader: PictureReader | None = None,
    *,
    method: str = "average",
    threshold: float | None = None,
    groups: int | None = None,
    links: Path | None = None,
    gallery: Gallery | None = None,
) -> Groups:
    """Group pictures by character, without references.

    Args:
        targets: pictures and folders.
        reader: the encoder, and how pictures are read.
        method, threshold, groups: see `comictool.reid.clustering.cluster`.
        links: a JSON file of links, see `comictool.reid.corpus_links.read_links`.
        gallery: groups are named by its characters.

    Links between crops of one panel are known by their names (`comictool.reid.corpus_links`). A name from a gallery
    is given to a group whose mean vector reaches the gallery's threshold.

    Raises:
        InputError: no pictures, an empty gallery or one of another encoder, links that contradict each other or name no
            picture.
        UsageError: as `cluster`.
    """
    reader = reader or PictureReader()
    problems: list[str] = []
    paths = find_pictures(targets, problems)
    if not paths:
        raise InputError(f"no pictures in {', '.join(map(str, targets))}")
    if gallery is not None:
        from_gallery(gallery, reader)
    embedded = reader.embed(paths, gallery)
    kept = [path for path, ok in zip(embedded.paths, embedded.ok, strict=True) if ok]
    digests = [digest for digest, ok in zip(embedded.digests, embedded.ok, strict=True) if ok]
    vectors = embedded.vectors[embedded.ok]
    known = panel_links(kept)
    given = read_links(links, kept) if links is not None else Links()
    # What a user says goes before what names of files suggest.
    cannot = (known.cannot - given.must) | given.cannot
    numbers = cluster(
        vectors,
        method=method,
        threshold=threshold,
        groups=groups,
        cannot_link=sorted(cannot),
        must_link=sorted(given.must),
    )
    sizes = {int(number): int((numbers == number).sum()) for number in np.unique(numbers)}
    order = sorted((n for n in sizes if n >= 0), key=lambda n: (-sizes[n], n))
    place = {number: at for at, number in enumerate(order)} | {-1: -1}
    names = _names(vectors, numbers, gallery) if gallery is not None else {}
    members = [
        Member(path, place[int(number)], names.get(int(number)), digest)
        for path, number, digest in zip(kept, numbers, digests, strict=True)
    ]
    problems += [f"{path}: {reason}" for path, reason in embedded.errors.items()]
    return Groups(sorted(members, key=lambda member: (member.group < 0, member.group)), problems)


def _names(vectors: np.ndarray, numbers: np.ndarray, gallery: Gallery) -> dict[int, str]:
    groups = [int(number) for number in np.unique(numbers) if number >= 0]
    means = np.stack([vectors[numbers == group].mean(axis=0) for group in groups])
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    thresholds = Thresholds.from_json(gallery.thresholds) if gallery.thresholds else None
    scores = score_characters(
        means.astype(np.float32),
        gallery.vectors,
        gallery.found.labels.astype(str),
        thresholds.mode if thresholds else "max",
        metric=thresholds.metric if thresholds else "cosine",
    )
    verdicts = decide(scores, thresholds)
    return {group: v.character for group, v in zip(groups, verdicts, strict=True) if v.character is not None}


def write_groups(path: Path, members: Sequence[Member]) -> int:
    """One self-contained page with a section for each group; returns how many pictures could not be shown."""
    groups: dict[int, list[Member]] = defaultdict(list)
    for member in members:
        groups[member.group].append(member)
    side, left, missing, parts = side_for(min(len(members), MOST_PICTURES)), MOST_PICTURES, 0, ["<h1>Groups</h1>\n"]
    for number, own in groups.items():
        title = (own[0].name or f"Group {number}") if number >= 0 else "Alone"
        shown = own[: max(0, left)]
        left -= len(shown)
        parts.append(f'<h2>{escape(title)} <span class="quiet">{len(own)}</span></h2>\n')
        if shown:
            tiles = [Tile(member.path, id=member.path.name) for member in shown]
            markup, bad = sheet_section(tiles, side=side, name=f"g{number}-")
            missing += bad
            parts.append(markup)
        if len(shown) < len(own):
            parts.append(f'<p class="quiet">{len(own) - len(shown)} more are not shown.</p>\n')
    write_text(path, html_page("Groups", "".join(parts), STYLE))
    return missing
