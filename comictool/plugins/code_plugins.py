"""Plugins that bring Python: model.py beside a manifest. Nothing here runs before trust is checked.

model.py defines one of
- `build_model(**arguments) -> torch.nn.Module`: (N, 3, H, W) to (N, D). Preparation, weights, precision and unit
  length are done for it, as the manifest says;
- `build_encoder(manifest, directory, device) -> object` with `embed(images) -> (N, D)` on (H, W, 3) uint8 arrays.

For the other kinds it defines `build_plugin(manifest, directory, device) -> object` with the method of the kind
(`comictool.plugins.protocols`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from comictool.core.device import DeviceChoice
from comictool.core.errors import ComicError, InputError
from comictool.plugins.encoder import CPU_BATCH, encoder_id_of, unit_rows
from comictool.plugins.kinds import find_kind, named
from comictool.plugins.manifest import Manifest
from comictool.plugins.preparation import check_picture
from comictool.plugins.private_modules import load_private_module
from comictool.plugins.trust import Fingerprint

MODEL_FILE = "model.py"
BUILDERS = ("build_model", "build_encoder")
PLUGIN_BUILDER = "build_plugin"


def find_builder(
    directory: Path, files: Fingerprint, builders: tuple[str, ...] = BUILDERS
) -> tuple[str, Callable[..., Any]]:
    """Run model.py and give its builder, with its name.

    Raises:
        InputError: model.py is missing, raises, or does not define exactly one of the builders.
    """
    if MODEL_FILE not in files.files:
        raise InputError(f"plugin {directory} has architecture python but no {MODEL_FILE}")
    module = load_private_module(directory, "model", files)
    found = [name for name in builders if callable(getattr(module, name, None))]
    if len(found) != 1:
        only = ", and only one of them" if len(builders) > 1 else ""
        raise InputError(f"plugin {directory}: {MODEL_FILE} must define {' or '.join(builders)}{only}")
    return found[0], getattr(module, found[0])


def run_plugin_code(who: str, what: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Call into a plugin; whatever it raises becomes one sentence.

    Raises:
        InputError: the plugin's code failed.
    """
    try:
        return what(*arguments, **named)
    except (ComicError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        name = getattr(what, "__name__", type(what).__name__)
        raise InputError(
            f"plugin {who}: its {name} failed: {type(error).__name__}: {error}", hint="--debug shows where"
        ) from error


class CodeModel:
    """A model of any kind around a plugin's own code; every answer is put into the types that its kind promises.

    It has the method of its kind; see `comictool.plugins.protocols`.

    Args:
        made: what `build_plugin` gave.
        manifest: of the plugin.
        files_hash: of every file in it.
        device: what it was told to compute on.

    Raises:
        InputError: `made` lacks the method of the kind.
    """

    needs_torch = True

    def __init__(self, made: Any, manifest: Manifest, files_hash: str, device: DeviceChoice) -> None:
        kind = find_kind(manifest.kind)
        ask: Any = getattr(made, kind.method, None)
        if not callable(ask):
            raise InputError(
                f"plugin {manifest.id}: {PLUGIN_BUILDER} gave a {type(made).__name__} without {kind.method}(...)"
            )
        self._ask = ask
        self._accepts = named(kind.accepts)
        self.manifest = manifest
        self.encoder_id = encoder_id_of(manifest, files_hash)
        self.device_note = f"{device.name} ({device.reason}); the plugin's own code and precision"
        setattr(self, kind.method, self._answer)

    def _answer(self, inputs: Any) -> Any:
        answer = run_plugin_code(self.manifest.id, self._ask, inputs)
        # Reading it is running its code too: an answer may be any object at all.
        return run_plugin_code(self.manifest.id, self._accepts, self.manifest, inputs, answer)


class CodeEncoder:
    """An encoder around a plugin's own `embed` (see `comictool.plugins.encoder.Encoder`).

    Args:
        embed: maps a list of (H, W, 3) uint8 arrays to (N, D).
        manifest: its `[output.vector]` dimension is checked at every call; taken from a trial when it has none.
        files_hash: of every file in the plugin.
        device: what the plugin was told to compute on.
    """

    needs_torch = True  # a plugin's code may hold anything, so it is never sent to other processes

    def __init__(
        self, embed: Callable[[list[np.ndarray]], Any], manifest: Manifest, files_hash: str, device: DeviceChoice
    ) -> None:
        self._embed = embed
        self.manifest = manifest
        self.preferred_batch = CPU_BATCH
        self.encoder_id = encoder_id_of(manifest, files_hash)
        self.device_note = f"{device.name} ({device.reason}); the plugin's own code and precision"
        self.dimension = manifest.vector.dimension if manifest.vector is not None else self._trial()

    def _trial(self) -> int:
        grey = np.full((64, 64, 3), 128, dtype=np.uint8)
        return int(self._rows([grey]).shape[1])

    def embed(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Unit vectors (N, D) float32.

        Raises:
            InputError: the plugin fails, or gives another shape than (N, D).
        """
        if len(images) == 0:
            return np.zeros((0, self.dimension), dtype=np.float32)
        for image in images:
            check_picture(image)
        rows = [
            self._rows(images[start : start + self.preferred_batch])
            for start in range(0, len(images), self.preferred_batch)
        ]
        vectors = np.concatenate(rows)
        if vectors.shape[1] != self.dimension:  # which older plugins have from a trial, not from a manifest
            given = vectors.shape[1]
            raise InputError(
                f"plugin {self.manifest.id} gives vectors of {given} numbers, its manifest says {self.dimension}"
            )
        return unit_rows(vectors, self.manifest.id)

    def _rows(self, images: Sequence[np.ndarray]) -> np.ndarray:
        raw = run_plugin_code(self.manifest.id, self._embed, list(images))
        vectors = np.asarray(raw.detach().cpu().float() if hasattr(raw, "detach") else raw)
        if vectors.ndim != 2 or len(vectors) != len(images) or not np.issubdtype(vectors.dtype, np.number):
            raise InputError(
                f"plugin {self.manifest.id} gives {list(vectors.shape)} {vectors.dtype} for {len(images)} pictures, "
                "not one vector each"
            )
        return vectors
