"""Where instances come from: the published files, or any corpus whose characters have boxes."""

from __future__ import annotations

from pathlib import Path

from comictool.core.errors import InputError, UsageError, near_matches
from comictool.corpus.page_pictures import is_there
from comictool.corpus.records import Character, PageRecord
from comictool.corpus.views import CorpusView
from comictool.datasets.splitting.folders import SPLITS, read_manifest
from comictool.formats.registry import open_any
from comictool.identity.instances import BODY, FACE, FACE_SCALE, Instance, InstanceTable
from comictool.identity.published import is_published, read_published
from comictool.vectors.pictures import Part, Picture
from comictool.vectors.sources import ALL, records_of_split


def open_instances(path: Path, split: str = ALL, *, subset: str = "") -> InstanceTable:
    """The instances of a split.

    Args:
        path: a folder with the published files, or a corpus in any format.
        split: train, val, test or all. A corpus without `splits.json` has only all.
        subset: of the published lists; see `read_published`.

    Raises:
        UsageError: no name of a split.
        InputError: nothing of this kind is there, or nobody in the split.
    """
    if split not in (*SPLITS, ALL):
        raise UsageError(f"split {split!r}: it is {', '.join(SPLITS)} or {ALL}", near=near_matches(split, SPLITS))
    table = read_published(path, split, subset=subset) if is_published(path) else instances_of(open_any(path), split)
    if not table.instances:
        raise InputError(
            f"{path} holds no character with a box" + (f" in {split}" if split != ALL else ""),
            cause="; ".join(table.problems[:3]),
            hint=f"comictool data info {path}",
        )
    return table


def is_split(path: Path) -> bool:
    """Whether a place is divided into train, val and test; the published files always are."""
    return is_published(path) or read_manifest(path) is not None


def instances_of(view: CorpusView, split: str = ALL) -> InstanceTable:
    """Every character on the pages of a corpus, named or not; no picture is read yet.

    The box of a character without boxes of face and body counts as its body.

    Raises:
        InputError: a split is asked for and the corpus was never split.
    """
    instances: list[Instance] = []
    pictures: list[Picture] = []
    problems: list[str] = []
    crops = 0
    for record, lines in records_of_split(view, split, problems):
        problems += [f"{record.id}: {line}" for line in lines]
        try:
            picture = view.picture(record)
        except InputError as outside:
            problems.append(f"{record.id}: {outside.fact}")
            continue
        if not is_there(picture):
            problems.append(f"{record.id}: {record.image} is missing")
            continue
        parts: list[Part] = []
        for character in record.characters:
            own = _parts(record, character)
            numbers = {half: crops + len(parts) + number for number, half in enumerate(own)}
            parts += own.values()
            instances.append(
                Instance(
                    record.comic,
                    record.page,
                    character.panel or 0,
                    numbers.get(FACE),
                    numbers.get(BODY),
                    character.identity,
                )
            )
        if parts:
            pictures.append(Picture(picture, tuple(parts), record.comic, record.id, (record.width, record.height)))
            crops += len(parts)
    return InstanceTable(instances, pictures, problems)


def _parts(record: PageRecord, character: Character) -> dict[str, Part]:
    name = f"{record.id}: character {character.id}"
    found = {}
    if character.face is not None:
        found[FACE] = Part(f"{character.id}_face", character.face, label=name, scale=FACE_SCALE, square=True)
    body = character.body or (None if character.face is not None else character.box)
    if body is not None:
        found[BODY] = Part(f"{character.id}_body", body, label=name)
    return found
