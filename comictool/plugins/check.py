"""Proving that a plugin keeps the promises of its kind: loads, repeatable, independent of batch, finite and so on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np

from comictool.core.errors import ComicError
from comictool.plugins.answers import trial_pictures
from comictool.plugins.encoder import Encoder
from comictool.plugins.kinds import find_kind, named
from comictool.plugins.load import EncoderSpec, load_model

UNIT_TOLERANCE = 1e-5  # of a length, float32
# Least cosine between the vectors of one picture embedded in different company. Kernels differ with the batch's size,
# so the last bits may: one part in 2**8 for bf16 activations, 2**24 for fp32.
BATCH_COSINE = 0.9995
ALONE_TOLERANCE = 1e-2  # as far as bf16 answers of another batch may be off
SPEED_PICTURE = (465, 500)  # height, width: a usual panel of a page 1000 pixels wide
SPEED_SECONDS = 1.0


Check = Callable[[Any], tuple[bool, str]]


@dataclass(frozen=True)
class CheckResult:
    """One promise: whether it is kept, and the figure behind that."""

    name: str
    ok: bool
    detail: str


def check_plugin(spec: EncoderSpec) -> list[CheckResult]:
    """Load a plugin and put every promise of its kind to the test.

    Args:
        spec: what to load and how.

    Returns:
        One result per promise. When it does not load there is only that one, with the reason.
    """
    started = time.perf_counter()
    try:
        model = load_model(spec)
    except ComicError as error:
        return [CheckResult("loads", False, "; ".join(part for part in (error.fact, error.cause, error.hint) if part))]
    seconds = time.perf_counter() - started
    loaded = CheckResult("loads", True, f"{model.encoder_id}, {seconds:.1f} s, {model.device_note}")
    return [loaded, *named(find_kind(model.manifest.kind).checks)(model)]


def check_encoder(encoder: Encoder) -> list[CheckResult]:
    """What an encoder promises."""
    checks: list[tuple[str, Check]] = [
        ("dimension", _dimension),
        ("unit length", _unit_length),
        ("repeatable", _repeatable),
        ("independent of batch and order", _batch_invariant),
        ("finite on odd pictures", _odd_pictures),
        ("tells pictures apart", _discriminates),
        ("speed", _speed),
    ]
    return [_run(name, check, encoder) for name, check in checks]


def check_answers(model: Any) -> list[CheckResult]:
    """What a model of any kind promises; its trial and its types are in the table of kinds."""
    checks: list[tuple[str, Check]] = [
        ("answers", _answers),
        ("repeatable", _answers_again),
        ("independent of batch", _answers_alone),
        ("nothing for nothing", _no_answers),
    ]
    return [_run(name, check, model) for name, check in checks]


def _ask(model: Any, inputs: Any) -> Any:
    kind = find_kind(model.manifest.kind)
    return named(kind.accepts)(model.manifest, inputs, getattr(model, kind.method)(inputs))


def _trial(model: Any) -> Any:
    return named(find_kind(model.manifest.kind).trial)(model.manifest)


def _answers(model: Any) -> tuple[bool, str]:
    answer = _ask(model, _trial(model))
    return True, f"{len(answer)} answers of the promised form"


def _answers_again(model: Any) -> tuple[bool, str]:
    off = _furthest(_ask(model, _trial(model)), _ask(model, _trial(model)))
    return off == 0.0, "two runs are equal" if off == 0.0 else f"two runs differ by up to {off:.1e}"


def _answers_alone(model: Any) -> tuple[bool, str]:
    inputs = _trial(model)
    if not isinstance(inputs, list):
        return True, "one call is one question"
    together = _ask(model, inputs)
    off = max(_furthest(_ask(model, [item])[0], together[place]) for place, item in enumerate(inputs))
    return off <= ALONE_TOLERANCE, f"an input alone and with others: answers differ by up to {off:.1e}"


def _no_answers(model: Any) -> tuple[bool, str]:
    inputs = _trial(model)
    nothing = {name: item[:0] for name, item in inputs.items()} if isinstance(inputs, dict) else inputs[:0]
    return len(_ask(model, nothing)) == 0, "no inputs give no answers"


def _furthest(some: Any, other: Any) -> float:
    """How far two answers are apart, relative to their size; infinity where they are of another form."""
    if is_dataclass(some) and not isinstance(some, type) and type(some) is type(other):
        return _furthest([getattr(some, f.name) for f in fields(some)], [getattr(other, f.name) for f in fields(some)])
    if isinstance(some, np.ndarray) and isinstance(other, np.ndarray) and some.shape == other.shape:
        return float((np.abs(some - other) / np.maximum(1.0, np.abs(some))).max(initial=0.0))
    if isinstance(some, list | tuple) and isinstance(other, list | tuple) and len(some) == len(other):
        return max((_furthest(one, two) for one, two in zip(some, other, strict=True)), default=0.0)
    if isinstance(some, float) and isinstance(other, float):
        return abs(some - other) / max(1.0, abs(some))
    return 0.0 if type(some) is type(other) and some == other else float("inf")


def _run(name: str, check: Check, model: Any) -> CheckResult:
    try:
        ok, detail = check(model)
    except ComicError as error:
        return CheckResult(name, False, "; ".join(part for part in (error.fact, error.cause) if part))
    return CheckResult(name, ok, detail)


def odd_pictures() -> dict[str, np.ndarray]:
    """Pictures at the edge of what can occur."""
    return {
        "1x1": np.full((1, 1, 3), 77, dtype=np.uint8),
        "4000x10": np.tile(np.arange(10, dtype=np.uint8)[None, :, None] * 25, (4000, 1, 3)),
        "10x4000": np.tile(np.arange(10, dtype=np.uint8)[:, None, None] * 25, (1, 4000, 3)),
        "black": np.zeros((120, 80, 3), dtype=np.uint8),
        "white": np.full((120, 80, 3), 255, dtype=np.uint8),
        "grey": np.full((120, 80, 3), 128, dtype=np.uint8),
    }


def _dimension(encoder: Encoder) -> tuple[bool, str]:
    vectors, none = encoder.embed(trial_pictures(2)), encoder.embed([])
    good = vectors.shape == (2, encoder.dimension) and none.shape == (0, encoder.dimension)
    good = good and vectors.dtype == np.float32 and none.dtype == np.float32
    promised = encoder.manifest.vector
    good = good and (promised is None or promised.dimension == encoder.dimension)
    return good, f"{encoder.dimension} numbers; two pictures give {list(vectors.shape)} {vectors.dtype}"


def _unit_length(encoder: Encoder) -> tuple[bool, str]:
    lengths = np.linalg.norm(encoder.embed(trial_pictures(4)).astype(np.float64), axis=1)
    off = float(np.abs(lengths - 1).max())
    return off <= UNIT_TOLERANCE, f"lengths differ from 1 by at most {off:.1e}"


def _repeatable(encoder: Encoder) -> tuple[bool, str]:
    pictures = trial_pictures(4)
    before = [picture.copy() for picture in pictures]
    first, second = encoder.embed(pictures), encoder.embed(pictures)
    if any(not np.array_equal(old, new) for old, new in zip(before, pictures, strict=True)):
        return False, "embedding changed the pictures that it was given"
    off = float(np.abs(first - second).max())
    return off == 0.0, "two runs give equal bytes" if off == 0.0 else f"two runs differ by up to {off:.1e}"


def _batch_invariant(encoder: Encoder) -> tuple[bool, str]:
    pictures = trial_pictures(encoder.preferred_batch + 3 if encoder.preferred_batch <= 32 else 35)
    together = encoder.embed(pictures)
    backwards = encoder.embed(pictures[::-1])[::-1]
    alone = np.concatenate([encoder.embed([picture]) for picture in pictures[:6]])
    cosine = min(float((together * backwards).sum(1).min()), float((together[:6] * alone).sum(1).min()))
    return cosine >= BATCH_COSINE, f"cosine of one picture in different batches is at least {min(cosine, 1.0):.6f}"


def _odd_pictures(encoder: Encoder) -> tuple[bool, str]:
    pictures = odd_pictures()
    bad = []
    for name, picture in pictures.items():
        vector = encoder.embed([picture])
        if not np.isfinite(vector).all() or abs(float(np.linalg.norm(vector)) - 1) > UNIT_TOLERANCE:
            bad.append(name)
    return not bad, "fails on " + ", ".join(bad) if bad else ", ".join(pictures)


def _discriminates(encoder: Encoder) -> tuple[bool, str]:
    vectors = encoder.embed(trial_pictures(8)).astype(np.float64)
    cosines = (vectors @ vectors.T)[np.triu_indices(8, 1)]
    same = float(cosines.max()) > 1 - 1e-6
    return not same, f"cosines of different pictures from {cosines.min():.3f} to {cosines.max():.3f}"


def _speed(encoder: Encoder) -> tuple[bool, str]:
    picture = trial_pictures(1)[0]
    rows = np.linspace(0, picture.shape[0] - 1, SPEED_PICTURE[0]).astype(int)
    columns = np.linspace(0, picture.shape[1] - 1, SPEED_PICTURE[1]).astype(int)
    batch = [np.ascontiguousarray(picture[rows][:, columns])] * encoder.preferred_batch
    done, started = 0, time.perf_counter()
    while (seconds := time.perf_counter() - started) < SPEED_SECONDS:
        encoder.embed(batch)
        done += len(batch)
    shape = f"{SPEED_PICTURE[1]}x{SPEED_PICTURE[0]}"
    return True, f"{done / seconds:.0f} pictures of {shape} per second in batches of {len(batch)}"
