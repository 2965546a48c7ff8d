"""A plugin that ships without weights and a checkpoint of the user's, made into a plugin directory of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from comictool.core.errors import InputError, UsageError
from comictool.plugins.architectures import Architecture, call_builder, find_architecture
from comictool.plugins.building import build_with_weights, check_finite
from comictool.plugins.convert import Conversion, convert_checkpoint, write_beside
from comictool.plugins.discovery import find_plugin
from comictool.plugins.manifest import VECTOR, Inputs, Manifest, WeightsSpec, read_manifest, write_manifest
from comictool.plugins.names import JOINED, MANIFEST_NAME
from comictool.plugins.trust import hash_file
from comictool.plugins.weights import Fit, MisfitError, read_checkpoint

WEIGHTS = "model.safetensors"


def complete_plugin(
    source: Path,
    name: str,
    directory: Path,
    *,
    plugin_dirs: Sequence[Path] = (),
    key: str = "",
    heads: int = 0,
    half: bool = False,
    force: bool = False,
) -> Conversion:
    """Write a directory with the manifest of a plugin and converted weights that fit its architecture.

    Where the architecture comes in sizes that can be read off its weights (`dino_vit`), any of them will do.

    Args:
        source: a checkpoint of any origin; nothing in it is run.
        name: the plugin whose manifest is taken, a shipped one for example.
        directory: where to; made when absent.
        plugin_dirs: searched for `name` first.
        key: only this part of the checkpoint.
        heads: of attention, which no weights tell; 0: as the plugin says, or one for each 64 numbers.
        half: keep only what the architecture uses, in fp16. Networks compute in fp32 or bf16 all the same.
        force: replace what is there.

    Raises:
        UsageError: the plugin takes no weights, has no heads, or the directory holds a plugin already.
        InputError: the checkpoint is damaged, or its tensors do not fit; nothing usable is then written.
    """
    place = find_plugin(name, plugin_dirs)
    if place.legacy:
        raise UsageError(f"plugin {name} is an older main.py, which loads its own weights")
    manifest = read_manifest(place.directory)
    without = manifest.runs_code or manifest.kind != "encoder" or manifest.architecture == JOINED
    if without or not find_architecture(manifest.architecture).needs_torch:
        raise UsageError(f"plugin {name} takes no weights")
    found = find_architecture(manifest.architecture)
    if heads and found.sizes is None:
        raise UsageError(f"plugin {name} has no heads to choose", hint="leave --heads out")
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"{directory} is a file; a plugin is a folder")
    if (directory / MANIFEST_NAME).exists() and not force:
        raise UsageError(f"{directory} holds a plugin already", hint="--force replaces it")
    done = convert_checkpoint(source, directory / WEIGHTS, key=key, force=force)
    try:
        checkpoint = read_checkpoint(done.output)
        try:
            if heads:
                raise MisfitError("the heads are said")
            fit = _prove(found, manifest.arguments, checkpoint, source)
        except MisfitError as misfit:
            sized = _resized(manifest, found, checkpoint, misfit, heads)
            fit = _prove(found, sized.arguments, checkpoint, source)
            manifest = sized
        if half:
            done = _halved(done, fit)
        write_manifest(directory, replace(manifest, weights=WeightsSpec(WEIGHTS, done.sha256), threshold={}))
    except InputError:
        done.output.unlink()
        raise
    return replace(done, title=manifest.title)


def _prove(found: Architecture, arguments: Mapping[str, Any], checkpoint: Any, source: Path) -> Fit:
    _, fit = build_with_weights(
        lambda: call_builder(found, arguments),
        checkpoint,
        str(source),
        classifiers=found.classifiers,
        published=found.published,
    )
    return fit


def _halved(done: Conversion, fit: Fit) -> Conversion:
    """The weights written anew: those that fit, numbers with a fraction in fp16, counters of training left out.

    Raises:
        InputError: a number that fp16 cannot hold.
    """
    used = {name: tensor for name, tensor in fit.tensors.items() if not name.endswith("num_batches_tracked")}
    tensors = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in used.items()}
    check_finite(tensors, "the weights in fp16")
    write_beside(done.output, tensors)
    return replace(done, sha256=hash_file(done.output), tensors=len(tensors))


def _resized(manifest: Manifest, found: Architecture, checkpoint: Any, misfit: MisfitError, heads: int) -> Manifest:
    """The manifest for weights of another size, which are read off them.

    Raises:
        InputError: `misfit`, where the architecture has one size or its weights do not tell.
    """
    if found.sizes is None or manifest.image is None or manifest.vector is None:
        raise misfit
    try:
        arguments = found.sizes(checkpoint, heads)
    except InputError as error:
        misfit.hint = f"{error.fact}; {error.hint}" if error.hint else misfit.hint
        raise misfit from error
    name = f"{arguments['width']}x{arguments['depth']}-{arguments['patch_size']}"
    return replace(
        manifest,
        id=f"{manifest.architecture.replace('_', '-')}-{name}",
        title=f"{manifest.architecture} of width {arguments['width']}, depth {arguments['depth']}, patches of "
        f"{arguments['patch_size']} pixels; {arguments['heads']} heads" + ("" if heads else " assumed"),
        arguments=arguments,
        input=Inputs(replace(manifest.image, size=(arguments["image_size"],) * 2)),
        output={VECTOR: replace(manifest.vector, dimension=arguments["width"])},
    )
