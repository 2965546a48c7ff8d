"""What `comic_small` learned from drawn characters alone, made again, and what it is worth on real ones.

    COMICTOOL_TEST_DATA=FOLDER python -m tests.bench.drawn_head [-o PLUGIN] [--write]

Pictures of one character differ by pose, crop and light. Along which directions of `comic_small`'s vectors they do so
is measured on drawn comics, and damped, after what all of those share was taken off: a plugin of the same parts with a
`mean` and `damped` (`comictool.plugins.joined`), which every command takes as `--plugin PLUGIN`. One that is there is
measured again. No label of a real comic is used. `LEAST` and `ROWS` were chosen on other drawn comics and
`alarming_tales`; styles that the open-set bench holds out (`UNSEEN`) are not drawn.

Each crop asks all crops of its series that come from other pages, what all crops of the series share taken off but for
`classic`, as whose default it is left on; macro: mean over identities.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from comictool.measure.retrieval import macro, retrieval
from comictool.plugins.encoder import Encoder
from comictool.plugins.known import parts_of
from comictool.plugins.load import EncoderSpec, load_plugin
from comictool.plugins.manifest import read_manifest, write_manifest
from comictool.reid.reranking import centred
from tests.bench.character_search import SERIES, Crops, embed_each, load_series
from tests.bench.drawn_crops import SEEN, drawn_series
from tests.bench.figures import ROOT, WRITE, arguments, figure, ratio
from tests.data import DATA

SEED, COUNT = 5151, 48  # drawn comics
LEARNED = {"mean": "mean.npy", "damped": "damped.npy"}
LEAST = 1.0  # a variance within characters counts this many mean variances more than it is: regularisation
ROWS = 256  # directions that are damped; all others are left as they are


def fitted(series: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """The mean (D,) of several series of vectors with names, and the rows (R, D) that damp what differs within names.

    A direction of variance v within names is scaled by `sqrt(floor / (v + LEAST * mean variance))`, where the floor
    scales the first direction that is left as it is by 1.
    """
    mean = np.mean([vectors.mean(axis=0) for vectors, _ in series], axis=0)
    within = np.concatenate(
        [
            vectors[names == name] - vectors[names == name].mean(axis=0)
            for vectors, names in series
            for name in set(names)
        ]
    )
    variances, directions = np.linalg.eigh(within.T.astype(np.float64) @ within / len(within))
    variances, directions = variances[::-1], directions[:, ::-1]
    least = LEAST * variances.mean()
    scales = np.sqrt((variances[ROWS] + least) / (variances[:ROWS].clip(0) + least))
    return mean, (directions[:, :ROWS] * np.sqrt(1 - scales)).T


def macro_figures(encoder: Encoder, crops: Crops, parts: Sequence[int] | None = None) -> str:
    """Macro rank-1 and macro mAP; with `parts` less what all crops share."""
    rows = embed_each(lambda image: encoder.embed([image])[0], crops)
    rows = rows if parts is None else centred(rows, rows, parts)
    found = retrieval(rows @ rows.T, crops.identities, crops.identities, crops.pages[:, None] == crops.pages[None, :])
    return f"{ratio(found.macro_rank(1))} / {ratio(macro(found.precision, found.labels))}"


def unlearned(folder: Path) -> Encoder:
    """`comic_small` without what it learned, written to a folder."""
    shutil.copytree(ROOT / "plugins" / "comic_small", folder, ignore=lambda *_: ["identity.json", *LEARNED.values()])
    shipped = read_manifest(folder)
    plain = {name: value for name, value in shipped.arguments.items() if name not in LEARNED}
    write_manifest(folder, replace(shipped, arguments=plain))
    return load_plugin(str(folder), device="cpu", precision="fp32")


def fit(folder: Path) -> None:
    """Draw, embed, and write the plugin."""
    began = time.process_time()
    encoder = unlearned(folder)
    drawn = [crops for _, crops in drawn_series(SEED, COUNT, SEEN)]
    series = [(embed_each(lambda image: encoder.embed([image])[0], crops), crops.identities) for crops in drawn]
    for name, array in zip(LEARNED, fitted(series), strict=True):
        np.save(folder / LEARNED[name], array.astype(np.float16))
    manifest = read_manifest(folder)
    write_manifest(folder, replace(manifest, arguments={**manifest.arguments, **LEARNED}))
    pictures = sum(len(names) for _, names in series)
    figure(
        f"what `comic_small` learned from {pictures} drawn pictures of characters of {len(series)} comics",
        f"{(time.process_time() - began) / 60:.1f} minutes of one core, drawing and embedding included",
    )


def main() -> None:
    """Fit where nothing is, measure, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args(arguments())
    if options.output:  # a place on somebody's machine, and no part of what was measured
        sys.argv[1:] = [WRITE] * (WRITE in sys.argv)
    if DATA is None:
        raise SystemExit("COMICTOOL_TEST_DATA does not name the folder of test comics")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.output or Path(temporary) / "plugin"
        if not folder.exists():
            fit(folder)
        ours, small = load_plugin(str(folder), device="cpu", precision="fp32"), unlearned(Path(temporary) / "unlearned")
    classic, parts = load_plugin("classic"), parts_of(EncoderSpec("comic_small"))
    for name in SERIES:
        crops = load_series(name)
        figure(
            f"characters of {name}, macro rank-1 / macro mAP, learned from drawn characters alone",
            macro_figures(ours, crops, ()),
            f"without what it learned {macro_figures(small, crops, parts)}; classic {macro_figures(classic, crops)}",
        )


if __name__ == "__main__":
    main()
