"""The second stage: fusion of halves that are there, losses by name, certain negatives, batches, the exported model."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from comictool.api import embed
from comictool.core.errors import InputError, UsageError
from comictool.datasets.splitting.split import SplitOptions, split_dataset
from comictool.identity.instances import Instance
from comictool.identity.metric_losses import MetricLoss
from comictool.identity.reid_data import composed
from comictool.identity.reid_settings import RECIPE, BatchOptions, LossOptions
from comictool.identity.reid_task import ReidTask
from comictool.plugins.architectures import call_builder, find_architecture
from comictool.plugins.export import export_plugin
from comictool.plugins.instance_network import FUSIONS, Fusion, InstanceNetwork
from comictool.plugins.load import EncoderSpec, load_plugin
from comictool.plugins.manifest import VECTOR, Inputs, InputSpec, Manifest, OutputSpec
from comictool.reid.grouping import group_pictures
from comictool.reid.reader import PictureReader
from comictool.reid.sorting.actions import SortOptions
from comictool.reid.sorting.sort import sort_pictures
from comictool.training.checkpoints import load_checkpoint
from comictool.training.engine import RunOptions, train
from comictool.training.recipe import SampleKey
from tests.identity.drawn import make_corpus, make_published
from tests.reid.drawings import drawing, save

BACKBONE = {"width": 16, "depth": 1, "heads": 2, "patch_size": 8, "image_size": 16}
SETS = [
    "training.batch_size=8",
    "training.max_steps=3",
    "training.workers=0",
    "training.precision=fp32",
    "model.dimension=8",
    "batches.per_class=2",
    "batches.views=1",
    "data.min_side=8",
]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `train ssl` exports, untrained."""
    torch.manual_seed(0)
    network = call_builder(find_architecture("dino_vit"), BACKBONE)
    folder = tmp_path_factory.mktemp("encoder") / "model"
    manifest = Manifest(
        id="ssl",
        version="1",
        title="a small one",
        kind="encoder",
        licence="none",
        architecture="dino_vit",
        arguments=BACKBONE,
        input=Inputs(InputSpec((16, 16))),
        output={VECTOR: OutputSpec(16)},
    )
    export_plugin(folder, manifest, network.state_dict())
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("reid") / "corpus"
    split_dataset(make_corpus(root, comics=4, pages=2), split=SplitOptions(ratios=(3, 1, 0), level="characters"))
    return root


def resolved(*sets: str) -> Any:
    return RECIPE.resolve(preset="tiny", sets=[*SETS, *sets])


def run(data: Path, encoder: Path, folder: Path, *sets: str) -> Any:
    return train(RECIPE, resolved(*sets), {"data": data, "encoder": encoder}, folder, RunOptions(device="cpu"))


def built(data: Path, encoder: Path, *sets: str) -> Any:
    return RECIPE.build(resolved(*sets).config, {"data": data, "encoder": encoder}, torch.device("cpu"))


def halves_of(count: int = 6, width: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit vectors; the first row has a face alone, the second a body alone, the others both."""
    torch.manual_seed(1)
    halves = torch.nn.functional.normalize(torch.randn(count, 2, width), dim=2)
    there = torch.ones(count, 2, dtype=torch.bool)
    there[0, 1] = there[1, 0] = False
    return halves, there


@pytest.mark.parametrize("kind", FUSIONS)
@pytest.mark.parametrize("tokens", [False, True])
def test_what_is_not_there_has_no_influence(kind: str, tokens: bool) -> None:
    halves, there = halves_of()
    torch.manual_seed(2)
    fusion = Fusion(8, kind, tokens)
    other = halves.clone()
    other[0, 1], other[1, 0] = 99.0, torch.nan if tokens else 7.0
    torch.testing.assert_close(fusion(halves, there), fusion(other, there))
    one = fusion(halves, there)[0]
    if kind in ("sum", "mean", "weights") and not tokens:
        torch.testing.assert_close(one, halves[0, 0])  # its only half, in full
    if tokens:
        assert "tokens" in fusion.state_dict()
        fusion(halves, there).sum().backward()
        assert fusion.tokens is not None
        assert float(fusion.tokens.grad.abs().sum()) > 0  # type: ignore[union-attr]


def test_fusions_are_their_definitions() -> None:
    halves, there = halves_of()
    torch.testing.assert_close(Fusion(8, "sum", False)(halves, there)[2], halves[2].sum(dim=0))
    torch.testing.assert_close(Fusion(8, "mean", False)(halves, there)[2], halves[2].mean(dim=0))
    weights = Fusion(8, "weights", False)
    with torch.no_grad():
        weights.logits.normal_()
    share = torch.softmax(weights.logits, dim=0)
    torch.testing.assert_close(weights(halves, there)[2], share[0] * halves[2, 0] + share[1] * halves[2, 1])
    with pytest.raises(ValueError, match="none of"):
        Fusion(8, "cat", False)


def slow(kind: str, vectors: np.ndarray, labels: list[int], negative: np.ndarray) -> float:
    """The losses by their definitions, pair by pair and triplet by triplet."""
    pairs = [(i, j) for i in range(len(labels)) for j in range(len(labels)) if i != j]
    positive = {(i, j) for i, j in pairs if labels[i] == labels[j]}
    apart = {(i, j): float(np.linalg.norm(vectors[i] - vectors[j])) for i, j in pairs}
    if kind == "contrastive":
        near = [apart[p] for p in positive if apart[p] > 0]
        far = [max(0.0, 0.5 - apart[p]) for p in pairs if negative[p] and apart[p] < 0.5]
        return (np.mean(near) if near else 0.0) + (np.mean(far) if far else 0.0)
    if kind == "triplet":
        hinges = [
            max(0.0, apart[a, p] - apart[a, n] + 0.5)
            for a, p in positive
            for n in range(len(labels))
            if n != a and negative[a, n]
        ]
        return float(np.mean([h for h in hinges if h > 0]))
    like = vectors @ vectors.T
    terms = []
    for a in range(len(labels)):  # supcon
        own = [p for p in range(len(labels)) if (a, p) in positive]
        others = own + [n for n in range(len(labels)) if n != a and negative[a, n]]
        if own:
            total = np.log(np.sum([np.exp(like[a, o] / 0.1) for o in others]))
            terms.append(-np.mean([like[a, p] / 0.1 - total for p in own]))
    return float(np.mean([term for term in terms if term > 0]))


@pytest.mark.parametrize("kind", ["contrastive", "triplet", "supcon"])
def test_losses_are_their_definitions_over_the_pairs_that_count(kind: str) -> None:
    torch.manual_seed(3)
    labels = [0, 0, 1, 1, 2, 2]
    vectors = torch.nn.functional.normalize(torch.randn(6, 4) + torch.ones(4), dim=1).requires_grad_()
    known = np.array(labels)[:, None] != np.array(labels)[None, :]
    known[0, 2] = known[2, 0] = known[1, 4] = known[4, 1] = False  # perhaps one person
    loss = MetricLoss(LossOptions(kind=kind, miner="all", margin=0.5), 3, 4)  # type: ignore[arg-type]
    value = loss(vectors, torch.tensor(labels), torch.from_numpy(known))
    assert value.item() == pytest.approx(slow(kind, vectors.detach().double().numpy(), labels, known), rel=1e-4)
    value.backward()
    assert vectors.grad is not None


@pytest.mark.parametrize("miner", ["all", "multi-similarity", "semihard", "hard"])
def test_no_miner_brings_back_a_negative_that_is_not_certain(miner: str) -> None:
    """Instances 2 and 3 may be the person of 0 and 1: whatever they are, the loss is the same."""
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    known = labels[:, None] != labels[None, :]
    known[:2, 2:4] = known[2:4, :2] = False
    loss = MetricLoss(LossOptions(kind="triplet", miner=miner, margin=0.5), 3, 4)  # type: ignore[arg-type]
    torch.manual_seed(4)
    vectors = torch.nn.functional.normalize(torch.randn(6, 4) + 1, dim=1).requires_grad_()
    found = loss._indices(vectors, labels, known)
    pairs = list(zip(found[0].tolist(), found[-1].tolist(), strict=True)) if len(found) == 3 else []
    pairs = pairs or list(zip(found[2].tolist(), found[3].tolist(), strict=True))
    assert all(known[a, n] for a, n in pairs)
    assert pairs or miner != "all"


def test_batches_hold_identities_together_and_series_after_series() -> None:
    instances = [Instance(f"s{s}", p, 1, body=0, identity=f"{i}") for s in range(3) for i in range(3) for p in range(5)]
    order = composed(instances, BatchOptions(per_class=2, classes_per_series=2), 45, np.random.default_rng(0))
    again = composed(instances, BatchOptions(per_class=2, classes_per_series=2), 45, np.random.default_rng(0))
    assert order == again
    assert len(order) == 45
    for start in range(0, 12, 2):  # pairs of one identity, never one instance twice
        first, second = (instances[row] for row in order[start : start + 2])
        assert first.label == second.label
        assert order[start] != order[start + 1]
    assert set(Counter(instances[row].series for row in order)) == {"s0", "s1", "s2"}
    first = {instances[row].series for row in order[:2]}
    assert len(first) == 1


@pytest.mark.parametrize(
    ("kind", "fusion", "missing", "tune"),
    [
        ("supcon", "mean", "left-out", "none"),
        ("triplet", "attention", "token", "none"),
        ("contrastive", "weights", "token", "all"),
        ("arcface", "sum", "left-out", "none"),
        ("multi-similarity", "mean", "left-out", "none"),
    ],
)
def test_every_way_trains_and_its_model_embeds(
    corpus: Path, encoder: Path, tmp_path: Path, kind: str, fusion: str, missing: str, tune: str
) -> None:
    sets = [f"loss.kind={kind}", f"model.fusion={fusion}", f"model.missing={missing}", f"model.tune={tune}"]
    result = run(corpus, encoder, tmp_path / "run", *sets, "batches.drop_half=0.5")
    metrics = result.best["metrics"]
    for name in ("rank1", "map", "map_at_r", "r_precision", "mrr", "face_rank1", "body_rank1", "both_rank1"):
        assert 0 <= metrics[name] <= 1, name
    model = load_plugin(str(tmp_path / "run/model"), device="cpu")
    assert model.embed([np.zeros((30, 20, 3), np.uint8)]).shape == (1, 8)
    before = load_plugin(str(encoder), device="cpu")._model.state_dict()  # type: ignore[attr-defined]
    task = load_checkpoint(tmp_path / "run/checkpoints/last.pt")["task"]
    moved = any(not torch.equal(task[f"network.backbone.{name}"], tensor) for name, tensor in before.items())
    assert moved == (tune == "all")
    if missing == "token":
        assert task["network.fusion.tokens"].shape == (2, 16)


def test_the_exported_model_is_the_network_asked_about_one_half(corpus: Path, encoder: Path, tmp_path: Path) -> None:
    """What the plugin says of a picture is what the network says of an instance with that half alone."""
    run(corpus, encoder, tmp_path / "run", "model.half=face")
    plugin = load_plugin(str(tmp_path / "run/model"), device="cpu")
    network = plugin._model  # type: ignore[attr-defined]
    assert isinstance(network, InstanceNetwork)
    pixels = torch.rand(2, 3, 16, 16)
    own = network.features(pixels)
    halves = torch.stack([own, torch.full_like(own, 5.0)], dim=1)
    alone = network.fuse(halves, torch.tensor([[True, False]] * 2))
    torch.testing.assert_close(network(pixels), alone)
    torch.testing.assert_close(alone.norm(dim=1), torch.ones(2))


@pytest.fixture(scope="module")
def inner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A timm network up to one of its layers, as the backbone of `comic_small` is."""
    torch.manual_seed(0)
    arguments = {"features": "layer2", "pooling": "bands", "bands": 2}
    manifest = Manifest(
        id="inner",
        version="1",
        title="a layer inside",
        kind="encoder",
        licence="none",
        architecture="timm:test_resnet",
        arguments=arguments,
        input=Inputs(InputSpec((32, 32))),
        output={VECTOR: OutputSpec(96, normalised=False)},
    )
    network = call_builder(find_architecture("timm:test_resnet"), arguments)
    folder = tmp_path_factory.mktemp("inner") / "plugin"
    export_plugin(folder, manifest, network.state_dict())
    return folder


def test_the_exported_model_sorts_groups_and_embeds(corpus: Path, inner: Path, tmp_path: Path) -> None:
    run(corpus, inner, tmp_path / "run", "model.half=face")
    model = tmp_path / "run/model"
    reader = PictureReader(EncoderSpec(str(model), device="cpu"), cache=tmp_path / "cache", jobs=1)
    for name in ("ann", "bob"):
        for number in range(3):
            folder = "refs" if number < 2 else "targets"
            save(tmp_path / folder / name / f"{number}.png", drawing(name, number))
    options = SortOptions("none", threshold="none")
    found = sort_pictures(tmp_path / "targets", tmp_path / "refs", options=options, reader=reader).records()
    assert {record["status"] for record in found} == {"ok"}
    grouped = group_pictures([tmp_path / "refs"], reader)
    assert len(grouped.members) == 4
    report = embed(corpus, tmp_path / "store", EncoderSpec(str(model), device="cpu"), levels=["character"])
    assert report.exit_code == 0


def test_cached_vectors_are_those_of_the_encoder(corpus: Path, encoder: Path) -> None:
    prepared = built(corpus, encoder, "batches.views=2", "data.validation=''")
    data, network = prepared.data, prepared.task.network
    assert data.vectors.shape == (len(data.places), 3, 16)
    crop, row = next(iter(data.places.items()))
    again = built(corpus, encoder, "batches.views=2", "data.validation=''").data
    assert torch.equal(again.vectors, data.vectors)  # also the changed views: a resumed run has the same
    assert not torch.allclose(data.vectors[row, 0], data.vectors[row, 1])
    batch = data.load([SampleKey(0, 5), SampleKey(1, 6)])
    assert (batch["halves"].norm(dim=2) > 0.5).equal(batch["there"])
    assert network.backbone.training is False
    assert crop >= 0


def test_published_annotations_take_only_what_is_certain(encoder: Path, tmp_path: Path) -> None:
    root = make_published(tmp_path / "data")
    task = built(root, encoder).task
    assert isinstance(task, ReidTask)
    assert not task.all_negative
    metrics = run(root, encoder, tmp_path / "run").best["metrics"]
    assert 0 <= metrics["rank1"] <= 1
    with pytest.raises(UsageError, match="arcface"):
        built(root, encoder, "loss.kind=arcface")


def test_what_cannot_be_trained_says_why(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs an encoder"):
        RECIPE.build(resolved().config, {"data": corpus}, torch.device("cpu"))
    with pytest.raises(UsageError, match="cannot be trained on"):
        built(corpus, Path("classic"))
    for wrong in ("batches.drop_half=2", "batches.per_class=1", "loss.temperature=0", "model.dimension=0"):
        with pytest.raises(UsageError):
            RECIPE.resolve(preset="tiny", sets=[wrong])
    with pytest.raises(UsageError, match="arcface"):
        RECIPE.resolve(preset="setup9", sets=["loss.kind=arcface"])


def test_nobody_named_twice(encoder: Path, tmp_path: Path) -> None:
    make_corpus(tmp_path, comics=1, pages=1, named=False)
    with pytest.raises(InputError, match="names no character twice"):
        built(tmp_path, encoder)
