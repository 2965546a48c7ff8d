"""The network and its losses against slow loops, the published layout of names, and absence that has no vote."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from comictool.core.errors import InputError, UsageError
from comictool.fusion.data import neighbours
from comictool.fusion.encoding import recall, shown
from comictool.fusion.model import FusionModel, FusionShape
from comictool.fusion.objective import masked_loss, matching_loss, next_panel_loss, page_order_loss
from comictool.fusion.weights import begin_from, from_published

SIZES = {"image": 6, "text": 5, "layout": 14, "width": 8, "heads": 2}


def model(objective: str) -> FusionModel:
    torch.manual_seed(2)
    return FusionModel(FusionShape(**SIZES, objective=objective)).eval()


def inputs(count: int, composition: int = 14) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    sizes = {"image": 6, "text": 5, "layout": composition}
    return {name: torch.randn(count, size, generator=generator) for name, size in sizes.items()}


def original_checkpoint(tmp_path: Path, *, image: int = 6, text: int = 5) -> tuple[Path, dict[str, torch.Tensor]]:
    """A file in the layout of ClosureLiteSimple, with a little of its encoders."""
    torch.manual_seed(9)
    width, heads = 8, 2
    shapes = {
        "atom.vision.vit.embeddings.cls_token": (1, 1, image), "atom.text.lm.embeddings.LayerNorm.weight": (text,),
        "atom.vision.proj.weight": (width, image), "atom.vision.proj.bias": (width,),
        "atom.text.proj.weight": (width, text), "atom.text.proj.bias": (width,),
        "atom.comp.mlp.0.weight": (256, 7), "atom.comp.mlp.0.bias": (256,),
        "atom.comp.mlp.2.weight": (width, 256), "atom.comp.mlp.2.bias": (width,),
        "atom.fuse.gate.weight": (3, 3 * width), "atom.fuse.gate.bias": (3,),
        "han.attention.pos_bias": (1, 1, width),
        "han.attention.out_proj.weight": (width, width), "han.attention.out_proj.bias": (width,),
        "next_head.scorer.weight": (1, width, width), "next_head.scorer.bias": (1,),
        "pop_classifier.clf.0.weight": (256, 3 * width), "pop_classifier.clf.0.bias": (256,),
        "pop_classifier.clf.2.weight": (3, 256), "pop_classifier.clf.2.bias": (3,),
    }  # fmt: skip
    for head in range(heads):
        shapes |= {
            f"han.attention.heads.{head}.weight": (width // heads, width),
            f"han.attention.heads.{head}.bias": (width // heads,),
            f"han.attention.content_scorers.{head}.weight": (1, width // heads),
            f"han.attention.content_scorers.{head}.bias": (1,),
        }
    state = {name: torch.randn(shape) for name, shape in shapes.items()}
    file = tmp_path / "best_checkpoint.pt"
    torch.save({"epoch": 4, "model_state_dict": state, "loss": 0.3}, file)
    return file, state


def test_an_original_checkpoint_gives_its_own_vectors(tmp_path: Path) -> None:
    """Written out by hand from the description of the published model."""
    file, state = original_checkpoint(tmp_path)
    ours = model("base")
    assert "best_checkpoint.pt" in begin_from(ours, file)
    given = inputs(3, 7)
    with torch.inference_mode():
        panels = ours(given, torch.ones(3, 3, dtype=torch.bool))
        page = ours.page(panels[None], torch.tensor([[True, True, False]]))[0]

    def linear(name: str, value: torch.Tensor) -> torch.Tensor:
        return value @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    parts = [
        linear("atom.vision.proj", given["image"]),
        linear("atom.text.proj", given["text"]),
        linear("atom.comp.mlp.2", linear("atom.comp.mlp.0", given["layout"]).clamp_min(0)),
    ]
    gate = torch.softmax(linear("atom.fuse.gate", torch.cat(parts, dim=1)), dim=1)
    expected = sum(gate[:, place : place + 1] * part for place, part in enumerate(parts))
    torch.testing.assert_close(panels, expected, atol=1e-4, rtol=1e-4)
    means = []
    for head in range(2):
        hidden = linear(f"han.attention.heads.{head}", expected[:2])
        weights = torch.softmax(linear(f"han.attention.content_scorers.{head}", hidden)[:, 0] / 0.1, dim=0)
        means.append(weights @ expected[:2])
    torch.testing.assert_close(page, linear("han.attention.out_proj", torch.stack(means).mean(0)), atol=1e-3, rtol=1e-3)


def test_other_files_are_sentences(tmp_path: Path) -> None:
    file, _ = original_checkpoint(tmp_path, image=7)
    with pytest.raises(InputError, match="do not fit"):
        begin_from(model("base"), file)
    with pytest.raises(UsageError, match="one of its own objectives"):
        begin_from(model("all"), file)
    torch.save({"weight": torch.zeros(3)}, file)
    with pytest.raises(InputError, match="no checkpoint of Closure Lite"):
        begin_from(model("base"), file)
    assert from_published({"module.atom.fuse.gate.bias": 1}) == {"gate.bias": 1}


def test_what_is_absent_has_no_vote() -> None:
    """The defect: an empty text votes for what an empty text looks like. Whatever stands in the place of an absent
    modality changes nothing, and a panel of one modality is that modality.
    """
    net, given = model("all"), inputs(4)
    present = torch.tensor([[True, False, False]] * 4)
    with torch.inference_mode():
        alone = net(given, present)
        other = net({**given, "text": given["text"] + 9, "layout": given["layout"] * 0}, present)
        torch.testing.assert_close(alone, other)
        torch.testing.assert_close(alone, net.image(given["image"]))
        published = model("base")
        zeros = {**inputs(4, 7), "text": torch.zeros(4, 5)}
        votes = published(zeros, present) - published({**zeros, "text": zeros["text"] + 9}, present)
    assert votes.abs().max() > 0.1


def test_the_hidden_modality_is_not_in_the_input() -> None:
    """The defect: nothing is really masked. The vector of the rest does not depend on what is hidden."""
    net, given = model("masked"), inputs(6)
    present, hide = torch.ones(6, 3, dtype=torch.bool), torch.tensor([1, 1, 1, 1, 1, 1])
    seen: list[torch.Tensor] = []
    original = net.fused

    def spy(parts: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        seen.append(original(parts, there))
        return seen[-1]

    net.fused = spy  # type: ignore[method-assign]
    for text in (given["text"], given["text"] * -3 + 1):
        masked_loss(net, net.parts({**given, "text": text}, present), present, hide, 0.1)
    torch.testing.assert_close(seen[0], seen[1])


def test_matching_is_the_mean_of_two_cross_entropies() -> None:
    one, other = (functional.normalize(torch.randn(5, 8, generator=torch.Generator().manual_seed(n))) for n in (1, 2))
    logits = (one @ other.T / 0.2).tolist()
    expected = 0.0
    for table in (logits, list(map(list, zip(*logits, strict=True)))):
        expected += sum(math.log(sum(map(math.exp, row))) - row[place] for place, row in enumerate(table)) / 5 / 2
    assert float(matching_loss(one, other, 0.2)) == pytest.approx(expected, rel=1e-5)
    assert float(matching_loss(one[:1], other[:1], 0.2)) == 0


def test_next_panel_and_page_order_against_loops() -> None:
    net = model("base")
    generator = torch.Generator().manual_seed(7)
    panels = torch.randn(3, 4, 8, generator=generator)
    real = torch.tensor([[True] * 4, [True, True, False, False], [True, False, False, False]])
    graph = torch.zeros(3, 4, 4, dtype=torch.bool)
    for place in range(3):
        graph[0, place, place + 1] = True
    graph[0, 0, 2] = graph[0, 3, 0] = graph[1, 0, 1] = True
    pages = []
    for page in range(2):
        losses = []
        for place in range(int(real[page].sum()) - 1):
            near = [other for other in range(4) if graph[page, place, other]]
            scores = [net.next_panel(panels[page, place], panels[page, other]).item() for other in near]
            losses.append(math.log(sum(map(math.exp, scores))) - scores[near.index(place + 1)])
        pages.append(sum(losses) / len(losses))
    with torch.no_grad():
        found = next_panel_loss(net, panels, {"graph": graph, "real": real})
        assert float(found) == pytest.approx(sum(pages) / 2, rel=1e-4)
        vectors, coin = panels[:, 0], torch.tensor([0.5, 0.1, 0.9])  # 0 and 1 change places, 2 meets itself
        expected = []
        for a, b, label in ((0, 1, 0), (1, 0, 0), (2, 2, 2)):
            pair = torch.cat([vectors[a], vectors[b], (vectors[a] - vectors[b]).abs()])
            expected.append(functional.cross_entropy(net.page_order(pair), torch.tensor(label)))
        assert float(page_order_loss(net, vectors, coin)) == pytest.approx(float(sum(expected)) / 3, rel=1e-4)


def test_neighbours_of_a_grid() -> None:
    boxes = np.array([[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5], [0, 0.5, 0.5, 1], [0.5, 0.5, 1, 1]])
    assert neighbours(boxes).tolist() == [
        [False, True, True, False],
        [True, False, True, True],  # the next in order too
        [True, False, False, True],
        [False, True, True, False],
    ]
    assert neighbours(boxes[:1]).tolist() == [[False]]


def test_recall_counts_ties_as_chance() -> None:
    assert recall(torch.eye(30), torch.eye(30), 1) == 1
    assert recall(torch.ones(30, 2), torch.ones(30, 2), 10) == 0  # all tie: the middle of 30 is the 15th


def test_a_page_without_a_panel_has_no_nan() -> None:
    net = model("context-denoise")
    page = net.page(torch.randn(1, 3, 8), torch.zeros(1, 3, dtype=torch.bool))
    assert torch.isfinite(page).all()
    rows = shown(model("all"), inputs(2), torch.zeros(2, 3, dtype=torch.bool), ("text",))
    assert torch.isfinite(rows).all()
