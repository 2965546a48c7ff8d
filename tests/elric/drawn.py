"""Small corpora and packs of characters for the tests."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from comictool.corpus.corpus import Corpus
from comictool.corpus.records import Character, PageRecord, Panel
from comictool.datasets.packs.packing import pack_folder
from comictool.vectors.packs import write_features


def figure(seed: int, width: int = 24, height: int = 36, mode: str = "RGB") -> Image.Image:
    """A picture of coloured blocks."""
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 4, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((width, height), Image.Resampling.NEAREST).convert(mode)


def make_corpus(root: Path, comics: int = 3, pages: int = 3, *, size: tuple[int, int] = (24, 36)) -> Corpus:
    """Comics of pages with two panels; in each stand characters 1 and 2, who look alike on every page."""
    corpus = Corpus.create(root)
    for comic in range(comics):
        records = []
        for page in range(1, pages + 1):
            picture = Image.new("RGB", (200, 100), (250, 245, 240))
            characters = []
            for panel in (1, 2):
                for identity in (1, 2):
                    place = (10 + 100 * (panel - 1) + 40 * (identity - 1), 20)
                    picture.paste(figure(10 * comic + identity, *size), place)
                    box = (*place, place[0] + size[0], place[1] + size[1])
                    characters.append(
                        Character(
                            len(characters) + 1,
                            box,
                            panel=panel,
                            identity=str(identity),
                            valence=(-0.9, 0.9)[panel - 1],
                            arousal=0.0,
                        )
                    )
            name = f"page_images/comic_{comic}/page-{page}.png"
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            picture.save(root / name)
            panels = [Panel(1, (0, 0, 100, 100)), Panel(2, (100, 0, 200, 100))]
            records.append(
                PageRecord(f"comic_{comic}", page, name, 200, 100, type="story", panels=panels, characters=characters)
            )
        corpus.write_pages(f"comic_{comic}", records)
    return corpus


def make_pack(folder: Path, split: str, files: Mapping[str, Image.Image | bytes]) -> Path:
    """A pack `<split>_images.hdf5` of pictures by `<comic>/<name>.<suffix>`."""
    pictures = folder / f"{split}_images"
    for name, picture in files.items():
        path = pictures / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(picture, bytes):
            path.write_bytes(picture)
        else:
            stream = io.BytesIO()
            picture.save(stream, {"jpg": "JPEG", "png": "PNG"}[name.rpartition(".")[2]])
            path.write_bytes(stream.getvalue())
    pack_folder(pictures)
    return folder / f"{split}_images.hdf5"


def make_features(folder: Path, split: str, panels: Mapping[str, list[str]], width: int = 32) -> Path:
    """A pack of contextual vectors, one for each panel of each comic."""
    rng = np.random.default_rng(0)
    rows = {comic: (names, rng.normal(size=(len(names), width)).astype(np.float32)) for comic, names in panels.items()}
    path = folder / f"{split}_sequence_features.hdf5"
    write_features(path, f"{split}_sequence_features", rows, {})
    return path
