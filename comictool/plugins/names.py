"""The names by which plugin directories and architectures are recognised; imports nothing, so Tab stays fast."""

from __future__ import annotations

MANIFEST_NAME = "plugin.toml"
LEGACY_NAME = "main.py"
TIMM = "timm:"  # in front of the name of a timm architecture
JOINED = "joined"  # the architecture that is made of other plugins
PYTHON = "python"  # the architecture whose code is in the plugin's own model.py
