"""The sun of a story: where it stands in a panel at an hour, and how its light falls off across the panel.

The way goes from the left edge to the right, whichever way a comic is read: low in the morning, high at midday, low
again, and the moon ends it. Light is brightest about it and falls off to the other side, on people and things too, so
that the hour can be seen behind figures and balloons, in close shots, and in print that knows black and white only.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from comictool.drawn.colours import white_at

SHADE = 0.72  # of the light that is missing where the sun is farthest
REACH = 0.62  # in sides of the panel, from the sun to where it is as dark as it gets


def sun_at(hour: float) -> tuple[float, float]:
    """Where the sun stands, as shares of a panel's width and of the sky's height; 0, 0 is the upper left corner.

    Args:
        hour: of a story's day, 0 its morning, 1 its night; beyond these it stays where it ends.
    """
    hour = min(1.0, max(0.0, hour))
    return 0.12 + 0.76 * hour, 0.78 - 0.58 * 4 * hour * (1 - hour)


def in_daylight(picture: Image.Image, hour: float) -> Image.Image:
    """A panel's picture (RGB) in the light of an hour: the hour's colour, and less of it away from the sun."""
    sun_x, sun_y = sun_at(hour)
    across = (np.arange(picture.width) + 0.5) / picture.width - sun_x
    down = (np.arange(picture.height) + 0.5) / picture.height - 0.5 * sun_y  # the sky is the upper half, roughly
    # Height counts half: half the panels show no sky, and the way goes from side to side.
    away = np.minimum(1.0, (across**2 + 0.25 * down[:, None] ** 2) / REACH**2)
    light = (1 - SHADE * away)[..., None] * (np.array(white_at(hour)) / 255)
    return Image.fromarray((np.asarray(picture) * light).astype(np.uint8))
