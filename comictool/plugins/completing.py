"""A plugin that ships without weights and a checkpoint of the user's, made into a plugin directory of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from comictool.core.errors import InputError, UsageError
from comictool.plugins.architectures import call_builder, find_architecture
from comictool.plugins.convert import Conversion, convert_checkpoint
from comictool.plugins.discovery import find_plugin
from comictool.plugins.manifest import WeightsSpec, read_manifest, write_manifest
from comictool.plugins.names import MANIFEST_NAME
from comictool.plugins.weights import fit_weights, read_checkpoint

WEIGHTS = "model.safetensors"


def complete_plugin(
    source: Path,
    name: str,
    directory: Path,
    *,
    plugin_dirs: Sequence[Path] = (),
    key: str = "",
    force: bool = False,
) -> Conversion:
    """Write a directory with the manifest of a plugin and converted weights that fit its architecture.

    Args:
        source: a checkpoint of any origin; nothing in it is run.
        name: the plugin whose manifest is taken, a shipped one for example.
        directory: where to; made when absent.
        plugin_dirs: searched for `name` first.
        key: only this part of the checkpoint.
        force: replace what is there.

    Raises:
        UsageError: the plugin takes no weights, or the directory holds a plugin already.
        InputError: the checkpoint is damaged, or its tensors do not fit; nothing usable is then written.
    """
    place = find_plugin(name, plugin_dirs)
    if place.legacy:
        raise UsageError(f"plugin {name} is an older main.py, which loads its own weights")
    manifest = read_manifest(place.directory)
    if manifest.runs_code or manifest.kind != "encoder" or not find_architecture(manifest.architecture).heavy:
        raise UsageError(f"plugin {name} takes no weights")
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"{directory} is a file; a plugin is a folder")
    if (directory / MANIFEST_NAME).exists() and not force:
        raise UsageError(f"{directory} holds a plugin already", hint="--force replaces it")
    done = convert_checkpoint(source, directory / WEIGHTS, key=key, force=force)
    found = find_architecture(manifest.architecture)
    try:
        fit_weights(
            call_builder(found, manifest.arguments),
            read_checkpoint(done.output),
            str(source),
            classifiers=found.classifiers,
        )
    except InputError:
        done.output.unlink()
        raise
    write_manifest(directory, replace(manifest, weights=WeightsSpec(WEIGHTS, done.sha256), threshold=None))
    return done
