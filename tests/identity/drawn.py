"""Small corpora and published folders of instances for the tests."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from comictool.corpus.corpus import Corpus
from comictool.corpus.records import Character, PageRecord, Panel

ROWS = ["series_id,page_id,type,index,char_index,x_0,y_0,x1,y_1"]


def figure(seed: int, width: int = 24, height: int = 36) -> Image.Image:
    """A picture of coloured blocks."""
    blocks = np.random.default_rng(seed).integers(0, 256, (4, 3, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((width, height), Image.Resampling.NEAREST)


def make_corpus(root: Path, comics: int = 3, pages: int = 3, *, named: bool = True) -> Corpus:
    """Comics of pages with two panels; in each stand characters 1 and 2: a head above a body.

    On every second page character 2 shows no face, and on the others character 1 no body.
    """
    corpus = Corpus.create(root)
    for comic in range(comics):
        records = []
        for page in range(1, pages + 1):
            picture = Image.new("RGB", (200, 100), (250, 245, 240))
            characters: list[Character] = []
            for panel in (1, 2):
                for identity in (1, 2):
                    x = 10 + 100 * (panel - 1) + 40 * (identity - 1)
                    picture.paste(figure(10 * comic + identity, 24, 20), (x, 10))
                    picture.paste(figure(100 + 10 * comic + identity, 24, 50), (x, 30))
                    face, body = (x, 10, x + 24, 30), (x, 10, x + 24, 80)
                    half = (page % 2 == 0 and identity == 2, page % 2 == 1 and identity == 1)
                    characters.append(
                        Character(
                            len(characters) + 1,
                            face if half[1] else body,
                            panel=panel,
                            face=None if half[0] else face,
                            body=None if half[1] else body,
                            identity=str(identity) if named else None,
                        )
                    )
            name = f"page_images/comic_{comic}/page-{page}.png"
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            picture.save(root / name)
            panels = [Panel(1, (0, 0, 100, 100)), Panel(2, (100, 0, 200, 100))]
            records.append(PageRecord(f"comic_{comic}", page, name, 200, 100, panels=panels, characters=characters))
        corpus.write_pages(f"comic_{comic}", records)
    return corpus


def save(path: Path, picture: Image.Image) -> None:
    """A JPEG and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=95)
    path.write_bytes(stream.getvalue())


def make_published(root: Path, *, series: int = 4, sequences: bool = True) -> Path:
    """The published layout: series of one page of three panels; in each two people, A with both halves and B with one.

    Series 2 is of val, series 3 of test. A keeps one name through the sequence; B is another person in panel 2.
    """
    rows, faces, bodies = list(ROWS), ["img_path"], ["img_path"]
    said: dict[str, list[object]] = {"train": [], "validation": [], "test": []}
    for number in range(series):
        key, people = 100 + number, {"1": [], "2": [], "3": []}  # type: ignore[var-annotated]
        for panel in range(3):
            place = f"{key}/5_{panel}"
            rows += [f"{key},5_{panel},face,0,0,4,4,14,12", f"{key},5_{panel},body,1,0,2,2,20,60"]
            rows += [f"{key},5_{panel},body,0,1,30,2,50,60"]
            save(root / "comics_crops_large_faces" / place / "0.jpg", figure(10 * number, 40, 40))
            save(root / "comics_crops" / place / "bodies/1.jpg", figure(10 * number + 1, 40, 90))
            save(root / "comics_crops" / place / "bodies/0.jpg", figure(10 * number + 2 + panel // 2, 40, 90))
            faces.append(f"/elsewhere/{place}/faces/0.jpg")
            bodies += [f"/elsewhere/{place}/bodies/{n}.jpg" for n in (0, 1)]
            people["1"].append({"face": f"{key}_5_{panel}_face_0", "body": f"{key}_5_{panel}_body_1"})
            people["3" if panel == 2 else "2"].append({"body": f"{key}_5_{panel}_body_0", "face": None})
        name = "+".join(f"{key}_5_{panel}" for panel in range(3))
        annotations = [{"charId": person, "charInstances": found} for person, found in people.items()]
        split = {2: "validation", 3: "test"}.get(number, "train")
        said[split].append({"seq_id": name, "annotations": annotations})
    for path, lines in (("merged_face_body", rows), ("filtered_all_face", faces), ("filtered_all_body", bodies)):
        (root / "ssl").mkdir(parents=True, exist_ok=True)
        (root / f"ssl/{path}.csv").write_text("\n".join(lines) + "\n")
    (root / "comics_seq").mkdir(exist_ok=True)
    for split, value in said.items() if sequences else ():
        (root / f"comics_seq/{split}_sequences.json").write_text(json.dumps(value))
    return root
