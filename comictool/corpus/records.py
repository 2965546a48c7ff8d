"""Page records: what the toolkit knows about one page, and their JSON form.

Boxes are `(x0, y0, x1, y1)` in page pixels, integers, x1 and y1 exclusive, clamped to the page.
Panels count from 1 in reading order; identifiers read `comic/page/panel`, e.g. `science_comics_001/12/3`.
Unknown JSON keys are kept in `extra` and written back, so a newer file loses nothing in an older tool.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, TypeAlias

from comictool.core.typed import Check, at_least, typed

Box: TypeAlias = tuple[int, int, int, int]
_OPEN = Check(lambda box: box is None or (box[0] < box[2] and box[1] < box[3]), "a box [x0, y0, x1, y1] with an area")

PAGE_TYPES = ("cover", "story", "advertisement", "text", "credits", "unknown")
DIRECTIONS = ("ltr", "rtl", "ttb")
DIRECTION_BY = "direction_by"  # in the facts of a comic: told, comic, shape, words, or default when nobody said
PAGE_LISTS = ("panels", "characters", "texts", "segments", "runs")  # of a page record; written also when empty
TEXT_KINDS = ("dialogue", "thought", "narration", "sfx")
DIRECTION = Check(DIRECTIONS.__contains__, f"one of {', '.join(DIRECTIONS)}")


def clamp_box(box: tuple[float, float, float, float], width: int, height: int) -> Box | None:
    """Round a box outwards to whole pixels and cut it to the page; None when nothing is left."""
    import math

    x0, y0, x1, y1 = box
    if not all(math.isfinite(v) for v in (x0, y0, x1, y1)):
        return None
    left, top = max(0, math.floor(x0)), max(0, math.floor(y0))
    right, bottom = min(width, math.ceil(x1)), min(height, math.ceil(y1))
    return (left, top, right, bottom) if right > left and bottom > top else None


@dataclass
class Panel:
    """One panel. `order` equals `id` unless a reader edited it; `score` in 0..1; `source` names the detector."""

    id: int
    box: Annotated[Box, _OPEN]
    order: int = 0
    score: float = 1.0
    polygon: list[tuple[int, int]] | None = None
    source: str = ""
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class Character:
    """One appearance of a character; `face` and `body` are boxes on the page; valence and arousal in -1..1."""

    id: int
    box: Annotated[Box, _OPEN]
    panel: int | None = None
    face: Annotated[Box | None, _OPEN] = None
    body: Annotated[Box | None, _OPEN] = None
    identity: str | None = None
    score: float = 1.0
    valence: float | None = None
    arousal: float | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class Text:
    """One piece of lettering.

    `speaker` is the id of a character on the page, `speakers` those of all when several say it together, the first
    among them. `polygon` is its outline. Lettering drawn in parts is one text for each: `continues` is the id of the
    part that it goes on from.
    """

    id: int
    text: str
    kind: str = "dialogue"
    box: Annotated[Box | None, _OPEN] = None
    panel: int | None = None
    speaker: int | None = None
    confidence: float = 1.0
    source: str = ""
    polygon: list[tuple[int, int]] | None = None
    continues: int | None = None
    speakers: list[int] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class PageRecord:
    """One page. `image` is relative to the corpus folder; `type_confidence` in 0..1."""

    comic: str
    page: Annotated[int, at_least(0)]
    image: str
    width: Annotated[int, at_least(1)]
    height: Annotated[int, at_least(1)]
    type: str = "unknown"
    type_confidence: float = 0.0
    direction: Annotated[str, DIRECTION] = "ltr"
    panels: list[Panel] = field(default_factory=list)
    characters: list[Character] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    segments: list[dict[str, Any]] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """`comic/page`."""
        return f"{self.comic}/{self.page}"

    def panel_id(self, panel: Panel) -> str:
        """`comic/page/panel`."""
        return f"{self.comic}/{self.page}/{panel.id}"

    def record_run(self, stage: str, **facts: Any) -> None:
        """Note which stage and model wrote what; a later run of the same stage replaces the earlier note."""
        self.runs = [run for run in self.runs if run.get("stage") != stage]
        self.runs.append({"stage": stage, **facts})


def to_json(record: PageRecord) -> dict[str, Any]:
    """A page record as plain JSON values; fields that are unset are left out, the lists of a page never are."""
    return _plain(record)


def from_json(value: Any, where: str = "page record") -> PageRecord:
    """Read a page record from JSON values.

    Raises:
        InputError: a required field is missing or a value has the wrong type or range; it names the field.
    """
    page = typed(PageRecord, value, where)
    for index, panel in enumerate(page.panels, start=1):
        panel.order = panel.order or index
    return page


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        out: dict[str, Any] = {}
        for name, spec in value.__dataclass_fields__.items():
            item = getattr(value, name)
            if name == "extra" or item is None or (item == [] and name not in PAGE_LISTS):
                continue
            if name in ("source", "type_confidence") and item == spec.default:
                continue
            out[name] = _plain(item)
        return out | dict(sorted(value.extra.items()))  # in whatever order steps added them
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value
