"""The plugin manifest, `plugin.toml`: what a model directory says about itself. Read strictly, written back alike.

Schema 2; every key that is not listed here is refused:

    schema = 2
    id = "res18-single"             lower case, digits, dot, dash, underscore; stays the same when the folder is renamed
    version = "1.0"                 of the model, not of the tool
    title = "..."                   one line for people
    kind = "encoder"                encoder | text-encoder | sequence | fusion | detector | depth | ocr
    licence = "MIT"                 SPDX name or a sentence, of the weights
    minimum_tool = "0.1"            optional: the oldest comictool that can load it

    [architecture]
    name = "timm:resnet18"    classic | resnet18_linear | dino_vit | instance | timm:NAME | joined | python (model.py);
                                    other kinds have their own: hashed, minilm, asterx, closure
    [architecture.arguments]        optional: passed to the architecture; texts, numbers, booleans, lists

    [input.image]                   optional for architectures that prepare pictures themselves
    size = [224, 224]               height, width in pixels (or one number for both)
    resize = "squash"               squash (ignore the aspect) | pad (keep all, fill) | crop (centre, keep the aspect)
    interpolation = "bilinear"      bilinear | bicubic, both antialiased
    mean = [0.485, 0.456, 0.406]    of RGB scaled to 0..1
    std = [0.229, 0.224, 0.225]
    alpha_background = [255, 255, 255]   what shows through transparency and fills the borders of `pad`

    [input.text]                    of models that take texts
    length = 77                     tokens or characters; the rest is cut off
    languages = ["en", "ja"]        optional

    [reads]                         of models that take vectors: which column of a store, made by which encoder
    "panel/image" = "classic@1+none+own"

    [output.vector]                 every answer by its name; which ones a kind gives: comictool.plugins.kinds
    form = "vector"                 vector | map (one number a pixel) | boxes | text
    dimension = 512                 of a vector
    normalised = true               whether the architecture itself ends in unit vectors (an encoder gives them always)
    metric = "cosine"               cosine | negative-l2
    classes = ["panel", "text"]     of boxes
    unit = "metres"                 of a map

    [threshold.cosine]              optional, by metric: same or different
    value = 0.62
    fitted = "..."                  on which data, by which rule
    false_accept_rate = 0.01        optional

    [weights]                       absent for models without any
    file = "model.safetensors"      inside the directory, never a link; .safetensors .pt .pth .bin .ckpt .mdl
    sha256 = "..."                  64 hexadecimal digits, verified at every load

Standard library only.
"""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, get_args

from comictool.core.errors import InputError
from comictool.core.files import read_toml, write_text
from comictool.core.toml_text import write_tables
from comictool.core.typed import Check, text, typed, within
from comictool.plugins.names import MANIFEST_NAME, PYTHON

MANIFEST_LIMIT = 64 * 1024  # bytes; the largest sensible one is about two thousand
SCHEMA = 2
Resize = Literal["squash", "pad", "crop"]
Interpolation = Literal["bilinear", "bicubic"]
Metric = Literal["cosine", "negative-l2"]
Form = Literal["vector", "map", "boxes", "text"]
RESIZE_MODES: tuple[str, ...] = get_args(Resize)
INTERPOLATIONS: tuple[str, ...] = get_args(Interpolation)
METRICS: tuple[str, ...] = get_args(Metric)
WEIGHT_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".mdl")
MAX_INPUT_SIDE = 4096  # the largest published vision transformers take 1536
MAX_DIMENSION = 65_536
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
VECTOR = "vector"  # the output by which things are compared

ID_PATTERN = r"[a-z0-9][a-z0-9._-]{0,79}"
VERSION_PATTERN = r"[0-9]+(\.[0-9]+){0,3}([-+.]?[0-9A-Za-z]+(\.[0-9A-Za-z]+)*)?"
ARCHITECTURE_PATTERN = r"(timm:)?[A-Za-z0-9][A-Za-z0-9._-]*"


def _plain(value: object, depth: int = 3) -> bool:
    """A text, number or boolean, or short lists and tables of them."""
    if isinstance(value, str):
        return len(value) <= 500 and value.isprintable()
    if isinstance(value, int | float):
        return math.isfinite(value)
    if depth == 0:
        return False
    if isinstance(value, list):
        return len(value) <= 1000 and all(_plain(item, depth - 1) for item in value)
    return isinstance(value, dict) and len(value) <= 100 and all(_plain(v, depth - 1) for v in value.values())


def safe_file(value: str) -> bool:
    """Whether a text is a plain relative path that stays inside a folder."""
    path = PurePosixPath(value)
    return str(path) == value and not path.is_absolute() and ".." not in path.parts and not set("\\:\n") & set(value)


def _known_suffix(value: str) -> bool:
    return PurePosixPath(value).suffix.lower() in WEIGHT_SUFFIXES


Side = Annotated[int, within(1, MAX_INPUT_SIDE)]
Level = Annotated[int, within(0, 255)]
Mean = Annotated[float, within(-10, 10)]
Deviation = Annotated[float, within(1e-3, 10)]  # smaller ones would only blow rounding errors up
Line = Annotated[str, text(200, least=1), Check(lambda value: bool(value.strip()), "text, not blanks alone")]
Short = Annotated[str, text(80, least=1)]
Arguments = dict[str, Annotated[Any, Check(_plain, "a text, number, boolean, or short lists and tables of them")]]


@dataclass(frozen=True)
class InputSpec:
    """How a picture becomes the tensor that the model sees. `size` is (height, width) in pixels."""

    size: tuple[Side, Side] = (224, 224)
    resize: Resize = "squash"
    interpolation: Interpolation = "bilinear"
    mean: tuple[Mean, Mean, Mean] = IMAGENET_MEAN
    std: tuple[Deviation, Deviation, Deviation] = IMAGENET_STD
    alpha_background: tuple[Level, Level, Level] = (255, 255, 255)

    def digest(self) -> str:
        """Hash of every value: two encoders with the same one see the same tensor."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class TextSpec:
    """What texts a model takes: how many tokens or characters, and in which languages (none named: any)."""

    length: Annotated[int, within(1, 1 << 20)]
    languages: tuple[Short, ...] = ()


@dataclass(frozen=True)
class Inputs:
    """What a model takes, by modality."""

    image: InputSpec | None = None
    text: TextSpec | None = None


@dataclass(frozen=True)
class OutputSpec:
    """One answer: a vector of `dimension` numbers, compared by `metric`; a map; boxes of `classes`; or text."""

    dimension: Annotated[int, within(0, MAX_DIMENSION)] = 0
    form: Form = "vector"
    normalised: bool = True
    metric: Metric = "cosine"
    classes: tuple[Short, ...] = ()
    unit: Annotated[str, text(80)] = ""


@dataclass(frozen=True)
class ThresholdSpec:
    """The score from which two pictures count as the same, and how it was found."""

    value: Annotated[float, within(-1e6, 1e6)]
    fitted: Annotated[str, text(500, least=1)]
    false_accept_rate: Annotated[float | None, within(0, 1)] = None


@dataclass(frozen=True)
class WeightsSpec:
    """A weights file beside the manifest."""

    file: Annotated[
        str,
        text(200, least=1),
        Check(safe_file, "a plain relative path inside the plugin directory"),
        Check(_known_suffix, "a file ending in " + " ".join(WEIGHT_SUFFIXES)),
    ]
    sha256: Annotated[str, text(64, pattern="[0-9a-f]{64}", must="64 lower-case hexadecimal digits")]


Version = Annotated[str, text(40, pattern=VERSION_PATTERN, must='a version such as "1.0"')]


@dataclass(frozen=True)
class Manifest:
    """A checked `plugin.toml`; see the module text for each field."""

    id: Annotated[str, text(80, pattern=ID_PATTERN, must="lower-case letters, digits, dot, dash, underscore")]
    version: Version
    title: Line
    kind: str
    licence: Line
    architecture: str
    arguments: dict[str, Any] = field(default_factory=dict)
    input: Inputs = field(default_factory=Inputs)
    reads: dict[str, Line] = field(default_factory=dict)
    output: dict[str, OutputSpec] = field(default_factory=dict)
    threshold: dict[str, ThresholdSpec] = field(default_factory=dict)
    weights: WeightsSpec | None = None
    minimum_tool: Version | Literal[""] = ""

    @property
    def runs_code(self) -> bool:
        """Whether loading it executes Python from its directory."""
        return self.architecture == PYTHON

    @property
    def image(self) -> InputSpec | None:
        """`[input.image]`."""
        return self.input.image

    @property
    def vector(self) -> OutputSpec | None:
        """`[output.vector]`."""
        return self.output.get(VECTOR)


def read_manifest(directory: Path) -> Manifest:
    """Read and check the manifest of a plugin directory; its weights file must be a plain file inside it.

    Raises:
        InputError: missing, unreadable, too large, not TOML, or a wrong value (named by file and key).
    """
    file = directory / MANIFEST_NAME
    if not file.is_file():
        raise InputError(f"{directory} has no {MANIFEST_NAME}")
    manifest = _checked(read_toml(file, most_bytes=MANIFEST_LIMIT), str(file))
    if manifest.weights is not None:
        weights_path(directory, manifest.weights)
    return manifest


def weights_path(directory: Path, weights: WeightsSpec) -> Path:
    """The weights file of a plugin; raises what `inside` raises."""
    return inside(directory, weights.file, "weights.file")


def inside(directory: Path, relative: str, what: str, *, folder: bool = False) -> Path:
    """A file or folder of a plugin that its manifest names by a safe relative path.

    Raises:
        InputError: absent, of another sort, or reached through a link (its target could be anywhere).
    """
    path = directory
    for part in PurePosixPath(relative).parts:
        path = path / part
        if path.is_symlink():
            raise InputError(
                f"{directory / MANIFEST_NAME}: {what} {relative!r} is reached through a symbolic link",
                hint=f"put the file itself there: cp --remove-destination $(readlink -f {path}) {path}",
            )
    if not (path.is_dir() if folder else path.is_file()):
        raise InputError(f"{directory / MANIFEST_NAME}: {what} {relative!r} does not exist")
    return path


def parse_manifest(text: str, file: str) -> Manifest:
    """Check manifest text; `file` names it in errors. Touches no file.

    Raises:
        InputError: not TOML, an unknown key, a wrong value, or a table that its kind does not have.
    """
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} is not valid TOML", cause=str(error)) from error
    return _checked(tables, file)


def _checked(tables: dict[str, Any], file: str) -> Manifest:
    from comictool.plugins.kinds import check_tables

    _check_schema(tables.pop("schema", None), file)
    if "arguments" in tables:
        raise InputError(f"{file}: arguments is not a known key", hint="[architecture.arguments]")
    if isinstance(tables.get("architecture"), str):
        name = tables["architecture"][:60]
        raise InputError(
            f"{file}: architecture must be a table, not {name!r}",
            hint=f'write it as a table:  [architecture]  name = "{name}"',
        )
    if "architecture" in tables:
        built = typed(_File, {"architecture": tables["architecture"]}, file).architecture
        tables |= {"architecture": built.name, "arguments": built.arguments}
    image = tables["input"].get("image") if isinstance(tables.get("input"), dict) else None
    if isinstance(image, dict) and type(image.get("size")) is int:
        image["size"] = [image["size"]] * 2
    manifest = typed(Manifest, tables, file)
    check_tables(manifest, file)
    return manifest


@dataclass(frozen=True)
class _Architecture:
    name: Annotated[
        str, text(200, pattern=ARCHITECTURE_PATTERN, must="an architecture such as classic or timm:resnet18")
    ]
    arguments: Arguments = field(default_factory=dict)


@dataclass(frozen=True)
class _File:
    architecture: _Architecture


def _check_schema(found: object, file: str) -> None:
    if found is None:
        raise InputError(f"{file}: schema is missing", hint=f"schema = {SCHEMA}")
    if found == SCHEMA and not isinstance(found, bool):
        return
    newer = isinstance(found, int) and found > SCHEMA
    raise InputError(
        f"{file}: schema must be {SCHEMA}, not {str(found)[:60]}",
        hint="a newer version may read it" if newer else "since 2: [input.image], [output.vector], [threshold.cosine]",
    )


def format_manifest(manifest: Manifest) -> str:
    """The manifest as TOML text; `parse_manifest` gives an equal manifest back."""
    architecture: dict[str, Any] = {"name": manifest.architecture, "arguments": dict(manifest.arguments) or None}
    tables: dict[str, Any] = {
        "schema": SCHEMA,
        **{name: getattr(manifest, name) for name in ("id", "version", "title", "kind", "licence")},
        "minimum_tool": manifest.minimum_tool or None,
        "architecture": architecture,
        "input": {
            "image": asdict(manifest.image) if manifest.image else None,
            "text": asdict(manifest.input.text) if manifest.input.text else None,
        },
        "reads": dict(manifest.reads),
        "output": {name: _stated(output) for name, output in manifest.output.items()},
        "threshold": {name: asdict(threshold) for name, threshold in manifest.threshold.items()},
        "weights": asdict(manifest.weights) if manifest.weights else None,
    }
    for name in ("input", "reads", "output", "threshold"):
        if not any(tables[name].values()):
            tables[name] = None
    return write_tables(tables)


def _stated(output: OutputSpec) -> dict[str, Any]:
    """What differs from the default; the form always, since an output without any key would not be written."""
    values = {f.name: getattr(output, f.name) for f in fields(output)}
    return {f.name: values[f.name] for f in fields(output) if f.name == "form" or values[f.name] != f.default}


def write_manifest(directory: Path, manifest: Manifest) -> Path:
    """Write `plugin.toml` atomically after checking that it reads back as the same manifest.

    Raises:
        InputError: a value that the schema does not allow.
    """
    file = directory / MANIFEST_NAME
    text = format_manifest(manifest)
    if parse_manifest(text, str(file)) != manifest:
        raise InputError(f"{file}: the manifest would not read back as written")
    write_text(file, text)
    return file
