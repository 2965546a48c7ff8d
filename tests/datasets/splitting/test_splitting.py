"""Splits: the same everywhere, nothing on two sides, nothing empty."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comictool.core.errors import InputError, UsageError
from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import PageRecord, Panel
from comictool.datasets.exporting.characters import export_characters
from comictool.datasets.exporting.panels import export_panels
from comictool.datasets.splitting.folders import SPLITS, read_manifest
from comictool.datasets.splitting.split import SplitOptions, Unit, assign, decide, split_dataset
from tests.formats import mast_fixture as fixture
from tests.formats.mast_fixture import ACCENTED, ALIKE_A, ALIKE_B, PLAIN, QUOTED, SPACED


def corpus_of(root: Path, comics: dict[str, int], facts: dict[str, dict[str, str]] | None = None) -> Corpus:
    """A corpus of comics with so many pages; no pictures."""
    corpus = Corpus.create(root)
    for comic, pages in comics.items():
        records = [PageRecord(comic, n, "x.jpg", 9, 9, panels=[Panel(1, (0, 0, 5, 5))]) for n in range(1, pages + 1)]
        corpus.write_pages(comic, records)
        corpus.write_comic_facts(comic, dict((facts or {}).get(comic, {})))
    return corpus


def sides(manifest: dict[str, object]) -> dict[str, str]:
    splits = manifest["splits"]
    assert isinstance(splits, dict)
    return {member: name for name in SPLITS for member in splits[name]}


def test_ratios_seed_and_order_of_directories(tmp_path: Path) -> None:
    names = [f"comic {n}" for n in range(40)]
    first = decide(corpus_of(tmp_path / "a", dict.fromkeys(names, 1)), SplitOptions(seed=5))[0]
    other = decide(corpus_of(tmp_path / "b", dict.fromkeys(reversed(names), 1)), SplitOptions(seed=5))[0]
    assert first == other
    assert Counter(sides(first).values()) == {"train": 32, "val": 4, "test": 4}
    assert sides(first) != sides(decide(corpus_of(tmp_path / "c", dict.fromkeys(names, 1)), SplitOptions(seed=6))[0])


def test_known_draw(tmp_path: Path) -> None:
    # Fixed for good: published splits must stay reproducible with later versions.
    manifest = decide(corpus_of(tmp_path, dict.fromkeys("abcdefghij", 1)), SplitOptions(seed=0))[0]
    assert manifest["splits"] == {"train": list("abdefghj"), "val": ["i"], "test": ["c"]}


def test_series_stay_together(tmp_path: Path) -> None:
    facts = {f"c{n}": {"series": f"s{n % 5}"} for n in range(20)}
    corpus = corpus_of(tmp_path, dict.fromkeys(facts, 1), facts)
    found = sides(decide(corpus, SplitOptions(by="series", ratios=(0.6, 0.2, 0.2)))[0])
    for number in range(5):
        assert len({found[comic] for comic, fact in facts.items() if fact["series"] == f"s{number}"}) == 1
    assert Counter(found.values()) == {"train": 12, "val": 4, "test": 4}


def test_duplicates_stay_on_one_side_in_every_seed(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path, dict.fromkeys((f"c{n}" for n in range(20)), 3))
    groups = (("c1", "c7"), ("c7", "c13"), ("c2", "c3"))
    for seed in range(20):
        for by in ("comic", "page"):
            found = sides(decide(corpus, SplitOptions(seed=seed, groups=groups, by=by))[0])
            pages = {comic: {side for m, side in found.items() if m.split("/")[0] == comic} for comic in ("c1", "c2")}
            assert len({found.get(c) or found[f"{c}/1"] for c in ("c1", "c7", "c13")}) == 1
            assert len({found.get(c) or found[f"{c}/2"] for c in ("c2", "c3")}) == 1
            assert all(len(one) == 1 for one in pages.values())
    with pytest.raises(InputError, match="nobody"):
        decide(corpus, SplitOptions(groups=(("c1", "nobody"),)))


def test_stratified_by_a_column(tmp_path: Path) -> None:
    facts = {f"c{n:03}": {"Global Region": "Asia" if n < 30 else "Europe"} for n in range(100)}
    corpus = corpus_of(tmp_path, dict.fromkeys(facts, 1), facts)
    found = sides(decide(corpus, SplitOptions(stratify="global region", seed=1))[0])
    for region, total in (("Asia", 30), ("Europe", 70)):
        counts = Counter(found[comic] for comic, fact in facts.items() if fact["Global Region"] == region)
        for split, share in zip(SPLITS, (0.8, 0.1, 0.1), strict=True):
            assert abs(counts[split] - share * total) <= 1
    with pytest.raises(InputError, match=r"no comic of .* has a column 'Region'"):
        decide(corpus, SplitOptions(stratify="Region"))


def test_many_strata_of_one_comic_leave_no_split_empty(tmp_path: Path) -> None:
    facts = {f"c{n}": {"kind": f"k{n}"} for n in range(10)}
    found = sides(decide(corpus_of(tmp_path, dict.fromkeys(facts, 1), facts), SplitOptions(stratify="kind"))[0])
    assert Counter(found.values()) == {"train": 8, "val": 1, "test": 1}


@pytest.mark.parametrize(("comics", "expected"), [(3, [1, 1, 1]), (4, [2, 1, 1]), (5, [3, 1, 1]), (7, [5, 1, 1])])
def test_tiny_corpora_have_no_empty_split(tmp_path: Path, comics: int, expected: list[int]) -> None:
    manifest, notices = decide(corpus_of(tmp_path, dict.fromkeys("abcdefg"[:comics], 1)), SplitOptions())
    assert [len(manifest["splits"][name]) for name in SPLITS] == expected
    assert not notices


def test_one_comic_is_split_by_page_and_says_so(tmp_path: Path) -> None:
    manifest, notices = decide(corpus_of(tmp_path, {"only": 10}), SplitOptions())
    assert (manifest["by"], manifest["asked_by"]) == ("page", "comic")
    assert [len(manifest["splits"][name]) for name in SPLITS] == [8, 1, 1]
    assert notices == ["only 1 comic for 3 splits: split by page instead"]
    manifest, notices = decide(corpus_of(tmp_path / "two", {"only": 2}), SplitOptions())
    assert [len(manifest["splits"][name]) for name in SPLITS] == [1, 1, 0]
    assert "stay empty" in notices[-1]
    both = corpus_of(tmp_path / "both", {"a": 5, "b": 5})
    with pytest.raises(InputError, match="independent"):
        decide(both, SplitOptions(groups=(("a", "b"),)))


@given(st.lists(st.integers(1, 6), min_size=1, max_size=30), st.integers(0, 99))
def test_assignment_is_a_partition_without_empty_sides(weights: Sequence[int], seed: int) -> None:
    units = [Unit(f"u{n}", [f"{n}/{m}" for m in range(weight)]) for n, weight in enumerate(weights)]
    placed = assign(units, (0.8, 0.1, 0.1), seed)
    everyone = [member for members in placed.values() for member in members]
    assert sorted(everyone) == sorted(member for unit in units for member in unit.members)
    assert sum(not members for members in placed.values()) == max(0, 3 - len(units))
    for unit in units:
        assert sum(unit.members[0] in members for members in placed.values()) == 1


def test_folders_follow_the_manifest_on_both_levels(tmp_path: Path) -> None:
    root = fixture.write_mast(tmp_path / "corpus")
    view = fixture.open_fixture(root)
    export_panels(view)
    export_characters(view)
    report = split_dataset(view, split=SplitOptions(ratios=(0.5, 0.3, 0.2)))
    assert report.job.failed == 0
    for level, source in (("panels", "panel_images"), ("characters", "character_images")):
        for split, comics in report.manifest["splits"].items():
            folder = root / "processed" / level / f"{split}_images"
            assert sorted(f.name for f in folder.iterdir()) == sorted(comics)
            for comic in comics:
                assert {f.name for f in (folder / comic).iterdir()} == {
                    f.name for f in (root / source / comic).iterdir()
                }
    again = fixture.contents(root)
    split_dataset(view, split=SplitOptions(ratios=(0.5, 0.3, 0.2)))
    assert fixture.contents(root) == again


@pytest.mark.parametrize("link", ["symlink", "hardlink", "copy"])
@pytest.mark.parametrize("by", ["comic", "page"])
def test_links_copies_and_a_change_of_mind(tmp_path: Path, link: str, by: str) -> None:
    root = fixture.write_mast(tmp_path / "corpus", [PLAIN, SPACED, QUOTED, ACCENTED])
    view = fixture.open_fixture(root)
    export_panels(view)
    (root / "panel_images" / PLAIN / "1_1.csv").write_text("a,b\n")
    names = {(c, f.name) for c in view.comics() for f in (root / "panel_images" / c).iterdir()}
    for seed in (0, 1, 2):
        split_dataset(view, split=SplitOptions(link=link, by=by, seed=seed, level="panels", ratios=(0.4, 0.3, 0.3)))
        found = [
            (file.parent.name, file.name)
            for split in SPLITS
            for comic in (root / "processed" / "panels" / f"{split}_images").iterdir()
            for file in comic.iterdir()
        ]
        assert sorted(found) == sorted(names), "each crop is in exactly one split"
    copied = next((root / "processed").glob("panels/*_images/*/1_1.jpg"))
    source = root / "panel_images" / copied.parent.name / copied.name
    assert copied.read_bytes() == source.read_bytes()
    assert copied.samefile(source) is (link != "copy")
    assert not (root / "processed" / "characters").exists()


def test_level_added_later_uses_the_same_manifest(tmp_path: Path) -> None:
    root = fixture.write_mast(tmp_path / "corpus")
    view = fixture.open_fixture(root)
    first = split_dataset(view, split=SplitOptions(level="panels")).manifest
    second = split_dataset(view, split=SplitOptions(level="characters")).manifest
    assert first["splits"] == second["splits"]
    assert second["levels"] == ["panels", "characters"]


def test_by_series_of_metadata(tmp_path: Path) -> None:
    root = fixture.write_mast(tmp_path / "corpus")
    for seed in range(5):
        manifest = decide(fixture.open_fixture(root), SplitOptions(by="series", seed=seed))[0]
        found = sides(manifest)
        assert found[ALIKE_A] == found[ALIKE_B]


def test_what_others_put_there_is_not_touched(tmp_path: Path) -> None:
    root = fixture.write_mast(tmp_path / "corpus", [PLAIN, SPACED, QUOTED])
    view = fixture.open_fixture(root)
    export_panels(view)
    mine = root / "processed" / "panels" / "train_images" / "mine"
    mine.mkdir(parents=True)
    split_dataset(view)
    split_dataset(view, split=SplitOptions(seed=9))
    assert mine.is_dir()
    comic = read_manifest(root)["splits"]["val"][0]  # type: ignore[index]
    link = root / "processed" / "panels" / "val_images" / comic
    link.unlink()
    link.mkdir()
    (link / "1_1.jpg").write_bytes(b"mine")
    report = split_dataset(view, split=SplitOptions(seed=9)).job
    assert report.failed == 1
    assert "not made by a split" in report.problems[0].message
    assert (link / "1_1.jpg").read_bytes() == b"mine"


def test_dry_run_and_damage(tmp_path: Path) -> None:
    root = fixture.write_mast(tmp_path / "corpus")
    view = fixture.open_fixture(root)
    report = split_dataset(view, options=JobOptions(dry_run=True))
    assert sum(report.sizes.values()) == 7
    assert not (root / "splits.json").exists()
    (root / "splits.json").write_text(json.dumps({"splits": {}}))
    with pytest.raises(InputError, match=r"splits\.train is missing"):
        read_manifest(root)
    for make in (
        lambda: SplitOptions(ratios=(0, 1, 0)),
        lambda: SplitOptions(ratios=(1, -1, 0)),
        lambda: SplitOptions(by="book"),
        lambda: SplitOptions(level="pages"),
        lambda: SplitOptions(link="move"),
    ):
        with pytest.raises(UsageError):
            make()
    with pytest.raises(InputError, match="no page with panels"):
        decide(Corpus.create(tmp_path / "empty"), SplitOptions())
