"""Kinds by letters and by what is drawn around them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from comictool.words.lettering import kind_of

TEXT = (100, 100, 220, 160)


def page(shape: str, *, ground: str = "lightyellow") -> np.ndarray:
    """Art (noise) with an outlined shape around the text's box, and strokes for letters."""
    noise = np.random.default_rng(3).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    sheet = Image.fromarray(noise)
    pen = ImageDraw.Draw(sheet)
    if shape == "box":
        pen.rectangle((85, 88, 235, 172), fill=ground, outline="black", width=2)
    elif shape == "balloon":
        pen.ellipse((65, 65, 255, 195), fill=ground, outline="black", width=2)
    for y in (105, 125, 145):
        for x in range(104, 216, 8):
            pen.line((x, y, x, y + 12), fill="black", width=2)
    return np.asarray(sheet)


@pytest.mark.parametrize(
    ("shape", "ground", "kind"),
    [
        ("box", "lightyellow", "narration"),
        ("box", "navy", "narration"),
        ("balloon", "white", "dialogue"),
        ("none", "", "dialogue"),
    ],
)
def test_a_caption_has_corners(shape: str, ground: str, kind: str) -> None:
    assert kind_of("Meanwhile, in the harbour", 14, 14, page(shape, ground=ground or "white"), TEXT) == kind


def test_sounds_are_large_or_say_one_thing() -> None:
    art = page("none")
    assert kind_of("BOOM", 60, 20, art, TEXT) == "sfx"
    assert kind_of("Shhh Shhh shhh!", 20, 20, art, TEXT) == "sfx"
    assert kind_of("Carrot?", 20, 20, art, TEXT) == "dialogue"
    assert kind_of("...", 20, 20, art, TEXT) == "dialogue"
