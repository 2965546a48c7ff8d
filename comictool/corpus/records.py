"""Page records: what the toolkit knows about one page, and their JSON form.

Boxes are `(x0, y0, x1, y1)` in page pixels, integers, x1 and y1 exclusive, clamped to the page.
Panels count from 1 in reading order; identifiers read `comic/page/panel`, e.g. `science_comics_001/12/3`.
Unknown JSON keys are kept in `extra` and written back, so a newer file loses nothing in an older tool.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from comictool.core.errors import InputError

Box: TypeAlias = tuple[int, int, int, int]

PAGE_TYPES = ("cover", "story", "advertisement", "text", "credits", "unknown")
DIRECTIONS = ("ltr", "rtl", "ttb")
TEXT_KINDS = ("dialogue", "thought", "narration", "sfx")


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
    box: Box
    order: int = 0
    score: float = 1.0
    polygon: list[tuple[int, int]] | None = None
    source: str = ""
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class Character:
    """One appearance of a character; `face` and `body` are boxes on the page; valence and arousal in -1..1."""

    id: int
    box: Box
    panel: int | None = None
    face: Box | None = None
    body: Box | None = None
    identity: str | None = None
    score: float = 1.0
    valence: float | None = None
    arousal: float | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class Text:
    """One piece of lettering; `speaker` is the id of a character on the page."""

    id: int
    text: str
    kind: str = "dialogue"
    box: Box | None = None
    panel: int | None = None
    speaker: int | None = None
    confidence: float = 1.0
    source: str = ""
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class PageRecord:
    """One page. `image` is relative to the corpus folder; `type_confidence` in 0..1."""

    comic: str
    page: int
    image: str
    width: int
    height: int
    type: str = "unknown"
    type_confidence: float = 0.0
    direction: str = "ltr"
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
    """A page record as plain JSON values; fields that are empty or unset are left out."""
    return _plain(record)


def from_json(value: Any, where: str = "page record") -> PageRecord:
    """Read a page record from JSON values.

    Raises:
        InputError: a required field is missing or a value has the wrong type or range.
    """
    fields = _fields(value, where, PageRecord)
    page = _build(PageRecord, fields, where)
    for name, kind in (("panels", Panel), ("characters", Character), ("texts", Text)):
        items = getattr(page, name)
        setattr(page, name, [_build(kind, _fields(v, f"{where}: {name}", kind), f"{where}: {name}") for v in items])
    if page.width < 1 or page.height < 1 or page.page < 0:
        raise InputError(f"{where}: page {page.page} of {page.width}x{page.height} pixels is impossible")
    if page.direction not in DIRECTIONS:
        raise InputError(f"{where}: direction {page.direction!r} is none of {', '.join(DIRECTIONS)}")
    for index, panel in enumerate(page.panels, start=1):
        panel.order = panel.order or index
    return page


_INTEGERS = {"id", "page", "width", "height", "order"}
_OPTIONAL_INTEGERS = {"panel", "speaker"}
_NUMBERS = {"score", "confidence", "type_confidence"}
_OPTIONAL_NUMBERS = {"valence", "arousal"}
_BOXES = {"box", "face", "body"}
_STRINGS = {"comic", "image", "type", "direction", "kind", "text", "source"}
_LISTS = {"panels", "characters", "texts", "segments", "runs"}


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        out: dict[str, Any] = {}
        for name, spec in value.__dataclass_fields__.items():
            item = getattr(value, name)
            if name == "extra" or item is None or (item == [] and name != "panels"):
                continue
            if name in ("source", "type_confidence") and item == spec.default:
                continue
            out[name] = _plain(item)
        return {**out, **value.extra}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value


def _fields(value: Any, where: str, kind: type) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected an object, got {type(value).__name__}")
    known = kind.__dataclass_fields__  # type: ignore[attr-defined]
    out = {k: v for k, v in value.items() if k in known and k != "extra"}
    out["extra"] = {k: v for k, v in value.items() if k not in known}
    return out


def _build(kind: type, fields: dict[str, Any], where: str) -> Any:
    checked = {name: _check(name, value, where) for name, value in fields.items()}
    try:
        return kind(**checked)
    except TypeError as error:
        missing = str(error).split("argument", 1)[-1].lstrip("s: ")
        raise InputError(f"{where}: missing {missing}") from None


def _check(name: str, value: Any, where: str) -> Any:
    if name in _INTEGERS or (name in _OPTIONAL_INTEGERS and value is not None):
        ok = isinstance(value, int) and not isinstance(value, bool)
    elif name in _NUMBERS or (name in _OPTIONAL_NUMBERS and value is not None):
        ok = isinstance(value, (int, float)) and not isinstance(value, bool) and value == value
    elif name in _BOXES and value is not None:
        ok = (
            isinstance(value, (list, tuple))
            and len(value) == 4
            and all(isinstance(v, int) and not isinstance(v, bool) for v in value)
            and value[0] < value[2]
            and value[1] < value[3]
        )
        value = tuple(value) if ok else value
    elif name == "polygon" and value is not None:
        ok = isinstance(value, list) and all(isinstance(p, (list, tuple)) and len(p) == 2 for p in value)
        value = [tuple(p) for p in value] if ok else value
    elif name in _STRINGS or (name == "identity" and value is not None):
        ok = isinstance(value, str)
    elif name in _LISTS:
        ok = isinstance(value, list)
    else:
        return value
    if not ok:
        raise InputError(f"{where}: {name} is {value!r:.60}")
    return value
