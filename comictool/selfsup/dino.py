"""DINO's loss: the student's view of every crop predicts the teacher's view of the whole (arXiv:2104.14294)."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from comictool.training.distributed import all_reduce_max, all_reduce_mean, all_reduce_sum, gather_rows, world_size

SINKHORN_ROUNDS = 3  # DINOv2's and DINOv3's


class DinoLoss(nn.Module):
    """Cross-entropy between teacher and student over all pairs of different crops.

    The teacher's scores are centred, by a moving mean or by Sinkhorn-Knopp, so that no prototype takes all.

    Args:
        prototypes: K.
        student_temperature: 0.1 as published.
        center_momentum: of the moving mean, 0.9 as published.
        centering: `mean` (DINO) or `sinkhorn` (SwAV, DINOv2).
    """

    def __init__(
        self,
        prototypes: int,
        *,
        student_temperature: float = 0.1,
        center_momentum: float = 0.9,
        centering: str = "mean",
    ) -> None:
        super().__init__()
        if centering not in ("mean", "sinkhorn"):
            raise ValueError(f"centering {centering!r} is none of mean, sinkhorn")
        self.student_temperature = student_temperature
        self.center_momentum = center_momentum
        self.centering = centering
        self.center: torch.Tensor
        self.register_buffer("center", torch.zeros(1, prototypes))
        self._sum = torch.zeros(0)
        self._rows = 0

    def forward(
        self, student: torch.Tensor, teacher: torch.Tensor, *, samples: int, teacher_temperature: float
    ) -> torch.Tensor:
        """The loss of one batch; in training the teacher's scores are also noted for `update_center`.

        Args:
            student: (S * B, K) scores, crop-major, the teacher's crops first.
            teacher: (T * B, K) scores of its crops, crop-major, without gradient.
            samples: B.
            teacher_temperature: of the teacher's softmax.

        Returns:
            0-d, the mean over samples and over the T * (S - 1) pairs of a teacher's and another student's crop.

        Raises:
            ValueError: fewer than two crops, so that there is no pair.
        """
        student_crops, teacher_crops = student.shape[0] // samples, teacher.shape[0] // samples
        if teacher_crops < 1 or student_crops < 2:
            raise ValueError(f"{teacher_crops} crops for the teacher and {student_crops} for the student make no pair")
        # Softmax over thousands of prototypes at temperature .04 is for 32-bit numbers, whatever made the scores.
        targets = self._targets(teacher.detach().float(), teacher_temperature).view(teacher_crops, samples, -1)
        scores = student.float() / self.student_temperature
        log_likely = functional.log_softmax(scores, dim=-1).view(student_crops, samples, -1)
        # The sum over all crops less the teacher's own is the sum over all pairs, without building the pairs.
        others = log_likely.sum(dim=0, keepdim=True) - log_likely[:teacher_crops]
        if self.training:
            self._note(teacher.detach().float())
        pairs = teacher_crops * (student_crops - 1)
        return -(targets * others).sum() / (pairs * samples)

    def _targets(self, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
        if self.centering == "sinkhorn":
            return sinkhorn(teacher, temperature)
        return functional.softmax((teacher - self.center) / temperature, dim=-1)

    def _note(self, teacher: torch.Tensor) -> None:
        total = teacher.sum(dim=0, keepdim=True)
        self._sum = total if self._rows == 0 else self._sum + total
        self._rows += teacher.shape[0]

    @torch.no_grad()
    def update_center(self) -> None:
        """Move the centre towards the mean of the teacher's scores since the last update, over all processes.

        Once an optimizer step, so that parts of an accumulated batch are centred alike. Without scores nothing moves.
        """
        if self._rows == 0:
            return
        mean = all_reduce_mean(self._sum / self._rows)
        self.center.mul_(self.center_momentum).add_(mean, alpha=1.0 - self.center_momentum)
        self._rows = 0


@torch.no_grad()
def sinkhorn(scores: torch.Tensor, temperature: float, rounds: int = SINKHORN_ROUNDS) -> torch.Tensor:
    """Assignments that use all prototypes equally, over all processes (arXiv:1306.0895; SwAV, arXiv:2006.09882).

    Args:
        scores: (N, K) of this process.
        temperature: of the exponential.
        rounds: of normalising prototypes, then samples.

    Returns:
        (N, K), rows sum to 1.
    """
    weights = scores.double() / temperature
    # Before the exponential all processes must subtract the same number, or they would weigh differently.
    weights = (weights - all_reduce_max(weights.max())).exp()
    samples, prototypes = scores.shape[0] * world_size(), scores.shape[1]
    weights = weights / all_reduce_sum(weights.sum())
    tiny = torch.finfo(weights.dtype).tiny
    for _ in range(rounds):
        used = all_reduce_sum(weights.sum(dim=0, keepdim=True))
        weights = weights / used.clamp_min(tiny) / prototypes
        weights = weights / weights.sum(dim=1, keepdim=True).clamp_min(tiny) / samples
    return (weights * samples).to(scores.dtype)


def koleo(vectors: torch.Tensor) -> torch.Tensor:
    """The Kozachenko-Leonenko spread term (arXiv:1806.03198, arXiv:2304.07193): low when no two vectors are close.

    Minus the mean logarithm of the distance from each unit vector to its nearest neighbour among the rows of all
    processes (DINOv2 takes those of one, so that its term hangs on how many there are).

    Args:
        vectors: (N, D) of one crop of N samples of this process, at least 2 over all processes.
    """
    rows = gather_rows(functional.normalize(vectors.float(), dim=1))
    with torch.no_grad():
        cosines = rows @ rows.T
        nearest = cosines.fill_diagonal_(-2.0).argmax(dim=1)
    # Equal pictures have distance 0, whose logarithm and whose root have no finite gradient.
    apart = ((rows - rows[nearest]).square().sum(dim=1) + 1e-8).sqrt()
    return -apart.log().mean()


def teacher_temperature_at(epoch: float, *, first: float, last: float, warmup_epochs: float) -> float:
    """The teacher's temperature: grows evenly from `first` to `last` in the first epochs, then stays.

    As DINO's `linspace(first, last, warmup_epochs)`, the last epoch of the warm-up has the last temperature already.
    """
    if warmup_epochs <= 0 or epoch >= warmup_epochs:
        return last
    return first + (last - first) * min(1.0, epoch / max(1.0, warmup_epochs - 1))


def momentum_at(progress: float, first: float) -> float:
    """The teacher's momentum after a part 0..1 of the run: from `first` to 1 along half a cosine (BYOL,
    arXiv:2006.07733; DINO)."""
    return 1.0 - (1.0 - first) * (math.cos(math.pi * min(1.0, progress)) + 1.0) / 2.0
