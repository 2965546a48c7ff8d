"""MAST CSV: the layout of the COMICS and TINTIN exports that ELRIC and ASTERX read.

```
annotations/panels.csv       Document Name, Document Directory, Page Number, Region Vertices, Annotation Notes (number)
annotations/characters.csv   Document Name, Region Page, Region Vertices, Relation ID (identity), Region ID
annotations/emotions.csv     Document Name, Region ID, Taxonomy Path, Annotation Notes
annotations/metadata.csv     Document Directory and labels of the whole comic
page_images/<comic>/page-<n>.jpg
```
Only panels.csv must be there. A taxonomy path with Valence ends in one of five classes (1 Negative to 5 Positive, kept
as -1..1); one with Arousal has a whole number in the notes (1..5 likewise; others are kept as `arousal_note`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from comictool.core.errors import InputError
from comictool.core.jobs import Problem
from comictool.core.names import natural_key, same_name
from comictool.corpus.records import Character, PageRecord
from comictool.formats.boxes import FloatBox, Points, bounds, extent, parse_vertices, place
from comictool.formats.drafts import Draft, RoughPanel, build_pages, number_panels
from comictool.formats.pictures import PictureFinder, comic_names
from comictool.formats.values import identifier, integer_of, read_rows
from comictool.formats.view import ComicPages, ForeignCorpus, Problems

NAME = "mast-csv"
VALENCES = ("Negative", "Slightly Negative", "Neutral", "Slightly Positive", "Positive")  # classes 1 to 5
SCALE = 5  # classes of valence and of arousal
_PAGE_FILE = re.compile(r"page-0*(\d{1,9})(?:\.0)?\.[A-Za-z0-9]+\Z")
FACT_COLUMNS = {"title": "Title", "series": "Series", "number": "Number", "volume": "Volume", "language": "Language"}
_FACTS = {column: name for name, column in FACT_COLUMNS.items()}


@dataclass
class _Row:
    """A region of a page: the text of its vertices and what names it."""

    vertices: str
    note: str = ""
    identity: str = ""
    region: str = ""


@dataclass
class _Title:
    """What the CSV files say of one comic, still as text."""

    panels: dict[int, list[_Row]] = field(default_factory=dict)
    characters: dict[int, list[_Row]] = field(default_factory=dict)
    emotions: dict[str, dict[str, str]] = field(default_factory=dict)
    directory: str = ""
    problems: Problems = field(default_factory=Problems)


def detect(folder: Path) -> bool:
    """Whether there is an `annotations/panels.csv`."""
    return (folder / "annotations" / "panels.csv").is_file()


def read(source: Path, pictures: Path | None = None) -> ForeignCorpus:
    """Open a MAST layout as a corpus.

    Raises:
        InputError: panels.csv is missing, or a required column.
    """
    annotations = source / "annotations"
    if not detect(source):
        raise InputError(f"{annotations / 'panels.csv'} is not there")
    problems = Problems()
    titles = _read_tables(annotations, problems)
    for folder in _folders(pictures or source):
        titles.setdefault(folder, _Title())  # comics without any annotation are comics too
    names = comic_names(titles)
    by_name = {name: (title, titles[title]) for title, name in names.items()}
    finder = PictureFinder(source, pictures)

    def build(comic: str) -> ComicPages:
        return _build(comic, *by_name[comic], finder)

    return ForeignCorpus(
        source,
        format=NAME,
        comics=by_name,
        build=build,
        finder=finder,
        problems=problems.found(),
        facts=_facts(annotations, names, titles),
        annotation_files=sorted(annotations.glob("*.csv")),
    )


def valence_class(path: str) -> int | None:
    """The class 1..5 at the end of a taxonomy path; the spelling `Slighly` of older files is the same class."""
    last = " ".join(path.rpartition("/")[2].split()).casefold().replace("slighly", "slightly")
    return next((n for n, name in enumerate(VALENCES, start=1) if name.casefold() == last), None)


def on_unit_scale(level: int) -> float:
    """Class 1..5 to -1..1."""
    return (level - 3) / 2


def class_of(value: float) -> int:
    """The class 1..5 nearest to a value in -1..1; halves go up, so that the answer is the same on every machine."""
    return int(min(1.0, max(-1.0, value)) * 2 + 3.5)


def _folders(root: Path) -> list[str]:
    """Names of the folders of pages, in the form in which titles are compared."""
    pages = root / "page_images"
    found = sorted(f.name for f in pages.iterdir() if f.is_dir() and f.name[0] != ".") if pages.is_dir() else []
    return [same_name(name) for name in found]


def _read_tables(annotations: Path, problems: Problems) -> dict[str, _Title]:
    titles: dict[str, _Title] = {}
    columns: tuple[str, ...] = ("Document Name", "Page Number", "Region Vertices", "Annotation Notes")
    for number, row in read_rows(annotations / "panels.csv", columns):
        found = _place(titles, row, "Page Number", f"panels.csv row {number}", problems)
        if found is not None:
            title, page = found
            title.directory = title.directory or row.get("Document Directory", "")
            title.panels.setdefault(page, []).append(_Row(row["Region Vertices"], row["Annotation Notes"]))
    if (annotations / "characters.csv").is_file():
        columns = ("Document Name", "Region Page", "Region Vertices", "Relation ID", "Region ID")
        for number, row in read_rows(annotations / "characters.csv", columns):
            found = _place(titles, row, "Region Page", f"characters.csv row {number}", problems)
            if found is not None:
                identity, region = identifier(row["Relation ID"]), identifier(row["Region ID"])
                found[0].characters.setdefault(found[1], []).append(
                    _Row(row["Region Vertices"], identity=identity, region=region)
                )
    if (annotations / "emotions.csv").is_file():
        columns = ("Document Name", "Region ID", "Taxonomy Path", "Annotation Notes")
        for number, row in read_rows(annotations / "emotions.csv", columns):
            named = titles.get(_title_of(row))
            region = identifier(row["Region ID"])
            if named is None or not region:
                problems.add("emotions.csv", f"row {number} names no comic or region that is annotated")
                continue
            _note_emotion(named, region, row, number)
    return titles


def _title_of(row: dict[str, str]) -> str:
    return same_name(row["Document Name"])


def _place(
    titles: dict[str, _Title], row: dict[str, str], column: str, where: str, problems: Problems
) -> tuple[_Title, int] | None:
    name, page = _title_of(row), integer_of(row[column])
    if not name or page is None or page < 0:
        what = "Document Name" if not name else column
        problems.add(where, f"{what} is {row[what][:40]!r}; the row is left out")
        return None
    return titles.setdefault(name, _Title()), page


def _note_emotion(title: _Title, region: str, row: dict[str, str], number: int) -> None:
    """Keep the first valence and the first arousal of a region."""
    said = title.emotions.setdefault(region, {})
    path = row["Taxonomy Path"]
    where = f"emotions.csv row {number}"
    if "valence" in path.casefold():
        if valence_class(path) is None:
            title.problems.add(where, f"{path[-40:]!r} is no class of valence")
        elif valence_class(said.setdefault("valence", path)) != valence_class(path):
            title.problems.add(where, f"region {region[:20]} has two valences; the first counts")
    elif "arousal" in path.casefold():
        if integer_of(row["Annotation Notes"]) is None:
            title.problems.add(where, f"arousal is {row['Annotation Notes'][:20]!r}")
        elif integer_of(said.setdefault("arousal", row["Annotation Notes"])) != integer_of(row["Annotation Notes"]):
            title.problems.add(where, f"region {region[:20]} has two arousals; the first counts")
    else:
        title.problems.add("emotions.csv", f"{path[-40:]!r} is neither valence nor arousal; it is left out")


def _facts(annotations: Path, names: dict[str, str], titles: dict[str, _Title]) -> dict[str, dict[str, Any]]:
    """Facts of each comic: its title, and its line of metadata.csv under the column names there."""
    facts: dict[str, dict[str, Any]] = {name: {"title": title} for title, name in names.items() if title != name}
    if not (annotations / "metadata.csv").is_file():
        return facts
    rows = {
        row["Document Directory"]: row for _, row in read_rows(annotations / "metadata.csv", ["Document Directory"])
    }
    for title, name in names.items():
        row = rows.get(titles[title].directory or title, {})
        kept = {_FACTS.get(key, key): value for key, value in row.items() if value and key != "Document Directory"}
        if kept:
            facts[name] = {**facts.get(name, {}), **kept}
    return facts


def _build(comic: str, name: str, title: _Title, finder: PictureFinder) -> ComicPages:
    folder = finder.folder("page_images", name) or finder.folder("page_images", comic)
    files: dict[int, str] = {}
    for file in finder.files(folder) if folder else []:
        if matched := _PAGE_FILE.match(file):
            files.setdefault(int(matched.group(1)), file)
    drafts = []
    for page in sorted({*title.panels, *title.characters, *files}):
        picture = f"{folder}/{files[page]}" if page in files else f"page_images/{name}/page-{page}.jpg"
        drafts.append(_draft(comic, page, picture, title))
    built = build_pages(comic, drafts, finder)
    regions = {row.region for rows in title.characters.values() for row in rows}
    for region in sorted(set(title.emotions) - regions, key=natural_key):
        built.problems.append(Problem(comic, f"emotions.csv: no character has the region {region[:40]!r}"))
    built.problems += [Problem(comic, f"{p.key}: {p.message}") for p in title.problems.found()]
    return built


def _draft(comic: str, page: int, picture: str, title: _Title) -> Draft:
    unread = Problems()
    panels = _regions(title.panels.get(page, []), f"{comic}/{page}", "panel", unread)
    characters = _regions(title.characters.get(page, []), f"{comic}/{page}", "character", unread)

    def fill(record: PageRecord, problems: Problems) -> None:
        problems.take(unread)
        number_panels(record, _rough(record, panels, problems), problems, keep_numbers=True)
        for row, points in characters:
            _add_character(record, row, points, title.emotions.get(row.region, {}), problems)

    boxes: list[FloatBox] = [bounds(points) for _, points in panels + characters]
    return Draft(page, picture, fill, None, extent(boxes))


def _regions(rows: list[_Row], item: str, kind: str, problems: Problems) -> list[tuple[_Row, Points]]:
    out = []
    for row in rows:
        try:
            out.append((row, parse_vertices(row.vertices)))
        except ValueError as error:
            problems.add(item, f"a {kind} is left out: {error}")
    return out


def _rough(record: PageRecord, panels: list[tuple[_Row, Points]], problems: Problems) -> list[RoughPanel]:
    """Panels with their number in the reading order; those without a usable one come last, in their order."""
    taken: set[int] = set()
    rough = []
    for row, points in panels:
        number = integer_of(row.note)
        if number is None or number < 1 or number in taken:
            problems.add(record.id, f"a panel comes last, for its number is {row.note[:20]!r}")
            number = None
        else:
            taken.add(number)
        rough.append(RoughPanel(points, number, outlined=len(points) > 2))
    following = max(taken, default=0)
    for panel in rough:
        if panel.order is None:
            following += 1
            panel.order = following
    return rough


def _add_character(record: PageRecord, row: _Row, points: Points, emotion: dict[str, str], problems: Problems) -> None:
    box = place(bounds(points), record)
    if box is None:
        problems.add(record.id, "a character lies outside the page or has no area")
        return
    person = Character(len(record.characters) + 1, box, identity=row.identity or None)
    valence = valence_class(emotion.get("valence", ""))
    if valence is not None:
        person.valence = on_unit_scale(valence)
    arousal = integer_of(emotion.get("arousal", ""))
    if arousal is not None and 1 <= arousal <= SCALE:
        person.arousal = on_unit_scale(arousal)
    elif arousal is not None:
        problems.add(record.id, f"arousal {arousal} is outside 1..{SCALE}; it is kept as it is")
        person.extra["arousal_note"] = arousal
    record.characters.append(person)
