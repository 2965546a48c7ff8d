"""Metrics by their published definitions, with chance and 95 % intervals; knows nothing of comics or models."""
