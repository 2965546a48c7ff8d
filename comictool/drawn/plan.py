"""What holds for a whole comic: series, cast, style of inks, paper, frames and lettering, direction, episode."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from comictool.core.errors import UsageError, near_matches
from comictool.drawn.characters import Look, make_cast
from comictool.drawn.colours import CREAM, INK, WHITE, Colour, hsv, luma, shade
from comictool.drawn.inks import GREY_STYLES, STYLES
from comictool.drawn.lettering import Hand
from comictool.drawn.script import Episode, make_episode
from comictool.drawn.seeds import stream
from comictool.drawn.words import SERIES_FIRST, SERIES_SECOND

COMICS_PER_SERIES = 2  # issues that share a cast, so that a character can be met again in another comic
FRAMES = ("thin", "regular", "thick", "wobbly", "round", "none", "double", "ragged")
_FRAME_WIDTHS = {
    "thin": 1.6,
    "regular": 3.0,
    "thick": 5.5,
    "wobbly": 3.0,
    "round": 3.0,
    "none": 0.0,
    "double": 2.0,
    "ragged": 0.0,
}
GUTTERS = ("white", "cream", "black", "coloured", "shared")
_CAPTIONS: tuple[Colour, ...] = ((255, 240, 170), (222, 238, 250), WHITE, CREAM)
BALLOONS = ("oval", "round", "wavy", "cut")

# Which families a comic uses by its kind: a strip is read downwards, manga likes slants and bleeds, others mix.
_FAMILIES = {
    "classic": ("grid", "grid", "tiers", "tiers", "tall", "splash", "inset"),
    "modern": ("tiers", "tall", "inset", "bleed", "slanted", "open", "splash"),
    "manga": ("slanted", "slanted", "tiers", "tall", "bleed", "open", "inset"),
    "strip": ("strip",),
}
_KIND_OF_STYLE = {
    "flat": ("classic", "modern", "strip"),
    "line": ("classic", "manga", "modern"),
    "screentone": ("manga", "modern"),
    "hatching": ("classic", "modern"),
    "wash": ("modern", "manga"),
    "benday": ("classic",),
    "faded": ("classic",),
    "duotone": ("modern", "strip", "classic"),
    "painted": ("modern", "strip"),
}


@dataclass(frozen=True)
class PageKind:
    """What a layout that is asked for by name (see `hard_layouts`) means for a whole comic.

    Attributes:
        styles: of inking, going round as comics follow each other.
        direction: of reading.
        frames: how panels may be framed.
        frame_width: from and to, in thousandths of the page width.
        overflow: how far balloons reach over their frame in some comics, in thousandths of the page width.
        breaking: share of panels out of whose frame a figure stands.
        finish: what befalls the printed page: `pencil`, `shade`, `jpeg`, see `scans`.
    """

    styles: tuple[str, ...]
    direction: str = "rtl"
    frames: tuple[str, ...] = ("regular",)
    frame_width: tuple[float, float] = (1.6, 3.2)
    overflow: float = 26.0
    breaking: float = 0.22
    finish: str = ""


_COLOURED = ("flat", "benday", "faded", "duotone", "painted")
LAYOUTS = {
    "manga": PageKind(("screentone", "line", "wash", "hatching"), overflow=50.0, breaking=0.1),
    "slanted": PageKind(
        ("screentone", "wash", "hatching", "line"), frame_width=(2.8, 4.6), overflow=40.0, breaking=0.3, finish="jpeg"
    ),
    "black": PageKind(("screentone", "wash", "hatching", "line")),
    "pencil": PageKind(("line",), frames=("wobbly", "regular"), frame_width=(1.0, 1.6), finish="pencil"),
    "ring": PageKind(("line", *_COLOURED), "ltr"),
    "yonkoma": PageKind(("screentone", "flat", "line", "wash"), overflow=14.0, breaking=0.0),
    "webtoon": PageKind(("painted", "flat", "duotone", "wash"), "ttb", frames=("regular", "none")),
    "shaded": PageKind(("hatching", *_COLOURED), "ltr", frames=("regular", "thick", "wobbly"), finish="shade"),
    "picture": PageKind((*GREY_STYLES, *_COLOURED)),
}
_KINDS = ("modern", "manga", "classic", "strip", "classic", "modern", "classic", "manga", "modern")  # of nine comics
_FEW_FIRST = ("strip", "manga", "classic", "modern")


@dataclass(frozen=True)
class ComicPlan:
    """Everything that the pages of one comic share. Lengths are in thousandths of the page width."""

    seed: int
    comic: int
    name: str
    series: str
    number: int
    title: str
    direction: str
    kind: str
    style: str
    families: tuple[str, ...]
    cast: tuple[Look, ...]
    episode: Episode
    hand: Hand
    gutter: str
    gutter_width: float
    margin: float
    paper: Colour
    frame: str
    frame_width: float
    line: float
    ink: Colour
    balloon: str
    caption: Colour
    overflow: float
    breaks: bool
    pitch: float
    duo: tuple[Colour, Colour, Colour]
    shift: tuple[int, int]
    fading: float
    story: bool = False  # a journey through one day; see `script.on_journey`
    layout: str = ""  # one of `LAYOUTS`, when that was asked for: every page is story, laid out so
    breaking: float = 0.22  # share of panels with figures that may stand out of their frame, where the comic does that

    @property
    def letter_ink(self) -> Colour:
        """What balloons are lettered with; paint is too pale for it."""
        return (40, 30, 36) if self.style == "painted" else self.ink

    @property
    def dark_paper(self) -> bool:
        """Whether letters straight on the paper must be light."""
        return luma(self.paper) < 130

    @property
    def grey(self) -> bool:
        """Printed in black only."""
        return self.style in GREY_STYLES


def check_style(style: str | None) -> None:
    """Refuse a style that does not exist.

    Raises:
        UsageError: with the nearest names.
    """
    if style is not None and style not in STYLES:
        raise UsageError(
            f"no style named {style!r}", cause=f"styles are {', '.join(STYLES)}", near=near_matches(style, STYLES)
        )


def check_layout(layout: str | None) -> None:
    """Refuse a layout that does not exist.

    Raises:
        UsageError: with the nearest names.
    """
    if layout is not None and layout not in LAYOUTS:
        raise UsageError(
            f"no layout named {layout!r}", cause=f"layouts are {', '.join(LAYOUTS)}", near=near_matches(layout, LAYOUTS)
        )


@lru_cache(maxsize=32)
def make_plan(
    seed: int, comic: int, style: str | None = None, story: bool = False, layout: str | None = None
) -> ComicPlan:
    """The plan of a comic.

    Args:
        seed: of the whole drawing.
        comic: counts from 1.
        style: one of `inks.STYLES`; None: the comic's own, going round all styles as comics follow each other.
        story: a journey through one day.
        layout: one of `LAYOUTS` for all pages, in a style that suits it.

    Raises:
        UsageError: unknown style or layout, or comic below 1.
    """
    check_style(style)
    check_layout(layout)
    if comic < 1:
        raise UsageError(f"comics count from 1, not {comic}")
    if layout is not None:
        return _laid_out(make_plan(seed, comic, style or _style_of(layout, comic), story), layout)
    volume, number = divmod(comic - 1, COMICS_PER_SERIES)
    shared = stream(seed, "series", volume)
    series = f"{shared.choice(SERIES_FIRST)} {shared.choice(SERIES_SECOND)}"
    slug = series.lower().replace(" ", "_")
    cast = make_cast(shared, shared.randint(4, 6), f"{slug}{volume + 1}")
    rng = stream(seed, "comic", comic)
    own, kind = _round(seed, (comic - 1) // len(STYLES))[(comic - 1) % len(STYLES)]
    chosen = style or own
    if kind not in _KIND_OF_STYLE[chosen]:
        kind = rng.choice(_KIND_OF_STYLE[chosen])
    direction = {"strip": "ttb", "manga": "rtl"}.get(kind, "ltr")
    episode = make_episode(rng, cast)
    gutter = rng.choice(
        {"benday": ("white", "cream"), "faded": ("white",)}.get(chosen, GUTTERS if kind != "strip" else GUTTERS[:4])
    )
    frame, frame_width = _frame(rng, gutter, kind, chosen)
    hue = rng.random()
    return ComicPlan(
        seed=seed,
        comic=comic,
        name=f"{slug}_{comic:03d}",
        series=series,
        number=number + 1,
        title=f"The {episode.words['item'].title()}",
        direction=direction,
        kind=kind,
        style=chosen,
        families=_FAMILIES[kind],
        cast=tuple(cast),
        episode=episode,
        hand=Hand(
            size=rng.randint(17, 21),
            capitals=rng.random() < 0.72,
            slant=rng.choice((0.0, 0.0, 0.12, 0.2)),
            bold=rng.choice((0.0, 0.3, 0.5)),
            sway=rng.choice((0.0, 0.6, 1.2)),
        ),
        gutter=gutter,
        gutter_width=0.0 if gutter == "shared" else rng.uniform(8, 24),
        margin=rng.uniform(24, 62),
        paper=_paper(rng, gutter, chosen, hue),
        frame=frame,
        frame_width=frame_width,
        line=rng.uniform(2.6, 4.4) if chosen != "painted" else 1.4,
        ink=(74, 52, 58) if chosen == "painted" else (22, 22, 22) if chosen in GREY_STYLES else INK,
        balloon=rng.choice(BALLOONS),
        caption=WHITE if chosen in GREY_STYLES else rng.choice(_CAPTIONS),
        overflow=rng.choice((0.0, 0.0, 14.0, 26.0)),
        breaks=gutter != "shared" and rng.random() < 0.4,
        pitch=rng.choice((4.6, 5.2, 6.0)),
        duo=_duo(rng, hue),
        shift=(rng.choice((-2, -1, 1, 2)), rng.choice((-1, 0, 1))),
        fading=rng.uniform(0.2, 0.9),
        story=story,
    )


def _style_of(layout: str, comic: int) -> str:
    styles = LAYOUTS[layout].styles
    return styles[(comic - 1) % len(styles)]


def _laid_out(plan: ComicPlan, layout: str) -> ComicPlan:
    """The plan of a comic all of whose pages have a layout that was asked for."""
    kind, rng = LAYOUTS[layout], stream(plan.seed, "layout", layout, plan.comic)
    frame = rng.choice(kind.frames)
    return replace(
        plan,
        kind="manga" if kind.direction == "rtl" else "strip" if kind.direction == "ttb" else "classic",
        direction=kind.direction,
        families=(layout,),
        layout=layout,
        gutter="white",
        paper=WHITE,
        margin=rng.uniform(24, 62),
        frame=frame,
        frame_width=rng.uniform(*kind.frame_width) if _FRAME_WIDTHS[frame] else 0.0,
        overflow=rng.choice((0.0, 0.2, 0.5, 1.0)) * kind.overflow,
        breaks=kind.breaking > 0,
        breaking=kind.breaking,
    )


@lru_cache(maxsize=64)
def _round(seed: int, number: int) -> list[tuple[str, str]]:
    """Style and kind of as many comics as there are styles: every style once, and early one comic of every kind."""
    left = stream(seed, "styles", number).sample(STYLES, len(STYLES))
    out = [("", "")] * len(STYLES)
    # Few styles suit a strip or a manga, so those choose first.
    for slot in sorted(range(len(STYLES)), key=lambda i: _FEW_FIRST.index(_KINDS[i])):
        fitting = [style for style in left if _KINDS[slot] in _KIND_OF_STYLE[style]]
        style = (fitting or left)[0]
        left.remove(style)
        out[slot] = (style, _KINDS[slot] if fitting else _KIND_OF_STYLE[style][0])
    return out


def comic_plan(
    seed: int, comic: int, style: str | None = None, story: bool = False, layout: str | None = None
) -> dict[str, Any]:
    """The facts of a comic, as they are written beside its records.

    Args:
        seed: of the whole drawing.
        comic: counts from 1.
        style: instead of the comic's own.
        story, layout: as drawn with them.

    Returns:
        `name`, `title`, `series`, `number`, `direction`, `style`, `kind`, `gutter`, `frame`, `language`, `source` and
        `cast`: a list of
        `{name, identity, species}`, hero first.
    """
    plan = make_plan(seed, comic, style, story, layout)
    return {
        "name": plan.name,
        "title": plan.title,
        "series": plan.series,
        "number": plan.number,
        "direction": plan.direction,
        "language": "en",
        "source": f"drawn (seed {seed})",
        "style": plan.style,
        "kind": plan.kind,
        "gutter": plan.gutter,
        "frame": plan.frame,
        "cast": [{"name": look.name, "identity": look.identity, "species": look.species} for look in plan.cast],
        **({"story": True} if story else {}),
        **({"layout": layout} if layout else {}),
    }


def _frame(rng: random.Random, gutter: str, kind: str, style: str) -> tuple[str, float]:
    if gutter == "shared":
        return rng.choice((("regular", 4.0), ("thick", 6.0)))
    if gutter == "black" or (kind == "strip" and rng.random() < 0.5):
        return "none", 0.0
    # A drawing that is mostly bare paper has no edge at all without a frame.
    bare = style in ("line", "screentone", "hatching")
    frame = rng.choice([f for f in FRAMES if _FRAME_WIDTHS[f] or not bare])
    return frame, _FRAME_WIDTHS[frame]


def _duo(rng: random.Random, hue: float) -> tuple[Colour, Colour, Colour]:
    """Three inks of one family: dark, middle, light."""
    middle = hsv(hue, rng.uniform(0.5, 0.75), 0.88)
    return shade(hsv(hue, 0.7, 0.5), 0.4), middle, hsv(hue + rng.choice((0.06, 0.12, -0.1)), 0.24, 0.98)


def _paper(rng: random.Random, gutter: str, style: str, hue: float) -> Colour:
    if gutter == "black":
        return (16, 16, 16)
    if gutter == "cream":
        return CREAM if style not in GREY_STYLES else (246, 246, 246)
    if gutter == "coloured":
        if style in GREY_STYLES:
            level = rng.choice((120, 190, 210))
            return (level, level, level)
        return hsv(hue + 0.5, rng.uniform(0.2, 0.5), rng.uniform(0.6, 0.95))
    return WHITE
