"""Answers that were paid for, kept by content, and what every request came to.

A page's key is a digest of its pixels, the model, the prompt and how the picture is sent; so an answer serves every
corpus that has the page, after a kill, a move or a new import. Beside it lies the page's ledger of attempts: a line for
every request with its time, outcome, tokens and cost. Both are in the user's cache folder, outside of any corpus.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from comictool.core.errors import InputError, SetupError
from comictool.core.files import read_json, write_json
from comictool.core.ledger import lock_file
from comictool.core.typed import typed

MOST_BYTES = 8 << 20  # of one answer or ledger
MOST_KEPT = 20_000  # letters of an answer that could not be used, kept to see why


@dataclass(frozen=True)
class Attempt:
    """One request: when, what it came to (`ok`, or what was wrong), how long it took, what it cost.

    Attributes:
        cost: dollars; None when nobody knows.
        answer: the beginning of an answer that could not be used.
    """

    time: float
    outcome: str
    seconds: float
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = None
    answer: str = ""


def default_folder() -> Path:
    """COMICTOOL_CACHE, or the user's cache folder; `vlm` below it."""
    named = os.environ.get("COMICTOOL_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return (Path(named) if named else Path(base) / "comictool") / "vlm"


class AnswerCache:
    """Answers of one model in a folder, a file each; for several threads and processes at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def answer(self, key: str) -> dict[str, Any] | None:
        """The page as JSON that was answered; None when there is none, or it is damaged."""
        try:
            value = read_json(self._file(key), default=None, most_bytes=MOST_BYTES)
        except InputError:
            return None
        return value if isinstance(value, dict) else None

    def keep(self, key: str, page: dict[str, Any]) -> None:
        """Keep an answer; it is on the disk when this returns."""
        write_json(self._file(key), page, indent=None, durable=True)

    @contextmanager
    def asking(self, key: str) -> Iterator[None]:
        """Held while a page is being asked for, so that nobody else pays for it too."""
        try:
            self._ledger(key).parent.mkdir(parents=True, exist_ok=True)
            stream = open(self._ledger(key), "ab")  # noqa: SIM115 - closed below, whatever happens
        except OSError as error:
            raise SetupError(f"the cache {self.folder} cannot be used: {error}") from error
        with stream:
            lock_file(stream, wait=True)
            yield

    def note(self, key: str, attempt: Attempt) -> None:
        """Add a line to the page's ledger of attempts."""
        line = json.dumps({name: value for name, value in asdict(attempt).items() if value not in (None, "")})
        with open(self._ledger(key), "a", encoding="utf-8") as stream:
            stream.write(line + "\n")

    def attempts(self, key: str) -> list[Attempt]:
        """What was tried for a page; lines that a kill cut off are left out."""
        return _attempts(self._ledger(key))

    def usual(self, most: int = 200) -> Attempt | None:
        """The mean of up to `most` attempts that came to something; None when there is none."""
        found: list[Attempt] = []
        for file in self.folder.glob("*/*.attempts.jsonl"):
            found += [attempt for attempt in _attempts(file) if attempt.outcome == "ok" and attempt.tokens_out]
            if len(found) >= most:
                break
        if not found:
            return None
        mean = [sum(getattr(a, name) for a in found) / len(found) for name in ("seconds", "tokens_in", "tokens_out")]
        return Attempt(0.0, "ok", mean[0], round(mean[1]), round(mean[2]))

    def _ledger(self, key: str) -> Path:
        return self._file(key).with_suffix(".attempts.jsonl")

    def _file(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"


def _attempts(file: Path) -> list[Attempt]:
    try:
        lines = file.read_bytes()[-MOST_BYTES:].decode("utf-8", "replace").split("\n")
    except OSError:
        return []
    out = []
    for line in lines:
        try:
            out.append(typed(Attempt, json.loads(line), str(file)))
        except (ValueError, RecursionError, InputError):
            continue
    return out
