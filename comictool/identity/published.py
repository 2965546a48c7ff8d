"""Comic Character Instances and Comic Sequence Identity, in the files and folders that they were published as.

```
merged_face_body.csv                                   boxes; which face goes with which body
filtered_all_face.csv, filtered_all_body.csv           img_path: .../<series>/<page>_<panel>/<faces|bodies>/<index>.jpg
*_char_faces.json, *_char_bodies.json, *_sequences.json    who is who
comics_crops/<series>/<page>_<panel>/bodies/<index>.jpg            as detected
comics_crops_large_faces/<series>/<page>_<panel>/<index>.jpg       squares of 1.2 times the longer side
raw_panel_images/<series>/<page>_<panel>.jpg           crops are cut from these where there are no crops
```
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from comictool.core.errors import InputError
from comictool.core.files import is_inside
from comictool.formats.comic_sequence import PANELS, BoxedInstance, Cut, instances_file, read_series, series_key
from comictool.formats.sequence_identities import Identities, read_identities
from comictool.formats.values import read_rows
from comictool.formats.view import Problems
from comictool.identity.instances import BODY, FACE, FACE_SCALE, Instance, InstanceTable
from comictool.vectors.pictures import Part, Picture
from comictool.vectors.sources import ALL

LISTS = {FACE: "filtered_all_face", BODY: "filtered_all_body"}
FOLDERS = {"face": FACE, "faces": FACE, "body": BODY, "bodies": BODY}
BODIES, FACES, PANEL_PICTURES = "comics_crops", "comics_crops_large_faces", "raw_panel_images"


def is_published(path: Path) -> bool:
    """Whether a folder has the published files; what `data convert` wrote with page pictures opens as a corpus."""
    table = instances_file(path)
    return table is not None and not (table.parent / PANELS).is_file()


def read_published(path: Path, split: str = ALL, *, subset: str = "") -> InstanceTable:
    """The instances of a split.

    An instance that a `val` or `test` file names is of that split. All others are of `train`, but for those of series
    that a held-out file names: they are in `all` alone, so that no book is both learned from and asked about.

    Args:
        path: the folder.
        split: train, val, test or all.
        subset: ending of the lists to follow (`100k` for `filtered_all_face_100k.csv`); empty: `filtered_all_face.csv`
            and `filtered_all_body.csv` where they are there, else every row. A half that is not listed is missing.

    Raises:
        InputError: no table of instances, a column is missing, or there is no such list.
    """
    table = instances_file(path)
    if table is None:
        raise InputError(f"{path} holds no merged_face_body.csv")
    problems = Problems()
    series = read_series(table, problems)
    said = read_identities(path if path.is_dir() else path.parent, problems)
    listed = _read_lists(table.parent, subset, problems)
    held_out = {name.partition("_")[0] for name, of in said.splits.items() if of != "train"}
    places = _Places(path if path.is_dir() else path.parent, table.parent)
    instances: list[Instance] = []
    pictures: list[Picture] = []
    crops = 0
    known: set[str] = set()
    for key, cuts in series.items():
        for (page, panel), cut in sorted(cuts.items()):
            where = f"{key}/{page}_{panel}"
            known.update(box.name for box in cut.instances)
            for people in _people(cut, where, problems):
                people = {h: box for h, box in people.items() if listed is None or box.name in listed}
                if not people or not _wanted(people, key, split, said, held_out):
                    continue
                found = {half: picture for half, box in people.items() if (picture := places.find(key, cut, half, box))}
                for half in people.keys() - found.keys():
                    problems.add(where, f"there is no picture of {half} {people[half].index}")
                numbers = {half: crops + number for number, half in enumerate(found)}
                pictures += found.values()
                crops += len(found)
                if found:
                    instances.append(_instance(key, page, panel, people, numbers, said))
    for name in sorted((listed or set()) - known):
        problems.add(name, "is listed, but merged_face_body.csv has no such instance")
    return InstanceTable(instances, pictures, list(map(str, problems.found())), relative=True)


def _instance(
    key: str, page: int, panel: int, people: dict[str, BoxedInstance], numbers: dict[str, int], said: Identities
) -> Instance:
    names = [box.name for box in people.values()]
    identity = next((said.names[name] for name in names if name in said.names), None)
    sequences = tuple(dict.fromkeys(s for name in names for s in said.sequences.get(name, ())))
    return Instance(key, page, panel, numbers.get(FACE), numbers.get(BODY), identity, sequences)


def _people(cut: Cut, where: str, problems: Problems) -> Iterator[dict[str, BoxedInstance]]:
    """The halves of each person of a panel; a second face or body of one `char_index` is somebody of its own."""
    people: dict[int, dict[str, BoxedInstance]] = {}
    for box in sorted(cut.instances, key=lambda box: (box.person, box.kind, box.index)):
        own = people.setdefault(box.person, {})
        if box.kind in own:
            problems.add(where, f"{box.name} shares its char_index with another {box.kind}")
            yield {box.kind: box}
        else:
            own[box.kind] = box
    yield from people.values()


def _wanted(people: dict[str, BoxedInstance], key: str, split: str, said: Identities, held_out: set[str]) -> bool:
    if split == ALL:
        return True
    own = {said.splits[box.name] for box in people.values() if box.name in said.splits}
    if split == "train":
        return not own - {"train"} and key not in held_out
    return split in own


def _read_lists(folder: Path, subset: str, problems: Problems) -> set[str] | None:
    """The names of all listed instances; None when there are no lists."""
    ending = f"_{subset}.csv" if subset else ".csv"
    files = [file for name in LISTS.values() if (file := folder / f"{name}{ending}").is_file()]
    if not files:
        if subset:
            raise InputError(f"{folder} has no list filtered_all_face{ending}")
        return None
    listed: set[str] = set()
    for file in files:
        for number, row in read_rows(file, ["img_path"]):
            parts = PurePosixPath(row["img_path"].replace("\\", "/")).parts[-4:]
            half = FOLDERS.get(parts[2]) if len(parts) == 4 else None
            if half is None:
                problems.add(f"{file.name} row {number}", "is not <series>/<page>_<panel>/<faces|bodies>/<index>.jpg")
                continue
            listed.add(f"{series_key(parts[0])}_{parts[1]}_{half}_{PurePosixPath(parts[3]).stem}")
    return listed


@dataclass
class _Places:
    """Where crops lie: below the folder that was named, or beside the table."""

    root: Path
    beside: Path

    def find(self, series: str, cut: Cut, half: str, box: BoxedInstance) -> Picture | None:
        """The picture of a half: its crop, else the panel that it is cut from; None when there is neither."""
        panel, label = f"{cut.page}_{cut.panel}", f"{series}/{cut.page}_{cut.panel}/{half}/{box.index}"
        folder = f"{FACES}/{series}/{panel}" if half == FACE else f"{BODIES}/{series}/{panel}/bodies"
        crop = self._file(f"{folder}/{box.index}.jpg")
        if crop is not None:
            return Picture(crop, (Part(box.name),), series, label)
        whole = self._file(f"{PANEL_PICTURES}/{series}/{panel}.jpg")
        if whole is None:
            return None
        face = half == FACE
        part = Part(box.name, box.box, label=label, scale=FACE_SCALE if face else 1.0, square=face)
        return Picture(whole, (part,), series, label)

    def _file(self, relative: str) -> Path | None:
        for base in (self.root, self.beside, self.root / "data"):
            path = base / relative
            if path.is_file() and is_inside(path, base):
                return path
        return None
