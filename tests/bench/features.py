"""Frozen features of panels: `python -m tests.bench.features [PAGES] [MODEL...]`.

The rival is the usual script: a comic at a time, the page opened anew for every panel, Pillow's resize, one batch of
the whole comic, float32 in torch's own memory order. The floor is the encoder alone on crops that lie resized in
memory, in batches of its choice: no job that decodes pages can be faster. Pages are real ones when COMICTOOL_TEST_DATA
is set, else drawn; six panels a page, four pages a comic. Weights are random (they take the same time), the same for
all three, and the cosine of ours to the rival's vectors is printed: it must be near 1 for the speeds to be of the same
work. Runs take turns; CPU seconds count, since a machine may be shared; wall seconds stand beside.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from comictool.core.images import decode_array
from comictool.corpus.corpus import Corpus
from comictool.features.backbone import backbone_features
from comictool.plugins.load import EncoderSpec, load_encoder
from comictool.plugins.preparation import prepare_one
from comictool.vectors.encoders import lazy_encoder
from comictool.vectors.job import EmbedOptions
from comictool.vectors.packs import FeaturePack
from tests.bench.exporting import prepare
from tests.bench.figures import arguments, figure

ROUNDS = 3
MODELS = ("resnet18", "vit_small_patch16_224")
COMIC_PAGES = 4


def in_comics(corpus: Corpus) -> None:
    """Deal the pages out to comics of four."""
    records = list(corpus.all_pages())
    for comic in corpus.comics():
        (corpus.root / "annotations" / "pages" / f"{comic}.jsonl").unlink()
    for start in range(0, len(records), COMIC_PAGES):
        own = records[start : start + COMIC_PAGES]
        for number, record in enumerate(own, start=1):
            record.comic, record.page = f"comic-{start // COMIC_PAGES:03d}", number
        corpus.write_pages(own[0].comic, own)


def naive(corpus: Corpus, model: torch.nn.Module) -> np.ndarray:
    """The usual script, (panels, D) float32 of length 1."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    out = []
    for comic in corpus.comics():
        crops = []
        for record in corpus.pages(comic):
            for panel in record.panels:
                with Image.open(corpus.image_path(record)) as page:
                    crop = page.convert("RGB").crop(panel.box).resize((224, 224), Image.Resampling.BICUBIC)
                crops.append(torch.from_numpy(np.array(crop)).permute(2, 0, 1))
        with torch.no_grad():
            out.append(model((torch.stack(crops).float() / 255 - mean) / std).numpy())
    rows = np.concatenate(out)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def timed(run: Callable[[], object]) -> tuple[float, float]:
    """CPU and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    return time.process_time() - cpu, time.perf_counter() - wall


def measure(name: str, corpus: Corpus, work: Path) -> None:
    """Print one model's rows."""
    spec = EncoderSpec(f"timm:{name}?random")
    encoder = lazy_encoder(spec).loaded()
    plain = load_encoder(EncoderSpec(f"timm:{name}?random", precision="fp32", device="cpu"))
    model = plain._model.to(memory_format=torch.contiguous_format)  # type: ignore[attr-defined]
    assert encoder.manifest.image is not None
    crops = [
        np.ascontiguousarray(decode_array(corpus.image_path(r))[p.box[1] : p.box[3], p.box[0] : p.box[2]])
        for r in corpus.all_pages()
        for p in r.panels
    ]
    ready = [prepare_one(crop, encoder.manifest.image).permute(1, 2, 0).contiguous().numpy() for crop in crops]
    ours: list[Path] = []

    def job() -> None:
        shutil.rmtree(work, ignore_errors=True)
        ours[:] = backbone_features(corpus.root, spec, work, EmbedOptions(("panel",), dtype="float32")).packs

    theirs: list[np.ndarray] = []
    runs: dict[str, Callable[[], object]] = {
        "the usual script": lambda: theirs.__setitem__(slice(None), [naive(corpus, model)]),
        "features backbone": job,
        "floor: encoder alone": lambda: encoder.embed(ready),
    }
    best: dict[str, tuple[float, float]] = {}
    for _ in range(ROUNDS):
        for label, run in runs.items():
            found = timed(run)
            best[label] = min(best.get(label, found), found)
    cosines = (FeaturePack(ours[0]).stacked() * theirs[0]).sum(axis=1)
    print(f"\n{name}: {len(crops)} panels, {encoder.device_note}")
    slow = best["the usual script"]
    for label, (cpu, wall) in best.items():
        ratios = f"CPU {slow[0] / cpu:5.2f} times the script's speed, wall {slow[1] / wall:5.2f}"
        print(f"  {label:<22} {len(crops) / cpu:7.1f} panels a CPU second {len(crops) / wall:7.1f} a second   {ratios}")
    print(f"  cosine of ours to the script's: least {cosines.min():.4f}, middle {np.median(cosines):.4f}")
    ours_cpu, floor_cpu = (best[label][0] for label in ("features backbone", "floor: encoder alone"))
    figure(
        f"frozen features of panels, {name}, against the page reopened for each panel, fp32, a batch of one comic; CPU",
        f"{slow[0] / ours_cpu:.1f} times",
        f"the encoder alone {slow[0] / floor_cpu:.1f} times; least cosine to fp32 {cosines.min():.4f}",
    )


def main() -> None:
    pages = int([*arguments(), "24"][0])
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        corpus = prepare(Path(folder) / "corpus", pages)
        in_comics(corpus)
        for name in arguments()[1:] or MODELS:
            measure(name, corpus, Path(folder) / "features")


if __name__ == "__main__":
    main()
