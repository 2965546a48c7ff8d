"""From comic files to a searchable library: import, panels, words, vectors, in one go and resumable at any point.

A library is a corpus folder with its store of vectors in `store/`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comictool.core.errors import ExitCode, UsageError
from comictool.core.jobs import JobOptions, JobReport
from comictool.core.progress import Progress
from comictool.corpus.corpus import Corpus
from comictool.corpus.importing.destination import corpus_for
from comictool.corpus.importing.forecast import Forecast, Later, forecast
from comictool.corpus.importing.job import import_comics
from comictool.corpus.importing.options import ImportOptions
from comictool.panels.detect import detect_panels
from comictool.panels.job import detect_corpus
from comictool.plugins.load import EncoderSpec
from comictool.vectors.columns import DTYPES
from comictool.vectors.encoders import lazy_encoder
from comictool.vectors.job import EmbedOptions, embed
from comictool.vectors.reading import cut
from comictool.vectors.store import NESTED
from comictool.words.direction import follow_columns
from comictool.words.engines import Reading
from comictool.words.job import read_corpus
from comictool.words.page import question

if TYPE_CHECKING:
    import numpy as np


@dataclass
class LibraryReport:
    """What the steps did; the later ones are None after a dry run, which gives a forecast instead.

    Attributes:
        words: None when no engine was to read them.
        reading_seconds: that reading words took.
        turned: comics that are read from right to left since this run, for their words stand in columns.
    """

    imported: JobReport
    comics: int = 0
    panels: JobReport | None = None
    embedded: JobReport | None = None
    forecast: Forecast | None = None
    words: JobReport | None = None
    reading_seconds: float = 0.0
    turned: list[str] = field(default_factory=list)

    @property
    def steps(self) -> list[JobReport]:
        """The reports there are, in order."""
        return [step for step in (self.imported, self.panels, self.words, self.embedded) if step is not None]

    @property
    def exit_code(self) -> ExitCode:
        """0 all well, 1 something failed, 3 when there is nothing readable at all."""
        if self.embedded is not None and not self.embedded.totals["pages"]:
            return ExitCode.INPUT
        return max((step.exit_code for step in self.steps), key=lambda code: min(code, ExitCode.FINDINGS))

    def summary(self, root: Path) -> dict[str, Any]:
        """The few numbers a person wants at the end; counts are of the whole library, not only of this run."""
        problems = [problem for step in self.steps for problem in step.problems]
        panels = self.panels.totals if self.panels else {}
        embedded = self.embedded.totals if self.embedded else {}
        return {
            "library": str(root),
            "comics": self.comics,
            **{kind: len(names) for kind, names in self.imported.changes.items()},
            "failed_comics": self.imported.failed,
            "pages": embedded.get("pages", 0),
            "panels": panels.get("panels", 0),
            **({"texts": self.words.totals["texts"]} if self.words else {}),
            "doubtful": len(self.panels.changes.get("doubtful", ())) if self.panels else 0,
            "problems": len(problems),
        }


def example_queries(root: Path) -> list[list[str]]:
    """Arguments of `comictool` that search this library, with identifiers and pictures that are in it."""
    corpus = Corpus.open(root)
    pages = [page for _, page in zip(range(200), corpus.all_pages(), strict=False)]
    if not pages:
        return []
    inside = next((page for page in pages if len(page.panels) > 1), pages[-1])
    picture = corpus.picture(inside)
    queries = [["query", str(root), "--image", str(picture)]] if isinstance(picture, Path) else []
    queries.append(["query", str(root), "--id", inside.id])
    if words := next((text.text for page in pages for text in page.texts if 8 <= len(text.text) <= 60), ""):
        spoken = " ".join(words.split()[:3]) if " " in words else words[:4]
        queries.append(["query", str(root), "--text", f'"{spoken}"'])
        queries.append(["serve", str(root), "--open"])
    if inside.panels:
        sheet = str(root / "similar.html")
        panel = inside.panel_id(inside.panels[0])
        queries.append(["query", str(root), "--id", panel, "--exclude-same-comic", "--sheet", sheet])
    return queries


class NumberedSteps(Progress):
    """Progress over several jobs: each label says which step of how many it is."""

    def __init__(self, progress: Progress, steps: int) -> None:
        self._progress = progress
        self._steps = steps
        self._step = 0

    def start(self, label: str, total: int | None) -> None:
        self._step += 1
        self._progress.start(f"{self._step}/{self._steps} {label}", total)

    def advance(self, count: int = 1, note: str = "") -> None:
        self._progress.advance(count, note)

    def message(self, text: str) -> None:
        self._progress.message(text)

    def finish(self) -> None:
        self._progress.finish()


def build_library(
    paths: Sequence[Path],
    root: Path,
    encoder: EncoderSpec,
    chosen: ImportOptions | None = None,
    *,
    reading: Reading | None = None,
    options: JobOptions | None = None,
    progress: Progress | None = None,
) -> LibraryReport:
    """Import comics, find their panels, read them and embed both levels; what is finished and unchanged is skipped.

    Args:
        paths: comic files, image folders, or trees of them.
        root: the library; made when there is none, added to when there is one.
        encoder: which model makes the vectors.
        chosen: how comics are imported.
        reading: what reads their words (`comictool.words.engines.make_reading`); None: they are not read.

    Raises:
        UsageError: a shard was asked for, or the library would be the folder of the comics.
        Stopped: after a signal; the same call resumes there.
        InputError: a path that does not exist, or a store made by another encoder.
    """
    chosen, options = chosen or ImportOptions(), options or JobOptions()
    if options.shard != (1, 1):
        raise UsageError(
            "index does not take --shard: its steps share one library",
            hint="comictool data import, then comictool data panels, then comictool embed --shard I/N",
        )
    if not options.dry_run:
        lazy_encoder(
            encoder
        ).loaded()  # a wrong plugin is known now, not after hours of import; the last step uses this same one
    steps = NumberedSteps(progress or Progress(), 4 if reading else 3)
    corpus = corpus_for(paths, root, dry_run=options.dry_run)
    imported = import_comics(paths, corpus, chosen, options=options, progress=steps)
    if options.dry_run:
        tasks = [item.payload for item in imported.to_do]
        later = _later_steps(encoder, chosen.direction or corpus.direction, reading) if tasks else None
        return LibraryReport(imported, forecast=forecast(tasks, root, later=later, jobs=options.jobs))
    # --limit is about what to import; the steps after it take all of the library.
    rest = JobOptions(jobs=options.jobs, resume=options.resume if options.resume != "must" else "auto")
    panels = detect_corpus(corpus, direction=chosen.direction, options=rest, progress=steps)
    began, words, turned = time.monotonic(), None, []
    if reading is not None:
        words = read_corpus(corpus, reading, direction=chosen.direction, options=rest, progress=steps)
        turned = follow_columns(corpus)
        if turned:  # the rest of the library is unchanged and skipped
            detect_corpus(corpus, options=rest)
            read_corpus(corpus, reading, options=rest)
    seconds = time.monotonic() - began
    embedded = embed(corpus, encoder, root / NESTED, options=rest, progress=steps)
    return LibraryReport(
        imported, len(corpus.comics()), panels, embedded, words=words, reading_seconds=seconds, turned=turned
    )


def _later_steps(encoder: EncoderSpec, direction: str, reading: Reading | None) -> Later:
    """What the later steps do with a page, for the forecast; models are loaded before the clock runs."""
    model = lazy_encoder(encoder).loaded()
    if reading is not None and reading.free:
        import numpy as np

        reading.find(np.full((64, 64, 3), 255, np.uint8), question(direction, []))

    def work(page: np.ndarray) -> int:
        panels = detect_panels(page, direction)
        if reading is not None and reading.free:
            reading.find(page, question(direction, panels))
        vectors = model.embed([page, *(cut(page, panel.box) for panel in panels)])
        return vectors.size * DTYPES[EmbedOptions().dtype].itemsize

    return work
