"""`data text --engine vlm` against a service on 127.0.0.1 that misbehaves in every way that services do."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comictool.core.errors import InputError, UsageError
from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import PageRecord, Panel, Text
from comictool.words.engines import EngineOptions, Reading, make_reading
from comictool.words.job import read_corpus
from comictool.words.vlm_engine import VlmReader, cache_of, key_of
from comictool.words.vlm_estimate import estimate
from comictool.words.vlm_http import Failed, Refused, _wait
from comictool.words.vlm_options import VlmOptions
from comictool.words.vlm_reply import read_reply
from tests.words.misbehaving import GOOD, Service

PIXELS = np.full((40, 60, 3), 200, np.uint8)
ASKED = {"direction": "ltr", "panels": []}
SECRET = "sk-very-secret"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setenv("COMICTOOL_API_KEY", SECRET)
    with Service().running() as running:
        yield running


def options(service: Service, tmp_path: Path, **more: object) -> VlmOptions:
    return VlmOptions(service.url, "toy/vlm-1", cache=tmp_path / "cache", **{"timeout": 5.0, "backoff": 0.001, **more})  # type: ignore[arg-type]


def corpus_of(root: Path, pages: int, comics: int = 1) -> Corpus:
    """Small pages, each of another grey, with two panels."""
    corpus = Corpus.create(root)
    for c in range(comics):
        records = []
        for n in range(1, pages + 1):
            image = f"page_images/c{c}/page-{n}.png"
            (root / image).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (60, 40), (n * 37 % 256, n * 91 % 256, c * 200)).save(root / image)
            panels = [Panel(1, (0, 0, 29, 40), 1), Panel(2, (31, 0, 60, 40), 2)]
            records.append(PageRecord(f"c{c}", n, image, 60, 40, panels=panels))
        corpus.write_pages(f"c{c}", records)
    return corpus


def reading(chosen: VlmOptions) -> Reading:
    return make_reading(EngineOptions("vlm", vlm=chosen))


@pytest.mark.parametrize(
    ("ways", "requests"),
    [
        ([], 1),
        (["429"], 2),
        (["500", "500"], 3),
        (["hang"], 2),
        (["drip"], 2),
        (["broken"], 2),
        (["huge"], 2),
        (["not a completion"], 2),
        (["empty", "null"], 3),
        (["prose"], 2),
        (["wrong schema"], 2),
        (["nested"], 2),
        (["cut"], 2),
        (["no json mode"], 2),
        (["fenced"], 1),
        (["commas"], 1),
        (["parts"], 1),
    ],
    ids=lambda value: "-".join(value) or "good" if isinstance(value, list) else None,
)
def test_a_page_comes_whatever_the_service_does(
    service: Service, tmp_path: Path, ways: list[str], requests: int
) -> None:
    service.ways = list(ways)
    waited: list[float] = []
    chosen = options(service, tmp_path, timeout=0.4)
    reader = VlmReader(chosen, waited.append)
    found = reader(PIXELS, ASKED)
    assert [text.text for text in found["texts"]] == ["Left words", "Right words"]
    assert service.requests == requests
    assert reader(PIXELS, ASKED) == found
    assert service.requests == requests  # the second time it is cached
    if ways == ["429"]:
        assert sum(waited) == pytest.approx(7, abs=1)  # as Retry-After says
    attempts = cache_of(chosen).attempts(key_of(PIXELS, "ltr", chosen))
    assert len(attempts) == requests
    assert attempts[-1].outcome == "ok"


def test_an_answer_that_is_always_cut_gives_what_there_is(service: Service, tmp_path: Path) -> None:
    service.choose = lambda number: "cut"
    found = VlmReader(options(service, tmp_path, attempts=3))(PIXELS, ASKED)
    assert found["texts"][0].text == "Left words"
    assert found["extra"]["vlm_told"]["cut"] is True
    assert service.requests == 3


def test_a_refusal_ends_it_and_never_tells_the_key(service: Service, tmp_path: Path) -> None:
    service.choose = lambda number: "401"
    reader = VlmReader(options(service, tmp_path))
    for _ in range(3):
        with pytest.raises(Refused, match="401") as told:
            reader(PIXELS, ASKED)
        assert SECRET not in told.value.fact
    assert service.requests == 1
    assert service.keys == [f"Bearer {SECRET}"]
    assert SECRET not in "".join(file.read_text("utf-8") for file in tmp_path.rglob("*.json*"))


def test_redirects_are_not_followed(service: Service, tmp_path: Path) -> None:
    service.ways = ["redirect"]
    with pytest.raises(Refused, match="sends elsewhere"):
        VlmReader(options(service, tmp_path))(PIXELS, ASKED)


def test_nothing_is_asked_beyond_the_money(service: Service, tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "corpus", 8)
    chosen = options(service, tmp_path, price_in=1000.0, price_out=2000.0, max_cost=5.0)  # two dollars a page
    report = read_corpus(corpus, reading(chosen), options=JobOptions(jobs=1))
    assert service.requests == 3
    assert (report.done, report.failed) == (3, 5)
    assert "--max-cost is $5" in str(report.problems[0])
    chosen = options(service, tmp_path, price_in=1000.0, price_out=2000.0)
    assert read_corpus(corpus, reading(chosen), options=JobOptions(jobs=1)).failed == 0
    assert set(service.charged.values()) == {1}


def test_words_stand_on_their_panels_and_descriptions_apart(service: Service, tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "corpus", 2)
    pages = corpus.pages("c0")
    pages[0].texts = [Text(1, "", box=(3, 4, 24, 8), source="detector")]  # a box without words
    pages[1].texts = [Text(1, "a person's", source="hand")]
    corpus.write_pages("c0", pages)
    chosen = options(service, tmp_path)
    read_corpus(corpus, reading(chosen))
    first, second = corpus.pages("c0")
    assert [(t.id, t.text, t.kind, t.panel, t.source) for t in first.texts] == [
        (1, "Left words", "dialogue", 1, "vlm:toy/vlm-1"),
        (2, "Right words", "narration", 2, "vlm:toy/vlm-1"),
    ]
    assert first.texts[0].box == (3, 4, 24, 8)  # the detector's
    assert first.texts[0].extra["speaker_name"] == "A"
    assert first.panels[1].extra["description"] == {"text": "right", "model": "toy/vlm-1"}
    assert "vlm_told" not in first.extra
    assert [t.text for t in second.texts] == ["a person's"]
    assert service.requests == 1
    first.panels.pop()  # found anew: aligned anew, and nothing is asked
    corpus.write_pages("c0", [first, second])
    read_corpus(corpus, reading(chosen))
    assert service.requests == 1
    assert [t.panel for t in corpus.pages("c0")[0].texts] == [1, None]


def test_three_of_ten_requests_fail_and_all_pages_come(service: Service, tmp_path: Path) -> None:
    rng = random.Random(3)
    ways = ["429", "500", "broken", "cut", "wrong schema", "empty", "prose"]
    service.choose = lambda number: rng.choice(ways) if rng.random() < 0.3 else "good"
    service.delay = 0.005
    corpus = corpus_of(tmp_path / "corpus", 30, comics=2)
    chosen = options(service, tmp_path, attempts=10)
    engine = reading(chosen)
    engine.find._pause = lambda seconds: time.sleep(min(seconds, 0.01))  # type: ignore[attr-defined]
    report = read_corpus(corpus, engine)
    assert (report.failed, report.done, report.problems) == (0, 60, [])
    assert all(len(record.texts) == 2 for record in corpus.all_pages())
    assert 2 <= service.most_at_once <= 8
    before = service.requests
    again = corpus_of(tmp_path / "another", 30, comics=2)  # the same pages in another corpus
    read_corpus(again, reading(chosen))
    assert service.requests == before


def test_pages_that_failed_are_tried_again_and_no_others(service: Service, tmp_path: Path) -> None:
    service.choose = lambda number: "500" if number <= 4 else "good"
    corpus = corpus_of(tmp_path / "corpus", 6)
    chosen = options(service, tmp_path, attempts=1)
    report = read_corpus(corpus, reading(chosen), options=JobOptions(jobs=1))
    assert (report.done, report.failed) == (2, 4)
    report = read_corpus(corpus, reading(chosen), options=JobOptions(jobs=1))
    assert (report.done, report.failed, report.skipped) == (4, 0, 2)
    assert service.requests == 10


def test_a_killed_run_goes_on_and_nothing_is_charged_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "charged"
    corpus = corpus_of(tmp_path / "corpus", 24)
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.words.misbehaving", str(log), "0.1"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        monkeypatch.setenv("COMICTOOL_CACHE", str(tmp_path / "cache"))
        command = [sys.executable, "-m", "comictool", "data", "text", str(corpus.root), "--engine", "vlm"]
        command += ["--base-url", url, "--model", "toy", "-j", "2", "--json"]
        first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        end = time.monotonic() + 60
        while time.monotonic() < end and (not log.exists() or len(log.read_text().split()) < 6):
            time.sleep(0.02)
        first.send_signal(signal.SIGKILL)
        first.communicate()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        server.kill()
        server.communicate()
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["failed"] == 0
    assert "pages to ask for" in done.stderr
    assert "answers of toy" in done.stderr
    assert all(len(record.texts) == 2 for record in corpus.pages("c0"))
    charged = log.read_text().split()
    # The two that were under way when it was killed had been answered, or not: only these may be asked for again.
    assert len(set(charged)) == 24
    assert len(charged) <= 24 + 2


def test_estimates_are_usual_numbers_until_some_are_measured(service: Service, tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "corpus", 4)
    chosen = options(service, tmp_path, price_in=1.0, price_out=10.0)

    def expected() -> object:
        planned = read_corpus(corpus, reading(chosen), options=JobOptions(dry_run=True))
        return estimate(chosen, planned.to_do)

    first = expected()
    assert (first.pages, first.cached, first.tokens_in, first.measured) == (4, 0, 4 * 3457, False)  # type: ignore[attr-defined]
    read_corpus(corpus, reading(chosen), options=JobOptions(limit=1))
    corpus = corpus_of(tmp_path / "more", 6)
    later = expected()
    assert (later.pages, later.cached, later.measured) == (6, 4, True)  # type: ignore[attr-defined]
    assert later.cost == pytest.approx(2 * (1000 * 1.0 + 500 * 10.0) / 1e6)  # type: ignore[attr-defined]
    assert service.requests == 4


@pytest.mark.parametrize(
    "text",
    ["", "   ", "no", "[]", "{}", '{"panels": 1}', '{"panels": [{"text_content": [{"text": {}}]}]}', "[" * 99_999],
)
def test_answers_that_are_no_page(text: str) -> None:
    with pytest.raises(InputError):
        read_reply(text)


@pytest.mark.parametrize("text", [f"Here it is:\n{GOOD}\nEnjoy!", f"```\n{GOOD}\n```", GOOD[:-1], f"[{GOOD}]"])
def test_answers_that_can_be_mended(text: str) -> None:
    assert read_reply(text).page.texts == 2


@pytest.mark.parametrize(
    ("header", "seconds"), [("3", 3), ("1e9", 300), ("-1", 0), ("nan", None), ("soon", None), (None, None)]
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert _wait(header) == seconds


def test_what_is_missing_or_unsafe_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("", "ftp://a/v1", "https://user:key@host/v1", "https://host/v1?key=1"):
        with pytest.raises(UsageError):
            VlmOptions(wrong, "m")
    with pytest.raises(UsageError, match="--max-cost needs"):
        VlmOptions("https://host/v1", "m", max_cost=1.0)
    monkeypatch.delenv("COMICTOOL_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with pytest.raises(UsageError, match="unencrypted") as told:
        VlmReader(VlmOptions("http://example.org/v1", "m", cache=tmp_path))
    assert SECRET not in str(told.value)
    monkeypatch.setenv("COMICTOOL_API_KEY", f"{SECRET}\nX: y")
    with pytest.raises(UsageError, match="no key") as told:
        VlmReader(VlmOptions("https://example.org/v1", "m", cache=tmp_path))
    assert SECRET not in str(told.value)
    with pytest.raises(UsageError, match="--base-url and --model"):
        make_reading(EngineOptions("vlm"))
    assert issubclass(Failed, Exception)
