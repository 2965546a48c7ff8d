"""Depth in comics: segments with their truth, predictors, measures, maps and overlays."""
