"""What a set of labelled pictures says about vectors and options: closed set, open set, pairs, clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from comictool.core.errors import InputError, UsageError
from comictool.measure.agreement import clustering_agreement, confusion
from comictool.measure.intervals import bootstrap, wilson
from comictool.measure.retrieval import Retrieval, macro, retrieval
from comictool.measure.verification import detection_at, equal_error_rate, false_positives_at
from comictool.reid.calibration import calibrate, decide
from comictool.reid.clustering import cluster
from comictool.reid.reranking import MOST_RERANKED, k_reciprocal
from comictool.reid.scoring import same_group, score_characters, similarity

# Small circles: a character has a handful of pictures, not the dozens of the surveillance sets the method was made for.
# With 6 and 2 re-ranking raises mAP by .05 on both test series and macro rank-1 stays; with the paper's 20 and 6 macro
# rank-1 falls by .12 and .19 (tests/bench/reid_accuracy.py).
NEAR, EXPAND = 6, 2
PROTOTYPES = ("max", "centroid", "knn:3")  # what `choose_mode` compares: nearest, prototype, and between
MOST_PAIRS = 10_000  # pictures whose pairs are all ranked for mAP: 0.4 GB
ALL_PAIRS = 2_000  # pictures of which every pair is verified; of more, a million pairs of each kind are drawn
DRAWN_PAIRS = 1_000_000


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
class Share:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float | None]:
        """Rounded to four decimals; null for what is not a number."""
        return {name: round(value, 4) if np.isfinite(value) else None for name, value in vars(self).items()}


@dataclass(frozen=True)
class Evaluation:
    """Everything `reid evaluate` reports.

    Attributes:
        pictures, characters, answered: how many; `answered` could be right (another page shows their character).
        ranking: what retrieval figures were ranked by, `k-reciprocal` or `cosine`.
        figures: rank1, rank5, macro_rank1, macro_rank5, map, map_at_r, eer, fpr_at_fnr (at 5 % false negatives), and
            open-set rates: dir_at_far_* with the best threshold, as the literature gives it.
        open_set: `OpenSet` rows of fitted thresholds.
        agreement: ari, ami, nmi of clusters made without labels.
        names, confusion: the matrix of the closed set, rows truth, columns answers; the last name, "", is no answer.
        by_character: name -> pictures that count, rank-1.
    """

    pictures: int
    characters: int
    answered: int
    ranking: str
    figures: dict[str, Share]
    open_set: list[OpenSet]
    agreement: dict[str, float]
    names: list[str]
    confusion: np.ndarray
    by_character: dict[str, tuple[int, float]]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "pictures": self.pictures,
            "characters": self.characters,
            "answered": self.answered,
            "ranking": self.ranking,
            "figures": {name: share.to_json() for name, share in self.figures.items()},
            "open_set": [{k: round(v, 4) if v == v else None for k, v in vars(row).items()} for row in self.open_set],
            "clustering": {name: round(value, 4) for name, value in self.agreement.items()},
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
    mask = page_mask(pages)
    alike = similarity(vectors, vectors)
    reranked = rerank and len(names) <= MOST_RERANKED
    ranked_by = k_reciprocal(vectors, near=NEAR, expand=EXPAND, excluded=mask) if reranked else alike
    found = retrieval(ranked_by, names, names, mask)
    scores = score_characters(vectors, vectors, names, mode, excluded=mask)
    answers = [verdict.character for verdict in decide(scores)]
    table_names, table = confusion([str(name) for name in names], answers)
    known = found.answered
    best = np.array([answers[i] == names[i] for i in range(len(names))])
    figures = _retrieval_shares(found, seed) | _pair_shares(alike, names, mask, pages, seed)
    for far in fars:
        figures[f"dir_at_far_{far:g}"] = _best_detection(vectors, names, pages, mode, far, halves, seed)
    return Evaluation(
        pictures=len(names),
        characters=len(np.unique(names)),
        answered=len(known),
        ranking="k-reciprocal" if reranked else "cosine",
        figures=figures,
        open_set=[open_set(vectors, names, pages, far=far, mode=mode, halves=halves, seed=seed) for far in fars],
        agreement=clustering_agreement([str(name) for name in names], cluster(vectors)),
        names=table_names,
        confusion=table,
        by_character={
            str(name): (int((names[known] == name).sum()), float(best[known][names[known] == name].mean()))
            for name in np.unique(names[known])
        },
    )


def _answerable(names: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(N,) bool: another group shows the same character."""
    able: np.ndarray = ((names[:, None] == names[None, :]) & ~mask).any(axis=1)
    return able


def _retrieval_shares(found: Retrieval, seed: int) -> dict[str, Share]:
    shares = {}
    for k in (1, 5):
        right = found.place <= k
        shares[f"rank{k}"] = Share(found.rank(k), *wilson(int(right.sum()), len(right)))

        interval = bootstrap(len(right), partial(_chosen_macro, right, found.labels), seed=seed)
        shares[f"macro_rank{k}"] = Share(found.macro_rank(k), *interval)
    for name, values in (("map", found.precision), ("map_at_r", found.at_r)):
        mean = float(values.mean()) if len(values) else float("nan")
        interval = bootstrap(len(values), partial(_chosen_mean, values), seed=seed)
        shares[name] = Share(mean, *interval)
    return shares


def _chosen_mean(values: np.ndarray, chosen: np.ndarray) -> float:
    return float(values[chosen].mean())


def _chosen_macro(right: np.ndarray, labels: np.ndarray, chosen: np.ndarray) -> float:
    return macro(right[chosen], labels[chosen])


def _pair_shares(
    alike: np.ndarray, names: np.ndarray, mask: np.ndarray, pages: np.ndarray, seed: int
) -> dict[str, Share]:
    """Verification of every pair of different pages; intervals by drawing pictures, whose pairs stand together."""
    left, right = _pairs(names, seed)
    allowed = ~mask[left, right]
    left, right = left[allowed], right[allowed]
    same = names[left] == names[right]
    if not same.any() or same.all():
        nothing = Share(float("nan"), float("nan"), float("nan"))
        return {"eer": nothing, "fpr_at_fnr": nothing}
    return pair_shares(alike[left, right], same, groups=names[left], seed=seed)


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
    for own, share in zip(members, chances / max(chances.sum(), 1), strict=True):
        pairs = own[np.array(np.triu_indices(len(own), 1))]
        most = max(1, round(share * DRAWN_PAIRS))
        same.append(pairs if pairs.shape[1] <= most else pairs[:, rng.choice(pairs.shape[1], most, replace=False)])
    left, right = np.concatenate([different, *same], axis=1)
    return left, right


def pair_shares(
    scores: np.ndarray,
    same: np.ndarray,
    *,
    false_negatives: float = 0.05,
    groups: Sequence[str] | np.ndarray | None = None,
    seed: int = 0,
) -> dict[str, Share]:
    """`eer` and `fpr_at_fnr` of scored pairs, the pair-file mode of the evaluation.

    Args:
        groups: what pairs are drawn by for the interval (their first character); None: each on its own.

    Raises:
        InputError: pairs of one kind only.
    """
    truth = np.asarray(same, dtype=bool)

    def guarded(chosen: np.ndarray, which: str) -> float:
        if truth[chosen].all() or not truth[chosen].any():
            return float("nan")
        return _pair_figure(scores[chosen], truth[chosen], which, false_negatives)

    draws = 200 if len(truth) < 200_000 else 20
    shares = {}
    for which in ("eer", "fpr_at_fnr"):
        interval = bootstrap(len(truth), partial(guarded, which=which), groups=groups, draws=draws, seed=seed)
        shares[which] = Share(_pair_figure(scores, truth, which, false_negatives), *interval)
    return shares


def _pair_figure(scores: np.ndarray, same: np.ndarray, which: str, false_negatives: float) -> float:
    return equal_error_rate(scores, same) if which == "eer" else false_positives_at(scores, same, false_negatives)


@dataclass(frozen=True)
class OpenSet:
    """Fitted thresholds on characters they were not fitted on, means over random halves.

    Attributes:
        far: the false acceptance rate asked for.
        accepted: the share of pictures of characters not enrolled that was given a name.
        worst_half: the same in the worst half.
        detected: the share of pictures of enrolled characters given the right name (other pages only).
        closed: the same without any threshold, the ceiling of `detected`.
    """

    far: float
    accepted: float
    worst_half: float
    detected: float
    closed: float


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
        strangers = score_characters(vectors[~enrolled], own, names, mode, excluded=apart)
        accepted = [verdict.status != "unknown" for verdict in decide(strangers, thresholds)]
        rows.append((np.mean(accepted), _mean(named[can]), _mean(closed[can])))
    if not rows:
        return OpenSet(far, *[float("nan")] * 4)
    table = np.array(rows)
    return OpenSet(
        far, float(table[:, 0].mean()), float(table[:, 0].max()), *map(float, np.nanmean(table[:, 1:], axis=0))
    )


def _best_detection(
    vectors: np.ndarray, labels: np.ndarray, groups: np.ndarray, mode: str, far: float, halves: int, seed: int
) -> Share:
    """Detection at the threshold that the strangers themselves give: mean, and 95 % of the halves."""
    rates = []
    for enrolled in random_halves(labels, halves, seed):
        if enrolled.all():
            continue
        own, names, mask = vectors[enrolled], labels[enrolled], page_mask(groups[enrolled])
        scores = score_characters(own, own, names, mode, excluded=mask)
        can = _answerable(names, mask)
        first = np.asarray(scores.characters)[scores.order()[:, 0]]
        apart = same_group(list(groups[~enrolled]), list(groups[enrolled]))
        strangers = score_characters(vectors[~enrolled], own, names, mode, excluded=apart).scores.max(axis=1)
        rates.append(detection_at(scores.scores.max(axis=1)[can], (first == names)[can], strangers, far)[0])
    if not rates:
        return Share(float("nan"), float("nan"), float("nan"))
    low, high = np.nanpercentile(rates, [2.5, 97.5])
    return Share(float(np.nanmean(rates)), float(low), float(high))


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")
