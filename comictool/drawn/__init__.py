"""Procedural comics: seeded, fully labelled pages for demo, tests and training.

`draw_page(seed, comic, page)` draws one page with its truth; comics and pages count from 1, and a page depends on these
three numbers, its size and its style only. What the labels mean beyond the page record's own fields:

- Panels: `kind` (framed, open, bleed, inset), `shot` (long, full, medium, close); `polygon` when the frame is slanted.
  The box of an open panel is what a reader sees of it: its figures and balloons.
- Characters: boxes are exact and modal, what can be seen after frames, other figures and things in front; balloons
  do not count as covering. No face where less than two fifths of it shows, or from behind. `identity` None: a
  passer-by. `pose`, `emotion`, `species`, `facing`, `costume`, `visibility` (share not covered), `truncated` (cut by
  the frame), `breaks_frame`, `depth`.
- Texts: as lettered, capitals included; `balloon` and `tail` (root, tip). Titles and page numbers have no panel.
- Segments: visible depth layers with `inter` (rank of the thing in its panel, 0 = nearest) and `intra` (of the part);
  `rle` is its exact outline over the whole page, balloons taken away.
- Depth maps: see `depth`. 0.0 is nearest, 1.0 farthest.
"""
