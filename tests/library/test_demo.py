from __future__ import annotations

from pathlib import Path

import pytest

from comictool.library import demo
from comictool.library.demo import DemoFailed, run_demo
from comictool.search.query import Hit


def test_the_demo_answers_its_questions_and_says_so(tmp_path: Path) -> None:
    report = run_demo(tmp_path / "demo", seed=7)
    assert [question.right for question in report.questions] == [True, True, True]
    facts = report.facts()
    assert facts["pages"] == demo.PAGES
    assert facts["panels_right"] >= 0.6 * facts["panels_drawn"]  # drawn styles are harsh on purpose; see the benchmark
    page = report.page.read_text("utf-8")
    # Every page that is not as it was drawn is told, or the number of them (fault 6.15).
    wrong = [count for count in report.panels.values() if not count.is_right]
    assert (len(wrong), len(report.panels)) == (demo.PAGES - facts["pages_all_right"], demo.PAGES)
    assert f"Panels not as they were drawn: {len(wrong)} pages" in page
    assert (
        f"{facts['panels_drawn']} drawn, {facts['panels_found']} found, {facts['panels_right']} of them right" in page
    )
    assert page.count("Expected first:") == 3
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


def test_a_wrong_answer_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "PAGES", 10)
    monkeypatch.setattr(demo, "COMIC_PAGES", 5)

    def wrong(*arguments: object, **named: object) -> list[Hit]:
        return []

    monkeypatch.setattr(demo, "query", wrong)
    with pytest.raises(DemoFailed, match="found nothing"):
        run_demo(tmp_path / "demo", seed=7, jobs=1)
