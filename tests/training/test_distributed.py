"""What two gloo processes exchange, against one process with all the rows."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from comictool.training import distributed

ROWS, WIDTH = 6, 4


def contrast(weight: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """A loss in which every row depends on every other one."""
    vectors = distributed.gather_rows(torch.tanh(rows @ weight))
    return torch.logsumexp(vectors @ vectors.T, dim=1).mean() + (vectors * torch.arange(len(vectors))[:, None]).sum()


def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(WIDTH, WIDTH, generator=generator, dtype=torch.float64)
    return weight, torch.randn(ROWS, WIDTH, generator=generator, dtype=torch.float64)


def one_of_two(rank: int, folder: str) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    warnings.simplefilter("error")  # a deprecated function of torch is none of ours
    weight, rows = inputs()
    weight.requires_grad_()
    mine = rows.chunk(2)[rank]
    loss = contrast(weight, mine)
    loss.backward()
    given = mine.t()  # not contiguous
    results = {
        "loss": loss.detach(),
        "gradient": weight.grad,
        "rows": distributed.gather_rows(given.t()),
        "sum": distributed.all_reduce_sum(given),
        "mean": distributed.all_reduce_mean(given),
        "max": distributed.all_reduce_max(given),
        "untouched": given,
        "first": torch.tensor(distributed.broadcast([rank, 7])),
        "all": torch.tensor(distributed.gather_objects(rank)),
    }
    torch.save(results, f"{folder}/{rank}.pt")
    torch.distributed.barrier()  # a process that leaves early has its gloo threads abort
    torch.distributed.destroy_process_group()


def test_two_processes_have_values_and_gradients_of_one(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(one_of_two, (str(tmp_path),), nprocs=2)
    weight, rows = inputs()
    weight.requires_grad_()
    loss = contrast(weight, rows)
    loss.backward()
    halves = rows.chunk(2)
    parts = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    for part, half in zip(parts, halves, strict=True):
        torch.testing.assert_close(part["loss"], loss.detach())
        assert torch.equal(part["rows"], rows)
        torch.testing.assert_close(part["sum"], (halves[0] + halves[1]).t())
        torch.testing.assert_close(part["mean"], (halves[0] + halves[1]).t() / 2)
        assert torch.equal(part["max"], torch.maximum(*halves).t())
        assert torch.equal(part["untouched"], half.t())
        assert (part["first"].tolist(), part["all"].tolist()) == ([0, 7], [0, 1])
    # The engine takes the mean of the processes' gradients.
    torch.testing.assert_close((parts[0]["gradient"] + parts[1]["gradient"]) / 2, weight.grad)


def test_one_process_exchanges_nothing() -> None:
    rows = torch.randn(3, 2, requires_grad=True)
    exchanges = (distributed.gather_rows, distributed.all_reduce_sum, distributed.all_reduce_max, distributed.broadcast)
    assert all(exchange(rows) is rows for exchange in exchanges)
