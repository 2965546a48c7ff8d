"""The whole recipe on real comics: pages in, panels cut, names normalised, split, packed, measured."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import PageRecord, Panel
from comictool.datasets.exporting.crops import CropOptions
from comictool.datasets.exporting.panels import export_panels
from comictool.datasets.metainfo import panel_metainfo
from comictool.datasets.normalizing.normalize import normalize_names
from comictool.datasets.packs.packing import pack_corpus
from comictool.datasets.packs.reading import Pack
from comictool.datasets.splitting.split import split_dataset
from tests.data import data, needs_data


def build(root: Path) -> Corpus:
    """Episodes of Pepper&Carrot with their hand-checked panel boxes, as comics with awkward names."""
    corpus = Corpus.create(root)
    pages = json.loads(data("pepper_carrot", "annotations.json").read_text("utf-8"))["pages"]
    records: defaultdict[str, list[PageRecord]] = defaultdict(list)
    for key, page in pages.items():
        file = data("pepper_carrot", "lettered_en", f"{key}.jpg")
        if page["panel_quality"] != "clean" or not file.is_file():
            continue
        comic = f"Pepper & Carrot, épisode {page['episode']}"
        image = f"page_images/{comic}/page-{page['page']}.jpg"
        (root / image).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, root / image)
        panels = [Panel(number, tuple(box), number) for number, box in enumerate(page["panels"], start=1)]
        width, height = page["size"]
        records[comic].append(PageRecord(comic, page["page"], image, width, height, panels=panels))
    for comic, found in records.items():
        corpus.write_pages(comic, found)
    return corpus


@needs_data
@pytest.mark.data
def test_recipe_on_real_pages(tmp_path: Path) -> None:
    corpus = build(tmp_path / "corpus")
    records = list(corpus.all_pages())
    expected = sum(len(record.panels) for record in records)
    report = export_panels(corpus, crops=CropOptions(format="png"))
    assert (report.failed, report.totals["panels"]) == (0, expected)
    assert not report.problems
    normalize_names(corpus.root)
    split = split_dataset(corpus)
    assert min(split.sizes.values()) >= 1
    pack_corpus(corpus.root, options=JobOptions(jobs=1))
    packed = {}
    for name in split.manifest["splits"]:
        pack = Pack(corpus.root / "processed" / "panels" / f"{name}_images.hdf5")
        for comic in pack.comics():
            for row, entry in enumerate(pack.names(comic)):
                packed[comic, entry] = np.asarray(pack.picture(comic, row))
    assert len(packed) == expected
    for record in corpus.all_pages():
        assert record.comic.startswith("pepper_-_carrot-_episode_")
        with Image.open(corpus.image_path(record)) as page:
            picture = page.convert("RGB")
        for panel in record.panels:
            assert np.array_equal(
                packed[record.comic, f"{record.page}_{panel.id}"], np.asarray(picture.crop(panel.box))
            )
    assert panel_metainfo(corpus.root).totals["panels"] > 0
