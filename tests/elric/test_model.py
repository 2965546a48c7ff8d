"""Context reaches the head, in the right rows, in both networks, and everything is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from comictool.elric.context import ContextProjection, drop_context, per_crop
from comictool.elric.model import ElricNetwork
from comictool.elric.settings import ContextOptions, ElricConfig, ModelOptions, sizes_of
from comictool.elric.task import ElricTask
from comictool.plugins.dino_vit import DinoViT, ViTShape
from comictool.selfsup.crops import crop_major, normalised
from comictool.selfsup.head import DinoHead, Prototypes
from comictool.selfsup.options import CropOptions, DinoOptions
from comictool.selfsup.task import update_teacher
from comictool.training.recipe import StepState

SAMPLES = 3


def make_config(
    context: ContextOptions | None = None, *, loss: DinoOptions | None = None, width: int = 12, heads: int = 3
) -> ElricConfig:
    """A very small network on crops of 16 and 8 pixels."""
    return ElricConfig(
        model=ModelOptions(
            width=width, depth=1, heads=heads, patch_size=8, drop_path=0.0, prototypes=16, hidden=20, bottleneck=8
        ),
        loss=loss or DinoOptions(teacher_temperature=0.04, momentum=0.9),
        context=context or ContextOptions(),
        crops=CropOptions(global_size=16, local_size=8, local_count=3),
    )


def make_task(config: ElricConfig, context_width: int = 0) -> ElricTask:
    """The task with seeded weights."""
    torch.manual_seed(7)
    return ElricTask(config, sizes_of(100, config), context_width=context_width)


def make_batch(context_width: int = 0) -> dict[str, torch.Tensor]:
    """Crops of three samples, and contexts."""
    generator = torch.Generator().manual_seed(3)
    batch = {
        "globals": torch.randint(0, 256, (SAMPLES, 2, 3, 16, 16), dtype=torch.uint8, generator=generator),
        "locals": torch.randint(0, 256, (SAMPLES, 3, 3, 8, 8), dtype=torch.uint8, generator=generator),
    }
    if context_width:
        batch["context"] = 5 * torch.randn(SAMPLES, context_width, generator=generator)
        batch["draws"] = torch.tensor([0.1, 0.5, 0.9])
    return batch


def state(step: int = 1, epoch: int = 0) -> StepState:
    return StepState(step=step, total_steps=100, steps_per_epoch=10, epoch=epoch, batch_size=SAMPLES)


# --- headline 1: the released code sets the context where the head never looks --------------------------------------


def test_context_changes_the_loss() -> None:
    task, batch = make_task(make_config(ContextOptions("asterx")), 32), make_batch(32)
    before = task(batch)["loss"].detach()
    batch["context"] = batch["context"].roll(1, dims=0)
    assert abs(float(task(batch)["loss"].detach() - before)) > 1e-4


def test_context_reaches_student_and_teacher() -> None:
    task, batch = make_task(make_config(ContextOptions("asterx")), 32), make_batch(32)
    for network in (task.student, task.teacher):
        crops = [batch["globals"].float()]
        assert not torch.allclose(network(crops, batch["context"]), network(crops, torch.zeros(SAMPLES, 32)))


def test_the_context_projection_receives_gradient() -> None:
    task, batch = make_task(make_config(ContextOptions("asterx")), 32), make_batch(32)
    task(batch)["loss"].backward()
    assert task.student.context is not None
    gradient = task.student.context.projection.weight.grad
    assert gradient is not None
    assert float(gradient.abs().max()) > 0


# --- headline 2: an unused parameter ends the released training at its second step ----------------------------------


@pytest.mark.parametrize("gate", [False, True])
@pytest.mark.parametrize("mode", ["none", "zero", "asterx"])
def test_every_trained_parameter_has_a_gradient(mode: str, gate: bool) -> None:
    width = 0 if mode == "none" else 32
    task = make_task(make_config(ContextOptions(mode, gate=gate)), width)  # type: ignore[arg-type]
    task(make_batch(width))["loss"].backward()
    lacking = [name for name, p in task.named_parameters() if p.requires_grad and p.grad is None]
    assert lacking == []
    assert not any(p.requires_grad for p in task.teacher.parameters())


# --- headline 3: shapes that fit no width, one row of context for many rows of crops ---------------------------------


@pytest.mark.parametrize("width", [192, 384, 768])
@pytest.mark.parametrize("context_width", [384, 768])
def test_any_width_takes_any_context(width: int, context_width: int) -> None:
    shape = ViTShape(width, 1, 3, 16, 32)
    network = ElricNetwork(DinoViT(shape), DinoHead(width, 8, hidden=16), ContextProjection(context_width, width))
    crops = [torch.randn(2, 2, 3, 32, 32), torch.randn(2, 4, 3, 16, 16)]
    assert network(crops, torch.randn(2, context_width)).shape == (12, 8)


def test_each_crop_meets_the_context_of_its_own_sample() -> None:
    torch.manual_seed(0)
    shape = ViTShape(12, 1, 3, 8, 16)
    network = ElricNetwork(DinoViT(shape), DinoHead(12, 8, hidden=16, bottleneck=6), ContextProjection(5, 12)).double()
    crops = [torch.randn(SAMPLES, 2, 3, 16, 16).double(), torch.randn(SAMPLES, 3, 3, 8, 8).double()]
    context = torch.randn(SAMPLES, 5).double()
    found = network(crops, context)
    assert network.context is not None
    row = 0
    for group in crops:
        for crop in range(group.shape[1]):
            for sample in range(SAMPLES):
                vector = (
                    network.backbone(group[sample, crop][None])[0] + network.context.projection.weight @ context[sample]
                )
                torch.testing.assert_close(found[row], network.head(vector[None])[0])
                row += 1
    assert row == len(found)


def test_rows_are_repeated_crop_by_crop() -> None:
    rows = torch.tensor([[1.0], [2.0]])
    assert per_crop(rows, 3).flatten().tolist() == [1, 2, 1, 2, 1, 2]
    assert crop_major(torch.tensor([[1, 2, 3], [4, 5, 6]])).tolist() == [1, 4, 2, 5, 3, 6]


def test_the_centre_and_the_temperature_of_the_teacher_take_part_in_a_run() -> None:
    config = replace(make_config(), loss=DinoOptions(teacher_temperature_first=0.02, teacher_warmup_epochs=1.0))
    task, batch = make_task(config), make_batch()
    task.sizes = replace(task.sizes, teacher_temperature=0.2, teacher_warmup_epochs=1.0)
    losses = []
    for epoch in (0, 1):
        task.before_batch(state(epoch, epoch))
        losses.append(float(task(batch)["loss"].detach()))
    assert losses[0] != losses[1]
    scores = task.teacher([normalised(batch["globals"])])
    task.loss.update_center()  # of the two batches above
    assert torch.allclose(task.loss.center, 0.1 * scores.mean(dim=0, keepdim=True), atol=1e-6)
    task(batch)
    task.after_update(state(1, 1))
    assert torch.allclose(task.loss.center, 0.19 * scores.mean(dim=0, keepdim=True), atol=1e-6)


def test_the_teacher_is_what_is_exported(tmp_path: Path) -> None:
    task = make_task(make_config())
    with torch.no_grad():
        for parameter in task.student.parameters():
            parameter.add_(1.0)
    task.export(tmp_path / "model")
    found = load_file(tmp_path / "model" / "model.safetensors")
    expected = task.teacher.backbone.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_a_network_with_context_asks_for_it() -> None:
    task = make_task(make_config(ContextOptions("asterx")), 32)
    with pytest.raises(ValueError, match="is given none"):
        task.student([make_batch()["globals"].float()], None)


# --- the ablation --------------------------------------------------------------------------------------------------


def steps(task: ElricTask, batch: dict[str, torch.Tensor], count: int) -> list[float]:
    """A few steps of plain gradient descent as the engine takes them."""
    optimizer = torch.optim.AdamW([p for p in task.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    for number in range(count):
        task.before_batch(state(number, 1))
        loss = task(batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        task.before_update(state(number, 1))
        optimizer.step()
        task.after_update(state(number + 1, 1))
        losses.append(loss.item())
    return losses


def test_zero_context_is_plain_dino_to_the_bit() -> None:
    plain, zero = make_task(make_config()), make_task(make_config(ContextOptions("zero")), 32)
    batch = make_batch(32)
    batch["context"] = torch.zeros_like(batch["context"])
    without = {name: value for name, value in batch.items() if name in ("globals", "locals")}
    assert steps(plain, without, 4) == steps(zero, batch, 4)
    for name, parameter in plain.named_parameters():
        assert torch.equal(parameter, dict(zero.named_parameters())[name]), name


def test_a_gate_begins_as_plain_dino_and_opens() -> None:
    gated, plain = make_task(make_config(ContextOptions("asterx", gate=True)), 32), make_task(make_config())
    batch = make_batch(32)
    found = steps(gated, batch, 3)
    assert found[0] == steps(plain, {k: batch[k] for k in ("globals", "locals")}, 1)[0]
    assert gated.student.context is not None
    assert gated.student.context.gate is not None
    assert float(gated.student.context.gate.detach().abs()) > 0


def test_dropout_takes_whole_contexts_by_the_lots_of_the_samples() -> None:
    context, draws = torch.ones(3, 4), torch.tensor([0.1, 0.5, 0.9])
    assert drop_context(context, draws, 0.5).sum(1).tolist() == [0, 4, 4]
    assert drop_context(context, draws, 0.0) is context
    assert not drop_context(context, draws, 1.0).any()


@pytest.mark.parametrize("of", ["both", "student"])
def test_dropout_is_of_both_networks_or_of_the_student(of: str) -> None:
    task = make_task(make_config(ContextOptions("asterx", dropout=1.0, dropout_of=of)), 32)  # type: ignore[arg-type]
    plain, batch = make_task(make_config()), make_batch(32)
    expected = plain({k: batch[k] for k in ("globals", "locals")})["loss"]
    same = torch.equal(task(batch)["loss"], expected)
    assert same == (of == "both")
    # In validation nothing is dropped.
    task.eval()
    plain.eval()
    assert not torch.equal(task(batch)["loss"], plain({k: batch[k] for k in ("globals", "locals")})["loss"])


def test_normalised_contexts_do_not_depend_on_their_scale_and_zeros_stay_zeros() -> None:
    torch.manual_seed(0)
    projection = ContextProjection(8, 4, normalise=True)
    context = torch.randn(2, 8)
    torch.testing.assert_close(projection(100 * context), projection(context), atol=1e-4, rtol=1e-3)
    assert not projection(torch.zeros(1, 8)).any()


# --- teacher, head ---------------------------------------------------------------------------------------------------


def test_the_teacher_follows_every_parameter() -> None:
    task = make_task(
        make_config(ContextOptions("asterx"), loss=DinoOptions(teacher_temperature=0.04, momentum=0.9)), 32
    )
    with torch.no_grad():
        for parameter in task.student.parameters():
            parameter.add_(1.0)
    before = [parameter.clone() for parameter in task.teacher.parameters()]
    task.after_update(state(1))
    for old, new in zip(before, task.teacher.parameters(), strict=True):
        torch.testing.assert_close(new, old + 0.1)
    update_teacher(task.teacher, task.student, 1.0)
    task.after_update(state(101))  # the last step: momentum 1
    for old, new in zip(before, task.teacher.parameters(), strict=True):
        torch.testing.assert_close(new, old + 0.1)


def test_prototypes_are_not_trained_in_the_first_epochs() -> None:
    task, batch = make_task(make_config()), make_batch()
    task(batch)["loss"].backward()
    task.before_update(state(0, epoch=1))
    assert task.student.head.last_layer.weight_v.grad is not None
    task.before_update(state(0, epoch=0))
    assert task.student.head.last_layer.weight_v.grad is None
    assert task.student.head.mlp[0].weight.grad is not None


def test_prototypes_are_torchs_weight_norm() -> None:
    torch.manual_seed(0)
    ours = Prototypes(6, 5, free_lengths=True)
    theirs = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(6, 5, bias=False))
    with torch.no_grad():
        theirs.parametrizations.weight.original0.copy_(2 * torch.rand(5, 1))
        theirs.parametrizations.weight.original1.copy_(ours.weight_v)
        ours.weight_g.copy_(theirs.parametrizations.weight.original0)
    vectors = torch.randn(3, 6)
    one, other = ours(vectors), theirs(vectors)
    torch.testing.assert_close(one, other)
    one.square().sum().backward()
    other.square().sum().backward()
    assert ours.weight_v.grad is not None
    torch.testing.assert_close(ours.weight_v.grad, theirs.parametrizations.weight.original1.grad)


def test_only_the_student_drops_paths() -> None:
    config = make_config()
    config = ElricConfig(
        model=ModelOptions(width=12, depth=2, heads=3, patch_size=8, drop_path=0.3, prototypes=16), crops=config.crops
    )
    task = make_task(config)
    assert [block.drop_path for block in task.student.backbone.blocks] == [0.0, 0.3]
    assert [block.drop_path for block in task.teacher.backbone.blocks] == [0.0, 0.0]


def test_a_resumed_task_goes_on_to_the_bit() -> None:
    config, batch = make_config(ContextOptions("asterx")), make_batch(32)
    task, again = make_task(config, 32), make_task(config, 32)
    steps(task, batch, 3)
    again.load_state_dict(task.state_dict())
    assert steps(task, batch, 3) == steps(again, batch, 3)
    assert torch.equal(task.loss.center, again.loss.center)
