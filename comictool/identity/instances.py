"""The table of instances: every appearance of a character, with the crop of its face, of its body, or both.

An instance without a face, or without a body, is as good as any other: what is missing has no number, no crop and no
picture that stands in for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from comictool.selfsup.held_pictures import Pictures, large_enough, together
from comictool.vectors.pictures import Picture

FACE, BODY = HALVES = ("face", "body")
FACE_SCALE = 1.2  # the square of a face is so many times the longer side of its box, as the published crops are
NAMED = 5  # examples of what was left out, in the facts of a run


@dataclass(frozen=True)
class Instance:
    """One appearance of a character. At least one half is there.

    Attributes:
        series: what it belongs to; identities mean something within it.
        page, panel: where; panel 0 is none.
        face, body: numbers of the crops that show them; None: that half is not there.
        identity: who it is, within the series; None: nobody said.
        sequences: the annotated sequences that it is part of.
    """

    series: str
    page: int
    panel: int
    face: int | None = None
    body: int | None = None
    identity: str | None = None
    sequences: tuple[str, ...] = ()

    @property
    def halves(self) -> dict[str, int]:
        """The numbers of the crops that are there, by half."""
        return {half: number for half in HALVES if (number := getattr(self, half)) is not None}

    @property
    def label(self) -> str | None:
        """The identity with its series: equal names in two series are two characters."""
        return None if self.identity is None else f"{self.series}/{self.identity}"

    @property
    def page_id(self) -> str:
        """`<series>/<page>`."""
        return f"{self.series}/{self.page}"

    @property
    def panel_id(self) -> str:
        """`<series>/<page>/<panel>`: two instances with the same one are two people, but for panel 0."""
        return f"{self.series}/{self.page}/{self.panel}"


@dataclass
class InstanceTable:
    """Instances, and the pictures of their halves. Pickles.

    Attributes:
        instances: in the order of their places.
        pictures: each with a part for every crop that it shows; crops are numbered through all of them.
        problems: a line for everything that was left out.
        relative: two names of one series may be one person, unless both occur in one sequence (as the published
            annotations have it). Off: every name is another person.
    """

    instances: list[Instance] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    relative: bool = False

    def __post_init__(self) -> None:
        self._places = [(picture, part) for picture in self.pictures for part in picture.parts]

    @property
    def crops(self) -> int:
        """How many there are."""
        return len(self._places)

    def pictures_of(self, numbers: Iterable[int]) -> list[Picture]:
        """The pictures of some crops, with these parts alone: neighbours on one page are one picture."""
        return together(self._places[number] for number in numbers)

    def without(self, lost: Iterable[int]) -> InstanceTable:
        """The table without some crops: their halves are missing, and an instance without any half is gone."""
        gone = set(lost)
        kept = []
        for instance in self.instances:
            left = {half: number for half, number in instance.halves.items() if number not in gone}
            if left:
                kept.append(replace(instance, face=left.get(FACE), body=left.get(BODY)))
        return replace(self, instances=kept)

    def only(self, instances: Sequence[Instance]) -> InstanceTable:
        """The table with some of its instances."""
        return replace(self, instances=list(instances))

    def facts(self) -> dict[str, Any]:
        """Counts, and a hash that tells these instances from others."""
        counts = Counter(" and ".join(instance.halves) for instance in self.instances)
        names = "\n".join(f"{i.panel_id}_{i.identity}_{sorted(i.halves)}" for i in self.instances)
        return {
            "instances": len(self.instances),
            **{f"with {halves}": counts[halves] for halves in sorted(counts)},
            "named": sum(instance.identity is not None for instance in self.instances),
            "identities": len({instance.label for instance in self.instances} - {None}),
            "series": len({instance.series for instance in self.instances}),
            "names": sha256(names.encode("utf-8", "backslashreplace")).hexdigest()[:16],
            **({"left out": len(self.problems), "for example": self.problems[:NAMED]} if self.problems else {}),
        }


@dataclass
class HeldCrops:
    """A table whose crops can be read: what is too small or damaged is a missing half.

    Attributes:
        table: its instances hold numbers of crops.
    """

    table: InstanceTable
    _pictures: Pictures
    _position: dict[int, int]

    def pixels(self, crop: int) -> Any:
        """One crop, (height, width, 3) uint8."""
        return self._pictures[self._position[crop]]

    @property
    def held(self) -> int:
        """How many are in memory."""
        return self._pictures.held


def hold(table: InstanceTable, *, min_side: int, source_side: int, cache: int) -> HeldCrops:
    """Decode the crops of a table as far as they fit into memory.

    Args:
        min_side: least pixels on the shorter side of a crop; smaller ones are missing halves.
        source_side: larger crops are shrunk to so many pixels squared. 0: as they are.
        cache: MiB of decoded crops.
    """
    used = sorted({number for instance in table.instances for number in instance.halves.values()})
    kept, problems = large_enough(table, used, min_side)
    pictures = Pictures(table, kept, source_side=source_side, cache=cache)
    lost = set(used) - set(kept) | {kept[position] for position in pictures.lost}
    problems += [f"{table.pictures_of([kept[at]])[0].name}: {why}" for at, why in pictures.lost.items()]
    left = replace(table.without(lost), problems=[*table.problems, *problems])
    return HeldCrops(left, pictures, {number: position for position, number in enumerate(kept)})
