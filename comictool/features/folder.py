"""The head of a folder of features: whose they are, so that no others get among them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from comictool.core.errors import InputError
from comictool.core.files import write_json
from comictool.corpus.packs.features import HEAD

FORMAT, VERSION = "comictool features", 1
DECIDING = ("identity", "normalised", "level", "cutting")


def write_head(output: Path, settings: Mapping[str, Any], source: Path) -> None:
    """Say in `features.json` what the features of a folder are of."""
    write_json(output / HEAD, {"format": FORMAT, "version": VERSION, **settings, "source": str(source.resolve())})


def check_fits(output: Path, settings: Mapping[str, Any]) -> None:
    """Refuse a folder whose features do not go together with the settings.

    Raises:
        InputError: it holds features of another encoder or level, or files of somebody else.
    """
    file = output / HEAD
    if not file.exists():
        if output.is_file():
            raise InputError(f"{output} is a file", hint="choose another -o")
        strangers = [*output.glob("*_features.hdf5"), *output.glob("*_features.zarr")]
        if strangers:
            raise InputError(
                f"{output} holds {strangers[0].name}, which was not written by this command",
                cause=f"there is no {HEAD}", hint="choose another -o",
            )  # fmt: skip
        return
    try:
        before = json.loads(file.read_text("utf-8"))
        newer = before["format"] != FORMAT or before["version"] > VERSION
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{file} is damaged", hint=f"delete {output}, or choose another -o") from error
    if newer:
        raise InputError(f"{file} was written by a newer comictool, or by something else")
    for name in DECIDING:
        if before.get(name) != settings.get(name):
            raise InputError(
                f"{output} holds features with {name} {before.get(name)}, not {settings.get(name)}",
                cause="all features of a folder must be comparable", hint="choose another -o, or delete that folder",
            )  # fmt: skip
