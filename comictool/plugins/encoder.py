"""What every encoder is to the rest of the program: pictures in, unit vectors out, and an id to cache under."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from comictool.plugins.manifest import Manifest

if TYPE_CHECKING:
    import numpy as np

Box = tuple[float, float, float, float]
NO_WEIGHTS = "none"
CPU_BATCH = 16  # eager torch on a CPU is slower at 64 than at 16: the large activations are given back to the system


@runtime_checkable
class Encoder(Protocol):
    """An encoder that is loaded and ready.

    Attributes:
        manifest: what its plugin says about itself.
        dimension: D, numbers per vector.
        encoder_id: `id@version+weights+preprocessing`; vectors with the same id may be compared and cached
            together. Precision and device are not part of it: bf16 and fp32 vectors of one model have cosine > .999.
        preferred_batch: how many pictures to hand over at once.
        device_note: where and how it computes, and why, for the log.
        needs_torch: such encoders run in the main process; light ones may be rebuilt in worker processes
            with `comictool.plugins.load.load_encoder(spec)`.
    """

    manifest: Manifest
    dimension: int
    encoder_id: str
    preferred_batch: int
    device_note: str
    needs_torch: bool

    def embed(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Vectors of pictures, in their order; each one independent of the others in the call.

        Args:
            images: N arrays (height, width, 3) uint8 RGB, of any sizes from 1x1.

        Returns:
            (N, D) float32, rows of length 1; (0, D) for no pictures.
        """
        ...


def embed_views(encoder: Encoder, image: np.ndarray, boxes: Sequence[Box]) -> np.ndarray:
    """Vectors of several cut-outs of one picture.

    Encoders that can share work between cut-outs have a method of this name; for the others each is cut and embedded.

    Args:
        encoder: any.
        image: (height, width, 3) uint8 RGB.
        boxes: (left, top, right, bottom) as fractions of the sides, 0..1.

    Returns:
        (len(boxes), D) float32, rows of length 1.
    """
    own = getattr(encoder, "embed_views", None)
    if own is not None:
        vectors: np.ndarray = own(image, boxes)
        return vectors
    height, width = image.shape[:2]
    cuts = []
    for left, top, right, bottom in boxes:
        x0, y0 = min(round(left * width), width - 1), min(round(top * height), height - 1)
        cuts.append(image[y0 : max(y0 + 1, round(bottom * height)), x0 : max(x0 + 1, round(right * width))])
    return encoder.embed(cuts)


def encoder_id_of(manifest: Manifest, weights_hash: str = NO_WEIGHTS) -> str:
    """The key that vectors are cached and stored under.

    Args:
        manifest: its `id`, `version` and the hash of `[input]` enter, and that of the architecture's arguments if any.
        weights_hash: hexadecimal hash of the weights (of all files for plugins with code); `NO_WEIGHTS` without any.
    """
    preparation = manifest.image.digest()[:12] if manifest.image is not None else "own"
    if manifest.arguments:  # `profile = "character"` measures something else than `profile = "picture"`
        arguments = json.dumps(manifest.arguments, sort_keys=True, default=str)
        preparation += "." + hashlib.sha256(arguments.encode("utf-8")).hexdigest()[:8]
    return f"{manifest.id}@{manifest.version}+{weights_hash[:16]}+{preparation}"


def check_dimension(manifest: Manifest, dimension: int) -> int:
    """The dimension of a model's vectors, when its manifest says the same or nothing.

    Raises:
        InputError: the manifest says another one.
    """
    from comictool.core.errors import InputError

    if manifest.vector is not None and manifest.vector.dimension != dimension:
        promised = manifest.vector.dimension
        raise InputError(f"plugin {manifest.id} gives vectors of {dimension} numbers, its manifest says {promised}")
    return dimension


def unit_rows(vectors: np.ndarray, who: str) -> np.ndarray:
    """Scale rows to length 1 as float32.

    A row of zeros (a blank picture can leave every rectified feature silent) becomes the first basis vector, so that
    blank pictures are like each other and like little else.

    Args:
        vectors: (N, D), any float type.
        who: the plugin, for the error.

    Raises:
        InputError: a number that is not finite.
    """
    import numpy as np

    from comictool.core.errors import InputError

    rows = np.array(vectors, dtype=np.float64)
    if not np.isfinite(rows).all():
        raise InputError(
            f"plugin {who} gave numbers that are not finite",
            cause="its weights may be damaged, or too large for the chosen precision",
            hint="try --precision fp32, and: comictool plugins check " + who,
        )
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    silent = lengths[:, 0] < 1e-12
    rows[silent] = 0.0
    rows[silent, :1] = 1.0
    lengths[silent] = 1.0
    return (rows / lengths).astype(np.float32)
