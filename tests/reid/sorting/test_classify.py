"""One record a picture, decided by the rules, streamed, resumable."""

from __future__ import annotations

import os

import pytest

from comictool.core.errors import Stopped
from comictool.reid.sorting.rules import Rules
from tests.reid.sorting.world import World


def test_every_picture_gets_one_record(world: World) -> None:
    world.target("between.png", "hero 1 villain 1")
    results = {
        os.path.relpath(r.decision.path, world.targets): r for r in world.sort(rules=Rules(threshold=0.6, margin=0.02))
    }
    assert {name: r.decision.status for name, r in results.items()} == {
        "a/one.png": "ok",
        "b/one.png": "ok",
        "c/deep/er/two.png": "ok",
        "between.png": "ambiguous",
        "nobody.png": "unknown",
        "spoilt.png": "error",
    }
    record = results["a/one.png"].as_record()
    assert record["character"] == "hero"
    assert record["candidates"][0]["reference"] == str(world.root / "refs/0.png")
    assert [c["character"] for c in record["candidates"]] == ["hero", "villain"]
    assert record["margin"] == pytest.approx(record["candidates"][0]["score"] - record["candidates"][1]["score"])
    assert record["threshold"] == 0.6
    assert results["spoilt.png"].as_record()["error"] == "damaged"
    assert results["nobody.png"].decision.character is None
    assert results["nobody.png"].decision.candidates, "who came nearest is told for unknown ones too"


def test_without_threshold_every_picture_is_given_a_character(world: World) -> None:
    assert {r.decision.status for r in world.sort(rules=Rules())} == {"ok", "error"}


def test_a_reference_among_the_targets_keeps_its_name_and_does_not_match_itself(world: World) -> None:
    """Defect 16: at distance 0 from itself it says nothing. But who it shows was said when it was enrolled."""
    text = world.references[0].path.read_text()
    world.target("same.png", text)
    (result,) = [r for r in world.sort(rules=Rules()) if r.decision.path.endswith("same.png")]
    assert (result.decision.status, result.decision.character) == ("ok", "hero")
    assert result.decision.score == 1.0, "F3: as like as a picture is to itself"
    assert [candidate.character for candidate in result.decision.candidates] == ["villain"]
    assert result.enrolled_as == "hero"
    (result,) = [r for r in world.sort(rules=Rules(own_references=True)) if r.decision.path.endswith("same.png")]
    assert (result.decision.character, result.decision.score) == ("hero", 1.0)


def test_results_come_while_the_rest_is_still_to_be_decided(world: World) -> None:
    for number in range(20):
        world.target(f"z{number:02d}.png", "hero 1")
    stream = world.stream()
    assert next(stream).decision.status == "ok"
    assert not (world.result / "hero/z19.png").exists()
    assert (world.result / "hero/one.png").exists()
    stream.close()


def test_a_signal_finishes_what_runs_and_leaves_a_run_to_go_on_with(world: World) -> None:
    import signal

    stream = world.stream()
    next(stream)
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(Stopped, match="1 of 5"):
        next(stream)
    results = world.sort(resume=True)
    assert [r.earlier for r in results] == [True, False, False, False, False]


def test_another_setting_starts_over(world: World) -> None:
    stream = world.stream()
    next(stream)
    stream.close()
    results = world.sort(resume=True, rules=Rules(threshold=0.5))
    assert not any(r.earlier for r in results)


def test_what_a_run_put_there_is_no_target(world: World) -> None:
    inside = World(world.root, world.references, world.vectors)
    inside.target("x.png", "hero 1")
    first = list(inside.sort())
    # Sort the result folder's parent: everything there that a run wrote is passed over.
    from comictool.reid.sorting.actions import SortOptions
    from comictool.reid.sorting.classify import classify
    from tests.reid.sorting.world import embed

    files = sorted(file for file in world.result.rglob("*.png"))
    assert len(files) == len([r for r in first if r.placed.destination])
    again = list(
        classify(files, inside, embed, Rules(), encoder_id="fake", options=SortOptions("copy"), root=world.result)
    )
    assert again == []
