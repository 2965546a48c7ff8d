"""Older plugin directories: a main.py whose class `MainModule(device)` registers a loader and an encoder.

They run behind the same trust as any code. Their base classes come from `legacy_lib`, under the name `lib` that they
import; modules beside main.py are found first. What such code downloads, or reads by paths relative to the working
directory, is its own affair.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from comictool.core.device import DeviceChoice, import_torch
from comictool.core.errors import InputError
from comictool.plugins.code_plugins import CodeEncoder, run_plugin_code
from comictool.plugins.manifest import Manifest
from comictool.plugins.names import PYTHON
from comictool.plugins.private_modules import load_private_module
from comictool.plugins.trust import Fingerprint

STAND_INS = {"lib": "comictool.plugins.legacy_lib"}


def load_legacy(name: str, directory: Path, files: Fingerprint, device: DeviceChoice) -> CodeEncoder:
    """Build the `MainModule` of an older plugin and wrap it.

    Args:
        name: the directory's name; becomes the id.
        directory: the plugin; trust was checked by the caller.
        files: its fingerprint.
        device: handed to `MainModule` in torch's spelling.

    Raises:
        InputError: main.py or its MainModule fails, or it has nothing that turns pictures into vectors.
    """
    import_torch()
    module = load_private_module(directory, "main", files, stand_ins=STAND_INS)
    main_class = getattr(module, "MainModule", None)
    if not callable(main_class):
        raise InputError(f"plugin {directory}: main.py defines no MainModule")
    try:
        main = run_plugin_code(name, main_class, device=device.name)
    except InputError as error:
        if isinstance(error.__cause__, OSError):  # no network: older plugins fetch ImageNet weights and overwrite them
            error.hint = (
                f"its weights alone need no download: comictool plugins convert FILE --for res18_single -o {name}"
            )
        raise
    return CodeEncoder(_embedder(main, directory), legacy_manifest(name), files.digest, device)


def legacy_manifest(name: str) -> Manifest:
    """What can be said of a plugin that says nothing about itself."""
    identifier = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._") or "older-plugin"
    return Manifest(
        id=identifier[:80],
        version="0",
        title=f"older plugin {identifier[:80]} (main.py)",
        kind="encoder",
        licence="not stated",
        architecture=PYTHON,
    )


def _embedder(main: Any, directory: Path) -> Callable[[list[np.ndarray]], Any]:
    """The plugin's way from pictures to vectors: its loader and encoder, or its `_get_embedding(files)`."""
    torch = import_torch()
    encoder: Any = getattr(main, "encoder", None)
    loader: Any = getattr(main, "loader", None)
    if hasattr(encoder, "encode") and hasattr(loader, "stack"):

        def from_pictures(images: list[np.ndarray]) -> Any:
            from PIL import Image

            with torch.no_grad():
                return encoder.encode(loader.stack([Image.fromarray(image[:, :, :3]) for image in images]))

        return from_pictures
    if hasattr(encoder, "encode") and hasattr(loader, "load_images"):
        return lambda images: _through_files(images, lambda files: encoder.encode(loader.load_images(files)))
    if hasattr(main, "_get_embedding"):
        return lambda images: _through_files(images, main._get_embedding)
    raise InputError(
        f"plugin {directory}: its MainModule has neither a loader and an encoder nor _get_embedding(files)",
        hint="register_modules(loader, encoder, scorer) sets the first two",
    )


def _through_files(images: list[np.ndarray], embed: Callable[[list[str]], Any]) -> Any:
    """For loaders that only take file names: lossless copies in a folder that goes away again."""
    from PIL import Image

    torch = import_torch()
    with tempfile.TemporaryDirectory(prefix="comictool-") as folder, torch.no_grad():
        files = [str(Path(folder, f"{index}.png")) for index in range(len(images))]
        for file, image in zip(files, images, strict=True):
            Image.fromarray(image[:, :, :3]).save(file, compress_level=1)
        return embed(files)
