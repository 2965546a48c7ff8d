"""Whole figures: limbs, torso, clothes, head; each part on its own depth layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from comictool.drawn.canvas import Canvas, Point
from comictool.drawn.characters import Costume, Look
from comictool.drawn.colours import Colour, mix, shade
from comictool.drawn.hair import draw_back_hair, draw_front_hair
from comictool.drawn.head import HeadFrame, draw_head
from comictool.drawn.poses import Emotion, Pose

# How much nearer or farther than the figure itself its parts are, as share of the whole depth range. Small, so
# that two figures one behind the other never interleave; different, so that order within a figure has a truth.
PART_STEP = 0.004
_SHADOW = 0.82  # brightness of the side away from the light


@dataclass
class Figure:
    """A character in a panel. `x` and `ground` (fine pixels) are where it stands; `u` is the height of its head."""

    look: Look
    costume: Costume
    pose: Pose
    emotion: Emotion
    x: float
    ground: float
    u: float
    flip: int
    depth: float
    back: bool = False
    yaw: float = 0.35


@dataclass
class Anatomy:
    """Where the parts of a figure came to lie, in fine pixels."""

    head: Point
    mouth: Point
    bounds: tuple[float, float, float, float]


def standing_height(look: Look, pose: Pose, u: float) -> float:
    """From the ground to the top of the head, in fine pixels."""
    legs, torso, _ = _lengths(look)
    return u * (_reach(pose, legs) + torso + 1.0)


def draw_figure(canvas: Canvas, figure: Figure, owner: int) -> Anatomy:
    """Draw a figure from its far arm to its near arm.

    Args:
        canvas: where.
        figure: who and how.
        owner: index that the layers are marked with.
    """
    look, costume, pose, u = figure.look, figure.costume, figure.pose, figure.u
    legs, torso, arms = _lengths(look)
    hip = (figure.x, figure.ground - _reach(pose, legs) * u)
    lean = math.radians(pose.lean) * figure.flip
    neck = (hip[0] + math.sin(lean) * torso * u, hip[1] - math.cos(lean) * torso * u)
    frame = HeadFrame(neck[0] + 0.06 * u * figure.flip, neck[1] - 0.42 * u, u, figure.flip, figure.yaw, figure.back)
    metal = look.species == "robot"
    sleeve = shade(look.skin, 0.8) if metal else costume.top_colour
    thick = (0.2 if look.species != "bear" else 0.26) * u
    shoulder = look.shoulders * 0.82 * u

    def arm(angles: tuple[float, float], side: int, colour: Colour) -> list[Point]:
        start = (neck[0] + side * shoulder * figure.flip, neck[1] + 0.17 * u)
        points = _chain(start, angles, arms * u, figure.flip)
        canvas.limb(points, thick, colour, shadow=shade(colour, _SHADOW))
        if costume.top in ("tee", "vest", "dress") and not metal:
            canvas.limb(points[1:], thick * 0.86, look.skin, shadow=shade(look.skin, _SHADOW))
        canvas.disc(*points[-1], 0.13 * u, 0.13 * u, look.skin if not metal else shade(look.skin, 0.6))
        return points

    def leg(angles: tuple[float, float], side: int, colour: Colour) -> list[Point]:
        start = (hip[0] + side * look.hips * 0.5 * u, hip[1])
        points = _chain(start, angles, legs * u, figure.flip)
        bare = costume.legs in ("shorts", "skirt") or costume.top in ("dress", "robe")
        if bare and not metal:
            canvas.limb(points, thick * 0.95, look.skin, shadow=shade(look.skin, _SHADOW))
            if costume.legs == "shorts":
                canvas.limb(points[:2], thick * 1.3, colour)
        else:
            canvas.limb(points, thick * 1.15, colour, shadow=shade(colour, _SHADOW))
        foot = points[-1]
        canvas.limb(
            [(foot[0], foot[1] - 0.05 * u), (foot[0] + 0.2 * u * figure.flip, foot[1] - 0.04 * u)],
            0.17 * u,
            costume.shoes,
        )
        return points

    def layer(part: str, step: int) -> None:
        canvas.begin("character", min(1.0, max(0.0, figure.depth + step * PART_STEP)), owner=owner, part=part)

    layer("far limbs", 2)
    cloth = shade(look.skin, 0.72) if metal else costume.legs_colour
    placed = arm(pose.far_arm, 1, mix(sleeve, (20, 20, 40), 0.22))
    placed += leg(pose.far_leg, 1, mix(cloth, (20, 20, 40), 0.22))
    if look.species == "cat":
        tail = [
            (hip[0] - dx * u * figure.flip, hip[1] - dy * u)
            for dx, dy in ((0.2, 0.0), (0.6, 0.05), (0.8, 0.4), (0.7, 0.7))
        ]
        canvas.limb(tail, 0.14 * u, look.skin)
        placed += tail
    layer("hair", 1)
    draw_back_hair(canvas, look, frame)
    layer("body", 0)
    placed += leg(pose.near_leg, -1, cloth)
    canvas.limb([neck, (frame.x, frame.y + 0.3 * u)], 0.2 * u, look.skin)
    placed += _torso(canvas, figure, neck, hip, sleeve)
    layer("face" if not figure.back else "head", -1)
    draw_head(canvas, look, figure.emotion, frame)
    layer("hair", -2)
    draw_front_hair(canvas, look, costume, frame)
    layer("near limbs", -3)
    placed += arm(pose.near_arm, -1, sleeve)
    placed += [frame.at(-0.6, -0.6), frame.at(0.6, 0.55)]
    xs, ys = [p[0] for p in placed], [p[1] for p in placed]
    margin = 0.15 * u
    return Anatomy(
        head=(frame.x, frame.y),
        mouth=frame.at(0.16 * figure.yaw, 0.3),
        bounds=(min(xs) - margin, min(ys) - margin, max(xs) + margin, max(ys) + margin),
    )


def _lengths(look: Look) -> tuple[float, float, float]:
    """Leg, torso and arm length in heads."""
    rest = look.height - 1.0
    return rest * 0.54, rest * 0.46, rest * 0.5


def _reach(pose: Pose, legs: float) -> float:
    """How far below the hip the lowest foot is, in heads."""
    return max(_chain((0.0, 0.0), angles, legs, 1)[-1][1] for angles in (pose.near_leg, pose.far_leg))


def _chain(start: Point, angles: tuple[float, float], length: float, flip: int) -> list[Point]:
    """Joints of a limb of two equal bones."""
    points = [start]
    total = 0.0
    for angle in angles:
        total += math.radians(angle)
        x, y = points[-1]
        points.append((x + math.sin(total) * length / 2 * flip, y + math.cos(total) * length / 2))
    return points


def _torso(canvas: Canvas, figure: Figure, neck: Point, hip: Point, colour: Colour) -> list[Point]:
    """The trunk with its garment; returns the outline."""
    look, costume, u = figure.look, figure.costume, figure.u
    top, bottom = look.shoulders * u, look.hips * u
    down = {"coat": 0.5, "dress": 0.62, "robe": 0.95, "hoodie": 0.14}.get(costume.top, 0.06) * u
    flare = {"coat": 1.2, "dress": 1.7, "robe": 1.35}.get(costume.top, 1.0)
    if look.species == "robot":
        down, flare = 0.1 * u, 1.0
    hem = hip[1] + down
    left_top, right_top = (neck[0] - top, neck[1] + 0.16 * u), (neck[0] + top, neck[1] + 0.16 * u)
    right_hem, left_hem = (hip[0] + bottom * flare, hem), (hip[0] - bottom * flare, hem)
    outline = [
        (neck[0] - top * 0.45, neck[1] + 0.02 * u),
        (neck[0] + top * 0.45, neck[1] + 0.02 * u),
        right_top,
        right_hem,
        left_hem,
        left_top,
    ]
    if costume.legs == "skirt" and costume.top in ("tee", "vest", "hoodie") and look.species != "robot":
        skirt = [
            (hip[0] - bottom, hip[1] - 0.1 * u),
            (hip[0] + bottom, hip[1] - 0.1 * u),
            (hip[0] + bottom * 1.5, hip[1] + 0.5 * u),
            (hip[0] - bottom * 1.5, hip[1] + 0.5 * u),
        ]
        canvas.polygon(skirt, costume.legs_colour)
    elif look.species != "robot":
        canvas.limb([(hip[0] - bottom * 0.6, hip[1]), (hip[0] + bottom * 0.6, hip[1])], 0.3 * u, costume.legs_colour)
    canvas.polygon(outline, colour, line=0)

    def across(t: float) -> tuple[Point, Point]:
        left = (left_top[0] + (left_hem[0] - left_top[0]) * t, left_top[1] + (left_hem[1] - left_top[1]) * t)
        right = (right_top[0] + (right_hem[0] - right_top[0]) * t, right_top[1] + (right_hem[1] - right_top[1]) * t)
        return left, right

    _pattern(canvas, figure, across, u)
    dark = [
        _lerp(*across(0.0), 0.74),
        _lerp(*across(0.5), 0.8),
        _lerp(*across(1.0), 0.72),
        across(1.0)[1],
        across(0.0)[1],
    ]
    canvas.dim(dark, 46)
    canvas.stroke([*outline, outline[0], outline[1]], canvas.line)
    if costume.scarf:
        canvas.limb(
            [(neck[0] - 0.26 * u, neck[1] + 0.06 * u), (neck[0] + 0.26 * u, neck[1] + 0.06 * u)], 0.2 * u, costume.scarf
        )
        back = -figure.flip
        canvas.limb(
            [(neck[0] + 0.2 * u * back, neck[1] + 0.1 * u), (neck[0] + 0.34 * u * back, neck[1] + 0.6 * u)],
            0.15 * u,
            costume.scarf,
        )
    return outline


def _pattern(canvas: Canvas, figure: Figure, across: Callable[[float], tuple[Point, Point]], u: float) -> None:
    """What is printed or sewn on the garment; `across` gives the two edges of the trunk at a height of 0..1."""
    costume = figure.costume
    colour = costume.pattern_colour
    if figure.look.species == "robot":
        (lx, ly), (rx, _) = across(0.35)
        cx = (lx + rx) / 2
        canvas.box(
            cx - 0.2 * u,
            ly - 0.12 * u,
            cx + 0.2 * u,
            ly + 0.2 * u,
            shade(figure.look.skin, 1.4),
            line=canvas.line * 0.7,
        )
        canvas.disc(cx - 0.08 * u, ly + 0.04 * u, 0.05 * u, 0.05 * u, costume.top_colour, line=0)
        canvas.disc(cx + 0.08 * u, ly + 0.04 * u, 0.05 * u, 0.05 * u, costume.pattern_colour, line=0)
        return
    if costume.pattern == "stripes":
        for t in (0.12, 0.36, 0.6, 0.84):
            first, second = across(t), across(min(1.0, t + 0.11))
            canvas.polygon([*first, second[1], second[0]], colour, line=0)
    elif costume.pattern == "diagonal":
        canvas.polygon(
            [across(0.0)[0], _lerp(*across(0.0), 0.3), across(1.0)[1], _lerp(*across(1.0), 0.7)], colour, line=0
        )
    elif costume.pattern == "yoke":
        canvas.polygon([*across(0.0), across(0.28)[1], across(0.28)[0]], colour, line=0)
    elif costume.pattern == "dots":
        for t in (0.15, 0.4, 0.65, 0.9):
            for s in (0.2, 0.5, 0.8) if round(t * 20) % 2 else (0.35, 0.65):
                canvas.disc(*_lerp(*across(t), s), 0.055 * u, 0.055 * u, colour, line=0)
    elif costume.pattern == "star":
        cx, cy = _lerp(*across(0.35), 0.5)
        points = []
        for i in range(10):
            r = (0.2 if i % 2 == 0 else 0.085) * u
            angle = math.radians(36 * i - 90)
            points.append((cx + r * math.cos(angle), cy + r * math.sin(angle)))
        canvas.polygon(points, colour, line=0)
    elif costume.pattern == "buttons":
        canvas.stroke([_lerp(*across(0.0), 0.5), _lerp(*across(1.0), 0.5)], canvas.line * 0.7)
        for t in (0.2, 0.45, 0.7):
            canvas.disc(*_lerp(*across(t), 0.56), 0.04 * u, 0.04 * u, colour, line=0)
    if costume.top == "vest":
        canvas.polygon(
            [_lerp(*across(0.0), 0.36), _lerp(*across(0.0), 0.64), _lerp(*across(1.0), 0.5)], (244, 240, 230), line=0
        )
    if costume.top in ("coat", "robe"):
        canvas.stroke([_lerp(*across(0.0), 0.5), _lerp(*across(1.0), 0.52)], canvas.line)
    if costume.top == "hoodie":
        upper, lower = across(0.66), across(0.9)
        canvas.stroke(
            [_lerp(*lower, 0.2), _lerp(*upper, 0.28), _lerp(*upper, 0.72), _lerp(*lower, 0.8)], canvas.line * 0.7
        )


def _lerp(first: Point, second: Point, share: float) -> Point:
    return (first[0] + (second[0] - first[0]) * share, first[1] + (second[1] - first[1]) * share)
