"""The story: what happens, where, and who says what with which face.

A comic tells its episode in chapters of seven pages, one phase a page; each phase has its own small exchanges, and each
panel plays one of them. A line is `role emotion pose | text`: roles A, B and C are the cast in order of importance,
a lower-case role thinks instead of speaking, N narrates, ! is a sound.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

from comictool.drawn.characters import Look
from comictool.drawn.seeds import stream
from comictool.drawn.words import FOODS, ITEMS, PLACES, SOUNDS, TROUBLES

ROLES = "ABC"
# Where a story passes, one place a page, all under the open sky: the pages of ten have six story pages.
JOURNEY = ("city", "hills", "forest", "desert", "harbour", "night")


@dataclass(frozen=True)
class Line:
    """One piece of lettering. `role` is a cast index, or None for narration and sounds."""

    kind: str
    text: str
    role: int | None
    emotion: str
    pose: str


@dataclass(frozen=True)
class Beat:
    """What one panel shows: a place, a time of day, who is there, what is said."""

    setting: str
    light: str
    roles: tuple[int, ...]
    lines: tuple[Line, ...]
    emotions: dict[int, str] = field(default_factory=dict)
    poses: dict[int, str] = field(default_factory=dict)
    turned: bool = False  # somebody may stand with the back to the reader
    shot: str = ""  # how near the camera is; empty: whatever suits the panel
    hour: float | None = None  # of a story's day, 0 its morning, 1 its night; None: `light` says it


@dataclass(frozen=True)
class Phase:
    """One stretch of the episode."""

    name: str
    settings: tuple[str, ...]
    lights: tuple[str, ...]
    exchanges: tuple[str, ...]


PHASES = (
    Phase(
        "opening",
        ("interior", "kitchen"),
        ("morning", "day"),
        (
            "N - -|A quiet morning on Paper Street.;A calm stand|Good morning, world. Be kind today.",
            "A surprise cheer|The {item}! It is gone!;B worry shrug|Gone? It was on the shelf last night.",
            "A worry think|Nobody has the key but us...;B smug hips|And the cat. The cat has a key.",
            "a sad sit|Ten years I kept it safe. Ten years!",
            "B joy wave|I brought {food}!;A anger point|Not now, {B}!",
            "A resolve point|Look! Footprints, all the way to the door.;B fear cower|They are very small footprints.",
            (
                "N - -|Nobody had touched the {item} since the day of {trouble}.;"
                "A tired sit|I should have hidden it better."
            ),
            "B neutral think|Whoever took it left a note.;A surprise reach|Read it! Read it aloud!",
        ),
    ),
    Phase(
        "meeting",
        ("city", "kitchen", "harbour"),
        ("day", "morning", "rain"),
        (
            "A neutral walk|Excuse me, have you seen {an_item}?;C smug fold|I might have. Who is asking?",
            "C laugh hips|Ha! You two could not find your own shoes.;B anger point|These are NEW shoes!",
            "B joy wave|{C}! Over here!;C worry stand|Not so loud. They are listening.",
            "c smug think|They have no idea...",
            "C neutral point|I heard it was taken to {place}.;A surprise stand|That far? On foot?",
            "A resolve hips|Then we go to {place}.;B tired shrug|Before lunch?;A anger point|Before lunch!",
            "N - -|And so there were three.;C calm walk|Try to keep up.",
            "B worry think|Can we trust {C}?;A calm stand|No. But we can watch {C}.",
        ),
    ),
    Phase(
        "journey",
        ("forest", "desert", "harbour", "hills"),
        ("day", "dusk", "rain"),
        (
            "N - -|The road to {place} is longer than it looks.;B tired walk|My feet are writing me a letter.",
            "A joy point|Look, you can see it from here!;C calm stand|That is a cloud.",
            (
                "B surprise point|Something moved behind that tree!;A neutral think|It was the wind.;"
                "B fear cower|With EARS?"
            ),
            "C joy walk|I used to play here as a child.;A calm walk|You were a child?",
            "a worry walk|If {trouble} gets here first, we are too late.",
            "B joy sit|Rest! {food} for everyone.;C joy sit|Fine. You may stay in the team.",
            "A resolve walk|Left at the crooked stone, then straight on.;C smug fold|It is right. It is always right.",
            "N - -|Hours later.;B sad sit|We have passed this stone before.",
        ),
    ),
    Phase(
        "obstacle",
        ("night", "forest", "hills", "city"),
        ("night", "dusk"),
        (
            "! - -|{sound};A fear cower|What was THAT?",
            "C fear reach|The bridge is out!;A resolve point|Then we jump.;B surprise cheer|We WHAT?",
            "N - -|Darkness fell, and so did {B}.;B anger sit|Not funny.",
            "A worry reach|Take my hand! Quick!;C fear reach|I cannot reach you!",
            "B neutral think|It is locked from the inside.;C smug think|Leave the lock to me.",
            "c worry crouch|One more turn... just one more...;! - -|{sound}",
            "A anger point|You said you knew the way!;C sad shrug|I said I used to.",
            "B fear run|It is {trouble}! Run!",
        ),
    ),
    Phase(
        "chase",
        ("city", "harbour", "desert", "night"),
        ("dusk", "night", "day"),
        (
            "! - -|{sound};A resolve run|After it!",
            "B fear run|Faster! Faster!;C laugh run|Best day of my life!",
            "A anger run|Stop! In the name of breakfast!;! - -|{sound}",
            "C joy jump|I have got it! I have... oh.;A surprise stand|Oh?",
            "N - -|Up the stairs, over the roofs, down the other side.;B tired run|I hate... stairs...",
            "a resolve run|Just a little further...",
            "B surprise point|It turned left!;A resolve run|Then so do we!",
            "! - -|{sound};C fear cower|That was nearly my hat.",
        ),
    ),
    Phase(
        "turn",
        ("interior", "night", "kitchen"),
        ("night", "rain", "dusk"),
        (
            "A surprise stand|It was YOU all along?;C sad fold|I only wanted to borrow it.",
            "C sad sit|My grandmother had one like it.;B calm stand|You could have asked, {C}.",
            "A calm reach|Here. We listen to it together.;C joy stand|You would do that?",
            "N - -|The {item} was older than all of them put together.",
            "B surprise reach|Look inside! There is a second {item}!;A surprise cheer|A smaller one!",
            "b calm think|So that is why it never broke.",
            "C resolve point|There is still time to stop {trouble}.;A resolve hips|Together, then.",
            "B laugh cheer|I knew it! I knew it from page one!;C smug fold|You did not.",
        ),
    ),
    Phase(
        "ending",
        ("city", "hills", "kitchen", "harbour"),
        ("morning", "dusk", "day"),
        (
            "N - -|And so the {item} came home.;A joy cheer|Breakfast for everyone!",
            "B joy cheer|To friends! And to {food}!;C joy wave|To friends.",
            "A calm stand|Same time tomorrow?;B tired sit|Let me sleep until Tuesday.",
            "C calm wave|I will send a card from {place}.;A sad wave|Come back soon, {C}.",
            "a calm sit|What a day. What a perfect, silly day.",
            "B worry think|Wait. Who is feeding the cat?;! - -|{sound}",
            "N - -|The end... until the next {item}.;A joy wave|Good night, Paper Street.",
            "C laugh hips|Admit it, you missed me.;B smug fold|I missed your map.",
        ),
    ),
)


@dataclass(frozen=True)
class Episode:
    """The words that fill the gaps of a comic's script."""

    words: dict[str, str]

    def say(self, text: str, sound: str) -> str:
        """Fill a line's gaps."""
        return text.format(**self.words, sound=sound)


def make_episode(rng: random.Random, cast: list[Look]) -> Episode:
    """Choose what is lost, where it is, what threatens; name the roles."""
    item = rng.choice(ITEMS)
    words = {role: look.name for role, look in zip(ROLES, cast, strict=False)}
    return Episode(
        {
            **words,
            "item": item,
            "an_item": f"{'an' if item[0] in 'aeiou' else 'a'} {item}",
            "place": rng.choice(PLACES),
            "trouble": rng.choice(TROUBLES),
            "food": rng.choice(FOODS),
        }
    )


def beats_of_page(seed: int, comic: int, story_page: int, panels: int, episode: Episode, cast_size: int) -> list[Beat]:
    """The beats of one story page, as many as it has panels.

    Args:
        seed, comic: of the drawing.
        story_page: counts the story pages of the comic from 0; chapters of seven go round.
        panels: how many beats are wanted.
        episode: the comic's words.
        cast_size: cast members past the three speaking ones appear as company.
    """
    chapter, step = divmod(story_page, len(PHASES))
    phase = PHASES[step]
    rng = stream(seed, "script", comic, chapter, step)
    exchanges = list(phase.exchanges)
    first, rest = exchanges[0], exchanges[1:]
    rng.shuffle(rest)
    exchanges = [first, *rest]
    settings = rng.sample(phase.settings, min(2, len(phase.settings)))
    light = rng.choice(phase.lights)
    change = rng.randrange(2, 6)
    beats = []
    spoken = 0
    for index in range(panels):
        setting = settings[-1] if index >= change else settings[0]
        if rng.random() < 0.2 and index and spoken:
            beats.append(_silent(rng, setting, light, cast_size))
            continue
        exchange = exchanges[spoken % len(exchanges)]
        spoken += 1
        beats.append(_beat(rng, exchange, setting, light, episode, cast_size))
    return beats


def on_journey(beats: list[Beat], story_page: int) -> list[Beat]:
    """The same beats on the way of a story: every page another place, and from panel to panel the day goes on.

    Args:
        beats: of one story page.
        story_page: counts the story pages of the comic from 0; after the last place a new day begins.
    """
    step = story_page % len(JOURNEY)
    return [
        replace(beat, setting=JOURNEY[step], hour=(step + (index + 0.5) / len(beats)) / len(JOURNEY))
        for index, beat in enumerate(beats)
    ]


def _beat(rng: random.Random, exchange: str, setting: str, light: str, episode: Episode, cast_size: int) -> Beat:
    lines: list[Line] = []
    roles: list[int] = []
    emotions: dict[int, str] = {}
    poses: dict[int, str] = {}
    for item in exchange.split(";"):
        head, text = item.split("|")
        letter, emotion, pose = head.split()
        filled = episode.say(text, rng.choice(SOUNDS))
        if letter in "N!":
            lines.append(Line("narration" if letter == "N" else "sfx", filled, None, "neutral", "stand"))
            continue
        role = ROLES.index(letter.upper())
        lines.append(Line("dialogue" if letter.isupper() else "thought", filled, role, emotion, pose))
        if role not in roles:
            roles.append(role)
        emotions[role], poses[role] = emotion, pose
    if not roles:
        roles.append(rng.randrange(3))
    if cast_size > len(ROLES) and rng.random() < 0.18:
        roles.append(rng.randrange(len(ROLES), cast_size))
    elif rng.random() < 0.25:
        other = rng.randrange(3)
        if other not in roles:
            roles.append(other)
    return Beat(setting, light, tuple(roles), tuple(lines), emotions, poses)


def _silent(rng: random.Random, setting: str, light: str, cast_size: int) -> Beat:
    roles = tuple(rng.sample(range(cast_size), rng.choice((0, 1, 1, 2))))
    emotions = {role: rng.choice(("neutral", "calm", "worry", "joy", "surprise", "tired")) for role in roles}
    poses = {role: rng.choice(("stand", "walk", "think", "sit", "hips", "fold")) for role in roles}
    return Beat(setting, light, roles, (), emotions, poses, turned=True)
