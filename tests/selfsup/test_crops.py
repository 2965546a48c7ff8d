"""Multi-crop: the same from the same seed, right sizes from any picture, and each change against a second opinion."""

from __future__ import annotations

import colorsys
import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from comictool.core.errors import UsageError
from comictool.selfsup import crops
from comictool.selfsup.crops import YIQ, blurred, change_colours, colour_matrices, crop_boxes, multi_crop
from comictool.selfsup.options import CropOptions

SMALL = CropOptions(global_size=32, local_size=16, local_count=3)
PLAIN = CropOptions(
    global_size=32, local_size=16, local_count=3, jitter=0, grey=0, blur=(0.0, 0.0, 0.0), solarise=(0.0, 0.0, 0.0)
)


def picture(height: int = 60, width: int = 40, seed: int = 0) -> np.ndarray:
    """Smooth colours, so that resampling has little to disagree about."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 4, 3), dtype=np.uint8)
    return np.array(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC))


def test_a_seed_gives_the_same_crops_and_another_seed_others() -> None:
    one, again, other = (multi_crop(picture(), SMALL, seed) for seed in (5, 5, 6))
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert one[0].shape == (2, 3, 32, 32)
    assert one[1].shape == (3, 3, 16, 16)
    assert one[0].dtype == torch.uint8


def test_crops_do_not_depend_on_threads() -> None:
    before = torch.get_num_threads()
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(multi_crop(picture(300, 200), CropOptions(), 1)[0])
    torch.set_num_threads(before)
    assert torch.equal(*found)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 500), (500, 1), (2, 3), (17, 900)])
def test_any_picture_has_crops(height: int, width: int) -> None:
    large, small = multi_crop(picture(height, width), SMALL, 3)
    assert large.shape == (2, 3, 32, 32)
    assert small.shape == (3, 3, 16, 16)


def test_counts_are_options() -> None:
    large, small = multi_crop(picture(), CropOptions(global_size=32, global_count=3, local_count=0), 0)
    assert large.shape == (3, 3, 32, 32)
    assert small.shape[0] == 0


def test_boxes_have_the_published_areas_and_aspects() -> None:
    options = CropOptions(min_source=1)
    boxes = crop_boxes(600, 600, 4000, (0.05, 0.4), options, np.random.default_rng(0))
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    area = width * height / 360_000
    assert boxes[:, :2].min() >= 0
    assert boxes.max() <= 600
    assert 0.049 < area.min() < 0.06
    assert 0.39 < area.max() < 0.402
    assert abs(area.mean() - 0.225) < 0.01  # even in area
    logs = np.log(width / height)
    assert abs(logs).max() < math.log(4 / 3) + 0.01
    assert abs(logs.mean()) < 0.02
    # Each place that fits is as likely as any other.
    free = 600 - width
    assert abs((boxes[free > 50, 0] / free[free > 50]).mean() - 0.5) < 0.02


def test_a_strip_gets_its_middle() -> None:
    boxes = crop_boxes(1000, 30, 50, (0.9, 1.0), CropOptions(keep_shape=False), np.random.default_rng(0))
    assert {tuple(box) for box in boxes.tolist()} == {(0, 480, 30, 520)}  # 3 : 4, the nearest aspect allowed


def test_boxes_have_the_shape_of_the_picture_unless_they_are_published_ones() -> None:
    tall = crop_boxes(1000, 300, 500, (0.4, 1.0), CropOptions(), np.random.default_rng(0))
    logs = np.log((tall[:, 2] - tall[:, 0]) / (tall[:, 3] - tall[:, 1]) / 0.3)
    assert abs(logs).max() < math.log(4 / 3) + 0.02
    assert len({tuple(box) for box in tall.tolist()}) > 480
    square = crop_boxes(1000, 300, 500, (0.4, 1.0), CropOptions(keep_shape=False), np.random.default_rng(0))
    assert len({tuple(box) for box in square.tolist()}) == 1  # the middle, always: nothing to learn from


def test_small_figures_keep_a_least_size_of_crop() -> None:
    boxes = crop_boxes(40, 30, 200, (0.05, 0.1), CropOptions(min_source=16), np.random.default_rng(0))
    assert (boxes[:, 2] - boxes[:, 0]).min() == 16
    assert (boxes[:, 3] - boxes[:, 1]).min() == 16
    tiny = crop_boxes(9, 7, 20, (0.05, 0.1), CropOptions(min_source=16), np.random.default_rng(0))
    assert {tuple(box) for box in tiny.tolist()} == {(0, 0, 7, 9)}


def test_a_crop_without_changes_is_pillows_cut_and_resize() -> None:
    source = picture(300, 200)
    large, _ = multi_crop(source, PLAIN, 11)
    rng = np.random.default_rng(11)
    rng.random((2, 9))
    boxes = crop_boxes(300, 200, 2, PLAIN.global_scale, PLAIN, rng)
    for crop, box in zip(large, boxes, strict=True):
        cut = Image.fromarray(source).crop(tuple(int(v) for v in box)).resize((32, 32), Image.Resampling.BICUBIC)
        assert np.abs(crop.permute(1, 2, 0).numpy().astype(int) - np.asarray(cut).astype(int)).max() <= 1


def test_flipping_mirrors_and_changes_nothing_else() -> None:
    source = picture()
    plain = multi_crop(source, PLAIN, 4)
    from dataclasses import replace

    flipped = multi_crop(source, replace(PLAIN, flip=1.0), 4)
    for one, other in zip(plain, flipped, strict=True):
        assert torch.equal(one.flip(3), other)
    assert CropOptions().flip == 0.0


def draws(jitter: float = 0.0, *four: float, grey: float = 1.0) -> np.ndarray:
    return np.array([[jitter, *(four or (0.5,) * 4), grey]])


def changed(colour: tuple[float, float, float], row: np.ndarray, **options: float) -> np.ndarray:
    """One colour, in a crop whose mean luma is that of mid grey, after a change."""
    pixels = torch.tensor(colour).view(1, 3, 1, 1).repeat(1, 1, 1, 2)
    pixels[..., 1] = 2 * 100.0 - pixels[..., 0]
    everything = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1, **options}
    chosen = CropOptions(jitter=1.0, grey=0.5, **everything)  # type: ignore[arg-type]
    return change_colours(pixels, colour_matrices(row, chosen))[0, :, 0, 0].numpy()


def test_colour_changes_are_the_published_blends() -> None:
    colour = (120.0, 80.0, 90.0)
    luma = float(YIQ[0] @ colour)
    x = np.array(colour)
    np.testing.assert_allclose(changed(colour, draws(0.0, 1.0, 0.5, 0.5, 0.5)), 1.4 * x, rtol=1e-4)
    np.testing.assert_allclose(changed(colour, draws(0.0, 0.5, 1.0, 0.5, 0.5)), 1.4 * x - 0.4 * 100, rtol=1e-4)
    np.testing.assert_allclose(changed(colour, draws(0.0, 0.5, 0.5, 1.0, 0.5)), 1.4 * x - 0.4 * luma, rtol=1e-4)
    np.testing.assert_allclose(changed(colour, draws(grey=0.0)), [luma] * 3, rtol=1e-4)
    np.testing.assert_allclose(changed(colour, draws()), x, rtol=1e-4)


def test_hue_turns_the_way_hsv_turns_and_keeps_the_luma() -> None:
    colour = (150.0, 90.0, 80.0)
    turned = changed(colour, draws(0.0, 0.5, 0.5, 0.5, 1.0))
    assert float(YIQ[0] @ turned) == pytest.approx(float(YIQ[0] @ colour), rel=1e-3)
    before, after = (colorsys.rgb_to_hsv(*(np.asarray(c) / 255))[0] for c in (colour, turned))
    turn = (after - before + 0.5) % 1 - 0.5
    assert 0.05 < abs(turn) < 0.2  # a tenth of the circle, unevenly mapped by HSV


def test_values_stay_in_range() -> None:
    extreme = CropOptions(brightness=1, contrast=1, saturation=1, hue=0.5, global_size=16, local_size=8)
    for seed in range(5):
        large, _ = multi_crop(np.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=np.uint8), extreme, seed)
        assert large.min() >= 0
    white = change_colours(
        torch.full((1, 3, 4, 4), 255.0), colour_matrices(draws(0.0, 1, 1, 1, 1), CropOptions(jitter=1))
    )
    assert float(white.max()) == 255.0


def test_blur_is_a_gaussian() -> None:
    crop = torch.from_numpy(np.random.default_rng(0).random((3, 40, 40), np.float32))
    found = blurred(crop, 1.7)[:, 12:-12, 12:-12]
    expected = gaussian_filter(crop.numpy(), (0, 1.7, 1.7), truncate=8)[:, 12:-12, 12:-12]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)
    torch.testing.assert_close(blurred(torch.ones(3, 9, 9), 2.0), torch.ones(3, 9, 9))
    torch.testing.assert_close(blurred(crop, 0.1), crop, atol=1e-5, rtol=0)


def test_solarising_inverts_bright_values() -> None:
    from dataclasses import replace

    plain = multi_crop(picture(), PLAIN, 8)[0].int()
    found = multi_crop(picture(), replace(PLAIN, solarise=(1.0, 0.0, 0.0)), 8)[0].int()
    assert torch.equal(found[0], torch.where(plain[0] >= 128, 255 - plain[0], plain[0]))
    assert torch.equal(found[1], plain[1])


def test_blur_and_solarising_come_as_often_and_as_strong_as_published(monkeypatch: pytest.MonkeyPatch) -> None:
    radii: dict[int, list[float]] = {32: [], 16: []}
    monkeypatch.setattr(crops, "blurred", lambda crop, radius: (radii[crop.shape[-1]].append(radius), crop)[1])
    white = np.full((20, 20, 3), 255, np.uint8)  # black where it is solarised
    options = CropOptions(global_size=32, local_size=16, local_count=3, jitter=0, grey=0, flip=0)
    found = [multi_crop(white, options, seed) for seed in range(600)]
    dark = np.mean([[bool(crop.max() == 0) for crop in (*large, *small)] for large, small in found], axis=0)
    assert dark[[0, 2, 3, 4]].tolist() == [0, 0, 0, 0]
    assert abs(dark[1] - 0.2) < 0.05
    assert abs(len(radii[32]) / 600 - 1.1) < 0.05  # always on the first large crop, one time in ten on the second
    assert abs(len(radii[16]) / 1800 - 0.5) < 0.05
    for values in radii.values():
        assert 0.1 <= min(values) < 0.15
        assert 1.95 < max(values) <= 2.0
        assert abs(np.mean(values) - 1.05) < 0.08  # even in 0.1 .. 2, however rare it is
        assert abs(np.std(values) - 1.9 / math.sqrt(12)) < 0.05


def test_more_pixels_than_crops_can_use_are_not_kept() -> None:
    assert CropOptions().source_side == math.ceil(96 / math.sqrt(0.05))  # 430
    assert CropOptions(local_count=0).source_side == math.ceil(224 / math.sqrt(0.4))


@pytest.mark.parametrize(
    "wrong",
    [
        {"global_size": 0},
        {"global_count": 1, "local_count": 0},
        {"local_scale": (0.4, 0.1)},
        {"global_scale": (0.5, 1.5)},
        {"flip": 1.5},
        {"blur": (0.1, 2.0, 0.1)},
        {"hue": 0.7},
        {"blur_radius": (0.0, 1.0)},
    ],
)
def test_impossible_crops_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        CropOptions(**wrong)  # type: ignore[arg-type]
