"""A gallery on disk: enrolled references with their vectors and the thresholds fitted to them.

A folder with `gallery.json` and one `vectors-HASH.npy` that it names. The vectors are written first, under the hash
of their content; the gallery changes by the one rename that replaces `gallery.json`. So a reader sees the old or the
new state, whole, and a process killed at any point leaves one of the two. Nothing in it can run code.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from comictool.core.errors import InputError, UsageError, near_matches
from comictool.core.files import write_bytes
from comictool.core.progress import Progress
from comictool.plugins.load import EncoderSpec
from comictool.reid.cache import EmbeddingCache
from comictool.reid.configuration import Config
from comictool.reid.reading import digest_of, read_bytes
from comictool.reid.references import ReferenceSet, gather_references, questionable
from comictool.reid.types import Reference

SCHEMA = 1
FILE = "gallery.json"
LOCK = ".lock"
MAX_JSON = 1 << 30  # bytes; a million references are about 200 MB


@dataclass
class Enrolled:
    """What an enrolment changed, in numbers of references, and what to look at."""

    added: int = 0
    kept: int = 0
    removed: int = 0
    computed: int = 0
    failed: dict[Path, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _State:
    """The contents of `gallery.json` and the vectors it names."""

    found: ReferenceSet
    encoder: dict[str, Any]
    thresholds: dict[str, Any] | None = None
    fitted_to: str = ""


class Gallery:
    """References of characters; see `create` and `open`. Changes read the newest state first, under a lock."""

    def __init__(self, folder: Path, state: _State) -> None:
        self.folder = folder
        self._state = state

    @classmethod
    def create(cls, folder: Path) -> Gallery:
        """The gallery in this folder, or an empty one that is written with the first enrolment.

        Raises:
            InputError: the folder is there and is something else, or the gallery is damaged.
        """
        if (folder / FILE).exists():
            return cls.open(folder)
        if folder.exists() and (not folder.is_dir() or any(entry.name != LOCK for entry in folder.iterdir())):
            raise InputError(f"{folder} is there already and is no gallery", hint="give another path")
        return cls(folder, _State(ReferenceSet([], np.zeros((0, 0), np.float32), ""), {}))

    @classmethod
    def open(cls, folder: Path) -> Gallery:
        """Read a gallery.

        Raises:
            InputError: none there, damaged, or of a newer version.
        """
        if not (folder / FILE).is_file():
            raise InputError(f"{folder} is no gallery", hint=f"comictool reid enroll CONFIG -g {folder}")
        return cls(folder, _read(folder))

    @property
    def found(self) -> ReferenceSet:
        """References and vectors together."""
        return self._state.found

    @property
    def references(self) -> list[Reference]:
        """The references, by character and path in natural order."""
        return self._state.found.references

    @property
    def vectors(self) -> np.ndarray:
        """(R, D) float32 unit rows, one for each reference."""
        return self._state.found.vectors

    @property
    def characters(self) -> list[str]:
        """The enrolled characters in natural order."""
        return self._state.found.characters

    @property
    def identity(self) -> str:
        """What vectors compare with these: `comictool.reid.embedding.encoder_key`; empty while nothing is enrolled."""
        return self._state.found.key

    @property
    def flip(self) -> bool:
        """Whether vectors are means with those of the mirror images."""
        return self._state.encoder.get("flip") is True

    @property
    def legacy(self) -> bool:
        """Whether pictures were read as the older program did."""
        return self._state.encoder.get("legacy") is True

    def spec(self, given: EncoderSpec | None = None) -> EncoderSpec:
        """The encoder of this gallery; trust, downloads and device are those of `given`, as a gallery decides none.

        Its precision is fp32 when the gallery was enrolled so.

        Raises:
            InputError: nothing is enrolled, or the gallery does not say.
        """
        if not self._state.encoder:
            raise InputError(f"{self.folder} has no references yet")
        spec = EncoderSpec.recalled(self._state.encoder, given=given)
        return replace(spec, precision="fp32") if self._state.encoder.get("exact") is True else spec

    @property
    def thresholds(self) -> dict[str, Any] | None:
        """What `store_thresholds` was given, as plain values; None when references changed since."""
        current = self._state.thresholds is not None and self._state.fitted_to == _fingerprint(self.found)
        return self._state.thresholds if current else None

    @property
    def outdated_thresholds(self) -> bool:
        """Whether thresholds were stored, but for other references than there are now."""
        return self._state.thresholds is not None and self.thresholds is None

    def store_thresholds(self, values: Mapping[str, Any]) -> None:
        """Keep thresholds (plain JSON values) for the references as they are.

        Raises:
            InputError: another process changed the references since this gallery was read.
        """
        fingerprint = _fingerprint(self.found)

        def change(state: _State) -> _State:
            if _fingerprint(state.found) != fingerprint:
                raise InputError(f"{self.folder} changed while thresholds were fitted", hint="calibrate again")
            return _State(state.found, state.encoder, dict(values), fingerprint)

        self._change(change)

    def enroll(
        self,
        config: Config,
        spec: EncoderSpec,
        *,
        cache: EmbeddingCache | None = None,
        flip: bool = False,
        legacy: bool = False,
        prune: bool = False,
        batch_size: int | None = None,
        jobs: int | None = None,
        progress: Progress | None = None,
    ) -> Enrolled:
        """Add the references of a configuration; of those there already, nothing is computed with a cache.

        Args:
            config: from `comictool.reid.configuration.read_config`.
            spec: the encoder; that of the gallery, once it has one.
            cache, flip, legacy, batch_size, jobs, progress: see `comictool.reid.embedding.EmbeddingStream`.
            prune: also remove references of the same characters that the configuration does not list any more,
                and all whose files are gone or changed.

        Raises:
            InputError: another encoder than that of the gallery, or a character without a readable picture.
        """
        gathered = gather_references(
            config, spec, cache=cache, flip=flip, legacy=legacy, batch_size=batch_size, jobs=jobs, progress=progress
        )
        report = Enrolled(computed=gathered.computed, failed=gathered.failed, warnings=list(gathered.problems))
        new = {(r.character, r.digest) for r in gathered.found.references}

        def change(state: _State) -> _State:
            base = state.found
            if base.references and base.key != gathered.found.key:
                raise InputError(
                    f"{self.folder} was enrolled with {base.key}, not with {gathered.found.key}",
                    hint="use the same plugin and options, or enroll into another gallery",
                )
            before = len(base.references)
            # The newest path of the same content replaces the older one: the file may have been moved.
            again = [(r.character, r.digest) in new for r in base.references]
            gone = [prune and (r.character in config or not _unchanged(r)) for r in base.references]
            report.kept = sum(again)
            report.added = len(new) - report.kept
            report.removed = sum(out and not seen for out, seen in zip(gone, again, strict=True))
            rest = base.of([not out and not seen for out, seen in zip(gone, again, strict=True)]) if before else base
            found = rest.joined(gathered.found)
            encoder = {**spec.remembered(), "flip": flip, "legacy": legacy, "exact": spec.precision == "fp32"}
            return _State(found, encoder, state.thresholds, state.fitted_to)

        self._change(change)
        report.warnings.extend(questionable(self.found))
        return report

    def remove(self, characters: Sequence[str]) -> int:
        """Take characters out; returns how many references went.

        Raises:
            UsageError: one of them is not enrolled.
        """
        unknown = [name for name in characters if name not in self.characters]
        if unknown:
            raise UsageError(f"{unknown[0]!r} is not in the gallery", near=near_matches(unknown[0], self.characters))
        return self._keep(lambda reference: reference.character not in characters)

    def prune(self) -> int:
        """Take out references whose files are gone or changed; returns how many."""
        return self._keep(_unchanged)

    def _keep(self, wanted: Callable[[Reference], bool]) -> int:
        gone = 0

        def change(state: _State) -> _State:
            nonlocal gone
            mask = [wanted(reference) for reference in state.found.references]
            gone = mask.count(False)
            return _State(state.found.of(mask), state.encoder, state.thresholds, state.fitted_to)

        self._change(change)
        return gone

    def merge(self, others: Sequence[Gallery]) -> int:
        """Add the references of other galleries; returns how many were new.

        Raises:
            InputError: a gallery was embedded in another way.
        """
        added = 0

        def change(state: _State) -> _State:
            nonlocal added
            found, encoder = state.found, state.encoder
            for other in others:
                found, encoder = found.joined(other.found), encoder or other._state.encoder
            added = len(found.references) - len(state.found.references)
            return _State(found, encoder, state.thresholds, state.fitted_to)

        self._change(change)
        return added

    def verify(self) -> list[str]:
        """What is wrong: vectors that are not of length 1, references gone or changed; empty when all is well."""
        problems = []
        lengths = np.linalg.norm(self.vectors, axis=1)
        for place in np.nonzero(np.abs(lengths - 1.0) > 1e-3)[0]:
            problems.append(f"the vector of {self.references[place].path} has the length {lengths[place]:.3f}")
        for reference in self.references:
            if not reference.path.exists():
                problems.append(f"{reference.path} ({reference.character}) is gone")
            elif not _unchanged(reference):
                problems.append(f"{reference.path} ({reference.character}) changed since it was enrolled")
        if self.outdated_thresholds:
            problems.append("the thresholds were fitted to other references: calibrate again")
        return problems

    def _change(self, change: Callable[[_State], _State]) -> None:
        with _locked(self.folder):
            newest = _read(self.folder) if (self.folder / FILE).exists() else self._state
            self._state = change(newest)
            _write(self.folder, self._state)


def _unchanged(reference: Reference) -> bool:
    try:
        return digest_of(read_bytes(reference.path)) == reference.digest
    except InputError:
        return False


def _fingerprint(found: ReferenceSet) -> str:
    """Which references these are, without their paths: files may be moved."""
    lines = [found.key, *sorted(f"{r.character}\n{r.digest}" for r in found.references)]
    return digest_of("\n".join(lines).encode("utf-8", "surrogatepass"))


def _write(folder: Path, state: _State) -> None:
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(state.found.vectors, "<f4"), allow_pickle=False)
    content = stream.getvalue()
    digest = hashlib.sha256(content).hexdigest()
    name = f"vectors-{digest[:32]}.npy"
    write_bytes(folder / name, content, durable=True)
    value = {
        "schema": SCHEMA,
        "key": state.found.key,
        "encoder": state.encoder,
        "vectors": {"file": name, "sha256": digest},
        "references": [[r.character, str(r.path), r.digest] for r in state.found.references],
        "thresholds": state.thresholds,
        "fitted_to": state.fitted_to,
    }
    write_bytes(folder / FILE, (json.dumps(value, indent=1) + "\n").encode("ascii"), durable=True)
    for old in folder.glob("vectors-*.npy"):
        if old.name != name:
            old.unlink(missing_ok=True)


def _read(folder: Path) -> _State:
    """Read and check; once more when another process replaced the vectors in between."""
    for attempt in range(3):
        value = _json(folder)
        try:
            content = (folder / value["vectors"]["file"]).read_bytes()
        except FileNotFoundError as error:
            if attempt == 2:
                raise _damaged(folder, f"{value['vectors']['file']} is missing") from error
            continue
        except OSError as error:
            raise _damaged(folder, str(error)) from error
        return _state(folder, value, content)
    raise AssertionError("unreachable")


def _json(folder: Path) -> dict[str, Any]:
    file = folder / FILE
    try:
        if file.stat().st_size > MAX_JSON:
            raise _damaged(folder, f"{FILE} is larger than {MAX_JSON:,} bytes")
        value = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(folder, str(error)) from error
    if isinstance(value, dict) and isinstance(value.get("schema"), int) and value["schema"] > SCHEMA:
        raise InputError(f"{folder} was made by a newer comictool", hint="pip install --upgrade comictool")
    vectors = value.get("vectors") if isinstance(value, dict) else None
    name, digest = (vectors.get("file"), vectors.get("sha256")) if isinstance(vectors, dict) else (None, None)
    plain = isinstance(name, str) and name.startswith("vectors-") and not set(name) & set("/\\:\0")
    if not plain or not isinstance(digest, str):
        raise _damaged(folder, f"{FILE} does not name its vectors")
    whole: dict[str, Any] = value
    return whole


def _state(folder: Path, value: dict[str, Any], content: bytes) -> _State:
    if hashlib.sha256(content).hexdigest() != value["vectors"]["sha256"]:
        raise _damaged(folder, "its vectors are not those that it was saved with")
    try:
        vectors = np.load(io.BytesIO(content), allow_pickle=False)
        references = [Reference(c, Path(p), d) for c, p, d in value["references"]]
        sound = all(isinstance(part, str) for r in value["references"] for part in r)
        key, encoder, thresholds = value["key"], value["encoder"], value["thresholds"]
        fitted_to = value["fitted_to"]
    except (ValueError, TypeError, KeyError) as error:
        raise _damaged(folder, str(error)) from error
    sound = sound and isinstance(key, str) and isinstance(encoder, dict) and isinstance(fitted_to, str)
    sound = sound and isinstance(thresholds, dict | None) and vectors.ndim == 2 and vectors.dtype == np.float32
    if not sound or len(vectors) != len(references) or not np.isfinite(vectors).all():
        raise _damaged(folder, "its parts do not fit together")
    return _State(ReferenceSet(references, vectors, key), encoder, thresholds, fitted_to)


def _damaged(folder: Path, cause: str) -> InputError:
    return InputError(f"the gallery {folder} is damaged", cause=cause, hint="enroll it again")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Wait until no other process changes this gallery; changes take moments."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("ab") as stream:
        try:
            import fcntl
        except ImportError:  # Windows
            import msvcrt

            stream.seek(0)
            msvcrt.locking(stream.fileno(), msvcrt.LK_LOCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield
