"""The encoder that ships with the tool and always works: no weights, no torch, no download."""

from __future__ import annotations

from comictool.plugins.classic.encoder import ClassicEncoder, describe

__all__ = ["ClassicEncoder", "describe"]
