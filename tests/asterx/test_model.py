"""The published encoder: its size, its names, what its tokens can and cannot know."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from comictool.asterx.model import EncoderShape, Positions, SequenceModel
from comictool.asterx.windows import WindowShape
from comictool.core.errors import UsageError

SMALL = EncoderShape(features=6, width=16, layers=2, heads=2, feedforward=32, dropout=0.1)


def model(window: WindowShape | None = None, *, hide_second: bool = True) -> SequenceModel:
    torch.manual_seed(0)
    return SequenceModel(SMALL, window or WindowShape(), hide_second=hide_second).eval()


def windows(count: int = 3, length: int = 5) -> dict[str, Tensor]:
    torch.manual_seed(1)
    real = torch.ones(count, length, dtype=torch.bool)
    return {
        "first": torch.randn(count, length, 6),
        "first_real": real,
        "hide": torch.ones(count, dtype=torch.bool),
        "second": torch.randn(count, length, 6),
        "second_real": real.clone(),
    }


def test_the_published_size_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        whole = SequenceModel(EncoderShape(), WindowShape())
    assert sum(parameter.numel() for parameter in whole.model.parameters()) == 44_409_856
    assert sum(parameter.numel() for parameter in whole.model_head_cls.parameters()) == 768 + 1
    assert sum(parameter.numel() for parameter in whole.model_head_tok.parameters()) == 768 * 384 + 384


def test_names_are_those_of_published_checkpoints() -> None:
    names = set(model().model.state_dict())
    layer = {
        f"{part}.{kind}"
        for part in ("linear1", "linear2", "norm1", "norm2", "self_attn.out_proj")
        for kind in ("weight", "bias")
    } | {"self_attn.in_proj_weight", "self_attn.in_proj_bias"}
    expected = {"linear_in.weight", "linear_in.bias", "mas_token", "cls_token", "sep_token", "positional_encoding.pe"}
    assert names == expected | {f"encoder.layers.{number}.{name}" for number in (0, 1) for name in layer}


def test_positions_are_those_of_the_formula() -> None:
    found = Positions(12)(torch.zeros(1, 100, 12))[0]
    for place in (0, 1, 7, 99):
        for pair in range(6):
            angle = place / 10_000 ** (2 * pair / 12)
            assert found[place, 2 * pair].item() == pytest.approx(math.sin(angle), abs=2e-5)
            assert found[place, 2 * pair + 1].item() == pytest.approx(math.cos(angle), abs=2e-5)


def test_tokens_begin_small_and_positive() -> None:
    body = model().model
    for token in (body.cls_token, body.sep_token, body.mas_token):
        assert token.min() >= 0
        assert token.max() <= 0.01


def by_hand(whole: SequenceModel, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """`[CLS] p0 p1 [MASK] p3 p4 [SEP] q0 q1 [MASK] q3 q4` through the blocks, spelt out in float64."""
    weights = {name: value.double().numpy() for name, value in whole.model.state_dict().items()}

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ weights[f"{name}weight"].T + weights[f"{name}bias"]

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    one, two = linear(first, "linear_in."), linear(second, "linear_in.")
    one[2] = two[2] = weights["mas_token"][0, 0]
    x = np.concatenate([weights["cls_token"][0], one, weights["sep_token"][0], two])
    x = x + weights["positional_encoding.pe"][0, : len(x)]
    for number in range(2):
        at = f"encoder.layers.{number}."
        queries, keys, values = np.split(linear(x, f"{at}self_attn.in_proj_"), 3, axis=1)
        heads = []
        for head in range(2):
            part = slice(8 * head, 8 * head + 8)
            scores = queries[:, part] @ keys[:, part].T / math.sqrt(8)
            share = np.exp(scores - scores.max(axis=1, keepdims=True))
            heads.append(share / share.sum(axis=1, keepdims=True) @ values[:, part])
        x = norm(x + linear(np.hstack(heads), f"{at}self_attn.out_proj."), f"{at}norm1")
        x = norm(x + linear(np.maximum(linear(x, f"{at}linear1."), 0), f"{at}linear2."), f"{at}norm2")
    return x


def test_the_forward_pass_is_the_published_one() -> None:
    whole, batch = model(), windows()
    with torch.no_grad():
        output = whole(**batch)
    for row in range(3):
        expected = by_hand(whole, batch["first"][row].double().numpy(), batch["second"][row].double().numpy())
        np.testing.assert_allclose(output.tokens[row].numpy(), expected, atol=2e-5)
        np.testing.assert_allclose(output.sequence[row].numpy(), expected[0], atol=2e-5)
        np.testing.assert_allclose(output.centre[row].numpy(), expected[3], atol=2e-5)


def test_a_hidden_panel_cannot_be_seen() -> None:
    whole, batch = model(), windows()
    with torch.no_grad():
        before = whole(**batch)
        batch["first"][:, 2] += 100
        batch["second"][:, 2] += 100
        after = whole(**batch)
        torch.testing.assert_close(before.tokens, after.tokens)
        seen = whole(**{**batch, "hide": torch.zeros(3, dtype=torch.bool)})
        batch["first"][:, 2] -= 100
        other = whole(**{**batch, "hide": torch.zeros(3, dtype=torch.bool)})
    assert not torch.allclose(seen.centre, other.centre)


def test_the_second_centre_is_seen_when_it_is_not_hidden() -> None:
    whole, batch = model(hide_second=False), windows()
    with torch.no_grad():
        before = whole(**batch).sequence
        batch["second"][:, 2] += 5
        assert not torch.allclose(before, whole(**batch).sequence)


def test_every_visible_panel_has_a_say_and_gets_a_gradient() -> None:
    whole, batch = model(), windows()
    for name in ("first", "second"):
        batch[name].requires_grad_()
    output = whole(**batch)
    (output.order.sum() + output.prediction.sum()).backward()
    for name in ("first", "second"):
        gradient = batch[name].grad
        assert gradient is not None
        assert (gradient[:, [0, 1, 3, 4]].abs().sum(dim=-1) > 0).all()
        assert not gradient[:, 2].any()


@pytest.mark.parametrize("training", [False, True])
def test_what_stands_at_padding_does_not_matter(training: bool) -> None:
    whole, batch = model(), windows()
    whole.train(training)
    batch["first_real"][0, :2] = False
    batch["second_real"][1, 3:] = False
    found = []
    for filling in (0.0, 1e3):
        batch["first"][0, :2] = filling
        batch["second"][1, 3:] = filling
        torch.manual_seed(5)
        found.append(whole(**batch))
    torch.testing.assert_close(found[0].sequence, found[1].sequence)
    torch.testing.assert_close(found[0].prediction, found[1].prediction)


def test_without_second_window_the_layout_is_that_of_one() -> None:
    whole, batch = model(), windows()
    batch["second_real"][:] = False
    with torch.no_grad():
        padded = whole(**batch)
        alone = whole(batch["first"], batch["first_real"], batch["hide"])
    assert alone.tokens.shape == (3, 6, 16)
    torch.testing.assert_close(padded.tokens[:, :6], alone.tokens, atol=1e-5, rtol=1e-4)


def test_standardising_is_undone_by_nothing_but_itself() -> None:
    whole = model()
    features = torch.randn(4, 6) * 3 + 2
    torch.testing.assert_close(whole.standardise(features), features)
    whole.feature_mean.copy_(features.mean(dim=0))
    whole.feature_scale.fill_(0.25)
    torch.testing.assert_close(whole.standardise(features), (features - features.mean(dim=0)) * 0.25)


@pytest.mark.parametrize(
    "given", [{"width": 30, "heads": 4}, {"width": 15, "heads": 5}, {"layers": 0}, {"dropout": 1.0}]
)
def test_sizes_that_cannot_be_are_refused(given: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        EncoderShape(**given)  # type: ignore[arg-type]
