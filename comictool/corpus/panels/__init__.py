"""Panel detection without weights: gutters, frames and a verdict on the page as a whole."""

from __future__ import annotations

from comictool.corpus.panels.detect import detect_panels
from comictool.corpus.panels.job import detect_corpus

__all__ = ["detect_corpus", "detect_panels"]
