"""Characters as pictures of their own, cut from the page, with their index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from comictool.core.errors import UsageError
from comictool.core.files import remove_left
from comictool.core.jobs import JobOptions, JobReport
from comictool.core.names import natural_key
from comictool.core.progress import Progress
from comictool.corpus.assignment import MIN_OVERLAP, assign_panel
from comictool.corpus.crop_names import crop_key, identity_part, number_copies
from comictool.corpus.records import Box, Character, PageRecord, Panel, clamp_box
from comictool.corpus.views import CorpusView
from comictool.datasets.exporting.crops import Crop, CropOptions, CutPage
from comictool.datasets.exporting.emotions import emotion_of
from comictool.datasets.exporting.export import PagePlan, export_pages, finished_pages, page_crops
from comictool.datasets.exporting.indexing import CharacterRow, crops_file, index_file, write_index

FOLDERS = {"characters": "character_images", "faces": "face_images", "bodies": "body_images"}


@dataclass(frozen=True)
class CharacterOptions:
    """What is cut, and how.

    Attributes:
        part: `characters` (their box), `faces` or `bodies` (where the record has one).
        min_overlap: least share of a character's area in its panel, 0..1.
        scale: enlarges each box about its centre.
        square: makes it a square with `scale` x its longer side; what lies beyond the page is white.
        unidentified: also cut characters that nobody has named; they stand in the crop list, not in the index.
    """

    part: str = "characters"
    min_overlap: float = MIN_OVERLAP
    scale: float = 1.0
    square: bool = False
    unidentified: bool = False
    crops: CropOptions = field(default_factory=CropOptions)

    def __post_init__(self) -> None:
        if self.part not in FOLDERS:
            raise UsageError(f"part {self.part!r} is none of {', '.join(FOLDERS)}")
        if not 0 < self.min_overlap <= 1:
            raise UsageError(f"least overlap {self.min_overlap}: it is above 0 and at most 1")
        if not 0.1 <= self.scale <= 10:
            raise UsageError(f"scale {self.scale}: it goes from 0.1 to 10")


@dataclass(frozen=True)
class _Placed:
    """A character with the panel it stands in and the box to cut."""

    character: Character
    panel: Panel
    box: Box


def job_name(part: str) -> str:
    """The name of the export job of a part, which names its ledger."""
    return f"export {part}"


def export_characters(
    view: CorpusView,
    *,
    output: Path | None = None,
    characters: CharacterOptions | None = None,
    options: JobOptions | None = None,
    progress: Progress | None = None,
) -> JobReport:
    """Cut every character into `character_images/<comic>/<page>_<panel>_<identity>.jpg` and write the index.

    Characters are cut from the page itself. One that stands across panels belongs to the panel that contains most of
    it, the innermost where panels are nested; a record that names the panel is believed. The same identity twice in a
    panel makes two files (the second ends in `.2.jpg`) and two rows. Characters without a panel or without an identity
    are named in the report.

    Args:
        output: where folder and index go; the corpus itself by default.

    Returns:
        `totals["characters"]` counts the crops of all finished pages.

    Raises:
        InputError: the corpus holds no comics, or a name that cannot be a folder.
        Stopped: after a signal.
    """
    root = output or view.root
    chosen = characters or CharacterOptions()
    name = job_name(chosen.part)
    report, plans = export_pages(
        view,
        name,
        lambda record, problems: plan_page(view, record, problems, chosen),
        root / FOLDERS[chosen.part],
        describe=_describe,
        settings=asdict(chosen),
        options=options,
        progress=progress,
    )
    if options is None or not options.dry_run:
        rows, frequency = _all_rows(name, plans, root)
        if options is None or options.shard == (1, 1):  # other shards may be writing theirs just now
            remove_left(index_file(root, chosen.part))
            remove_left(crops_file(root, chosen.part))
        write_index(root, chosen.part, rows, frequency, FOLDERS[chosen.part])
    return report


def plan_page(view: CorpusView, record: PageRecord, problems: list[str], chosen: CharacterOptions) -> PagePlan:
    """The characters of a page as crops, by panel; what is wrong with them is added to `problems`."""
    crops, facts = character_crops(record, problems, chosen)
    order = page_crops(view, record, crops, chosen.crops, scale=chosen.scale, square=chosen.square)
    return PagePlan(record.comic, record.page, order, tuple(problems), facts)


def character_crops(
    record: PageRecord, problems: list[str], chosen: CharacterOptions
) -> tuple[list[Crop], list[list[Any]]]:
    """What is cut of a page for its characters, and the facts of each crop; what is wrong is added to `problems`."""
    placed, nameless = [], 0
    for character in sorted(record.characters, key=lambda character: character.id):
        box = _part_box(character, chosen.part)
        if box is None:
            continue
        if not (character.identity or "").strip() and not chosen.unidentified:
            nameless += 1
            continue
        panel = _panel_of(character, record, chosen.min_overlap)
        if panel is None:
            label = character.identity or f"character {character.id}"
            problems.append(f"{label}: no panel holds {chosen.min_overlap:.0%} of it")
            continue
        placed.append(_Placed(character, panel, box))
    if nameless:
        problems.append(f"{nameless} characters without an identity are left out")
    placed.sort(key=_order)
    suffix = chosen.crops.suffix
    stems = number_copies(f"{record.page}_{p.panel.id}_{_name_part(p.character)}" for p in placed)
    crops = [
        Crop(stem + suffix, p.box, p.character.identity or f"character {p.character.id}")
        for stem, p in zip(stems, placed, strict=True)
    ]
    facts = []
    for crop, p in zip(crops, placed, strict=True):
        emotion = emotion_of(p.character)
        identity = (p.character.identity or "").strip()
        facts.append(
            [
                crop.name,
                p.panel.id,
                identity,
                p.character.id,
                p.character.score,
                p.panel.box,
                emotion.valence,
                emotion.arousal,
            ]
        )
    return crops, facts


def _order(placed: _Placed) -> tuple[Any, ...]:
    character = placed.character
    return (placed.panel.id, natural_key(_name_part(character)), character.id)


def _name_part(character: Character) -> str:
    identity = (character.identity or "").strip()
    return identity_part(identity) if identity else f"unknown-{character.id}"


def _part_box(character: Character, part: str) -> Box | None:
    if part == "faces":
        return character.face
    return character.body if part == "bodies" else character.box


def _panel_of(character: Character, record: PageRecord, min_overlap: float) -> Panel | None:
    for panel in record.panels:
        if panel.id == character.panel:
            return panel
    return assign_panel(character.box, record.panels, min_overlap)


def _describe(plan: PagePlan, cut: CutPage) -> dict[str, Any]:
    rows = []
    for name, panel, identity, character_id, score, panel_box, valence, arousal in plan.facts:
        box = cut.boxes.get(name)
        if box is None:
            continue
        corner = clamp_box(panel_box, *cut.size) or panel_box
        x, y = corner[0], corner[1]
        relative = (box[0] - x, box[1] - y, box[2] - x, box[3] - y)
        row = CharacterRow(
            name, plan.comic, plan.page, panel, identity, character_id, score, relative, box, valence, arousal
        )
        rows.append(row.to_facts())
    return {"characters": len(rows), "rows": rows}


def _all_rows(name: str, plans: list[PagePlan], root: Path) -> tuple[Iterator[CharacterRow], Counter[str]]:
    entries = finished_pages(name, plans, root)

    def rows() -> Iterator[CharacterRow]:
        for plan in plans:
            entry = entries.get(f"{plan.comic}/{plan.page}")
            found = (
                [CharacterRow.from_facts(plan.comic, plan.page, facts) for facts in entry.summary["rows"]]
                if entry
                else []
            )
            yield from sorted(found, key=lambda row: (not row.identity, crop_key(row.file)))

    return rows(), Counter(row.character for row in rows() if row.identity)
