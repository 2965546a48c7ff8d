"""How well an encoder separates the characters of labelled files: the work of `comictool reid evaluate`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from comictool.measure.metrics import Metric
from comictool.reid.evaluation import Evaluation, evaluate, pair_figures
from comictool.reid.gallery import Gallery
from comictool.reid.labelled import read_labelled, read_pairs
from comictool.reid.reader import PictureReader
from comictool.reid.scoring import mode_name


def evaluate_labelled(
    source: Path,
    reader: PictureReader | None = None,
    *,
    gallery: Gallery | None = None,
    rerank: bool = True,
    mode: str = "max",
    seed: int = 0,
) -> tuple[Evaluation, dict[Path, str]]:
    """Measure on a folder for each character, or a file as for enrolment; see `comictool.reid.evaluation.evaluate`.

    Args:
        source: see `comictool.reid.labelled.read_labelled`.
        reader: the encoder, and how pictures are read; `gallery` decides both when it is given.

    Returns:
        the evaluation, and pictures that could not be read with the reason.

    Raises:
        InputError: nothing there, or fewer than two characters.
        UsageError: an unknown mode, or too many pictures.
    """
    mode, labelled = mode_name(mode), read_labelled(source)
    reader = reader or PictureReader()
    embedded, parts = reader.embed(labelled.paths, gallery), reader.parts(gallery)
    kept = [place for place, ok in enumerate(embedded.ok) if ok]
    labels, pages = [labelled.labels[i] for i in kept], [labelled.pages[i] for i in kept]
    centre, rows = not reader.is_legacy(gallery), embedded.vectors[kept]
    found = evaluate(rows, labels, pages, rerank=rerank, mode=mode, centre=centre, parts=parts, seed=seed)
    return replace(found, notes=labelled.notes), embedded.errors


def evaluate_pairs(
    file: Path, reader: PictureReader | None = None, *, gallery: Gallery | None = None
) -> tuple[dict[str, Metric], int, dict[Path, str]]:
    """Measure on a CSV file of pairs; see `comictool.reid.labelled.read_pairs`.

    Returns:
        figures by name, the number of pairs, and pictures that could not be read with the reason.

    Raises:
        InputError: no such file, or pairs of one kind only.
    """
    pairs = read_pairs(file)
    embedded = (reader or PictureReader()).embed(pairs.paths, gallery)
    scores, same = pairs.scores(embedded.vectors, embedded.ok)
    return pair_figures(scores, same), len(same), embedded.errors
