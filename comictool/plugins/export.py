"""Writing a plugin directory: whole or not at all, weights as safetensors with their hash in the manifest."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from comictool.core.errors import InputError, UsageError
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
        directory.parent.mkdir(parents=True, exist_ok=True)
        # mkdtemp makes private directories; the one inside it has the mode that an ordinary mkdir gives.
        outer = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", suffix=".partial", dir=directory.parent))
        building = outer / directory.name
        try:
            building.mkdir()
            write_safetensors(building / WEIGHTS_NAME, state_dict)
            weights = WeightsSpec(WEIGHTS_NAME, hash_file(building / WEIGHTS_NAME))
            written = replace(manifest, weights=weights)
            write_manifest(building, written)
            _swap(building, directory)
        finally:
            shutil.rmtree(outer, ignore_errors=True)
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


def _swap(building: Path, directory: Path) -> None:
    """Rename into place; an older directory is moved aside first and removed after."""
    if not directory.exists():
        os.rename(building, directory)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", suffix=".old", dir=directory.parent))
    try:
        os.rename(directory, aside / "previous")
        try:
            os.rename(building, directory)
        except OSError:
            os.rename(aside / "previous", directory)
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
