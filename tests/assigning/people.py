"""Made-up instances and vectors."""

from __future__ import annotations

import numpy as np

from comictool.assigning.evidence import Calibration, Line
from comictool.assigning.instances import Instance, Vectors

CALIBRATION = Calibration("made", {"face": Line(4.0, 5.0), "body": Line(2.0, 2.5)})


def instance(page: int, panel: int, character: int, identity: str | None = None, comic: str = "c") -> Instance:
    box = (10 * character, 0, 10 * character + 9, 30)
    return Instance(comic, page, panel, panel, character, box, box, identity)


def book(seed: int, pages: int = 6, cast: int = 4, spread: float = 0.5, dimension: int = 24):
    """A book of two panels a page with two or three of a cast in each: instances, vectors, who they are.

    A third of the faces and a quarter of the bodies are missing, never both.
    """
    rng = np.random.default_rng(seed)
    looks = {kind: rng.normal(size=(cast, dimension)) for kind in ("face", "body")}
    instances, truth = [], []
    for page in range(1, pages + 1):
        for panel in (1, 2):
            for who in rng.choice(cast, rng.integers(2, 4), replace=False).tolist():
                instances.append(instance(page, panel, len(instances) + 1))
                truth.append(who)
    kept = {"face": rng.random(len(truth)) > 0.33}
    kept["body"] = (rng.random(len(truth)) > 0.25) | ~kept["face"]
    rows = {}
    for kind, base in looks.items():
        made = base[truth] + spread * rng.normal(size=(len(truth), dimension))
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        rows[kind] = (made * kept[kind][:, None]).astype(np.float32)
    return instances, Vectors(rows, kept), np.array(truth)
