"""Which encoder made a store: carried to worker processes, remembered as plain values, found again by a query."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from comictool.core.errors import InputError
from comictool.plugins.discovery import TIMM
from comictool.plugins.encoder import Encoder
from comictool.plugins.load import EncoderSpec, load_encoder


class EncoderChoice(Protocol):
    """Which encoder to use; hashable and picklable."""

    def __hash__(self) -> int:
        """Equal choices load the same encoder."""
        ...

    def load(self) -> Encoder:
        """Load it, wherever this runs."""
        ...

    def remembered(self) -> dict[str, Any]:
        """Plain values by which a query finds it again."""
        ...


@dataclass(frozen=True)
class SpecChoice:
    """The encoder that a user named."""

    spec: EncoderSpec

    def load(self) -> Encoder:
        """Load the plugin; raises what `comictool.plugins.load.load_encoder` raises."""
        return load_encoder(self.spec)

    def remembered(self) -> dict[str, Any]:
        """Name and places. Trust, device and leave to download are the user's to give each time, never a store's."""
        name = self.spec.name_or_path
        if not name.startswith(TIMM) and (os.sep in name or "/" in name or name.startswith(".")):
            name = str(Path(name).resolve())
        return {
            "name": name,
            "directories": [str(folder.resolve()) for folder in self.spec.plugin_dirs],
            "weights": str(self.spec.weights.resolve()) if self.spec.weights is not None else None,
            "random_weights": self.spec.random_weights,
        }


@lru_cache(maxsize=1)
def loaded(choice: EncoderChoice) -> Encoder:
    """The encoder of a choice, loaded once in each process."""
    return choice.load()


def recall(remembered: Mapping[str, Any], *, trust: bool = False, device: str = "auto") -> EncoderSpec:
    """The spec of the encoder that a store remembers.

    The values come from a file that anybody may have written, so they only say where to look: code is never run and
    nothing fetched because of them; both need the user's word here and now.

    Raises:
        InputError: the values are not what a store remembers.
    """
    name, folders = remembered.get("name"), remembered.get("directories", [])
    weights, random_weights = remembered.get("weights"), remembered.get("random_weights", False)
    texts = [name, *folders] if isinstance(folders, list) else [None]
    if not all(isinstance(text, str) and text and "\x00" not in text for text in texts):
        raise InputError("the store does not say which plugin made it", hint="name it with --plugin")
    if (
        not (weights is None or (isinstance(weights, str) and "\x00" not in weights))
        or type(random_weights) is not bool
    ):
        raise InputError("the store does not say which weights made it", hint="name the plugin with --plugin")
    return EncoderSpec(
        str(name),
        tuple(Path(folder) for folder in folders),
        trust=trust,
        device=device,
        weights=Path(weights) if weights is not None else None,
        random_weights=random_weights,
    )
