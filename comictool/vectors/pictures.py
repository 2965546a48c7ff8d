"""What is to be encoded: encoded pictures, wherever they lie, and the parts of each that get a vector.

A picture is decoded once, whatever the number of its parts. Nothing here decodes anything or imports Pillow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from comictool.corpus.page_pictures import PagePicture
from comictool.corpus.records import Box

Size = tuple[int, int]  # width, height in pixels
PixelBox = tuple[float, float, float, float]  # left, top, right, bottom in pixels, right and bottom exclusive

PAGE, PANEL, CHARACTER = LEVELS = ("page", "panel", "character")


class Part(NamedTuple):
    """One wanted vector.

    Attributes:
        id: names the row: `<page>_<panel>` and `<page>_<panel>_<identity>` as packs do, the page number for views.
        box: of the picture, in its pixels; None: the whole picture.
        level: page, panel or character; empty when nobody says what the picture shows.
        label: what a report calls it.
        scale, square: enlarge the box about its centre, make it a square; see `datasets.exporting.crops.crop_box`.
    """

    id: str = ""
    box: PixelBox | None = None
    level: str = ""
    label: str = ""
    scale: float = 1.0
    square: bool = False

    def box_on(self, size: Size) -> PixelBox | None:
        """The box to cut from a picture of this size; None when it has no area there.

        Annotated boxes are rounded outwards to whole pixels and clamped (squares may reach beyond the picture). Views
        of a page keep their fractions of a pixel, for encoders that can use them.
        """
        assert self.box is not None
        if self.level == PAGE:
            return self.box
        from comictool.datasets.exporting.crops import crop_box

        return crop_box(self.box, size, scale=self.scale, square=self.square)


WHOLE = (Part(),)


class PackRow(NamedTuple):
    """A picture in a pack (`<split>_images.hdf5`): a row of a comic."""

    pack: Path
    comic: str
    row: int


@dataclass(slots=True)
class Picture:
    """An encoded picture and the parts of it that get a vector, in the order of the rows.

    Attributes:
        source: its file, its place in a comic file, or its row in a pack.
        parts: at least one, unless there is only an `error` or problems to report.
        comic: whose rows they are; empty outside of comics.
        label: what a report calls it, `comic/page` or `comic/name`; the file when empty.
        size: what the annotations were made for; (0, 0) when they do not say.
        fingerprint: differs whenever the picture (its size in bytes, time of change) or a part does.
        problems: what is known to be wrong before it is read.
        error: why its file must not be read, if it must not.
    """

    source: PagePicture | PackRow
    parts: tuple[Part, ...] = WHOLE
    comic: str = ""
    label: str = ""
    size: Size = (0, 0)
    fingerprint: str = ""
    problems: tuple[str, ...] = ()
    error: str = ""

    @property
    def name(self) -> str:
        """What a report calls it."""
        return self.label or str(self.source)

    @property
    def is_whole(self) -> bool:
        """Whether only the picture as a whole is wanted, so that it may be decoded at a reduced scale."""
        return all(part.box is None for part in self.parts)


def files_as_pictures(paths: Iterable[Path]) -> Iterator[Picture]:
    """Picture files, one vector each."""
    return (Picture(path) for path in paths)


def whole_pixels(box: PixelBox, size: Size) -> Box:
    """A box rounded to the nearest whole pixels, at least one of them on the picture where it began on it."""
    width, height = size
    left, top = min(round(box[0]), width - 1), min(round(box[1]), height - 1)
    return left, top, max(left + 1, round(box[2])), max(top + 1, round(box[3]))
