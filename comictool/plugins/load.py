"""From what a user writes after `--plugin` to an encoder that is ready."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from comictool.core.device import choose_device, choose_precision, import_torch
from comictool.core.errors import InputError, SetupError, UsageError
from comictool.core.seeds import derive_seed
from comictool.plugins.architectures import Architecture, call_builder, find_architecture
from comictool.plugins.discovery import PluginPlace, find_plugin, too_old_for
from comictool.plugins.encoder import Encoder
from comictool.plugins.kinds import find_kind, named
from comictool.plugins.manifest import Inputs, Manifest, read_manifest, weights_path
from comictool.plugins.names import JOINED, MANIFEST_NAME, PYTHON, TIMM
from comictool.plugins.trust import Fingerprint, hash_file, require_trust

RANDOM_SEED = 0


@dataclass(frozen=True)
class EncoderSpec:
    """What to load and how, in a form that travels to worker processes.

    Attributes:
        name_or_path: a plugin's name or id, a path, or `timm:NAME` (`timm:NAME?random` for untrained weights,
            `?resize=pad` or `crop` for another way to fit pictures in).
        plugin_dirs: searched before COMICTOOL_PLUGIN_DIRS and the shipped ones.
        trust: let this plugin's code run this once.
        device: auto | cpu | cuda | cuda:N | mps; ignored by encoders that need no torch.
        weights: load these instead of the plugin's own; needed for `timm:NAME` unless one of the last two is set.
        precision: auto | fp32 | bf16 | fp16.
        allow_download: may fetch published weights of `timm:NAME`; nothing else ever reaches the network.
        random_weights: untrained weights, the same every time (for tests and comparisons).
        languages: of readers of text, which ones, as the plugin calls them; stands in for `languages` among the
            arguments of its manifest.
    """

    name_or_path: str
    plugin_dirs: tuple[Path, ...] = ()
    trust: bool = False
    device: str = "auto"
    weights: Path | None = None
    precision: str = "auto"
    allow_download: bool = False
    random_weights: bool = False
    languages: tuple[str, ...] = ()

    def load(self) -> Encoder:
        """Load it, wherever this runs; the same as `load_encoder`."""
        return load_encoder(self)

    def remembered(self) -> dict[str, Any]:
        """Plain values by which `recalled` finds the encoder again, from any working directory.

        Trust, downloads, device and precision are not among them: whoever opens a store decides those, so that a
        store from somebody else cannot run code.
        """
        is_path = not self.name_or_path.startswith(TIMM) and (os.sep in self.name_or_path or "/" in self.name_or_path)
        is_path = is_path or self.name_or_path.startswith(".")
        return {
            "plugin": str(Path(self.name_or_path).absolute()) if is_path else self.name_or_path,
            "plugin_dirs": [str(folder.absolute()) for folder in self.plugin_dirs],
            "weights": str(self.weights.absolute()) if self.weights is not None else None,
            "random_weights": self.random_weights,
        }

    @classmethod
    def recalled(cls, values: Mapping[str, Any], *, given: EncoderSpec | None = None) -> EncoderSpec:
        """The spec that was remembered, with what `given` says about trust, downloads, device and precision.

        Args:
            values: from `remembered`, perhaps out of a file that somebody else made.
            given: what the user says now; its plugin folders are searched first, its weights replace those
                remembered (they may have moved). Folders that do not exist any more are passed over.

        Raises:
            InputError: not what `remembered` gives.
        """
        name, folders, weights = values.get("plugin"), values.get("plugin_dirs", []), values.get("weights")
        sound = isinstance(folders, list) and all(isinstance(folder, str) for folder in folders)
        if not isinstance(name, str) or not sound or not isinstance(weights, str | None):
            raise InputError(f"this does not name a plugin: {dict(values)!r:.200}")
        base = given if given is not None else cls("")
        kept = tuple(Path(folder) for folder in folders if Path(folder).is_dir())
        return replace(
            base,
            name_or_path=name,
            plugin_dirs=(*base.plugin_dirs, *(folder for folder in kept if folder not in base.plugin_dirs)),
            weights=base.weights or (Path(weights) if weights else None),
            random_weights=values.get("random_weights") is True,
        )


def load_plugin(name_or_path: str, *, plugin_dirs: Sequence[Path] = (), **options: Any) -> Encoder:
    """Load an encoder by name, path or `timm:NAME`; the options are those of `EncoderSpec`, which also raises."""
    return load_encoder(EncoderSpec(name_or_path, tuple(plugin_dirs), **options))


def load_encoder(spec: EncoderSpec) -> Encoder:
    """The encoder that a spec describes; the same in every process. Raises what `load_model` raises."""
    encoder: Encoder = load_model(spec, "encoder")
    return encoder


def load_model(spec: EncoderSpec, kind: str = "") -> Any:
    """The model that a spec describes, with the method of its kind (`comictool.plugins.kinds`).

    Args:
        spec: which, and how.
        kind: the only kind that will do; empty for any.

    Raises:
        UsageError: options that contradict each other, code without trust, another kind, no weights.
        InputError: not found, damaged, or not what its manifest says.
        SetupError: no such device, torch or timm missing or broken, a tool too old, a failed download.
    """
    if spec.weights is not None and spec.random_weights:
        raise UsageError("--weights and untrained weights (?random) contradict each other", hint="give one of the two")
    if spec.name_or_path.startswith(TIMM) and kind in ("", "encoder"):
        return _load_timm(spec)
    place = find_plugin(spec.name_or_path, spec.plugin_dirs)
    if place.legacy:
        return _load_legacy(spec, place)
    manifest = read_manifest(place.directory)
    _check_usable(manifest, place, kind)
    if manifest.kind != "encoder":
        return _load_kind(spec, place, manifest)
    if manifest.runs_code:
        files = require_trust(place.directory, ["model.py"], trust=spec.trust)
        return _load_code(spec, place, manifest, files)
    if manifest.architecture == JOINED:
        from comictool.plugins.joined import load_joined

        _refuse_weights(spec, f"plugin {place.name} has no weights of its own")
        return load_joined(spec, place.directory, manifest)
    found = find_architecture(manifest.architecture)
    if not found.needs_torch:
        _refuse_weights(spec, f"plugin {place.name} has no weights")
        return call_builder(found, manifest.arguments, manifest)
    return _load_declarative(spec, place, manifest, found)


def _check_usable(manifest: Manifest, place: PluginPlace, kind: str) -> None:
    if kind and manifest.kind != kind:
        own, asked = (f"{'an' if name[0] in 'aeiou' else 'a'} {name}" for name in (manifest.kind, kind))
        raise UsageError(f"plugin {place.name} is {own}, not {asked}", hint=f"comictool plugins list   shows {kind}s")
    problem = too_old_for(manifest)
    if problem:
        raise SetupError(f"plugin {place.name} {problem}", hint="pip install --upgrade comictool")


def _load_kind(spec: EncoderSpec, place: PluginPlace, manifest: Manifest) -> Any:
    """A model of another kind than encoders: its own code, or one of the kind's architectures."""
    kind = find_kind(manifest.kind)
    if spec.languages:
        manifest = replace(manifest, arguments={**manifest.arguments, "languages": list(spec.languages)})
    if manifest.runs_code:
        from comictool.plugins.code_plugins import PLUGIN_BUILDER, CodeModel, find_builder, run_plugin_code

        files = require_trust(place.directory, ["model.py"], trust=spec.trust)
        _refuse_weights(spec, f"plugin {place.name} loads its own weights")
        _, build = find_builder(place.directory, files, (PLUGIN_BUILDER,))
        device = choose_device(spec.device)
        made = run_plugin_code(place.name, build, manifest, place.directory, device.name)
        return CodeModel(made, manifest, files.digest, device)
    if manifest.architecture not in kind.architectures:
        known = ", ".join([*kind.architectures, PYTHON])
        raise InputError(
            f"plugin {place.name}: no {kind.name} has the architecture {manifest.architecture}", hint=f"known: {known}"
        )
    return named(kind.architectures[manifest.architecture])(spec, place.directory, manifest)


def _refuse_weights(spec: EncoderSpec, fact: str) -> None:
    if spec.weights is not None or spec.random_weights:
        raise UsageError(fact, hint="leave the weights out")


def _load_legacy(spec: EncoderSpec, place: PluginPlace) -> Encoder:
    _refuse_weights(spec, f"plugin {place.name} loads its own weights (it is an older main.py)")
    files = require_trust(place.directory, ["main.py"], trust=spec.trust)
    from comictool.plugins.legacy import load_legacy

    return load_legacy(place.name, place.directory, files, choose_device(spec.device))


def _load_code(spec: EncoderSpec, place: PluginPlace, manifest: Manifest, files: Fingerprint) -> Encoder:
    from comictool.plugins.code_plugins import CodeEncoder, find_builder, run_plugin_code

    name, build = find_builder(place.directory, files)
    if name == "build_encoder":
        _refuse_weights(spec, f"plugin {place.name} loads its own weights")
        device = choose_device(spec.device)
        made = run_plugin_code(place.name, build, manifest, place.directory, device.name)
        if not callable(getattr(made, "embed", None)):
            raise InputError(f"plugin {place.name}: build_encoder gave a {type(made).__name__} without embed(images)")
        return CodeEncoder(made.embed, manifest, files.digest, device)
    model = run_plugin_code(place.name, build, **manifest.arguments)
    if not isinstance(model, import_torch().nn.Module):
        raise InputError(f"plugin {place.name}: build_model gave a {type(model).__name__}, not a torch module")
    return _weighted(spec, place, manifest, lambda: model, Architecture(PYTHON, build, needs_torch=True), files.digest)


def _load_declarative(spec: EncoderSpec, place: PluginPlace, manifest: Manifest, found: Architecture) -> Encoder:
    _check_weights_named(spec, place, manifest)
    return _weighted(spec, place, manifest, lambda: call_builder(found, manifest.arguments), found, "")


def _check_weights_named(spec: EncoderSpec, place: PluginPlace, manifest: Manifest) -> None:
    if manifest.weights is None and spec.weights is None and not spec.random_weights:
        raise InputError(
            f"{place.directory / MANIFEST_NAME}: [weights] is missing; {manifest.architecture} needs weights",
            hint="give them with --weights FILE, or make a plugin with its weights, once:  "
            f"comictool plugins convert FILE --for {place.name} -o FOLDER",
        )


def _weighted(
    spec: EncoderSpec,
    place: PluginPlace,
    manifest: Manifest,
    make: Callable[[], Any],
    found: Architecture,
    code_hash: str,
) -> Encoder:
    """The encoder of a plugin directory, with the weights of its manifest, of `--weights`, or untrained."""
    from comictool.plugins.torch_encoder import TorchEncoder
    from comictool.plugins.weights import hash_tensors, verified_weights

    notes = []
    weights_hash = code_hash
    if spec.weights is not None:
        # The threshold was fitted to the plugin's own weights and says nothing about others.
        manifest = replace(manifest, threshold={})
        model, note = _with_file(make, spec.weights, found, place.name)
        notes.append(note)
        weights_hash = hash_file(spec.weights)
    elif spec.random_weights:
        manifest = replace(manifest, threshold={})
        with _random_state(manifest.architecture):
            model = make()
        weights_hash = hash_tensors(model.state_dict())
        notes.append("untrained weights")
    elif manifest.weights is not None:
        file = weights_path(place.directory, manifest.weights)
        verified_weights(file, manifest.weights.sha256, str(place.directory / MANIFEST_NAME))
        model, note = _with_file(make, file, found, place.name)
        notes.append(note)
        weights_hash = code_hash or manifest.weights.sha256  # with code, the hash over all files says more
    else:
        model = make()  # code that brings its own weights; others were refused
    device = choose_device(spec.device)
    precision = choose_precision(spec.precision, device)
    return TorchEncoder(model, manifest, weights_hash=weights_hash, device=device, precision=precision, notes=notes)


def _with_file(make: Callable[[], Any], file: Path, found: Architecture, name: str) -> tuple[Any, str]:
    """A model with the weights of a file; the note says what was done that is not obvious."""
    from comictool.plugins.building import build_with_weights
    from comictool.plugins.weights import MisfitError, read_checkpoint

    checkpoint = read_checkpoint(file)
    try:
        model, fit = build_with_weights(
            make, checkpoint, str(file), classifiers=found.classifiers, published=found.published
        )
    except MisfitError as error:
        if found.sizes is not None:
            made = f"comictool plugins convert {shlex.quote(str(file))} --for {shlex.quote(name)} -o FOLDER"
            error.hint = f"weights of any size of {found.name} become a plugin by: {made}"
        raise
    return model, fit.note()


def _load_timm(spec: EncoderSpec) -> Encoder:
    """`timm:NAME` without a directory: its manifest is made from timm's own configuration."""
    from comictool.plugins.timm_models import build_timm, download_timm, parse_timm_name, timm_input
    from comictool.plugins.torch_encoder import TorchEncoder
    from comictool.plugins.weights import hash_tensors

    wanted = parse_timm_name(spec.name_or_path[len(TIMM) :])
    random = wanted.random or spec.random_weights
    found = find_architecture(f"{TIMM}{wanted.name}")
    _check_timm_options(spec, wanted.name, random)
    device = choose_device(spec.device)
    precision = choose_precision(spec.precision, device)
    if spec.weights is not None:
        model, note = _with_file(lambda: build_timm(wanted.name), spec.weights, found, found.name)
        weights_hash = hash_file(spec.weights)
    else:
        note = "untrained weights" if random else "published weights, fetched by timm"
        with _random_state(found.name):
            model = build_timm(wanted.name) if random else download_timm(wanted.name)
        weights_hash = hash_tensors(model.state_dict())
    manifest = Manifest(
        id=f"timm-{wanted.name.lower()}",
        version="0",
        title=f"timm {wanted.name}" + (", untrained" if random else ""),
        kind="encoder",
        licence="that of its weights",
        architecture=found.name,
        input=Inputs(timm_input(model, wanted.resize, wanted.name)),
    )
    return TorchEncoder(model, manifest, weights_hash=weights_hash, device=device, precision=precision, notes=[note])


def _check_timm_options(spec: EncoderSpec, name: str, random: bool) -> None:
    if random and spec.weights is not None:
        raise UsageError(f"{TIMM}{name}: untrained weights and --weights contradict each other")
    if not random and spec.weights is None and not spec.allow_download:
        raise UsageError(
            f"{TIMM}{name} needs weights",
            cause="nothing is downloaded unless asked for, and untrained weights would give meaningless results",
            hint="add --weights FILE, or --download to let timm fetch the published ones "
            f"(for a test: --plugin {shlex.quote(f'{TIMM}{name}?random')})",
        )


@contextmanager
def _random_state(name: str) -> Iterator[None]:
    """Torch's initial weights depend on the architecture's name alone in here; its generator is put back after."""
    torch = import_torch()
    before = torch.get_rng_state()
    torch.manual_seed(derive_seed(RANDOM_SEED, "untrained", name))
    try:
        yield
    finally:
        torch.set_rng_state(before)
