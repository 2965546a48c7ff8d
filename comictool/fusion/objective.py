"""What is learnt. As published: order on the page, order of pages, and reconstructions that need nothing to be
understood. And three that do: a modality that is hidden from the input is found among those of other panels, words and
picture of a panel find each other, and a panel is found from those around it.

All in float32: temperatures make large logits.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from comictool.fusion.model import MODALITIES, FusionModel

PAGE_ORDER, NEXT_PANEL = 0.3, 0.5  # weights as published
SAME, OTHER = 2, 0  # classes of the page order head that ever occur


def published_losses(
    model: FusionModel, panels: Tensor, pages: Tensor, composition: Tensor, batch: dict[str, Tensor], options: dict
) -> dict[str, Tensor]:
    """The published terms, unweighted: `order`, `next`, and `denoise`, `context` where the network has them.

    Args:
        panels, pages: (B, N, W) and (B, W).
        composition: (B, N, 7).
        options: `noise`, `stop_gradient`.
    """
    real = batch["real"]
    losses = {"order": page_order_loss(model, pages, batch["coin"]), "next": next_panel_loss(model, panels, batch)}
    target = panels.detach() if options["stop_gradient"] else panels
    if hasattr(model, "denoise"):
        noisy = panels + options["noise"] * _noise(batch["seed"], panels)
        losses["denoise"] = _mean_square(model.denoise(noisy), target, real)
    if hasattr(model, "context"):
        around = torch.cat([pages[:, None].expand_as(panels), composition], dim=-1)
        losses["context"] = _mean_square(model.context(around), target, real)
    return losses


def page_order_loss(model: FusionModel, pages: Tensor, coin: Tensor) -> Tensor:
    """Pages beside a permutation of the batch: class 0, or 2 where a page meets itself. Solved by |a - b| = 0."""
    order = torch.argsort(coin)
    other = pages[order]
    classes = torch.where(order == torch.arange(len(order), device=order.device), SAME, OTHER)
    pairs = torch.cat([pages, other, (pages - other).abs()], dim=-1)
    return functional.cross_entropy(model.page_order(pairs), classes)


def next_panel_loss(model: FusionModel, panels: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """Which of a panel's neighbours is next; the mean over panels of a page, then over pages that have a next one."""
    graph, real = batch["graph"], batch["real"]
    count = panels.shape[1]
    # The bilinear form of every pair at once: (B, N, W) x (W, W) x (B, W, N).
    scores = panels @ model.next_panel.weight[0] @ panels.transpose(1, 2) + model.next_panel.bias
    asked = torch.zeros_like(real)
    asked[:, :-1] = real[:, 1:] & real[:, :-1]
    target = torch.arange(1, count + 1, device=real.device).clamp_max(count - 1).expand_as(real)
    seen = graph.clone()
    seen.scatter_(2, target[..., None], True)  # so that rows which nobody asks for are finite
    losses = functional.cross_entropy(
        scores.masked_fill(~seen, torch.finfo(scores.dtype).min).transpose(1, 2), target, reduction="none"
    )
    by_page = (losses * asked).sum(dim=1) / asked.sum(dim=1).clamp_min(1)
    pages = asked.any(dim=1)
    return (by_page * pages).sum() / pages.sum().clamp_min(1)


def _noise(seeds: Tensor, panels: Tensor) -> Tensor:
    """Of each page by its own seed, so that neither workers nor processes change it."""
    rows = []
    for seed in seeds.tolist():
        generator = torch.Generator().manual_seed(seed)
        rows.append(torch.randn(panels.shape[1:], generator=generator))
    return torch.stack(rows).to(panels)


def _mean_square(found: Tensor, target: Tensor, real: Tensor) -> Tensor:
    squares = (found - target).square().mean(dim=-1)
    return (squares * real).sum() / real.sum().clamp_min(1)


def matching_loss(one: Tensor, other: Tensor, temperature: float) -> Tensor:
    """Each of N vectors of length 1 is to be nearest to its partner among N, both ways (InfoNCE; van den Oord 2018)."""
    if len(one) < 2:
        return 0.0 * (one.sum() + other.sum())
    logits = one.float() @ other.float().T / temperature
    target = torch.arange(len(one), device=one.device)
    return (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)) / 2


def masked_loss(model: FusionModel, parts: Tensor, present: Tensor, hide: Tensor, temperature: float) -> Tensor:
    """What is hidden is found again, from the vector of the rest: the hidden part is not in the input at all.

    Args:
        parts: (M, 3, W) of panels.
        present: (M, 3).
        hide: (M,) the modality, -1 for none.
    """
    hidden = functional.one_hot(hide.clamp_min(0), len(MODALITIES)).bool() & (hide >= 0)[:, None]
    left = present & ~hidden
    tokens = functional.normalize(model.tokens, dim=-1).expand_as(parts)
    rest = model.fused(torch.where(hidden[..., None], tokens, parts), left)
    total = 0.0 * rest.sum()
    for number, name in enumerate(MODALITIES):
        own = hide == number
        # Every head takes part in every loss, also where a batch hides nothing of its modality.
        guess = functional.normalize(rest + model.found[name](rest), dim=-1)
        total = total + matching_loss(guess[own], parts[own, number], temperature) + 0.0 * guess.sum()
    return total / len(MODALITIES)


def contrastive_loss(model: FusionModel, parts: Tensor, present: Tensor, temperature: float) -> Tensor:
    """Words, and all else of the same panel: its picture alone, and its picture with its layout."""
    image, text, layout = (parts[:, number] for number in range(3))
    both = present[:, 0] & present[:, 1]
    without = present.clone()
    without[:, 1] = False
    tokens = functional.normalize(model.tokens, dim=-1).expand_as(parts)
    rest = model.fused(torch.where(without[..., None], parts, tokens), without)
    found = matching_loss(image[both], text[both], temperature) + matching_loss(rest[both], text[both], temperature)
    return found / 2 + 0.0 * layout.sum()


def neighbour_loss(model: FusionModel, panels: Tensor, real: Tensor, temperature: float) -> Tensor:
    """A panel from the one before and the one after it, among all panels of the batch; (B, N, W)."""
    nothing = torch.zeros_like(panels[:, :1])
    before = torch.cat([nothing, (panels * real[..., None])[:, :-1]], dim=1)
    after = torch.cat([(panels * real[..., None])[:, 1:], nothing], dim=1)
    guess = functional.normalize(model.around(torch.cat([before, after], dim=-1)), dim=-1)
    asked = real & (real.sum(dim=1, keepdim=True) > 1)
    return matching_loss(guess[asked], panels[asked], temperature) + 0.0 * guess.sum()
