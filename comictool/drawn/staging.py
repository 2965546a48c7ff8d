"""Staging: how near the camera is, who stands where, how large, facing whom."""

from __future__ import annotations

import random

from comictool.drawn.characters import make_extra
from comictool.drawn.figure import Figure, standing_height
from comictool.drawn.plan import ComicPlan
from comictool.drawn.poses import EMOTIONS, POSES
from comictool.drawn.scenery import Camera, Floor
from comictool.drawn.script import Beat

# Per shot: horizon as share of the height (from, to), zoom of the place, depth of the floor at the bottom edge.
CAMERA = {
    "long": (0.42, 0.58, 0.75, 0.25),
    "full": (0.50, 0.64, 1.0, 0.18),
    "medium": (0.58, 0.72, 1.5, 0.5),
    "close": (0.64, 0.8, 2.1, 0.65),
}
FAR = 0.9  # depth of the floor at the horizon; walls and far things lie between this and the sky at 1
RISE = 30  # how far figures may stand out over the frame, thousandths of the page width
_APART = 0.03  # between the depths of two figures; their parts take 0.012 before and 0.008 behind
# Places with passers-by, and between which rows of the floor they walk (world y): in front of the houses and trees.
_CROWDS = {"city": (0.1, 0.2), "hills": (0.16, 0.24), "forest": (0.13, 0.2), "harbour": (0.3, 0.38)}


def choose_shot(rng: random.Random, count: int, aspect: float, side: float) -> str:
    """A shot that suits how many are in the panel, its width to height, and its shorter side."""
    if count == 0:
        return rng.choice(("long", "full"))
    if side < 420 and count == 1:
        return rng.choice(("full", "medium", "medium", "close"))
    if count == 1:
        return rng.choice(("long", "full", "full", "medium", "medium", "close"))
    if count == 2:
        return (
            rng.choice(("long", "full", "full", "medium", "medium")) if aspect > 0.7 else rng.choice(("full", "long"))
        )
    return rng.choice(("long", "full", "full", "medium")) if aspect > 1.1 else rng.choice(("full", "long"))


def place_figures(
    plan: ComicPlan,
    rng: random.Random,
    beat: Beat,
    roles: list[int],
    shot: str,
    floor: Floor,
    inner: tuple[int, int, int],
    costume: int,
    *,
    breaking: bool = False,
) -> list[Figure]:
    """Where everybody stands, how large, facing whom. The first to speak stands on the side where reading begins."""
    pad, w, h = inner
    count = len(roles)
    figures = []
    crowd = rng.uniform(0.62, 0.92)
    off = rng.uniform(-0.06, 0.06) * w if count > 1 else rng.uniform(-0.16, 0.16) * w
    talk = 0.1 if beat.lines else 0.0
    for index, role in enumerate(roles):
        look = plan.cast[role]
        pose = POSES[beat.poses.get(role, rng.choice(("stand", "hips", "think", "fold")))]
        emotion = EMOTIONS[beat.emotions.get(role, rng.choice(("neutral", "calm", "worry")))]
        slot = (index + 0.5) / count
        share = 0.5 + (slot - 0.5) * (1.0 if count == 1 else crowd)
        if plan.direction == "rtl":
            share = 1 - share
        x = pad + w * share + off + rng.uniform(-0.03, 0.03) * w
        heads = standing_height(look, pose, 1.0)
        widest = w / (1.5 * count + 0.4)
        if shot in ("long", "full"):
            tall = h * (rng.uniform(0.3, 0.42) if shot == "long" else rng.uniform(0.62, 0.74) - talk)
            row = pad + h * rng.uniform(0.86, 0.97)
            if shot == "long":
                row = max(floor.horizon + 0.12 * h, pad + h * rng.uniform(0.72, 0.94))
            u = min(tall / (0.5 * look.height + 0.5 * 4.0), widest)
            u *= 1 + 0.5 * (row - pad - 0.9 * h) / h
            if breaking:  # the head rises over the upper frame
                hat = 0.6 if look.costumes[costume % len(look.costumes)].hat else 0.15
                u = min((row - 0.45 * pad) / (heads + hat), 1.3 * widest)
            depth = floor.depth(row)
        else:
            u = min(
                h * (rng.uniform(0.24, 0.32) if shot == "medium" else rng.uniform(0.46, 0.56)), widest * 1.5, w * 0.62
            )
            top = h * (0.26 + talk) if shot == "medium" else h * (0.2 + talk)
            top = max(top, h * 0.97 - u * (2.6 if shot == "medium" else 1.5))
            row = pad + top + heads * u
            depth = 0.3 - 0.25 * (u / h - 0.25) + 0.012 * index
        if count == 1:
            flip = rng.choice((-1, 1)) if abs(share - 0.5) < 0.08 else (1 if share < 0.5 else -1)
        else:
            flip = 1 if share < 0.5 else -1
        figures.append(
            Figure(
                look=look,
                costume=look.costumes[costume % len(look.costumes)],
                pose=pose,
                emotion=emotion,
                x=x,
                ground=row,
                u=u,
                flip=flip,
                depth=max(0.06, depth),
                back=beat.turned and rng.random() < 0.2,
                yaw=rng.choice((0.15, 0.4, 0.6, 0.8)),
            )
        )
    return apart(figures)


def place_extras(rng: random.Random, setting: str, camera: Camera, floor: Floor, nearest: float) -> list[Figure]:
    """Passers-by in the distance, who belong to no cast.

    Args:
        rng: the panel's stream.
        setting: only some places have any.
        camera, floor: of the panel.
        nearest: depth that they must stay behind.
    """
    if setting not in _CROWDS or rng.random() > 0.4:
        return []
    low, high = _CROWDS[setting]
    figures = []
    for _ in range(rng.choice((1, 1, 2, 3))):
        x, y = camera.at(camera.x + rng.uniform(-0.7, 0.7), rng.uniform(low, high))
        look = make_extra(rng)
        u = 0.34 * camera.unit * (0.16 + (y - camera.horizon) / camera.unit) / look.height * 2
        pose, emotion = POSES[rng.choice(("walk", "stand", "hips"))], EMOTIONS[rng.choice(("neutral", "calm", "tired"))]
        figure = Figure(
            look=look,
            costume=look.costumes[0],
            pose=pose,
            emotion=emotion,
            x=x,
            ground=y,
            u=u,
            flip=rng.choice((-1, 1)),
            depth=floor.depth(y),
            yaw=0.6,
        )
        if figure.depth > nearest + _APART:
            figures.append(figure)
    return figures


def apart(figures: list[Figure]) -> list[Figure]:
    """Give figures at one depth an order: keep them a whole figure's parts from each other."""
    before = 0.0
    for figure in sorted(figures, key=lambda f: f.depth):
        figure.depth = max(figure.depth, before + _APART)
        before = figure.depth
    return figures
