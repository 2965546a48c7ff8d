"""A kill at the worst moments: nothing finished is lost, and the resumed run gives the bytes of an undisturbed one."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comictool.core.errors import InputError
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import PageRecord, Panel
from comictool.datasets.packs.layout import index_file
from comictool.vectors.packs import FeaturePack

# Each kills the process itself the moment it is reached for the N-th time.
MOMENTS = {
    "after a part, before its ledger line": ("comictool.vectors.parts:Parts.write", 3, "after"),
    "before a part": ("comictool.vectors.parts:Parts.write", 4, "before"),
    "before the store is published": ("comictool.vectors.publish:write_head", 1, "before"),
    "the store is published, the pack is not": ("comictool.vectors.published:write_features", 1, "before"),
    "the new pack is there, its index is not": ("comictool.vectors.packs:write_json", 1, "before"),
}
RUN = """
import importlib, os, signal, sys
from pathlib import Path
import comictool.features.backbone as job
import comictool.vectors.plan as plan
from comictool.vectors.job import EmbedOptions
from comictool.core.jobs import JobOptions
from comictool.plugins.load import EncoderSpec

plan.ITEM_ROWS = 4
corpus, output, place, count, when = sys.argv[1:]
if place:
    module, _, name = place.partition(":")
    holder = importlib.import_module(module)
    *path, name = name.split(".")
    for part in path:
        holder = getattr(holder, part)
    real, calls = getattr(holder, name), [0]
    def deadly(*args, **kwargs):
        calls[0] += 1
        if calls[0] == int(count) and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **kwargs)
        if calls[0] == int(count):
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(holder, name, deadly)
report = job.backbone_features(Path(corpus), EncoderSpec("classic"), Path(output),
    EmbedOptions(("panel",), dtype="float32"), options=JobOptions(jobs=1))
print(report.job.skipped, report.job.done)
"""


def run(
    corpus: Path, output: Path, place: str = "", count: int = 0, when: str = ""
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RUN, str(corpus), str(output), place, str(count), when]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("killed") / "corpus"
    corpus = Corpus.create(root)
    rng = np.random.default_rng(2)
    for comic in ("a", "b", "c"):
        records = []
        for number in range(1, 5):
            file = root / "page_images" / comic / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (90, 60, 3), dtype=np.uint8)).save(file)
            panels = [Panel(i + 1, (0, 30 * i, 60, 30 * i + 30), i + 1) for i in range(3)]
            records.append(PageRecord(comic, number, f"page_images/{comic}/{number}.png", 60, 90, panels=panels))
        corpus.write_pages(comic, records)
    return root


def files(output: Path) -> dict[str, bytes]:
    own = (*output.glob("*.hdf5"), *output.glob("*_indexing.json"))
    return {p.relative_to(output).as_posix(): p.read_bytes() for p in own}


@pytest.fixture(scope="module")
def undisturbed(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    output = tmp_path_factory.mktemp("undisturbed") / "f"
    assert run(corpus, output).stdout.split() == ["0", "12"]
    return files(output)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_costs_at_most_what_was_in_work(
    moment: str, corpus: Path, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    place, count, when = MOMENTS[moment]
    killed = run(corpus, tmp_path / "f", place, count, when)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    pack = tmp_path / "f" / "all_features.hdf5"
    if pack.exists() and not index_file(pack).exists():
        with pytest.raises(InputError, match="is missing"):  # never read with the index of another
            FeaturePack(pack)
    elif pack.exists():
        assert len(FeaturePack(pack)) == 36
    resumed = run(corpus, tmp_path / "f")
    finished = count - 1 if "Parts" in place else 12
    assert resumed.stdout.split() == [str(finished), str(12 - finished)], resumed.stderr
    assert files(tmp_path / "f") == undisturbed
