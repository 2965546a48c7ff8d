"""`architecture = "joined"`: one encoder out of several, with an identity made of theirs."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from comictool.core.errors import InputError, UsageError
from comictool.plugins.check import check_encoder
from comictool.plugins.encoder import embed_views
from comictool.plugins.export import export_plugin
from comictool.plugins.known import known_encoder_id, needs_torch, parts_of
from comictool.plugins.load import EncoderSpec, load_plugin
from comictool.plugins.manifest import VECTOR, Inputs, OutputSpec, write_manifest
from tests.plugins.makers import TINY_DIMENSION, code_plugin, manifest, pictures, tiny_state

LIGHT = [
    {"plugin": "classic_character", "weight": 3.0},
    {"architecture": "classic", "arguments": {"profile": "picture"}},
]


def joined(folder: Path, parts: list[dict[str, Any]], dimension: int = 2 * 713, **whole: str) -> EncoderSpec:
    folder.mkdir(exist_ok=True)
    output, arguments = {VECTOR: OutputSpec(dimension)}, {"parts": parts, **whole}
    write_manifest(
        folder, manifest(id="both", architecture="joined", arguments=arguments, input=Inputs(), output=output)
    )
    return EncoderSpec(str(folder), device="cpu", precision="fp32")


def test_the_cosine_is_the_mean_of_the_parts_cosines_by_weight(tmp_path: Path) -> None:
    spec = joined(tmp_path / "p", LIGHT)
    encoder, images = spec.load(), pictures(4)
    one, two = (load_plugin(name).embed(images) for name in ("classic_character", "classic"))
    vectors = encoder.embed(images)
    assert np.allclose(vectors @ vectors.T, (3 * one @ one.T + two @ two.T) / 4, atol=1e-5)
    views = embed_views(encoder, images[0], [(0, 0, 1, 1), (0, 0, 0.5, 1)])
    assert np.allclose(views[0], vectors[0], atol=1e-5)
    assert encoder.embed([]).shape == (0, 2 * 713)
    again = pickle.loads(pickle.dumps(encoder))
    assert np.array_equal(again.embed(images), vectors)


def test_a_mean_is_taken_off(tmp_path: Path) -> None:
    images = pictures(4)
    plain = load_plugin("classic").embed(images)
    (tmp_path / "p").mkdir()
    np.save(tmp_path / "p" / "mean.npy", plain.mean(0))
    spec = joined(tmp_path / "p", [{"plugin": "classic", "mean": "mean.npy"}], 713)
    expected = plain - plain.mean(0)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.allclose(spec.load().embed(images), expected, atol=1e-5)
    before = known_encoder_id(spec)
    np.save(tmp_path / "p" / "mean.npy", plain[0])
    assert known_encoder_id(spec) != before


def test_what_the_joined_vectors_have_in_common_and_what_differs_within_things_is_taken_off(tmp_path: Path) -> None:
    """Against a loop over the rows of `damped`, which stand across each other."""
    images = pictures(4)
    plain = joined(tmp_path / "p", LIGHT).load().embed(images)
    mean = plain.mean(0)
    rows = np.linalg.qr(np.random.default_rng(0).normal(size=(2 * 713, 2)))[0].T * [[1.0], [0.5]]
    np.save(tmp_path / "p" / "mean.npy", mean)
    np.save(tmp_path / "p" / "damped.npy", rows)
    whole = {"mean": "mean.npy", "damped": "damped.npy"}
    spec = joined(tmp_path / "p", LIGHT, **whole)
    expected = plain - mean
    for row in rows:
        expected = expected - np.outer(expected @ row, row)
    vectors = spec.load().embed(images)
    assert np.allclose(vectors, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-5)
    assert np.allclose(vectors @ rows[0], 0, atol=1e-6), "a row of length 1 takes its direction away"
    assert parts_of(spec) == (), "parts are mixed"
    found = known_encoder_id(spec)
    assert found == spec.load().encoder_id
    np.save(tmp_path / "p" / "damped.npy", rows[:1])
    assert known_encoder_id(spec) != found
    for wrong, words in ((2 * rows, "longer than 1"), (rows[:, :9], "not for vectors of 1426"), (rows[0], "no matrix")):
        np.save(tmp_path / "p" / "damped.npy", wrong)
        with pytest.raises(InputError, match=words):
            spec.load()


def test_the_id_is_known_and_made_of_all_that_matters(tmp_path: Path) -> None:
    specs = [
        joined(tmp_path / "a", LIGHT),
        joined(tmp_path / "b", [{**LIGHT[0], "weight": 2.0}, LIGHT[1]]),
        joined(tmp_path / "c", LIGHT[::-1]),
        joined(tmp_path / "d", [{"plugin": "classic"}, LIGHT[1]]),
    ]
    found = [known_encoder_id(spec) for spec in specs]
    assert found == [spec.load().encoder_id for spec in specs]
    assert len(set(found)) == len(specs)
    assert known_encoder_id(joined(tmp_path / "e", LIGHT)) == found[0], "the folder's name is no part of it"


def test_torch_is_imported_only_for_parts_that_need_it(tmp_path: Path) -> None:
    spec = joined(tmp_path / "p", LIGHT)
    assert not needs_torch(spec)
    code = (
        "import sys\nfrom comictool.plugins.load import EncoderSpec\n"
        "print(EncoderSpec(sys.argv[1]).load().needs_torch, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "p")], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
    mixed = [{"plugin": "./tiny"}, {"plugin": "classic"}]
    export_plugin(tmp_path / "p" / "tiny", manifest(), tiny_state())
    spec = joined(tmp_path / "p", mixed, TINY_DIMENSION + 713)
    assert needs_torch(spec)
    encoder = spec.load()
    assert encoder.needs_torch
    assert encoder.encoder_id == known_encoder_id(spec)
    assert [(result.name, result.detail) for result in check_encoder(encoder) if not result.ok] == []


PARTS: dict[str, tuple[Any, type[Exception], str]] = {
    "none": ([], InputError, "1 to 16 parts"),
    "too many": ([{"plugin": "classic"}] * 17, InputError, "1 to 16 parts"),
    "no plugin": ([{"weight": 1.0}], InputError, "one of the two"),
    "both": ([{"plugin": "classic", "architecture": "classic"}], InputError, "one of the two"),
    "unknown key": ([{"plugin": "classic", "scale": 2}], InputError, "scale is not a known key"),
    "weight 0": ([{"plugin": "classic", "weight": 0.0}], InputError, "weight must be from"),
    "outside": ([{"plugin": "../classic"}], InputError, "plugin must be"),
    "absolute": ([{"plugin": "/etc"}], InputError, "plugin must be"),
    "itself": ([{"plugin": "./."}], UsageError, "is joined itself"),
    "absent": ([{"plugin": "./absent"}], InputError, "does not exist"),
    "with weights": ([{"architecture": "dino_vit"}], InputError, "needs weights"),
    "timm": ([{"architecture": "timm:resnet18"}], InputError, "cannot be the architecture"),
    "mean outside": ([{"plugin": "classic", "mean": "../mean.npy"}], InputError, "mean must be"),
    "mean of objects": ([{"plugin": "classic", "mean": "objects.npy"}], InputError, "is not an array"),
    "mean too long": ([{"plugin": "classic", "mean": "long.npy"}], InputError, r"a mean \[9\] is not for classic"),
    "mean a link": ([{"plugin": "classic", "mean": "link.npy"}], InputError, "symbolic link"),
    "dimension": ([{"plugin": "classic"}], InputError, "713 numbers, its manifest says 1426"),
    "code": ([{"plugin": "./code"}], UsageError, "code"),
}


@pytest.mark.parametrize(("parts", "error", "words"), PARTS.values(), ids=PARTS)
def test_what_is_no_joined_encoder_is_a_sentence(
    tmp_path: Path, parts: list[dict[str, Any]], error: type[Exception], words: str
) -> None:
    folder = tmp_path / "p"
    spec = joined(folder, parts)
    np.save(folder / "objects.npy", np.array([{}], dtype=object))
    np.save(folder / "long.npy", np.ones(9))
    (folder / "link.npy").symlink_to(folder / "long.npy")
    code_plugin(folder / "code", "def build_model(): raise SystemExit\n")
    with pytest.raises(error, match=words):
        EncoderSpec(spec.name_or_path, trust=True, device="cpu").load()
