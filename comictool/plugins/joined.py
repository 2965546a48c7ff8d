"""`architecture = "joined"`: one encoder out of several, without any code.

    [architecture]
    name = "joined"

    [architecture.arguments]
    parts = [
        { plugin = "classic_character", weight = 2.0 },
        { plugin = "./resnet", mean = "mean.npy" },
        { architecture = "classic", arguments = { profile = "picture" } },
    ]
    mean = "mean.npy"
    damped = "damped.npy"

A part is a plugin by name, a plugin folder inside this one (`./`), or a built-in architecture without weights. Its unit
vectors are centred, where `mean` names a (D,) array of numbers beside the manifest (`numpy.save`), and scaled to length
1 again; the joined vector has them one after the other, each times the square root of its weight, and length 1. So the
cosine of two joined vectors is the mean of the parts' cosines by weight. Taking off the mean of a collection takes off
what all of it has in common (Arora and others 2017, https://openreview.net/forum?id=SyK00v5xx, for texts).

`mean` of the whole, a (D,) array, is taken off the joined vector. `damped`, an (R, D) array V, has rows of length 1 at
most, across each other, along which things that are the same differ: of a vector z they are taken off as `z - z V' V`,
and the length is 1 again. A row of length 1 takes its direction away, a shorter one scales it down; with the inverse
square roots of variances within classes that is within-class covariance normalisation (Hatch and others 2006,
https://www.isca-archive.org/interspeech_2006/hatch06_interspeech.html) of few numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from comictool.core.errors import InputError, UsageError
from comictool.core.typed import Check, text, typed, within
from comictool.plugins.architectures import call_builder, find_architecture
from comictool.plugins.encoder import Box, Encoder, check_dimension, embed_views, encoder_id_of, unit_rows
from comictool.plugins.manifest import Arguments, Manifest, inside, safe_file
from comictool.plugins.names import JOINED, MANIFEST_NAME, TIMM
from comictool.plugins.trust import hash_file

if TYPE_CHECKING:
    import numpy as np

    from comictool.plugins.load import EncoderSpec

MOST_PARTS = 16
MEAN_BYTES = 1 << 20  # 65,536 numbers of 8 bytes and a header are less
DAMPED_BYTES = 64 << 20
MOST_LENGTH = 1.001  # of a damped row: a longer one would turn its direction round; rounding to fp16 makes some longer


def _part_name(value: str) -> bool:
    return not value or (safe_file(value.removeprefix("./")) and ("/" not in value or value.startswith("./")))


def _file_name(value: str) -> bool:
    return not value or safe_file(value)


def _few(parts: Sequence[object]) -> bool:
    return 0 < len(parts) <= MOST_PARTS


@dataclass(frozen=True)
class Part:
    """One encoder of a joined one; see the module text."""

    plugin: Annotated[str, text(200), Check(_part_name, "a plugin's name, or ./ and a folder inside")] = ""
    architecture: Annotated[str, text(200)] = ""
    arguments: Arguments = field(default_factory=dict)
    weight: Annotated[float, within(1e-6, 1e6)] = 1.0
    mean: Annotated[str, text(200), Check(_file_name, "a file inside")] = ""

    def manifest(self) -> Manifest:
        """What stands for the plugin of a part that is an architecture alone."""
        name = self.architecture.replace("_", "-").lower()
        return Manifest(name, "0", name, "encoder", "that of comictool", self.architecture, self.arguments)


@dataclass(frozen=True)
class Joining:
    """All that the manifest of a joined plugin says; see the module text."""

    parts: Annotated[tuple[Part, ...], Check(_few, f"1 to {MOST_PARTS} parts")]
    mean: Annotated[str, text(200), Check(_file_name, "a file inside")] = ""
    damped: Annotated[str, text(200), Check(_file_name, "a file inside")] = ""

    @property
    def stays_apart(self) -> bool:
        """Whether each number of the joined vector is of one part alone."""
        return not self.damped


class JoinedEncoder:
    """See `comictool.plugins.encoder.Encoder`. Picklable when its parts are.

    Args:
        manifest: of the joined plugin.
        parts: what the manifest says of each.
        encoders: of the parts.
        means: (D,) of each part, or None.
        mean: (D,) of the whole, or None.
        damped: (R, D) of the whole, or None.
        encoder_id: of the whole.

    Raises:
        InputError: the manifest promises another dimension, or an array has another one than what it is for.
    """

    def __init__(
        self,
        manifest: Manifest,
        parts: Sequence[Part],
        encoders: Sequence[Encoder],
        means: Sequence[np.ndarray | None],
        encoder_id: str,
        mean: np.ndarray | None = None,
        damped: np.ndarray | None = None,
    ) -> None:
        self.manifest, self.encoder_id = manifest, encoder_id
        self._encoders, self._means = list(encoders), list(means)
        self._scales = [part.weight**0.5 for part in parts]
        self.preferred_batch = min(encoder.preferred_batch for encoder in encoders)
        self.needs_torch = any(encoder.needs_torch for encoder in encoders)
        self.device_note = "; ".join(dict.fromkeys(encoder.device_note for encoder in encoders))
        for encoder, own in zip(encoders, means, strict=True):
            if own is not None and own.shape != (encoder.dimension,):
                raise InputError(
                    f"plugin {manifest.id}: a mean {list(own.shape)} is not for {encoder.manifest.id}, "
                    f"whose vectors have {encoder.dimension} numbers"
                )
        self.dimension = check_dimension(manifest, sum(encoder.dimension for encoder in encoders))
        self._mean, self._damped = mean, damped
        for array in (mean, damped):
            if array is not None and array.shape[-1] != self.dimension:
                raise InputError(
                    f"plugin {manifest.id}: an array {list(array.shape)} is not for vectors of {self.dimension} numbers"
                )

    def embed(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Unit vectors (N, D) float32 of N pictures (height, width, 3) uint8."""
        return self._joined(lambda encoder: encoder.embed(images))

    def embed_views(self, image: np.ndarray, boxes: Sequence[Box]) -> np.ndarray:
        """Unit vectors (len(boxes), D) of cut-outs; see `comictool.plugins.encoder.embed_views`."""
        return self._joined(lambda encoder: embed_views(encoder, image, boxes))

    def _joined(self, ask: Callable[[Encoder], np.ndarray]) -> np.ndarray:
        import numpy as np

        pieces = []
        for encoder, mean, scale in zip(self._encoders, self._means, self._scales, strict=True):
            vectors = unit_rows(ask(encoder), encoder.manifest.id)
            pieces.append(scale * (vectors if mean is None else unit_rows(vectors - mean, encoder.manifest.id)))
        joined = unit_rows(np.concatenate(pieces, axis=1), self.manifest.id)
        if self._mean is not None:
            joined = joined - self._mean
        if self._damped is not None:
            joined = joined - (joined @ self._damped.T) @ self._damped
        return unit_rows(joined, self.manifest.id)


def read_joining(manifest: Manifest, directory: Path) -> Joining:
    """What a manifest names: parts, and arrays of the whole.

    Raises:
        InputError: not as the module text says.
    """
    file = str(directory / MANIFEST_NAME)
    joining = typed(Joining, manifest.arguments, f"{file}: architecture.arguments")
    for part in joining.parts:
        if bool(part.plugin) == bool(part.architecture) or (part.plugin and part.arguments):
            raise InputError(f"{file}: a part has a plugin, or an architecture with arguments; one of the two")
        if part.architecture in (JOINED, "python") or part.architecture.startswith(TIMM):
            raise InputError(
                f"{file}: a part cannot be the architecture {part.architecture}",
                hint="put a plugin folder with its weights inside this one and name it:  plugin = './part'",
            )
    return joining


def part_spec(part: Part, directory: Path, spec: EncoderSpec) -> EncoderSpec:
    """What to load for a part that is a plugin. Its code needs a trust of its own: `plugins trust DIR`.

    Raises:
        UsageError: no such plugin, or a joined one (a folder that names itself would never end).
        InputError: a damaged manifest, or a folder that is not inside this one.
    """
    from comictool.plugins.known import known_manifest

    name = part.plugin
    if name.startswith("./"):
        name = str(inside(directory, name[2:], "a part", folder=True).absolute())
    named = replace(spec, name_or_path=name, trust=False, weights=None, random_weights=False)
    inner = known_manifest(named)
    if inner is not None and inner.architecture == JOINED:
        raise UsageError(f"{directory / MANIFEST_NAME}: the part {part.plugin} is joined itself", hint="name its parts")
    return named


def joined_id(manifest: Manifest, directory: Path, joining: Joining, ids: Sequence[str]) -> str:
    """The encoder_id of the whole, out of those of its parts, their weights and the content of all arrays."""
    facts: list[tuple[object, ...]] = [
        (own, part.weight, hash_file(inside(directory, part.mean, "a mean")) if part.mean else "")
        for own, part in zip(ids, joining.parts, strict=True)
    ]
    for name in (joining.mean, joining.damped):
        if name:
            facts.append((hash_file(inside(directory, name, "an array")),))
    return encoder_id_of(manifest, hashlib.sha256(repr(facts).encode()).hexdigest())


def load_joined(spec: EncoderSpec, directory: Path, manifest: Manifest) -> JoinedEncoder:
    """Load a joined encoder and all its parts.

    Raises:
        UsageError: a part's code is not trusted, or a part is a joined encoder itself.
        InputError: a part is missing or damaged, or the dimensions are not those that the manifest says.
    """
    import numpy as np

    from comictool.plugins.load import load_encoder

    joining = read_joining(manifest, directory)
    encoders: list[Encoder] = []
    for part in joining.parts:
        if part.architecture:
            found = find_architecture(part.architecture)
            if found.needs_torch:
                raise InputError(
                    f"plugin {manifest.id}: the architecture {part.architecture} needs weights",
                    hint="put a plugin folder with them inside this one and name it:  plugin = './part'",
                )
            encoders.append(call_builder(found, part.arguments, part.manifest()))
            continue
        encoders.append(load_encoder(part_spec(part, directory, spec)))
    means = [_read_array(directory, part.mean, 1) for part in joining.parts]
    ids = [encoder.encoder_id for encoder in encoders]
    whole = joined_id(manifest, directory, joining, ids)
    mean, damped = _read_array(directory, joining.mean, 1), _read_array(directory, joining.damped, 2)
    if damped is not None and float(np.linalg.norm(damped, axis=1).max(initial=0)) > MOST_LENGTH:
        raise InputError(f"{directory / joining.damped} has rows that are longer than 1")
    return JoinedEncoder(manifest, joining.parts, encoders, means, whole, mean, damped)


def _read_array(directory: Path, name: str, axes: int) -> np.ndarray | None:
    """A mean (1 axis) or damped rows (2), as float32; None where none is named."""
    import numpy as np

    if not name:
        return None
    kind, most = ("vector", MEAN_BYTES) if axes == 1 else ("matrix", DAMPED_BYTES)
    file = inside(directory, name, f"a {kind}")
    try:
        if file.stat().st_size > most:
            raise InputError(f"{file} is larger than any {kind} that is needed")
        found: Any = np.load(file, allow_pickle=False)
        if found.ndim != axes or not np.issubdtype(found.dtype, np.floating) or not np.isfinite(found).all():
            raise InputError(f"{file} is no {kind} of finite numbers")
    except (OSError, ValueError, EOFError, AttributeError) as error:
        raise InputError(f"{file} is not an array that numpy.save wrote", cause=str(error)[:200]) from error
    return found.astype(np.float32)
