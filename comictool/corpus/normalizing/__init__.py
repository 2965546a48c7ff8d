"""Giving comics names that are safe everywhere, over folders and annotations alike, and taking them back."""

from comictool.corpus.journal import finish_pending
from comictool.corpus.normalizing.normal_names import normal_name
from comictool.corpus.normalizing.normalize import NormalizeReport, normalize_names, undo_names

__all__ = ["NormalizeReport", "finish_pending", "normal_name", "normalize_names", "undo_names"]
