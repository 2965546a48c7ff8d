"""What a figure does and feels: joint angles of poses, faces of emotions."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pose:
    """Joint angles in degrees. A limb hangs down at 0 and swings forward (to where the figure faces) with plus.

    Each limb is (upper, lower): the lower angle is added to the upper one.
    """

    name: str
    near_arm: tuple[float, float]
    far_arm: tuple[float, float]
    near_leg: tuple[float, float]
    far_leg: tuple[float, float]
    lean: float = 0.0


@dataclass(frozen=True)
class Emotion:
    """A face. Valence and arousal in -1..1 (circumplex of affect, Russell 1980); the rest moves the features.

    Brows: tilt (plus = angry), raise; eyes: 0 shut .. 1.3 wide; mouth: curve (plus = smile), opening.
    """

    name: str
    valence: float
    arousal: float
    brow_tilt: float
    brow_raise: float
    eyes: float
    curve: float
    opening: float


POSES = {
    pose.name: pose
    for pose in (
        Pose("stand", (-16, 10), (16, -8), (7, 0), (-8, 0)),
        Pose("walk", (-32, 22), (30, 24), (26, -6), (-22, -24), 3),
        Pose("run", (-55, 75), (62, 80), (58, -48), (-38, -62), 14),
        Pose("point", (-18, 12), (88, 2), (8, 0), (-10, 0), 3),
        Pose("wave", (-16, 10), (128, 38), (7, 0), (-8, 0)),
        Pose("cheer", (-142, -20), (142, 20), (14, -4), (-16, 4)),
        Pose("think", (26, 126), (30, 62), (6, 0), (-8, 0), -2),
        Pose("hips", (-48, 96), (48, -96), (10, 0), (-12, 0)),
        Pose("shrug", (-40, -78), (46, 82), (7, 0), (-8, 0)),
        Pose("reach", (56, 30), (92, -4), (24, -6), (-18, -8), 12),
        Pose("cower", (20, 128), (46, 104), (34, -48), (10, -40), -10),
        Pose("fold", (16, 84), (30, 70), (8, 0), (-10, 0), -2),
        Pose("crouch", (38, 30), (26, 40), (78, -104), (40, -92), 16),
        Pose("sit", (20, 44), (30, 34), (84, -82), (76, -78), -4),
        Pose("jump", (-118, -36), (124, 30), (44, -70), (-12, -56), 6),
    )
}

EMOTIONS = {
    emotion.name: emotion
    for emotion in (
        Emotion("neutral", 0.0, -0.1, 0.0, 0.0, 0.9, 0.15, 0.0),
        Emotion("joy", 0.8, 0.4, -0.1, 0.3, 1.0, 1.0, 0.35),
        Emotion("laugh", 0.9, 0.8, -0.1, 0.4, 0.0, 1.0, 0.9),
        Emotion("calm", 0.5, -0.5, -0.1, 0.1, 0.6, 0.6, 0.0),
        Emotion("sad", -0.7, -0.4, -0.8, 0.1, 0.6, -0.8, 0.0),
        Emotion("anger", -0.7, 0.8, 1.0, -0.4, 0.8, -0.7, 0.4),
        Emotion("fear", -0.7, 0.8, -0.8, 0.6, 1.25, -0.5, 0.5),
        Emotion("surprise", 0.2, 0.8, 0.0, 0.9, 1.3, 0.0, 0.9),
        Emotion("worry", -0.4, 0.3, -0.6, 0.2, 1.0, -0.4, 0.0),
        Emotion("tired", -0.3, -0.8, -0.3, -0.1, 0.3, -0.2, 0.0),
        Emotion("smug", 0.4, 0.1, 0.4, 0.1, 0.6, 0.7, 0.0),
        Emotion("resolve", 0.2, 0.5, 0.6, -0.1, 0.9, 0.1, 0.0),
    )
}
