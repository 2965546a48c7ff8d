"""Identity vectors of instances: a backbone for faces and bodies, a fusion of the halves that are there, a linear head.

As an encoder it is given one picture, which is the one half that its plugin says (`half`); `fuse` takes both.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

HALVES = ("face", "body")
FUSIONS = ("sum", "mean", "weights", "attention")
MOST_HEADS = 4  # of attention; as many as divide the width


class Fusion(nn.Module):
    """Several halves to one vector; a half that is not there has no part in it, or a trained vector in its place.

    Args:
        width: W, numbers of a half.
        kind: sum (as published; its length grows with the number of halves), mean, weights (a softmax for each number
            over the halves that are there) or attention (a trained query asks them).
        tokens: train a vector for each half that stands where it is missing. Without, only what is there counts.
    """

    def __init__(self, width: int, kind: str, tokens: bool) -> None:
        super().__init__()
        if kind not in FUSIONS:
            raise ValueError(f"fusion {kind!r} is none of {', '.join(FUSIONS)}")
        self.kind = kind
        self.tokens = nn.Parameter(torch.empty(len(HALVES), width)) if tokens else None
        if self.tokens is not None:
            nn.init.normal_(self.tokens, std=width**-0.5)
        if kind == "weights":
            self.logits = nn.Parameter(torch.zeros(len(HALVES), width))
        if kind == "attention":
            heads = next(count for count in range(min(MOST_HEADS, width), 0, -1) if width % count == 0)
            self.places = nn.Parameter(torch.zeros(len(HALVES), width))
            self.query = nn.Parameter(torch.zeros(1, 1, width))
            self.attention = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, halves: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        """(N, 2, W) unit vectors and (N, 2) bool which of them are there, at least one a row, to (N, W)."""
        if self.tokens is not None:
            halves = torch.where(there[..., None], halves, self.tokens.to(halves.dtype))
            there = torch.ones_like(there)
        here = there[..., None].to(halves.dtype)
        total = (halves * here).sum(dim=1)
        if self.kind == "sum":
            return total
        mean = total / here.sum(dim=1)
        if self.kind == "mean":
            return mean
        if self.kind == "weights":
            logits = self.logits.to(halves.dtype)[None].masked_fill(~there[..., None], -torch.inf)
            return (halves * here * logits.softmax(dim=1)).sum(dim=1)
        keys = halves * here + self.places
        found, _ = self.attention(
            self.query.expand(len(halves), -1, -1).to(keys.dtype),
            keys,
            keys,
            key_padding_mask=~there,
            need_weights=False,
        )
        fused: torch.Tensor = mean + found[:, 0]
        return fused


class InstanceNetwork(nn.Module):
    """See the module.

    Args:
        backbone: pictures (N, 3, H, W) to (N, features).
        features: numbers of its vectors.
        dimension: of the identity vectors; 0: the fused halves themselves.
        fusion, tokens: see `Fusion`.
        neck: hidden width of two layers of comic_char_reid's projector between backbone and fusion; 0: none.
        half: what a single picture shows.
    """

    def __init__(
        self,
        backbone: nn.Module,
        features: int,
        *,
        dimension: int = 256,
        fusion: str = "sum",
        tokens: bool = False,
        neck: int = 0,
        half: str = "body",
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = _neck(features, neck) if neck else nn.Identity()
        width = neck or features
        self.fusion = Fusion(width, fusion, tokens)
        self.head = nn.Linear(width, dimension) if dimension else nn.Identity()
        self.alone = HALVES.index(half)

    def features(self, pictures: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) to unit vectors (N, W) of one half."""
        return functional.normalize(self.neck(self.backbone(pictures)), dim=1)

    def fuse(self, halves: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        """(N, 2, W) unit vectors of face and body and (N, 2) bool which are there, to unit identity vectors (N, D)."""
        return functional.normalize(self.head(self.fusion(halves, there)), dim=1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) pictures of the one half to unit identity vectors (N, D)."""
        own = self.features(pictures)
        halves = torch.zeros((len(own), len(HALVES), own.shape[1]), dtype=own.dtype, device=own.device)
        halves[:, self.alone] = own
        there = torch.zeros((len(own), len(HALVES)), dtype=torch.bool, device=own.device)
        there[:, self.alone] = True
        return self.fuse(halves, there)


def _neck(features: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(features, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(inplace=True),
    )


def without_original_names(tensors: dict[str, torch.Tensor], network: nn.Module) -> dict[str, torch.Tensor]:
    """The weights of a checkpoint of comic_char_reid under this network's names; empty when it is none, or when its
    two backbones differ.

    Stage 1 has `model.convnet.*`, stage 2 `backbone_face.convnet.*`, the same as `backbone_body.*`, and `id_net.1.*`.
    """
    found: dict[str, torch.Tensor] = {}
    names = network.state_dict().keys()
    for name, tensor in tensors.items():
        owner, at, rest = name.partition("convnet.")
        if name.startswith("id_net.1."):
            found[name.replace("id_net.1.", "head.")] = tensor
        elif at:
            renamed = rest.replace("fc.", "neck.", 1) if rest.startswith("fc.") else f"backbone.{rest}"
            known = found.setdefault(renamed, tensor)
            if owner.startswith("backbone_") and not torch.equal(known, tensor):
                return {}
    return {name: tensor for name, tensor in found.items() if name in names}
