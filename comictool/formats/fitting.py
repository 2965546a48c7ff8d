"""From the pixels in which a page was annotated to those of its picture: turned by EXIF, or of another size."""

from __future__ import annotations

from dataclasses import dataclass, fields

from comictool.corpus.records import PageRecord

Size = tuple[int, int]
# A picture that was made smaller keeps its shape but for the rounding of its sides.
SAME_SHAPE = 0.01


@dataclass(frozen=True)
class Fit:
    """What takes a point of the annotation to the page.

    Attributes:
        annotated: width and height that the annotation is of.
        page: those of the picture as it is shown.
        orientation: the EXIF value, 1 to 8, that turns the one into the other; 1 turns nothing.
    """

    annotated: Size
    page: Size
    orientation: int = 1

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Where a point lies on the page, in pixels."""
        width, height = self.annotated
        u, v = {
            2: (width - x, y),
            3: (width - x, height - y),
            4: (x, height - y),
            5: (y, x),
            6: (height - y, x),
            7: (height - y, width - x),
            8: (y, width - x),
        }.get(self.orientation, (x, y))
        across, down = _turned(self.annotated, self.orientation)
        return u * self.page[0] / across, v * self.page[1] / down

    def box(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        """Where a box lies on the page."""
        (ax, ay), (bx, by) = self.point(box[0], box[1]), self.point(box[2], box[3])
        return min(ax, bx), min(ay, by), max(ax, bx), max(ay, by)


class Sheet(PageRecord):
    """A page while it is filled: `boxes.place` takes what is annotated through its fit."""

    fit: Fit | None = None

    @property
    def annotated(self) -> Size:
        """Width and height that the annotation is of."""
        return self.fit.annotated if self.fit else (self.width, self.height)

    def finished(self) -> PageRecord:
        """The page record."""
        return PageRecord(**{each.name: getattr(self, each.name) for each in fields(PageRecord)})


@dataclass(frozen=True)
class Fitting:
    """How a page fits its picture: the way from one to the other, the page's size, what to note, what is wrong."""

    fit: Fit | None
    size: Size
    note: str = ""
    problem: str = ""


def fitting(said: Size | None, extent: Size, shown: Size, orientation: int) -> Fitting:
    """How the annotation of a page fits its picture.

    Args:
        said: the size that the annotation is of, if it says one.
        extent: what holds all its boxes; (1, 1) for a page without boxes.
        shown: size of the picture as it is shown.
        orientation: its EXIF value, 1 to 8.
    """
    stored = _turned(shown, orientation)
    if said in (None, shown) and (orientation == 1 or extent == (1, 1)):
        return Fitting(None, shown)
    turned = "boxes of the picture as it is stored are turned as its EXIF says"
    if said is None:
        if stored != shown and not _holds(shown, extent) and _holds(stored, extent):
            return Fitting(Fit(stored, shown, orientation), shown, note=turned)
        return Fitting(None, shown, problem="its EXIF turns it; boxes are taken to lie on the turned picture")
    if said == shown:
        # Turned by half or mirrored, or a square: the size does not tell.
        unsure = "its EXIF turns it, and its size does not tell whether its boxes are turned; they are taken to be"
        return Fitting(None, shown, problem=unsure if stored == shown else "")
    if said == stored:
        return Fitting(Fit(said, shown, orientation), shown, note=turned)
    if _same_shape(said, shown):
        return Fitting(Fit(said, shown), shown, note="boxes are scaled to the size of the picture")
    if _same_shape(said, stored):
        return Fitting(Fit(said, shown, orientation), shown, note=f"{turned} and scaled to its size")
    sizes = f"{said[0]}x{said[1]}, but its picture has {shown[0]}x{shown[1]} pixels"
    return Fitting(None, said, problem=f"it was annotated as {sizes}, of another shape; its boxes are left as they are")


def _turned(size: Size, orientation: int) -> Size:
    return (size[1], size[0]) if orientation in (5, 6, 7, 8) else size


def _holds(size: Size, extent: Size) -> bool:
    return extent[0] <= size[0] and extent[1] <= size[1]


def _same_shape(first: Size, second: Size) -> bool:
    """Whether one is the other made smaller or larger, within rounding to whole pixels or 1 %."""
    down = first[1] * second[0] / first[0]
    across = first[0] * second[1] / first[1]
    return abs(down - second[1]) <= max(1, SAME_SHAPE * second[1]) or abs(across - second[0]) <= max(
        1, SAME_SHAPE * second[0]
    )
