"""Answers of models of each kind: what is asked of them in a trial, and whether an answer is what the kind promises.

`(manifest, inputs, answer) -> answer` in the protocol's own types; an InputError names what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from comictool.core.errors import InputError
from comictool.plugins.encoder import unit_rows
from comictool.plugins.manifest import VECTOR, Manifest
from comictool.plugins.protocols import Detections, TextLine

TRIAL_ROWS = 9
TRIAL_DIMENSION = 64  # of vectors whose encoder is not known
MOST_BOXES = 100_000  # on one picture


def pictures(manifest: Manifest) -> list[np.ndarray]:
    """Four of different shapes."""
    return trial_pictures(4)


def trial_pictures(count: int) -> list[np.ndarray]:
    """Pictures of several shapes, always the same: blocks of colour with lines over them."""
    random = np.random.default_rng(20)
    found = []
    for index in range(count):
        height, width = ((180, 260), (300, 200), (224, 224), (90, 400))[index % 4]
        blocks = random.integers(0, 256, (4, 5, 3), dtype=np.uint8)
        picture = blocks[np.arange(height)[:, None] * 4 // height, np.arange(width)[None] * 5 // width]
        picture[:: int(random.integers(5, 40))] = 0
        picture[:, :: int(random.integers(5, 40))] = 255
        found.append(np.ascontiguousarray(picture))
    return found


def texts(manifest: Manifest) -> list[str]:
    """Short, long, empty and foreign ones."""
    return ["Where is the cat?", "ねこはどこ？", "", "A " + "very " * 500 + "long text."]


def panels(manifest: Manifest) -> np.ndarray:
    """(9, D) unit vectors; D is `features` of the architecture, where it says that."""
    return _trial_rows(manifest, "features")


def _trial_rows(manifest: Manifest, name: str) -> np.ndarray:
    size = manifest.arguments.get(name)
    size = size if isinstance(size, int) and 0 < size <= 65_536 else TRIAL_DIMENSION
    return unit_rows(np.random.default_rng(21).normal(size=(TRIAL_ROWS, size)), manifest.id)


def columns(manifest: Manifest) -> dict[str, np.ndarray]:
    """Vectors of the columns that it reads, every third one absent; D is the architecture's argument of the modality's
    name, where it has one.
    """
    found = {name: _trial_rows(manifest, name.rpartition("/")[2]).copy() for name in manifest.reads}
    for start, matrix in enumerate(found.values()):
        matrix[start % 3 :: 3] = np.nan
    return found


def rows(manifest: Manifest, inputs: Any, answer: Any) -> np.ndarray:
    """(N, D) finite float32."""
    return _matrix(manifest, len(inputs), answer)


def vectors(manifest: Manifest, inputs: Any, answer: Any) -> np.ndarray:
    """(N, D) float32, scaled to length 1."""
    return unit_rows(_matrix(manifest, len(inputs), answer), manifest.id)


def fused(manifest: Manifest, inputs: Mapping[str, np.ndarray], answer: Any) -> np.ndarray:
    """The same for columns."""
    return unit_rows(_matrix(manifest, len(next(iter(inputs.values()), ())), answer), manifest.id)


def maps(manifest: Manifest, inputs: Sequence[np.ndarray], answer: Any) -> list[np.ndarray]:
    """One finite (H, W) float32 for each picture."""
    found = [_numbers(manifest, item) for item in _one_each(manifest, inputs, answer)]
    for picture, depth in zip(inputs, found, strict=True):
        if depth.shape != picture.shape[:2] or not np.isfinite(depth).all():
            raise _wrong(manifest, f"a map {list(depth.shape)}", f"finite numbers {list(picture.shape[:2])}")
    return found


def boxes(manifest: Manifest, inputs: Sequence[np.ndarray], answer: Any) -> list[Detections]:
    """`Detections`, or (boxes, scores) or (boxes, scores, labels), for each picture; boxes inside it."""
    classes = manifest.output["boxes"].classes
    found = []
    for picture, item in zip(inputs, _one_each(manifest, inputs, answer), strict=True):
        parts = (item.boxes, item.scores, item.labels) if isinstance(item, Detections) else tuple(item)
        if len(parts) not in (2, 3):
            raise _wrong(manifest, f"{len(parts)} things for a picture", "boxes, scores and labels")
        frames, scores = _numbers(manifest, parts[0]).reshape(-1, 4), _numbers(manifest, parts[1]).reshape(-1)
        labels = [str(label) for label in parts[2]] if len(parts) == 3 and len(parts[2]) else [""] * len(frames)
        if not len(frames) == len(scores) == len(labels) <= MOST_BOXES:
            raise _wrong(manifest, f"{len(frames)} boxes, {len(scores)} scores, {len(labels)} labels", "equal numbers")
        _inside(manifest, frames, picture)
        if not ((scores >= 0) & (scores <= 1)).all():
            raise _wrong(manifest, "scores outside 0..1", "scores in 0..1")
        if strange := sorted({label for label in labels if label and label not in classes}):
            raise _wrong(manifest, f"the class {strange[0][:60]!r}", f"one of {', '.join(classes) or 'no classes'}")
        found.append(Detections(frames, scores, labels))
    return found


def lines(manifest: Manifest, inputs: Sequence[np.ndarray], answer: Any) -> list[list[TextLine]]:
    """`TextLine`, or (box, text) or (box, text, score), for each line of each picture; boxes inside it."""
    found = []
    for picture, item in zip(inputs, _one_each(manifest, inputs, answer), strict=True):
        given = [line if isinstance(line, TextLine) else TextLine(*line) for line in item]
        if len(given) > MOST_BOXES:
            raise _wrong(manifest, f"{len(given)} lines", f"at most {MOST_BOXES}")
        frames = _numbers(manifest, [line.box for line in given]).reshape(-1, 4)
        _inside(manifest, frames, picture)
        if not all(isinstance(line.text, str) and 0 <= float(line.score) <= 1 for line in given):
            raise _wrong(manifest, "a line that is no text with a score in 0..1", "texts")
        found.append(
            [
                TextLine(tuple(box), line.text, float(line.score))
                for box, line in zip(frames.tolist(), given, strict=True)
            ]
        )
    return found


def _matrix(manifest: Manifest, count: int, answer: Any) -> np.ndarray:
    found = _numbers(manifest, answer)
    dimension = manifest.output[VECTOR].dimension
    if count == 0 and found.size == 0:
        return np.zeros((0, dimension), dtype=np.float32)
    if found.shape != (count, dimension) or not np.isfinite(found).all():
        raise _wrong(manifest, f"numbers {list(found.shape)}", f"finite ones {[count, dimension]}")
    return found


def _numbers(manifest: Manifest, answer: Any) -> np.ndarray:
    """An array of float32 from whatever holds numbers; tensors of any device too."""
    try:
        plain = answer.detach().cpu().float() if hasattr(answer, "detach") else answer
        return np.asarray(plain, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise _wrong(manifest, f"a {type(answer).__name__}", "numbers") from error


def _one_each(manifest: Manifest, inputs: Sequence[Any], answer: Any) -> list[Any]:
    given = list(answer) if isinstance(answer, Iterable) else []
    if len(given) != len(inputs):
        raise _wrong(manifest, f"{len(given)} answers", f"one for each of {len(inputs)} inputs")
    return given


def _inside(manifest: Manifest, frames: np.ndarray, picture: np.ndarray) -> None:
    height, width = picture.shape[:2]
    x0, y0, x1, y1 = frames.T
    if not ((x0 >= 0) & (y0 >= 0) & (x0 < x1) & (y0 < y1) & (x1 <= width) & (y1 <= height)).all():
        raise _wrong(manifest, "a box that is empty or outside its picture", f"boxes within {width}x{height} pixels")


def _wrong(manifest: Manifest, given: str, promised: str) -> InputError:
    return InputError(f"plugin {manifest.id} gives {given}, not {promised}")
