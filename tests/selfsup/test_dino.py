"""The loss against lightly's, against a loop over pairs of crops, and its schedules."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from comictool.selfsup.dino import DinoLoss, koleo, momentum_at, sinkhorn, teacher_temperature_at

SAMPLES, PROTOTYPES, LARGE, ALL = 5, 12, 2, 6


@pytest.fixture
def scores() -> tuple[torch.Tensor, torch.Tensor]:
    """Student's (6 crops) and teacher's (2 crops) scores of five samples, crop-major."""
    torch.manual_seed(0)
    return torch.randn(ALL * SAMPLES, PROTOTYPES, requires_grad=True), 3 * torch.randn(LARGE * SAMPLES, PROTOTYPES)


def loop_over_pairs(
    student: torch.Tensor, teacher: torch.Tensor, center: torch.Tensor, temperature: float
) -> torch.Tensor:
    """The loss by its definition: every pair of different crops of the same sample, one at a time."""
    terms = []
    for sample in range(SAMPLES):
        for t in range(LARGE):
            q = ((teacher[t * SAMPLES + sample] - center[0]) / temperature).exp()
            q = q / q.sum()
            for s in range(ALL):
                if s != t:
                    p = (student[s * SAMPLES + sample] / 0.1).exp()
                    terms.append(-(q * (p / p.sum()).log()).sum())
    return torch.stack(terms).mean()


def test_value_and_gradient_are_those_of_a_loop_over_pairs(scores: tuple[torch.Tensor, torch.Tensor]) -> None:
    student, teacher = (part.detach().double() for part in scores)
    loss = DinoLoss(PROTOTYPES).double()
    loss.center.normal_()
    ours, theirs = student.clone().requires_grad_(), student.clone().requires_grad_()
    value = loss(ours, teacher, samples=SAMPLES, teacher_temperature=0.5)
    slow = loop_over_pairs(theirs, teacher, loss.center, 0.5)
    value.backward()
    slow.backward()
    torch.testing.assert_close(value.double(), slow, atol=1e-6, rtol=1e-6)
    assert ours.grad is not None
    assert theirs.grad is not None
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-6, rtol=1e-5)


def test_value_gradient_and_centre_are_lightlys(scores: tuple[torch.Tensor, torch.Tensor]) -> None:
    lightly = pytest.importorskip("lightly.loss")
    student, teacher = scores
    ours, theirs = DinoLoss(PROTOTYPES), lightly.DINOLoss(PROTOTYPES, teacher_temp=0.04)
    for step in range(3):  # the centre of one step enters the next
        mine, other = student.detach().clone().requires_grad_(), student.detach().clone().requires_grad_()
        value = ours(mine, teacher + step, samples=SAMPLES, teacher_temperature=0.04)
        ours.update_center()
        expected = theirs(
            list((teacher + step).view(LARGE, SAMPLES, -1)), list(other.view(ALL, SAMPLES, -1)), teacher_temp=0.04
        )
        value.backward()
        expected.backward()
        torch.testing.assert_close(value, expected)
        assert mine.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(mine.grad, other.grad)
        torch.testing.assert_close(ours.center, theirs.center.view(1, -1))
    assert float(ours.center.abs().max()) > 0.1


def test_parts_of_an_accumulated_batch_are_centred_alike_and_move_the_centre_once() -> None:
    torch.manual_seed(1)
    student, teacher = torch.randn(2, 4, 2, 8), torch.randn(2, 2, 2, 8)  # part, crop, sample, prototype
    whole, parts = DinoLoss(8), DinoLoss(8)
    for part in range(2):
        parts(student[part].flatten(0, 1), teacher[part].flatten(0, 1), samples=2, teacher_temperature=0.1)
        assert not parts.center.any()
    parts.update_center()
    together = [torch.cat([x[0], x[1]], dim=1).flatten(0, 1) for x in (student, teacher)]
    whole(*together, samples=4, teacher_temperature=0.1)
    whole.update_center()
    torch.testing.assert_close(parts.center, whole.center)
    before = parts.center.clone()
    parts.update_center()
    assert torch.equal(parts.center, before)  # nothing new was seen


def test_validation_leaves_the_centre_alone(scores: tuple[torch.Tensor, torch.Tensor]) -> None:
    loss = DinoLoss(PROTOTYPES).eval()
    loss(*scores, samples=SAMPLES, teacher_temperature=0.04)
    loss.update_center()
    assert not loss.center.any()


def test_one_crop_makes_no_pair() -> None:
    with pytest.raises(ValueError, match="no pair"):
        DinoLoss(4)(torch.randn(3, 4), torch.randn(3, 4), samples=3, teacher_temperature=0.1)


def test_sinkhorn_uses_all_prototypes_and_is_the_loop_of_its_definition() -> None:
    torch.manual_seed(2)
    scores = torch.randn(16, 4).double() + torch.tensor([3.0, 0, 0, 0])  # nearly all would go to the first
    found = sinkhorn(scores, 0.5, rounds=50)
    torch.testing.assert_close(found.sum(1), torch.ones(16).double())
    torch.testing.assert_close(found.sum(0), torch.full((4,), 4.0).double(), atol=1e-3, rtol=1e-3)
    q = (scores / 0.5).exp().T
    q = q / q.sum()
    for _ in range(3):
        for row in range(4):
            q[row] /= q[row].sum() * 4
        for column in range(16):
            q[:, column] /= q[:, column].sum() * 16
    torch.testing.assert_close(sinkhorn(scores, 0.5), (q * 16).T)
    assert torch.isfinite(sinkhorn(torch.tensor([[1e4, 0.0], [1e4, 0.0]]), 0.02)).all()


def test_sinkhorn_is_an_option_of_the_loss(scores: tuple[torch.Tensor, torch.Tensor]) -> None:
    student, teacher = scores
    plain = DinoLoss(PROTOTYPES)(student, teacher, samples=SAMPLES, teacher_temperature=0.04)
    even = DinoLoss(PROTOTYPES, centering="sinkhorn")(student, teacher, samples=SAMPLES, teacher_temperature=0.04)
    assert not torch.allclose(plain, even)
    with pytest.raises(ValueError, match="none of mean"):
        DinoLoss(4, centering="median")


def test_schedules_begin_and_end_where_they_say() -> None:
    published = np.concatenate([np.linspace(0.04, 0.07, 30), np.full(70, 0.07)])  # DINO's main_dino.py
    found = [teacher_temperature_at(epoch, first=0.04, last=0.07, warmup_epochs=30) for epoch in range(100)]
    np.testing.assert_allclose(found, published, rtol=1e-12)
    assert [teacher_temperature_at(e, first=0.04, last=0.07, warmup_epochs=1) for e in (0, 1)] == [0.04, 0.07]
    assert teacher_temperature_at(0, first=0.02, last=0.04, warmup_epochs=0) == 0.04
    assert momentum_at(0.0, 0.996) == pytest.approx(0.996)
    assert momentum_at(0.5, 0.996) == pytest.approx(0.998)
    assert momentum_at(1.0, 0.996) == momentum_at(1.1, 0.996) == 1.0


def test_the_spread_term_is_its_definition_and_has_a_gradient_for_equal_pictures() -> None:
    torch.manual_seed(4)
    vectors = torch.randn(9, 5, dtype=torch.float32)
    rows = torch.nn.functional.normalize(vectors.double(), dim=1)
    distances = torch.cdist(rows, rows)
    distances.fill_diagonal_(math.inf)
    torch.testing.assert_close(koleo(vectors).double(), -distances.min(dim=1).values.log().mean(), atol=1e-5, rtol=1e-5)
    twins = torch.ones(4, 5, requires_grad=True)
    koleo(twins).backward()
    assert twins.grad is not None
    assert torch.isfinite(twins.grad).all()


def _spread_of_a_part(rank: int, folder: str) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    vectors = _spread_rows()[4 * rank : 4 * rank + 4].requires_grad_()
    loss = koleo(vectors)
    loss.backward()
    torch.save({"loss": loss.detach(), "gradient": vectors.grad}, f"{folder}/{rank}.pt")
    torch.distributed.barrier()  # a process that leaves early has its gloo threads abort
    torch.distributed.destroy_process_group()


def _spread_rows() -> torch.Tensor:
    rows = torch.randn(8, 5, generator=torch.Generator().manual_seed(5))
    rows[4:] = rows[:4] + 0.01 * rows[4:]  # the nearest of each row is in the other process
    return rows


def test_the_spread_term_of_two_processes_is_that_of_one(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_spread_of_a_part, (str(tmp_path),), nprocs=2)
    whole = _spread_rows().requires_grad_()
    loss = koleo(whole)
    loss.backward()
    parts = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    for part in parts:
        torch.testing.assert_close(part["loss"], loss.detach())
    # The engine takes the mean of the processes' gradients.
    torch.testing.assert_close(torch.cat([part["gradient"] for part in parts]) / 2, whole.grad)
