"""Finding plugin directories by name, and listing them, without importing anything heavy or running any of them.

Order: `--plugin-dir` directories, then COMICTOOL_PLUGIN_DIRS, then the ones that ship. The first of a name wins.
The working directory is never searched. Standard library only, and of that little at module level: Tab waits for it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import comictool
from comictool.core.errors import ComicError, InputError, UsageError, near_matches
from comictool.plugins.kinds import find_kind
from comictool.plugins.names import LEGACY_NAME, MANIFEST_NAME, TIMM

if TYPE_CHECKING:
    from comictool.plugins.manifest import Manifest

DIRECTORIES_VARIABLE = "COMICTOOL_PLUGIN_DIRS"
LEGACY_CLASS = re.compile(rb"\bMainModule\b")
LEGACY_LIMIT = 1 << 20  # bytes of main.py that are searched for the class


@dataclass(frozen=True)
class PluginPlace:
    """A plugin directory: `name` is its folder's name, `where` says which part of the search order found it."""

    name: str
    directory: Path
    where: str

    @property
    def legacy(self) -> bool:
        """Whether it is an older directory, with a main.py and no manifest."""
        return not (self.directory / MANIFEST_NAME).is_file()


@dataclass(frozen=True)
class PluginSummary:
    """One line of `comictool plugins list`.

    `trusted` is None when the plugin runs no code of its own; `needs_weights` when it works once the user brings some.
    """

    name: str
    kind: str
    where: str
    directory: Path
    title: str = ""
    version: str = ""
    architecture: str = ""
    dimension: int | None = None
    licence: str = ""
    trusted: bool | None = None
    problem: str = ""
    needs_weights: bool = False


def shipped_folder() -> Path:
    """Where the plugins lie that come with the program: inside the package when installed, beside it in a checkout."""
    package = Path(comictool.__file__).resolve().parent
    checkout = package.parent / "plugins"
    # Beside an installed package lie other people's packages, of which one may be called plugins.
    return checkout if (package.parent / "pyproject.toml").is_file() else package / "shipped" / "plugins"


def is_plugin(directory: Path) -> bool:
    """Whether a directory holds a manifest, or an older main.py with a MainModule."""
    legacy = directory / LEGACY_NAME
    try:
        if (directory / MANIFEST_NAME).is_file():
            return True
        if not legacy.is_file():
            return False
        with legacy.open("rb") as stream:
            return LEGACY_CLASS.search(stream.read(LEGACY_LIMIT)) is not None
    except OSError:
        return False  # what cannot be read cannot be loaded either; naming it gives the reason


def search_folders(plugin_dirs: Sequence[Path] = ()) -> list[tuple[str, Path]]:
    """(where, folder) in search order. Folders of the environment variable that do not exist are passed over, like
    those of PATH.

    Raises:
        InputError: a folder of the command line does not exist.
    """
    folders = []
    for folder in plugin_dirs:
        if not folder.is_dir():
            raise InputError(f"--plugin-dir {folder} is not a directory")
        folders.append(("--plugin-dir", folder))
    listed = os.environ.get(DIRECTORIES_VARIABLE, "")
    folders += [(DIRECTORIES_VARIABLE, Path(part)) for part in listed.split(os.pathsep) if part and Path(part).is_dir()]
    if shipped_folder().is_dir():
        folders.append(("shipped", shipped_folder()))
    return folders


def walk_plugins(plugin_dirs: Sequence[Path] = ()) -> Iterator[PluginPlace]:
    """Every plugin directory in search order, names of one folder sorted. A folder may be a plugin or hold plugins."""
    for where, folder in search_folders(plugin_dirs):
        if is_plugin(folder):
            yield PluginPlace(folder.resolve().name, folder, where)
            continue
        for child in _children(folder):
            if not child.name.startswith(".") and child.is_dir() and is_plugin(child):
                yield PluginPlace(child.name, child, where)


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"plugin folder {folder} cannot be read: {error.strerror or error}") from error


def find_plugin(name_or_path: str, plugin_dirs: Sequence[Path] = ()) -> PluginPlace:
    """The directory that a name or a path means.

    A path is what contains a separator or starts with a dot; everything else is a name and looked up in the search
    order, by the folder's name first and then by the id in its manifest.

    Raises:
        UsageError: nearly right (a timm name without `timm:`, a folder here without `./`), or a timm architecture.
        InputError: nothing of that name, with the nearest names; or a path without a plugin.
    """
    name = name_or_path
    if not name:
        raise UsageError("the plugin name is empty", hint="comictool plugins list")
    if misspelt := re.match(r"timm[/.\\]+(?=[A-Za-z])|timm(?=\s)\s*:?\s*|TIMM:|Timm:", name):
        raise UsageError(f"{name!r} is not a plugin name", hint=f"write it as {TIMM}{name[misspelt.end() :]}")
    if name.startswith(TIMM):
        raise UsageError(
            f"{name} is a timm architecture, which has no plugin directory", hint=f"comictool plugins check '{name}'"
        )
    if os.sep in name or "/" in name or name.startswith("."):
        directory = Path(name)
        if directory.is_file() and directory.name in (MANIFEST_NAME, LEGACY_NAME):
            directory = directory.parent
        if not is_plugin(directory):
            reason = f"has no {MANIFEST_NAME}" if directory.is_dir() else "is not a directory"
            raise InputError(f"plugin {name}: {directory} {reason}")
        return PluginPlace(directory.resolve().name, directory, "path")
    places = list(walk_plugins(plugin_dirs))
    for place in places:
        if place.name == name:
            return place
    for place in places:
        if not place.legacy and _id_of(place) == name:
            return place
    if Path(name).is_dir():
        raise UsageError(
            f"no plugin is called {name!r}, but there is a folder of that name here", hint=f"write it as ./{name}"
        )
    known = [place.name for place in places]
    raise InputError(
        f"no plugin is called {name!r}",
        hint=f"comictool plugins list   (for a timm architecture write {TIMM}{name})",
        near=near_matches(name, known),
    )


def _id_of(place: PluginPlace) -> str:
    from comictool.plugins.manifest import read_manifest

    try:
        return read_manifest(place.directory).id
    except ComicError:
        return ""  # a broken neighbour must not keep the others from being found; `plugins list` shows it


def list_plugins(plugin_dirs: Sequence[Path] = ()) -> list[PluginSummary]:
    """Every plugin that can be found, broken and hidden ones with their `problem`. Runs no plugin code."""
    summaries: list[PluginSummary] = []
    first: dict[str, Path] = {}
    for place in walk_plugins(plugin_dirs):
        summary = summarise(place)
        if place.name in first and not summary.problem:
            summary = replace(summary, problem=f"hidden by {first[place.name]}, which comes first")
        first.setdefault(place.name, place.directory)
        summaries.append(summary)
    return summaries


def summarise(place: PluginPlace) -> PluginSummary:
    """What can be said of one plugin without loading it."""
    from comictool.plugins.manifest import read_manifest
    from comictool.plugins.trust import trust_state

    try:
        if place.legacy:
            trusted = trust_state(place.directory).trusted
            return PluginSummary(place.name, "encoder", place.where, place.directory, "older main.py", trusted=trusted)
        return _summary_of(place, read_manifest(place.directory))
    except ComicError as error:
        return PluginSummary(place.name, "", place.where, place.directory, problem=error.fact)


def _summary_of(place: PluginPlace, manifest: Manifest) -> PluginSummary:
    from comictool.plugins.trust import trust_state

    trusted = trust_state(place.directory).trusted if manifest.runs_code else None
    return PluginSummary(
        name=place.name,
        kind=manifest.kind,
        where=place.where,
        directory=place.directory,
        title=manifest.title,
        version=manifest.version,
        architecture=manifest.architecture,
        dimension=manifest.vector.dimension if manifest.vector is not None else None,
        licence=manifest.licence,
        trusted=trusted,
        problem=too_old_for(manifest),
        needs_weights=_needs_weights(manifest),
    )


def _needs_weights(manifest: Manifest) -> bool:
    """Whether loading asks for `--weights FILE`: an architecture with weights, and none in the directory."""
    from comictool.plugins.architectures import architecture_names, find_architecture

    name = manifest.architecture
    if manifest.weights is not None or manifest.runs_code:
        return False
    if manifest.kind != "encoder":
        return name in find_kind(manifest.kind).weighted
    return find_architecture(name).needs_torch if name in architecture_names() else name.startswith(TIMM)


def too_old_for(manifest: Manifest) -> str:
    """Why this comictool is too old for a plugin; empty when it is not."""
    if not manifest.minimum_tool or _release(comictool.__version__) >= _release(manifest.minimum_tool):
        return ""
    return f"needs comictool {manifest.minimum_tool}, this is {comictool.__version__}"


def _release(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, padded so that 1.0 equals 1.0.0."""
    numbers = re.match(r"[0-9]+(\.[0-9]+)*", version)
    parts = [int(part) for part in numbers.group().split(".")] if numbers else [0]
    return tuple(parts + [0] * (4 - len(parts)))


def names_for_completion(plugin_dirs: Sequence[Path] = ()) -> list[str]:
    """Plugin names for Tab: one directory listing per folder, nothing parsed, no errors; `timm:` last."""
    try:
        names = [place.name for place in walk_plugins(plugin_dirs)]
    except (ComicError, OSError):
        names = []  # a shell waiting for a completion has no use for an error
    return [*dict.fromkeys(names), TIMM]
