"""Plugins that bring code: nothing runs without trust, names stay private, two live side by side; older ones work."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from comictool.core.errors import InputError, UsageError
from comictool.plugins.export import export_plugin
from comictool.plugins.load import load_plugin
from comictool.plugins.manifest import VECTOR, OutputSpec
from comictool.plugins.trust import trust_plugin
from tests.plugins.makers import code_plugin, legacy_plugin, manifest, pictures, tiny_state

ENCODER = """
from __future__ import annotations
import dataclasses
import numpy as np
from . import helper
from .helper import NAME

@dataclasses.dataclass  # looks its own module up in sys.modules
class Mean:
    device: str

    def embed(self, images):
        return np.array([[*image.mean((0, 1)), helper.OFFSET] for image in images])

def build_encoder(manifest, directory, device):
    assert manifest.id == "tiny" and (directory / "helper.py").is_file()
    return Mean(device)
"""
FOUR = {VECTOR: OutputSpec(4)}


def mean_plugin(directory: Path, offset: float) -> Path:
    code_plugin(directory, ENCODER, output=FOUR)
    (directory / "helper.py").write_text(f"OFFSET = {offset}\nNAME = __name__\n")
    return directory


def test_nothing_runs_without_trust(tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    plugin = code_plugin(tmp_path / "p", f"{ENCODER}\nopen({str(proof)!r}, 'w').close()\n", output=FOUR)
    (plugin / "helper.py").write_text("OFFSET = 1\nNAME = ''\n")
    with pytest.raises(UsageError, match="contains code and is not trusted"):
        load_plugin(str(plugin))
    assert not proof.exists()
    load_plugin(str(plugin), trust=True, device="cpu")
    assert proof.exists()
    with pytest.raises(UsageError, match="not trusted"):
        load_plugin(str(plugin))


def test_a_change_after_trust_stops_it(tmp_path: Path) -> None:
    plugin = mean_plugin(tmp_path / "p", 1)
    trust_plugin(plugin)
    assert load_plugin(str(plugin), device="cpu").dimension == 4
    (plugin / "helper.py").write_text("OFFSET = 2\nNAME = ''\n")
    with pytest.raises(UsageError) as refusal:
        load_plugin(str(plugin), device="cpu")
    assert "helper.py changed" in refusal.value.cause


def test_two_plugins_with_equal_module_names_coexist(tmp_path: Path) -> None:
    before, path = set(sys.modules), list(sys.path)
    far = load_plugin(str(mean_plugin(tmp_path / "far", 100.0)), trust=True, device="cpu")
    near = load_plugin(str(mean_plugin(tmp_path / "near", 0.0)), trust=True, device="cpu")
    assert near.embed(pictures())[0, 3] == 0
    assert far.embed(pictures())[0, 3] > 0.2
    assert near.encoder_id != far.encoder_id
    new = {name for name in set(sys.modules) - before if "comictool_plugin" in name}
    assert {name.split(".", 1)[1] for name in new if "." in name} == {"model", "helper"}
    assert not {"model", "helper"} & set(sys.modules)
    assert sys.path == path
    with pytest.raises(ImportError):
        __import__("helper")


def test_compiled_files_are_neither_read_nor_written(tmp_path: Path) -> None:
    plugin = mean_plugin(tmp_path / "p", 1)
    load_plugin(str(plugin), trust=True, device="cpu")
    assert not (plugin / "__pycache__").exists()


def test_a_module_gives_the_model_and_the_rest_is_done_for_it(tmp_path: Path) -> None:
    export_plugin(tmp_path / "p", manifest(), tiny_state())
    declared = load_plugin(str(tmp_path / "p"), device="cpu")
    text = (tmp_path / "p" / "plugin.toml").read_text()
    (tmp_path / "p" / "plugin.toml").write_text(text.replace('"timm:test_resnet"', '"python"'))
    code = "import timm\ndef build_model():\n    return timm.create_model('test_resnet', num_classes=0)\n"
    (tmp_path / "p" / "model.py").write_text(code)
    coded = load_plugin(str(tmp_path / "p"), trust=True, device="cpu")
    assert np.array_equal(coded.embed(pictures()), declared.embed(pictures()))
    assert coded.encoder_id != declared.encoder_id


BROKEN = {
    "does not compile": ("def (", "SyntaxError"),
    "raises on import": ("raise KeyError('here')", "KeyError"),
    "exits on import": ("raise SystemExit(0)", "SystemExit"),
    "imports what is not there": ("import no_such_module_anywhere", "no_such_module_anywhere"),
    "defines nothing": ("x = 1", "must define build_model or build_encoder"),
    "defines both": ("def build_model(): ...\ndef build_encoder(*a): ...", "only one of them"),
    "raises in the builder": ("def build_encoder(*a): 1 / 0", "ZeroDivisionError"),
    "gives no module": ("def build_model(): return 3", "gave a int, not a torch module"),
    "gives no encoder": ("def build_encoder(*a): return 3", "without embed"),
}


@pytest.mark.parametrize(("code", "text"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_is_a_sentence_and_leaves_no_modules(tmp_path: Path, code: str, text: str) -> None:
    plugin = code_plugin(tmp_path / "p", code, output=FOUR)
    with pytest.raises(InputError, match="plugin") as refusal:
        load_plugin(str(plugin), trust=True, device="cpu")
    assert text in refusal.value.fact


RESULTS = {
    "too few rows": ("np.zeros((1, 4))", "not one vector each"),
    "one number each": ("np.zeros(len(images))", "not one vector each"),
    "texts": ("[['a'] * 4] * len(images)", "not one vector each"),
    "another dimension": ("np.ones((len(images), 5))", "5 numbers, its manifest says 4"),
    "not finite": ("np.full((len(images), 4), np.inf)", "not finite"),
    "an exception": ("1 / 0", "ZeroDivisionError"),
}


@pytest.mark.parametrize(("result", "text"), RESULTS.values(), ids=RESULTS)
def test_wrong_results_are_sentences(tmp_path: Path, result: str, text: str) -> None:
    code = f"import numpy as np\nclass E:\n    def embed(self, images): return {result}\n"
    plugin = code_plugin(tmp_path / "p", code + "def build_encoder(*a): return E()\n", output=FOUR)
    encoder = load_plugin(str(plugin), trust=True, device="cpu")
    with pytest.raises(InputError) as refusal:
        encoder.embed(pictures(3))
    assert text in refusal.value.fact


def test_a_missing_model_file(tmp_path: Path) -> None:
    plugin = code_plugin(tmp_path / "p", "", name="other.py")
    with pytest.raises(InputError, match=r"no model\.py"):
        load_plugin(str(plugin), trust=True)


LEGACY = """
import os
import sys
sys.path.append(os.path.dirname(__file__))

import torch
import torch.nn as nn
from torchvision import transforms

from parts import SIZE, Normalize
from lib.modules import (AbstractMainModule, FullImageLoader, SingleImageEncoder,
                         VectorEmbeddingScoringModel, metric_l2)


class Encoder(SingleImageEncoder):
    def __init__(self, device):
        super().__init__(device)
        torch.manual_seed(3)
        self.net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), Normalize())

    def get_model(self):
        return self.net


class MainModule(AbstractMainModule):
    def __init__(self, device="cpu", max_batch_size=100):
        super().__init__(max_batch_size)
        from parts import later
        later()
        trans = transforms.Compose([transforms.Resize((SIZE, SIZE)), transforms.ToTensor()])
        self.register_modules(FullImageLoader(trans), Encoder(device), VectorEmbeddingScoringModel(metric_l2))
"""
PARTS = """
import torch
SIZE = 32

class Normalize(torch.nn.Module):
    def forward(self, x):
        return torch.nn.functional.normalize(x)

def later():
    import deeper
    assert deeper.DEPTH == 2
"""


def test_an_older_plugin_works_behind_the_same_trust(tmp_path: Path) -> None:
    plugin = legacy_plugin(tmp_path / "Res18 Single", LEGACY, parts=PARTS, deeper="DEPTH = 2\n")
    with pytest.raises(UsageError) as refusal:
        load_plugin(str(plugin))
    assert "it would run main.py (which can import deeper.py, parts.py)" in refusal.value.cause
    path = list(sys.path)
    encoder = load_plugin("Res18 Single", plugin_dirs=[tmp_path], trust=True, device="cpu")
    assert sys.path == path
    assert not {"main", "parts", "deeper", "lib", "lib.modules"} & set(sys.modules)
    vectors = encoder.embed(pictures(20))
    assert vectors.shape == (20, 32)
    assert encoder.manifest.id == "res18-single"
    assert encoder.manifest.licence == "not stated"
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(vectors[:2], encoder.embed(pictures(20)[:2]), atol=1e-5)


BY_FILES = """
from PIL import Image
import numpy as np
import torch

def mean(name):
    return torch.tensor(np.asarray(Image.open(name)).mean((0, 1)))

class Loader:
    def load_images(self, files):
        return torch.stack([mean(name) for name in files])

class Encoder:
    def encode(self, batch):
        return batch

class MainModule:
    def __init__(self, device):
        PLACEHOLDER
"""


@pytest.mark.parametrize(
    "parts",
    [
        "self.loader, self.encoder = Loader(), Encoder()",
        "self._get_embedding = lambda files: Loader().load_images(files)",
    ],
    ids=["loader and encoder", "embedding only"],
)
def test_older_plugins_that_only_take_files(tmp_path: Path, parts: str) -> None:
    plugin = legacy_plugin(tmp_path / "p", BY_FILES.replace("PLACEHOLDER", parts))
    encoder = load_plugin(str(plugin), trust=True, device="cpu")
    means = np.array([image.mean((0, 1)) for image in pictures(3)])
    np.testing.assert_allclose(
        encoder.embed(pictures(3)), means / np.linalg.norm(means, axis=1, keepdims=True), atol=1e-6
    )


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("MainModule = 3", "defines no MainModule"),
        ("class MainModule:\n    def __init__(self, device): pass", "neither a loader and an encoder"),
        ("class MainModule:\n    def __init__(self): pass", "TypeError"),
    ],
)
def test_an_older_plugin_that_cannot_be_used_says_why(tmp_path: Path, code: str, text: str) -> None:
    plugin = legacy_plugin(tmp_path / "p", code)
    with pytest.raises(InputError) as refusal:
        load_plugin(str(plugin), trust=True, device="cpu")
    assert text in refusal.value.fact


def test_manifest_dimension_of_code_is_checked(tmp_path: Path) -> None:
    plugin = mean_plugin(tmp_path / "p", 1)
    text = (plugin / "plugin.toml").read_text()
    (plugin / "plugin.toml").write_text(text.replace("dimension = 4", "dimension = 3"))
    encoder = load_plugin(str(plugin), trust=True, device="cpu")
    with pytest.raises(InputError, match="4 numbers, its manifest says 3"):
        encoder.embed(pictures())
    assert encoder.manifest.vector == OutputSpec(3)


def test_an_older_plugin_that_wants_to_download_gets_a_way_without(tmp_path: Path) -> None:
    """Older plugins build torchvision's network with `pretrained=True`, then overwrite its weights with their own."""
    code = "import urllib.error\nclass MainModule:\n    def __init__(self, device):\n"
    plugin = legacy_plugin(tmp_path / "p", code + "        raise urllib.error.URLError('no network')\n")
    with pytest.raises(InputError, match="URLError") as refusal:
        load_plugin(str(plugin), trust=True, device="cpu")
    assert "comictool plugins convert FILE --for res18_single" in refusal.value.hint
