"""The plugin manifest, `plugin.toml`: what a model directory says about itself. Read strictly, written back alike.

Schema 1; every key that is not listed here is refused:

    schema = 1
    id = "res18-single"             lower case, digits, dot, dash, underscore; stays the same when the folder is renamed
    version = "1.0"                 of the model, not of the tool
    title = "..."                   one line for people
    kind = "encoder"                encoder | detector | depth | text-encoder | fusion | sequence
    licence = "MIT"                 SPDX name or a sentence, of the weights
    minimum_tool = "0.1"            optional: the oldest comictool that can load it

    [architecture]
    name = "timm:resnet18"          `classic`, `resnet18_linear`, `timm:NAME`, or `python` (runs model.py, with trust)
    [architecture.arguments]        optional: passed to the architecture; texts, numbers, booleans, lists

    [input]                         optional for architectures that prepare pictures themselves
    size = [224, 224]               height, width in pixels (or one number for both)
    resize = "squash"               squash (ignore the aspect) | pad (keep all, fill) | crop (centre, keep the aspect)
    interpolation = "bilinear"      bilinear | bicubic, both antialiased
    mean = [0.485, 0.456, 0.406]    of RGB scaled to 0..1
    std = [0.229, 0.224, 0.225]
    alpha_background = [255, 255, 255]   what shows through transparency and fills the borders of `pad`

    [output]                        required for encoders
    dimension = 512
    normalised = true               whether the architecture itself ends in unit vectors (embed() gives them always)
    metric = "cosine"               cosine | negative-l2

    [threshold]                     optional: same or different
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
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from comictool.core.errors import InputError
from comictool.core.files import write_text
from comictool.core.toml_text import write_tables
from comictool.plugins.names import MANIFEST_NAME, PYTHON
from comictool.plugins.toml_tables import TableReader

MANIFEST_LIMIT = 64 * 1024  # bytes; the largest sensible one is about two thousand
SCHEMA = 1
KINDS = ("encoder", "detector", "depth", "text-encoder", "fusion", "sequence")
RESIZE_MODES = ("squash", "pad", "crop")
INTERPOLATIONS = ("bilinear", "bicubic")
METRICS = ("cosine", "negative-l2")
WEIGHT_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".mdl")
MAX_INPUT_SIDE = 4096  # the largest published vision transformers take 1536
MAX_DIMENSION = 65_536
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

ID_PATTERN = r"[a-z0-9][a-z0-9._-]{0,79}"
VERSION_PATTERN = r"[0-9]+(\.[0-9]+){0,3}([-+.]?[0-9A-Za-z]+(\.[0-9A-Za-z]+)*)?"
ARCHITECTURE_PATTERN = r"(timm:)?[A-Za-z0-9][A-Za-z0-9._-]*"


@dataclass(frozen=True)
class InputSpec:
    """How a picture becomes the tensor that the model sees. `size` is (height, width) in pixels."""

    size: tuple[int, int] = (224, 224)
    resize: str = "squash"
    interpolation: str = "bilinear"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    alpha_background: tuple[int, int, int] = (255, 255, 255)

    def digest(self) -> str:
        """Hash of every value: two encoders with the same one see the same tensor."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class OutputSpec:
    """What one picture becomes: a vector of `dimension` numbers, compared by `metric`."""

    dimension: int
    normalised: bool = True
    metric: str = "cosine"


@dataclass(frozen=True)
class ThresholdSpec:
    """The score from which two pictures count as the same, and how it was found."""

    value: float
    fitted: str
    false_accept_rate: float | None = None


@dataclass(frozen=True)
class WeightsSpec:
    """A weights file beside the manifest."""

    file: str
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """A checked `plugin.toml`; see the module text for each field."""

    id: str
    version: str
    title: str
    kind: str
    licence: str
    architecture: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    input: InputSpec | None = None
    output: OutputSpec | None = None
    threshold: ThresholdSpec | None = None
    weights: WeightsSpec | None = None
    minimum_tool: str = ""

    @property
    def runs_code(self) -> bool:
        """Whether loading it executes Python from its directory."""
        return self.architecture == PYTHON


def read_manifest(directory: Path) -> Manifest:
    """Read and check the manifest of a plugin directory; its weights file must be a plain file inside it.

    Raises:
        InputError: missing, unreadable, too large, not TOML, or a wrong value (named by file and key).
    """
    file = directory / MANIFEST_NAME
    try:
        if not file.is_file():
            raise InputError(f"{directory} has no {MANIFEST_NAME}")
        size = file.stat().st_size
        if size > MANIFEST_LIMIT:
            raise InputError(f"{file} has {size:,} bytes, more than the {MANIFEST_LIMIT:,} a manifest may have")
        text = file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}") from error
    manifest = parse_manifest(text, str(file))
    if manifest.weights is not None:
        weights_path(directory, manifest.weights)
    return manifest


def weights_path(directory: Path, weights: WeightsSpec) -> Path:
    """The weights file of a plugin.

    Raises:
        InputError: absent, not a plain file, or reached through a link (its target could be anywhere).
    """
    path = directory
    for part in PurePosixPath(weights.file).parts:
        path = path / part
        if path.is_symlink():
            raise InputError(
                f"{directory / MANIFEST_NAME}: weights.file {weights.file!r} is reached through a symbolic link",
                hint=f"put the file itself there: cp --remove-destination $(readlink -f {path}) {path}",
            )
    if not path.is_file():
        raise InputError(f"{directory / MANIFEST_NAME}: weights.file {weights.file!r} does not exist")
    return path


def parse_manifest(text: str, file: str) -> Manifest:
    """Check manifest text; `file` names it in errors. Touches no file.

    Raises:
        InputError: not TOML, an unknown key, or a wrong value.
    """
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} is not valid TOML: {error}") from error
    top = TableReader(tables, file)
    schema = top.take("schema", required=True)
    if schema != SCHEMA or isinstance(schema, bool):
        refusal = top.wrong("schema", str(SCHEMA), schema)
        refusal.hint = "a newer comictool may read it" if isinstance(schema, int) and schema > SCHEMA else ""
        raise refusal
    manifest = Manifest(
        id=top.text("id", required=True, pattern=ID_PATTERN, must="lower-case letters, digits, dot, dash, underscore"),
        version=top.text("version", required=True, limit=40, pattern=VERSION_PATTERN, must='a version such as "1.0"'),
        title=top.text("title", required=True),
        kind=top.choice("kind", KINDS),
        licence=top.text("licence", required=True),
        minimum_tool=top.text("minimum_tool", limit=40, pattern=VERSION_PATTERN, must='a version such as "0.1"'),
        **_architecture(top),
        input=_input(top.table("input")),
        output=_output(top.table("output")),
        threshold=_threshold(top.table("threshold")),
        weights=_weights(top.table("weights")),
    )
    top.finish()
    if manifest.kind == "encoder" and manifest.output is None:
        raise InputError(f"{file}: [output] is missing; an encoder says its dimension there")
    return manifest


def _architecture(top: TableReader) -> dict[str, Any]:
    value = top.take("architecture", required=True)
    if isinstance(value, str):
        error = top.wrong("architecture", "a table", value)
        error.hint = f'write it as a table:  [architecture]  name = "{value[:60]}"'
        raise error
    reader = top.table("architecture", required=True)
    assert reader is not None  # required
    name = reader.text(
        "name", required=True, pattern=ARCHITECTURE_PATTERN, must="an architecture such as classic or timm:resnet18"
    )
    arguments = reader.table("arguments")
    values = arguments.plain_values() if arguments is not None else {}
    reader.finish()
    return {"architecture": name, "arguments": values}


def _input(reader: TableReader | None) -> InputSpec | None:
    if reader is None:
        return None
    raw = reader.take("size", required=True)
    sides = raw if isinstance(raw, list) else [raw, raw]
    good = len(sides) == 2 and all(type(side) is int and 1 <= side <= MAX_INPUT_SIDE for side in sides)
    if not good:
        raise reader.wrong("size", f"one side or [height, width], each from 1 to {MAX_INPUT_SIDE}", raw)
    background = reader.numbers("alpha_background", 3, 0, 255) or (255, 255, 255)
    if any(value != int(value) for value in background):
        raise reader.wrong("alpha_background", "3 whole numbers from 0 to 255", list(background))
    spec = InputSpec(
        size=(sides[0], sides[1]),
        resize=reader.choice("resize", RESIZE_MODES, "squash"),
        interpolation=reader.choice("interpolation", INTERPOLATIONS, "bilinear"),
        mean=reader.numbers("mean", 3, -10, 10) or IMAGENET_MEAN,  # type: ignore[arg-type]
        # Smaller deviations would only blow rounding errors up; zero would divide by zero.
        std=reader.numbers("std", 3, 1e-3, 10) or IMAGENET_STD,  # type: ignore[arg-type]
        alpha_background=tuple(int(value) for value in background),  # type: ignore[arg-type]
    )
    reader.finish()
    return spec


def _output(reader: TableReader | None) -> OutputSpec | None:
    if reader is None:
        return None
    dimension = reader.integer("dimension", 1, MAX_DIMENSION, required=True)
    assert dimension is not None  # required
    spec = OutputSpec(dimension, reader.flag("normalised", True), reader.choice("metric", METRICS, "cosine"))
    reader.finish()
    return spec


def _threshold(reader: TableReader | None) -> ThresholdSpec | None:
    if reader is None:
        return None
    value = reader.number("value", -1e6, 1e6, required=True)
    assert value is not None  # required
    fitted = reader.text("fitted", required=True, limit=500)
    spec = ThresholdSpec(value, fitted, reader.number("false_accept_rate", 0, 1))
    reader.finish()
    return spec


def _weights(reader: TableReader | None) -> WeightsSpec | None:
    if reader is None:
        return None
    file = reader.text("file", required=True)
    path = PurePosixPath(file)
    unsafe = path.is_absolute() or ".." in path.parts or "\\" in file or ":" in file or "\n" in file
    if unsafe or str(path) != file:
        raise reader.wrong("file", "a plain relative path inside the plugin directory", file)
    if path.suffix.lower() not in WEIGHT_SUFFIXES:
        raise reader.wrong("file", "a file ending in " + " ".join(WEIGHT_SUFFIXES), file)
    sha256 = reader.text("sha256", required=True, pattern="[0-9a-f]{64}", must="64 lower-case hexadecimal digits")
    reader.finish()
    return WeightsSpec(file, sha256)


def format_manifest(manifest: Manifest) -> str:
    """The manifest as TOML text; `parse_manifest` gives an equal manifest back."""
    architecture: dict[str, Any] = {"name": manifest.architecture}
    if manifest.arguments:
        architecture["arguments"] = dict(manifest.arguments)
    tables: dict[str, Any] = {
        "schema": SCHEMA,
        "id": manifest.id,
        "version": manifest.version,
        "title": manifest.title,
        "kind": manifest.kind,
        "licence": manifest.licence,
        "minimum_tool": manifest.minimum_tool or None,
        "architecture": architecture,
    }
    for name in ("input", "output", "threshold", "weights"):
        section = getattr(manifest, name)
        if section is not None:
            tables[name] = asdict(section)
    return write_tables(tables)


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
