"""Hair and hats, behind and over the head. Coordinates are those of `HeadFrame`."""

from __future__ import annotations

import math

from comictool.drawn.canvas import Canvas
from comictool.drawn.characters import Costume, Look
from comictool.drawn.colours import shade
from comictool.drawn.head import HeadFrame


def draw_back_hair(canvas: Canvas, look: Look, frame: HeadFrame) -> None:
    """The hair that hangs behind head and shoulders."""
    colour = look.hair_colour
    if look.hair == "long":
        canvas.shape(
            frame.many([(-0.46, -0.3), (0, -0.56), (0.44, -0.3), (0.4, 0.3), (0.3, 0.85), (-0.5, 0.9), (-0.56, 0.3)]),
            colour,
        )
    elif look.hair == "bob":
        canvas.shape(frame.many([(-0.5, -0.2), (0, -0.58), (0.46, -0.2), (0.48, 0.36), (-0.54, 0.4)]), colour)
    elif look.hair == "ponytail":
        canvas.shape(frame.many([(-0.3, -0.4), (-0.62, -0.42), (-0.86, 0.1), (-0.74, 0.6), (-0.58, 0.1)]), colour)
    elif look.hair == "bun":
        canvas.disc(*frame.at(-0.28, -0.56), 0.22 * frame.u, 0.2 * frame.u, colour)
    elif look.hair == "curly":
        for angle in range(150, 400, 28):
            dx, dy = 0.46 * math.cos(math.radians(angle)), 0.44 * math.sin(math.radians(angle)) - 0.06
            canvas.disc(*frame.at(dx - 0.02, dy), 0.19 * frame.u, 0.19 * frame.u, colour)
    elif look.hair == "braids":
        for side in (-0.46, 0.42):
            for step in range(3):
                canvas.disc(*frame.at(side, 0.22 + 0.2 * step), 0.11 * frame.u, 0.13 * frame.u, colour)


def draw_front_hair(canvas: Canvas, look: Look, costume: Costume, frame: HeadFrame) -> None:
    """Fringe and hat, over the head."""
    if look.species == "human":
        _fringe(canvas, look, frame)
    _hat(canvas, costume, frame, -0.34 if look.species != "frog" else -0.5)


def _fringe(canvas: Canvas, look: Look, frame: HeadFrame) -> None:
    colour, u = look.hair_colour, frame.u
    if frame.back and look.hair not in ("bald", "mohawk"):
        canvas.shape(frame.many([(-0.46, 0.3), (-0.5, -0.2), (0, -0.58), (0.5, -0.2), (0.46, 0.3), (0, 0.42)]), colour)
    elif look.hair in ("bob", "long", "bun", "braids"):
        canvas.shape(
            frame.many(
                [
                    (-0.5, 0.08),
                    (-0.48, -0.34),
                    (0, -0.6),
                    (0.46, -0.32),
                    (0.46, -0.06),
                    (0.24, -0.28),
                    (-0.16, -0.2),
                    (-0.36, 0.0),
                ]
            ),
            colour,
        )
    elif look.hair == "spiky":
        points = [(-0.5, 0.06)]
        for i, x in enumerate((-0.5, -0.28, -0.08, 0.14, 0.34, 0.52)):
            points += [(x - 0.04, -0.66 if i % 2 else -0.74), (x + 0.1, -0.44)]
        points += [(0.46, -0.14), (0.3, -0.3), (0.16, -0.16), (0.0, -0.32), (-0.16, -0.16), (-0.32, -0.26)]
        canvas.polygon(frame.many(points), colour)
    elif look.hair == "ponytail":
        canvas.shape(
            frame.many(
                [(-0.48, 0.0), (-0.44, -0.38), (0, -0.58), (0.44, -0.34), (0.4, -0.2), (0, -0.34), (-0.36, -0.2)]
            ),
            colour,
        )
    elif look.hair == "mohawk":
        canvas.polygon(
            frame.many(
                [
                    (-0.34, -0.3),
                    (-0.4, -0.74),
                    (-0.16, -0.62),
                    (-0.04, -0.9),
                    (0.1, -0.64),
                    (0.28, -0.8),
                    (0.26, -0.4),
                    (0, -0.46),
                ]
            ),
            colour,
        )
    elif look.hair == "curly":
        for dx in (-0.34, -0.14, 0.08, 0.3):
            canvas.disc(*frame.at(dx, -0.4), 0.16 * u, 0.14 * u, colour)
            canvas.disc(*frame.at(dx + 0.02, -0.42), 0.12 * u, 0.1 * u, colour, line=0)
    elif look.hair == "buzz":
        canvas.shape(
            frame.many(
                [(-0.46, -0.04), (-0.4, -0.4), (0, -0.54), (0.42, -0.38), (0.42, -0.2), (0, -0.34), (-0.34, -0.22)]
            ),
            colour,
        )
    elif look.hair == "quiff":
        canvas.shape(
            frame.many(
                [
                    (-0.48, 0.0),
                    (-0.46, -0.4),
                    (-0.1, -0.62),
                    (0.36, -0.82),
                    (0.6, -0.6),
                    (0.4, -0.3),
                    (0.1, -0.36),
                    (-0.3, -0.24),
                ]
            ),
            colour,
        )


def _hat(canvas: Canvas, costume: Costume, frame: HeadFrame, base: float) -> None:
    colour, u = costume.hat_colour, frame.u
    if costume.hat == "cap":
        canvas.shape(
            frame.many(
                [(-0.48, base + 0.1), (-0.42, base - 0.2), (0, base - 0.34), (0.44, base - 0.16), (0.46, base + 0.1)]
            ),
            colour,
        )
        canvas.limb([frame.at(0.1, base + 0.1), frame.at(0.74, base + 0.14)], 0.1 * u, shade(colour, 0.8))
    elif costume.hat == "beanie":
        canvas.shape(
            frame.many(
                [(-0.48, base + 0.12), (-0.44, base - 0.2), (0, base - 0.4), (0.44, base - 0.2), (0.48, base + 0.12)]
            ),
            colour,
        )
        canvas.limb([frame.at(-0.44, base + 0.1), frame.at(0.44, base + 0.1)], 0.15 * u, shade(colour, 1.3))
        canvas.disc(*frame.at(0, base - 0.4), 0.12 * u, 0.12 * u, shade(colour, 1.5))
    elif costume.hat == "tophat":
        canvas.polygon(frame.many([(-0.3, base), (-0.36, base - 0.66), (0.36, base - 0.66), (0.3, base)]), colour)
        canvas.polygon(
            frame.many([(-0.31, base - 0.02), (-0.33, base - 0.16), (0.33, base - 0.16), (0.31, base - 0.02)]),
            shade(colour, 1.5),
        )
        canvas.limb([frame.at(-0.56, base + 0.02), frame.at(0.56, base + 0.02)], 0.09 * u, colour)
    elif costume.hat == "witch":
        canvas.polygon(
            frame.many([(-0.36, base), (-0.2, base - 0.5), (-0.36, base - 0.86), (0.12, base - 0.56), (0.36, base)]),
            colour,
        )
        canvas.disc(*frame.at(0, base + 0.04), 0.74 * u, 0.14 * u, colour)
    elif costume.hat == "helmet":
        canvas.shape(
            frame.many(
                [
                    (-0.52, base + 0.2),
                    (-0.48, base - 0.16),
                    (0, base - 0.36),
                    (0.48, base - 0.16),
                    (0.52, base + 0.2),
                    (0, base + 0.1),
                ]
            ),
            colour,
        )
        canvas.limb([frame.at(0, base - 0.3), frame.at(0, base + 0.06)], 0.08 * u, shade(colour, 1.4), line=0)
    elif costume.hat == "bow":
        for side in (-1, 1):
            canvas.polygon(
                frame.many([(-0.2, base - 0.1), (-0.2 + side * 0.26, base - 0.26), (-0.2 + side * 0.26, base + 0.04)]),
                colour,
            )
        canvas.disc(*frame.at(-0.2, base - 0.1), 0.07 * u, 0.07 * u, shade(colour, 0.8))
