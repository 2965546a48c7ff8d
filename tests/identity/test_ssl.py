"""The first stage: its losses against slow loops, missing halves, every objective, two processes, the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_metric_learning.losses import NTXentLoss

from comictool.core.errors import InputError, UsageError
from comictool.datasets.splitting.split import SplitOptions, split_dataset
from comictool.identity.instances import hold
from comictool.identity.pair_losses import nt_xent, vicreg
from comictool.identity.sources import open_instances
from comictool.identity.ssl_data import SslData
from comictool.identity.ssl_settings import RECIPE
from comictool.identity.ssl_task import SslTask
from comictool.plugins.load import load_plugin
from comictool.training.engine import RunOptions, train
from comictool.training.recipe import SampleKey
from tests.identity.drawn import make_corpus, make_published

SETS = [
    "model.width=16",
    "model.depth=1",
    "model.heads=2",
    "model.patch_size=8",
    "model.hidden=16",
    "model.projection=8",
    "model.prototypes=16",
    "face.global_size=16",
    "body.global_size=16",
    "training.batch_size=8",
    "training.max_steps=2",
    "training.workers=0",
    "training.warmup_epochs=0",
    "training.precision=fp32",
    "data.min_side=8",
]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four comics of two pages, one of them held out."""
    root = tmp_path_factory.mktemp("ssl") / "corpus"
    split_dataset(make_corpus(root, comics=4, pages=2), split=SplitOptions(ratios=(3, 1, 0), level="characters"))
    return root


def resolved(*sets: str) -> Any:
    return RECIPE.resolve(preset="tiny", sets=[*SETS, *sets])


def run(corpus: Path, folder: Path, *sets: str, **options: Any) -> Any:
    return train(RECIPE, resolved(*sets), {"data": corpus}, folder, RunOptions(**{"device": "cpu", **options}))


def slow_nt_xent(first: torch.Tensor, second: torch.Tensor, temperature: float, ignored: np.ndarray) -> torch.Tensor:
    """The definition, one anchor at a time."""
    rows = torch.cat([first, second])
    rows = rows / rows.norm(dim=1, keepdim=True)
    count = len(first)
    total = torch.zeros((), dtype=rows.dtype)
    for anchor in range(2 * count):
        partner = (anchor + count) % (2 * count)
        exponents = []
        for other in range(2 * count):
            if other != anchor and (other == partner or not ignored[anchor % count, other % count]):
                exponents.append(torch.exp(rows[anchor] @ rows[other] / temperature))
        total = total - torch.log(torch.exp(rows[anchor] @ rows[partner] / temperature) / torch.stack(exponents).sum())
    return total / (2 * count)


@pytest.mark.parametrize("some_ignored", [False, True])
def test_nt_xent_is_its_definition_in_value_and_gradient(some_ignored: bool) -> None:
    torch.manual_seed(0)
    first, second = (torch.randn(5, 6, requires_grad=True) for _ in range(2))
    ignored = np.zeros((5, 5), bool)
    if some_ignored:
        ignored[0, 2] = ignored[2, 0] = ignored[3, 4] = ignored[4, 3] = True
    value = nt_xent(first, second, 0.3, torch.from_numpy(ignored) if some_ignored else None)
    slow = slow_nt_xent(first, second, 0.3, ignored)
    assert value.item() == pytest.approx(slow.item(), rel=1e-5)
    for one, other in zip(
        torch.autograd.grad(value, (first, second)), torch.autograd.grad(slow, (first, second)), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    if not some_ignored:
        labels = torch.arange(5).repeat(2)
        theirs = NTXentLoss(temperature=0.3)(torch.cat([first, second]), labels)
        assert value.item() == pytest.approx(theirs.item(), rel=1e-5)


def test_vicreg_is_its_definition() -> None:
    """arXiv:2105.04906, equations 1 to 6, with the authors' halves of the variance term."""
    torch.manual_seed(0)
    first, second = torch.randn(6, 4), torch.randn(6, 4)
    apart = 0.0
    spread = covariance = 0.0
    for row in range(6):
        apart += float(((first[row] - second[row]) ** 2).mean()) / 6
    for z in (first, second):
        centred = (z - z.mean(dim=0)).double().numpy()
        table = centred.T @ centred / 5
        spread += float(np.maximum(0, 1 - np.sqrt(np.diag(table) + 1e-4)).mean()) / 2
        covariance += float((table**2).sum() - (np.diag(table) ** 2).sum()) / 4
    value = vicreg(first, second, invariance=3.0, variance=2.0, covariance=0.5)
    assert float(value) == pytest.approx(3 * apart + 2 * spread + 0.5 * covariance, rel=1e-5)


def loaded(corpus: Path, rows: list[int], *sets: str) -> tuple[SslTask, dict[str, torch.Tensor]]:
    config = resolved(*sets, "training.seed=1", "data.split=all", "data.validation=''").config
    prepared = RECIPE.build(config, {"data": corpus}, torch.device("cpu"))
    assert isinstance(prepared.task, SslTask)
    return prepared.task, prepared.data.load([SampleKey(row, 7 + row) for row in rows])


def test_a_half_that_is_missing_takes_no_part_in_anything(corpus: Path) -> None:
    """The same batch without the crops that are not there gives every norm and every loss the same rows."""
    instances = open_instances(corpus).instances
    lone = [row for row, i in enumerate(instances) if list(i.halves) == ["face"]][:2]
    both = [row for row, i in enumerate(instances) if len(i.halves) == 2][:3]
    task, batch = loaded(corpus, both + lone)
    assert batch["has_body"].tolist() == [True] * 3 + [False] * 2
    assert batch["body"].shape[0] == 3
    assert batch["face"].shape[0] == 5
    seen: list[int] = []
    hook = task.encoder.backbone.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    norm = task.encoder.projector[1].register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    logged = task(batch)
    hook.remove(), norm.remove()
    assert seen == [16, 16]  # two views of five faces and three bodies: nothing stands in for the missing ones
    # The cross term is that of the instances with both halves, whoever else is in the batch.
    task.eval()  # batch norms take no part then
    whole = task(batch)
    _, small = loaded(corpus, both)
    assert float(task(small)["cross_loss"]) == pytest.approx(float(whole["cross_loss"]), rel=1e-5)
    assert np.isfinite(logged["loss"].item())
    _, alone = loaded(corpus, lone)
    assert alone["body"].shape[0] == 0
    assert float(task(alone)["body_loss"]) == 0
    task(alone)["loss"].backward()


def test_possible_namesakes_of_a_series_are_left_out_when_asked(tmp_path: Path) -> None:
    root = make_published(tmp_path, series=2, sequences=False)
    instances = open_instances(root).instances
    rows = [row for row, i in enumerate(instances) if len(i.halves) == 2 and i.series == "100"]
    task, batch = loaded(root, rows, "loss.same_series=ignored")
    task.eval()
    assert float(task(batch)["cross_loss"]) == pytest.approx(0, abs=1e-6)  # no negative is certain
    task.config = resolved().config
    assert float(task(batch)["cross_loss"]) > 0.1


def test_weak_views_are_those_that_the_cross_term_compares(corpus: Path) -> None:
    crops = hold(open_instances(corpus), min_side=8, source_side=0, cache=4)
    config = resolved("loss.cross_views=weak", "loss.weak_scale=[1, 1]", "face.jitter=1", "face.brightness=0.9").config
    batch = SslData(crops, config).load([SampleKey(0, 3), SampleKey(1, 4)])
    assert batch["face"].shape[1] == 3
    same = SslData(crops, config).load([SampleKey(1, 99)])
    row = int(batch["has_face"][0])
    assert torch.equal(batch["face"][row, 2], same["face"][0, 2])  # all of the picture, in its own colours
    assert not torch.equal(batch["face"][row, 0], same["face"][0, 0])


@pytest.mark.parametrize("objective", ["identity", "simclr", "vicreg", "dino"])
def test_every_objective_trains_and_its_model_embeds(corpus: Path, tmp_path: Path, objective: str) -> None:
    sets = [f"loss.objective={objective}"]
    sets += ["face.local_count=2", "body.local_count=2", "face.local_size=8", "body.local_size=8"] * (
        objective == "dino"
    )
    result = run(corpus, tmp_path / "run", *sets)
    metrics = result.best["metrics"]
    for name in ("rank1", "face_rank1", "body_rank1", "face_to_body_rank1", "own_body"):
        assert 0 <= metrics[name] <= 1
    encoder = load_plugin(str(tmp_path / "run/model"), device="cpu")
    assert encoder.embed([np.zeros((30, 20, 3), np.uint8)]).shape == (1, 16)
    facts = json.loads((tmp_path / "run/env.json").read_text())
    text = json.dumps(facts)
    assert '"with face and body"' in text


def test_unnamed_instances_are_judged_by_finding_their_own_body(tmp_path: Path) -> None:
    make_corpus(tmp_path / "train", comics=1, pages=1, named=False)
    other = make_corpus(tmp_path / "other", comics=2, pages=2, named=False)
    (other.root / "annotations/pages/comic_0.jsonl").unlink()  # the series that is trained on
    sources = {"data": tmp_path / "train", "validation": other.root}
    result = train(RECIPE, resolved("training.batch_size=4"), sources, tmp_path / "run", RunOptions(device="cpu"))
    assert result.best["metrics"]["rank1"] == result.best["metrics"]["own_body"]
    with pytest.raises(InputError, match="trained and validated on"):
        RECIPE.build(resolved().config, {"data": other.root, "validation": other.root}, torch.device("cpu"))


def test_settings_that_cannot_be_are_refused() -> None:
    for wrong in ("loss.temperature=0", "loss.weak_scale=[0.5, 2]", "face.global_count=1", "body.global_size=20"):
        with pytest.raises(UsageError):
            RECIPE.resolve(preset="tiny", sets=[wrong])


ROWS = [0, 1, 2, 3, 4, 5, 8, 9]  # with faces alone, bodies alone, and both


def one_of_two(rank: int, corpus: str, folder: str) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    try:
        torch.save(step(Path(corpus), ROWS[4 * rank : 4 * rank + 4]), f"{folder}/{rank}.pt")
        torch.distributed.barrier()  # a process that leaves early has its gloo threads abort
    finally:
        torch.distributed.destroy_process_group()


def step(corpus: Path, rows: list[int]) -> dict[str, torch.Tensor]:
    """The loss of these rows, and the gradients of all parameters."""
    task, batch = loaded(corpus, rows)
    loss = task(batch)["loss"]
    loss.backward()
    gradients = {name: p.grad for name, p in task.named_parameters() if p.grad is not None}
    return {"loss": loss.detach(), **gradients}


def test_two_processes_have_the_loss_and_gradients_of_one(corpus: Path, tmp_path: Path) -> None:
    """Negatives of both are gathered, and the projector's norms see the rows of both."""
    context = torch.multiprocessing.get_context("spawn")
    other = context.Process(target=one_of_two, args=(1, str(corpus), str(tmp_path)))
    other.start()
    one_of_two(0, str(corpus), str(tmp_path))
    other.join(60)
    whole = step(corpus, ROWS)
    parts = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    for part in parts:
        torch.testing.assert_close(part["loss"], whole["loss"], rtol=1e-5, atol=0)
    assert len(whole) > 10
    for name in whole:  # the engine takes the mean of the processes' gradients
        torch.testing.assert_close((parts[0][name] + parts[1][name]) / 2, whole[name], rtol=1e-3, atol=1e-6)
