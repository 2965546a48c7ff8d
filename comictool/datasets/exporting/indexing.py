"""The index of exported characters, and beside it the list of their crops.

`annotations/characters_indexing.csv` has exactly the published columns. `annotations/characters_crops.csv` has one row
for each of its rows, in the same order: which file the crop is, how sure the detector was, and its box on the page.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from comictool.core.errors import InputError
from comictool.core.files import atomic_text
from comictool.core.typed import typed
from comictool.datasets.csv_tables import read_rows

INDEX_COLUMNS = (
    "character",
    "document",
    "page",
    "panel",
    "panel_id",
    "x0",
    "y0",
    "x1",
    "y1",
    "valence",
    "arousal",
    "character_frequency",
)
# `file` is relative to the corpus: character_images/<comic>/<page>_<panel>_<identity>.jpg
CROPS_COLUMNS = ("file", "comic", "page", "panel", "identity", "character_id", "score", "x0", "y0", "x1", "y1")


@dataclass(frozen=True)
class CharacterRow:
    """One exported character.

    `box` is relative to the panel's corner and may leave the panel; `page_box` is on the page. `valence` is 1..5 and
    `arousal` an integer, -1 where unknown. `identity` is empty for a character that nobody has named.
    """

    file: str
    comic: str
    page: int
    panel: int
    identity: str
    character_id: int
    score: float
    box: tuple[int, int, int, int]
    page_box: tuple[int, int, int, int]
    valence: int = -1
    arousal: int = -1

    @property
    def character(self) -> str:
        """The published name of an identity: unique over comics, which the identity alone is not."""
        return f"{self.comic}_{self.identity}"

    @property
    def panel_id(self) -> str:
        """`<comic>/<page>_<panel>`."""
        return f"{self.comic}/{self.page}_{self.panel}"

    def to_facts(self) -> list[Any]:
        """As plain values, without comic and page, which the ledger key says."""
        facts = list(astuple(self))
        return [facts[0], *facts[3:]]

    @classmethod
    def from_facts(cls, comic: str, page: int, facts: list[Any]) -> CharacterRow:
        """Back from `to_facts`.

        Raises:
            InputError: the ledger that they come from was changed.
        """
        names = [field.name for field in fields(cls)]
        values = zip(names, [*facts[:1], comic, page, *facts[1:]], strict=False)
        return typed(cls, dict(values), f"the ledger of {comic}/{page}")


def index_file(root: Path, part: str) -> Path:
    """The index of a part: `annotations/<part>_indexing.csv`, parts being characters, faces, bodies."""
    return root / "annotations" / f"{part}_indexing.csv"


def crops_file(root: Path, part: str) -> Path:
    """The crop list of a part: `annotations/<part>_crops.csv`."""
    return root / "annotations" / f"{part}_crops.csv"


def write_index(root: Path, part: str, rows: Iterable[CharacterRow], frequency: Counter[str], folder: str) -> None:
    """Write both files. Characters without identity stand in the crop list alone, after all others of their page.

    Args:
        rows: in the order of the files; read once, so it may be a stream.
        frequency: rows by `character`.
        folder: where the folders of crops lie, relative to the corpus.
    """
    with atomic_text(index_file(root, part)) as index_stream, atomic_text(crops_file(root, part)) as crops_stream:
        index, crops = csv.writer(index_stream, lineterminator="\n"), csv.writer(crops_stream, lineterminator="\n")
        index.writerow(INDEX_COLUMNS)
        crops.writerow(CROPS_COLUMNS)
        for row in rows:
            where = (row.comic, row.page)
            crops.writerow(
                (
                    f"{folder}/{row.comic}/{row.file}",
                    *where,
                    row.panel,
                    row.identity,
                    row.character_id,
                    f"{row.score:g}",
                    *row.page_box,
                )
            )
            if row.identity:
                panel = f"{row.page}_{row.panel}"
                index.writerow(
                    (
                        row.character,
                        *where,
                        panel,
                        row.panel_id,
                        *row.box,
                        row.valence,
                        row.arousal,
                        frequency[row.character],
                    )
                )


def read_crops(root: Path, part: str) -> list[dict[str, str]]:
    """The rows of the crop list.

    Raises:
        InputError: there is none (nothing was exported yet), or it is damaged.
    """
    file = crops_file(root, part)
    if not file.is_file():
        raise InputError(f"{root} has no {file.name}", hint=f"comictool data export characters {root}")
    return list(read_rows(file, needed=CROPS_COLUMNS))
