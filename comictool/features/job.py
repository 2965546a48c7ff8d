"""`features backbone`: frozen features of every panel or character, as packs that the methods read.

A resumable job over groups of pictures, then one assembly for each split. Folder:

```
OUTPUT/
  features.json                  whose features these are: encoder, level, settings
  <split>_features.hdf5          the published layout, its index beside it (`comictool.corpus.packs.features`)
  <split>_features.zarr/         the same for zarr (`comictool.features.zarr_pack`)
  .work/                         ledger and the vectors of finished items; may be deleted, and is then made again
```
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from comictool.core.device import choose_device
from comictool.core.errors import UsageError
from comictool.core.jobs import Done, Item, JobOptions, JobReport, Problem, run_job
from comictool.core.ledger import Ledger
from comictool.core.progress import Progress
from comictool.corpus.exporting import CharacterOptions
from comictool.corpus.journal import forget
from comictool.corpus.packs.features import DTYPES
from comictool.features.assembly import LAYOUTS, Task, assemble, parts_of, work_folder
from comictool.features.encoding import Encoded, Work, loaded
from comictool.features.folder import check_fits, write_head
from comictool.features.sources import Picture, Source, digest, open_source
from comictool.plugins.encoder import Encoder
from comictool.plugins.load import EncoderSpec

JOB = "features backbone"
ITEM_ROWS, ITEM_PICTURES = 256, 256  # what a kill can cost a worker: some ten seconds of a slow encoder
CPU_WORKERS = 2  # one computes while the other decodes; more only hold memory


@dataclass(frozen=True)
class BackboneOptions:
    """What gets features, and how they are written.

    Attributes:
        level: `panel` or `character`.
        split: `train`, `val`, `test`, `all` in one, or None for each that the corpus has.
        layout: `published` (HDF5 and JSON index), `zarr`, or `both`.
        storage: `float32` as published, or `float16`.
        raw: the model's own output, as the published `[CLS]` features are, instead of vectors of length 1.
        batch_size: pictures handed to the encoder at once; None: as it prefers.
        cutting: which part of characters, and how.
    """

    level: str = "panel"
    split: str | None = None
    layout: str = "published"
    storage: str = "float32"
    raw: bool = False
    batch_size: int | None = None
    cutting: CharacterOptions = field(default_factory=CharacterOptions)

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise UsageError(f"layout {self.layout!r} is none of {', '.join(LAYOUTS)}")
        if self.storage not in DTYPES:
            raise UsageError(f"features are stored as {' or '.join(DTYPES)}, not as {self.storage!r}")


@dataclass
class BackboneReport:
    """The job's report, the packs that are current now, and what is still missing for packs that are not."""

    job: JobReport
    packs: list[Path]
    waiting: str = ""


def backbone_features(
    path: Path, spec: EncoderSpec, output: Path, *, backbone: BackboneOptions | None = None,
    options: JobOptions | None = None, progress: Progress | None = None,
) -> BackboneReport:  # fmt: skip
    """Bring the features in a folder up to date with a corpus, a pack of pictures or a folder of crops.

    Finished items survive any kill. Shards share the output folder; the one that finishes last writes the packs. Items
    have fixed pictures, so a resumed run gives the same bytes as an undisturbed one.

    Returns:
        The report counts `pictures` and `vectors`; pictures that cannot be read are problems in it, each with the
        number of panels that have no vector because of it.

    Raises:
        InputError: nothing to encode; the folder holds features of something else; another run is working on it.
        UsageError: unknown settings, or raw outputs of an encoder that has none.
        Stopped: after a signal; the packs are still those of before.
    """
    chosen, options = backbone or BackboneOptions(), options or JobOptions()
    source = open_source(path, level=chosen.level, split=chosen.split, cutting=chosen.cutting)
    encoder = loaded(spec)
    if chosen.raw and not hasattr(encoder, "embed_raw"):
        raise UsageError(
            f"{encoder.manifest.id} has no raw output: its vectors have length 1", hint="leave --raw out"
        )  # fmt: skip
    settings = settings_of(encoder, source, chosen)
    check_fits(output, settings)
    tasks = [
        Task(split, Item(f"{split}: {group[0].label}", digest(_marks(group)), tuple(group)), settings)
        for split, pictures in source.splits.items()
        for group in grouped(pictures)
    ]
    by_key = {task.item.key: task for task in tasks}
    if not options.dry_run:
        write_head(output, {**settings, "encoder": spec.remembered()}, path)
        own = tasks[options.shard[0] - 1 :: options.shard[1]]
        _forget_lost(Ledger(work_folder(output), JOB, options.shard), output, own)

    def commit(item: Item, result: Encoded) -> Done:
        task = by_key[item.key]
        parts_of(output, task.split).write(item.key, task.stamp, result.pieces)
        vectors = sum(len(names) for _, names, _ in result.pieces)
        return Done({"pictures": len(item.payload), "vectors": vectors}, result.problems)

    on_cpu = encoder.heavy and choose_device(spec.device).kind == "cpu"
    threads = min(CPU_WORKERS, options.workers) if on_cpu else options.workers
    report = run_job(
        JOB, [task.item for task in tasks], Work(spec, source.pack, chosen.batch_size, chosen.raw), commit,
        ledger_folder=work_folder(output), settings=settings,
        options=replace(options, jobs=threads) if encoder.heavy else options,
        workers="threads" if encoder.heavy else "processes", progress=progress,
    )  # fmt: skip
    report.problems = [_of_picture(problem) for problem in report.problems] + source.problems
    if options.dry_run:
        return BackboneReport(report, [])
    failed = Ledger(work_folder(output), JOB).load().entries
    open_tasks = [task for task in tasks if not task.finished(output) and not task.failed(failed)]
    if options.shard != (1, 1) and open_tasks:
        done = len(tasks) - len(open_tasks)
        waiting = f"{done} of {len(tasks)} items are finished; the shard that finishes the last one writes the packs"
        return BackboneReport(report, [], waiting)
    return BackboneReport(report, assemble(output, list(source.splits), tasks, chosen.layout, chosen.storage))


def settings_of(encoder: Encoder, source: Source, chosen: BackboneOptions) -> dict[str, Any]:
    """All that decides the vectors besides the pictures; precision and device do not (see `Encoder.identity`)."""
    settings: dict[str, Any] = {
        "identity": encoder.identity,
        "plugin": encoder.manifest.id,
        "dimension": encoder.dimension,
        "normalised": not chosen.raw,
        "level": source.level or "crop",
    }
    if source.level == "character":
        cutting = asdict(chosen.cutting)
        del cutting["crops"]  # how crops would be encoded as files
        settings["cutting"] = cutting
    return settings


def grouped(pictures: Sequence[Picture]) -> Iterator[list[Picture]]:
    """Neighbouring pictures, across comics, as items of the job: at most some hundred rows, but whole pictures.

    A comic that fills half an item ends it, so that a change in one comic leaves the items of later ones as they are.
    """
    group: list[Picture] = []
    rows = 0
    for picture in pictures:
        full = rows + picture.rows > ITEM_ROWS or len(group) == ITEM_PICTURES
        changed = bool(group) and picture.comic != group[-1].comic and 2 * rows >= ITEM_ROWS
        if group and (full or changed):
            yield group
            group, rows = [], 0
        group.append(picture)
        rows += picture.rows
    if group:
        yield group


def _marks(group: Sequence[Picture]) -> Iterator[str]:
    for picture in group:
        yield f"{picture.comic}\0{picture.mark}"
        yield from picture.names


def _of_picture(problem: Problem) -> Problem:
    """A problem under the name of its picture, `comic/page`, instead of that of the item it was in."""
    label, found, message = problem.message.partition(": ")
    return Problem(label, message, problem.fresh) if found and "/" in label else problem


def _forget_lost(ledger: Ledger, output: Path, tasks: Sequence[Task]) -> None:
    """Do those items again whose vectors somebody deleted."""
    entries = ledger.load().entries
    claimed = [task for task in tasks if task.item.key in entries and entries[task.item.key].status == "done"]
    forget(ledger, [task.item.key for task in claimed if not task.finished(output)])
