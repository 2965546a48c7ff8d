"""Tesseract (https://github.com/tesseract-ocr/tesseract) as an engine: a program of its own, asked picture by picture.

Architecture `tesseract` of the plugin kind `ocr`, argument `languages`: those of `tesseract --list-langs`, or ISO 639-1
codes. `jpn_vert` reads columns.
"""

from __future__ import annotations

import csv
import functools
import io
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from comictool.core.errors import InputError, SetupError, UsageError
from comictool.plugins.encoder import encoder_id_of
from comictool.plugins.manifest import Manifest
from comictool.plugins.protocols import TextLine
from comictool.words.blocks import joined

if TYPE_CHECKING:
    import numpy as np

    from comictool.plugins.load import EncoderSpec

NAME = "tesseract"
INSTALL = "apt install tesseract-ocr"
SPARSE, SPARSE_COLUMNS = "11", "12"  # page segmentation: as much text as possible in no order; columns need the second
SECONDS = 120  # for one picture; a page of words takes 2 to 10
WORD = "5"  # level of a row
CODES = {
    "en": "eng",
    "fr": "fra",
    "de": "deu",
    "es": "spa",
    "it": "ita",
    "pt": "por",
    "nl": "nld",
    "pl": "pol",
    "ru": "rus",
    "ja": "jpn_vert",
    "zh": "chi_sim",
    "ko": "kor",
}


def missing() -> str:
    """What is not there to read with it, in a few words; empty when all is."""
    return "" if shutil.which(NAME) else f"{NAME} not installed"


def facts() -> str:
    """Its version and languages; raises what `installed` raises."""
    version, languages = installed()
    return f"{version}, {', '.join(languages)}"


@functools.cache
def installed() -> tuple[str, tuple[str, ...]]:
    """Version and languages of the program that is installed.

    Raises:
        SetupError: there is none, or it does not answer.
    """
    version = _said("--version").split("\n", 1)[0].removeprefix(NAME).strip()
    return version, tuple(line.strip() for line in _said("--list-langs").splitlines()[1:] if line.strip())


def load_directory(spec: EncoderSpec, folder: Path, manifest: Manifest) -> TesseractReader:
    """The reader of a plugin directory with this architecture.

    Raises:
        SetupError: the program or a language is not installed.
        UsageError: no languages.
    """
    if absent := missing():
        raise SetupError(absent, hint=INSTALL)
    given = manifest.arguments.get("languages")
    if not isinstance(given, list) or not given or set(manifest.arguments) != {"languages"}:
        raise UsageError(f"plugin {manifest.id}: {NAME} takes languages and nothing else, not {manifest.arguments}")
    version, known = installed()
    languages = tuple(CODES.get(str(code), str(code)) for code in given)
    for code in languages:
        if code not in known:
            raise SetupError(
                f"{NAME} has no language {code[:40]}",
                hint=f"apt install tesseract-ocr-{code[:40].replace('_', '-')}",
                cause=f"it has {', '.join(known)}",
            )
    return TesseractReader(manifest, languages, version)


class TesseractReader:
    """A `comictool.plugins.protocols.TextReader`; one process a picture, with one thread."""

    needs_torch: ClassVar[bool] = False

    def __init__(self, manifest: Manifest, languages: tuple[str, ...], version: str) -> None:
        self.manifest = manifest
        self.encoder_id = encoder_id_of(manifest, version)
        self.device_note = f"cpu, {NAME} {version} ({'+'.join(languages)})"
        self._languages = languages

    def read(self, images: Sequence[np.ndarray]) -> list[list[TextLine]]:
        """N pictures (H, W, 3) uint8 RGB to their lines.

        Raises:
            InputError: it fails, or takes longer than two minutes for one picture.
        """
        return [self._lines(image) for image in images]

    def _lines(self, image: np.ndarray) -> list[TextLine]:
        height, width = image.shape[:2]
        mode = SPARSE_COLUMNS if any(code.endswith("_vert") for code in self._languages) else SPARSE
        command = [NAME, "-", "-", "-l", "+".join(self._languages), "--psm", mode, "tsv"]
        portable = b"P6 %d %d 255\n" % (width, height) + image.tobytes()  # PPM, which leptonica reads from a pipe
        try:
            ran = subprocess.run(
                command,
                input=portable,
                capture_output=True,
                timeout=SECONDS,
                check=False,
                env={**os.environ, "OMP_THREAD_LIMIT": "1"},
            )
        except subprocess.TimeoutExpired as error:
            raise InputError(f"{NAME} took longer than {SECONDS} s for a page") from error
        except OSError as error:
            raise SetupError(f"{NAME} cannot be started: {error.strerror}", hint=INSTALL) from error
        if ran.returncode != 0:
            complaint = ran.stderr.decode("utf-8", "replace").strip().splitlines() or [f"exit status {ran.returncode}"]
            raise InputError(f"{NAME}: {complaint[-1][:200]}")
        return parse_table(ran.stdout.decode("utf-8", "replace"), width, height)


def parse_table(table: str, width: int, height: int) -> list[TextLine]:
    """The words of its TSV (https://tesseract-ocr.github.io/tessdoc/Command-Line-Usage.html) as lines.

    A line's score is the mean over its words, in 0..1; its box is clipped to the picture.
    """
    lines: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in csv.DictReader(io.StringIO(table), delimiter="\t", quoting=csv.QUOTE_NONE):
        if row.get("level") == WORD and (row.get("text") or "").strip():
            lines.setdefault((row["block_num"], row["par_num"], row["line_num"]), []).append(row)
    found = []
    for words in lines.values():
        left, top = (min(int(word[side]) for word in words) for side in ("left", "top"))
        right = max(int(word["left"]) + int(word["width"]) for word in words)
        bottom = max(int(word["top"]) + int(word["height"]) for word in words)
        x0, y0, x1, y1 = max(0, left), max(0, top), min(width, right), min(height, bottom)
        if x0 < x1 and y0 < y1:
            score = sum(float(word["conf"]) for word in words) / len(words) / 100
            text = joined([word["text"] for word in words])
            found.append(TextLine((x0, y0, x1, y1), text, min(max(score, 0.0), 1.0)))
    return found


def _said(option: str) -> str:
    try:
        ran = subprocess.run([NAME, option], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SetupError(f"{NAME} {option} does not answer", hint=INSTALL) from error
    return ran.stdout.decode("utf-8", "replace")
