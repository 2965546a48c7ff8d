"""`features backbone`: frozen features of every panel or character, in a store and as packs that the methods read.

```
OUTPUT/
  zarr.json, contents-000001/    a store with the column panel/image or character/image (`comictool.vectors.store`)
  <split>_features.hdf5          the published layout, its index beside it (`comictool.vectors.packs`)
```
It is the job of `embed` with other defaults; shards share the folder, and the one that finishes last writes the packs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from comictool.core.jobs import JobOptions, JobReport
from comictool.core.progress import Progress
from comictool.plugins.load import EncoderSpec
from comictool.vectors.job import EmbedOptions, EmbedRun
from comictool.vectors.published import check_packs, write_packs
from comictool.vectors.store import Store


@dataclass
class BackboneReport:
    """The job's report, the packs that are current now, and what is still missing for packs that are not."""

    job: JobReport
    packs: list[Path]
    waiting: str = ""


def backbone_features(
    source: Path,
    spec: EncoderSpec,
    output: Path,
    chosen: EmbedOptions,
    *,
    options: JobOptions | None = None,
    progress: Progress | None = None,
) -> BackboneReport:
    """Bring the features in a folder up to date with a corpus, a pack of pictures or a folder of crops.

    Args:
        chosen: with one level.

    Returns:
        The report counts `panels` or `characters` with a vector; pictures that cannot be read are problems in it, each
        with the number of panels that have no vector because of it.

    Raises:
        InputError: nothing to encode; the folder holds features of something else; another run is working on it.
        UsageError: unknown settings, or raw outputs of an encoder that has none.
        Stopped: after a signal; the packs are still those of before.
    """
    options = options or JobOptions()
    run = EmbedRun(source, spec, output, replace(chosen, shared=True), options)
    (level,) = run.columns
    check_packs(output, level)
    report = run.run(progress)
    if options.dry_run:
        return BackboneReport(report, [])
    if run.waiting:
        done = len(run.plan.items) - run.waiting
        note = (
            f"{done} of {len(run.plan.items)} items are finished; the shard that finishes the last one writes the packs"
        )
        return BackboneReport(report, [], note)
    with Store.open(output) as store:
        return BackboneReport(report, write_packs(store, output, level, split=chosen.split))
