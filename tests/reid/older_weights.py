"""Weights in the form of the older program's `res18_0222.mdl`, untrained, and its own way to vectors and scores."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def older_model(seed: int = 3) -> Any:
    """Trunk and embedder, in the shapes that the reference gives."""
    import torch
    from torchvision.models import resnet18

    torch.manual_seed(seed)
    trunk = resnet18(weights=None)
    trunk.fc = torch.nn.Identity()
    embedder = torch.nn.Sequential(torch.nn.Identity(), torch.nn.Linear(512, 500))
    return torch.nn.Sequential(OrderedDict(trunk=trunk, embedder=embedder)).eval()


def write_mdl(path: Path, seed: int = 3) -> Path:
    """A pickled checkpoint with `trunk`, `embedder` and `args`."""
    import torch

    model = older_model(seed)
    torch.save({"trunk": model.trunk.state_dict(), "embedder": model.embedder.state_dict(), "args": [500]}, path)
    return path


def older_vectors(model: Any, files: list[Path]) -> np.ndarray:
    """Convert to RGB, squash to 224 with Pillow, ImageNet statistics, fp32, length 1: (N, 500)."""
    import torch

    mean = np.array([0.485, 0.456, 0.406], np.float32)
    std = np.array([0.229, 0.224, 0.225], np.float32)
    rows = []
    for file in files:
        picture = Image.open(file).convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)
        pixels = (np.asarray(picture, np.float32) / 255.0 - mean) / std
        with torch.no_grad():
            rows.append(model(torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy())))
    vectors = torch.cat(rows)
    return (vectors / vectors.norm(dim=1, keepdim=True)).numpy()
