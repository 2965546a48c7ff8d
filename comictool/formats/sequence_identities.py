"""Who is who in comic sequences: names of instances that several annotation files give together."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from comictool.core.errors import InputError
from comictool.formats.values import list_of, object_of, read_json, text_of
from comictool.formats.view import Problems
from comictool.formats.written import json_files

SPLITS = {"train": "train", "val": "val", "validation": "val", "test": "test"}  # how files of each begin
HELD_OUT = ("train", "val", "test")  # the later ones win


@dataclass
class Identities:
    """What the annotation files say of instances, each under its name `<series>_<page>_<panel>_<face|body>_<index>`.

    Attributes:
        names: the identity of every instance that is named.
        sequences: the annotated sequences that it is named in: two characters of one sequence are different people.
        splits: train, val or test by the names of the files; of an instance in two, the one that is held out.
        files: read.
    """

    names: dict[str, str] = field(default_factory=dict)
    sequences: dict[str, list[str]] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)


def read_identities(root: Path, problems: Problems) -> Identities:
    """Who the instances are, from all the sequence files in a folder.

    A character of the `*_char_faces.json` and `*_char_bodies.json` files is known by its key there; others by the
    charId and the first panel of the first sequence that they occur in, for a charId alone is local to a sequence.
    """
    groups = _Groups()
    named: dict[str, str] = {}
    local: dict[str, str] = {}
    found = Identities()
    for path in json_files(root):
        if not path.name.endswith(("sequences.json", "_char_faces.json", "_char_bodies.json")):
            continue
        try:
            value = read_json(path)
        except InputError as error:
            problems.add(path.name, error.fact)
            continue
        found.files.append(path)
        if path.name.endswith("sequences.json"):
            instances = _read_sequences(path, value, groups, local, found.sequences, problems)
        else:
            instances = []
            for key, listed in object_of(value).items():
                names = [name for v in list_of(listed) if (name := text_of(v)) is not None]
                groups.join(names)
                named |= {name: _without_series(key, name) for name in names}
                instances += names
        _note_split(path, instances, found.splits, problems)
    found.names = groups.name_all(named, local)
    return found


def _note_split(path: Path, instances: list[str], splits: dict[str, str], problems: Problems) -> None:
    split = SPLITS.get(path.name.partition("_")[0], "")
    for name in instances if split else ():
        known = splits.setdefault(name, split)
        if known != split:
            problems.add(path.name, f"{name[:80]} is in the files of {known} and of {split}; it is held out")
            splits[name] = max(known, split, key=HELD_OUT.index)


def _read_sequences(
    path: Path,
    value: object,
    groups: _Groups,
    local: dict[str, str],
    sequences: dict[str, list[str]],
    problems: Problems,
) -> list[str]:
    read: list[str] = []
    for number, sequence in enumerate(map(object_of, list_of(value))):
        first = (text_of(sequence.get("seq_id")) or "").partition("+")[0]
        for character in map(object_of, list_of(sequence.get("annotations"))):
            key = text_of(character.get("charId"))
            instances = [
                name
                for instance in map(object_of, list_of(character.get("charInstances")))
                for part in ("face", "body")
                if (name := text_of(instance.get(part)))
            ]
            if key is None or not instances:
                problems.add(path.name, f"a character of {first[:40] or 'a sequence'} has no id or no instances")
                continue
            groups.join(instances)
            for name in instances:
                local.setdefault(name, f"{first}/{key}")
                sequences.setdefault(name, []).append(f"{path.name}/{number}")
            read += instances
    return read


def _without_series(key: str, instance: str) -> str:
    """Keys that begin with the series, as written here, lose it: names are names within a comic."""
    prefix = instance.partition("_")[0] + "_"
    return key.removeprefix(prefix) if key != prefix else key


class _Groups:
    """Instances that are known to be one character (union-find)."""

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}

    def join(self, names: list[str]) -> None:
        """Say that these are one character."""
        roots = sorted({self._root(name) for name in names})
        for root in roots[1:]:
            self._parents[root] = roots[0]

    def name_all(self, named: dict[str, str], local: dict[str, str]) -> dict[str, str]:
        """A name for each instance: one that any of its group has in `named`, else one of `local`."""
        chosen: dict[str, str] = {}
        for names in (named, local):
            for instance in sorted(names):
                chosen.setdefault(self._root(instance), names[instance])
        return {instance: chosen[self._root(instance)] for instance in self._parents}

    def _root(self, name: str) -> str:
        self._parents.setdefault(name, name)
        root = name
        while self._parents[root] != root:
            root = self._parents[root]
        while self._parents[name] != root:  # the path is shortened for the next time
            self._parents[name], name = root, self._parents[name]
        return root
