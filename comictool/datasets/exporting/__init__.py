"""Cutting panels and characters out of pages, and the index that the training recipes read."""
