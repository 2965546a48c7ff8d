"""Probes: how much of a label frozen vectors hold. Fitted on a bank, scored on queries, never on the same points.

A query may share its group (page, comic, panel) with points of the bank: those are then no candidates for it, so that
one set can be bank and queries at once, each point left out together with its group. A query for whose class no
candidate is left cannot be answered and does not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from comictool.core.errors import InputError
from comictool.measure.chance import chance_of, random_precision, random_rank
from comictool.measure.metrics import Groups, Metric, share, statistic
from comictool.measure.points import (
    Answers,
    Points,
    answerable,
    decide,
    frequent_first,
    held_out,
    joined,
    leave_groups_out,
    refuse_leakage,
    same_dimension,
    standardised,
    take,
)
from comictool.measure.retrieval import Retrieval, macro, retrieval

__all__ = [
    "Answers",
    "Points",
    "knn",
    "leave_groups_out",
    "linear_probe",
    "linear_probe_folds",
    "neighbours",
    "retrieval_probe",
]

TEMPERATURE = 0.07  # of DINO's weighted k-NN (Caron and others, ICCV 2021; eval_knn.py)
NEIGHBOURS = (10, 20, 100, 200)  # as reported there
COSTS = tuple(10.0**exponent for exponent in range(-4, 2))  # of standardised vectors; below and above nothing changes
HELD = 0.2  # share of the bank's groups (without groups: of its points) that C is chosen on
BLOCK_BYTES = 64 << 20  # of similarities at once


def unit(vectors: np.ndarray) -> np.ndarray:
    """(N, D) float32 rows of length 1; rows of zeros stay."""
    rows = np.asarray(vectors, np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1.0)


def neighbours(
    bank: np.ndarray,
    queries: np.ndarray,
    k: int,
    *,
    bank_groups: Groups | None = None,
    query_groups: Groups | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The k candidates of the bank with the highest cosine, ties in bank order.

    Args:
        bank: (N, D); queries: (M, D).
        bank_groups, query_groups: (N,) and (M,) names; equal ones are no candidates for each other.

    Returns:
        (M, k) int64 rows of the bank, -1 where there are fewer candidates, and (M, k) float32 cosines, -inf there.
    """
    rows = np.full((len(queries), k), -1, np.int64)
    cosines = np.full((len(queries), k), -np.inf, np.float32)
    for start, scores in _similarities(bank, queries, bank_groups, query_groups):
        most = min(k, scores.shape[1])
        if not most:
            continue
        least = -np.partition(-scores, most - 1, axis=1)[:, most - 1]
        for number, line in enumerate(scores):
            # Everything as good as the k-th, in bank order: which of equal ones gets in is then no accident.
            candidates = np.flatnonzero((line >= least[number]) & (line > -np.inf))
            best = candidates[np.argsort(-line[candidates], kind="stable")][:most]
            rows[start + number, : len(best)] = best
            cosines[start + number, : len(best)] = line[best]
    return rows, cosines


def knn(
    bank: Points,
    queries: Points,
    ks: Sequence[int] = NEIGHBOURS,
    *,
    weighted: bool = True,
    temperature: float = TEMPERATURE,
) -> dict[int, Answers]:
    """k-nearest-neighbour classification by cosine, for several k with one search.

    Weighted as in DINO: each neighbour votes for its class with exp(cosine / temperature). Not weighted: with 1, ties
    going to the first class, as in scikit-learn.

    Raises:
        InputError: no k, or bank and queries of different dimensions.
    """
    if not ks or min(ks) < 1:
        raise InputError(f"k-NN needs numbers of neighbours from 1, not {list(ks)}")
    same_dimension(bank, queries)
    if bank.groups is None or queries.groups is None:
        refuse_leakage(bank, queries)
    classes, bank_codes, truth, asked = answerable(bank, queries)
    groups = queries.groups[asked] if queries.groups is not None else None
    rows, cosines = neighbours(
        bank.vectors, queries.vectors[asked], max(ks), bank_groups=bank.groups, query_groups=groups
    )
    weights = np.exp(cosines.astype(np.float64) / temperature) if weighted else (rows >= 0).astype(np.float64)
    codes = np.where(rows >= 0, bank_codes[rows], -1) if len(bank_codes) else rows
    frequent = frequent_first(bank_codes, len(classes))
    out = {}
    for k in ks:
        answers, rank = np.full(len(asked), -1, np.int64), np.full(len(asked), len(classes) + 1, np.int64)
        for number in range(len(asked)):
            said = codes[number, :k] >= 0
            votes = np.bincount(codes[number, :k][said], weights[number, :k][said], minlength=len(classes))
            answers[number], rank[number] = decide(votes, int(truth[number]), silent=0.0)
        chance = chance_of(bank_codes, truth, answers, len(classes))
        chosen = {"k": int(k), "temperature": temperature if weighted else None}
        out[int(k)] = Answers(classes, asked, truth, answers, rank, chance, frequent, groups, chosen)
    return out


def linear_probe(
    bank: Points, queries: Points, *, costs: Sequence[float] = COSTS, seed: int = 0, max_iter: int = 200
) -> Answers:
    """Multinomial logistic regression on standardised vectors, its strength chosen on a part of the bank.

    As the logistic regression of DINOv2 (`log_regression.py`): fitted for each C on the rest of the bank, compared on
    the held part by macro accuracy, fitted again on the whole bank with the best.

    Args:
        bank, queries: of different groups; see `leave_groups_out` for one set that has to be both.
        costs: values of C, the inverse strength of the L2 penalty.

    Raises:
        InputError: bank and queries share a group, or the bank has fewer than two classes.
    """
    same_dimension(bank, queries)
    refuse_leakage(bank, queries)
    classes, codes, truth, asked = answerable(bank, queries)
    if len(np.unique(codes)) < 2:
        raise InputError(f"a linear probe needs two classes in its bank, not {len(np.unique(codes))}")
    fit, rest = held_out(bank, HELD, seed)
    cost = float(sorted(costs)[len(costs) // 2])
    usable = rest[np.isin(codes[rest], codes[fit])]
    if len(usable) and len(np.unique(codes[fit])) > 1 and len(costs) > 1:
        found = []
        for value, scores in _logistic(bank.vectors[fit], codes[fit], bank.vectors[usable], costs, max_iter):
            answers = np.unique(codes[fit])[scores.argmax(axis=1)]
            found.append((macro(answers == codes[usable], codes[usable]), -value))
        cost = -max(found)[1]  # of equally good ones the strongest penalty
    known = np.unique(codes)
    ((_, scores),) = _logistic(bank.vectors, codes, queries.vectors[asked], [cost], max_iter)
    answers, rank = np.empty(len(asked), np.int64), np.empty(len(asked), np.int64)
    for number, line in enumerate(scores):
        full = np.full(len(classes), -np.inf)
        full[known] = line
        answers[number], rank[number] = decide(full, int(truth[number]), silent=-np.inf)
    chance = chance_of(codes, truth, answers, len(classes))
    groups = queries.groups[asked] if queries.groups is not None else None
    return Answers(
        classes, asked, truth, answers, rank, chance, frequent_first(codes, len(classes)), groups, {"C": cost}
    )


def linear_probe_folds(points: Points, folds: int = 5, seed: int = 0, **options: Any) -> Answers:
    """`linear_probe` on one set: each part is answered by a probe fitted on the others, groups kept whole."""
    parts = []
    for bank, queries in leave_groups_out(points, folds, seed):
        if len(np.unique(points.labels[bank])) > 1:
            parts.append((queries, linear_probe(take(points, bank), take(points, queries), seed=seed, **options)))
    return joined(points, parts)


def retrieval_probe(bank: Points, queries: Points, *, name: str, ranks: Sequence[int] = (1, 5, 10)) -> list[Metric]:
    """mAP and rank-k of finding the bank's points of a query's class by cosine, beside a random ranking.

    Candidates of a query's own group do not count.

    Raises:
        InputError: of different dimensions.
    """
    same_dimension(bank, queries)
    if bank.groups is None or queries.groups is None:
        refuse_leakage(bank, queries)
    found: list[Retrieval] = []
    asked: list[np.ndarray] = []
    candidates: list[np.ndarray] = []
    right: list[np.ndarray] = []
    for start, scores in _similarities(bank.vectors, queries.vectors, bank.groups, queries.groups):
        stop = start + len(scores)
        labels = queries.labels[start:stop]
        excluded = ~np.isfinite(scores)
        part = retrieval(scores, labels, bank.labels, excluded)
        same = (labels[:, None] == bank.labels[None, :]) & ~excluded
        found.append(part)
        asked.append(part.answered + start)
        candidates.append((~excluded).sum(axis=1)[part.answered])
        right.append(same.sum(axis=1)[part.answered])
    rows = np.concatenate(asked) if asked else np.empty(0, np.int64)
    n, r = (np.concatenate(parts) if parts else np.empty(0, np.int64) for parts in (candidates, right))
    precision = np.concatenate([part.precision for part in found]) if found else np.empty(0)
    groups = queries.groups[rows] if queries.groups is not None else None
    guess = float(random_precision(n, r).mean()) if len(n) else float("nan")
    out = [statistic(f"{name} mAP", len(rows), lambda k: float(precision[k].mean()), guess, groups=groups)]
    for k in ranks:
        hits = np.concatenate([part.within(k) for part in found]) if found else np.empty(0)
        level = float(random_rank(n, r, k).mean()) if len(n) else float("nan")
        out.append(share(f"{name} rank-{k}", hits, level, groups=groups))
    return out


def _logistic(
    fit: np.ndarray, codes: np.ndarray, queries: np.ndarray, costs: Sequence[float], max_iter: int
) -> Iterator[tuple[float, np.ndarray]]:
    """For each C (queries, classes of `codes` in order) decision values; each fit starts from the one before."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    # Half the numbers to move through memory, and as good: what a probe can say does not hang on the eighth digit.
    x, y = (part.astype(np.float32) for part in standardised(fit, queries))
    model = LogisticRegression(max_iter=max_iter, warm_start=True)
    for cost in sorted(costs):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # where it is not done, a smaller C is the better one
            model.set_params(C=cost).fit(x, codes)
        values = model.decision_function(y) if len(y) else np.empty((0, len(model.classes_)))
        yield cost, np.stack([-values, values], axis=1) if values.ndim == 1 else values


def _similarities(
    bank: np.ndarray, queries: np.ndarray, bank_groups: Groups | None, query_groups: Groups | None
) -> Iterator[tuple[int, np.ndarray]]:
    """(first query, (rows, N) cosines) block by block; -inf where the group is the same."""
    gallery, probes = unit(bank), unit(queries)
    mine = theirs = None
    if bank_groups is not None and query_groups is not None:
        named = [np.asarray(groups, dtype=str) for groups in (bank_groups, query_groups)]
        _, both = np.unique(np.concatenate(named), return_inverse=True)
        theirs, mine = both[: len(gallery)], both[len(gallery) :]
    size = max(1, BLOCK_BYTES // max(1, 4 * len(gallery)))
    for start in range(0, len(probes), size):
        scores = probes[start : start + size] @ gallery.T
        if mine is not None and theirs is not None:
            scores[mine[start : start + size, None] == theirs[None, :]] = -np.inf
        yield start, scores
