"""Several processes, one run: who am I, the group that joins us, and what processes exchange.

Processes are started by `--devices N` (`comictool.training.launch`), by torchrun, or by SLURM's srun. Without any of
these there is one process, no group, and every helper here does nothing.
"""

from __future__ import annotations

import os
import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from comictool.core.errors import ComicError, SetupError, UsageError

# One process validates or exports while the others wait; a large evaluation must not look like a hang.
WAIT = timedelta(hours=6)


@dataclass(frozen=True)
class ProcessInfo:
    """Which process this is.

    Attributes:
        rank: 0 .. world_size - 1.
        local_rank: the same on this machine, 0 .. ; it chooses the GPU.
        starter: `torchrun`, `slurm`, or empty for a single process.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    starter: str = ""


def process_info(environment: Mapping[str, str] | None = None) -> ProcessInfo:
    """Read it from the environment that torchrun or srun made.

    Raises:
        UsageError: an environment that contradicts itself.
    """
    env = os.environ if environment is None else environment
    if "RANK" in env and "WORLD_SIZE" in env:
        names, starter = ("RANK", "WORLD_SIZE", "LOCAL_RANK"), "torchrun"
    elif env.get("SLURM_STEP_NUM_TASKS", "1") not in ("", "1") and "SLURM_PROCID" in env:
        # SLURM_NTASKS is also set in the batch script itself, where no other process is coming.
        names, starter = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"), "slurm"
    else:
        return ProcessInfo()
    try:
        rank, size, local = (int(env.get(name, "0")) for name in names)
    except ValueError as error:
        raise UsageError(f"{' '.join(names)} in the environment are not numbers: {error}") from error
    if not 0 <= rank < size or local < 0:
        raise UsageError(f"the environment says {names[0]}={rank} of {names[1]}={size}: that cannot be")
    return ProcessInfo(rank, size, local, starter)


@contextmanager
def group(device: torch.device) -> Iterator[ProcessInfo]:
    """Within the block the processes of this run are one group: gloo for CPU tensors, nccl for those on CUDA.

    Raises:
        SetupError: the others cannot be reached.
        PeerGone: another process ended in the middle.
    """
    here = process_info()
    if here.world_size == 1 or dist.is_initialized():
        yield here
        return
    if here.starter == "slurm":
        os.environ.update(slurm_meeting_point(os.environ))
        os.environ.update({"RANK": str(here.rank), "WORLD_SIZE": str(here.world_size)})
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    try:
        dist.init_process_group(backend, timeout=WAIT, rank=here.rank, world_size=here.world_size)
    except (RuntimeError, ValueError) as error:
        raise SetupError(
            f"process {here.rank} of {here.world_size} cannot join the others",
            cause=str(error),
            hint="see that MASTER_ADDR and MASTER_PORT are the same for all and reachable",
        ) from error
    try:
        yield here
    except RuntimeError as error:
        if not _says_that_a_peer_is_gone(error):
            raise
        raise PeerGone("another process of this run has ended", cause=str(error).partition("\n")[0]) from error
    finally:
        dist.destroy_process_group()


def slurm_meeting_point(env: Mapping[str, str]) -> dict[str, str]:
    """MASTER_ADDR and MASTER_PORT for processes that srun started; what is set already stays.

    Rank 0 runs on the first machine of the step. The port is made of the numbers of job and step, so that two runs on
    one machine do not meet.

    Raises:
        UsageError: numbers that are none.
    """
    try:
        job, step = (int(env.get(name, "0") or 0) for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
    except ValueError as error:
        raise UsageError(f"SLURM_JOB_ID, SLURM_STEP_ID in the environment are not numbers: {error}") from error
    single = env.get("SLURM_STEP_NUM_NODES", "1") == "1"
    address = "127.0.0.1" if single else first_host(env.get("SLURM_STEP_NODELIST", "")) or "127.0.0.1"
    return {
        "MASTER_ADDR": env.get("MASTER_ADDR", address),
        "MASTER_PORT": env.get("MASTER_PORT", str(20000 + (job + 7919 * step) % 20000)),
    }


def first_host(nodes: str) -> str:
    """The first machine of SLURM's list: `gpu[07-09,12],big1` is `gpu07`."""
    head, bracket, rest = nodes.partition("[")
    if not bracket or "," in head:
        return head.partition(",")[0]
    numbers, _, tail = rest.partition("]")
    return head + numbers.partition(",")[0].partition("-")[0] + tail.partition(",")[0]


class OtherProcessFailed(ComicError):
    """Another process of this run failed and has reported it; this one has nothing to add."""


class PeerGone(OtherProcessFailed):
    """Another process ended while this one waited for it; whether it reported why cannot be known here."""


def _says_that_a_peer_is_gone(error: RuntimeError) -> bool:
    # Gloo's errors are plain RuntimeErrors that begin with the place in its source.
    gone = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "Connection refused")
    return isinstance(error, dist.DistError) or ("gloo" in str(error) and any(text in str(error) for text in gone))


@contextmanager
def all_or_none() -> Iterator[None]:
    """A block that succeeds on every process or fails on every process.

    The first that failed raises its own error, all others `OtherProcessFailed`: one sentence for the user instead of
    one from each, and nobody waits for a process that is gone.
    """
    failed: Exception | None = None
    try:
        yield
    except Exception as error:
        failed = error
    who = gather_objects(failed is not None)
    if True in who:
        first = who.index(True)
        if failed is not None and rank() == first:
            raise failed
        raise OtherProcessFailed(f"process {first} of this run failed") from failed


def world_size() -> int:
    """Processes of this run."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """The number of this process, 0 for the one that writes."""
    return dist.get_rank() if dist.is_initialized() else 0


def gather_rows(rows: torch.Tensor) -> torch.Tensor:
    """The rows of all processes, in the order of their ranks, with gradient; the rows themselves when there is one.

    For losses that compare the rows of a whole batch. When every process computes the same loss of all rows, the mean
    of their gradients, which DistributedDataParallel takes, is the gradient of one process with the whole batch.

    Args:
        rows: (N, ...), the same shape on every process.

    Returns:
        (processes * N, ...).
    """
    return rows if world_size() == 1 else typing.cast(torch.Tensor, _GatherRows.apply(rows))


class _GatherRows(torch.autograd.Function):
    """all_gather whose backward pass is a sum over processes: each of them has a loss that depends on our rows."""

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor) -> torch.Tensor:
        ctx.count = len(rows)
        parts = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return all_reduce_sum(gradient)[rank() * ctx.count :][: ctx.count]


def all_reduce_sum(tensor: torch.Tensor) -> torch.Tensor:
    """The sum of a tensor over all processes; itself when there is one. Carries no gradient.

    Args:
        tensor: any shape, the same on every process; it is left as it is.
    """
    return _reduced(tensor, dist.ReduceOp.SUM)


def all_reduce_mean(tensor: torch.Tensor) -> torch.Tensor:
    """As `all_reduce_sum`, divided by the number of processes."""
    return all_reduce_sum(tensor) / world_size() if world_size() > 1 else tensor


def all_reduce_max(tensor: torch.Tensor) -> torch.Tensor:
    """As `all_reduce_sum`, the largest value of each place."""
    return _reduced(tensor, dist.ReduceOp.MAX)


def _reduced(tensor: torch.Tensor, operation: Any) -> torch.Tensor:
    if world_size() == 1:
        return tensor
    reduced = tensor.detach().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(reduced, op=operation)
    return reduced


def gather_objects(value: Any) -> list[Any]:
    """The values of all processes in the order of their ranks, on every process."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def broadcast(value: Any) -> Any:
    """The first process's value, on every process; the others wait for it."""
    if world_size() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]
