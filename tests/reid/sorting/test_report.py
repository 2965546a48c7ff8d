"""The report shows what needs an eye first, and nothing from a name becomes markup."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comictool.reid.sorting import report_page
from comictool.reid.sorting.report_page import write_report
from comictool.reid.types import Candidate, Decision, Reference


def picture(path: Path, shade: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((40, 30, 3), shade, np.uint8)).save(path)
    return path


def decision(path: Path, status: str, score: float, margin: float, *names: str, refs: dict[str, Path]) -> Decision:
    candidates = [Candidate(n, score - margin * i, str(refs[n])) for i, n in enumerate(names)]
    named = None if status == "unknown" else names[0]
    return Decision(str(path), "d", status, named, score, 0.5, margin, candidates)  # type: ignore[arg-type]


def test_the_order_of_the_page(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    refs = {"hero": picture(tmp_path / "h.png", 10), evil: picture(tmp_path / "v.png", 200)}
    references = [Reference(name, path, "d") for name, path in refs.items()]
    decisions = [
        decision(picture(tmp_path / "sure.png", 11), "ok", 0.9, 0.5, "hero", evil, refs=refs),
        decision(picture(tmp_path / "close.png", 12), "ok", 0.8, 0.1, "hero", evil, refs=refs),
        decision(picture(tmp_path / "nobody.png", 99), "unknown", 0.3, 0.1, "hero", evil, refs=refs),
        decision(picture(tmp_path / "between.png", 98), "ambiguous", 0.7, 0.001, evil, "hero", refs=refs),
        Decision(str(tmp_path / "gone.png"), "", "error", None, None, None, None, error="damaged & cut"),
    ]
    assert write_report(tmp_path / "report.html", decisions, references, title="SortedPicture") == 0
    html = (tmp_path / "report.html").read_text()
    assert evil not in html
    assert "http" not in re.sub(r'<meta http-equiv="Content-Security-Policy"', "", html)
    places = [html.index(f'id="{anchor}"') for anchor in ("first", "confusions", "character-1", "errors")]
    assert places == sorted(places)
    first = html[places[0] : places[1]]
    order = [first.index(f"<legend>{name}.png") for name in ("between", "nobody", "close", "sure")]
    assert order == sorted(order), "the most uncertain comes first"
    assert "damaged &amp; cut" in html
    pair = html[html.index('id="confusions"') : html.index('id="character-1"')]
    assert pair.count("<img") == 3, "the picture between a reference of each"


def test_each_picture_stands_beside_the_reference_that_spoke_for_it_under_its_best_guess(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_page, "FIRST", 1)
    refs = {"hero": picture(tmp_path / "h.png", 10), "villain": picture(tmp_path / "v.png", 200)}
    decisions = [
        decision(picture(tmp_path / "first.png", 90), "unknown", 0.3, 0.01, "hero", "villain", refs=refs),
        decision(picture(tmp_path / "perhaps.png", 91), "unknown", 0.3, 0.1, "villain", "hero", refs=refs),
        decision(picture(tmp_path / "named.png", 92), "ok", 0.9, 0.3, "villain", "hero", refs=refs),
    ]
    write_report(tmp_path / "r.html", decisions, [Reference(n, p, "d") for n, p in refs.items()])
    html = (tmp_path / "r.html").read_text()
    own = html[html.index('<h2 id="character-2"') :]
    assert own.index("Perhaps villain") < own.index("perhaps.png") < own.index("Named villain") < own.index("named.png")
    assert own.count('alt="reference of villain"') == 2
    card = html[html.index('<fieldset class="card"') :]
    assert 'data-guess="hero"' in card[: card.index(">")]
    assert [card.count(f'value="{value}"') for value in ("yes", "no", "name")] == [3, 3, 3]


def test_only_the_script_of_the_page_may_run(tmp_path: Path) -> None:
    write_report(tmp_path / "r.html", [], [])
    html = (tmp_path / "r.html").read_text()
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{allowed}';" in html
    assert "fetch(" not in script
    assert "innerHTML" not in script, "names reach the page as texts only"


def test_a_picture_that_moved_is_found_and_a_lost_one_is_counted(tmp_path: Path) -> None:
    refs = {"hero": picture(tmp_path / "h.png", 10)}
    moved = decision(tmp_path / "was.png", "ok", 0.9, 0.5, "hero", refs=refs)
    now = picture(tmp_path / "hero/was.png", 30)
    references = [Reference("hero", refs["hero"], "d")]
    assert write_report(tmp_path / "r.html", [moved], references, places={moved.path: now}) == 0
    assert write_report(tmp_path / "r.html", [moved], references) == 1


def test_a_large_run_makes_a_page_of_bounded_size(tmp_path: Path, monkeypatch: object) -> None:
    monkeypatch.setattr(report_page, "MOST_PICTURES", 20)  # type: ignore[attr-defined]
    refs = {"hero": picture(tmp_path / "h.png", 10)}
    decisions = [decision(refs["hero"], "ok", 0.9, 0.5, "hero", refs=refs) for _ in range(100)]
    write_report(tmp_path / "r.html", decisions, [Reference("hero", refs["hero"], "d")])
    html = (tmp_path / "r.html").read_text()
    assert html.count("<img") - html.count('<div class="deciding">') == 20
    assert "80 more are not shown" in html
