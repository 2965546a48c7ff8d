"""What vision-language models tell of a page as JSON, in the two published forms, checked key by key.

The first form has no coordinates: `overall_summary` and `panels`, each with `caption`, `description`, `speakers`
(`character`, `dialogue`, `speech_type`), `key_elements` and `actions`. In the second each panel has `box_2d`
`[ymin, xmin, ymax, xmax]` from 0 to 1000, `description`, `text_content` (`label`, `speaker`, `text`, `box_2d`),
`characters` and `faces`. A page may mix them. `canonical_id` or `source_image_path` say which page it is.

Only speakers' dialogue and text contents are words of the comic. Captions, descriptions and the like are the model's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from comictool.core.errors import InputError
from comictool.core.typed import Check, typed
from comictool.corpus.text_panels import SaidText, Shares, TextPanel
from comictool.formats.values import number_of, text_of

GRID = 1000  # units of a side of the page
MOST_PANELS = 100
MOST_TEXTS = 500  # of a panel
MOST_LETTERS = 10_000  # of one text
KINDS = {
    "thought": "thought",
    "narration": "narration",
    "caption": "narration",
    "narrator": "narration",
    "sfx": "sfx",
    "sound": "sfx",
    "sound effect": "sfx",
    "onomatopoeia": "sfx",
}

_Words = Annotated[
    str | None, Check(lambda v: v is None or len(v) <= MOST_LETTERS, f"{MOST_LETTERS:,} letters at most")
]
_Number = int | float | str | None


def _few(most: int) -> Check:
    return Check(lambda value: value is None or len(value) <= most, f"a list of {most} at most")


@dataclass(frozen=True)
class _Speaker:
    character: _Words = None
    dialogue: _Words = None
    speech_type: _Words = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Content:
    text: _Words
    label: _Words = None
    speaker: _Words = None
    box_2d: list[Any] | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Figure:
    name: _Words = None
    box_2d: list[Any] | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Panel:
    panel_number: _Number = None
    caption: _Words = None
    description: _Words = None
    speakers: Annotated[list[_Speaker] | None, _few(MOST_TEXTS)] = None
    key_elements: Annotated[list[_Words] | None, _few(MOST_TEXTS)] = None
    actions: Annotated[list[_Words] | None, _few(MOST_TEXTS)] = None
    box_2d: list[Any] | None = None
    text_content: Annotated[list[_Content] | None, _few(MOST_TEXTS)] = None
    characters: Annotated[list[_Figure | str] | None, _few(MOST_TEXTS)] = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Page:
    panels: Annotated[list[_Panel], _few(MOST_PANELS)]
    overall_summary: _Words = None
    canonical_id: _Words = None
    source_image_path: _Words = None
    model: _Words = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ToldPage:
    """What a model told of one page.

    Attributes:
        panels: in its order.
        summary: of the whole page, in its own words.
        model: who told it; empty when it does not say.
        names: paths by which it says which page it is.
    """

    panels: list[TextPanel]
    summary: str = ""
    model: str = ""
    names: tuple[str, ...] = ()

    @property
    def texts(self) -> int:
        """How many texts of the comic it tells."""
        return sum(len(panel.texts) for panel in self.panels)


def told_page(value: Any, where: str) -> ToldPage:
    """Read one page.

    Args:
        value: what JSON gave.
        where: a file or a reply, for the sentence.

    Raises:
        InputError: no list of panels, or a value of the wrong type or size; it names the key.
    """
    if not isinstance(value, dict) or "panels" not in value:
        raise InputError(f"{where} tells no panels", cause='a page is an object with a list "panels"')
    page = typed(_Page, value, where)
    for number, panel in enumerate(page.panels, start=1):
        if all(value is None for name, value in vars(panel).items() if name != "extra"):
            raise InputError(f"{where}: panel {number} has none of the keys of a panel")
    names = tuple(name for name in (page.canonical_id, page.source_image_path) if name)
    return ToldPage([_panel(p) for p in page.panels], _clean(page.overall_summary), _clean(page.model), names)


def _panel(panel: _Panel) -> TextPanel:
    said = [
        SaidText(words, _kind(s.speech_type), _clean(s.character))
        for s in panel.speakers or []
        if (words := _clean(s.dialogue))
    ]
    said += [
        SaidText(words, _kind(c.label), _clean(c.speaker), shares_of(c.box_2d))
        for c in panel.text_content or []
        if (words := _clean(c.text))
    ]
    figures = [_clean(f if isinstance(f, str) else f.name) for f in panel.characters or []]
    own: dict[str, Any] = {
        "text": _clean(panel.description),
        "caption": _clean(panel.caption),
        "elements": [kept for each in panel.key_elements or [] if (kept := _clean(each))],
        "actions": [kept for each in panel.actions or [] if (kept := _clean(each))],
        "characters": [name for name in figures if name],
    }
    return TextPanel(tuple(said), shares_of(panel.box_2d), {name: value for name, value in own.items() if value})


def shares_of(box: Any) -> Shares | None:
    """`[ymin, xmin, ymax, xmax]` from 0 to 1000 as shares of the page; None for anything else, or without an area."""
    numbers = [n for v in (box if isinstance(box, list) else []) if (n := number_of(v)) is not None and 0 <= n <= GRID]
    if len(numbers) != 4 or len(box) != 4:
        return None
    y0, x0, y1, x1 = (n / GRID for n in numbers)
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _kind(label: str | None) -> str:
    return KINDS.get((label or "").strip().casefold().replace("_", " "), "dialogue")


def _clean(text: str | None) -> str:
    return (text_of(text) or "").strip()
