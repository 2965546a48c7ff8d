"""Metrics that cannot see their own answers: noise scores chance, F1 is F1, silhouettes are scikit-learn's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score, silhouette_score

from comictool.core.errors import InputError, UsageError
from comictool.datasets.splitting.split import SplitOptions, split_dataset
from comictool.elric.emotions import emotion_metrics, macro_f1, silhouette
from comictool.elric.evaluate import EvaluationOptions, evaluate_characters, gather, load_models
from comictool.elric.identity import knn_within_comics, linear_within_comics, retrieval_within_comics
from comictool.elric.sources import Character
from comictool.plugins.load import EncoderSpec
from tests.elric.drawn import make_corpus


def many(comics: int = 8, pages: int = 12, identities: int = 4) -> list[Character]:
    """Two appearances of each identity on every page, in one panel."""
    return [
        Character(f"comic_{comic}", page, 1, str(identity), valence=1 + page % 2, arousal=1 + identity % 3)
        for comic in range(comics)
        for page in range(pages)
        for identity in range(identities)
        for _ in range(2)
    ]


def test_noise_scores_chance() -> None:
    """The released evaluator reported 28.75 % for 16 classes of noise, where chance is 6.25 %."""
    characters = many()
    noise = np.random.default_rng(0).normal(size=(len(characters), 8)).astype(np.float32)
    metrics = knn_within_comics(noise, characters, 5).metrics("5-NN")
    probe = linear_within_comics(noise[:192], characters[:192], folds=2, seed=0)
    assert abs(probe.accuracy - 0.25) < 0.12
    metrics += retrieval_within_comics(noise, characters, "noise")
    for metric in metrics:
        assert abs(metric.value - metric.chance) < 0.04, metric
        assert not metric.value > metric.chance + 0.04
        assert metric.low <= metric.chance + 0.02
    assert metrics[0].chance == pytest.approx(0.25, abs=0.01)


def test_vectors_of_the_page_say_nothing_about_identities() -> None:
    """Twins on one page are the nearest of all; they are no candidates."""
    characters = many()
    rng = np.random.default_rng(1)
    place = {key: rng.normal(size=8) for key in dict.fromkeys((c.comic, c.page, c.identity) for c in characters)}
    vectors = np.array([place[c.comic, c.page, c.identity] for c in characters], np.float32)
    assert knn_within_comics(vectors, characters, 1).accuracy < 0.32
    assert retrieval_within_comics(vectors, characters, "x")[1].value < 0.32


def test_vectors_of_identities_score_one() -> None:
    characters = many(3, 4)
    rng = np.random.default_rng(2)
    place = {label: rng.normal(size=8) for label in dict.fromkeys(c.label for c in characters)}
    vectors = np.array([place[c.label] + 0.01 * rng.normal(size=8) for c in characters], np.float32)
    assert knn_within_comics(vectors, characters, 5).accuracy == 1.0
    assert [metric.value for metric in retrieval_within_comics(vectors, characters, "x")] == [1.0, 1.0]
    assert linear_within_comics(vectors, characters, folds=2, seed=0).accuracy == 1.0


def test_equal_identities_of_other_comics_are_no_answers() -> None:
    """The released code merged them: here comic b's 0 looks like comic a's 1."""
    characters = [Character(comic, page, 1, str(i)) for comic in "ab" for page in range(6) for i in range(2)]
    look = {("a", "0"): 0, ("a", "1"): 1, ("b", "0"): 1, ("b", "1"): 0}
    vectors = np.eye(2, dtype=np.float32)[[look[c.comic, c.identity] for c in characters]]
    assert knn_within_comics(vectors, characters, 3).accuracy == 1.0


# --- feelings --------------------------------------------------------------------------------------------------------


def test_macro_f1_is_scikit_learns() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        truth, answers = rng.integers(0, 4, 30), rng.integers(0, 4, 30)
        assert macro_f1(truth, answers) == pytest.approx(f1_score(truth, answers, average="macro"))
    assert macro_f1(np.array([0, 0, 1]), np.array([0, -1, 1])) == pytest.approx((2 / 3 + 1) / 2)


def test_silhouettes_are_scikit_learns_and_real() -> None:
    rng = np.random.default_rng(4)
    for classes in (2, 5):
        points, labels = rng.normal(size=(40, 3)), rng.integers(0, classes, 40).astype(str)
        labels[0] = "alone"
        apart = np.linalg.norm(points[:, None] - points[None], axis=2)
        assert silhouette(apart, labels) == pytest.approx(silhouette_score(apart, labels, metric="precomputed"))
    assert silhouette(np.zeros((4, 4)), np.array(["a", "a", "b", "b"])) == 0.0


def test_every_identity_counts_once_and_small_ones_are_counted() -> None:
    characters = many(2, 12) + [Character("small", page, 1, "x", valence=1 + page % 2) for page in range(5)]
    characters += [Character("plain", page, 1, "x", valence=3) for page in range(12)]
    vectors = np.eye(6, dtype=np.float32)[[c.valence for c in characters]]  # valence is all that the vectors say
    metrics, counts = emotion_metrics(vectors, characters, "valence", "model", k=3, seed=0)
    assert counts == {"identities": 10, "too few samples": 1, "one class or one page": 1, "measured": 8}
    assert [metric.value for metric in metrics] == pytest.approx([1.0, 1.0, 1.0])
    assert metrics[0].count == 8
    assert metrics[0].chance == pytest.approx(0.5, abs=0.1)
    noise = np.random.default_rng(5).normal(size=(len(characters), 8)).astype(np.float32)
    for metric in emotion_metrics(noise, characters, "valence", "model", k=3, seed=0)[0]:
        assert metric.low - 0.05 < metric.chance


def test_nothing_annotated_gives_no_figures(tmp_path: Path) -> None:
    characters = [Character("a", page, 1, "x") for page in range(12)]
    metrics, counts = emotion_metrics(np.ones((12, 2), np.float32), characters, "valence", "m", k=3, seed=0)
    assert counts["identities"] == 0
    assert [metric.count for metric in metrics] == [0, 0, 0]


# --- the whole evaluation -------------------------------------------------------------------------------------------


def test_a_split_by_page_has_a_bank_and_a_split_by_comic_has_none(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus", comics=2, pages=6)
    encoders = load_models([EncoderSpec("classic")], [EncoderSpec("classic_character")], untrained=True)
    assert [name for name, _ in encoders] == ["classic", "classic_character"]  # without weights nothing is untrained
    split_dataset(corpus, split=SplitOptions(ratios=(1, 0, 1), by="page", level="characters"))
    parts = [gather(corpus.root, split, 16) for split in ("test", "train")]
    metrics, facts = evaluate_characters(encoders, *parts, EvaluationOptions(neighbours=1))
    named = {metric.name: metric for metric in metrics}
    assert named["classic: from the bank, 1-NN accuracy"].value == 1.0
    assert named["classic_character: within comics, 1-NN accuracy"].value == 1.0
    assert facts["bank"] == len(parts[1].characters)
    split_dataset(corpus, split=SplitOptions(ratios=(1, 0, 1), by="comic", level="characters"))
    parts = [gather(corpus.root, split, 16) for split in ("test", "train")]
    metrics, facts = evaluate_characters(encoders[:1], *parts, EvaluationOptions(neighbours=1, linear=False))
    assert not any("bank" in metric.name for metric in metrics)
    assert "no identity" in facts["bank"]
    with pytest.raises(UsageError, match="no model"):
        evaluate_characters([], parts[0])
    alone = gather(make_corpus(tmp_path / "alone", comics=2, pages=1).root, "all", 16)
    with pytest.raises(InputError, match="no character can be asked"):  # a table of nothing says nothing
        evaluate_characters(encoders[:1], alone, options=EvaluationOptions(neighbours=1))


def test_equal_vectors_score_chance() -> None:
    """4F.25: identities side by side on neighbouring pages, and vectors that are all the same."""
    characters = [Character("comic", page, 1, str(page // 6)) for page in range(30) for _ in range(3)]
    for metric in retrieval_within_comics(np.ones((90, 8), np.float32), characters, "equal"):
        assert metric.value == pytest.approx(metric.chance, abs=1e-9), metric.name
    assert not any(m.beats_chance for m in knn_within_comics(np.ones((90, 8), np.float32), characters, 5).metrics(""))
