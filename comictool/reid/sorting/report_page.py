"""The report of a sorting run: the doubtful first, then each character with its least sure pictures first."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from comictool.core.files import write_text
from comictool.reid.types import Decision, Reference
from comictool.report.page import escape, html_page
from comictool.report.sheet import STYLE, Tile, sheet_section
from comictool.report.thumbnails import side_for

MOST_PICTURES = 1500  # thumbnails on the page; about 15 MB, which browsers still open at once
STRIP = 6  # references shown for each character
MOST_PAIRS = 12  # pairs of characters that are confused, shown side by side

REPORT_STYLE = (
    STYLE
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

    Unknown and ambiguous pictures come first, then pairs of characters that are confused (the picture between the
    references that spoke for each), then every character: a strip of its references and its pictures, smallest margin
    first. Big runs are cut to `MOST_PICTURES`, the surest left out first, and the page says so.

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
    by_status: dict[str, list[Decision]] = defaultdict(list)
    for decision in decisions:
        by_status[decision.status].append(decision)
    of_character: dict[str, list[Reference]] = defaultdict(list)
    for reference in references:
        of_character[reference.character].append(reference)
    accepted: dict[str, list[Decision]] = defaultdict(list)
    for decision in by_status["ok"]:
        accepted[decision.character or ""].append(decision)

    doubtful = sorted(by_status["unknown"], key=lambda d: (-_number(d.score), d.path))
    between = sorted(by_status["ambiguous"], key=_sureness)
    parts = [f"<h1>{escape(title)}</h1>\n", *(f'<p class="quiet">{escape(note)}</p>\n' for note in notes)]
    parts.append(_counts(by_status, accepted, of_character))
    if doubtful:
        parts.append(_heading("Unknown", len(doubtful), "unknown"))
        parts.append(page.section([page.tile(d, _candidate_lines(d)) for d in doubtful]))
    if between:
        parts.append(_heading("Ambiguous", len(between), "ambiguous"))
        parts.append(page.section([page.tile(d, _candidate_lines(d)) for d in between]))
    parts.append(page.confusions(decisions))
    for number, character in enumerate(sorted(set(of_character) | set(accepted)), start=1):
        own = sorted(accepted[character], key=_sureness)
        parts.append(_heading(character, len(own), f"character-{number}"))
        strip = [Tile(r.path) for r in of_character[character][:STRIP]]
        more = len(of_character[character]) - len(strip)
        note = f"{len(of_character[character])} references" + (f", {len(strip)} shown" if more > 0 else "")
        parts.append(f'<div class="strip">{page.section(strip, notes=[note])}</div>\n')
        if own:
            parts.append(page.section([page.tile(d, _candidate_lines(d)) for d in own]))
    if by_status["error"]:
        parts.append(_heading("Could not be read", len(by_status["error"]), "errors"))
        rows = "".join(f"<li>{escape(d.path)}: {escape(d.error)}</li>" for d in by_status["error"])
        parts.append(f"<ul>{rows}</ul>\n")
    write_text(path, html_page(title, "".join(parts), REPORT_STYLE))
    return page.missing


class _Page:
    """Makes sections, and keeps count of what the whole page may still show."""

    def __init__(self, places: Mapping[str, Path], budget: int) -> None:
        self.missing = 0
        self._places = places
        self._left = MOST_PICTURES
        self._side = side_for(min(budget, MOST_PICTURES))
        self._sections = 0

    def tile(self, decision: Decision, lines: Iterable[str]) -> Tile:
        return Tile(self._place(decision), id=Path(decision.path).name, score=decision.score, lines=list(lines))

    def section(self, tiles: Sequence[Tile], *, notes: Sequence[str] = ()) -> str:
        shown = tiles[: max(0, self._left)]
        self._left -= len(shown)
        self._sections += 1
        told = [*notes]
        if len(shown) < len(tiles):
            told.append(f"{len(tiles) - len(shown)} more are not shown; the page would be too large.")
        if not shown:
            return "".join(f'<p class="quiet">{escape(line)}</p>\n' for line in told)
        markup, missing = sheet_section(shown, notes=told, side=self._side, name=f"s{self._sections}-")
        self.missing += missing
        return markup

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
            tiles = [self.tile(decision, [f"margin {_number(decision.margin):.3f}"])]
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


def _candidate_lines(decision: Decision) -> list[str]:
    lines = [" · ".join(f"{c.character} {c.score:.3f}" for c in decision.candidates[:3])]
    told = [
        f"{name} {value:.3f}"
        for name, value in (("margin", decision.margin), ("threshold", decision.threshold))
        if value is not None
    ]
    return [line for line in (*lines, ", ".join(told)) if line]


def _heading(text: str, count: int, anchor: str) -> str:
    return f'<h2 id="{anchor}">{escape(text)} <span class="quiet">{count}</span></h2>\n'


def _counts(
    by_status: Mapping[str, Sequence[Decision]],
    accepted: Mapping[str, Sequence[Decision]],
    of_character: Mapping[str, Sequence[Reference]],
) -> str:
    links = [
        (f"#{anchor}", f"{len(by_status.get(status, ()))} {text}")
        for status, text, anchor in (
            ("unknown", "unknown", "unknown"),
            ("ambiguous", "ambiguous", "ambiguous"),
            ("error", "not read", "errors"),
        )
        if by_status.get(status)
    ]
    links += [
        (f"#character-{number}", f"{len(accepted.get(name, ()))} {name}")
        for number, name in enumerate(sorted(set(of_character) | set(accepted)), start=1)
    ]
    return "<nav>" + "".join(f'<a href="{href}">{escape(text)}</a> ' for href, text in links) + "</nav>\n"
