"""Comic sequences: character instances in panels, and who is who within sequences of panels.

```
merged_face_body.csv      series_id, page_id (<page>_<panel>), type (face|body), index, char_index, x_0, y_0, x1, y_1
*_sequences.json          [{seq_id: "<panel>+<panel>+...", annotations: [{charId, charInstances: [{face, body}]}]}]
*_char_faces.json, *_char_bodies.json   {"<character>": ["<instance>", ...]}
panel_boxes.csv           ours: series_id, page_id, x_0, y_0, x1, y_1, order, width, height, picture
series.csv                ours: series_id, name
```
Boxes are in pixels of the panel picture. An instance reads `<series>_<page>_<panel>_<face|body>_<index>`. The files of
the original data know no pages, only cut-out panels: there every panel picture opens as a page of its own with one
panel, numbered page * 1000 + panel. With our panel_boxes.csv beside them, pages open as they were; panel 0 without a
box holds what stands in no panel, in pixels of the page.

A charId means something within its sequence only. Instances that sequences share join their characters; beyond that two
ids may still be the same person, unless the `*_char_*` files say who they are in the whole series.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from comictool.core.errors import InputError
from comictool.corpus.records import Box, Character, PageRecord
from comictool.formats.boxes import FloatBox, extent, place
from comictool.formats.drafts import Draft, RoughPanel, build_pages, checked_size, number_panels
from comictool.formats.pictures import PictureFinder, comic_names, free_title
from comictool.formats.sequence_identities import read_identities
from comictool.formats.values import header_of, integer_of, number_of, read_rows, share_of
from comictool.formats.view import ComicPages, ForeignCorpus, Problems

NAME = "comic-sequence"
INSTANCES, PANELS, SERIES = "merged_face_body.csv", "panel_boxes.csv", "series.csv"
PANELS_A_PAGE = 1000  # in the numbers of panel pictures that open as pages
CORNERS = ("x_0", "y_0", "x1", "y_1")  # the irregular name is that of the published file


@dataclass
class BoxedInstance:
    """A face or a body in a panel, its box in panel pixels."""

    kind: str
    index: int
    person: int
    box: FloatBox
    score: float
    name: str


@dataclass
class Cut:
    """A panel: where it lies on its page if that is known, and the instances in it."""

    page: int
    panel: int
    box: FloatBox | None = None
    order: int | None = None
    score: float = 1.0
    size: tuple[int, int] | None = None
    picture: str = ""
    instances: list[BoxedInstance] = field(default_factory=list)


def detect(folder: Path) -> bool:
    """Whether there is a merged_face_body.csv, or a CSV file with its columns."""
    return instances_file(folder) is not None


def read(source: Path, pictures: Path | None = None) -> ForeignCorpus:
    """Open comic sequences as a corpus.

    Raises:
        InputError: there is no table of instances, or a column is missing.
    """
    table = instances_file(source)
    if table is None:
        raise InputError(
            f"{source} holds no {INSTANCES}: sequences name instances, but only that table says where they are"
        )
    root = source if source.is_dir() else source.parent
    problems = Problems()
    series = read_series(table, problems)
    whole_pages = _read_panels(table.parent / PANELS, series, problems)
    said = read_identities(root, problems)
    identities, files = said.names, said.files
    titles = _titles(table.parent / SERIES, series, problems)
    names = comic_names(titles.values())
    by_name = {names[titles[key]]: (key, cuts) for key, cuts in series.items()}
    finder = PictureFinder(source, pictures)

    def build(comic: str) -> ComicPages:
        key, cuts = by_name[comic]
        make = _page_drafts if whole_pages else _panel_drafts
        return build_pages(comic, make(key, cuts, identities), finder)

    extra = [path for name in (PANELS, SERIES) if (path := table.parent / name).is_file()]
    return ForeignCorpus(
        root,
        format=NAME,
        comics=by_name,
        build=build,
        finder=finder,
        problems=problems.found(),
        annotation_files=[table, *extra, *files],
    )


def instances_file(source: Path) -> Path | None:
    if source.is_file():
        return source if source.suffix == ".csv" else instances_file(source.parent)
    found = [*source.glob(INSTANCES), *sorted(source.glob(f"*/{INSTANCES}")), *sorted(source.glob(f"*/*/{INSTANCES}"))]
    others = (f for f in sorted(source.glob("*.csv")) if {"series_id", "page_id", "char_index"} <= set(header_of(f)))
    return found[0] if found else next(others, None)


def read_series(table: Path, problems: Problems) -> dict[str, dict[tuple[int, int], Cut]]:
    series: dict[str, dict[tuple[int, int], Cut]] = {}
    seen: set[str] = set()
    for number, row in read_rows(table, ["series_id", "page_id", "type", "index", "char_index", *CORNERS]):
        where = f"{table.name} row {number}"
        key, place_, kind = series_key(row["series_id"]), _page_and_panel(row["page_id"]), _kind(row["type"])
        index, person = integer_of(row["index"]), integer_of(row["char_index"])
        corners = [number_of(row[name]) for name in CORNERS]
        if not key or place_ is None or kind is None or index is None or person is None or None in corners:
            problems.add(where, "a cell is blank or makes no sense; the row is left out")
            continue
        x0, y0, x1, y1 = (c for c in corners if c is not None)
        name = f"{key}_{place_[0]}_{place_[1]}_{kind}_{index}"
        if name in seen or x1 <= x0 or y1 <= y0:
            problems.add(where, f"{name} is there twice" if name in seen else f"{name} has no area")
            continue
        seen.add(name)
        cut = series.setdefault(key, {}).setdefault(place_, Cut(*place_))
        cut.instances.append(BoxedInstance(kind, index, person, (x0, y0, x1, y1), share_of(row.get("score")), name))
    return series


def _read_panels(path: Path, series: dict[str, dict[tuple[int, int], Cut]], problems: Problems) -> bool:
    if not path.is_file():
        return False
    for number, row in read_rows(path, ["series_id", "page_id", *CORNERS, "order", "width", "height", "picture"]):
        key, place_ = series_key(row["series_id"]), _page_and_panel(row["page_id"])
        if not key or place_ is None:
            problems.add(f"{path.name} row {number}", "it names no series or panel; the row is left out")
            continue
        cut = series.setdefault(key, {}).setdefault(place_, Cut(*place_))
        corners = [c for name in CORNERS if (c := number_of(row[name])) is not None]
        cut.box = (corners[0], corners[1], corners[2], corners[3]) if len(corners) == 4 else None
        cut.order, cut.score = integer_of(row["order"]), share_of(row.get("score"))
        cut.size = checked_size(integer_of(row["width"]), integer_of(row["height"]))
        cut.picture = row["picture"]
    return True


def series_key(text: str) -> str:
    """`1443`, also when a spreadsheet made `1443.0` of it."""
    number = integer_of(text)
    return text if number is None else str(number)


def _titles(path: Path, series: Iterable[str], problems: Problems) -> dict[str, str]:
    """The title of each series, different for each: what the table says, else its key."""
    rows = read_rows(path, ["series_id", "name"]) if path.is_file() else ()
    said = {series_key(row["series_id"]): row["name"] for _, row in rows if row["name"]}
    titles: dict[str, str] = {}
    for key in series:
        wanted = said.get(key, key)
        titles[key] = free_title(wanted, f"{wanted} ({key})", titles.values())
        if titles[key] != wanted:
            what = f"another series is called {wanted[:60]!r} too; series {key[:20]} is called {titles[key][:60]!r}"
            problems.add(path.name, what)
    return titles


def _page_and_panel(text: str) -> tuple[int, int] | None:
    page, bar, panel = text.partition("_")
    numbers = (integer_of(page), integer_of(panel))
    return (numbers[0], numbers[1]) if bar and numbers[0] is not None and numbers[1] is not None else None


def _kind(text: str) -> str | None:
    return {"face": "face", "faces": "face", "body": "body", "bodies": "body"}.get(text.casefold())


def _panel_drafts(key: str, cuts: dict[tuple[int, int], Cut], identities: dict[str, str]) -> list[Draft]:
    """Every panel picture as a page with one panel."""
    drafts = []
    for (page, panel), cut in sorted(cuts.items()):
        number = page * PANELS_A_PAGE + panel

        def fill(record: PageRecord, problems: Problems, cut: Cut = cut) -> None:
            whole = RoughPanel([(0, 0), (record.width, record.height)], 1)
            number_panels(record, [whole], problems)
            _add_characters(record, cut, (0, 0), 1, identities, problems)
            record.extra |= {"source_page": cut.page, "source_panel": cut.panel}

        reference = f"raw_panel_images/{key}/{page}_{panel}.jpg"
        size = extent([instance.box for instance in cut.instances])
        drafts.append(Draft(number if panel < PANELS_A_PAGE else None, reference, fill, None, size))
    return drafts


def _page_drafts(key: str, cuts: dict[tuple[int, int], Cut], identities: dict[str, str]) -> list[Draft]:
    """Pages as panel_boxes.csv describes them; a panel without a box there is left out with its characters."""
    pages: dict[int, list[Cut]] = {}
    for (page, _), cut in sorted(cuts.items()):
        pages.setdefault(page, []).append(cut)
    drafts = []
    for page, listed in pages.items():

        def fill(record: PageRecord, problems: Problems, listed: list[Cut] = listed) -> None:
            known = [cut for cut in listed if cut.box is not None]
            rough = [
                RoughPanel([cut.box[:2], cut.box[2:]], cut.order, cut.score) for cut in known if cut.box is not None
            ]
            for cut, number in zip(known, number_panels(record, rough, problems), strict=True):
                if cut.box is not None:
                    _add_characters(record, cut, cut.box[:2], number, identities, problems)
            for cut in listed:
                if cut.box is None and cut.panel == 0:  # of no panel, in pixels of the page
                    _add_characters(record, cut, (0, 0), None, identities, problems)
                elif cut.box is None and cut.instances:
                    problems.add(record.id, f"panel {cut.panel} has characters but no box in {PANELS}")

        size = next((cut.size for cut in listed if cut.size), None)
        picture = next((cut.picture for cut in listed if cut.picture), "")
        boxes = [cut.box for cut in listed if cut.box is not None]
        drafts.append(Draft(page, picture, fill, size, extent(boxes)))
    return drafts


def _add_characters(
    record: PageRecord,
    cut: Cut,
    corner: tuple[float, float],
    panel: int | None,
    identities: dict[str, str],
    problems: Problems,
) -> None:
    people: dict[int, Character] = {}
    for instance in sorted(cut.instances, key=lambda i: (i.person, i.kind == "face", i.index)):
        x0, y0, x1, y1 = instance.box
        box = place((x0 + corner[0], y0 + corner[1], x1 + corner[0], y1 + corner[1]), record)
        if box is None:
            problems.add(record.id, f"{instance.name} lies outside the page")
            continue
        person = people.get(instance.person)
        if person is None or getattr(person, instance.kind) is not None:
            if person is not None:
                problems.add(record.id, f"{instance.name} shares its char_index with another {instance.kind}")
            person = Character(len(record.characters) + 1, box, panel, score=instance.score)
            record.characters.append(person)
            people[instance.person] = person
        _set(person, instance, box, identities)


def _set(person: Character, instance: BoxedInstance, box: Box, identities: dict[str, str]) -> None:
    setattr(person, instance.kind, box)
    person.identity = person.identity or identities.get(instance.name)
    names = person.extra.setdefault("instances", {})
    names[instance.kind] = instance.name
