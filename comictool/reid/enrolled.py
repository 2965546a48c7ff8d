"""References for one run: from a gallery or straight from a configuration, with the rules that suit them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from comictool.core.errors import InputError, UsageError
from comictool.core.progress import Progress
from comictool.plugins.load import EncoderSpec
from comictool.reid.cache import EmbeddingCache
from comictool.reid.calibration import Thresholds, calibrate
from comictool.reid.classify import Rules
from comictool.reid.configuration import read_config
from comictool.reid.embedding import encoder_key
from comictool.reid.pages import pages_of
from comictool.reid.references import ReferenceSet, gather_references
from comictool.reid.scoring import same_group

if TYPE_CHECKING:
    from comictool.reid.gallery import Gallery

DEFAULT_FAR = 0.05  # false acceptance rate of thresholds that are fitted on the way


@dataclass(frozen=True)
class Ready:
    """References, the thresholds stored with them, and what to tell the user."""

    found: ReferenceSet
    thresholds: Thresholds | None = None
    warnings: list[str] = field(default_factory=list)
    failed: dict[Path, str] = field(default_factory=dict)


def from_gallery(gallery: Gallery, spec: EncoderSpec, **reading: bool) -> Ready:
    """The references of a gallery.

    Raises:
        InputError: nothing is enrolled, or pictures would be embedded in another way than its references.
    """
    if not gallery.references:
        raise InputError(
            f"{gallery.folder} has no references", hint=f"comictool reid enroll CONFIG -g {gallery.folder}"
        )
    key = encoder_key(spec, **reading)
    if key != gallery.identity:
        raise InputError(
            f"{gallery.folder} was enrolled with {gallery.identity}, and this is {key}",
            cause="their vectors cannot be compared",
            hint="leave --plugin out, or enroll again",
        )
    stored = gallery.thresholds
    warnings = ["the thresholds of the gallery were fitted to other references; calibrate again"] if (
        gallery.outdated_thresholds
    ) else []  # fmt: skip
    return Ready(gallery.found, Thresholds.from_json(stored) if stored else None, warnings)


def from_config(
    source: Path, spec: EncoderSpec, *, cache: EmbeddingCache | None, progress: Progress | None = None, **options: Any
) -> Ready:
    """The references that a configuration or a folder of folders names; unreadable ones are told."""
    gathered = gather_references(read_config(source), spec, cache=cache, progress=progress, **options)
    return Ready(gathered.found, None, list(gathered.problems), gathered.failed)


def one_page(found: ReferenceSet) -> Callable[[int, int], np.ndarray]:
    """Which references may not score each other when thresholds are fitted, by range: of one page, and one content.

    A page shares light and paper, so its other characters would pass for more alike than strangers are; and the same
    picture under two names is no stranger at all.
    """
    of_page = pages_of([reference.path for reference in found.references])
    of_content = [reference.digest for reference in found.references]
    page, content = same_group(of_page, of_page), same_group(of_content, of_content)
    return lambda start, stop: page(start, stop) | content(start, stop)


def rules_for(
    ready: Ready, *, mode: str, metric: str, threshold: float | str, far: float | None, margin: float, top: int,
    own_references: bool, refine: str = "none",
) -> tuple[Rules, list[str]]:  # fmt: skip
    """Rules for a run, and what the user should know of them.

    Args:
        mode: of scoring, or `auto`: nearest or prototype, whichever names more references right with each left out.
        threshold: a number, `none`, or `auto`: those of the gallery when they were fitted for this mode, else fitted
            now with the false acceptance rate `far`.
        refine: see `comictool.reid.refining`; mode `auto` is chosen without it.

    Raises:
        UsageError: thresholds asked for that cannot be fitted, or an unknown refinement.
    """
    found, notes = ready.found, []
    labels = found.labels.astype(str)
    if mode == "auto":
        from comictool.reid.evaluation import choose_mode

        pages = pages_of([reference.path for reference in found.references])
        groups = [page or reference.digest for page, reference in zip(pages, found.references, strict=True)]
        mode, figures = choose_mode(found.vectors, labels, groups)
        notes.append(f"mode {mode} (left out in turn: {', '.join(f'{m} {v:.3f}' for m, v in figures.items())})")
    fitted: Thresholds | float | None = None
    if isinstance(threshold, float):
        fitted = threshold
    elif threshold == "auto":
        stored = ready.thresholds
        if stored and (stored.mode, stored.metric) == (mode, metric) and far in (None, stored.far):
            fitted = stored
        else:
            try:
                fitted = calibrate(
                    found.vectors, labels, far=far or DEFAULT_FAR, mode=mode, metric=metric, excluded=one_page(found)
                )
                if fitted.note:
                    notes.append(f"threshold {fitted.overall:.3f}: {fitted.note}")
            except UsageError as error:
                if far is not None:
                    raise
                notes.append(f"no threshold: {error.fact}")
    return Rules(mode, metric, fitted, margin, top, own_references, refine), notes
