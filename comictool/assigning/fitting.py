"""What distances of an encoder mean, fitted on comics in which everybody is named; and where it is looked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from comictool.assigning.evidence import Calibration, distances, evidence, fit_lines
from comictool.assigning.instances import Instance, Vectors, instances_of, pictures_of, vectors_of
from comictool.assigning.solving import best_cut, known_of
from comictool.core.errors import ComicError, InputError
from comictool.core.jobs import Problem
from comictool.corpus.views import CorpusView
from comictool.plugins.discovery import find_plugin
from comictool.vectors.encoders import LazyEncoder
from comictool.vectors.stream import EmbeddingStream

if TYPE_CHECKING:
    from comictool.plugins.load import EncoderSpec
    from comictool.vectors.cache import EmbeddingCache

SHIPPED = "identity.json"  # beside a plugin's manifest


@dataclass(frozen=True)
class Named:
    """A comic with vectors.

    Attributes:
        comic: its name.
        instances: in reading order.
        vectors: of them.
        names: (N,) identities, "" for unknown.
    """

    comic: str
    instances: list[Instance]
    vectors: Vectors
    names: np.ndarray


def embed_comics(
    view: CorpusView, spec: EncoderSpec, problems: list[Problem], *, cache: EmbeddingCache | None = None
) -> list[Named]:
    """Every comic in which somebody stands, embedded; what could not be read is added to `problems`."""
    stream, found = EmbeddingStream(LazyEncoder(spec), cache=cache), list[Named]()
    for comic in view.comics():
        try:
            records = sorted(view.read(comic).pages, key=lambda record: record.page)
        except ComicError as error:
            problems.append(Problem(comic, error.fact))
            continue
        instances = instances_of(records)
        pictures = pictures_of(view, records, instances)
        embedded = list(stream.embed(pictures))
        problems += [
            Problem(p.name, line) for p, each in zip(pictures, embedded, strict=True) for line in each.problems
        ]
        if instances:
            names = np.array([instance.identity or "" for instance in instances], dtype=str)
            found.append(Named(comic, instances, vectors_of(instances, embedded), names))
    return found


def fit(comics: Sequence[Named], encoder_id: str, fitted: str) -> tuple[Calibration, dict[str, float]]:
    """Fit lines and cuts on labelled comics.

    Returns:
        The calibration, and the mean AMI on these very comics of both methods, which flatters.

    Raises:
        InputError: nobody is named, or nobody twice.
    """
    named = [comic for comic in comics if len(set(comic.names.tolist()) - {""}) > 1]
    if not named:
        raise InputError("no comic names two characters: nothing can be fitted", hint="data info CORPUS counts names")
    panels = [np.array([instance.panel_id for instance in comic.instances]) for comic in named]
    lines = fit_lines([(comic.vectors, comic.names, own) for comic, own in zip(named, panels, strict=True)])
    known = [known_of(comic.instances, [None] * len(comic.instances)) for comic in named]
    both = list(zip(named, known, strict=True))
    cut, linked = best_cut([(evidence(c.vectors, lines), k, c.names) for c, k in both], linked=True)
    alike = [(-distances(c.vectors.fused()[0]), k, c.names) for c, k in both]
    distance, plain = best_cut(alike, linked=False)
    found = Calibration(encoder_id, lines, round(cut, 4), round(-distance, 4), fitted)
    rounded = {
        kind: replace(line, offset=round(line.offset, 4), slope=round(line.slope, 4)) for kind, line in lines.items()
    }
    return replace(found, lines=rounded), {"constrained": linked, "average": plain}


def shipped_calibration(spec: EncoderSpec, encoder_id: str) -> Calibration | None:
    """The calibration beside a plugin's manifest; None when there is none, or when it is of other weights."""
    try:
        file = find_plugin(spec.name_or_path, spec.plugin_dirs).directory / SHIPPED
        found = Calibration.read(file) if file.is_file() else None
    except ComicError:
        return None
    return found if found is not None and found.encoder_id == encoder_id else None


def gallery_of(folder: Path) -> tuple[np.ndarray, np.ndarray, str, str]:
    """Vectors, labels, encoder and a digest of a gallery of `reid enroll`.

    Raises:
        InputError: no gallery, or nobody in it.
    """
    from hashlib import blake2b

    from comictool.reid.gallery import Gallery as Enrolled

    opened = Enrolled.open(folder)
    if not opened.references:
        raise InputError(f"{folder} has no references", hint=f"comictool reid enroll CONFIG -g {folder}")
    labels = opened.found.labels.astype(str)
    digest = blake2b(opened.vectors.tobytes() + "\n".join(labels).encode(), digest_size=8).hexdigest()
    return opened.vectors, labels, opened.encoder_id, digest
