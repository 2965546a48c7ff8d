"""Who can be told from whom, by the references alone: mode, margin and what the user is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from comictool.reid.apart import best_mode, confusions, fitted_margin, leave_out
from comictool.reid.calibration import Thresholds, decide
from comictool.reid.configuration import read_config
from comictool.reid.enrolled import EnrolledSet
from comictool.reid.gallery import Gallery
from comictool.reid.reader import PictureReader
from comictool.reid.references import ReferenceSet
from comictool.reid.scoring import score_characters
from comictool.reid.sorting.rules import rules_for
from comictool.reid.types import Reference
from tests.reid.drawings import drawing, save


def references(means: dict[str, np.ndarray], count: int = 6, spread: float = 0.1, seed: int = 0) -> ReferenceSet:
    rng = np.random.default_rng(seed)
    rows, found = [], []
    for name, mean in means.items():
        for number in range(count):
            row = mean + spread * rng.normal(size=len(mean))
            rows.append(row / np.linalg.norm(row))
            found.append(Reference(name, Path(f"{name}/{number}.png"), f"{name}{number}"))
    return ReferenceSet(found, np.array(rows, np.float32), "key")


TWINS = {"akane": np.eye(8)[0] + 0.02 * np.eye(8)[1], "masato": np.eye(8)[0], "zoe": np.eye(8)[3]}


def test_a_reference_is_named_by_the_others_alone() -> None:
    found = references(TWINS)
    for mode in ("max", "centroid"):
        left = leave_out(found, mode)
        for place in (0, 7, 13):
            rest = [at for at in range(len(found.references)) if at != place]
            others = found.of([at != place for at in range(len(found.references))])
            assert len(others.references) == len(rest)
            alone = score_characters(found.vectors[[place]], others.vectors, others.labels.astype(str), mode)
            np.testing.assert_allclose(left.scores.scores[place], alone.scores[0], atol=2e-6)


def test_characters_that_look_alike_are_told_with_whom_to_add() -> None:
    (line,) = confusions(leave_out(references(TWINS), "centroid"))
    assert line.startswith("akane and masato can hardly be told apart:")
    assert line.split()[-1] in ("akane", "masato")
    apart = {name: np.eye(8)[place] for place, name in enumerate(TWINS)}
    assert confusions(leave_out(references(apart), "centroid")) == []


def test_the_margin_is_the_least_that_keeps_those_apart_who_pass_the_threshold() -> None:
    left = leave_out(references(TWINS, 20), "centroid")
    margin = fitted_margin(left, None)
    assert margin > 0
    named = np.array([verdict.status == "ok" for verdict in decide(left.scores, margin=margin)])
    assert (named & ~left.right).sum() <= 0.05 * named.sum()
    assert named[left.names == "zoe"].all(), "who is like nobody else is still named"
    nobody = Thresholds(0.05, "centroid", "cosine", overall=2.0)
    assert fitted_margin(left, nobody) == 0, "nobody passes, so nothing is to be kept apart"
    alone = references({"akane": np.eye(8)[0]})
    assert fitted_margin(leave_out(alone, "max"), None) == 0


def test_a_mode_is_taken_for_another_only_where_it_is_clearly_better() -> None:
    best, told = best_mode(references({name: np.eye(8)[place] for place, name in enumerate(TWINS)}))
    assert best.mode == "mixed"
    assert "max 1.000" in told
    # Each character has two sides that are opposite: their mean is like none of its pictures.
    sides = {f"{name}{sign}": sign * np.eye(8)[place] for place, name in enumerate(TWINS) for sign in (1, -1)}
    found = references(sides)
    both = [Reference(r.character.rstrip("-1"), r.path, r.digest) for r in found.references]
    best, _ = best_mode(ReferenceSet(both, found.vectors, "key"))
    assert best.mode == "knn:3"
    assert best.accuracy() == 1


def test_what_is_given_is_not_chosen() -> None:
    enrolled = EnrolledSet(references(TWINS, 20))
    rules, notes = rules_for(enrolled, far=0.9)
    assert rules.margin > 0
    assert isinstance(rules.threshold, Thresholds)
    assert any("akane and masato" in note for note in notes)
    assert (rules_for(enrolled, threshold=0.9)[0].mode, rules_for(enrolled, threshold=0.9)[0].margin) == ("max", 0)
    assert rules_for(enrolled, margin=0.0)[0].margin == 0
    assert rules_for(enrolled, mode="avg")[0].mode == "avg"
    assert rules_for(enrolled, threshold="none")[0].margin == 0, "every picture is given a name"
    assert rules_for(enrolled, legacy=True)[0] == rules_for(enrolled, mode="max", legacy=True, margin=0.0)[0]
    stored = EnrolledSet(enrolled.found, Thresholds(0.05, "knn:3", "cosine", overall=0.5))
    assert rules_for(stored)[0].mode == "knn:3", "those of the gallery"


def test_enrolling_tells_of_it(tmp_path: Path) -> None:
    for number in range(4):
        save(tmp_path / f"refs/akane/{number}.png", drawing("ann", number))
        save(tmp_path / f"refs/masato/{number}.png", drawing("ann", number + 10))
        save(tmp_path / f"refs/zoe/{number}.png", drawing("bob", number))
    reader = PictureReader(cached=False, jobs=1)
    warnings = Gallery.create(tmp_path / "gallery").enroll(read_config(tmp_path / "refs"), reader).warnings
    assert any("akane and masato can hardly be told apart" in line for line in warnings)
