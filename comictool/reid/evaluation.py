"""What a set of labelled pictures says about vectors and options: closed set, open set, pairs, clusters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from comictool.core.errors import InputError, UsageError
from comictool.measure.agreement import clustering_agreement, confusion
from comictool.measure.chance import random_precision, random_rank
from comictool.measure.intervals import Z95
from comictool.measure.metrics import Metric, share, statistic
from comictool.measure.retrieval import Retrieval, macro, retrieval
from comictool.measure.verification import detection_at, equal_error_rate, error_rates, false_positives_at
from comictool.reid.calibration import calibrate, decide
from comictool.reid.clustering import cluster
from comictool.reid.reranking import MOST_RERANKED, centred, k_reciprocal
from comictool.reid.scoring import same_group, score_characters, similarity
from comictool.reid.surroundings import LEAST_TARGETS

# Small circles: a character has a handful of pictures, not the dozens of the surveillance sets the method was made for.
# With 6 and 2 re-ranking raises mAP by .05 on both test series and macro rank-1 stays; with the paper's 20 and 6 macro
# rank-1 falls by .12 and .19 (tests/bench/reid_accuracy.py).
NEAR, EXPAND = 6, 2
PROTOTYPES = ("max", "centroid", "knn:3")  # what `choose_mode` compares: nearest, prototype, and between
MOST_PAIRS = 10_000  # pictures whose pairs are all ranked for mAP: 0.4 GB
ALL_PAIRS = 2_000  # pictures of which every pair is verified; of more, a million pairs of each kind are drawn
DRAWN_PAIRS = 1_000_000
SHUFFLES = 20  # of names, for the chance level of clusters
LEFT_OUT = 20  # groups of characters, each left out once, for their interval


def page_mask(groups: Sequence[str] | np.ndarray) -> np.ndarray:
    """(N, N) bool: pairs of one page (an empty page is a picture's own), and each picture with itself."""
    names = np.asarray(groups, dtype=str)
    mask: np.ndarray = same_group(list(names), list(names))(0, len(names))
    np.fill_diagonal(mask, True)
    return mask


def choose_mode(
    references: np.ndarray,
    labels: Sequence[str] | np.ndarray,
    groups: Sequence[str] | np.ndarray,
    modes: Sequence[str] = PROTOTYPES,
) -> tuple[str, dict[str, float]]:
    """Nearest reference or prototype: the mode with the best macro rank-1 when each reference is left out in turn.

    Args:
        groups: page or content of each reference; the others of its group are left out with it.

    Returns:
        the mode (the first of equals) and every mode's macro rank-1. Where nothing can be left out, the first mode.
    """
    names, mask = np.asarray(labels, dtype=str), page_mask(groups)
    can = _answerable(names, mask)
    figures = {}
    for mode in modes:
        scores = score_characters(references, references, names, mode, excluded=mask)
        first = np.asarray(scores.characters)[scores.order()[:, 0]]
        figures[mode] = macro(first[can] == names[can], names[can]) if can.any() else 0.0
    return max(modes, key=lambda mode: figures[mode]), figures


@dataclass(frozen=True)
class Evaluation:
    """Everything `reid evaluate` reports.

    Attributes:
        pictures, characters, answered: how many; `answered` could be right (another page shows their character).
        ranking: what retrieval figures were ranked by, `k-reciprocal` or `cosine`.
        figures: rank1, rank5, macro_rank1, macro_rank5, map, map_at_r, eer, fpr_at_fnr (at 5 % false negatives);
            open-set rates dir_at_far_* with the best threshold, as the literature gives it, and open_set_*_* with
            fitted ones; ari, ami, nmi of clusters made without labels.
        names, confusion: the matrix of the closed set, rows truth, columns answers; the last name, "", is no answer.
        by_character: name -> pictures that count, rank-1.
        notes: what was left out.
    """

    pictures: int
    characters: int
    answered: int
    ranking: str
    figures: dict[str, Metric]
    names: list[str]
    confusion: np.ndarray
    by_character: dict[str, tuple[int, float]]
    notes: list[str] = field(default_factory=list)

    def facts(self) -> dict[str, Any]:
        """All but the figures, as plain values."""
        return {
            "pictures": self.pictures,
            "characters": self.characters,
            "answered": self.answered,
            "ranking": self.ranking,
            "names": self.names,
            "confusion": self.confusion.tolist(),
            "by_character": {
                name: {"pictures": count, "rank1": round(share, 4)}
                for name, (count, share) in self.by_character.items()
            },
        }


def evaluate(
    vectors: np.ndarray,
    labels: Sequence[str] | np.ndarray,
    groups: Sequence[str] | np.ndarray | None = None,
    *,
    rerank: bool = True,
    mode: str = "max",
    centre: bool = True,
    parts: Sequence[int] = (),
    fars: Sequence[float] = (0.01, 0.1),
    halves: int = 20,
    seed: int = 0,
) -> Evaluation:
    """Measure labelled vectors against each other, candidates of the query's own group excluded.

    Args:
        vectors: (N, D) unit rows.
        labels: N characters.
        groups: N pages; pictures of one page do not answer for each other. None: every picture is its own.
        rerank: rank by k-reciprocal similarity in place of cosines, up to `MOST_RERANKED` pictures; not for naming,
            pairs and open sets, where a score must not depend on the other queries.
        mode: of the closed and open set scores.
        centre: take off what all vectors have in common, as `reid classify` does (`comictool.reid.common`).
        parts: of joined vectors, see `comictool.reid.reranking.less`.
        fars: false acceptance rates of the open set.
        halves: random halves of the characters that are enrolled in turn.

    Raises:
        InputError: shapes that do not fit, or fewer than two characters.
        UsageError: too many pictures to hold every pair.
    """
    names = np.asarray(labels, dtype=str)
    pages = np.full(len(names), "") if groups is None else np.asarray(groups, dtype=str)
    if len(names) != len(vectors) or len(pages) != len(vectors):
        raise InputError(f"{len(vectors)} vectors, {len(names)} labels and {len(pages)} groups do not fit together")
    if len(np.unique(names)) < 2:
        raise InputError("an evaluation needs pictures of two characters at least", hint="one folder a character")
    if len(names) > MOST_PAIRS:
        raise UsageError(
            f"{len(names)} pictures are too many to compare every pair", hint=f"take {MOST_PAIRS} of them, or fewer"
        )
    if centre and len(vectors) >= LEAST_TARGETS:
        vectors = centred(vectors, vectors, parts)
    mask = page_mask(pages)
    alike = similarity(vectors, vectors)
    reranked = rerank and len(names) <= MOST_RERANKED
    ranked_by = _reranked(vectors, mask, seed) if reranked else alike
    found = retrieval(ranked_by, names, names, mask)
    scores = score_characters(vectors, vectors, names, mode, excluded=mask)
    answers = [verdict.character for verdict in decide(scores)]
    table_names, table = confusion([str(name) for name in names], answers)
    known = found.answered
    best = np.array([answers[i] == names[i] for i in range(len(names))])
    figures = _retrieval_figures(found, names, mask) | _pair_figures(alike, names, mask, pages, seed)
    for far in fars:
        figures[f"dir_at_far_{far:g}"] = _best_detection(vectors, names, pages, mode, far, halves, seed)
        figures |= open_set(vectors, names, pages, far=far, mode=mode, halves=halves, seed=seed).figures()
    figures |= _cluster_figures(names, _clustered(vectors, seed), seed)
    return Evaluation(
        pictures=len(names),
        characters=len(np.unique(names)),
        answered=len(known),
        ranking="k-reciprocal" if reranked else "cosine",
        figures=figures,
        names=table_names,
        confusion=table,
        by_character={
            str(name): (int((names[known] == name).sum()), float(best[known][names[known] == name].mean()))
            for name in np.unique(names[known])
        },
    )


def _clustered(vectors: np.ndarray, seed: int) -> np.ndarray:
    """Clusters of the set in a drawn order, for the reason of `_reranked`."""
    drawn = np.random.default_rng(seed).permutation(len(vectors))
    found = np.empty(len(drawn), np.int64)
    found[drawn] = cluster(vectors[drawn])
    return found


def _reranked(vectors: np.ndarray, mask: np.ndarray, seed: int) -> np.ndarray:
    """k-reciprocal similarities, whose neighbours of equal distance go by place: the places are drawn, since sets lie
    in page order, where neighbours often show one character.
    """
    drawn = np.random.default_rng(seed).permutation(len(vectors))
    both = np.ix_(drawn, drawn)
    found = np.empty((len(drawn), len(drawn)), np.float32)
    found[both] = k_reciprocal(vectors[drawn], near=NEAR, expand=EXPAND, excluded=mask[both])
    return found


def _answerable(names: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(N,) bool: another group shows the same character."""
    able: np.ndarray = ((names[:, None] == names[None, :]) & ~mask).any(axis=1)
    return able


def _retrieval_figures(found: Retrieval, names: np.ndarray, mask: np.ndarray) -> dict[str, Metric]:
    """Closed set; chance is a random ranking of the same candidates."""
    candidates = (~mask).sum(axis=1)[found.answered]
    right = ((names[:, None] == names[None, :]) & ~mask).sum(axis=1)[found.answered]
    count, figures = len(right), {}
    for k in (1, 5):
        hit, chance = found.within(k), random_rank(candidates, right, k)
        figures[f"rank{k}"] = share(f"rank-{k}", hit, _mean(chance))
        of_characters = partial(_chosen_macro, hit, found.labels)
        figures[f"macro_rank{k}"] = statistic(f"macro rank-{k}", count, of_characters, macro(chance, found.labels))
    for key, name, values, chance in (
        ("map", "mAP", found.precision, random_precision(candidates, right)),
        ("map_at_r", "mAP@R", found.at_r, random_precision(candidates, right, right)),
    ):
        figures[key] = statistic(name, count, partial(_chosen_mean, values), _mean(chance))
    return figures


def _chosen_mean(values: np.ndarray, chosen: np.ndarray) -> float:
    return float(values[chosen].mean())


def _chosen_macro(right: np.ndarray, labels: np.ndarray, chosen: np.ndarray) -> float:
    return macro(right[chosen], labels[chosen])


def _cluster_figures(names: np.ndarray, clusters: np.ndarray, seed: int) -> dict[str, Metric]:
    """Agreement of clusters with the names; chance is that with the names shuffled.

    The interval is that of a jackknife over groups of characters (Efron 1982): drawing pictures with replacement, as
    bootstraps do, puts copies of one picture into one cluster and would count them as found.
    """
    rng = np.random.default_rng(seed)
    values = clustering_agreement(names.tolist(), clusters)
    guesses = [clustering_agreement(rng.permutation(names).tolist(), clusters) for _ in range(SHUFFLES)]
    parted = np.array_split(rng.permutation(np.unique(names)), LEFT_OUT)
    left = [~np.isin(names, part) for part in parted if len(part)]
    without = [clustering_agreement(names[own].tolist(), clusters[own]) for own in left if own.any()]
    figures, n = {}, len(without)
    for key, value in values.items():
        parts = np.array([part[key] for part in without])
        half = Z95 * float(np.sqrt((n - 1) / n * ((parts - parts.mean()) ** 2).sum())) if n > 2 else float("nan")
        chance = float(np.mean([guess[key] for guess in guesses]))
        figures[key] = Metric(
            f"clusters, {key.upper()}", value, value - half, min(1.0, value + half), chance, len(names)
        )
    return figures


def _pair_figures(
    alike: np.ndarray, names: np.ndarray, mask: np.ndarray, pages: np.ndarray, seed: int
) -> dict[str, Metric]:
    """Verification of every pair of different pages; intervals by drawing pictures, whose pairs stand together."""
    left, right = _pairs(names, seed)
    allowed = ~mask[left, right]
    left, right = left[allowed], right[allowed]
    same = names[left] == names[right]
    if not same.any() or same.all():
        return {}
    return pair_figures(alike[left, right], same, groups=names[left])


def _pairs(names: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of every pair, or of a sample: error rates are shares of same and of different pairs, each by itself."""
    if len(names) <= ALL_PAIRS:
        left, right = np.triu_indices(len(names), 1)
        return left, right
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(names), size=(2, DRAWN_PAIRS))
    different = drawn[:, names[drawn[0]] != names[drawn[1]]]
    members = [np.flatnonzero(names == name) for name in np.unique(names)]
    chances = np.array([len(own) * (len(own) - 1) for own in members], np.float64)
    same = [np.zeros((2, 0), np.int64)]
    for own, part in zip(members, chances / max(chances.sum(), 1), strict=True):
        pairs = own[np.array(np.triu_indices(len(own), 1))]
        most = max(1, round(part * DRAWN_PAIRS))
        same.append(pairs if pairs.shape[1] <= most else pairs[:, rng.choice(pairs.shape[1], most, replace=False)])
    left, right = np.concatenate([different, *same], axis=1)
    return left, right


def pair_figures(
    scores: np.ndarray,
    same: np.ndarray,
    *,
    false_negatives: float = 0.05,
    groups: Sequence[str] | np.ndarray | None = None,
) -> dict[str, Metric]:
    """`eer` and `fpr_at_fnr` of scored pairs, the pair-file mode of the evaluation. Scores that say nothing accept as
    many different as same pairs, which is the chance level.

    Args:
        groups: what pairs are drawn by for the interval (their first character); None: each on its own.

    Raises:
        InputError: pairs of one kind only.
    """
    truth = np.asarray(same, dtype=bool)
    error_rates(scores, truth)  # refuses pairs of one kind

    def guarded(chosen: np.ndarray, of: Callable[[np.ndarray, np.ndarray], float]) -> float:
        if truth[chosen].all() or not truth[chosen].any():
            return float("nan")
        return of(scores[chosen], truth[chosen])

    draws = 200 if len(truth) < 200_000 else 20
    at_most = partial(false_positives_at, false_negatives=false_negatives)
    return {
        key: statistic(
            name, len(truth), partial(guarded, of=of), chance, groups=groups, higher_is_better=False, draws=draws
        )
        for key, name, of, chance in (
            ("eer", "equal error rate", equal_error_rate, 0.5),
            ("fpr_at_fnr", f"false positives at {false_negatives:.0%} false negatives", at_most, 1 - false_negatives),
        )
    }


@dataclass(frozen=True)
class OpenSet:
    """Fitted thresholds on characters they were not fitted on, in random halves.

    Attributes:
        far: the false acceptance rate asked for.
        halves: (H, 4), for each half: the share of pictures of characters not enrolled that was given a name; the share
            of pictures of enrolled characters given the right name (other pages only); the same without any threshold;
            and what guessing gets, the name that most of them have.
    """

    far: float
    halves: np.ndarray

    @property
    def accepted(self) -> float:
        """Impostors that were given a name, the mean of the halves."""
        return _mean(self.halves[:, 0])

    @property
    def worst_half(self) -> float:
        """The same in the worst half."""
        return float(self.halves[:, 0].max(initial=-np.inf)) if len(self.halves) else float("nan")

    @property
    def detected(self) -> float:
        """Pictures of enrolled characters that were named rightly."""
        return _mean(self.halves[:, 1])

    @property
    def closed(self) -> float:
        """The same without any threshold, the ceiling of `detected`."""
        return _mean(self.halves[:, 2])

    def figures(self) -> dict[str, Metric]:
        """Means with 95 % of the halves; guessing names as large a share of all pictures as impostors were named."""
        title, key, guess = f"open set, FAR {self.far:g}:", f"open_set_{self.far:g}_", _mean(self.halves[:, 3])
        by_chance = _mean(self.halves[:, 0] * self.halves[:, 3])
        return {
            f"{key}accepted": _of_halves(f"{title} impostors named", self.halves[:, 0], float("nan"), better=False),
            f"{key}detected": _of_halves(f"{title} named rightly", self.halves[:, 1], by_chance),
            f"{key}closed": _of_halves(f"{title} named rightly without a threshold", self.halves[:, 2], guess),
        }


def _of_halves(name: str, rates: np.ndarray, chance: float, *, better: bool = True) -> Metric:
    rates = rates[np.isfinite(rates)]
    low, high = np.percentile(rates, [2.5, 97.5]) if len(rates) else (float("nan"), float("nan"))
    return Metric(name, _mean(rates), float(low), float(high), chance, len(rates), better)


def random_halves(labels: np.ndarray, halves: int, seed: int) -> list[np.ndarray]:
    """(N,) bool masks: pictures of a random half of the characters, two at least."""
    characters = np.unique(labels)
    rng = np.random.default_rng(seed)
    size = max(2, len(characters) // 2)
    return [np.isin(labels, rng.choice(characters, size, replace=False)) for _ in range(halves)]


def open_set(
    vectors: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    *,
    far: float,
    mode: str = "max",
    halves: int = 20,
    seed: int = 0,
    per_character: bool = False,
) -> OpenSet:
    """Enrol random halves of the characters, calibrate on their pictures alone, and name everything."""
    rows = []
    for enrolled in random_halves(labels, halves, seed):
        if enrolled.all():
            continue
        own, names = vectors[enrolled], labels[enrolled]
        mask = page_mask(groups[enrolled])
        thresholds = calibrate(own, names, far=far, mode=mode, per_character=per_character, excluded=mask)
        scores = score_characters(own, own, names, mode, excluded=mask)
        can = _answerable(names, mask)
        named = np.array(
            [verdict.character == name for verdict, name in zip(decide(scores, thresholds), names, strict=True)]
        )
        closed = np.array([verdict.character == name for verdict, name in zip(decide(scores), names, strict=True)])
        apart = same_group(list(groups[~enrolled]), list(groups[enrolled]))
        impostors = score_characters(vectors[~enrolled], own, names, mode, excluded=apart)
        accepted = [verdict.status != "unknown" for verdict in decide(impostors, thresholds)]
        rows.append((np.mean(accepted), _mean(named[can]), _mean(closed[can]), _commonest(names[can])))
    return OpenSet(far, np.array(rows, np.float64).reshape(-1, 4))


def _best_detection(
    vectors: np.ndarray, labels: np.ndarray, groups: np.ndarray, mode: str, far: float, halves: int, seed: int
) -> Metric:
    """Detection at the threshold that the impostors themselves give: mean, and 95 % of the halves."""
    rates, guesses = [], []
    for enrolled in random_halves(labels, halves, seed):
        if enrolled.all():
            continue
        own, names, mask = vectors[enrolled], labels[enrolled], page_mask(groups[enrolled])
        scores = score_characters(own, own, names, mode, excluded=mask)
        can = _answerable(names, mask)
        first = np.asarray(scores.characters)[scores.order()[:, 0]]
        apart = same_group(list(groups[~enrolled]), list(groups[enrolled]))
        impostors = score_characters(vectors[~enrolled], own, names, mode, excluded=apart).scores.max(axis=1)
        rates.append(detection_at(scores.scores.max(axis=1)[can], (first == names)[can], impostors, far)[0])
        guesses.append(far * _commonest(names[can]))
    name = f"named rightly at FAR {far:g}, best threshold"
    return _of_halves(name, np.array(rates, np.float64), _mean(np.array(guesses)))


def _commonest(names: np.ndarray) -> float:
    """The share of the most frequent name: the best that can be said of all alike."""
    return float(np.unique(names, return_counts=True)[1].max() / len(names)) if len(names) else float("nan")


def _mean(values: np.ndarray) -> float:
    """Of what is a number; nan for none."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
