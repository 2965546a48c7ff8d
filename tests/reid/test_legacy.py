"""The older program's weights, reading and score."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comictool.core.errors import InputError, UsageError
from comictool.plugins.discovery import list_plugins
from comictool.plugins.load import EncoderSpec, load_plugin
from comictool.reid.scoring import similarity
from comictool.vectors.files import find_pictures
from comictool.vectors.stream import embed_files
from tests.reid.drawings import cast, drawing

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def mdl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.reid.older_weights import write_mdl

    return write_mdl(tmp_path_factory.mktemp("older") / "res18_0222.mdl")


def test_scores_are_minus_the_distance() -> None:
    random = np.random.default_rng(5)
    first, second = (random.normal(size=(n, 40)) for n in (7, 9))
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    expected = [[-np.linalg.norm(a - b) for b in second] for a in first]
    np.testing.assert_allclose(similarity(first, second, "legacy"), expected, atol=1e-6)
    assert similarity(first[:1], first[:1], "legacy")[0, 0] == pytest.approx(0, abs=1e-7)
    assert similarity(first[:1], -first[:1], "legacy")[0, 0] == pytest.approx(-2)


def test_the_same_weights_give_the_older_programs_scores(tmp_path: Path, mdl: Path) -> None:
    from tests.reid.older_weights import older_model, older_vectors

    folder = cast(tmp_path / "in", ("ann", "bob"), 3)
    pixels = drawing("cat", 1, 90)
    Image.fromarray(np.dstack([pixels, pixels[:, :, 0]])).save(folder / "alpha.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.ascontiguousarray(pixels[:50])).save(folder / "turned.jpg", exif=exif)
    files = find_pictures([folder])
    spec = EncoderSpec("res18_single", weights=mdl, device="cpu", precision="fp32")
    ours = embed_files(files, spec, legacy=True).vectors
    older = older_vectors(older_model(), files)
    expected = np.array([[-np.linalg.norm(a.astype(float) - b) for b in older] for a in older])
    np.testing.assert_allclose(similarity(ours, ours, "legacy"), expected, atol=1e-5)


def test_convert_makes_a_plugin_of_the_original_weights(tmp_path: Path, mdl: Path) -> None:
    from comictool.plugins.completing import complete_plugin

    done = complete_plugin(mdl, "res18_single", tmp_path / "mine" / "res18")
    assert done.tensors == 122
    encoder = load_plugin("res18", plugin_dirs=[tmp_path / "mine"], device="cpu", precision="fp32")
    assert encoder.dimension == 500
    picture = drawing("ann", 1)
    expected = load_plugin("res18_single", weights=mdl, device="cpu", precision="fp32").embed([picture])
    np.testing.assert_array_equal(encoder.embed([picture]), expected)
    with pytest.raises(UsageError, match="already"):
        complete_plugin(mdl, "res18_single", tmp_path / "mine" / "res18")
    with pytest.raises(UsageError, match="takes no weights"):
        complete_plugin(mdl, "classic", tmp_path / "other")


def test_weights_of_another_model_make_no_plugin(tmp_path: Path) -> None:
    from comictool.plugins.completing import complete_plugin

    torch.save({"layer": torch.zeros(3, 3)}, tmp_path / "other.mdl")
    with pytest.raises(InputError):
        complete_plugin(tmp_path / "other.mdl", "res18_single", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_without_weights_it_is_listed_as_needing_them_and_says_how() -> None:
    listed = {plugin.name: plugin for plugin in list_plugins()}
    assert listed["res18_single"].needs_weights
    assert not listed["res18_single"].problem
    assert not listed["classic_character"].needs_weights
    with pytest.raises(InputError, match="needs weights") as caught:
        load_plugin("res18_single", device="cpu")
    assert "plugins convert FILE --for res18_single" in caught.value.hint
