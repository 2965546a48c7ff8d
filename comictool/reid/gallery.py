"""A gallery on disk: enrolled references with their vectors and the thresholds fitted to them.

A folder with `gallery.json` and one `vectors-HASH.npy` that it names. The vectors are written first, under the hash
of their content; the gallery changes by the one rename that replaces `gallery.json`. So a reader sees the old or the
new state, whole, and a process killed at any point leaves one of the two. Nothing in it can run code. Pictures are
named relative to the folder, so that a gallery and its pictures can be moved as a whole; moved alone, it finds them
where they were.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from comictool.core.errors import InputError, UsageError, near_matches
from comictool.core.files import TEMPORARY_SUFFIX, read_bounded, read_json, write_bytes, write_json
from comictool.core.ledger import lock_file
from comictool.core.typed import Check, text, typed
from comictool.plugins.load import EncoderSpec
from comictool.reid.apart import best_mode, confusions
from comictool.reid.configuration import Config
from comictool.reid.known import Known
from comictool.reid.reader import PictureReader
from comictool.reid.references import ReferenceSet, gather_references, questionable
from comictool.reid.types import Lesson, Reference
from comictool.vectors.reading import digest_of, read_bytes
from comictool.vectors.stream import encoder_key

SCHEMA = 3  # 1 had absolute paths; 2 no refusals, and is what is written without any
FILE = "gallery.json"
LOCK = ".lock"
UNTOLD = ".untold.json"  # changes whose answer a killed process may not have told
_LEFT = re.compile(rf"vectors-[0-9a-f]{{32}}\.npy|\.(gallery\.json|vectors-|\.untold\.json).*\{TEMPORARY_SUFFIX}")
MAX_JSON = 1 << 30  # bytes; a million references are about 200 MB


MOST_NUMBERS = 65_536  # in one vector
MOST_HEADER = 1 << 16  # bytes of a .npy before its numbers
AGAIN = "enroll it again"
PATH = Check(lambda path: "\0" not in path, "a path")


@dataclass(frozen=True)
class _Vectors:
    file: Annotated[str, text(100, pattern=r"vectors-[0-9a-f]+\.npy")]
    sha256: str


@dataclass(frozen=True)
class _Written:
    """`gallery.json`; a reference is its character, its path and the digest of its content."""

    schema: int
    key: str
    encoder: dict[str, Any]
    vectors: _Vectors
    references: list[tuple[str, Annotated[str, PATH], str]]
    thresholds: dict[str, Any] | None
    fitted_to: str
    folder: Annotated[str, PATH] = ""
    refused: list[tuple[str, Annotated[str, PATH], str]] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class Enrolment:
    """What an enrolment changed, in numbers of references, and what to look at.

    `computed`: pictures whose vectors the gallery did not have; a cache may have had them.
    """

    added: int = 0
    kept: int = 0
    removed: int = 0
    computed: int = 0
    failed: dict[Path, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _State:
    """The contents of `gallery.json` and the vectors it names."""

    known: Known
    encoder: dict[str, Any]
    thresholds: dict[str, Any] | None = None
    fitted_to: str = ""

    @property
    def found(self) -> ReferenceSet:
        """All references, also those that were refused later."""
        return self.known.found

    def of(self, found: ReferenceSet) -> _State:
        """With other references; a refusal of a character that is gone is gone."""
        names = set(found.characters)
        refused = self.known.refused.of([r.character in names for r in self.known.refused.references])
        return replace(self, known=Known(found, refused))


@dataclass
class _Step:
    """A change whose answer may not be told yet: what was asked, its counts, and the digest of the file it led to."""

    asked: str
    counts: dict[str, int]
    led_to: str


class Gallery:
    """References of characters; see `create` and `open`. Changes read the newest state first, under a lock."""

    def __init__(self, folder: Path, state: _State) -> None:
        self.folder = folder
        self._state = state
        self._answering = False

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Changes within the block are answered when it ends well.

        After a kill before that, the same changes are done once and answered as they would have been.
        """
        self._answering = True
        yield
        self._answering = False
        (self.folder / UNTOLD).unlink(missing_ok=True)

    @classmethod
    def create(cls, folder: Path) -> Gallery:
        """The gallery in this folder, or an empty one that is written with the first enrolment.

        Raises:
            InputError: the folder is there and is something else, or the gallery is damaged.
        """
        if (folder / FILE).exists():
            return cls.open(folder)
        if folder.exists() and (not folder.is_dir() or not all(_is_ours(entry.name) for entry in folder.iterdir())):
            raise InputError(f"{folder} is there already and is no gallery", hint="give another path")
        return cls(folder, _State(Known(), {}))

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
        """References and vectors together, less what was refused."""
        return self._state.known.counted

    @property
    def known(self) -> Known:
        """References, also those that were refused later, and refusals."""
        return self._state.known

    @property
    def refused(self) -> ReferenceSet:
        """Pictures of which somebody said whom they do not show (`comictool reid learn`)."""
        return self._state.known.refused

    @property
    def references(self) -> list[Reference]:
        """The references, by character and path in natural order."""
        return self.found.references

    @property
    def vectors(self) -> np.ndarray:
        """(R, D) float32 unit rows, one for each reference."""
        return self.found.vectors

    @property
    def characters(self) -> list[str]:
        """The enrolled characters in natural order."""
        return self.found.characters

    @property
    def encoder_id(self) -> str:
        """What vectors compare with these: `comictool.vectors.stream.encoder_key`; empty while nothing is enrolled."""
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
    def outdated_thresholds(self) -> dict[str, Any] | None:
        """The thresholds that were stored, if they are for other references than there are now."""
        return self._state.thresholds if self.thresholds is None else None

    def store_thresholds(self, values: Mapping[str, Any]) -> None:
        """Keep thresholds (plain JSON values) for the references as they are.

        Raises:
            InputError: another process changed the references since this gallery was read.
        """
        fingerprint = _fingerprint(self.found)

        def change(state: _State) -> tuple[_State, dict[str, int]]:
            if _fingerprint(state.known.counted) != fingerprint:
                raise InputError(f"{self.folder} changed while thresholds were fitted", hint="calibrate again")
            return replace(state, thresholds=dict(values), fitted_to=fingerprint), {}

        self._change("thresholds", change)

    def enroll(self, config: Config, reader: PictureReader | None = None, *, prune: bool = False) -> Enrolment:
        """Add the references of a configuration; of those there already, nothing is computed with a cache.

        Args:
            config: from `comictool.reid.configuration.read_config`.
            reader: the encoder, and how pictures are read; that of the gallery, once it has references.
            prune: also remove references of the same characters that the configuration does not list any more,
                and all whose files are gone or changed.

        Raises:
            InputError: another encoder than that of the gallery, or a character without a readable picture.
        """
        reader = reader or PictureReader()
        spec, reading = reader.spec(self), reader.reading(self)
        with reader.options(self) as options:
            gathered = gather_references(config, spec, progress=reader.progress, **options)
        new = {(r.character, r.digest) for r in gathered.found.references}

        def change(state: _State) -> tuple[_State, dict[str, int]]:
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
            known = {r.digest for r in base.references}
            counts = {
                "added": len(new) - sum(again),
                "kept": sum(again),
                "removed": sum(out and not seen for out, seen in zip(gone, again, strict=True)),
                "computed": len({r.digest for r in gathered.found.references} - known),
            }
            rest = base.of([not out and not seen for out, seen in zip(gone, again, strict=True)]) if before else base
            found = rest.joined(gathered.found)
            encoder = {**spec.remembered(), **reading, "exact": spec.precision == "fp32"}
            grown = state.of(found)
            kept = [(r.character, r.digest) not in new for r in grown.known.refused.references]
            enrolled = Known(found, grown.known.refused.of(kept))  # what is enrolled is refused no more
            return replace(grown, known=enrolled, encoder=encoder), counts

        asked = ["enroll", gathered.found.key, prune, *((r.character, r.digest) for r in gathered.found.references)]
        counts = self._change(json.dumps(asked), change)
        metric = "legacy" if self.legacy else "cosine"
        warnings = [*gathered.problems, *questionable(self.found), *confusions(best_mode(self.found, metric)[0])]
        return Enrolment(**counts, failed=gathered.failed, warnings=warnings)

    def remove(self, characters: Sequence[str]) -> int:
        """Take characters out; returns how many references went.

        Raises:
            UsageError: one of them is not enrolled.
        """

        def wanted(found: ReferenceSet) -> list[bool]:
            unknown = [name for name in characters if name not in found.characters]
            if unknown:
                raise UsageError(
                    f"{unknown[0]!r} is not in the gallery", near=near_matches(unknown[0], found.characters)
                )
            return [reference.character not in characters for reference in found.references]

        return self._keep(json.dumps(["remove", *characters]), wanted)

    def prune(self) -> int:
        """Take out references whose files are gone or changed; returns how many."""
        return self._keep("prune", lambda found: [_unchanged(reference) for reference in found.references])

    def _keep(self, asked: str, wanted: Callable[[ReferenceSet], list[bool]]) -> int:
        def change(state: _State) -> tuple[_State, dict[str, int]]:
            mask = wanted(state.found)
            return state.of(state.found.of(mask)), {"gone": mask.count(False)}

        return self._change(asked, change)["gone"]

    def merge(self, others: Sequence[Gallery]) -> int:
        """Add the references of other galleries; returns how many were new.

        Raises:
            InputError: a gallery was embedded in another way.
        """

        def change(state: _State) -> tuple[_State, dict[str, int]]:
            found, encoder = state.found, state.encoder
            for other in others:
                found, encoder = found.joined(other.found), encoder or other._state.encoder
            added = len(found.references) - len(state.found.references)
            return replace(state.of(found), encoder=encoder), {"added": added}

        asked = json.dumps(["merge", *(_fingerprint(other.found) for other in others)])
        return self._change(asked, change)["added"]

    def grown(self, lesson: Lesson, reader: PictureReader | None = None) -> Known:
        """References and refusals as `learn` would leave them; nothing is written.

        Raises:
            InputError: a picture of the lesson cannot be read any more, or another encoder than that of the gallery.
        """
        return self._lesson(lesson, reader or PictureReader())(self._state).known

    def learn(self, lesson: Lesson, reader: PictureReader | None = None) -> None:
        """Take over what a person said; doing it again changes nothing. Raises what `grown` raises."""
        change = self._lesson(lesson, reader or PictureReader())
        self._change("learn", lambda state: (change(state), {}))

    def unlearn(self, lesson: Lesson) -> None:
        """Take a lesson back; what was enrolled since stays. A gallery that it made and that is empty then goes."""
        self._change("unlearn", lambda state: (replace(state, known=state.known.without(lesson)), {}))
        if lesson.made and not self._state.found.references:
            for name in os.listdir(self.folder):
                if name == FILE or _is_ours(name):
                    (self.folder / name).unlink()
            with suppress(OSError):  # somebody keeps other things in it
                self.folder.rmdir()

    def relocate(self, moved: Mapping[str, str]) -> None:
        """References and refusals lie elsewhere now: from absolute paths to paths."""
        places = [str(r.path) for r in (*self._state.found.references, *self._state.known.refused.references)]
        if not moved.keys().isdisjoint(places):
            self._change("relocate", lambda state: (replace(state, known=state.known.at(moved)), {}))

    def _lesson(self, lesson: Lesson, reader: PictureReader) -> Callable[[_State], _State]:
        known = self._state.known
        rows = dict(zip((r.digest for r in known.found.references), known.found.vectors, strict=True))
        rows |= dict(zip((r.digest for r in known.refused.references), known.refused.vectors, strict=True))
        # A run that was killed has learned its lesson by now, and may have moved the pictures.
        shown = [
            (digest, Path(path)) for _, digest, path in (*lesson.references, *lesson.refused) if digest not in rows
        ]
        spec, reading = reader.spec(self), reader.reading(self)
        if shown:
            embedded = reader.embed([path for _, path in shown], self)
            for path, reason in embedded.errors.items():
                raise InputError(f"{path}: {reason}", hint="run the same again without it")
            rows |= dict(zip(embedded.digests, embedded.vectors, strict=True))
        for digest, path in shown:
            if digest not in rows:
                raise InputError(f"{path} changed meanwhile", hint="run the same again")
        key = encoder_key(spec, **reading) if rows else self._state.found.key
        encoder = {**spec.remembered(), **reading, "exact": spec.precision == "fp32"}

        def change(state: _State) -> _State:
            if rows and state.found.references and state.found.key != key:
                raise InputError(
                    f"{self.folder} was enrolled with {state.found.key}, not with {key}", hint="leave --plugin out"
                )
            return replace(state, known=state.known.with_(lesson, rows, key), encoder=state.encoder or encoder)

        return change

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
        if self.outdated_thresholds and self.outdated_thresholds.get("background"):
            problems.append("the thresholds were fitted to other references and a background: calibrate again")
        return problems

    def _change(self, asked: str, change: Callable[[_State], tuple[_State, dict[str, int]]]) -> dict[str, int]:
        """Make a change once, and give its counts; what was asked identifies it, should it be resumed."""
        asked = digest_of(asked.encode("utf-8", "surrogatepass"))
        with _locked(self.folder):
            self._state = _read(self.folder) if (self.folder / FILE).exists() else self._state
            _remove_left(self.folder)
            steps = self._untold()
            for step in steps:
                if step.asked == asked:
                    return step.counts
            self._state, counts = change(self._state)
            vectors, written = _as_files(self.folder, self._state)
            if self._answering:
                steps.append(_Step(asked, counts, digest_of(written)))
                write_json(self.folder / UNTOLD, [vars(step) for step in steps])
            write_bytes(self.folder / _vectors_name(vectors), vectors, durable=True)
            write_bytes(self.folder / FILE, written, durable=True)
            _remove_left(self.folder)
        return counts

    def _untold(self) -> list[_Step]:
        """The changes that are done and not told yet, of those a killed process has noted."""
        if not self._answering:
            return []
        try:
            steps = typed(list[_Step], read_json(self.folder / UNTOLD, default=[]), str(self.folder / UNTOLD))
        except InputError:
            return []
        now = digest_of(read_bounded(self.folder / FILE, default=b"", most_bytes=MAX_JSON))
        return steps[: max((at for at, step in enumerate(steps, 1) if step.led_to == now), default=0)]


def _unchanged(reference: Reference) -> bool:
    try:
        return digest_of(read_bytes(reference.path)) == reference.digest
    except InputError:
        return False


def _fingerprint(found: ReferenceSet) -> str:
    """Which references these are, without their paths: files may be moved."""
    lines = [found.key, *sorted(f"{r.character}\n{r.digest}" for r in found.references)]
    return digest_of("\n".join(lines).encode("utf-8", "surrogatepass"))


def _is_ours(name: str) -> bool:
    """Whether a killed enrolment may have left this in a folder that has no gallery yet."""
    return name in (LOCK, UNTOLD) or _LEFT.fullmatch(name) is not None


def _remove_left(folder: Path) -> None:
    """Remove vectors that the gallery does not name, and what a kill left half written; only under the lock."""
    named = _written(folder).vectors.file if (folder / FILE).exists() else ""
    for name in os.listdir(folder):
        if name != named and _LEFT.fullmatch(name):
            (folder / name).unlink(missing_ok=True)


def _vectors_name(content: bytes) -> str:
    return f"vectors-{hashlib.sha256(content).hexdigest()[:32]}.npy"


def _as_files(folder: Path, state: _State) -> tuple[bytes, bytes]:
    """The vectors and `gallery.json`."""
    stream = io.BytesIO()
    refused = state.known.refused
    both = np.concatenate([state.found.vectors, refused.vectors]) if refused.references else state.found.vectors
    np.save(stream, np.ascontiguousarray(both, "<f4"), allow_pickle=False)
    content = stream.getvalue()
    value = {
        "schema": SCHEMA if refused else 2,
        "key": state.found.key,
        "encoder": state.encoder,
        "vectors": {"file": _vectors_name(content), "sha256": hashlib.sha256(content).hexdigest()},
        "folder": os.path.abspath(folder),
        "references": [[r.character, _relative(r.path, folder), r.digest] for r in state.found.references],
        "thresholds": state.thresholds,
        "fitted_to": state.fitted_to,
    }
    if refused.references:
        value["refused"] = [[r.character, _relative(r.path, folder), r.digest] for r in refused.references]
    return content, (json.dumps(value, indent=1) + "\n").encode("ascii")


def _read(folder: Path) -> _State:
    """Read and check; once more when another process replaced the vectors in between."""
    for _ in range(3):
        written = _written(folder)
        most = 4 * MOST_NUMBERS * (len(written.references) + len(written.refused)) + MOST_HEADER
        content = read_bounded(folder / written.vectors.file, default=None, most_bytes=most)
        if content is not None:
            return _state(folder, written, content)
    raise _damaged(folder, f"{written.vectors.file} is missing")


def _written(folder: Path) -> _Written:
    value = read_json(folder / FILE, what="the gallery is damaged:", most_bytes=MAX_JSON, hint=AGAIN)
    schema = value.get("schema") if isinstance(value, dict) else None
    if isinstance(schema, int) and schema > SCHEMA:
        raise InputError(f"{folder} was made by a newer comictool", hint="pip install --upgrade comictool")
    return typed(_Written, value, f"the gallery {folder} is damaged: {FILE}", hint=AGAIN)


def _state(folder: Path, written: _Written, content: bytes) -> _State:
    if hashlib.sha256(content).hexdigest() != written.vectors.sha256:
        raise _damaged(folder, "its vectors are not those that it was saved with")
    try:
        vectors = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, MemoryError) as error:
        raise _damaged(folder, str(error)) from error
    located = _locator(folder, written.folder)
    every = [*written.references, *written.refused]
    references = [Reference(character, located(path), digest) for character, path, digest in every]
    sound = isinstance(vectors, np.ndarray) and vectors.ndim == 2 and vectors.dtype == np.float32
    if not sound or len(vectors) != len(references) or not np.isfinite(vectors).all():
        raise _damaged(folder, "its parts do not fit together")
    count = len(written.references)
    found = ReferenceSet(references[:count], vectors[:count], written.key)
    known = Known(found, ReferenceSet(references[count:], vectors[count:], written.key))
    return _State(known, written.encoder, written.thresholds, written.fitted_to)


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # different drives
        return str(path)


def _locator(folder: Path, before: str) -> Callable[[str], Path]:
    """From a name in the gallery to where the picture lies: beside the folder as it was, else where it was."""
    here, moved = os.path.abspath(folder), os.path.abspath(folder) != before

    def located(name: str) -> Path:
        nearby = Path(os.path.normpath(os.path.join(here, name)))
        old = Path(os.path.normpath(os.path.join(before, name)))
        return old if moved and old.exists() and not nearby.exists() else nearby

    return located


def _damaged(folder: Path, cause: str) -> InputError:
    return InputError(f"the gallery {folder} is damaged", cause=cause, hint=AGAIN)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Wait until no other process changes this gallery; changes take moments."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("ab") as stream:
        lock_file(stream, wait=True)
        yield
