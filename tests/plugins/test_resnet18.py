"""ResNet-18 of our own: torchvision's names, values and gradients, and the same function with merged norms."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from comictool.plugins.architectures import find_architecture  # noqa: E402
from tests.reid.older_weights import older_model  # noqa: E402


def _pair() -> tuple[Any, Any]:
    """torchvision's and ours with the same weights; norms far from the identity."""
    theirs = older_model()
    generator = torch.Generator().manual_seed(1)
    for part in theirs.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.2, generator=generator)
            part.running_var.uniform_(0.5, 1.5, generator=generator)
            part.weight.data.uniform_(0.5, 1.5, generator=generator)
            part.bias.data.normal_(0, 0.2, generator=generator)
    ours = find_architecture("resnet18_linear").build(dimension=500).eval()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def test_values_and_gradients_are_torchvisions() -> None:
    theirs, ours = _pair()
    pictures = torch.randn(2, 3, 64, 48, generator=torch.Generator().manual_seed(2))
    first, second = theirs(pictures), ours(pictures)
    torch.testing.assert_close(second, first)
    for model, out in ((theirs, first), (ours, second)):
        model.zero_grad()
        out.square().sum().backward()
    for name, weights in ours.named_parameters():
        expected = theirs.get_parameter(name).grad
        assert (weights.grad - expected).norm() < 1e-4 * expected.norm() + 1e-6, name


def test_merged_norms_are_the_same_function_and_no_farther_off_in_bf16() -> None:
    theirs, ours = _pair()
    pictures = torch.randn(4, 3, 96, 96, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        expected = theirs(pictures)
        ours.merge_norms()
        assert not [part for part in ours.modules() if isinstance(part, torch.nn.BatchNorm2d)]
        assert (ours(pictures) - expected).abs().max() < 1e-5 * expected.abs().max()
        ours.merge_norms()  # nothing is left to merge
        short = ours.to(torch.bfloat16)(pictures.to(torch.bfloat16)).float()
    assert torch.nn.functional.cosine_similarity(short, expected).min() > 0.999


def test_torchvision_is_not_imported() -> None:
    code = (
        "import sys; from comictool.plugins.load import EncoderSpec;"
        "EncoderSpec('res18_single', device='cpu', random_weights=True).load(); assert 'torchvision' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
