"""The kinds of plugins, one row each: what a model of this kind is asked, answers, and how it is loaded and checked.

To the rest of the program a plugin is an object with the method of its kind (`comictool.plugins.protocols`). Adding a
kind is adding a row; places are written `module:name` and imported where they are first needed, so that listing and
completing plugins imports nothing heavy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from comictool.core.errors import InputError, near_matches

if TYPE_CHECKING:
    from comictool.plugins.manifest import Form, Manifest

NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
COLUMN = re.compile(r"[a-z][a-z0-9_-]{0,39}(/[a-z][a-z0-9_-]{0,39})?")
ANSWERS, PROTOCOLS, CHECK = (f"comictool.plugins.{module}" for module in ("answers", "protocols", "check"))


@dataclass(frozen=True)
class Kind:
    """One row.

    Attributes:
        name: as manifests spell it.
        does: what it turns into what, for people.
        protocol: the class that says what its method takes and gives.
        method: what such a model is asked.
        outputs: the `[output.NAME]` tables that a manifest must have, with their form.
        accepts: `(manifest, inputs, answer) -> answer`: an answer of somebody's code in the types that the protocol
            promises; raises InputError. Called after every call.
        trial: `(manifest) -> inputs`: what `plugins check` asks; always the same.
        inputs: the `[input.NAME]` tables that it may have.
        reads: whether it takes vectors of a store's columns, so that `[reads]` may say which.
        architectures: those that need no code, with `(spec, place, manifest) -> model`.
        weighted: those of them that answer nothing without weights, which a plugin has or a user brings.
        checks: `(model) -> list[CheckResult]`, besides that it loads.
    """

    name: str
    does: str
    protocol: str
    method: str
    outputs: Mapping[str, Form]
    accepts: str
    trial: str
    inputs: tuple[str, ...] = ("image",)
    reads: bool = False
    architectures: Mapping[str, str] = field(default_factory=dict)
    weighted: tuple[str, ...] = ()
    checks: str = f"{CHECK}:check_answers"


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "encoder",
            "pictures to unit vectors",
            "comictool.plugins.encoder:Encoder",
            "embed",
            {"vector": "vector"},
            f"{ANSWERS}:vectors",
            f"{ANSWERS}:pictures",
            checks=f"{CHECK}:check_encoder",
        ),
        Kind(
            "text-encoder",
            "texts to unit vectors",
            f"{PROTOCOLS}:TextEncoder",
            "embed_texts",
            {"vector": "vector"},
            f"{ANSWERS}:vectors",
            f"{ANSWERS}:texts",
            inputs=("text",),
            architectures={
                "hashed": "comictool.plugins.text.hashed:load_directory",
                "minilm": "comictool.plugins.text.minilm:load_directory",
            },
        ),
        Kind(
            "sequence",
            "the vectors of a comic's panels to vectors in their context",
            f"{PROTOCOLS}:SequenceEncoder",
            "encode",
            {"vector": "vector"},
            f"{ANSWERS}:rows",
            f"{ANSWERS}:panels",
            inputs=(),
            reads=True,
            architectures={"asterx": "comictool.asterx.weights:load_directory"},
        ),
        Kind(
            "fusion",
            "vectors of several columns to one vector",
            f"{PROTOCOLS}:FusionEncoder",
            "fuse",
            {"vector": "vector"},
            f"{ANSWERS}:fused",
            f"{ANSWERS}:columns",
            inputs=(),
            reads=True,
            architectures={"closure": "comictool.fusion.weights:load_directory"},
        ),
        Kind(
            "detector",
            "pictures to boxes",
            f"{PROTOCOLS}:Detector",
            "detect",
            {"boxes": "boxes"},
            f"{ANSWERS}:boxes",
            f"{ANSWERS}:pictures",
        ),
        Kind(
            "depth",
            "pictures to maps of how far things are",
            f"{PROTOCOLS}:DepthEstimator",
            "depth",
            {"depth": "map"},
            f"{ANSWERS}:maps",
            f"{ANSWERS}:pictures",
            architectures={
                "depth_dense": "comictool.depth.weights:load_dense",
                "depth_segment": "comictool.depth.weights:load_segment",
                "depth_anything": "comictool.depth.anything_weights:load_anything",
                "depth_page": "comictool.depth.pages:load_pages",
            },
            weighted=("depth_dense", "depth_segment", "depth_anything", "depth_page"),
        ),
        Kind(
            "ocr",
            "pictures to lines of text in boxes",
            f"{PROTOCOLS}:TextReader",
            "read",
            {"lines": "text"},
            f"{ANSWERS}:lines",
            f"{ANSWERS}:pictures",
            inputs=("image", "text"),
            architectures={
                "rapidocr": "comictool.words.rapid:load_directory",
                "tesseract": "comictool.words.tesseract:load_directory",
            },
        ),
    )
}


def find_kind(name: str, where: str = "") -> Kind:
    """A row of the table.

    Raises:
        InputError: there is no such kind; names those nearest to it.
    """
    if name not in KINDS:
        raise InputError(
            f"{where}{': ' if where else ''}kind must be one of {', '.join(KINDS)}, not {name[:60]!r}",
            near=near_matches(name[:60], KINDS),
        )
    return KINDS[name]


def named(place: str) -> Any:
    """What `module:name` means."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def check_tables(manifest: Manifest, file: str) -> None:
    """Refuse a manifest whose tables are not those of its kind.

    Raises:
        InputError: an unknown kind, an output that is missing or of another form, or a table that it has no use for.
    """
    kind = find_kind(manifest.kind, file)
    article = "an" if kind.name[0] in "aeiou" else "a"
    for name, form in kind.outputs.items():
        if name not in manifest.output:
            raise InputError(f"{file}: [output.{name}] is missing; {article} {kind.name} says there what it gives")
        if manifest.output[name].form != form:
            raise InputError(
                f"{file}: output.{name}.form must be {form!r} for {article} {kind.name}, "
                f"not {manifest.output[name].form!r}"
            )
    for name, output in manifest.output.items():
        if not NAME.fullmatch(name):
            raise InputError(f"{file}: output.{name[:60]!r} must be a short name in lower case")
        if output.form == "vector" and output.dimension < 1:
            raise InputError(f"{file}: output.{name}.dimension is missing")
    for name in ("image", "text"):
        if getattr(manifest.input, name) is not None and name not in kind.inputs:
            raise InputError(f"{file}: [input.{name}] is not for {article} {kind.name}")
    if manifest.reads and not kind.reads:
        raise InputError(f"{file}: [reads] is not for {article} {kind.name}, which takes {kind.does.split(' to ')[0]}")
    for column in manifest.reads:
        if not COLUMN.fullmatch(column):
            raise InputError(f"{file}: reads.{column[:60]!r} must be a column such as panel/image")
    for metric in manifest.threshold:
        from comictool.plugins.manifest import METRICS

        if metric not in METRICS:
            raise InputError(
                f"{file}: threshold.{metric[:60]} is not a metric",
                hint=f"known: {', '.join(METRICS)}; for example [threshold.cosine]",
                near=near_matches(metric[:60], METRICS),
            )
