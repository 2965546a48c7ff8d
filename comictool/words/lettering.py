"""What kind of text a block is, by its letters and what is drawn around them: dialogue, narration or a sound.

A guess: sounds are few large letters, or one word again and again; narration stands in a box with corners, which fills
its own bounding box where a balloon, an ellipse, fills .79 of it. Thoughts are not told from dialogue.
"""

from __future__ import annotations

import numpy as np

from comictool.corpus.records import Box

LARGE = 1.7  # letters of sounds, in those of the page
FEW_WORDS = 2  # of a sound
BOX = 0.93  # share of its bounding box that a caption's ground fills
AROUND = 2.0  # letters around a block in which its balloon is looked for; wider ones count as no box
ALIKE = 28  # of 255, from the ground's colour


def kind_of(text: str, size: float, usual: float, picture: np.ndarray, box: Box) -> str:
    """One of `comictool.corpus.records.TEXT_KINDS`.

    Args:
        text: the words.
        size: of its letters, in pixels.
        usual: that of the page's letters.
        picture: (H, W, 3) uint8, the page.
        box: of the block on it.
    """
    words = [word for word in text.lower().split() if any(letter.isalnum() for letter in word)]
    if len(words) >= 2 and len({word.strip(".,!?~-") for word in words}) == 1:
        return "sfx"
    if len(words) <= FEW_WORDS and size >= LARGE * usual:
        return "sfx"
    return "narration" if len(words) > FEW_WORDS and _in_box(picture, box, size) else "dialogue"


def _in_box(picture: np.ndarray, box: Box, size: float) -> bool:
    """Whether the even ground that a block stands on is a rectangle, closed on all sides."""
    from scipy.ndimage import binary_fill_holes, label

    height, width = picture.shape[:2]
    reach = max(4, round(AROUND * size))
    x0, y0 = max(0, box[0] - reach), max(0, box[1] - reach)
    x1, y1 = min(width, box[2] + reach), min(height, box[3] + reach)
    part = picture[y0:y1, x0:x1].astype(np.int16)
    inner = part[box[1] - y0 : box[3] - y0, box[0] - x0 : box[2] - x0].reshape(-1, 3)
    ground = np.median(inner, axis=0)  # letters cover less than half of their box
    even = (np.abs(part - ground) <= ALIKE).all(axis=2)
    regions, count = label(even)
    if not count:
        return False
    sizes = np.bincount(regions[box[1] - y0 : box[3] - y0, box[0] - x0 : box[2] - x0].ravel(), minlength=count + 1)
    region = binary_fill_holes(regions == 1 + int(sizes[1:].argmax()))
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    if min(rows[0], columns[0]) == 0 or rows[-1] == len(region) - 1 or columns[-1] == region.shape[1] - 1:
        return False
    around = region[box[1] - y0 : box[3] - y0, box[0] - x0 : box[2] - x0]
    if around.mean() < BOX:  # a spot among letters that stand on a drawing
        return False
    frame = region[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return bool(frame.mean() >= BOX)
