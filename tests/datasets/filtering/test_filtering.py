"""Filters: index, crops, split folders and packs lose the same characters."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from comictool.core.errors import InputError, UsageError
from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import Box, PageRecord, Panel, Text
from comictool.datasets.exporting.characters import export_characters
from comictool.datasets.exporting.panels import export_panels
from comictool.datasets.filtering.aligned import aligned_pages
from comictool.datasets.filtering.identities import filter_characters
from comictool.datasets.filtering.instances import Instance, InstanceRules, filter_instances, instance_verdict
from comictool.datasets.packs.packing import pack_corpus
from comictool.datasets.packs.reading import Pack
from comictool.datasets.splitting.split import SplitOptions, split_dataset
from tests.formats import mast_fixture as fixture
from tests.formats.mast_fixture import ACCENTED, PLAIN, QUOTED, SPACED


@pytest.fixture(params=["symlink", "copy"])
def packed(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    root = fixture.write_mast(tmp_path / "corpus")
    view = fixture.open_fixture(root)
    export_panels(view)
    export_characters(view)
    split_dataset(view, split=SplitOptions(ratios=(0.5, 0.3, 0.2), link=request.param))
    pack_corpus(root, options=JobOptions(jobs=1))
    return root


def rows(root: Path, name: str) -> list[dict[str, str]]:
    with open(root / "annotations" / name, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def packed_names(root: Path) -> set[tuple[str, str]]:
    return {entry for file in root.glob("processed/characters/*.hdf5") for entry in Pack(file).entries()}


def crop_names(root: Path, pattern: str) -> set[tuple[str, str]]:
    return {(f.parent.name, f.name.split(".")[0]) for f in root.glob(pattern) if f.is_file()}


def test_rare_identities_go_everywhere(packed: Path) -> None:
    panels_before = {f.name: f.read_bytes() for f in packed.glob("processed/panels/*.hdf5")}
    counts = Counter(row["character"] for row in rows(packed, "characters_indexing.csv"))
    report = filter_characters(packed, min_frequency=2)
    stay = {character for character, count in counts.items() if count >= 2}
    assert stay == {f"{PLAIN}_7", f"{SPACED}_1", f"{QUOTED}_3", f"{ACCENTED}_5"}
    index = rows(packed, "characters_indexing.csv")
    assert {row["character"] for row in index} == stay
    assert all(int(row["character_frequency"]) == counts[row["character"]] for row in index)
    expected = {(row["document"], f"{row['panel']}_{row['character'].rpartition('_')[2]}") for row in index}
    assert crop_names(packed, "character_images/*/*") == expected
    assert crop_names(packed, "processed/characters/*_images/*/*") == expected
    assert packed_names(packed) == expected
    assert len(rows(packed, "characters_crops.csv")) == len(index) == report.kept == 9
    assert (report.removed, report.reasons["rare"]) == (4, 4)
    assert report.identities == {character: 1 for character, count in counts.items() if count == 1}
    assert {f.name: f.read_bytes() for f in packed.glob("processed/panels/*.hdf5")} == panels_before
    again = filter_characters(packed, min_frequency=2)
    assert (again.kept, again.removed) == (9, 0)


def test_everything_comes_back_with_the_next_export(packed: Path) -> None:
    before = {name: content for name, content in fixture.contents(packed).items() if "hdf5" not in name}
    filter_characters(packed, min_frequency=25)
    assert not rows(packed, "characters_indexing.csv")
    assert not packed_names(packed)
    export_characters(fixture.open_fixture(packed))
    pack_corpus(packed, options=JobOptions(jobs=1))
    assert {name: content for name, content in fixture.contents(packed).items() if "hdf5" not in name} == before
    assert packed_names(packed) == crop_names(packed, "character_images/*/*")


def test_count_in_another_index_and_dry_run(packed: Path, tmp_path: Path) -> None:
    before = fixture.contents(packed)
    merged = tmp_path / "merged.csv"
    merged.write_text("character\n" + f"{PLAIN}_7\n" * 30, "utf-8")
    report = filter_characters(packed, indexing=merged, dry_run=True)
    assert (report.kept, report.removed) == (3, 10)
    assert fixture.contents(packed) == before
    bad = tmp_path / "bad.csv"
    bad.write_text("name\nx\n")
    with pytest.raises(InputError, match="no column"):
        filter_characters(packed, indexing=bad)
    with pytest.raises(UsageError):
        filter_characters(packed, min_frequency=0)
    with pytest.raises(InputError, match="has no characters_crops"):
        filter_characters(tmp_path)


def test_a_pack_without_its_folder_stops_before_anything_changes(packed: Path) -> None:
    folder = next(f for f in packed.glob("processed/characters/*_images") if f.is_dir())
    folder.rename(folder.with_name("elsewhere"))
    before = fixture.contents(packed)
    with pytest.raises(InputError, match="cannot be written anew"):
        filter_characters(packed)
    assert fixture.contents(packed) == before


def test_instances_in_a_corpus(packed: Path) -> None:
    report = filter_instances(packed, rules=InstanceRules(min_size=35))
    # 34 pixels wide over the border; 30 wide; two of 30 x 40; the one in a panel of the grid of 25
    assert report.reasons == {"size": 5}
    assert packed_names(packed) == crop_names(packed, "character_images/*/*")
    assert len(rows(packed, "characters_indexing.csv")) == report.kept == 8


def overlap_by_pixels(box: Box, other: Box) -> float:
    """Share of a box under another, counted pixel by pixel."""
    canvas = np.zeros((120, 120), np.int32)
    canvas[box[1] : box[3], box[0] : box[2]] += 1
    canvas[other[1] : other[3], other[0] : other[2]] += 2
    return float((canvas == 3).sum() / ((canvas == 1) | (canvas == 3)).sum())


def test_published_rules_against_counting_pixels() -> None:
    generator = np.random.default_rng(1)
    rules = InstanceRules()
    seen: Counter[str] = Counter()
    for _ in range(400):
        instances = []
        for _ in range(3):
            x, y = generator.integers(0, 60, 2).tolist()
            w, h = generator.integers(20, 60, 2).tolist()
            instances.append(Instance((x, y, x + w, y + h), float(generator.choice([0.94, 0.95, 0.99]))))
        for place, one in enumerate(instances):
            others = instances[:place] + instances[place + 1 :]
            x0, y0, x1, y1 = one.box
            stays = (
                one.score >= 0.95
                and x1 - x0 >= 32
                and y1 - y0 >= 32
                and all(overlap_by_pixels(one.box, other.box) <= 0.20 for other in others)
            )
            verdict = instance_verdict(one, others, rules)
            assert (verdict == "") is stays
            seen[verdict] += 1
    assert set(seen) == {"", "score", "size", "overlap"}
    with pytest.raises(UsageError):
        InstanceRules(min_score=1.5)


def test_aligned_pages(tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path / "c")
    left, right = Panel(1, (0, 0, 50, 100)), Panel(2, (50, 0, 100, 100))

    def page(number: int, texts: list[Text], **extra: object) -> PageRecord:
        return PageRecord("one", number, "x", 100, 100, panels=[left, right], texts=texts, extra=dict(extra))

    good = [Text(1, "a", panel=1, box=(5, 5, 60, 10)), Text(2, "b", panel=2)]
    corpus.write_pages(
        "one",
        [
            page(1, good),
            page(2, good, text_panels=2),
            page(3, good, text_panels=3),
            page(4, []),
            page(5, [Text(1, "a", panel=7)]),
            page(6, [Text(1, "a", panel=1, box=(60, 5, 90, 10))]),
            PageRecord("one", 7, "x", 100, 100, texts=good),
            page(8, [Text(1, "a")]),
        ],
    )
    report = aligned_pages(corpus)
    assert report.aligned == ["one/1", "one/2"]
    assert report.others == {
        "one/3": "2 panel boxes, texts of 3 panels",
        "one/4": "no texts",
        "one/5": "1 texts belong to no panel of the page",
        "one/6": "1 texts lie outside their panel",
        "one/7": "no panels",
        "one/8": "1 texts belong to no panel of the page",
    }


def test_hostile_crop_list_touches_nothing_outside(packed: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim.jpg"
    victim.write_bytes(b"mine")
    file = packed / "annotations" / "characters_crops.csv"
    text = file.read_text("utf-8")
    first = text.splitlines()[1].split(",")[0]
    file.write_text(text.replace(first, "character_images/../../victim.jpg", 1), "utf-8")
    with pytest.raises(InputError, match="no path inside"):
        filter_characters(packed, min_frequency=25)
    assert victim.read_bytes() == b"mine"
    assert json.loads((packed / "splits.json").read_text("utf-8"))["by"] == "comic"
