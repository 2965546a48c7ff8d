"""An encoder around a torch model: prepares pictures, computes in the chosen precision, gives unit vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from comictool.core.device import DeviceChoice, PrecisionChoice, import_torch
from comictool.core.errors import InputError, SetupError
from comictool.plugins.encoder import CPU_BATCH, check_dimension, encoder_id_of, unit_rows
from comictool.plugins.manifest import VECTOR, InputSpec, Manifest, OutputSpec
from comictool.plugins.preparation import prepare_batch

if TYPE_CHECKING:
    import torch

GPU_BATCH = 128


class TorchEncoder:
    """See `comictool.plugins.encoder.Encoder`.

    Args:
        model: maps (N, 3, H, W) float to (N, D).
        manifest: with `[input.image]`; `[output.vector]` is checked against what the model gives, or filled in from it.
        weights_hash: identifies the weights.
        device: where to compute.
        precision: of weights and activations; vectors leave as float32. One chosen automatically gives way to fp32,
            and says so, when the model cannot compute in it.
        notes: what loading did that is not obvious.

    Raises:
        InputError: the model fails on a plain picture, or gives another dimension than its manifest says.
        SetupError: the device has too little memory.
    """

    needs_torch = True

    def __init__(
        self,
        model: torch.nn.Module,
        manifest: Manifest,
        *,
        weights_hash: str,
        device: DeviceChoice,
        precision: PrecisionChoice,
        notes: Sequence[str] = (),
    ) -> None:
        if manifest.image is None:
            raise InputError(f"plugin {manifest.id}: [input.image] is missing; {manifest.architecture} needs it")
        self._input: InputSpec = manifest.image
        self._device = device.name
        self._model = model.eval().requires_grad_(False)
        if callable(merge := getattr(model, "merge_norms", None)):  # built-in architectures that can be made faster
            merge()
        self.preferred_batch = CPU_BATCH if device.kind == "cpu" else GPU_BATCH
        precision, self.dimension = self._settle(precision, manifest)
        self.manifest = manifest if manifest.vector else replace(manifest, output={VECTOR: OutputSpec(self.dimension)})
        self.encoder_id = encoder_id_of(manifest, weights_hash)
        where = [f"{device.name} ({device.reason})", f"{precision.name} ({precision.reason})", *notes]
        self.device_note = "; ".join(note for note in where if note)

    def embed(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Unit vectors (N, D) float32 of N pictures (height, width, 3) uint8, in batches of `preferred_batch`."""
        return unit_rows(self.embed_raw(images), self.manifest.id)

    def embed_raw(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """The same before they are scaled to length 1: (N, D) float32 as the model gives them."""
        if len(images) == 0:
            return np.zeros((0, self.dimension), dtype=np.float32)
        steps = range(0, len(images), self.preferred_batch)
        return np.concatenate([self._forward(images[start : start + self.preferred_batch]) for start in steps])

    def _forward(self, images: Sequence[np.ndarray]) -> np.ndarray:
        torch = import_torch()
        try:
            with torch.inference_mode():
                batch = prepare_batch(images, self._input, self._device)
                batch = batch.to(self._dtype, memory_format=torch.channels_last)
                vectors: np.ndarray = self._model(batch).float().cpu().numpy()
                return vectors
        except torch.OutOfMemoryError as error:
            raise SetupError(
                f"{self._device} ran out of memory with {len(images)} pictures at once",
                hint=f"--batch-size {max(1, len(images) // 2)}, or --device cpu",
            ) from error

    def _settle(self, precision: PrecisionChoice, manifest: Manifest) -> tuple[PrecisionChoice, int]:
        """Move the model, and embed one grey picture: proves that it runs in this precision, and tells D."""
        torch = import_torch()
        grey = np.full((8, 8, 3), 128, dtype=np.uint8)
        wanted = [precision]
        if precision.name != "fp32" and precision.automatic:
            wanted.append(PrecisionChoice("fp32", f"this model cannot compute in {precision.name}"))
        exact = self._model.state_dict()  # shares memory; `to` makes new tensors, so these keep their full precision
        failure: Exception | None = None
        for choice in wanted:
            self._dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[choice.name]
            try:
                # channels_last lets convolutions read a pixel's channels together: 1.1 to 1.6 times faster on CPUs.
                self._model = self._model.to(self._device, self._dtype).to(memory_format=torch.channels_last)
                if failure is not None:
                    self._model.load_state_dict(exact)
                vectors = self._forward([grey])
            except (RuntimeError, TypeError, ValueError, AttributeError, AssertionError) as error:
                failure = error
                continue
            return choice, self._checked_dimension(vectors, manifest)
        raise InputError(f"plugin {manifest.id} fails on a plain picture", cause=str(failure)[:300]) from failure

    def _checked_dimension(self, vectors: np.ndarray, manifest: Manifest) -> int:
        if vectors.ndim != 2 or vectors.shape[0] != 1:
            raise InputError(
                f"plugin {manifest.id}: its model gives {list(vectors.shape)} for one picture, not one vector"
            )
        return check_dimension(manifest, int(vectors.shape[1]))
