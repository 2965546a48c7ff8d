"""`train`: a recipe by its name, in this process. `comictool train` and `comictool.train` call it alike."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comictool.core.device import import_torch
from comictool.training.config import Resolved
from comictool.training.declaration import Recipe, find_recipe

if TYPE_CHECKING:
    from comictool.core.progress import Progress
    from comictool.training.engine import RunResult


def train(
    recipe: str | Recipe,
    sources: Mapping[str, str | os.PathLike[str]],
    run: str | os.PathLike[str],
    settings: Mapping[str, Any] | Resolved[Any] | None = None,
    *,
    preset: str | None = None,
    device: str = "auto",
    gpu: int | None = None,
    resume: str = "auto",
    dry_run: bool = False,
    progress: Progress | None = None,
) -> RunResult:
    """Train a model in this process; a run that was stopped or killed resumes.

    Args:
        recipe: its name, such as asterx or elric.
        sources: the data by name, such as `{"features": "corpus/features"}`; see `comictool train RECIPE --help`.
        run: the folder of the run.
        settings: by dotted key, such as `{"training.max_steps": 100}`; `comictool config show RECIPE` lists them. Or
            all of them, by `Recipe.resolve`.
        preset: paper, tiny ...; None for the recipe's usual one.
        device: auto, cpu, cuda, cuda:N or mps.
        gpu: number of a GPU instead; negative is the CPU.
        resume: auto, never or must.
        dry_run: only say what would be done.

    Raises:
        UsageError: an unknown recipe, preset, source or setting, or a NaN loss.
        InputError: data that is missing or damaged.
        Stopped: after a signal; the run is saved.
    """
    chosen = find_recipe(recipe) if isinstance(recipe, str) else recipe
    if not isinstance(settings, Resolved):
        given = {key: (value, f"settings[{key!r}]") for key, value in (settings or {}).items()}
        settings = chosen.resolve(preset=preset, options=given)
    # Torch's threads and the processes that load data share the cores: they must not wait for each other by spinning.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import_torch()
    from comictool.training import engine

    options = engine.RunOptions(device, gpu, resume, dry_run, progress=progress)
    return engine.train(chosen, settings, {name: Path(path) for name, path in sources.items()}, Path(run), options)
