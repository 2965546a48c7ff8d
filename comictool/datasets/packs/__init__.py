"""Packing folders of crops into one file a split, and reading such files."""
