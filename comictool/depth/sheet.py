"""The sheet of `depth predict`: panels whose layers move with the pointer, then every page with its depth in colours.

One file without anything loaded from elsewhere. A panel becomes a few layers from far to near; what a nearer layer hid
is filled in each with the nearest of its own pixels, so that moving shows no hole.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from comictool.core.errors import ComicError
from comictool.core.files import below, write_text
from comictool.core.images import decode_array
from comictool.depth.saved import SavedPage
from comictool.drawn.depth import read_depth
from comictool.report.page import escape, html_page
from comictool.report.sheet import STYLE, Tile, sheet_section
from comictool.report.thumbnails import side_for

LAYERS = 5
SIDE = 560  # longest side of a panel that moves
MOST_MOVING = 12  # panels; each is some 200 KB
LEAST_SIDE = 120  # pixels of a panel on its page; smaller ones are not worth moving
SHIFT = 14  # pixels that the nearest layer moves; the farthest moves as far the other way

MOVING_STYLE = """
.moving { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)); }
.stage { position: relative; overflow: hidden; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; touch-action: pan-y; line-height: 0; }
.stage img { width: 100%; height: auto; display: block; transform: scale(1.06); will-change: transform; }
.stage img + img { position: absolute; inset: 0; }
"""
# Plain arithmetic on the pointer's place; where there is none (a telephone at rest) the panels sway by themselves.
SCRIPT = """
(function () {
  var stages = Array.prototype.slice.call(document.querySelectorAll('.stage'));
  function place(stage, x, y) {
    var layers = stage.querySelectorAll('img');
    for (var i = 0; i < layers.length; i++) {
      var near = layers.length > 1 ? i / (layers.length - 1) * 2 - 1 : 0;
      var across = x * near * SHIFT, down = y * near * SHIFT / 2;
      layers[i].style.transform = 'translate(' + across + 'px,' + down + 'px) scale(1.06)';
    }
  }
  stages.forEach(function (stage) {
    stage.addEventListener('pointermove', function (event) {
      stage.held = true;
      var box = stage.getBoundingClientRect();
      place(stage, (event.clientX - box.left) / box.width * 2 - 1, (event.clientY - box.top) / box.height * 2 - 1);
    });
    stage.addEventListener('pointerleave', function () { stage.held = false; });
  });
  if (matchMedia('(prefers-reduced-motion: reduce)').matches) { return; }
  (function sway(time) {
    stages.forEach(function (stage) {
      if (!stage.held) { place(stage, Math.sin(time / 1300), Math.cos(time / 1700)); }
    });
    requestAnimationFrame(sway);
  })(0);
})();
""".replace("SHIFT", str(SHIFT))


def write_depth_sheet(path: Path, folder: Path, pages: Sequence[SavedPage], source: Path) -> None:
    """Write the sheet.

    Args:
        path: the HTML file; replaced in one step.
        folder: that the files of the pages are relative to.
        pages: with maps; others are left out.
        source: named in the title.
    """
    shown = [page for page in pages if page.map]
    stages, count = [], 0
    for page in shown:
        if count >= MOST_MOVING:
            break
        try:
            found = _stages(folder, page, MOST_MOVING - count)
        except ComicError:
            continue  # its picture is gone; the tile below says so
        stages += found
        count += len(found)
    tiles = [Tile(below(folder, page.overlay), id=page.id, lines=[f"{len(page.panels)} panels"]) for page in shown]
    section, _ = sheet_section(tiles, side=side_for(len(tiles) + count))
    title = f"Depth of {source.name}"
    body = f"<h1>{escape(title)}</h1>\n<main>\n"
    if stages:
        body += '<p class="quiet">Move the pointer over a panel: near things move with it, far ones against it.</p>\n'
        body += f'<div class="moving">\n{"".join(stages)}</div>\n'
    body += '<h2>Pages</h2>\n<p class="quiet">Light is near, dark is far, in each panel for itself.</p>\n'
    write_text(path, html_page(title, f"{body}{section}</main>\n", STYLE + MOVING_STYLE, SCRIPT if stages else ""))


def _stages(folder: Path, page: SavedPage, most: int) -> list[str]:
    picture = decode_array(Path(page.picture))
    place = below(folder, page.map)
    depth = read_depth(place.parent, place.name, picture.shape[:2])
    out: list[str] = []
    for number, panel in enumerate(page.panels, start=1):
        x0, y0, x1, y1 = panel.box
        if min(x1 - x0, y1 - y0) < LEAST_SIDE or len(out) >= most:
            continue
        images = "".join(
            f'<img src="{uri}" alt="{escape(f"{page.id} panel {number}") if not index else ""}">'
            for index, uri in enumerate(layers(picture[y0:y1, x0:x1], depth[y0:y1, x0:x1]))
        )
        out.append(f'<div class="stage">{images}</div>\n')
    return out


def layers(picture: np.ndarray, depth: np.ndarray) -> list[str]:
    """A panel as pictures from far to near, data URIs of one size.

    Args:
        picture: (H, W, 3) uint8.
        depth: (H, W) 0 near to 1 far, nan for nothing.
    """
    from PIL import Image
    from scipy import ndimage

    scale = min(1.0, SIDE / max(picture.shape[:2]))
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    small = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))
    flat = np.nan_to_num(depth, nan=1.0).astype(np.float32)
    flat = np.asarray(Image.fromarray(flat).resize(size, Image.Resampling.BILINEAR))
    # Bounds halve between equal steps of depth and equal shares of the panel: neither an empty layer nor a crowded one.
    steps = np.arange(1, LAYERS) / LAYERS
    low, high = float(flat.min()), float(flat.max())
    bounds = (low + steps * (high - low) + np.quantile(flat, steps)) / 2
    of = np.digitize(flat, bounds)  # 0 near
    found: list[str] = []
    for number in sorted({int(n) for n in np.unique(of)}, reverse=True):
        own = of == number
        nearest = ndimage.distance_transform_edt(~own, return_distances=False, return_indices=True)
        colours = small[tuple(nearest)]
        cover = (of <= number).astype(np.float32) * 255 if found else np.full(of.shape, 255, np.float32)
        soft = ndimage.gaussian_filter(cover, 1.0) if found else cover
        layer = np.dstack([colours, np.maximum(soft, np.where(own, cover, 0)).astype(np.uint8)])
        stream = io.BytesIO()
        Image.fromarray(layer).save(stream, "WEBP", quality=80)
        found.append("data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode("ascii"))
    return found
