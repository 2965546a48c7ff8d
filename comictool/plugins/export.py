"""Writing a plugin directory: whole or not at all, weights as safetensors with their hash in the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from comictool.core.errors import InputError, UsageError
from comictool.core.files import replaced_folder
from comictool.plugins.manifest import Manifest, WeightsSpec, write_manifest
from comictool.plugins.names import PYTHON
from comictool.plugins.trust import hash_file

if TYPE_CHECKING:
    import torch

WEIGHTS_NAME = "model.safetensors"


def export_plugin(
    directory: Path, manifest: Manifest, state_dict: Mapping[str, torch.Tensor], *, force: bool = False
) -> Manifest:
    """Write `plugin.toml` and `model.safetensors` as a new plugin directory.

    Everything is written beside the target first and renamed into place, so a reader sees the whole plugin or none.

    Args:
        directory: the plugin to make; its parent is created.
        manifest: all but `[weights]`, which is filled in.
        state_dict: names as the architecture documents them; values are stored in their own type.
        force: replace an existing directory.

    Returns:
        The manifest as written.

    Raises:
        UsageError: the directory exists and `force` is not set, or a manifest that asks for code.
        InputError: nothing to store, a manifest that the schema does not allow, or the disk refuses.
    """
    if manifest.architecture == PYTHON:
        raise UsageError("an exported plugin names a built-in architecture; it carries no code")
    if directory.exists() and not force:
        raise UsageError(f"{directory} exists already", hint="--force replaces it")
    if not state_dict:
        raise InputError(f"no weights to export to {directory}")
    try:
        with replaced_folder(directory) as building:
            write_safetensors(building / WEIGHTS_NAME, state_dict)
            written = replace(manifest, weights=WeightsSpec(WEIGHTS_NAME, hash_file(building / WEIGHTS_NAME)))
            write_manifest(building, written)
    except OSError as error:
        raise InputError(f"{directory} cannot be written: {error.strerror or error}") from error
    return written


def write_safetensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Store tensors under their names, sorted by name; equal input gives equal bytes.

    Tensors that share memory are stored apart (safetensors refuses views of one storage).
    """
    from safetensors.torch import save_file

    plain = {name: tensors[name].detach().cpu().contiguous().clone() for name in sorted(tensors)}
    save_file(plain, path)
