"""A column: one vector for each page, panel or character, of one modality, with all that decides its numbers.

```
page/image        ten views of each page by an encoder of pictures
panel/image       one vector a panel
panel/sequence    what the panels around a panel say of it; reads panel/image
character/image   one vector a character
```
Any word may be a modality: `text`, `layout`, `fused`. A row may lack a vector, and is then absent, never zeros.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

import numpy as np

from comictool.core.errors import InputError
from comictool.core.typed import text, within

LEVELS = ("page", "panel", "character")
DTYPES: dict[str, np.dtype[Any]] = {
    "float16": np.dtype("<f2"),
    "float32": np.dtype("<f4"),
    "int8": np.dtype("i1"),  # times a number of its own for each row, which keeps the row's length
}
MAX_DIMENSION = 65_536  # far beyond any encoder; a bound on what a damaged header can ask for
MAX_VIEWS = 1024
LENGTH_ROUNDING = 2.0**-11  # how far the length of a unit row may be from 1 after rounding to float16

Fraction = Annotated[float, within(0, 1)]
View = tuple[Fraction, Fraction, Fraction, Fraction]
WHOLE: View = (0.0, 0.0, 1.0, 1.0)

# What became of a row. `LOST`: tried, and there can be no vector (its box has no area on the page).
ABSENT, PRESENT, LOST = 0, 1, 2


@dataclass(frozen=True)
class Column:
    """One column of a store; also what a file of vectors at the door says of itself.

    Attributes:
        level: what a row is: page, panel or character.
        modality: what was looked at: image, sequence, text, layout, fused or any other word.
        encoder_id: of what made the vectors: plugin, version, hash of its weights, hash of its preprocessing.
        dimension: D, numbers in a vector.
        dtype: as stored, float16, float32 or int8.
        views: parts of a page that have a vector each, as fractions of its sides, the whole page first.
        normalised: whether rows have length 1.
        reads: ids of the encoders whose columns it was made from.
        settings: everything else that decides the numbers, as plain values (precision, how characters are cut).
        encoder: how to find the encoder again (`comictool.plugins.load.EncoderSpec.remembered`); {} when no encoder
            of pictures made it.
        fingerprint: a digest of the numbers and of which rows have any.
        folder: of its arrays in the store.
    """

    level: Annotated[str, text(20, pattern="|".join(LEVELS), must="page, panel or character")]
    modality: Annotated[str, text(40, pattern="[a-z][a-z0-9_-]*", must="a word of small letters")]
    encoder_id: Annotated[str, text(2000)]
    dimension: Annotated[int, within(1, MAX_DIMENSION)]
    dtype: Annotated[str, text(20, pattern="|".join(DTYPES), must="float16, float32 or int8")] = "float16"
    views: tuple[View, ...] = (WHOLE,)
    normalised: bool = True
    reads: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    encoder: dict[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    folder: Annotated[str, text(120, pattern=r"(contents-\d{1,9}/[a-z]+/[a-z][a-z0-9_-]*)?", must="a folder")] = ""

    def __post_init__(self) -> None:
        if not 1 <= len(self.views) <= (MAX_VIEWS if self.level == "page" else 1):
            raise InputError(f"the column {self.name} cannot have {len(self.views)} views")

    @property
    def name(self) -> str:
        """`level/modality`."""
        return f"{self.level}/{self.modality}"

    def deciding(self) -> dict[str, Any]:
        """What decides the numbers; vectors that differ in one of these do not go together."""
        names = ("encoder_id", "dimension", "dtype", "views", "normalised", "reads", "settings")
        return {name: _plain(getattr(self, name)) for name in names}

    def to_json(self) -> dict[str, Any]:
        """Plain values, read back by `comictool.core.typed.typed(Column, ...)`."""
        values: dict[str, Any] = _plain(asdict(self))
        return values

    def check(self, rows: np.ndarray, where: str) -> None:
        """Refuse rows that this column cannot hold: damaged on disk, or wrongly computed.

        Args:
            rows: (n, D), those that are present.

        Raises:
            InputError: NaN or infinite numbers, or rows that should have length 1 and have not.
        """
        wide = np.asarray(rows, np.float32)
        lengths = np.sqrt(np.einsum("nd,nd->n", wide, wide))
        tolerance = 2 * LENGTH_ROUNDING + 1e-3
        sound = np.abs(lengths - 1) < tolerance if self.normalised else np.isfinite(lengths)
        if not sound.all():
            raise InputError(
                f"the vectors {self.name} of {where} are damaged",
                cause=f"{int((~sound).sum())} rows are not {'unit vectors' if self.normalised else 'finite numbers'}",
                hint="the same command with --resume never makes them anew",
            )


def refuse_others(old: Column, new: Column, where: str, hint: str) -> None:
    """Refuse to put vectors into a column that holds other ones.

    Raises:
        InputError: naming the first thing in which they differ.
    """
    if old.encoder_id != new.encoder_id:
        raise InputError(
            f"{where} holds vectors of {old.encoder_id}, not of {new.encoder_id}",
            cause="vectors of different encoders cannot be compared",
            hint=hint,
        )
    before, now = old.deciding(), new.deciding()
    for name in before:
        if before[name] != now[name]:
            raise InputError(
                f"{where} was made with other {name}",
                cause=f"{str(before[name])[:80]}, now {str(now[name])[:80]}",
                hint=hint,
            )


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
