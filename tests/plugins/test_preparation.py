"""From pictures to tensors: against Pillow's antialiased resize and explicit arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from comictool.plugins.manifest import InputSpec
from comictool.plugins.preparation import centre_crop, over_background, prepare_batch, prepare_one, prepare_picture
from tests.plugins.makers import pictures


@pytest.mark.parametrize(
    ("interpolation", "filter_"), [("bilinear", Image.Resampling.BILINEAR), ("bicubic", Image.Resampling.BICUBIC)]
)
@pytest.mark.parametrize("shape", [(300, 200), (30, 500), (64, 48), (5, 3), (1, 1)])
def test_squash_gives_pillows_pixels(interpolation: str, filter_: Image.Resampling, shape: tuple[int, int]) -> None:
    random = np.random.default_rng(3)
    image = random.integers(0, 256, (*shape, 3), dtype=np.uint8)
    ours = prepare_one(image, InputSpec((64, 48), "squash", interpolation)).permute(1, 2, 0).numpy()
    pillow = np.asarray(Image.fromarray(image).resize((48, 64), filter_))
    assert np.abs(ours.astype(int) - pillow.astype(int)).max() <= 2  # two passes, each rounded


def test_pad_keeps_everything_and_fills_with_the_background() -> None:
    image = np.zeros((50, 100, 3), dtype=np.uint8)
    out = prepare_one(image, InputSpec((80, 80), "pad", alpha_background=(10, 20, 30))).permute(1, 2, 0).numpy()
    assert (out[20:60] == 0).all()
    assert (out[:20] == (10, 20, 30)).all()
    assert (out[60:] == (10, 20, 30)).all()
    thin = prepare_one(np.zeros((4000, 10, 3), dtype=np.uint8), InputSpec((64, 64), "pad")).numpy()
    assert (thin == 0).any()


def test_crop_takes_the_middle_with_the_right_aspect() -> None:
    image = np.zeros((40, 100, 3), dtype=np.uint8)
    image[:, 30:70] = 200
    out = prepare_one(image, InputSpec((32, 32), "crop")).numpy()
    assert (out == 200).all()
    assert centre_crop(image, (32, 64)).shape == (40, 80, 3)
    assert centre_crop(np.zeros((4000, 10, 3), np.uint8), (224, 224)).shape == (10, 10, 3)
    assert centre_crop(np.zeros((1, 1, 3), np.uint8), (100, 7)).shape == (1, 1, 3)


def test_transparency_shows_the_background() -> None:
    image = np.zeros((1, 3, 4), dtype=np.uint8)
    image[0, :, 3] = (0, 128, 255)
    out = over_background(image, (255, 100, 0))
    assert out[0].tolist() == [[255, 100, 0], [127, 50, 0], [0, 0, 0]]


def test_the_batch_is_normalised_as_stated() -> None:
    spec = InputSpec((8, 8), mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 2.0))
    batch = prepare_batch(pictures(2), spec)
    assert batch.shape == (2, 3, 8, 8)
    pixels = np.stack([prepare_one(image, spec).numpy() for image in pictures(2)]).astype(np.float64)
    mean, std = (np.array(values).reshape(1, 3, 1, 1) for values in (spec.mean, spec.std))
    np.testing.assert_allclose(batch.numpy(), (pixels / 255 - mean) / std, atol=1e-6)


def test_read_only_and_strided_pictures_are_left_alone(recwarn: pytest.WarningsRecorder) -> None:
    image = pictures(1)[0]
    image.flags.writeable = False
    spec = InputSpec((16, 16))
    assert (prepare_one(image[::-1, ::-1], spec).numpy() == prepare_one(image[::-1, ::-1].copy(), spec).numpy()).all()
    prepare_one(image, InputSpec(image.shape[:2]))
    assert not recwarn.list


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
        "x",
    ],
)
def test_what_is_no_picture_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="a picture is"):
        prepare_one(wrong, InputSpec())  # type: ignore[arg-type]


@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("shape", [(300, 200), (30, 500), (64, 48), (5, 3), (1, 1)])
def test_pillow_prepares_as_torch_does_and_that_is_left_alone(
    shape: tuple[int, int], interpolation: str, resize: str
) -> None:
    image = np.random.default_rng(3).integers(0, 256, (*shape, 3), dtype=np.uint8)
    spec = InputSpec((64, 48), resize, interpolation, alpha_background=(10, 20, 30))
    small = prepare_picture(Image.fromarray(image), spec)
    ours = prepare_one(image, spec).permute(1, 2, 0).numpy()
    assert small.shape == (64, 48, 3)
    assert np.abs(small.astype(int) - ours.astype(int)).max() <= 2
    np.testing.assert_array_equal(prepare_one(small, spec).permute(1, 2, 0).numpy(), small)
