"""The engines of `data text`: a name, and how what it names is made ready to read whole pages.

An engine that gives lines is a plugin of the kind `ocr` (`rapidocr` and `tesseract` ship): it needs nothing here, for a
name that is no row of `ENGINES` is a plugin's. An engine of another sort (a service that reads whole pages) is a row:
`name -> "module:function"`, where the function takes an `EngineOptions` and gives a `Reading`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from comictool.core.workers import Kind
from comictool.corpus.records import PageRecord
from comictool.plugins.kinds import find_kind, named
from comictool.plugins.load import EncoderSpec, load_model
from comictool.plugins.protocols import TextReader
from comictool.words import rapid, tesseract
from comictool.words.page import LAYOUT, page_texts
from comictool.words.tiles import read_lines
from comictool.words.vlm_options import VlmOptions

if TYPE_CHECKING:
    import numpy as np

DEFAULT = "rapidocr"
MIN_CONFIDENCE = 0.5
_ASKING = threading.Lock()  # a plugin's own code is asked by one thread at a time


@dataclass(frozen=True)
class EngineOptions:
    """What a user says about reading.

    Attributes:
        engine: a row of `ENGINES`, else the name or folder of an `ocr` plugin.
        spec: where plugins are looked for, and what they may do; its name is not looked at.
        min_confidence: lines read with less, in 0..1, are left out.
        languages: in which the pages may be, as the engine calls them; empty: what it does by itself.
        vlm: the service of the engine `vlm`.
    """

    engine: str = DEFAULT
    spec: EncoderSpec = field(default_factory=lambda: EncoderSpec(""))
    min_confidence: float = MIN_CONFIDENCE
    languages: tuple[str, ...] = ()
    vlm: VlmOptions | None = None


@dataclass(frozen=True)
class Reading:
    """An engine that is ready for a `comictool.corpus.annotating.Stage`.

    Attributes:
        source: what it calls itself in `Text.source`.
        model: its id with version, for the note in a record; another one reads pages anew.
        find: a page picture (H, W, 3) uint8 RGB and a `words.page.Question` as JSON, to `{"texts": [Text, ...]}` in
            reading order, numbered from 1. Can be pickled when `workers` are processes.
        settings: what else decides what is found; JSON values.
        workers: where `find` runs.
        merge: takes over what was found into a page's record, in place of "the texts are those found"; boxes of texts
            without words are then left for it.
        chunk: pages of an item of the job; 0 as usual.
        at_once: workers, unless the user says how many; 0 is one for each core.
        free: asking costs nothing but time, so that a forecast may try some pages.
    """

    source: str
    model: str
    find: Callable[[np.ndarray, Any], Mapping[str, Any]]
    settings: Mapping[str, Any] = field(default_factory=dict)
    workers: Kind = "processes"
    merge: Callable[[PageRecord, PageRecord], None] | None = None
    chunk: int = 0
    at_once: int = 0
    free: bool = True


ENGINES: dict[str, str] = {"vlm": "comictool.words.vlm_engine:make_reading"}


@dataclass(frozen=True)
class Shipped:
    """An engine that comes as a plugin, whether it can read here, and what brings it.

    Attributes:
        missing: what is not there, in a few words; empty when all is.
        seconds: of one core for a page of 1000x1400, measured by `tests.bench.words`.
        facts: its version and languages, where it is there.
    """

    name: str
    missing: str
    install: str
    seconds: float
    facts: Callable[[], str]


def shipped() -> list[Shipped]:
    """The engines that ship, the default one first; imports none of them."""
    return [
        Shipped(rapid.NAME, rapid.missing(), rapid.INSTALL, 2.2, rapid.facts),
        Shipped(tesseract.NAME, tesseract.missing(), tesseract.INSTALL, 2.2, tesseract.facts),
    ]


def make_reading(options: EngineOptions) -> Reading:
    """An engine made ready.

    Raises:
        UsageError: no such engine or plugin, or a plugin of another kind, or code without trust.
        SetupError: what it needs is not installed.
    """
    if options.engine in ENGINES:
        reading: Reading = named(ENGINES[options.engine])(options)
        return reading
    spec = replace(options.spec, name_or_path=options.engine, languages=options.languages)
    reader = _reader(spec)
    return Reading(
        reader.manifest.id,
        reader.encoder_id,
        ReadPage(spec, reader.manifest.id, options.min_confidence),
        {"min_confidence": options.min_confidence, "layout": LAYOUT},
        "threads" if reader.needs_torch else "processes",
    )


@dataclass(frozen=True)
class ReadPage:
    """The worker of engines that give lines; its model is loaded once a process, when the first page comes."""

    spec: EncoderSpec
    source: str
    min_confidence: float

    def __call__(self, picture: np.ndarray, asked: Any) -> dict[str, Any]:
        """The texts of one page; raises InputError when the engine fails or answers nonsense."""
        reader = _reader(self.spec)
        lines = [line for line in read_lines(picture, lambda tile: _ask(reader, tile)) if self._is_good(line.score)]
        return {"texts": page_texts(picture, lines, asked, self.source)}

    def _is_good(self, score: float) -> bool:
        return score >= self.min_confidence


def _ask(reader: TextReader, tile: np.ndarray) -> Any:
    accepts = named(find_kind("ocr").accepts)
    if not reader.needs_torch:
        return accepts(reader.manifest, [tile], reader.read([tile]))[0]
    with _ASKING:
        return accepts(reader.manifest, [tile], reader.read([tile]))[0]


@lru_cache(maxsize=1)
def _reader(spec: EncoderSpec) -> TextReader:
    reader: TextReader = load_model(spec, "ocr")
    return reader
