"""What a recipe declares, without torch: its configuration, its sources, its options, one line of help; and the table.

`train`, `config show`, help, completion and `comictool.train` are made from this. A new recipe is a module with a
`RECIPE` beside its configuration, a line in `RECIPES`, and the function that `prepare` names.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from comictool.core.errors import UsageError, near_matches

if TYPE_CHECKING:
    import torch

    from comictool.training.config import Resolved
    from comictool.training.recipe import Prepared

# Where each recipe is declared; imported only when it is asked for.
RECIPES = {
    "asterx": "comictool.asterx.config:RECIPE",
    "depth": "comictool.depth.settings:RECIPE",
    "elric": "comictool.elric.settings:RECIPE",
    "fusion": "comictool.fusion.settings:RECIPE",
    "reid": "comictool.identity.reid_settings:RECIPE",
    "ssl": "comictool.identity.ssl_settings:RECIPE",
}


@dataclass(frozen=True)
class Source:
    """Something that a recipe reads.

    Attributes:
        name: its key among the sources that `prepare` is given.
        help: one sentence.
        metavar: what stands for it in the help.
        flag: of an optional source, such as `--features`; empty: it is required, and an argument of the command.
    """

    name: str
    help: str
    metavar: str = ""
    flag: str = ""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one kind of model is trained.

    Attributes:
        name: as on the command line (`asterx`).
        summary: one line of help.
        details: more help, such as what the presets are for.
        example: a command line.
        config: frozen dataclass of the whole configuration, with a field `training: TrainingOptions`. What its
            docstrings say of each attribute is the help of options.
        presets: values that differ from the defaults by name, nested like the dataclass; the first is the usual one.
        sources: what it reads.
        options: settings that have an option of their own, by its name: `{"--before": "window.before"}`.
        prepare: `module:function`, which makes model and data from configuration, named sources and device; the same
            on every process.
        monitor: the metric of `Task.validate` by which the best checkpoint is chosen (`top5`).
        judged_by: from a configuration to its metric, where not every configuration has `monitor`.
        next_commands: from the sources and the run's folder to command lines that use the model.
    """

    name: str
    summary: str
    details: str = ""
    example: str = ""
    config: type
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sources: Sequence[Source] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    prepare: str
    monitor: str
    monitor_mode: Literal["max", "min"] = "max"
    judged_by: Callable[[Any], str] | None = None
    next_commands: Callable[[Mapping[str, Path], Path], list[str]] | None = None

    def judged(self, config: Any) -> Recipe:
        """The recipe with the monitor that a configuration has."""
        return self if self.judged_by is None else replace(self, monitor=self.judged_by(config))

    def resolve(
        self,
        *,
        preset: str | None = None,
        file: Path | None = None,
        sets: Sequence[str] = (),
        options: Mapping[str, tuple[Any, str]] | None = None,
    ) -> Resolved[Any]:
        """The whole configuration; see `config.resolve`. Without a preset the usual one is taken."""
        from comictool.training.config import resolve

        usual = next(iter(self.presets), "")
        return resolve(
            self.config, self.presets, preset=usual if preset is None else preset, file=file, sets=sets, options=options
        )

    def build(self, config: Any, sources: Mapping[str, Path], device: torch.device) -> Prepared:
        """Model and data.

        Raises:
            UsageError: a required source is missing, or one is unknown.
        """
        known = [source.name for source in self.sources]
        for name in sources:
            if name not in known:
                raise UsageError(
                    f"{self.name} reads no {name!r}", hint=", ".join(known), near=near_matches(name, known)
                )
        for source in self.sources:
            if not source.flag and source.name not in sources:
                raise UsageError(f"{self.name} needs {source.name!r}", cause=source.help, hint=self.example)
        prepared: Prepared = _named(self.prepare)(config, sources, device)
        return prepared


def find_recipe(name: str) -> Recipe:
    """The recipe of that name; nothing heavy is imported.

    Raises:
        UsageError: there is none.
    """
    if name not in RECIPES:
        raise UsageError(f"there is no recipe {name!r}", hint=", ".join(RECIPES), near=near_matches(name, RECIPES))
    recipe: Recipe = _named(RECIPES[name])
    return recipe


def _named(place: str) -> Any:
    module, name = place.split(":")
    return getattr(importlib.import_module(module), name)
