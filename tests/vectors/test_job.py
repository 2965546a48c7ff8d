"""Embedding: what is in the store, what is done again, what survives a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from comictool.core.errors import ExitCode, InputError, UsageError
from comictool.core.files import write_json
from comictool.core.images import decode_array
from comictool.core.jobs import JobOptions
from comictool.core.ledger import Ledger
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import Character
from comictool.vectors.job import default_plugin
from comictool.vectors.merge import merge_stores, missing_shards
from comictool.vectors.parts import Parts, work_folder
from comictool.vectors.pictures import whole_pixels
from comictool.vectors.reading import cut
from comictool.vectors.store import Store, read_head
from comictool.vectors.views import FEW_VIEWS, VIEWS
from tests.vectors.fakes import FakeEncoder, ask, embed_corpus, fake, make_corpus, make_page

COMICS = {"b": 5, "a 10": 3, "a 2": 40, "odd 'name' % [x]": 2}
INLINE = JobOptions(jobs=1)


def contents(root: Path) -> tuple[list, dict[str, bytes]]:
    """Everything in a store that a query can see."""
    with Store.open(root) as store:
        vectors = {
            name: column.rows.take(range(column.rows.rows)).tobytes() + column.states.tobytes()
            for name, column in store.columns.items()
        }
        return list(store.metadata.entries()), vectors


def views_of(picture: np.ndarray) -> list[np.ndarray]:
    """The windows of a page, cut one by one."""
    height, width = picture.shape[:2]
    boxes = [(a * width, b * height, c * width, d * height) for a, b, c, d in VIEWS]
    return [cut(picture, whole_pixels(box, (width, height))) for box in boxes]


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return make_corpus(tmp_path / "corpus", COMICS)


def test_rows_are_the_vectors_of_their_panels_and_views(corpus: Corpus, tmp_path: Path) -> None:
    report = embed_corpus(corpus, fake(), tmp_path / "s", options=INLINE)
    encoder = FakeEncoder("x", False)
    with Store.open(tmp_path / "s") as store:
        entries = list(store.metadata.entries())
        assert [entry.id for entry in entries[:4]] == ["a 2/1", "a 2/2", "a 2/3", "a 2/4"]  # natural order
        assert {entry.comic for entry in entries} == set(COMICS)
        panel_row = 0
        for row, entry in enumerate(entries):
            picture = decode_array(corpus.root / entry.image)
            views = encoder.embed(views_of(picture)).astype(np.float16)
            assert np.array_equal(store.columns["page/image"].vectors([row]), views)
            cuts = [picture[p.box[1] : p.box[3], p.box[0] : p.box[2]] for p in entry.panels]
            found = store.columns["panel/image"].vectors(range(panel_row, panel_row + len(cuts)))
            assert np.array_equal(found, encoder.embed(cuts).astype(np.float16))
            panel_row += len(cuts)
        assert entries[1].panels[0].text == "hello from a 2"
    assert report.totals == {"pages": 50, "panels": panel_row}
    assert not (work_folder(tmp_path / "s") / "parts").exists()


def test_a_zarr_library_sees_everything(corpus: Corpus, tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    embed_corpus(corpus, fake(), tmp_path / "s", options=INLINE)
    root = zarr.open_group(tmp_path / "s", mode="r")
    group = root[root.attrs["current"]]
    entries, _ = contents(tmp_path / "s")
    assert list(group["pages/ids"][:]) == [entry.id for entry in entries]
    ids = [f"{entry.id}/{panel.panel}" for entry in entries for panel in entry.panels]
    assert list(group["panels/ids"][:]) == ids
    offsets, page_row = group["pages/panel_offsets"][:], group["panels/page_row"][:]
    assert [int(row) for row in page_row] == [n for n in range(50) for _ in range(offsets[n], offsets[n + 1])]
    assert group["panels/box"][:].tolist() == [list(panel.box) for entry in entries for panel in entry.panels]
    page, panel = root.attrs["columns"]
    assert (page["level"], page["modality"], page["encoder_id"]) == ("page", "image", "fake@1+none+own")
    assert page["views"] == [list(view) for view in VIEWS]
    assert root[page["folder"]]["vectors"].shape == (50 * len(VIEWS), 48)
    assert root[panel["folder"]]["state"][:].tolist() == [1] * len(ids)


def test_processes_threads_and_batches_give_the_same_store(corpus: Corpus, tmp_path: Path) -> None:
    embed_corpus(corpus, fake(), tmp_path / "one", options=INLINE)
    embed_corpus(corpus, fake(), tmp_path / "two", options=JobOptions(jobs=2))
    three = JobOptions(jobs=3)
    embed_corpus(corpus, fake(needs_torch=True), tmp_path / "three", options=three, batch_size=7, views=VIEWS)
    assert contents(tmp_path / "one") == contents(tmp_path / "two") == contents(tmp_path / "three")


def test_a_heavy_encoder_gets_fewer_views_unless_told(corpus: Corpus, tmp_path: Path) -> None:
    embed_corpus(corpus, fake(needs_torch=True), tmp_path / "s", options=INLINE)
    assert read_head(tmp_path / "s").columns[0].views == FEW_VIEWS


def test_three_shards_merged_are_one_run(corpus: Corpus, tmp_path: Path) -> None:
    embed_corpus(corpus, fake(), tmp_path / "one", options=INLINE)
    parts = [tmp_path / f"part-{n}" for n in (1, 2, 3)]
    for number, part in enumerate(parts, start=1):
        embed_corpus(corpus, fake(), part, options=JobOptions(jobs=1, shard=(number, 3)))
    merge_stores([parts[2], parts[0], parts[1]], tmp_path / "merged")
    assert contents(tmp_path / "merged") == contents(tmp_path / "one")
    merge_stores([*parts, parts[0]], tmp_path / "merged")  # the same shard twice adds nothing
    assert contents(tmp_path / "merged") == contents(tmp_path / "one")
    assert embed_corpus(corpus, fake(), tmp_path / "merged", options=INLINE).failed == 0
    assert contents(tmp_path / "merged") == contents(tmp_path / "one")


def test_missing_shards_are_named(corpus: Corpus, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        part = tmp_path / f"part-{number}"
        embed_corpus(corpus, fake(), part, options=JobOptions(jobs=1, shard=(number, 3)))
    assert merge_stores([tmp_path / "part-2"], tmp_path / "m").missing == [(1, 3), (3, 3)]
    assert merge_stores([tmp_path / f"part-{n}" for n in (3, 1, 2)], tmp_path / "m").missing == []
    merge_stores([tmp_path / "part-2"], tmp_path / "m")
    embed_corpus(corpus, fake(), tmp_path / "m", options=INLINE)  # a merged store is no shard: the rest comes
    embed_corpus(corpus, fake(), tmp_path / "one", options=INLINE)
    assert contents(tmp_path / "m") == contents(tmp_path / "one")
    assert merge_stores([tmp_path / "part-1", tmp_path / "one"], tmp_path / "n").missing == []


@pytest.mark.parametrize(
    ("present", "missing"),
    [
        ([(1, 1)], []),
        ([(1, 2), (2, 2), (1, 3)], []),
        ([(1, 2), (1, 3), (3, 3)], [(2, 3)]),
        ([(4, 4), (4, 4)], [(1, 4), (2, 4), (3, 4)]),
    ],
)
def test_what_is_missing_to_a_whole(present: list[tuple[int, int]], missing: list[tuple[int, int]]) -> None:
    assert missing_shards(present) == missing


@pytest.mark.parametrize("first", [(1, 3), (1, 1)])
def test_a_shard_does_not_replace_another(corpus: Corpus, tmp_path: Path, first: tuple[int, int]) -> None:
    """Without its own folder, the second shard would throw the vectors of the first away, hours of work."""
    root = tmp_path / "s"
    embed_corpus(corpus, fake(), root, options=JobOptions(jobs=1, shard=first))
    before = contents(root)
    for resume in ("auto", "never"):
        with pytest.raises(InputError, match="which shard 2/3 would replace"):
            embed_corpus(corpus, fake(), root, options=JobOptions(jobs=1, shard=(2, 3), resume=resume))
    assert contents(root) == before
    embed_corpus(corpus, fake(), root, options=JobOptions(jobs=1, shard=first))
    embed_corpus(corpus, fake(), root, options=INLINE)
    embed_corpus(corpus, fake(), tmp_path / "one", options=INLINE)
    assert contents(root) == contents(tmp_path / "one")


def test_merge_refusals(corpus: Corpus, tmp_path: Path) -> None:
    embed_corpus(corpus, fake(), tmp_path / "p", options=INLINE)
    embed_corpus(corpus, fake("other@1+none+own"), tmp_path / "q", options=INLINE)
    with pytest.raises(InputError, match="holds vectors of fake@1"):
        merge_stores([tmp_path / "p", tmp_path / "q"], tmp_path / "m")
    with pytest.raises(UsageError, match="one of the parts"):
        merge_stores([tmp_path / "p"], tmp_path / "p")
    make_page(corpus, "b", 1, 1, seed=9)
    embed_corpus(corpus, fake(), tmp_path / "r", options=INLINE)
    with pytest.raises(InputError, match=r"b/1 is in .* different versions"):
        merge_stores([tmp_path / "p", tmp_path / "r"], tmp_path / "m")


def test_only_new_and_changed_pages_are_embedded(corpus: Corpus, tmp_path: Path) -> None:
    count = tmp_path / "count"
    choice = fake(count_in=count)
    embed_corpus(corpus, choice, tmp_path / "s", options=INLINE)
    before = read_head(tmp_path / "s")
    count.write_bytes(b"")
    report = embed_corpus(corpus, choice, tmp_path / "s", options=INLINE)
    assert (report.done, report.skipped, count.stat().st_size) == (0, 3, 0)
    assert report.totals["pages"] == 50
    assert read_head(tmp_path / "s") == before
    # One page gets another picture, one other panels, one goes, one comes.
    pages = corpus.pages("b")
    pages[0] = make_page(corpus, "b", 1, 1, seed=7)
    pages[2].panels = make_page(corpus, "b", 3, 2).panels
    pages[4] = make_page(corpus, "b", 6, 0)
    corpus.write_pages("b", pages)
    report = embed_corpus(corpus, choice, tmp_path / "s", options=INLINE)
    assert count.stat().st_size == 3 * len(VIEWS) + 1 + 2 + 0
    assert (report.done, report.skipped) == (1, 2)
    embed_corpus(corpus, choice, tmp_path / "fresh", options=INLINE)
    assert contents(tmp_path / "s") == contents(tmp_path / "fresh")


def test_what_is_told_of_a_page_changes_without_embedding(corpus: Corpus, tmp_path: Path) -> None:
    count = tmp_path / "count"
    embed_corpus(corpus, fake(count_in=count), tmp_path / "s", options=INLINE)
    count.write_bytes(b"")
    pages = corpus.pages("b")
    pages[0].type = "cover"
    corpus.write_pages("b", pages)
    embed_corpus(corpus, fake(count_in=count), tmp_path / "s", options=INLINE)
    assert count.stat().st_size == 0
    assert next(entry for entry in contents(tmp_path / "s")[0] if entry.id == "b/1").type == "cover"


def test_a_comic_that_goes_and_comes_back(corpus: Corpus, tmp_path: Path) -> None:
    embed_corpus(corpus, fake(), tmp_path / "s", options=INLINE)
    whole = contents(tmp_path / "s")
    records = corpus.root / "annotations" / "pages" / "b.jsonl"
    kept = records.read_bytes()
    records.unlink()
    embed_corpus(corpus, fake(), tmp_path / "s", options=INLINE)
    assert all(entry.comic != "b" for entry in contents(tmp_path / "s")[0])
    records.write_bytes(kept)
    embed_corpus(corpus, fake(), tmp_path / "s", options=INLINE)
    assert contents(tmp_path / "s") == whole


def test_bad_pages_and_comics_are_named_and_the_rest_kept(corpus: Corpus, tmp_path: Path) -> None:
    (corpus.root / "page_images" / "b" / "page-2.png").write_bytes(b"\x89PNG not really")
    (corpus.root / "page_images" / "b" / "page-3.png").unlink()
    records = corpus.pages("b")
    records[3].width = 41
    corpus.write_pages("b", records)
    (corpus.root / "annotations" / "pages" / "a 10.jsonl").write_text("{nonsense\n")
    for _ in range(2):  # the second run skips, and still says what is wrong
        report = embed_corpus(corpus, fake(), tmp_path / "s", options=INLINE)
        text = "\n".join(f"{problem.key}: {problem.message}" for problem in report.problems)
        assert all(name in text for name in ("b/2: ", "b/3: ", "b/4: ", "a 10.jsonl line 1"))
        assert report.exit_code == ExitCode.FINDINGS
        assert sorted(e.page for e in contents(tmp_path / "s")[0] if e.comic == "b") == [1, 5]


def test_empty_corpus_and_dry_run(tmp_path: Path, corpus: Corpus) -> None:
    report = embed_corpus(corpus, fake(), tmp_path / "dry", options=JobOptions(jobs=1, dry_run=True))
    assert len(report.planned) == 3
    assert not (tmp_path / "dry").exists()
    empty = Corpus.create(tmp_path / "empty")
    assert embed_corpus(empty, fake(), tmp_path / "s", options=INLINE).total == 0
    assert contents(tmp_path / "s")[0] == []


def test_limit_then_the_rest(corpus: Corpus, tmp_path: Path) -> None:
    embed_corpus(corpus, fake(), tmp_path / "s", options=JobOptions(jobs=1, limit=1))
    assert len(contents(tmp_path / "s")[0]) == 23  # of 11 rows each, so that 256 are not passed
    embed_corpus(corpus, fake(), tmp_path / "s", options=INLINE)
    assert len(contents(tmp_path / "s")[0]) == 50


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"choice": fake("other@2+none+own")}, "holds vectors of fake@1"),
        ({"dtype": "float32"}, "other dtype"),
        ({"views": VIEWS[:1]}, "other views"),
    ],
)
def test_other_settings_are_refused(corpus: Corpus, tmp_path: Path, arguments: dict, message: str) -> None:
    embed_corpus(corpus, fake(), tmp_path / "s", options=INLINE)
    before = contents(tmp_path / "s")
    with pytest.raises(InputError, match=message) as refused:
        embed_corpus(corpus, arguments.pop("choice", fake()), tmp_path / "s", options=INLINE, **arguments)
    assert refused.value.hint
    assert contents(tmp_path / "s") == before


def test_other_corpora_and_foreign_folders_are_refused(corpus: Corpus, tmp_path: Path) -> None:
    embed_corpus(corpus, fake(), tmp_path / "s", options=INLINE)
    other = make_corpus(tmp_path / "other", {"z": 1})
    with pytest.raises(InputError, match="belongs to the corpus"):
        embed_corpus(other, fake(), tmp_path / "s", options=INLINE)
    with pytest.raises(InputError, match="is not a store"):
        embed_corpus(corpus, fake(), corpus.root, options=INLINE)
    write_json(tmp_path / "zarr" / "zarr.json", {"zarr_format": 3, "node_type": "group", "attributes": {}})
    with pytest.raises(InputError, match="not a comictool store"):
        embed_corpus(corpus, fake(), tmp_path / "zarr", options=INLINE)


def test_two_writers_are_refused(corpus: Corpus, tmp_path: Path) -> None:
    embed_corpus(corpus, fake(), tmp_path / "s", options=INLINE)
    with Ledger(work_folder(tmp_path / "s"), "store").writing(), pytest.raises(InputError, match="already working"):
        embed_corpus(corpus, fake(), tmp_path / "s", options=INLINE)


class Died(BaseException):
    """Stands for a kill: nothing may catch it and tidy up as if it were an error."""


STEPS = {
    "before a part": ("comictool.vectors.parts.Parts.write", 2),
    "before a ledger line": ("comictool.core.ledger.Ledger.append", 2),
    "before publishing": ("comictool.vectors.job.publish", 1),
    "before metadata": ("comictool.vectors.publish.MetadataWriter.close", 1),
    "before pointers": ("comictool.vectors.publish.write_pointers", 1),
    "before a column": ("comictool.vectors.publish.ColumnWriter.close", 2),
    "before the new root": ("comictool.vectors.publish.write_head", 1),
    "before old contents go": ("comictool.vectors.publish.remove_unused", 1),
    "before parts go": ("comictool.vectors.job.shutil.rmtree", 1),
}


@pytest.mark.parametrize("update", [False, True], ids=["first run", "update"])
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_each_step(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, update: bool
) -> None:
    """After a death at any step the old contents or the new are there, and a second run completes without doubles."""
    count = tmp_path / "count"
    choice = fake(count_in=count)
    old = None
    if update:
        embed_corpus(corpus, choice, tmp_path / "s", options=INLINE)
        old = contents(tmp_path / "s")
        for comic in COMICS:
            records = corpus.pages(comic)
            records[1] = make_page(corpus, comic, 2, 1, seed=4)
            corpus.write_pages(comic, records)
    embed_corpus(corpus, fake(), tmp_path / "wanted", options=INLINE)
    wanted = contents(tmp_path / "wanted")
    target, at = STEPS[step]
    calls = []

    def dies(*args: object, **kwargs: object) -> object:
        calls.append(1)
        if len(calls) == at:
            raise Died
        return real(*args, **kwargs)

    owner, name = target.rsplit(".", 1)
    import pkgutil

    real = getattr(pkgutil.resolve_name(owner), name)
    with monkeypatch.context() as patch:
        patch.setattr(target, dies)
        with pytest.raises(Died):
            embed_corpus(corpus, choice, tmp_path / "s", options=INLINE)
    if (tmp_path / "s" / "zarr.json").exists():
        assert contents(tmp_path / "s") in (old, wanted)
    embedded = count.stat().st_size
    embed_corpus(corpus, choice, tmp_path / "s", options=INLINE)
    assert contents(tmp_path / "s") == wanted
    repeated = count.stat().st_size - embedded
    if "publish" in target and "metadata" not in step and step != "before publishing":
        assert repeated == 0
    leftovers = [p.name for p in (tmp_path / "s").iterdir() if p.name.startswith("contents-")]
    assert leftovers == [read_head(tmp_path / "s").current]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_real_kill(tmp_path: Path) -> None:
    """SIGKILL in the middle: at most the chunks in work are done again, and the store is that of one run."""
    corpus = make_corpus(tmp_path / "corpus", {f"comic {n}": 8 for n in range(12)})
    count = tmp_path / "count"
    script = (
        "import os, sys; from pathlib import Path; from comictool.core.jobs import JobOptions;"
        "from comictool.corpus.corpus import Corpus; "
        "from tests.vectors.fakes import embed_corpus, fake\n"
        "if __name__ == '__main__':\n"
        "    root, store, count = map(Path, sys.argv[1:])\n"
        "    inside = lambda: count.exists() and count.stat().st_size > 400\n"
        "    sys.addaudithook(lambda event, _: event == 'open' and inside() and os.kill(os.getpid(), 9))\n"
        "    embed_corpus(Corpus.open(root), fake(count_in=count), store, options=JobOptions(jobs=1))\n"
    )
    arguments = [sys.executable, "-c", script, str(corpus.root), str(tmp_path / "s"), str(count)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    assert subprocess.run(arguments, env=environment, check=False).returncode == -signal.SIGKILL
    embed_corpus(corpus, fake(count_in=count), tmp_path / "s", options=INLINE)
    embed_corpus(corpus, fake(), tmp_path / "wanted", options=INLINE)
    assert contents(tmp_path / "s") == contents(tmp_path / "wanted")
    chunk = 8 * len(VIEWS) + 8
    pictures = 12 * (8 * len(VIEWS) + sum(n % 3 for n in range(1, 9)))
    assert count.stat().st_size <= pictures + chunk


def test_stop_publishes_what_is_finished(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from comictool.core.errors import Stopped

    real = Parts.write
    calls = []

    def interrupts(*args: Any) -> None:
        real(*args)
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Parts, "write", interrupts)
    with pytest.raises(Stopped):
        embed_corpus(corpus, fake(), tmp_path / "s", options=INLINE)
    assert len(contents(tmp_path / "s")[0]) == 40
    assert embed_corpus(corpus, fake(), tmp_path / "s", options=INLINE).skipped == 2


def test_a_level_that_comes_later_leaves_the_others_as_they_are(corpus: Corpus, tmp_path: Path) -> None:
    count = tmp_path / "count"
    embed_corpus(corpus, fake(), tmp_path / "s", options=INLINE, levels=("page",))
    before = {file: file.stat() for file in (tmp_path / "s").rglob("c/0*") if file.is_file()}
    embed_corpus(corpus, fake(count_in=count), tmp_path / "s", options=INLINE, levels=("panel",))
    assert {column.name for column in read_head(tmp_path / "s").columns} == {"page/image", "panel/image"}
    assert all(file.stat().st_mtime_ns == facts.st_mtime_ns for file, facts in before.items())
    embed_corpus(corpus, fake(), tmp_path / "one", options=INLINE)
    assert contents(tmp_path / "s") == contents(tmp_path / "one")
    assert count.stat().st_size == sum(len(entry.panels) for entry in contents(tmp_path / "s")[0])


def test_naming_a_character_encodes_only_what_is_new(corpus: Corpus, tmp_path: Path) -> None:
    count = tmp_path / "count"
    everything = {"levels": ("page", "panel", "character")}
    records = corpus.pages("b")
    people = [Character(n, (1, 1, 20 + n, 30), panel=1, identity=name) for n, name in ((1, "ann"), (2, "bo"))]
    records[0].characters = people
    corpus.write_pages("b", records)
    embed_corpus(corpus, fake(), tmp_path / "s", options=INLINE, **everything)
    people[1].identity = "cy"
    people.append(Character(3, (5, 5, 40, 60), panel=1, identity="ann"))
    corpus.write_pages("b", records)
    embed_corpus(corpus, fake(count_in=count), tmp_path / "s", options=INLINE, **everything)
    assert count.stat().st_size == 1
    ids = [hit.id for hit in ask(tmp_path / "s", id="b/1/1/cy", level="character")]
    assert sorted(ids) == ["b/1/1/ann", "b/1/1/ann"]
    embed_corpus(corpus, fake(), tmp_path / "s", options=INLINE)  # without characters: they stay
    assert len(ask(tmp_path / "s", id="b/1/1/cy", level="character")) == 2


@pytest.mark.parametrize("damage", [b"\x00\x7e", b"\x00\x7c", b"\x00\x44"], ids=["NaN", "infinite", "too long"])
def test_damaged_vectors_are_never_an_answer(corpus: Corpus, tmp_path: Path, damage: bytes) -> None:
    embed_corpus(corpus, fake(), tmp_path / "s", options=INLINE)
    shard = next((tmp_path / "s").glob("contents-*/panels/image/vectors/c/0/0"))
    data = bytearray(shard.read_bytes())
    data[5 * 96 : 5 * 96 + 2] = damage  # one number of the sixth row
    shard.write_bytes(data)
    with pytest.raises(InputError, match="damaged"):
        ask(tmp_path / "s", id="a 2/1/1", k=100)
    make_page(corpus, "b", 1, 1, seed=9)
    with pytest.raises(InputError, match="damaged"):
        embed_corpus(corpus, fake(), tmp_path / "s", options=INLINE)
    embed_corpus(corpus, fake(), tmp_path / "s", options=JobOptions(jobs=1, resume="never"))
    assert len(ask(tmp_path / "s", id="a 2/1/1", k=5)) == 5


def test_explicit_precision_is_not_mixed_with_another(corpus: Corpus, tmp_path: Path) -> None:
    embed_corpus(corpus, fake(needs_torch=True), tmp_path / "s", options=INLINE)
    with pytest.raises(InputError, match="other settings"):
        embed_corpus(corpus, replace(fake(needs_torch=True), precision="fp32"), tmp_path / "s", options=INLINE)


def test_a_store_of_the_old_layout_names_what_rebuilds_it(tmp_path: Path) -> None:
    attributes = {"format": "comictool store", "version": 1, "corpus": "/comics/corpus"}
    write_json(tmp_path / "zarr.json", {"zarr_format": 3, "node_type": "group", "attributes": attributes})
    with pytest.raises(InputError, match="older layout 1") as refused:
        Store.open(tmp_path)
    assert refused.value.hint == f"rm -r {tmp_path}, then: comictool embed /comics/corpus -o {tmp_path}"


def test_records_that_did_not_change_are_not_even_read(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (corpus.root / "page_images" / "b" / "page-2.png").write_bytes(b"not a picture")
    first = embed_corpus(corpus, fake(), tmp_path / "s", options=INLINE)
    read: list[str] = []
    real = Corpus.pages
    monkeypatch.setattr(Corpus, "pages", lambda self, comic: read.append(comic) or real(self, comic))
    again = embed_corpus(corpus, fake(), tmp_path / "s", options=INLINE)
    assert read == ["b"]  # not all of its pages are in the store
    assert again.totals == first.totals
    assert again.problems
    assert (again.problems[0].key, again.problems[0].message) == (first.problems[0].key, first.problems[0].message)
    make_page(corpus, "a 10", 2, 2, seed=5)  # a picture changes, and no record
    read.clear()
    embed_corpus(corpus, fake(), tmp_path / "s", options=INLINE)
    assert sorted(read) == ["a 10", "b"]
    embed_corpus(corpus, fake(), tmp_path / "fresh", options=INLINE)
    assert contents(tmp_path / "s") == contents(tmp_path / "fresh")


def test_a_damaged_store_is_replaced_when_asked(corpus: Corpus, tmp_path: Path) -> None:
    embed_corpus(corpus, fake(), tmp_path / "s", options=INLINE)
    whole = contents(tmp_path / "s")
    shard = next((tmp_path / "s").glob("contents-*/panels/image/vectors/c/0/0"))
    shard.write_bytes(b"short")
    with pytest.raises(InputError, match="damaged") as refused:
        embed_corpus(corpus, fake(), tmp_path / "s", options=INLINE)
    assert "--resume never" in refused.value.hint
    embed_corpus(corpus, fake(), tmp_path / "s", options=JobOptions(jobs=1, resume="never"))
    assert contents(tmp_path / "s") == whole


def test_half_written_contents_of_a_kill_are_cleared(corpus: Corpus, tmp_path: Path) -> None:
    embed_corpus(corpus, fake(), tmp_path / "s", options=INLINE)
    whole = contents(tmp_path / "s")
    (tmp_path / "s" / "contents-000007" / "panels").mkdir(parents=True)
    (tmp_path / "s" / "contents-mine").mkdir()  # not ours: stays
    embed_corpus(corpus, fake(), tmp_path / "s", options=INLINE)
    assert contents(tmp_path / "s") == whole
    assert sorted(p.name for p in (tmp_path / "s").glob("contents*")) == ["contents-000001", "contents-mine"]


def test_characters_alone_are_seen_by_the_encoder_for_characters() -> None:
    named = {levels: default_plugin(levels) for levels in (("character",), ("page", "panel"), ("page", "character"))}
    assert list(named.values()) == ["comic_small", "classic", "classic"]
