"""Labels of a page, read off what was drawn: visible boxes of characters, faces and layers, and the depth map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from comictool.corpus.records import Box, Character, Panel, Text, clamp_box
from comictool.drawn.depth import to_stored
from comictool.drawn.frames import HALF
from comictool.drawn.panel import Actor, PanelArt, Seen, seen_layers
from comictool.drawn.placement import Speaker
from comictool.formats.masks import to_rle

LEAST_PIXELS = 80  # of a figure that can be seen at all; less is a speck that nobody would label
LEAST_FACE = 0.4  # share of a face that must be seen for it to count as one


@dataclass
class Truth:
    """What one panel adds to the page's labels."""

    panel: Panel | None
    characters: list[Character]
    speakers: dict[int, Speaker]  # by role
    segments: list[dict[str, Any]]


def cover(arts: list[PanelArt], width: int, height: int) -> None:
    """Take from every panel's layer map what lies off the page or under a later panel, such as an inset."""
    for index, art in enumerate(arts):
        rows, columns = art.layer_map.shape
        if art.y < 0:
            art.layer_map[: -art.y] = 0
        if art.x < 0:
            art.layer_map[:, : -art.x] = 0
        art.layer_map[max(0, height - art.y) :] = 0
        art.layer_map[:, max(0, width - art.x) :] = 0
        for later in arts[index + 1 :]:
            x0, y0 = max(art.x, later.x), max(art.y, later.y)
            x1 = min(art.x + columns, later.x + later.layer_map.shape[1])
            y1 = min(art.y + rows, later.y + later.layer_map.shape[0])
            if x0 < x1 and y0 < y1:
                over = np.asarray(later.alpha)[y0 - later.y : y1 - later.y, x0 - later.x : x1 - later.x] > HALF
                art.layer_map[y0 - art.y : y1 - art.y, x0 - art.x : x1 - art.x][over] = 0


def paste_depth(stored: np.ndarray, art: PanelArt) -> None:
    """Write a panel's depth into the page's map (uint16, see `depth`)."""
    rows, columns = art.layer_map.shape
    x0, y0 = max(0, art.x), max(0, art.y)
    x1, y1 = min(stored.shape[1], art.x + columns), min(stored.shape[0], art.y + rows)
    part = art.layer_map[y0 - art.y : y1 - art.y, x0 - art.x : x1 - art.x]
    depth = art.layers.depth(art.layer_map)[y0 - art.y : y1 - art.y, x0 - art.x : x1 - art.x]
    np.copyto(stored[y0:y1, x0:x1], to_stored(depth), where=part > 0)


def read_labels(art: PanelArt, number: int | None, first: int, cast_names: list[str], width: int, height: int) -> Truth:
    """The labels of one drawn panel.

    Args:
        art: after `cover`.
        number: the panel's id; None on pages whose drawing is no panel.
        first: id of the first character.
        cast_names: identity by role.
        width, height: of the page.
    """
    seen = seen_layers(art)
    layers = art.layers.layers
    characters: list[Character] = []
    speakers: dict[int, Speaker] = {}
    ids: dict[int, int] = {}
    for actor in sorted(art.actors, key=lambda a: art.on_page(a.anatomy.head)[0]):
        owner = actor.owner
        own = {i: s for i, s in seen.items() if layers[i].kind == "character" and layers[i].owner == owner}
        pixels = sum(s.pixels for s in own.values())
        if pixels < LEAST_PIXELS:
            continue
        body = _union([s.box for s in own.values()])
        faces = [s for i, s in own.items() if layers[i].part == "face"]
        face = None
        if faces and sum(s.pixels for s in faces) >= LEAST_FACE * actor.face_drawn and faces[0].pixels >= 30:
            face = _union([s.box for s in faces])
        figure = actor.figure
        ids[owner] = first + len(characters)
        characters.append(
            Character(
                id=ids[owner],
                box=body,
                panel=number,
                face=face,
                body=body,
                identity=None if actor.role is None else cast_names[actor.role],
                valence=figure.emotion.valence,
                arousal=figure.emotion.arousal,
                extra={
                    "pose": figure.pose.name,
                    "emotion": figure.emotion.name,
                    "species": figure.look.species,
                    "facing": "back" if figure.back else "left" if figure.flip < 0 else "right",
                    "costume": figure.look.costumes.index(figure.costume),
                    "shot": art.shot,
                    "visibility": round(min(1.0, pixels / max(1, actor.drawn)), 3),
                    "truncated": _truncated(art, actor),
                    "depth": round(figure.depth, 6),
                },
            )
        )
        if number is not None and body[1] < art.y + art.extent[1]:
            characters[-1].extra["breaks_frame"] = True
        mouth = art.on_page(actor.anatomy.mouth)
        if actor.role is not None and face is not None and 0 <= mouth[0] < width and 0 <= mouth[1] < height:
            speakers[actor.role] = Speaker(ids[owner], mouth, figure.u / 2, figure.look.species)
    panel = _panel(art, number, width, height) if number is not None else None
    return Truth(panel, characters, speakers, _segments(art, seen, ids, number, (height, width)))


def open_box(panel: Panel, characters: list[Character], texts: list[Text]) -> Box:
    """What a reader sees of a panel without frame and background: its figures and its balloons."""
    balloons = [tuple(t.extra["balloon"]) for t in texts if t.panel == panel.id]
    boxes = [c.box for c in characters] + balloons
    return _union(boxes) if boxes else panel.box


def _panel(art: PanelArt, number: int, width: int, height: int) -> Panel | None:
    x0, y0, x1, y1 = art.extent
    box = clamp_box((x0 + art.x, y0 + art.y, x1 + art.x, y1 + art.y), width, height)
    if box is None:
        return None
    polygon = None
    if art.cell.slanted:
        polygon = [(min(width, max(0, round(x))), min(height, max(0, round(y)))) for x, y in art.cell.corners]
    return Panel(
        id=number,
        box=box,
        order=number,
        polygon=polygon,
        source="drawn",
        extra={"kind": art.cell.kind, "shot": art.shot},
    )


def _truncated(art: PanelArt, actor: Actor) -> bool:
    """Whether the frame cuts the figure."""
    x0, y0, x1, y1 = actor.anatomy.bounds
    left, top = art.on_page((x0, y0))
    right, bottom = art.on_page((x1, y1))
    bx0, by0, bx1, by1 = art.cell.bounds
    slack = 0.25 * actor.figure.u / 2
    return left < bx0 - slack or top < by0 - slack or right > bx1 + slack or bottom > by1 + slack


def _segments(
    art: PanelArt, seen: dict[int, Seen], ids: dict[int, int], number: int | None, size: tuple[int, int]
) -> list[dict[str, Any]]:
    """Depth layers of a panel: `inter` ranks things from the viewer (0 = nearest), `intra` the parts of one; `rle` is
    what is seen of it on a page of `size` (height, width), balloons taken away.
    """
    layers = art.layers.layers
    things: dict[tuple[str, int], list[int]] = {}
    for i in seen:
        owner = layers[i].owner
        things.setdefault((layers[i].kind, -1 - i if owner is None else owner), []).append(i)
    ordered = sorted(things.items(), key=lambda item: min(_middle_depth(art, seen, i) for i in item[1]))
    out = []
    for rank, ((kind, owner), parts) in enumerate(ordered):
        parts.sort(key=lambda i: layers[i].depth)
        for intra, i in enumerate(parts):
            layer = layers[i]
            entry: dict[str, Any] = {
                "panel": number,
                "kind": kind,
                "box": list(seen[i].box),
                "pixels": seen[i].pixels,
                "depth": round(_middle_depth(art, seen, i), 6),
                "inter": rank,
                "intra": intra,
                "rle": _outline(art, i, seen[i].box, size),
            }
            if layer.part:
                entry["part"] = layer.part
            if owner in ids and layer.owner is not None:
                entry["character"] = ids[owner]
            out.append(entry)
    return out


def _outline(art: PanelArt, layer: int, box: Box, size: tuple[int, int]) -> dict[str, Any]:
    x0, y0, x1, y1 = box
    return to_rle(art.layer_map[y0 - art.y : y1 - art.y, x0 - art.x : x1 - art.x] == layer, (x0, y0), size)


def _middle_depth(art: PanelArt, seen: dict[int, Seen], i: int) -> float:
    """Depth at the middle row of what is seen of a layer."""
    layer = art.layers.layers[i]
    row = ((seen[i].box[1] + seen[i].box[3]) / 2 - art.y) * 2
    return min(1.0, max(0.0, layer.depth + layer.slope * row))


def _union(boxes: list[Box]) -> Box:
    return min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes), max(b[3] for b in boxes)
