"""Changed looks of a panel whose depth stays: drawn comics in more styles than were drawn.

Tensors are (3, H, W) float in 0 .. 255. All randomness comes from the generator that is handed in.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn import functional

from comictool.depth.settings import ChangeOptions
from comictool.selfsup.crops import YIQ, blurred, change_colours, colour_matrices
from comictool.selfsup.options import CropOptions

JITTER = CropOptions(jitter=1.0, brightness=0.35, contrast=0.35, saturation=0.7, hue=0.5, grey=0.0)
WAVES = 4  # of a recolouring
INK_FROM = 60  # darker pixels are ink and stay so
LUMA = torch.from_numpy(YIQ[0]).float()


def change_look(pixels: torch.Tensor, options: ChangeOptions, rng: np.random.Generator) -> torch.Tensor:
    """The panel in another look; chances are drawn whatever the options, so that one changes nothing but itself."""
    draws = rng.random(8)
    if draws[0] < options.recolour:
        pixels = recoloured(pixels, rng)
    if draws[1] < options.jitter:
        matrices = colour_matrices(np.concatenate([[[0.0]], rng.random((1, 4)), [[1.0]]], axis=1), JITTER)
        pixels = change_colours(pixels[None], matrices)[0]
    if draws[2] < options.grey:
        pixels = luma(pixels)[None].expand(3, -1, -1)
    if draws[3] < options.lines:
        pixels = line_art(pixels, rng)
    elif draws[4] < options.screentone:
        pixels = screentoned(pixels, rng)
    if draws[5] < options.paper:
        pixels = on_paper(pixels, rng)
    if draws[6] < options.scan:
        pixels = scanned(pixels, rng)
    return pixels.clamp(0, 255)


def luma(pixels: torch.Tensor) -> torch.Tensor:
    """(H, W) brightness."""
    return torch.einsum("c,chw->hw", LUMA, pixels)


def recoloured(pixels: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Every colour to another by a sum of random waves in colour space; ink stays dark."""
    directions = torch.from_numpy(rng.normal(0, 2.2, (WAVES, 3))).float() / 255
    phases = torch.from_numpy(rng.uniform(0, 2 * math.pi, (WAVES, 1, 1))).float()
    shifts = torch.from_numpy(rng.normal(0, 55, (3, WAVES))).float()
    waves = (torch.einsum("kc,chw->khw", directions, pixels) + phases).sin()
    added = torch.einsum("ck,khw->chw", shifts, waves)
    inked = ((luma(pixels) - INK_FROM) / 40).clamp(0, 1)
    return (pixels + added * inked).clamp(0, 255)


def line_art(pixels: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """The drawing as lines on white: what is darker than around it."""
    grey = luma(pixels)
    around = blurred_map(grey, rng.uniform(2.0, 5.0))
    lines = 255 * (grey + 6) / (around + 6)
    return ((lines - 128) * rng.uniform(1.5, 3.0) + 128 + rng.uniform(0, 60)).clamp(0, 255)[None].expand(3, -1, -1)


def screentoned(pixels: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Half tones as dots on a turned lattice."""
    grey = luma(pixels)
    pitch, turn = rng.uniform(3.0, 7.0), rng.uniform(0, math.pi / 2)
    rows, columns = torch.meshgrid(*(torch.arange(size, dtype=torch.float32) for size in grey.shape), indexing="ij")
    u = (columns * math.cos(turn) + rows * math.sin(turn)) * (2 * math.pi / pitch)
    v = (-columns * math.sin(turn) + rows * math.cos(turn)) * (2 * math.pi / pitch)
    plane = (u.cos() + v.cos()) * 60 + 128
    light = 255 * (grey / 255) ** rng.uniform(0.5, 1.0)
    dots = torch.where(grey < INK_FROM, grey, ((light - plane) * 3 + 128).clamp(0, 255))
    return dots[None].expand(3, -1, -1)


def on_paper(pixels: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Paper of a warm tone with slow stains, on which ink has gone a little pale."""
    tone = torch.tensor([1.0, rng.uniform(0.86, 1.0), rng.uniform(0.62, 0.98)]) * rng.uniform(0.8, 1.0)
    stains = torch.from_numpy(rng.normal(0, 1, (1, 1, 6, 6))).float()
    stains = functional.interpolate(stains, size=pixels.shape[1:], mode="bicubic")[0, 0]
    pale = rng.uniform(0, 50)
    return (pale + pixels * (1 - pale / 255)) * tone[:, None, None] * (1 + 0.04 * stains)


def scanned(pixels: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A little out of focus, with the noise of a scanner."""
    radius = rng.uniform(0.4, 1.4)
    soft = torch.stack([blurred_map(plane, radius) for plane in pixels]) if rng.random() < 0.6 else pixels
    noise = torch.from_numpy(rng.standard_normal(pixels.shape[1:], dtype=np.float32)) * float(rng.uniform(2, 14))
    return soft + noise


def blurred_map(plane: torch.Tensor, radius: float) -> torch.Tensor:
    """Gaussian blur of (H, W)."""
    side = max(plane.shape)
    square = functional.pad(plane[None, None], (0, side - plane.shape[1], 0, side - plane.shape[0]), mode="replicate")
    return blurred(square[0], radius)[0, : plane.shape[0], : plane.shape[1]]
