"""Heads: shape, ears, face. Lengths are in heads (`u` fine pixels each); x points to where the figure faces."""

from __future__ import annotations

from dataclasses import dataclass

from comictool.drawn.canvas import Canvas, Point, arc
from comictool.drawn.characters import Look
from comictool.drawn.colours import WHITE, Colour, luma, shade
from comictool.drawn.poses import Emotion

# Per head shape: half width at the crown, at the eyes, at the jaw; height of the jaw.
_SHAPES = {
    "round": (0.40, 0.47, 0.36, 0.46),
    "oval": (0.36, 0.41, 0.28, 0.52),
    "square": (0.42, 0.44, 0.42, 0.48),
    "pear": (0.34, 0.42, 0.44, 0.47),
    "long": (0.34, 0.37, 0.28, 0.58),
    "heart": (0.42, 0.46, 0.20, 0.52),
}


@dataclass
class HeadFrame:
    """Where a head is: centre, size, which way it looks (`flip` -1 or 1), how far it turns, from behind or not."""

    x: float
    y: float
    u: float
    flip: int
    yaw: float = 0.35
    back: bool = False

    def at(self, dx: float, dy: float) -> Point:
        """A point in head coordinates to fine pixels."""
        return (self.x + dx * self.u * self.flip, self.y + dy * self.u)

    def many(self, points: list[Point]) -> list[Point]:
        """Several points in head coordinates."""
        return [self.at(*p) for p in points]


def draw_head(canvas: Canvas, look: Look, emotion: Emotion, frame: HeadFrame) -> None:
    """Skull, ears and face. The layer that is current becomes the face."""
    u = frame.u
    if look.species in ("cat", "bear", "rabbit"):
        _ears(canvas, look, frame)
    if look.species == "robot":
        canvas.stroke([frame.at(0, -0.45), frame.at(0, -0.68)], canvas.line)
        canvas.disc(*frame.at(0, -0.72), 0.07 * u, 0.07 * u, (226, 76, 60))
        canvas.box(*_ordered(frame.at(-0.53, -0.12), frame.at(0.53, 0.14)), shade(look.skin, 0.7))
        canvas.polygon(frame.many(_rounded(0.44, 0.46)), look.skin)
    else:
        crown, eyes, jaw, chin = _SHAPES[look.head]
        if look.species == "human":
            for ear in (-1, 1):
                if ear < 0 or frame.yaw < 0.3:
                    canvas.disc(*frame.at(ear * eyes - 0.08 * frame.yaw, 0.06), 0.09 * u, 0.12 * u, look.skin)
        turn = 0.04 * frame.yaw
        skull = [
            (0.0, -0.5),
            (crown * 0.8, -0.4),
            (eyes + turn, 0.0),
            (jaw * 0.95 + turn, chin * 0.68),
            (turn * 2, chin),
            (-jaw * 0.95, chin * 0.66),
            (-eyes, 0.0),
            (-crown * 0.8, -0.4),
        ]
        canvas.shape(frame.many(skull), shade(look.skin, 0.84))
        lit = -0.035 * frame.flip  # the light comes from the upper left, whichever way the head looks
        canvas.shape(frame.many([(x * 0.93 + lit, y * 0.94 - 0.02) for x, y in skull]), look.skin, line=0)
        if look.species == "frog":
            for side in (-0.26, 0.26):
                canvas.disc(*frame.at(side + 0.12 * frame.yaw, -0.42), 0.17 * u, 0.17 * u, look.skin)
    if not frame.back:
        _face(canvas, look, emotion, frame)


def _ears(canvas: Canvas, look: Look, frame: HeadFrame) -> None:
    inner = shade(look.skin, 1.35)
    for side in (-1, 1):
        if look.species == "cat":
            canvas.polygon(frame.many([(side * 0.44, -0.06), (side * 0.46, -0.62), (side * 0.06, -0.42)]), look.skin)
            canvas.polygon(
                frame.many([(side * 0.38, -0.2), (side * 0.4, -0.5), (side * 0.18, -0.4)]), (238, 170, 160), line=0
            )
        elif look.species == "bear":
            canvas.disc(*frame.at(side * 0.36, -0.4), 0.17 * frame.u, 0.17 * frame.u, look.skin)
            canvas.disc(*frame.at(side * 0.36, -0.39), 0.09 * frame.u, 0.09 * frame.u, inner, line=0)
        else:
            lean = 0.1 * side
            canvas.shape(
                frame.many(
                    [(side * 0.1, -0.4), (side * 0.1 + lean, -0.95), (side * 0.24 + lean, -1.06), (side * 0.34, -0.38)]
                ),
                look.skin,
            )


def _face(canvas: Canvas, look: Look, emotion: Emotion, frame: HeadFrame) -> None:
    u, shift = frame.u, 0.16 * frame.yaw
    muzzle = look.species in ("cat", "bear", "rabbit")
    thin = max(1.0, canvas.line * 0.8)
    if muzzle:
        canvas.disc(*frame.at(shift * 1.5, 0.2), 0.25 * u, 0.18 * u, shade(look.skin, 1.45), line=0)
    if look.freckles:
        for dx in (-0.22, -0.16, 0.24, 0.3):
            canvas.disc(*frame.at(dx + shift, 0.13), 0.016 * u, 0.016 * u, shade(look.skin, 0.72), line=0)
    if emotion.valence > 0.6:
        for dx in (-0.24, 0.28):
            canvas.disc(*frame.at(dx + shift, 0.15), 0.08 * u, 0.05 * u, _blush(look.skin), line=0)
    _eyes(canvas, look, emotion, frame, shift, thin)
    _nose(canvas, look, frame, shift, thin)
    _mouth(canvas, look, emotion, frame, shift, thin)
    if look.beard:
        canvas.shape(
            frame.many([(-0.34 + shift, 0.2), (shift, 0.34), (0.34 + shift, 0.2), (0.24 + shift, 0.56), (-0.22, 0.56)]),
            look.hair_colour,
        )
        _mouth(canvas, look, emotion, frame, shift, thin)


def _eyes(canvas: Canvas, look: Look, emotion: Emotion, frame: HeadFrame, shift: float, thin: float) -> None:
    u = frame.u
    dark = luma(look.skin) < 90  # black dots would not show; such eyes have whites
    high = -0.42 if look.species == "frog" else -0.03
    for side, spread in ((-1, 0.17), (1, 0.17)):
        x = side * spread * (1.5 if look.species == "frog" else 1.0) + shift
        size = (0.1 if look.eyes != "round" else 0.115) * (1.12 if side * frame.yaw < 0 else 0.92)
        cx, cy = frame.at(x, high)
        if emotion.eyes < 0.15:
            lid = [frame.at(px, py) for px, py in arc(x, high + 0.02, size, 0.07, 200, 340, 6)]
            canvas.stroke(lid, thin * 1.3)
        elif look.species == "robot":
            canvas.disc(cx, cy, 0.11 * u, 0.11 * u * min(1.0, emotion.eyes), (255, 236, 140))
            canvas.disc(*frame.at(x + 0.03 * frame.yaw, high), 0.04 * u, 0.04 * u, canvas.ink, line=0)
        elif look.eyes == "dot" and look.species == "human" and not dark:
            tall = 0.075 * u * min(1.25, max(0.5, emotion.eyes))
            canvas.disc(cx, cy, 0.045 * u, tall, canvas.ink, line=0)
        else:
            tall = size * (1.25 if look.eyes == "oval" else 1.0) * emotion.eyes
            canvas.disc(cx, cy, size * u, tall * u, WHITE, line=thin * 0.8)
            pupil = 0.05 * u * (0.75 if emotion.eyes > 1.2 else 1.0)
            canvas.disc(
                *frame.at(x + 0.04 * (0.4 + frame.yaw), high + 0.01), pupil, min(pupil, tall * u), canvas.ink, line=0
            )
        brow = high - 0.17 - 0.08 * emotion.brow_raise
        tilt = 0.07 * emotion.brow_tilt * side
        if look.species != "robot" or abs(emotion.brow_tilt) > 0.3:
            ends = [frame.at(x - 0.1, brow - tilt), frame.at(x + 0.1, brow + tilt)]
            canvas.stroke([ends[0], ends[1]] if side > 0 else ends, thin * 1.7, shade(look.hair_colour, 0.5))
        if look.glasses:
            canvas.disc(cx, cy, 0.15 * u, 0.14 * u, None, line=thin)
    if look.glasses:
        canvas.stroke([frame.at(-0.02 + shift, high), frame.at(0.02 + shift, high)], thin)
        canvas.stroke([frame.at(-0.32 + shift, high), frame.at(-0.44, high - 0.03)], thin)


def _nose(canvas: Canvas, look: Look, frame: HeadFrame, shift: float, thin: float) -> None:
    u, tip = frame.u, shift * 1.4
    if look.species in ("cat", "rabbit"):
        canvas.polygon(
            frame.many([(tip - 0.05, 0.1), (tip + 0.05, 0.1), (tip, 0.16)]), (214, 110, 116), line=thin * 0.5
        )
        for side in (-1, 1):
            for dy in (0.16, 0.22):
                canvas.stroke(
                    [frame.at(tip + side * 0.16, dy), frame.at(tip + side * 0.48, dy * 1.2 - 0.05)], thin * 0.6
                )
    elif look.species == "bear":
        canvas.disc(*frame.at(tip, 0.12), 0.08 * u, 0.055 * u, canvas.ink, line=0)
    elif look.species == "bird":
        beak = (246, 160, 50)
        canvas.polygon(
            frame.many([(tip - 0.12, 0.06), (tip + 0.16, 0.02), (tip + 0.4, 0.16), (tip - 0.08, 0.24)]), beak
        )
    elif look.species == "human":
        if look.nose == "button":
            canvas.disc(*frame.at(tip, 0.11), 0.05 * u, 0.045 * u, shade(look.skin, 0.9), line=thin * 0.5)
        elif look.nose == "hook":
            canvas.stroke(frame.many([(tip - 0.02, 0.0), (tip + 0.09, 0.13), (tip - 0.01, 0.15)]), thin)
        elif look.nose == "long":
            canvas.shape(
                frame.many([(tip - 0.03, 0.0), (tip + 0.1, 0.08), (tip + 0.2, 0.15), (tip, 0.17)]), look.skin, line=thin
            )
        else:
            canvas.stroke([frame.at(tip, 0.04), frame.at(tip + 0.04, 0.13)], thin)


def _mouth(canvas: Canvas, look: Look, emotion: Emotion, frame: HeadFrame, shift: float, thin: float) -> None:
    x, y = shift * 1.3, 0.29 if look.species != "frog" else 0.14
    wide = (0.15 if look.species != "frog" else 0.34) * (1 + 0.2 * abs(emotion.curve))
    bend = 0.09 * emotion.curve
    if look.species == "robot":
        x0, y0, x1, y1 = _ordered(frame.at(x - 0.2, y - 0.05), frame.at(x + 0.2, y + 0.05 + 0.1 * emotion.opening))
        canvas.box(x0, y0, x1, y1, (60, 66, 74), line=thin)
        for step in range(1, 4):
            px = x0 + (x1 - x0) * step / 4
            canvas.stroke([(px, y0), (px, y1)], thin * 0.7, (190, 200, 206))
        return
    if look.species == "bird":
        return
    if emotion.opening > 0.15:
        drop = 0.05 + 0.18 * emotion.opening
        top = [(x - wide, y - bend * 0.6), (x, y + bend * 0.2), (x + wide, y - bend * 0.6)]
        bottom = [(x + wide * 0.55, y + drop * 0.8), (x, y + drop), (x - wide * 0.55, y + drop * 0.8)]
        if emotion.curve < 0.2:
            canvas.disc(
                *frame.at(x, y + drop * 0.3), wide * 0.6 * frame.u, drop * 0.8 * frame.u, (96, 26, 34), line=thin
            )
        else:
            canvas.shape(frame.many(top + bottom), (96, 26, 34), line=thin)
            canvas.shape(
                frame.many(
                    [
                        (x - wide * 0.4, y + drop * 0.7),
                        (x, y + drop * 0.5),
                        (x + wide * 0.4, y + drop * 0.7),
                        (x, y + drop * 0.95),
                    ]
                ),
                (226, 110, 110),
                line=0,
            )
    else:
        points = [
            (x - wide, y - bend),
            (x - wide * 0.4, y + bend * 0.6),
            (x + wide * 0.4, y + bend * 0.6),
            (x + wide, y - bend),
        ]
        canvas.stroke(frame.many(points), thin * 1.2)


def _rounded(half_width: float, half_height: float) -> list[Point]:
    """A rectangle with cut corners round the origin."""
    w, h, c = half_width, half_height, 0.1
    return [(-w + c, -h), (w - c, -h), (w, -h + c), (w, h - c), (w - c, h), (-w + c, h), (-w, h - c), (-w, -h + c)]


def _ordered(first: Point, second: Point) -> tuple[float, float, float, float]:
    """Corners of the rectangle between two points."""
    return min(first[0], second[0]), min(first[1], second[1]), max(first[0], second[0]), max(first[1], second[1])


def _blush(skin: Colour) -> Colour:
    return (min(255, int(skin[0] * 0.9 + 26)), int(skin[1] * 0.72), int(skin[2] * 0.72))
