"""What a format can hold: the part of a page record that survives, and what is lost, said in words."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from comictool.core.errors import InputError
from comictool.corpus.assignment import assign_panels
from comictool.corpus.records import PAGE_TYPES, TEXT_KINDS, Character, PageRecord, Panel, Text
from comictool.formats.boxes import is_outline_of
from comictool.formats.values import number_of, share_of, text_of

_ALWAYS = {"id", "box", "text"}  # what makes an item; id and order are numbered anew
_LISTS = (("panels", Panel), ("characters", Character), ("texts", Text))
_EVERY: dict[type, frozenset[str]] = {kind: frozenset(f.name for f in fields(kind)) - {"extra"} for _, kind in _LISTS}
ALL_PANEL = _EVERY[Panel]
ALL_CHARACTER = _EVERY[Character]
ALL_TEXT = _EVERY[Text]


def _same(record: PageRecord) -> PageRecord:
    return record


@dataclass(frozen=True)
class Capabilities:
    """Names of the fields that a format has room for; None for a kind of item that it does not know.

    Attributes:
        page: of `type`, `type_confidence`, `direction`.
        direction: what a reader assumes when `direction` is not held.
        extra: keys of the page's extra facts.
        panel_extra: of those of its panels.
        page_numbers: whether page numbers are written down, or follow from the order of the files.
        text_boxes: whether texts need a box.
        adjust: what else changes, applied last, on a copy.
    """

    page: frozenset[str] = frozenset()
    panels: frozenset[str] | None = None
    characters: frozenset[str] | None = None
    texts: frozenset[str] | None = None
    segments: bool = False
    extra: frozenset[str] = frozenset()
    panel_extra: frozenset[str] = frozenset()
    facts: frozenset[str] = frozenset()
    direction: str = "ltr"
    page_numbers: bool = True
    text_boxes: bool = False
    adjust: Callable[[PageRecord], PageRecord] = field(default=_same)


def keep(record: PageRecord, holds: Capabilities) -> PageRecord:
    """The part of a record that a format can hold, on a copy; ids are still the old ones."""
    record = sane(record)
    kept = PageRecord(record.comic, record.page, record.image, record.width, record.height, direction=holds.direction)
    for name in holds.page:
        setattr(kept, name, getattr(record, name))
    for name, kind in _LISTS:
        held = getattr(holds, name)
        if held is not None:
            items = [item for item in getattr(record, name) if _has_room(item, holds)]
            setattr(kept, name, [_strip(item, kind, held) for item in items])
    if holds.panel_extra:
        facts = {panel.id: panel.extra for panel in record.panels}
        for panel in kept.panels:
            of_panel = facts[panel.id]
            panel.extra = {key: copy.deepcopy(of_panel[key]) for key in of_panel if key in holds.panel_extra}
    kept.segments = [dict(segment) for segment in record.segments] if holds.segments else []
    kept.extra = {key: value for key, value in record.extra.items() if key in holds.extra}
    outlines: list[Panel | Text] = [*kept.panels, *kept.texts]
    for outlined in outlines:
        if outlined.box is None or not is_outline_of(outlined.polygon, outlined.box):
            outlined.polygon = None
    remaining = {text.id for text in kept.texts}
    for text in kept.texts:
        text.continues = text.continues if text.continues in remaining else None
    kept = holds.adjust(kept)
    if holds.panels is not None:
        assign_panels(kept)  # as a reader does
    return kept


def sane(record: PageRecord) -> PageRecord:
    """A copy whose values every format can write: known kinds, scores in 0..1, text that is Unicode, segments.

    Records of a native corpus are checked for their types when they are read, not for everything else.

    Raises:
        InputError: an extra fact is nested too deeply.
    """
    try:
        return _sane(record)
    except RecursionError as error:
        raise InputError(f"{record.id}: its extra facts are nested too deeply") from error


def _sane(record: PageRecord) -> PageRecord:
    out = copy.copy(record)
    out.extra, out.runs = writable(record.extra), writable(record.runs)
    out.segments = [writable(segment) for segment in record.segments if isinstance(segment, dict)]
    out.type = record.type if record.type in PAGE_TYPES else "unknown"
    out.type_confidence = share_of(record.type_confidence, 0.0)
    out.panels = [
        replace(p, score=share_of(p.score), source=_text(p.source), extra=writable(p.extra)) for p in record.panels
    ]
    out.characters = [
        replace(
            c,
            score=share_of(c.score),
            valence=number_of(c.valence),
            arousal=number_of(c.arousal),
            identity=None if c.identity is None else _text(c.identity),
            extra=writable(c.extra),
        )
        for c in record.characters
    ]
    out.texts = [
        replace(
            t,
            confidence=share_of(t.confidence),
            text=_text(t.text),
            source=_text(t.source),
            kind=t.kind if t.kind in TEXT_KINDS else "dialogue",
            **_speakers(t),
            extra=writable(t.extra),
        )
        for t in record.texts
    ]
    return out


def _speakers(text: Text) -> dict[str, Any]:
    """Who says a text: one, or all with that one first."""
    every = list(dict.fromkeys(s for s in (text.speaker, *text.speakers) if s is not None))
    return {"speaker": every[0] if every else None, "speakers": every if len(every) > 1 else []}


def writable(value: Any) -> Any:
    """JSON values whose texts can all be written as UTF-8."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        return {_text(key): writable(item) for key, item in value.items()}
    return [writable(item) for item in value] if isinstance(value, list) else value


def _text(value: str) -> str:
    return text_of(value) or ""


def numbered(record: PageRecord) -> PageRecord:
    """A copy with panels numbered in reading order, characters and texts in their order; references follow.

    Segments name panels too; a panel or character that is not there is not named any more.
    """
    panels = {p.id: n for n, p in enumerate(sorted(record.panels, key=lambda p: (p.order, p.id)), start=1)}
    people = {c.id: n for n, c in enumerate(record.characters, start=1)}
    texts = {t.id: n for n, t in enumerate(record.texts, start=1)}
    out = replace(record)
    out.panels = sorted((replace(p, id=panels[p.id], order=panels[p.id]) for p in record.panels), key=lambda p: p.id)
    out.characters = [replace(c, id=people[c.id], panel=_follow(panels, c.panel)) for c in record.characters]
    out.texts = [
        replace(
            t,
            id=n,
            panel=_follow(panels, t.panel),
            speaker=_follow(people, t.speaker),
            speakers=[people[one] for one in t.speakers if one in people],
            continues=_follow(texts, t.continues),
        )
        for n, t in enumerate(record.texts, start=1)
    ]
    out.segments = [_renamed(segment, {"panel": panels, "character": people}) for segment in record.segments]
    return out


def _renamed(segment: dict[str, Any], numbers: dict[str, dict[int, int]]) -> dict[str, Any]:
    out = dict(segment)
    for name, new in numbers.items():
        if name in out:
            old = out.pop(name)
            if isinstance(old, int) and old in new:
                out[name] = new[old]
    return out


def losses(record: PageRecord, kept: PageRecord) -> Counter[str]:
    """What of a record is not in the kept part: a phrase for each kind of loss and how often it happened."""
    out: Counter[str] = Counter()
    for name in ("type", "type_confidence", "direction"):
        if getattr(record, name) != getattr(kept, name):
            out[f"pages: {name.replace('_', ' ')}"] += 1
    out.update(f"pages: extra fact {key!r}" for key in record.extra if key not in kept.extra)
    for name, kind in _LISTS:
        remaining = {item.id: item for item in getattr(kept, name)}
        for item in getattr(record, name):
            if item.id not in remaining:
                out[name] += 1
                continue
            for each in fields(kind):
                before, after = getattr(item, each.name), getattr(remaining[item.id], each.name)
                if each.name == "extra":
                    out.update(f"{name}: extra fact {key!r}" for key in before if key not in after)
                elif before != after and before not in (None, []):  # what a writer adds is no loss
                    out[f"{name}: {each.name}"] += 1
    missing = len(record.segments) - len(kept.segments)
    changed = sum(segment not in kept.segments for segment in record.segments) - missing
    for phrase, count in (
        ("segments", missing),
        ("segments: some values", changed),
        ("runs", len(record.runs) - len(kept.runs)),
    ):
        if count > 0:
            out[phrase] += count
    return out


@dataclass(frozen=True)
class Loss:
    """What a format has no room for.

    Attributes:
        format: its name.
        kind: of what: pages, panels, characters, texts, segments, runs or comics.
        what: of these; empty when they are lost as a whole.
        count: how many.
    """

    format: str
    kind: str
    what: str
    count: int

    def __str__(self) -> str:
        of = f"{self.what} of {self.count:,} {self.kind}" if self.what else f"{self.count:,} {self.kind}"
        return f"{self.format} has no room for {of}"


def counted(found: Counter[str], format: str) -> list[Loss]:
    """Losses by kind, in a stable order."""
    parts = ((phrase.partition(": "), count) for phrase, count in sorted((+found).items()))
    return [Loss(format, kind, what, count) for (kind, _, what), count in parts]


def facts_lost(facts: dict[str, Any], holds: Capabilities) -> Iterable[str]:
    """Phrases for the facts of a comic that a format does not hold."""
    return (f"comics: fact {key!r}" for key, value in facts.items() if key not in holds.facts and value not in ("", []))


def _has_room(item: Any, holds: Capabilities) -> bool:
    return not (holds.text_boxes and isinstance(item, Text) and item.box is None)


def _strip(item: Any, kind: type, held: Iterable[str]) -> Any:
    names = (_ALWAYS | set(held) | ({"order"} if kind is Panel else set())) & _EVERY[kind]
    return kind(**{name: copy.deepcopy(getattr(item, name)) for name in names})


def _follow(numbers: dict[int, int], old: int | None) -> int | None:
    return None if old is None else numbers.get(old)


def held(kind: Sequence[str] | frozenset[str], *without: str) -> frozenset[str]:
    """Field names without some."""
    return frozenset(kind) - set(without)
