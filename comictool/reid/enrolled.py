"""References that pictures are compared with: from a gallery, or straight from a configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from comictool.core.errors import InputError, UsageError
from comictool.reid.apart import best_mode
from comictool.reid.calibration import Thresholds, calibrate
from comictool.reid.configuration import read_config
from comictool.reid.pages import pages_of
from comictool.reid.reader import PictureReader
from comictool.reid.references import ReferenceSet, gather_references
from comictool.reid.scoring import mode_name, same_group
from comictool.vectors.files import find_pictures
from comictool.vectors.stream import encoder_key

if TYPE_CHECKING:
    from comictool.reid.gallery import Gallery

# Of strangers, the share that may be given a name when the user says nothing: with .05 a fifth fewer pictures are named
# rightly (LOG.md), and what is not named is still filed by its best guess.
DEFAULT_FAR = 0.1


@dataclass(frozen=True)
class EnrolledSet:
    """References, the thresholds stored with them, and what to report to the user; `refused`: see `Gallery.refused`."""

    found: ReferenceSet
    thresholds: Thresholds | None = None
    warnings: list[str] = field(default_factory=list)
    failed: dict[Path, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    refused: ReferenceSet | None = None


def from_gallery(gallery: Gallery, reader: PictureReader) -> EnrolledSet:
    """The references of a gallery.

    Raises:
        InputError: nothing is enrolled, or pictures would be embedded in another way than its references.
    """
    if not gallery.references:
        raise InputError(
            f"{gallery.folder} has no references", hint=f"comictool reid enroll CONFIG -g {gallery.folder}"
        )
    key = encoder_key(reader.spec(gallery), **reader.reading(gallery))
    if key != gallery.encoder_id:
        raise InputError(
            f"{gallery.folder} was enrolled with {gallery.encoder_id}, and this is {key}",
            cause="their vectors cannot be compared",
            hint="leave --plugin out, or enroll again",
        )
    thresholds, warnings = gallery_thresholds(gallery)
    return EnrolledSet(gallery.found, thresholds, warnings, refused=gallery.refused)


def gallery_thresholds(gallery: Gallery) -> tuple[Thresholds | None, list[str]]:
    """The thresholds of a gallery, and what is wrong with them.

    Where references came or went since (`reid learn`, `enroll`), they are fitted anew as they were asked for; the
    gallery keeps its own, which are right again once an undo took the change back. A background is not kept: what was
    fitted with one cannot be.
    """
    if gallery.thresholds is not None:
        return Thresholds.from_json(gallery.thresholds), []
    if not gallery.outdated_thresholds:
        return None, []
    stored = Thresholds.from_json(gallery.outdated_thresholds)
    if stored.background:
        return None, ["the thresholds of the gallery were fitted to other references and a background; calibrate again"]
    try:
        return _fitted(gallery.found, stored.far, stored.mode, stored.metric, bool(stored.per_character)), []
    except UsageError as error:
        return None, [f"the thresholds of the gallery were fitted to other references, and not anew: {error.fact}"]


def _fitted(
    found: ReferenceSet,
    far: float,
    mode: str,
    metric: str,
    per_character: bool,
    background: np.ndarray | None = None,
    folders: list[str] | None = None,
) -> Thresholds:
    return calibrate(
        found.vectors,
        found.labels.astype(str),
        far=far,
        mode=mode,
        metric=metric,
        background=background,
        background_groups=folders,
        per_character=per_character,
        excluded=one_page(found),
    )


def from_config(source: Path, reader: PictureReader) -> EnrolledSet:
    """The references that a configuration or a folder of folders names; unreadable ones are reported."""
    notes: list[str] = []
    with reader.options() as options:
        config = read_config(source, notes)
        gathered = gather_references(config, reader.spec(), progress=reader.progress, **options)
    return EnrolledSet(gathered.found, None, list(gathered.problems), gathered.failed, notes)


def one_page(found: ReferenceSet) -> Callable[[int, int], np.ndarray]:
    """Which references may not score each other when thresholds are fitted, by range: of one page, and one content.

    A page shares light and paper, so its other characters would pass for more alike than impostors are; and the same
    picture under two names is no impostor at all.
    """
    of_page = pages_of([reference.path for reference in found.references])
    of_content = [reference.digest for reference in found.references]
    page, content = same_group(of_page, of_page), same_group(of_content, of_content)
    return lambda start, stop: page(start, stop) | content(start, stop)


def calibrate_gallery(
    gallery: Gallery,
    reader: PictureReader | None = None,
    *,
    far: float = DEFAULT_FAR,
    mode: str = "auto",
    background: list[Path] | None = None,
    per_character: bool = False,
) -> tuple[Thresholds, dict[Path, str]]:
    """Fit thresholds to the references of a gallery, and keep them in it.

    Args:
        far: the false acceptance rate to keep, 0..1, exclusive.
        mode: of scoring, or `auto`: the one by which the references name each other best (`apart.best_mode`).
        background: folders of impostors; pictures in one folder count as one character.
        per_character: a threshold for each character.

    Returns:
        the thresholds, and background pictures that could not be read with the reason.

    Raises:
        InputError: nothing is enrolled, no background pictures, or the gallery changed meanwhile.
        UsageError: `far` out of range, or one character only and no background.
    """
    reader = reader or PictureReader()
    mode = mode_name(mode)
    from_gallery(gallery, reader)
    found = gallery.found
    metric = "legacy" if gallery.legacy else "cosine"
    if mode == "auto":
        mode = best_mode(found, metric)[0].mode
    others, folders, failed = None, None, dict[Path, str]()
    if background:
        pictures = find_pictures(background)
        if not pictures:
            raise InputError(f"there are no pictures in {', '.join(map(str, background))}")
        embedded = reader.embed(pictures, gallery)
        others, failed = embedded.vectors[embedded.ok], embedded.errors
        folders = [str(path.parent) for path, ok in zip(pictures, embedded.ok, strict=True) if ok]
    fitted = _fitted(found, far, mode, metric, per_character, others, folders)
    gallery.store_thresholds(fitted.to_json())
    return fitted, failed
