"""Galleries: enrolled, changed, merged, damaged, killed."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from comictool.core.errors import InputError, UsageError
from comictool.plugins.load import EncoderSpec
from comictool.reid import gallery as gallery_module
from comictool.reid.configuration import read_config
from comictool.reid.enrolled import calibrate_gallery, from_gallery, gallery_thresholds
from comictool.reid.gallery import Gallery
from comictool.reid.reader import PictureReader
from comictool.reid.references import questionable
from comictool.vectors.stream import embed_files, encoder_key
from tests.reid.drawings import cast, drawing, save

SPEC = EncoderSpec("classic_character")
READER = PictureReader(cached=False)


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    made = Gallery.create(tmp_path / "g")
    made.enroll(read_config(cast(tmp_path / "refs")), READER)
    return made


def test_what_was_enrolled_is_there_after_opening(gallery: Gallery) -> None:
    again = Gallery.open(gallery.folder)
    assert again.characters == ["ann", "bob", "cat"]
    assert [reference.path.name for reference in again.references[:4]] == ["1.png", "2.png", "3.png", "4.png"]
    expected = embed_files([reference.path for reference in again.references], SPEC)
    np.testing.assert_array_equal(again.vectors, expected.vectors)
    assert [reference.digest for reference in again.references] == expected.digests
    assert again.encoder_id == encoder_key(SPEC)
    assert again.spec().name_or_path == "classic_character"
    assert again.verify() == []


def test_enrolling_again_computes_nothing_and_changes_nothing(tmp_path: Path) -> None:
    config = read_config(cast(tmp_path / "refs"))
    gallery = Gallery.create(tmp_path / "g")
    reader = PictureReader(cache=tmp_path)
    first = gallery.enroll(config, reader)
    content = (gallery.folder / "gallery.json").read_bytes()
    second = Gallery.create(tmp_path / "g").enroll(config, reader)
    assert (first.added, first.kept, first.computed) == (12, 0, 12)
    assert (second.added, second.kept, second.computed) == (0, 12, 0)
    assert (gallery.folder / "gallery.json").read_bytes() == content
    assert len(list(gallery.folder.glob("vectors-*"))) == 1


def test_adding_removing_and_pruning(tmp_path: Path, gallery: Gallery) -> None:
    refs = tmp_path / "refs"
    (refs / "ann" / "4.png").rename(tmp_path / "kept.png")
    save(refs / "ann" / "5.png", drawing("ann", 9))
    save(refs / "bob" / "1.png", drawing("bob", 8))
    (refs / "cat" / "1.png").unlink()
    assert sum("is gone" in line for line in gallery.verify()) == 2
    assert sum("changed" in line for line in gallery.verify()) == 1
    report = gallery.enroll({"ann": [refs / "ann"]}, READER)
    assert (report.added, report.kept, report.removed) == (1, 3, 0)
    report = gallery.enroll({"ann": [refs / "ann"]}, READER, prune=True)
    assert (report.added, report.kept, report.removed) == (0, 4, 3)
    names = [(r.character, r.path.name) for r in gallery.references]
    assert names[:4] == [("ann", "1.png"), ("ann", "2.png"), ("ann", "3.png"), ("ann", "5.png")]
    assert gallery.verify() == []
    assert gallery.remove(["bob"]) == 3
    assert Gallery.open(gallery.folder).characters == ["ann", "cat"]
    (refs / "cat" / "2.png").unlink()
    assert gallery.prune() == 1
    with pytest.raises(UsageError, match="'bod' is not"):
        gallery.remove(["bod"])


def test_thresholds_hold_for_the_references_they_were_fitted_to(tmp_path: Path, gallery: Gallery) -> None:
    assert gallery.thresholds is None
    gallery.store_thresholds({"value": 0.5, "of": {"ann": 0.6}})
    assert Gallery.open(gallery.folder).thresholds == {"value": 0.5, "of": {"ann": 0.6}}
    gallery.remove(["cat"])
    assert gallery.thresholds is None
    assert Gallery.open(gallery.folder).outdated_thresholds
    assert gallery.verify() == [], "they can be fitted anew"
    gallery.store_thresholds({"value": 0.5, "background": 3})
    gallery.remove(["bob"])
    assert "calibrate again" in gallery.verify()[-1]


def test_outdated_thresholds_are_fitted_anew_as_they_were_asked_for(gallery: Gallery) -> None:
    """What `learn` and `enroll` add must not change the false acceptance rate to the default in silence."""
    calibrate_gallery(gallery, READER, far=0.2, mode="max")
    gallery.remove(["cat"])
    assert gallery.thresholds is None
    fitted, warnings = gallery_thresholds(gallery)
    assert fitted is not None
    assert (fitted.far, fitted.mode, fitted.characters) == (0.2, "max", len(gallery.characters))
    assert warnings == from_gallery(gallery, READER).warnings == []
    calibrate_gallery(gallery, READER, far=0.2, mode="max")
    assert gallery.thresholds == fitted.to_json()
    gallery.remove([gallery.characters[0]])
    fitted, warnings = gallery_thresholds(gallery)
    assert fitted is None
    assert "not anew" in warnings[0], "one character alone says nothing of impostors"


def test_a_moved_reference_keeps_one_entry(tmp_path: Path, gallery: Gallery) -> None:
    (tmp_path / "refs" / "ann").rename(tmp_path / "refs" / "moved")
    gallery.enroll({"ann": [tmp_path / "refs" / "moved"]}, READER)
    assert sum(reference.character == "ann" for reference in gallery.references) == 4
    assert gallery.verify() == []


def test_a_gallery_finds_its_pictures_when_all_was_moved_and_when_it_alone_was(tmp_path: Path) -> None:
    library = tmp_path / "library"
    Gallery.create(library / "g").enroll(read_config(cast(library / "refs")), READER)
    found = Gallery.open(library / "g").references
    library.rename(tmp_path / "elsewhere")
    moved = Gallery.open(tmp_path / "elsewhere" / "g")
    assert moved.verify() == []
    assert moved.references[0].path == tmp_path / "elsewhere" / found[0].path.relative_to(library)
    (tmp_path / "elsewhere").rename(library)
    (library / "g").rename(tmp_path / "other")
    assert Gallery.open(tmp_path / "other").references == found
    # One that was changed after a move remembers where it is now.
    Gallery.open(tmp_path / "other").remove(["cat"])
    (tmp_path / "other").rename(tmp_path / "third")
    assert Gallery.open(tmp_path / "third").verify() == []


def test_galleries_merge_and_different_encoders_do_not(tmp_path: Path, gallery: Gallery) -> None:
    other = Gallery.create(tmp_path / "other")
    other.enroll({"dan": [cast(tmp_path / "more", ("dan",)) / "dan"], "ann": [tmp_path / "refs" / "ann"]}, READER)
    assert gallery.merge([other]) == 4
    assert Gallery.open(gallery.folder).characters == ["ann", "bob", "cat", "dan"]
    flipped = Gallery.create(tmp_path / "flipped")
    flipped.enroll({"ann": [tmp_path / "refs" / "ann"]}, replace(READER, flip=True))
    assert flipped.flip
    with pytest.raises(InputError, match="different ways"):
        gallery.merge([flipped])
    with pytest.raises(InputError, match="was enrolled with"):
        gallery.enroll({"ann": [tmp_path / "refs" / "ann"]}, replace(READER, encoder=EncoderSpec("classic")))
    assert Gallery.open(gallery.folder).characters == ["ann", "bob", "cat", "dan"]


def test_odd_references_are_pointed_out(tmp_path: Path) -> None:
    refs = cast(tmp_path / "refs", count=6)
    save(refs / "ann" / "strange.png", drawing("bob", 40))
    save(refs / "cat" / "copy.png", drawing("bob", 2))
    save(refs / "bob" / "twice.png", drawing("bob", 3))
    warnings = Gallery.create(tmp_path / "g").enroll(read_config(refs), READER).warnings
    assert any("strange.png (ann) is unlike the others of ann and most like bob" in line for line in warnings)
    assert any("3.png (bob) and" in line and "copy.png (cat) are the same picture" in line for line in warnings)
    assert any("twice.png is the same file as" in line for line in warnings)
    clean = Gallery.create(tmp_path / "clean")
    clean.enroll(read_config(cast(tmp_path / "fine", count=6)), READER)
    assert questionable(clean.found) == []


def test_unreadable_references_are_reported_and_a_character_without_any_is_an_error(tmp_path: Path) -> None:
    refs = cast(tmp_path / "refs")
    (refs / "ann" / "1.png").write_bytes(b"no picture")
    report = Gallery.create(tmp_path / "g").enroll(read_config(refs), READER)
    assert list(report.failed) == [refs / "ann" / "1.png"]
    assert report.added == 11
    for file in (refs / "bob").iterdir():
        file.write_bytes(b"no picture either")
    with pytest.raises(InputError, match="no picture of 'bob' can be read"):
        Gallery.create(tmp_path / "g2").enroll(read_config(refs), READER)


def test_a_crash_while_saving_leaves_the_old_gallery(
    gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = gallery_module.write_bytes

    def fail(path: Path, data: bytes, *, durable: bool = False) -> None:
        if path.suffix == ".json":
            raise OSError("disk full")
        write(path, data, durable=durable)

    monkeypatch.setattr(gallery_module, "write_bytes", fail)
    with pytest.raises(OSError, match="disk full"):
        gallery.remove(["ann"])
    monkeypatch.undo()
    assert Gallery.open(gallery.folder).characters == ["ann", "bob", "cat"]
    Gallery.open(gallery.folder).remove(["bob"])
    assert len(list(gallery.folder.glob("vectors-*"))) == 1


def test_two_enrolments_at_once_both_count(tmp_path: Path) -> None:
    refs = cast(tmp_path / "refs")
    errors: list[BaseException] = []

    def enroll(name: str) -> None:
        try:
            Gallery.create(tmp_path / "g").enroll({name: [refs / name]}, READER)
        except BaseException as error:
            errors.append(error)

    (tmp_path / "g").mkdir()
    threads = [threading.Thread(target=enroll, args=(name,)) for name in ("ann", "bob", "cat")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert Gallery.open(tmp_path / "g").characters == ["ann", "bob", "cat"]


@pytest.mark.parametrize("damage", ["cut", "bytes", "outside", "newer", "count", "gone", "object"])
def test_damage_is_said_and_nothing_is_unpickled(gallery: Gallery, damage: str) -> None:
    file = gallery.folder / "gallery.json"
    value = json.loads(file.read_text())
    vectors = gallery.folder / value["vectors"]["file"]
    if damage == "cut":
        file.write_text(file.read_text()[:200])
    elif damage == "bytes":
        vectors.write_bytes(vectors.read_bytes()[:-1] + b"x")
    elif damage == "gone":
        vectors.unlink()
    elif damage == "object":
        import hashlib

        np.save(vectors, np.array([{"a": 1}], dtype=object), allow_pickle=True)
        value["vectors"]["sha256"] = hashlib.sha256(vectors.read_bytes()).hexdigest()
        file.write_text(json.dumps(value))
    else:
        if damage == "outside":
            value["vectors"]["file"] = "vectors-/../../other.npy"
        elif damage == "newer":
            value["schema"] = 99
        else:
            value["references"].pop()
        file.write_text(json.dumps(value))
    with pytest.raises(InputError, match="newer" if damage == "newer" else "damaged"):
        Gallery.open(gallery.folder)


def test_a_gallery_never_replaces_something_else(tmp_path: Path) -> None:
    cast(tmp_path / "refs")
    with pytest.raises(InputError, match="is no gallery"):
        Gallery.create(tmp_path / "refs")
    with pytest.raises(InputError, match="is no gallery"):
        Gallery.open(tmp_path / "none")


def test_fp32_of_a_gallery_is_kept_and_trust_never_comes_from_it(gallery: Gallery) -> None:
    given = EncoderSpec("ignored", trust=True, device="cpu", precision="auto")
    spec = gallery.spec(given)
    assert (spec.name_or_path, spec.trust, spec.device, spec.precision) == ("classic_character", True, "cpu", "auto")
    assert not gallery.spec().trust
