"""Conversions through the job: resumable, sharded, dry, and never over something else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from comictool.core.errors import ExitCode, InputError, UsageError
from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import Text, to_json
from comictool.datasets.info import info
from comictool.datasets.verifying.checking_corpus import verify
from comictool.formats.converting import convert
from comictool.formats.registry import FORMATS, open_any
from tests.data import data, needs_data
from tests.formats.corpora import make_corpus, simple_page

ONE = JobOptions(jobs=1)


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return make_corpus(tmp_path / "corpus", {"a": [simple_page(), simple_page(page=2)], "b": [simple_page("b")]})


def files(root: Path) -> dict[str, bytes]:
    """All files of a folder but those of the job engine."""
    found = (f for f in root.rglob("*") if f.is_file() and ".jobs" not in f.parts)
    return {f.relative_to(root).as_posix(): f.read_bytes() for f in found}


@pytest.mark.parametrize("name", list(FORMATS))
def test_every_format_converts_and_back(corpus: Corpus, name: str, tmp_path: Path) -> None:
    there = convert(corpus.root, tmp_path / "there", name, options=ONE)
    assert there.report.exit_code == ExitCode.DONE
    assert there.counts["pages"] == 3
    assert bool(there.losses) == (name != "corpus")
    back = convert(tmp_path / "there", tmp_path / "back", "corpus", options=ONE)
    assert back.report.exit_code == ExitCode.DONE
    assert back.losses == []
    restored = Corpus.open(tmp_path / "back")
    assert verify(restored) == []
    assert [(r.comic, r.page) for r in restored.all_pages()] == [("a", 1), ("a", 2), ("b", 1)]
    if name in ("corpus", "comix-coco", "mast-csv", "kumiko"):
        assert [p.box for r in restored.all_pages() for p in r.panels] == [
            p.box for r in corpus.all_pages() for p in r.panels
        ]


def test_running_again_does_nothing_new_and_gives_the_same_bytes(corpus: Corpus, tmp_path: Path) -> None:
    convert(corpus.root, tmp_path / "out", "comix-coco", options=ONE)
    before = files(tmp_path / "out")
    again = convert(corpus.root, tmp_path / "out", "comix-coco", options=ONE)
    assert (again.report.done, again.report.skipped) == (0, 2)
    assert files(tmp_path / "out") == before
    records = corpus.pages("a")
    records[0].panels.pop()
    corpus.write_pages("a", records)
    third = convert(corpus.root, tmp_path / "out", "comix-coco", options=ONE)
    assert (third.report.done, third.report.skipped, third.counts["panels"]) == (1, 1, 5)


def test_what_a_killed_run_left_is_finished_and_swept(corpus: Corpus, tmp_path: Path) -> None:
    convert(corpus.root, tmp_path / "whole", "comix-coco", options=ONE)
    code = "import sys; from pathlib import Path; from comictool.formats.converting import convert; "
    code += "import comictool.core.files as f; import os; "
    code += "f.os.replace = lambda a, b: os.kill(os.getpid(), 9); "  # dies before the first rename
    code += "convert(Path(sys.argv[1]), Path(sys.argv[2]), 'comix-coco')"
    run = subprocess.run([sys.executable, "-c", code, str(corpus.root), str(tmp_path / "out")], check=False)
    assert run.returncode == -9
    assert list((tmp_path / "out").rglob("*.partial"))
    assert convert(corpus.root, tmp_path / "out", "comix-coco", options=ONE).report.exit_code == ExitCode.DONE
    assert files(tmp_path / "out") == files(tmp_path / "whole")
    assert verify(open_any(tmp_path / "out")) == []


def test_shards_together_give_what_one_run_gives(corpus: Corpus, tmp_path: Path) -> None:
    convert(corpus.root, tmp_path / "whole", "mast-csv", options=ONE)
    for index in (2, 1):
        convert(corpus.root, tmp_path / "parts", "mast-csv", options=JobOptions(jobs=1, shard=(index, 2)))
    assert files(tmp_path / "parts") == files(tmp_path / "whole")


def test_a_limit_bounds_the_annotations_too(corpus: Corpus, tmp_path: Path) -> None:
    done = convert(corpus.root, tmp_path / "out", "kumiko", options=JobOptions(jobs=1, limit=1))
    assert done.counts["comics"] == 1
    assert open_any(tmp_path / "out").comics() == ["a"]


def test_a_dry_run_writes_nothing_and_says_what_would_be_lost(corpus: Corpus, tmp_path: Path) -> None:
    plan = convert(corpus.root, tmp_path / "out", "kumiko", options=JobOptions(dry_run=True))
    assert plan.report.planned == ["a", "b"]
    assert "kumiko has no room for 3 characters" in map(str, plan.losses)
    assert not (tmp_path / "out").exists()


def test_a_damaged_comic_fails_alone(corpus: Corpus, tmp_path: Path) -> None:
    (corpus.root / "annotations/pages/a.jsonl").write_text("{broken\n")
    done = convert(corpus.root, tmp_path / "out", "comix-coco", options=ONE)
    assert (done.report.done, done.report.failed, done.report.exit_code) == (1, 1, ExitCode.FINDINGS)
    assert "a.jsonl line 1 is not JSON" in done.report.problems[0].message
    assert open_any(tmp_path / "out").comics() == ["b"]


def test_a_missing_picture_is_a_problem_and_its_annotations_survive(corpus: Corpus, tmp_path: Path) -> None:
    (corpus.root / "page_images/a/page-2.jpg").unlink()
    done = convert(corpus.root, tmp_path / "out", "comix-coco", options=ONE)
    assert list(map(str, done.report.problems)) == ["a/2: the picture page_images/a/page-2.jpg is not there"]
    assert done.counts["panels"] == 6


def test_nothing_is_written_over_something_else(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "thesis.tex").write_text("dear")
    with pytest.raises(UsageError, match="holds other things"):
        convert(corpus.root, tmp_path / "used", "kumiko", options=ONE)
    for inside in (corpus.root, corpus.root / "coco", tmp_path):
        with pytest.raises(UsageError, match="lie in each other"):
            convert(corpus.root, inside, "kumiko", options=ONE)
    convert(corpus.root, tmp_path / "used", "kumiko", force=True, options=ONE)
    assert (tmp_path / "used" / "thesis.tex").read_text() == "dear"


def test_wrong_names_are_usage_errors_with_near_ones(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        convert(corpus.root, tmp_path / "out", "comixcoco", options=ONE)
    assert "comix-coco" in caught.value.near
    with pytest.raises(UsageError, match="copy, link, none"):
        convert(corpus.root, tmp_path / "out", "kumiko", pictures="move", options=ONE)
    with pytest.raises(InputError, match="none of the known formats"):
        convert(_folder(tmp_path / "empty"), tmp_path / "out", "kumiko", options=ONE)


def test_names_become_safe_and_stay_different(tmp_path: Path) -> None:
    source = tmp_path / "kumiko"
    pages = [
        {"filename": f"{title}/p1.jpg", "size": [9, 9], "panels": []} for title in ('A "b"', "A <b>", "a _b_", "..")
    ]
    _folder(source).joinpath("k.json").write_text(json.dumps(pages))
    done = convert(source, tmp_path / "out", "corpus", options=ONE)
    names = Corpus.open(tmp_path / "out").comics()
    assert done.counts["comics"] == 4
    assert len({name.casefold() for name in names}) == 4
    assert not [name for name in names if set(name) & set('"<>/')]


def test_info_counts_what_is_there(corpus: Corpus) -> None:
    found = info(corpus)
    assert (found["comics"], found["pages"], found["panels"], found["characters"], found["texts"]) == (2, 3, 6, 3, 6)
    assert found["types"] == {"story": 3}
    assert found["text_kinds"] == {"dialogue": 3, "sfx": 3}
    assert found["pictures"] == {"jpg": 3}
    assert found["sizes"]["width"] == {"smallest": 40, "middle": 40, "largest": 40}
    assert [(row["comic"], row["pages"], row["identities"]) for row in found["rows"]] == [("a", 2, 1), ("b", 1, 1)]
    json.dumps(found)


def test_info_says_how_much_there_is_to_read(corpus: Corpus) -> None:
    first, second, third = (page for comic in corpus.comics() for page in corpus.pages(comic))
    for page, said in ((first, ["Two words", " one\n"]), (second, ["", "  "]), (third, ["日本語の字"])):
        page.texts = [Text(number, text) for number, text in enumerate(said, start=1)]
    corpus.write_pages("a", [first, second])
    corpus.write_pages("b", [third])
    assert info(corpus)["lettering"] == {
        "pages_with_words": 2,
        "pages_without": 1,
        "words_a_page": {"smallest": 1, "middle": 1, "largest": 3},
        "letters_a_page": {"smallest": 5, "middle": 5, "largest": 11},
    }


@needs_data
@pytest.mark.data
def test_pepper_and_carrot_becomes_a_coco_file_and_comes_back(tmp_path: Path) -> None:
    truth = json.loads(data("pepper_carrot", "annotations.json").read_text("utf-8"))["pages"]
    images, annotations = [], []
    for number, (name, page) in enumerate(truth.items(), start=1):
        lettered = data("pepper_carrot", "lettered_en", f"{name}.jpg").is_file()
        file_name = f"{'lettered_en' if lettered else 'textless'}/{name}.jpg"
        width, height = page["size"]
        images.append(
            {
                "id": number,
                "file_name": file_name,
                "width": width,
                "height": height,
                "comic": f"episode {page['episode']:02d}",
                "page": page["page"],
            }
        )
        boxes = [(1, box, {"order": place}) for place, box in enumerate(page["panels"], start=1)]
        boxes += [(4, text["box"], {"text": text["text"]}) for text in page["text"].get("en", [])]
        for category, (x0, y0, x1, y1), attributes in boxes:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": category,
                    "attributes": attributes,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": (x1 - x0) * (y1 - y0),
                    "iscrowd": 0,
                }
            )
    source = _folder(tmp_path / "coco") / "pepper.json"
    categories = [{"id": 1, "name": "panel"}, {"id": 4, "name": "text"}]
    source.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    done = convert(
        source, tmp_path / "out", "comix-coco", source_pictures=data("pepper_carrot"), pictures="link", options=ONE
    )
    assert done.report.exit_code == ExitCode.DONE, done.report.problems[:3]
    view = open_any(tmp_path / "out")
    assert verify(view) == []
    by_page = {(f"episode {page['episode']:02d}", page["page"]): page for page in truth.values()}
    pages = list(view.all_pages())
    assert len(pages) == len(truth) == 55
    for record in pages:
        page = by_page[record.comic, record.page]
        assert [list(panel.box) for panel in record.panels] == page["panels"], to_json(record)
        assert [text.text for text in record.texts] == [text["text"] for text in page["text"].get("en", [])]


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def test_docs_tell_of_every_format() -> None:
    text = (Path(__file__).parents[2] / "docs" / "formats.md").read_text("utf-8")
    assert not [name for name in FORMATS if f"`{name}`" not in text]
