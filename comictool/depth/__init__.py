"""Depth in comics: segments with their truth, networks and their training, predictors, measures, maps and overlays.

- Depth grows away from the reader: larger is farther, everywhere in the program. A model whose own numbers grow the
  other way is turned once, where it is loaded (`anything_weights`).
- Depths of two panels are not comparable.
- `inter` ranks the things of a panel from the reader (0 is nearest), `intra` the parts of one thing. What nobody has
  labelled is missing, never 0.
"""
