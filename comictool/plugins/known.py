"""Which encoder_id an encoder will have, known before it is loaded.

Cached vectors are kept under this encoder_id, so that a run in which everything is cached imports no torch.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from comictool.plugins.architectures import find_architecture
from comictool.plugins.discovery import find_plugin
from comictool.plugins.encoder import NO_WEIGHTS, encoder_id_of
from comictool.plugins.load import EncoderSpec
from comictool.plugins.manifest import Manifest, read_manifest
from comictool.plugins.names import JOINED, TIMM
from comictool.plugins.trust import hash_file, require_trust


def known_encoder_id(spec: EncoderSpec) -> str | None:
    """The `encoder_id` of the encoder that a spec describes, without loading it.

    Weights named by a manifest are identified by the hash written there (checked at every load); weights given
    besides are hashed now. Code is never run, but has to be trusted already, as for loading.

    Returns:
        None when only loading tells: untrained weights, `timm:NAME` (its preparation comes from timm), and plugins
        that cannot be loaded as the spec stands.

    Raises:
        UsageError: no such plugin, or code without trust.
        InputError: not found, or a damaged manifest.
    """
    if spec.name_or_path.startswith(TIMM) or spec.random_weights:
        return None
    if spec.weights is not None and not spec.weights.is_file():
        return None
    place = find_plugin(spec.name_or_path, spec.plugin_dirs)
    if place.legacy:
        from comictool.plugins.legacy import legacy_manifest

        files = require_trust(place.directory, ["main.py"], trust=spec.trust)
        return encoder_id_of(legacy_manifest(place.name), files.digest) if spec.weights is None else None
    manifest = read_manifest(place.directory)
    if manifest.kind != "encoder":
        return None
    if manifest.runs_code:
        files = require_trust(place.directory, ["model.py"], trust=spec.trust)
        return encoder_id_of(manifest, files.digest if spec.weights is None else _hash_of(spec.weights))
    if manifest.architecture == JOINED:
        return _known_joined(spec, place.directory, manifest)
    if not _computes_with_torch(manifest.architecture):
        return encoder_id_of(manifest, NO_WEIGHTS) if spec.weights is None else None
    if spec.weights is not None:
        return encoder_id_of(manifest, _hash_of(spec.weights))
    return encoder_id_of(manifest, manifest.weights.sha256) if manifest.weights is not None else None


def _known_joined(spec: EncoderSpec, directory: Path, manifest: Manifest) -> str | None:
    from comictool.plugins.joined import joined_id, part_spec, read_joining

    if spec.weights is not None:
        return None
    ids = []
    joining = read_joining(manifest, directory)
    for part in joining.parts:
        if part.architecture:
            ids.append(encoder_id_of(part.manifest()))
            continue
        own = known_encoder_id(part_spec(part, directory, spec))
        if own is None:
            return None
        ids.append(own)
    return joined_id(manifest, directory, joining, ids)


def _hash_of(weights: Path) -> str:
    """SHA-256 of a weights file, computed once as long as it does not change: references and targets both ask."""
    facts = os.stat(weights)
    return _hash_once(os.path.abspath(weights), facts.st_size, facts.st_mtime_ns, facts.st_ino)


@lru_cache(maxsize=4)
def _hash_once(weights: str, *_: int) -> str:
    return hash_file(Path(weights))


def known_manifest(spec: EncoderSpec) -> Manifest | None:
    """The manifest in the directory that a spec names, without loading; None where only loading makes one.

    Raises:
        InputError: not found, or a damaged manifest.
    """
    if spec.name_or_path.startswith(TIMM):
        return None
    place = find_plugin(spec.name_or_path, spec.plugin_dirs)
    return None if place.legacy else read_manifest(place.directory)


def needs_torch(spec: EncoderSpec) -> bool:
    """Whether the encoder computes with torch in the main process; light ones may run in worker processes."""
    manifest = known_manifest(spec)
    if manifest is not None and manifest.architecture == JOINED:
        from comictool.plugins.joined import part_spec, read_joining

        directory = find_plugin(spec.name_or_path, spec.plugin_dirs).directory
        parts = [part for part in read_joining(manifest, directory).parts if part.plugin]
        return any(needs_torch(part_spec(part, directory, spec)) for part in parts)
    return manifest is None or manifest.runs_code or _computes_with_torch(manifest.architecture)


def _computes_with_torch(architecture: str) -> bool:
    """All of timm's do; whether timm has one of this name is asked when it is built, for that imports torch."""
    return architecture.startswith(TIMM) or find_architecture(architecture).needs_torch


def parts_of(spec: EncoderSpec) -> tuple[int, ...]:
    """How many numbers of a joined encoder's vectors each of its parts has; empty for others, where parts are
    mixed (`damped`), or where it is not known.

    Raises:
        UsageError, InputError: as for loading.
    """
    manifest = known_manifest(spec)
    if manifest is None or manifest.architecture != JOINED:
        return ()
    from comictool.plugins.joined import part_spec, read_joining

    directory = find_plugin(spec.name_or_path, spec.plugin_dirs).directory
    joining = read_joining(manifest, directory)
    if not joining.stays_apart:
        return ()
    parts = joining.parts
    found = [known_manifest(part_spec(part, directory, spec)) for part in parts if part.plugin]
    sizes = [own.vector.dimension for own in found if own is not None and own.vector is not None]
    return tuple(size for size in sizes if size) if len(sizes) == len(parts) and all(sizes) else ()
