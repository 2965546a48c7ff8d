"""Reading packed crops: `python -m tests.bench.packs [CROPS]`.

Random rows of a pack, page cache warm, one thread. The published layout (variable-length rows), read as plain h5py code
does and through `Pack`, against the blob layout and against the folder of files; bytes alone, and decoded to RGB with
Pillow. Runs take turns; the best of several counts.
"""

from __future__ import annotations

import io
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from comictool.core.images import decode
from comictool.core.jobs import JobOptions
from comictool.datasets.packs.packing import pack_folder
from comictool.datasets.packs.reading import Pack
from tests.bench.figures import arguments, figure

ROUNDS = 5
SIDE = 224
READS = 2000


def crops(folder: Path, count: int) -> list[Path]:
    """JPEG crops of about 27 kB, 200 to a comic: blurred noise, which compresses as inked paper does."""
    generator = np.random.default_rng(0)
    files = []
    for number in range(count):
        small = generator.integers(0, 256, (SIDE // 2, SIDE // 2, 3), dtype=np.uint8)
        picture = Image.fromarray(small).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=88)
        file = folder / f"comic-{number // 200:03}" / f"{number % 200 // 10 + 1}_{number % 10 + 1}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(stream.getvalue())
        files.append(file)
    return files


def rate(read: Callable[[int], bytes], rows: list[int], *, decoded: bool) -> float:
    """Rows a second of CPU: the machine may be shared."""
    began = time.process_time()
    for row in rows:
        data = read(row)
        if decoded:
            decode(data)
    return len(rows) / (time.process_time() - began)


def main() -> None:
    """Print the table."""
    count = int([*arguments(), "3000"][0])
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        files = crops(root / "train_images", count)
        packs = {}
        for layout in ("published", "blob"):
            began = time.perf_counter()
            pack_folder(root / "train_images", layout=layout, options=JobOptions(jobs=1))
            seconds = time.perf_counter() - began
            for file in (root / "train_images.hdf5", root / "train_images_indexing.json"):
                target = root / layout / file.name
                target.parent.mkdir(exist_ok=True)
                file.rename(target)
            packs[layout] = Pack(root / layout / "train_images.hdf5")
            print(f"written {layout}: {count / seconds:.0f} crops/s")
        ordered = [root / "train_images" / c / f"{n}.jpg" for c, n in packs["blob"].entries()]
        assert sorted(ordered) == sorted(files)
        legacy = h5py.File(root / "published" / "train_images.hdf5", "r")["train_images"]
        places = [(comic, row) for comic in packs["blob"].comics() for row in range(len(packs["blob"].names(comic)))]

        def as_they_do(row: int) -> bytes:
            comic, place = places[row]
            return bytes(legacy[comic]["img_data"][place])

        arms: dict[str, Callable[[int], bytes]] = {
            "published layout, dataset found at each read": as_they_do,
            "published layout, Pack": packs["published"].read_row,
            "blob layout, Pack": packs["blob"].read_row,
            "folder of files": lambda row: ordered[row].read_bytes(),
        }
        rows = [random.Random(1).randrange(count) for _ in range(READS)]
        for read in arms.values():
            assert all(read(row) == ordered[row].read_bytes() for row in rows[:50])
        best: dict[tuple[str, bool], float] = {}
        for _ in range(ROUNDS):
            for arm, read in arms.items():
                for decoded in (False, True):
                    speed = rate(read, rows, decoded=decoded)
                    best[arm, decoded] = max(speed, best.get((arm, decoded), 0))
    first = next(iter(arms))
    base = {decoded: best[first, decoded] for decoded in (False, True)}
    print(f"{count} crops of {SIDE} x {SIDE}, {READS} random reads, best of {ROUNDS}, per CPU second")
    print(f"{'':<46}{'bytes/s':>10}{'ratio':>7}{'decoded/s':>11}{'ratio':>7}")
    for arm in arms:
        raw, rgb = best[arm, False], best[arm, True]
        print(f"{arm:<46}{raw:>10.0f}{raw / base[False]:>7.2f}{rgb:>11.0f}{rgb / base[True]:>7.2f}")
    blob, own = best["blob layout, Pack", True], best["published layout, Pack", True]
    figure(
        "reading packs and decoding: blob layout against the published one",
        f"{blob / base[True]:.2f} times plain h5py, {blob / own:.2f} times `Pack`",
        "asked for 1.5 to 2",
    )


if __name__ == "__main__":
    main()
