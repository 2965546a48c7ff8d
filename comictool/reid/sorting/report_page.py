"""The report of a sorting run, on which a person decides: what is most worth a look, then each character's pictures."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from comictool.core.files import write_text
from comictool.reid.sorting.review_cards import BAR, CARD_STYLE, SCRIPT, card
from comictool.reid.sorting.worth import FIRST, guess_of, worth_first
from comictool.reid.types import Decision, Reference
from comictool.report.page import escape, html_page
from comictool.report.sheet import STYLE, Tile, sheet_section
from comictool.report.thumbnails import side_for

MOST_PICTURES = 1500  # thumbnails on the page; about 15 MB, which browsers still open at once
STRIP = 6  # references shown for each character
MOST_PAIRS = 12  # pairs of characters that are confused, shown side by side

REPORT_STYLE = (
    STYLE
    + CARD_STYLE
    + """
.strip .tiles { grid-template-columns: repeat(auto-fill, minmax(5.5rem, 1fr)); gap: .4rem; }
.strip { max-width: 48rem; border-left: 3px solid var(--line); padding-left: .7rem; margin-bottom: .8rem; }
.pair .tiles { grid-template-columns: repeat(3, minmax(0, 15rem)); }
nav a { margin-right: .9rem; white-space: nowrap; } nav a, h2 a { color: inherit; }
"""
)


def write_report(
    path: Path,
    decisions: Sequence[Decision],
    references: Sequence[Reference],
    *,
    title: str = "Characters",
    notes: Sequence[str] = (),
    places: Mapping[str, Path] | None = None,
) -> int:
    """Write the page; returns how many pictures could not be shown.

    First the pictures that are most worth a decision (`worth_first`), then pairs of characters that are confused (the
    picture between the references that spoke for each), then every character by best guess: a strip of its references,
    the pictures without a name, most worth first, and those with its name, smallest margin first. Each stands beside
    the reference that spoke for it and may be accepted, refused or given another name. Big runs are cut to
    `MOST_PICTURES`, the surest left out first, and the page says so.

    Args:
        path: the HTML file, self-contained; replaced in one step.
        decisions: all of the run.
        references: enrolled pictures.
        notes: lines under the heading.
        places: where pictures lie now that were moved, by their path in the decision.

    Raises:
        OSError: the file cannot be written.
    """
    page = _Page(places or {}, _budget(decisions, references))
    of_character: dict[str, list[Reference]] = defaultdict(list)
    for reference in references:
        of_character[reference.character].append(reference)
    readable = [decision for decision in decisions if decision.status != "error"]
    errors = [decision for decision in decisions if decision.status == "error"]
    order = worth_first(readable)
    first, rest = order[:FIRST], order[FIRST:]
    guessed: dict[str, list[Decision]] = defaultdict(list)
    for decision in rest:
        guessed[guess_of(decision)].append(decision)
    alone = guessed.pop("", [])
    names = sorted(set(of_character) | set(guessed))
    counts = Counter(guess_of(decision) for decision in readable)

    parts = [f"<h1>{escape(title)}</h1>\n", *(f'<p class="quiet">{escape(note)}</p>\n' for note in notes)]
    parts.append(
        '<p class="quiet">Tick what a picture shows, save, and run <code>comictool reid learn SORTED -g GALLERY '
        "--corrections corrections.json</code>. What you decide is learned, and the rest is decided anew.</p>\n"
        "<noscript><p>This browser runs no scripts, so nothing can be ticked: move the files in the folder instead."
        "</p></noscript>\n"
    )
    parts.append(_counts(len(first), names, counts, len(alone), len(errors)))
    if first:
        parts.append(_heading("Most worth a decision", len(first), "first"))
        parts.append(page.cards(first))
    parts.append(page.confusions(decisions))
    for number, character in enumerate(names, start=1):
        own = guessed[character]
        parts.append(_heading(character, counts[character], f"character-{number}"))
        strip = [Tile(r.path) for r in of_character[character][:STRIP]]
        more = len(of_character[character]) - len(strip)
        note = f"{len(of_character[character])} references" + (f", {len(strip)} shown" if more > 0 else "")
        parts.append(f'<div class="strip">{page.section(strip, notes=[note])}</div>\n')
        unsure = [decision for decision in own if decision.status != "ok"]
        named = sorted((decision for decision in own if decision.status == "ok"), key=_sureness)
        for heading, part in ((f"Perhaps {character}", unsure), (f"Named {character}", named)):
            if part:
                parts.append(f'<h3>{escape(heading)} <span class="quiet">{len(part)}</span></h3>\n{page.cards(part)}')
    if alone:
        parts.append(_heading("Like nobody", len(alone), "nobody"))
        parts.append(page.cards(alone))
    if errors:
        parts.append(_heading("Could not be read", len(errors), "errors"))
        rows = "".join(f"<li>{escape(d.path)}: {escape(d.error)}</li>" for d in errors)
        parts.append(f"<ul>{rows}</ul>\n")
    options = "".join(f'<option value="{escape(name)}"></option>' for name in names)
    run = hashlib.sha256("\n".join(f"{d.digest} {guess_of(d)}" for d in order).encode("utf-8", "replace")).hexdigest()
    body = f'<main data-run="{run}">\n{"".join(parts)}</main>\n<datalist id="names">{options}</datalist>\n{BAR}'
    write_text(path, html_page(title, body, REPORT_STYLE, SCRIPT))
    return page.missing


class _Page:
    """Makes sections, and keeps count of what the whole page may still show."""

    def __init__(self, places: Mapping[str, Path], budget: int) -> None:
        self.missing = 0
        self._places = places
        self._left = MOST_PICTURES
        self._side = side_for(min(budget, MOST_PICTURES))
        self._sections = 0
        self._cards = 0

    def cards(self, decisions: Sequence[Decision]) -> str:
        """Pictures to decide on."""
        shown = decisions[: max(0, self._left)]
        self._left -= len(shown)
        parts = []
        for decision in shown:
            self._cards += 1
            markup, there = card(decision, self._place(decision), self._side, self._cards)
            self.missing += not there
            parts.append(markup)
        markup = f'<ol class="cards">\n{"".join(parts)}</ol>\n' if parts else ""
        return markup + _not_shown(len(decisions) - len(shown))

    def section(self, tiles: Sequence[Tile], *, notes: Sequence[str] = ()) -> str:
        """Pictures to look at."""
        shown = tiles[: max(0, self._left)]
        self._left -= len(shown)
        self._sections += 1
        if not shown:
            return "".join(f'<p class="quiet">{escape(line)}</p>\n' for line in notes) + _not_shown(len(tiles))
        markup, missing = sheet_section(shown, notes=notes, side=self._side, name=f"s{self._sections}-")
        self.missing += missing
        return markup + _not_shown(len(tiles) - len(shown))

    def confusions(self, decisions: Sequence[Decision]) -> str:
        """The closest call of each pair of characters, between the references of both."""
        closest: dict[tuple[str, ...], Decision] = {}
        times: Counter[tuple[str, ...]] = Counter()
        for decision in sorted(decisions, key=_sureness):
            if len(decision.candidates) > 1 and decision.status in ("ok", "ambiguous"):
                pair = tuple(sorted(c.character for c in decision.candidates[:2]))
                closest.setdefault(pair, decision)
                times[pair] += 1
        if not closest:
            return ""
        parts = ['<h2 id="confusions">Easily confused</h2>\n']
        for pair, decision in list(closest.items())[:MOST_PAIRS]:
            first, second = decision.candidates[:2]
            lines = [f"margin {_number(decision.margin):.3f}"]
            tiles = [Tile(self._place(decision), id=Path(decision.path).name, score=decision.score, lines=lines)]
            for at, candidate in ((0, first), (2, second)):
                if candidate.reference:
                    tiles.insert(at, Tile(Path(candidate.reference), id=candidate.character, score=candidate.score))
            count = "1 picture" if times[pair] == 1 else f"{times[pair]} pictures"
            note = f"{pair[0]} or {pair[1]}: the two best of {count}; the closest call"
            parts.append(f'<div class="pair">{self.section(tiles, notes=[note])}</div>\n')
        return "".join(parts)

    def _place(self, decision: Decision) -> Path:
        return self._places.get(decision.path, Path(decision.path))


def _budget(decisions: Sequence[Decision], references: Sequence[Reference]) -> int:
    strips = sum(min(STRIP, count) for count in Counter(r.character for r in references).values())
    return len(decisions) + strips + 3 * MOST_PAIRS


def _sureness(decision: Decision) -> tuple[float, float, str]:
    """Least sure first: by margin over the runner-up, then by score, then by name."""
    return (_number(decision.margin, 9.0), _number(decision.score), decision.path)


def _number(value: float | None, without: float = 0.0) -> float:
    return without if value is None else value


def _not_shown(count: int) -> str:
    return f'<p class="quiet">{count} more are not shown; the page would be too large.</p>\n' if count > 0 else ""


def _heading(text: str, count: int, anchor: str) -> str:
    return f'<h2 id="{anchor}">{escape(text)} <span class="quiet">{count}</span></h2>\n'


def _counts(first: int, names: Sequence[str], counts: Mapping[str, int], alone: int, errors: int) -> str:
    links = [("#first", f"{first} most worth a decision")] if first else []
    links += [(f"#character-{number}", f"{counts[name]} {name}") for number, name in enumerate(names, start=1)]
    links += [("#nobody", f"{alone} like nobody")] if alone else []
    links += [("#errors", f"{errors} not read")] if errors else []
    return "<nav>" + "".join(f'<a href="{href}">{escape(text)}</a> ' for href, text in links) + "</nav>\n"
