"""Lettering: fonts, wrapping, and lines that look written by hand.

The one font is the scalable face that comes inside Pillow, so a drawing needs no font file of the system. Letters of a
fixed layout engine: Pillow's other one depends on a library that may be absent, and moves glyphs by fractions.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from comictool.core.errors import SetupError
from comictool.drawn.colours import Colour


@dataclass(frozen=True)
class Hand:
    """How a comic is lettered: size in pixels, capitals only, slant (shear), stroke width, how much lines sway."""

    size: int
    capitals: bool
    slant: float
    bold: float
    sway: float

    def write(self, text: str) -> str:
        """The text in the case of this hand."""
        return text.upper() if self.capitals else text


@lru_cache(maxsize=64)
def font(size: int) -> ImageFont.FreeTypeFont:
    """The built-in face at a size in pixels."""
    face = ImageFont.load_default(size)
    if not isinstance(face, ImageFont.FreeTypeFont):  # a Pillow built without FreeType has bitmap letters only
        raise SetupError(
            "this Pillow cannot scale letters (built without FreeType)", hint="pip install --force-reinstall pillow"
        )
    return face.font_variant(layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=4096)
def width_of(text: str, size: int) -> int:
    """Pixels that a line takes."""
    return int(font(size).getlength(text)) + 1


def wrap(text: str, size: int, widest: int) -> list[str]:
    """Break a text into lines no wider than `widest` pixels, as even as a balloon wants them."""
    words = text.split()
    lines: list[str] = []
    current = ""
    for word in words:
        longer = f"{current} {word}".strip()
        if current and width_of(longer, size) > widest:
            lines.append(current)
            current = word
        else:
            current = longer
    return [*lines, current] if current else lines


@dataclass(frozen=True)
class Block:
    """Wrapped text with its measures in pixels."""

    lines: tuple[str, ...]
    size: int
    width: int
    height: int
    leading: int


def block(text: str, hand: Hand, widest: int, scale: float = 1.0) -> Block:
    """Wrap a text in a hand."""
    size = max(9, round(hand.size * scale))
    lines = wrap(text, size, widest)
    leading = round(size * 1.12)
    wide = max((width_of(line, size) for line in lines), default=1)
    return Block(tuple(lines), size, wide + round(abs(hand.slant) * size) + 2, leading * len(lines), leading)


def draw_block(
    page: Image.Image,
    text: Block,
    hand: Hand,
    x: int,
    y: int,
    colour: Colour,
    rng: random.Random,
    *,
    left: bool = False,
) -> None:
    """Draw wrapped lines with the top left corner of their box at (x, y)."""
    patch = Image.new("L", (text.width + 4, text.height + 8), 0)
    pen = ImageDraw.Draw(patch)
    face = font(text.size)
    for index, line in enumerate(text.lines):
        dx = 2 if left else (text.width - width_of(line, text.size)) / 2 + 1
        sway = rng.uniform(-hand.sway, hand.sway)
        pen.text((dx, index * text.leading + sway), line, fill=255, font=face, stroke_width=hand.bold)
    if hand.slant:
        patch = patch.transform(
            patch.size,
            Image.Transform.AFFINE,
            (1, hand.slant, -hand.slant * text.height / 2, 0, 1, 0),
            resample=Image.Resampling.BILINEAR,
        )
    page.paste(colour, (x, y), patch)


def display(
    text: str, size: int, fill: Colour, edge: Colour, stroke: int, *, angle: float = 0.0, shear: float = 0.0
) -> Image.Image:
    """Big letters with a coloured edge, turned: titles and sound words. RGBA, cut to what is drawn."""
    face = font(size)
    left, top, right, bottom = face.getbbox(text, stroke_width=stroke)
    patch = Image.new("RGBA", (int(right - left) + 8, int(bottom - top) + 8), (*edge, 0))
    pen = ImageDraw.Draw(patch)
    pen.text((4 - left, 4 - top), text, font=face, fill=(*fill, 255), stroke_width=stroke, stroke_fill=(*edge, 255))
    if shear:
        extra = int(abs(shear) * patch.height)
        patch = patch.transform(
            (patch.width + extra, patch.height),
            Image.Transform.AFFINE,
            (1, shear, -extra if shear > 0 else 0, 0, 1, 0),
            resample=Image.Resampling.BILINEAR,
        )
    if angle:
        patch = patch.rotate(angle, resample=Image.Resampling.BILINEAR, expand=True)
    box = patch.getbbox()
    return patch.crop(box) if box else patch
