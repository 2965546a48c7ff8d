"""Plugin directories, and checkpoints in the published layout."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch

from comictool.asterx.encoding import encode_panels, standard_matrix
from comictool.asterx.model import EncoderShape, SequenceModel
from comictool.asterx.weights import PARTS, export_model, load_sequence_model
from comictool.asterx.windows import WindowShape
from comictool.core.errors import InputError
from comictool.plugins.check import check_plugin
from comictool.plugins.load import EncoderSpec, load_model
from tests.asterx.stories import WIDTH, story_panels

SHAPE = EncoderShape(features=WIDTH, width=16, layers=2, heads=8, feedforward=32)


def save_published(path: Path, model: SequenceModel) -> None:
    """Write a checkpoint in the published layout.

    That layout has no place for the standardisation of features, so it goes into the weights: the first layer takes
    raw vectors, and the `tok` head answers with raw ones. Distances between them are those of standardised vectors
    divided by the scale; order, ranks and tokens are the same.
    """
    mean, scale = model.feature_mean.double(), model.feature_scale.double()
    parts: dict[str, dict[str, torch.Tensor]] = {
        name: {key: value.detach().cpu().clone() for key, value in getattr(model, name).state_dict().items()}
        for name in PARTS
    }
    mean, scale = mean.cpu(), scale.cpu()
    body, tok = parts["model"], parts["model_head_tok"]
    weight = body["linear_in.weight"].double() * scale
    body["linear_in.bias"] = (body["linear_in.bias"].double() - weight @ mean).float()
    body["linear_in.weight"] = weight.float()
    tok["weight"] = (tok["weight"].double() / scale).float()
    tok["bias"] = (tok["bias"].double() / scale + mean).float()
    torch.save(parts, path)


def some_model(window: WindowShape | None = None) -> SequenceModel:
    torch.manual_seed(7)
    model = SequenceModel(SHAPE, window or WindowShape()).eval()
    model.feature_mean.copy_(torch.randn(WIDTH))
    model.feature_scale.fill_(0.4)
    return model


def test_a_plugin_directory_gives_the_same_model_back(tmp_path: Path) -> None:
    model = some_model(WindowShape(1, 3))
    export_model(tmp_path / "model", model, single=0.25, visible=0.1, similarity="cosine", origin="classic@1")
    for path in (tmp_path, tmp_path / "model"):  # a run, or its model
        loaded = load_sequence_model(path)
        assert loaded.model.window == WindowShape(1, 3)
        assert (loaded.single, loaded.visible, loaded.similarity, loaded.reads) == (0.25, 0.1, "cosine", "classic@1")
        for name, value in model.state_dict().items():
            assert torch.equal(value, loaded.model.state_dict()[name]), name
    assert loaded.encoder_id.startswith("asterx@1+")


def test_plugins_check_knows_a_sequence_model(tmp_path: Path) -> None:
    """House review, fault 5: a good model was called broken, since only encoders were known."""
    model = some_model()
    export_model(tmp_path / "model", model, single=0, visible=0, similarity="cosine", origin="classic@1")
    spec = EncoderSpec(str(tmp_path / "model"), device="cpu")
    assert [(result.name, result.ok) for result in check_plugin(spec) if not result.ok] == []
    panels = story_panels()
    loaded = load_model(spec, "sequence")
    start, end = panels.offsets[:2]
    expected = encode_panels(model, standard_matrix(model, panels), panels).sequence[start:end]
    assert np.allclose(loaded.encode(panels.vectors[start:end]), expected, atol=1e-5)


def test_identities_tell_weights_and_windows_apart(tmp_path: Path) -> None:
    found = set()
    for number, (seed, window) in enumerate(((0, WindowShape()), (1, WindowShape()), (0, WindowShape(1, 1)))):
        torch.manual_seed(seed)
        model = SequenceModel(SHAPE, window)
        export_model(tmp_path / str(number), model, single=0, visible=0, similarity="euclidean")
        found.add(load_sequence_model(tmp_path / str(number)).encoder_id)
    assert len(found) == 3


def test_a_checkpoint_of_the_published_layout_loads(tmp_path: Path) -> None:
    model = some_model()
    parts = {name: getattr(model, name).state_dict() for name in PARTS}
    torch.save(parts, tmp_path / "checkpoint.pt")
    loaded = load_sequence_model(tmp_path / "checkpoint.pt")
    assert loaded.model.shape == SHAPE
    for name in PARTS:
        for key, value in getattr(loaded.model, name).state_dict().items():
            assert torch.equal(value, parts[name][key])
    assert loaded.encoder_id != load_sequence_model(tmp_path / "checkpoint.pt", heads=4).encoder_id


def test_objects_in_a_checkpoint_are_never_made(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.pt"
    torch.save({name: {} for name in PARTS} | {"args": argparse.Namespace(lr=1)}, file)
    with pytest.raises(InputError, match=r"argparse\.Namespace"):
        load_sequence_model(file)


def test_other_files_are_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a run nor a plugin"):
        load_sequence_model(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        load_sequence_model(tmp_path / "none.pt")
    torch.save({"task": {}}, tmp_path / "last.pt")
    with pytest.raises(InputError, match="'model'"):
        load_sequence_model(tmp_path / "last.pt")
    model = some_model()
    parts = {name: dict(getattr(model, name).state_dict()) for name in PARTS}
    del parts["model"]["sep_token"]
    torch.save(parts, tmp_path / "partial.pt")
    with pytest.raises(InputError, match="do not fit the architecture") as refused:
        load_sequence_model(tmp_path / "partial.pt")
    assert "sep_token" in refused.value.cause
    parts["model"]["sep_token"] = torch.full((1, 1, 16), torch.nan)
    torch.save(parts, tmp_path / "nan.pt")
    with pytest.raises(InputError, match="not finite"):
        load_sequence_model(tmp_path / "nan.pt")


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("encoder.layers.99999999.norm1.weight", torch.zeros(1)),  # so many layers would be built
        ("linear_in.weight", torch.zeros(1).expand(1 << 15, 1 << 15)),  # gigabytes from four bytes
        ("encoder.layers.0.linear1.weight", torch.zeros(60_000, 16)),
    ],
)
def test_damaged_sizes_are_refused_before_they_take_memory(tmp_path: Path, name: str, tensor: torch.Tensor) -> None:
    parts = {part: dict(getattr(some_model(), part).state_dict()) for part in PARTS}
    parts["model"][name] = tensor
    torch.save(parts, tmp_path / "checkpoint.pt")
    with pytest.raises(InputError):
        load_sequence_model(tmp_path / "checkpoint.pt")
    torch.save(parts | {"model_head_tok": torch.zeros(3)}, tmp_path / "checkpoint.pt")
    with pytest.raises(InputError):
        load_sequence_model(tmp_path / "checkpoint.pt")


def test_changed_weights_and_other_plugins_are_refused(tmp_path: Path) -> None:
    export_model(tmp_path / "model", some_model(), single=0, visible=0, similarity="euclidean")
    weights = tmp_path / "model/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(InputError, match="is not the file that"):
        load_sequence_model(tmp_path / "model")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/plugin.toml").write_text(
        'schema = 2\nid = "x"\nversion = "1"\ntitle = "x"\nkind = "encoder"\nlicence = "MIT"\n'
        '[architecture]\nname = "classic"\n[output.vector]\ndimension = 3\n'
    )
    with pytest.raises(InputError, match="no ASTERX model"):
        load_sequence_model(tmp_path / "other")
