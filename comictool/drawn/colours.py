"""Colours as plain RGB triples, and the light of a time of day."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

Colour: TypeAlias = tuple[int, int, int]

INK: Colour = (22, 20, 26)
WHITE: Colour = (255, 255, 255)
CREAM: Colour = (250, 243, 224)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """`first` with `share` (0..1) of `second` in it."""
    keep = 1.0 - share
    return (
        int(first[0] * keep + second[0] * share),
        int(first[1] * keep + second[1] * share),
        int(first[2] * keep + second[2] * share),
    )


def shade(colour: Colour, factor: float) -> Colour:
    """Darker (`factor` below 1) or lighter, towards white (above 1)."""
    return mix((0, 0, 0), colour, factor) if factor <= 1 else mix(colour, WHITE, min(1.0, factor - 1.0))


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """A colour from hue, saturation and value, each 0..1 (hue wraps)."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return (int(red * 255), int(green * 255), int(blue * 255))


def luma(colour: Colour) -> float:
    """Brightness 0..255 (ITU-R BT.601 weights)."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


@dataclass(frozen=True)
class Light:
    """The light of a scene: sky at the top and at the horizon, and the tint that everything outdoors takes."""

    name: str
    sky_top: Colour
    sky_low: Colour
    tint: Colour
    tint_share: float
    haze: Colour  # what far things fade into
    hour: float | None = None  # of a story's day; None: a time of day that stays

    def on(self, colour: Colour, distance: float = 0.0) -> Colour:
        """A local colour under this light at a distance of 0 (here) to 1 (horizon)."""
        return mix(mix(colour, self.tint, self.tint_share), self.haze, 0.55 * distance)


LIGHTS = {
    "day": Light("day", (122, 190, 232), (214, 238, 246), (255, 255, 245), 0.04, (206, 228, 238)),
    "morning": Light("morning", (158, 206, 226), (255, 232, 196), (255, 226, 170), 0.12, (246, 226, 204)),
    "dusk": Light("dusk", (120, 88, 150), (250, 168, 112), (236, 120, 90), 0.22, (222, 146, 128)),
    "night": Light("night", (24, 30, 68), (62, 78, 132), (44, 56, 116), 0.42, (70, 84, 138)),
    "rain": Light("rain", (126, 140, 154), (184, 194, 200), (130, 146, 160), 0.26, (172, 184, 192)),
}
# The day of a story, from its first panel (0) to its last (1).
_DAY = ((0.0, "morning"), (0.35, "day"), (0.7, "dusk"), (1.0, "night"))


def light_at(hour: float) -> Light:
    """The light between two times of a story's day; 0 is its morning, 1 its night."""
    early, late, share = _between(hour)
    first, second = LIGHTS[early], LIGHTS[late]
    return Light(
        (first if share < 0.5 else second).name,  # sun, stars and lamps are those of the nearer time
        mix(first.sky_top, second.sky_top, share),
        mix(first.sky_low, second.sky_low, share),
        mix(first.tint, second.tint, share),
        first.tint_share + share * (second.tint_share - first.tint_share),
        mix(first.haze, second.haze, share),
        min(1.0, max(0.0, hour)),
    )


# What of white is left in each light of a story: it falls on people and things, not only on the sky.
_FALLING: dict[str, Colour] = {
    "morning": (255, 244, 222),
    "day": (255, 255, 255),
    "dusk": (236, 176, 150),
    "night": (118, 128, 178),
}


def white_at(hour: float) -> Colour:
    """What white paper looks like at an hour of a story's day."""
    first, second, share = _between(hour)
    return mix(_FALLING[first], _FALLING[second], share)


def _between(hour: float) -> tuple[str, str, float]:
    """The times of day before and after an hour, and the share of the later one."""
    hour = min(1.0, max(0.0, hour))
    (begin, early), (end, late) = next((a, b) for a, b in pairwise(_DAY) if hour <= b[0])
    return early, late, (hour - begin) / (end - begin)
