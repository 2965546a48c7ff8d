"""The recipe of ELRIC: from a corpus or packs of characters, and perhaps the vectors of panels, to a task and data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from comictool.core.errors import InputError
from comictool.core.seeds import derive_seed
from comictool.datasets.splitting.folders import read_manifest
from comictool.elric.context_rows import ContextRows, context_rows, read_features
from comictool.elric.data import ElricData, frequent
from comictool.elric.settings import ElricConfig, sizes_of
from comictool.elric.sources import Character, chosen_split, has_split, open_source
from comictool.elric.task import ElricTask, manifest_of, shape_of
from comictool.elric.validation import Validation
from comictool.elric.weights import load_original
from comictool.plugins.trust import hash_file
from comictool.selfsup.held_pictures import Pictures, large_enough
from comictool.training.recipe import Prepared
from comictool.vectors.sources import ALL

NAMED = 5  # examples of what was left out


def prepare(config: ElricConfig, sources: Mapping[str, Path], device: torch.device) -> Prepared:
    """Model and data of a run.

    Args:
        config: checked.
        sources: `data`: a corpus, a folder of packs, or one pack. `features`: vectors of panels, for a context.
            `weights`: a checkpoint to begin from. `validation`: another place for held-out characters.
        device: unused; the engine moves the task.

    Raises:
        UsageError: a context without features.
        InputError: sources that hold nothing usable, or belong to different corpora.
    """
    side = config.crops.source_side
    pictures, characters, left_out = _chosen(config, sources["data"], config.data.split, side)
    context = _context(config, sources, characters)
    facts = _facts(characters, left_out)
    if context is not None and config.context.mode != "zero":
        facts["characters without context"] = context.missing
        if config.context.missing == "drop" and context.missing:
            present = context.present()
            pictures = pictures.only(present)
            characters = [characters[row] for row in present]
            context = context.only(present)
            facts["characters"] = len(characters)
    sizes = sizes_of(len(characters), config)
    validation, more = _validation(config, sources, {character.comic for character in characters})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(config.training.seed, "weights"))
        task = ElricTask(config, sizes, context_width=context.width if context else 0, validation=validation)
    if "weights" in sources:
        facts["began from"] = load_original(task, sources["weights"])
        facts["weights"] = hash_file(sources["weights"])[:16]
    facts["pictures in memory"] = pictures.held
    derived = {f"by size: {name}": value for name, value in asdict(sizes).items()}
    return Prepared(task, ElricData(pictures, config.crops, context), facts | more, derived)


def _chosen(
    config: ElricConfig, path: Path, split: str, side: int
) -> tuple[Pictures, list[Character], dict[str, list[str]]]:
    """The characters of a split that are usable with their pictures, and why the others are not."""
    source = open_source(path, chosen_split(path, split))
    kept = frequent(source.characters, config.data.min_frequency)
    rare = len(source.characters) - len(kept)
    numbers, problems = large_enough(source, kept, config.data.min_side)
    if not numbers:
        raise InputError(
            f"{path} holds {len(source.characters)} characters, but none that data.min_side {config.data.min_side} and "
            f"data.min_frequency {config.data.min_frequency} leave"
        )
    pictures = Pictures(source, numbers, source_side=side, cache=config.data.cache)
    if pictures.lost:
        sound = [position for position in range(len(numbers)) if position not in pictures.lost]
        problems += [f"{source.characters[numbers[at]].panel_id}: {line}" for at, line in pictures.lost.items()]
        pictures, numbers = pictures.only(sound), [numbers[position] for position in sound]
    left_out = {"unusable": source.problems, "small or damaged": problems, "rare": ["identity"] * rare}
    return pictures, [source.characters[number] for number in numbers], left_out


def _validation(
    config: ElricConfig, sources: Mapping[str, Path], trained_on: set[str]
) -> tuple[Validation | None, dict[str, Any]]:
    """Held-out characters, when there are any: those of the other place, or of the other split of the same place."""
    path, split = sources.get("validation"), config.data.validation
    if path is None:
        path = sources["data"]
        if split == config.data.split or not has_split(path, split):
            return None, {"validation": "none: " + (f"no split {split!r}" if split else "not asked for")}
    try:
        pictures, characters, _ = _chosen(config, path, split or ALL, 2 * config.crops.global_size)
    except InputError:
        if "validation" in sources:
            raise
        return None, {"validation": f"none: the split {split!r} holds no usable character"}
    shared = trained_on & {character.comic for character in characters}
    if shared and not config.data.by_page:
        manifest = read_manifest(path)
        paged = manifest is not None and manifest["by"] == "page"
        raise InputError(
            f"{len(shared)} comics are trained and validated on, such as {min(shared)!r}",
            cause="the split goes by page" if paged else "",
            hint="--set data.by_page=true validates on their other pages, --set data.validation= not at all"
            + ("" if paged else f"; comictool data split {path} keeps comics together"),
        )
    spec = manifest_of(config, shape_of(config)).image
    assert spec is not None
    return Validation(pictures, characters, spec), {"validation": _facts(characters, {})}


def _context(config: ElricConfig, sources: Mapping[str, Path], characters: list[Character]) -> ContextRows | None:
    features = None
    if config.context.mode != "none" and "features" in sources:
        features = read_features(sources["features"], sorted({character.comic for character in characters}))
    return context_rows(config.context.mode, characters, features, seed=config.training.seed)


def _facts(characters: list[Character], left_out: Mapping[str, list[str]]) -> dict[str, Any]:
    """Counts, what was left out with examples, and a hash that tells these characters from others."""
    names = "\n".join(f"{c.panel_id}_{c.identity}" for c in characters)
    facts: dict[str, Any] = {
        "characters": len(characters),
        "identities": len({character.label for character in characters}),
        "comics": len({character.comic for character in characters}),
        "names": sha256(names.encode("utf-8", "backslashreplace")).hexdigest()[:16],
    }
    for reason, lines in left_out.items():
        if lines:
            facts[f"left out, {reason}"] = len(lines)
            if reason != "rare":
                facts[f"left out, {reason}, for example"] = lines[:NAMED]
    return facts
