"""Leaving out characters that occur too rarely to learn from."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from comictool.core.errors import UsageError
from comictool.core.progress import Progress
from comictool.corpus.journal import finish_pending
from comictool.datasets.csv_tables import read_rows
from comictool.datasets.exporting.indexing import read_crops
from comictool.datasets.filtering.removing import FilterReport, character_of, remove_crops

MIN_FREQUENCY = 25  # of the published recipe


def filter_characters(
    root: Path,
    *,
    min_frequency: int = MIN_FREQUENCY,
    indexing: Path | None = None,
    part: str = "characters",
    dry_run: bool = False,
    progress: Progress | None = None,
) -> FilterReport:
    """Keep only identities that occur at least `min_frequency` times, over all splits together.

    Args:
        indexing: count in this index instead of the corpus's own (one of several corpora merged, say).

    Raises:
        InputError: nothing was exported yet, or the index lacks a column.
        UsageError: a frequency below 1.
    """
    if min_frequency < 1:
        raise UsageError(f"least frequency {min_frequency}: it is 1 or more")
    if not dry_run:
        finish_pending(root, progress)
    rows = read_crops(root, part)
    if indexing is None:
        counts = Counter(character_of(row) for row in rows if row["identity"])
    else:
        counts = Counter(row["character"] for row in read_rows(indexing, needed=("character",)))
    # The frequency column is not believed: it may be of another export.
    rare = {character_of(row) for row in rows if row["identity"] and counts[character_of(row)] < min_frequency}
    report = remove_crops(
        root,
        part,
        rows,
        lambda row: "rare" if row["identity"] and character_of(row) in rare else "",
        dry_run=dry_run,
        progress=progress,
    )
    report.identities = {character: counts[character] for character in sorted(rare)}
    return report
