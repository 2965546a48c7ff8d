"""Small plugins, weights and pictures for the plugin tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from comictool.plugins.manifest import VECTOR, Inputs, InputSpec, Manifest, OutputSpec, ThresholdSpec, write_manifest

TINY_DIMENSION = 96  # of timm's test_resnet


def manifest(**changes: Any) -> Manifest:
    """A complete encoder manifest for timm's smallest ResNet."""
    base = Manifest(
        id="tiny",
        version="1.0",
        title="A tiny encoder",
        kind="encoder",
        licence="MIT",
        architecture="timm:test_resnet",
        input=Inputs(InputSpec(size=(64, 64))),
        output={VECTOR: OutputSpec(TINY_DIMENSION)},
        threshold={"cosine": ThresholdSpec(0.5, "made up for tests", 0.01)},
    )
    return replace(base, **changes)


def tiny_state(seed: int = 1) -> dict[str, Any]:
    """Seeded weights of timm's test_resnet, without its classifier."""
    import timm
    import torch

    torch.manual_seed(seed)
    return dict(timm.create_model("test_resnet", num_classes=0).state_dict())


def code_plugin(directory: Path, code: str, name: str = "model.py", **changes: Any) -> Path:
    """A directory with a manifest of architecture python and one source file."""
    directory.mkdir(parents=True)
    write_manifest(directory, manifest(architecture="python", **changes))
    (directory / name).write_text(code)
    return directory


def legacy_plugin(directory: Path, code: str, **siblings: str) -> Path:
    """A directory with main.py and siblings, and no manifest."""
    directory.mkdir(parents=True)
    (directory / "main.py").write_text(code)
    for name, text in siblings.items():
        (directory / f"{name}.py").write_text(text)
    return directory


def pictures(count: int = 3, seed: int = 5) -> list[np.ndarray]:
    """RGB pictures of different shapes."""
    random = np.random.default_rng(seed)
    return [random.integers(0, 256, (40 + 9 * i, 30 + 50 // (i + 1), 3), dtype=np.uint8) for i in range(count)]
