"""`plugins check`: good encoders pass, each kind of fault is found by the check that is named after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from comictool.plugins import check
from comictool.plugins.answers import trial_pictures
from comictool.plugins.check import check_encoder, check_plugin, odd_pictures
from comictool.plugins.load import EncoderSpec
from tests.plugins.makers import manifest


@pytest.fixture(autouse=True)
def short_speed_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "SPEED_SECONDS", 0.01)


@pytest.mark.parametrize("spec", [EncoderSpec("classic"), EncoderSpec("timm:test_vit?random", device="cpu")])
def test_good_encoders_pass(spec: EncoderSpec) -> None:
    results = check_plugin(spec)
    assert [result.name for result in results if not result.ok] == []
    assert {"loads", "dimension", "unit length", "repeatable", "finite on odd pictures", "speed"} <= {
        result.name for result in results
    }


def test_one_that_does_not_load_says_why() -> None:
    (result,) = check_plugin(EncoderSpec("absent"))
    assert (result.name, result.ok) == ("loads", False)
    assert "no plugin is called 'absent'" in result.detail


class Faulty:
    """An encoder with one fault: block means, changed by a function of the vectors and the pictures."""

    manifest = manifest(output={})
    dimension = 48
    identity = "faulty"
    preferred_batch = 4
    device_note = ""
    needs_torch = False

    def __init__(self, fault: Callable[[np.ndarray, Sequence[np.ndarray]], np.ndarray]) -> None:
        self.fault = fault

    def embed(self, images: Sequence[np.ndarray]) -> np.ndarray:
        rows = [self.describe(image) for image in images]
        vectors = np.array(rows, dtype=np.float32).reshape(-1, 48) + 1
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return self.fault(vectors, images)

    @staticmethod
    def describe(image: np.ndarray) -> np.ndarray:
        rows = np.linspace(0, image.shape[0] - 1, 4).astype(int)
        columns = np.linspace(0, image.shape[1] - 1, 4).astype(int)
        return image[rows][:, columns].ravel()


noise = np.random.default_rng(0)


def changed(vectors: np.ndarray, images: Sequence[np.ndarray]) -> np.ndarray:
    for image in images:
        image[0, 0] += 1
    return vectors


FAULTS: dict[str, tuple[str, Callable[[np.ndarray, Sequence[np.ndarray]], np.ndarray]]] = {
    "none": ("", lambda v, _: v),
    "wrong dimension": ("dimension", lambda v, _: v[:, :40] / np.linalg.norm(v[:, :40], axis=1, keepdims=True)),
    "wrong type": ("dimension", lambda v, _: v.astype(np.float64)),
    "not unit": ("unit length", lambda v, _: v * 1.001),
    "random": ("repeatable", lambda v, _: v + noise.normal(0, 1e-7, v.shape).astype(np.float32)),
    "changes its input": ("repeatable", changed),
    "depends on the batch": (
        "independent of batch and order",
        lambda v, _: (w := v - 0.5 * v.mean(0)) / np.linalg.norm(w, axis=1, keepdims=True) if len(v) > 1 else v,
    ),
    "infinite on black": (
        "finite on odd pictures",
        lambda v, images: v * np.array([[np.nan if i.max() == 0 else 1] for i in images], np.float32).reshape(-1, 1),
    ),
    "constant": ("tells pictures apart", lambda v, _: np.full_like(v, 48**-0.5)),
}


@pytest.mark.parametrize(("found_by", "fault"), FAULTS.values(), ids=FAULTS)
def test_each_fault_is_found(found_by: str, fault: Callable[[np.ndarray, Sequence[np.ndarray]], np.ndarray]) -> None:
    failed = [result.name for result in check_encoder(Faulty(fault)) if not result.ok]
    assert found_by in failed if found_by else failed == []


def test_the_pictures_are_the_same_every_time() -> None:
    for first, second in zip(trial_pictures(9), trial_pictures(9), strict=True):
        assert np.array_equal(first, second)
    assert {(1, 1, 3), (4000, 10, 3), (10, 4000, 3)} <= {picture.shape for picture in odd_pictures().values()}
