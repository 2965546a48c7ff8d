"""Panel detection without weights: gutters, frames and a verdict on the page as a whole."""

from __future__ import annotations

from comictool.corpus.panels.detect import detect_panels

__all__ = ["detect_panels"]
