"""RapidOCR (https://github.com/RapidAI/RapidOCR) as an engine: PP-OCRv6, whose models its wheel carries.

Architecture `rapidocr` of the plugin kind `ocr`. It reads Latin letters with all their accents, Greek, Japanese and
Chinese with one model; Cyrillic, Hangul and Arabic letters are not among its 18,708. Columns of vertical text are found
whole and read turned. Nothing is ever fetched.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from comictool.core.errors import InputError, SetupError, UsageError
from comictool.plugins.encoder import encoder_id_of
from comictool.plugins.manifest import Manifest
from comictool.plugins.protocols import TextLine

if TYPE_CHECKING:
    import numpy as np

    from comictool.plugins.load import EncoderSpec

NAME = "rapidocr"
INSTALL = "pip install 'comictool[ocr]'"
PACKAGES = ("rapidocr", "onnxruntime")
DETECTOR, RECOGNISER = "PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx"  # in the wheel of 3.10
LONG_SIDE = 1408  # pixels in which lines are looked for; letters are read from the picture as it is given
MOST_PIXELS = 4096  # of a side, beyond which RapidOCR makes the picture smaller itself


def missing() -> str:
    """What is not there to read with it, in a few words; empty when all is."""
    absent = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if absent:
        return f"{' and '.join(absent)} not installed"
    absent = [name for name in (DETECTOR, RECOGNISER) if not (_models() / name).is_file()]
    return f"rapidocr brings no {' and '.join(absent)}" if absent else ""


def facts() -> str:
    """Its version and what it reads."""
    from importlib.metadata import version

    return f"{version(NAME)}, Latin letters, Greek, Japanese, Chinese"


def load_directory(spec: EncoderSpec, folder: Path, manifest: Manifest) -> RapidReader:
    """The reader of a plugin directory with this architecture.

    Raises:
        SetupError: the packages are not installed, or too old to carry the models.
        InputError: an argument that it does not have.
    """
    if absent := missing():
        raise SetupError(f"{NAME}: {absent}", hint=INSTALL if "installed" in absent else "pip install -U rapidocr")
    arguments = dict(manifest.arguments)
    if "languages" in arguments:
        raise UsageError(f"{manifest.id} reads all its languages with one model", hint="leave --language out")
    side = arguments.pop("long_side", LONG_SIDE)
    if arguments or not isinstance(side, int) or not 256 <= side <= MOST_PIXELS:
        raise InputError(
            f"plugin {manifest.id}: {NAME} takes long_side, a number of pixels from 256 to {MOST_PIXELS}, "
            f"not {manifest.arguments}"
        )
    return RapidReader(manifest, side)


class RapidReader:
    """A `comictool.plugins.protocols.TextReader`; its models are opened when the first picture is read.

    Args:
        manifest: of its plugin.
        long_side: pixels of the longer side at which lines are looked for.
    """

    needs_torch: ClassVar[bool] = False

    def __init__(self, manifest: Manifest, long_side: int = LONG_SIDE) -> None:
        from importlib.metadata import version

        self.manifest = manifest
        self.encoder_id = encoder_id_of(manifest, version("rapidocr"))
        self.device_note = "cpu, one thread (onnxruntime)"
        self._long_side = long_side

    def read(self, images: Sequence[np.ndarray]) -> list[list[TextLine]]:
        """N pictures (H, W, 3) uint8 RGB to their lines; a column of vertical text is one line in a tall box."""
        return [self._lines(image) for image in images]

    def _lines(self, image: np.ndarray) -> list[TextLine]:
        import numpy as np

        height, width = image.shape[:2]
        found = self._engine(np.ascontiguousarray(image[..., ::-1]))  # it takes BGR, as OpenCV reads
        if found.boxes is None or found.txts is None:
            return []
        lines = []
        for corners, text, score in zip(found.boxes, found.txts, found.scores, strict=True):
            x0, y0 = np.maximum(corners.min(axis=0), 0)
            x1, y1 = np.minimum(corners.max(axis=0), (width, height))
            if x0 < x1 and y0 < y1 and text.strip():
                box = (float(x0), float(y0), float(x1), float(y1))
                lines.append(TextLine(box, text.strip(), float(min(max(score, 0.0), 1.0))))
        return lines

    @cached_property
    def _engine(self) -> Any:
        from rapidocr import RapidOCR

        return RapidOCR(
            params={
                "Global.log_level": "critical",
                "Global.use_cls": False,  # it takes short cries for lines upside down
                "Global.text_score": 0.0,
                "Global.max_side_len": MOST_PIXELS,
                "Det.model_path": str(_models() / DETECTOR),  # named, for it fetches what it does not find
                "Rec.model_path": str(_models() / RECOGNISER),
                "Det.limit_type": "max",
                "Det.limit_side_len": self._long_side,
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )


def _models() -> Path:
    """The folder of the wheel's models; importing the package takes a second and is not needed for that."""
    spec = importlib.util.find_spec("rapidocr")
    return Path(spec.origin).parent / "models" if spec is not None and spec.origin else Path()
