"""Who a character is: the parameters that stay the same from panel to panel, and the costumes that may change."""

from __future__ import annotations

import random
from dataclasses import dataclass

from comictool.drawn.colours import Colour, hsv, shade
from comictool.drawn.words import NAMES

SPECIES = ("human", "cat", "robot", "bear", "frog", "bird", "rabbit")
HEADS = ("round", "oval", "square", "pear", "long", "heart")
HAIR = ("bob", "long", "spiky", "bun", "ponytail", "mohawk", "curly", "buzz", "bald", "braids", "quiff")
HATS = ("", "", "", "cap", "beanie", "tophat", "witch", "bow", "helmet")
TOPS = ("tee", "coat", "dress", "hoodie", "vest", "robe")
PATTERNS = ("plain", "plain", "stripes", "dots", "star", "buttons", "diagonal", "yoke")
LEGS = ("trousers", "trousers", "shorts", "skirt")
SKINS: tuple[Colour, ...] = (
    (255, 224, 196),
    (246, 203, 166),
    (226, 172, 126),
    (190, 132, 88),
    (142, 92, 62),
    (98, 64, 48),
)
HAIR_COLOURS: tuple[Colour, ...] = (
    (36, 30, 36),
    (84, 52, 34),
    (150, 90, 44),
    (232, 190, 88),
    (206, 84, 40),
    (150, 148, 156),
    (92, 74, 150),
    (60, 132, 140),
    (222, 104, 146),
    (240, 236, 226),
)
FUR: dict[str, tuple[Colour, ...]] = {
    "cat": ((240, 158, 74), (92, 88, 100), (238, 230, 218), (60, 54, 62), (200, 170, 130)),
    "bear": ((150, 98, 60), (236, 228, 214), (92, 66, 54), (196, 150, 96)),
    "frog": ((118, 186, 92), (70, 150, 120), (176, 190, 70)),
    "bird": ((246, 206, 80), (92, 150, 206), (226, 100, 84), (240, 240, 236)),
    "rabbit": ((232, 222, 214), (178, 160, 150), (214, 184, 150)),
    "robot": ((176, 190, 200), (206, 176, 96), (140, 170, 160), (196, 120, 100)),
}


@dataclass(frozen=True)
class Costume:
    """What a character wears: shapes, colours, pattern."""

    top: str
    top_colour: Colour
    pattern: str
    pattern_colour: Colour
    legs: str
    legs_colour: Colour
    shoes: Colour
    hat: str
    hat_colour: Colour
    scarf: Colour | None


@dataclass(frozen=True)
class Look:
    """One character. Lengths are in heads: `height` of the whole figure, `shoulders` and `hips` half widths."""

    name: str
    identity: str
    species: str
    skin: Colour
    head: str
    hair: str
    hair_colour: Colour
    eyes: str
    nose: str
    glasses: bool
    beard: bool
    freckles: bool
    height: float
    shoulders: float
    hips: float
    costumes: tuple[Costume, ...]


def make_cast(rng: random.Random, size: int, series: str) -> list[Look]:
    """A cast whose members differ in species, hair, hat and main colour, so that each is recognisable.

    Args:
        rng: the stream of the series.
        size: how many; the first is the hero.
        series: prefix of the identities, so that equal first names of two series stay two people.
    """
    names = rng.sample(NAMES, size)
    hues = _spread(rng, size)
    hair = rng.sample(HAIR, min(size, len(HAIR)))
    tints = rng.sample(HAIR_COLOURS, min(size, len(HAIR_COLOURS)))
    others = rng.sample(SPECIES[1:], len(SPECIES) - 1)
    cast = []
    for index, name in enumerate(names):
        human = rng.random() < 0.58 if index else rng.random() < 0.8
        species = "human" if human else others[index % len(others)]
        costumes = tuple(_costume(rng, hues[index] + (0.0 if n == 0 else 0.45)) for n in range(2))
        skin = rng.choice(SKINS) if species == "human" else rng.choice(FUR[species])
        cast.append(
            Look(
                name=name,
                identity=f"{series}-{name.lower()}",
                species=species,
                skin=skin,
                head=rng.choice(HEADS) if species != "robot" else "square",
                hair=hair[index % len(hair)] if species == "human" else "none",
                hair_colour=tints[index % len(tints)],
                eyes=rng.choice(("dot", "oval", "round", "round")),
                nose=rng.choice(("button", "hook", "line", "long")),
                glasses=rng.random() < 0.2,
                beard=species == "human" and rng.random() < 0.16,
                freckles=species == "human" and rng.random() < 0.2,
                height=rng.uniform(2.9, 4.4) if species == "human" else rng.uniform(2.5, 3.4),
                shoulders=rng.uniform(0.42, 0.64),
                hips=rng.uniform(0.34, 0.56),
                costumes=costumes,
            )
        )
    return cast


def make_extra(rng: random.Random) -> Look:
    """A passer-by, who has no identity that lasts."""
    (look,) = make_cast(rng, 1, "extra")
    return look


def _costume(rng: random.Random, hue: float) -> Costume:
    strong = hsv(hue + rng.uniform(-0.02, 0.02), rng.uniform(0.45, 0.75), rng.uniform(0.62, 0.94))
    second = hsv(hue + rng.choice((0.5, 0.42, 0.58, 0.08)), rng.uniform(0.3, 0.75), rng.uniform(0.55, 0.98))
    top = rng.choice(TOPS)
    return Costume(
        top=top,
        top_colour=strong,
        pattern=rng.choice(PATTERNS),
        pattern_colour=rng.choice((second, shade(strong, 1.6), (250, 246, 236))),
        legs="trousers" if top == "coat" else rng.choice(LEGS),
        legs_colour=rng.choice((shade(second, 0.6), (62, 70, 96), (92, 72, 58), (70, 66, 74))),
        shoes=rng.choice(((70, 46, 36), (40, 38, 46), (190, 60, 52), (238, 234, 226))),
        hat=rng.choice(HATS),
        hat_colour=rng.choice((second, shade(strong, 0.6))),
        scarf=second if rng.random() < 0.22 else None,
    )


def _spread(rng: random.Random, size: int) -> list[float]:
    """Hues evenly round the wheel from a random start, in random order."""
    start = rng.random()
    hues = [(start + i / size) % 1.0 for i in range(size)]
    rng.shuffle(hues)
    return hues
