"""Naming pictures by enrolled references, and sorting them: a stream of records, one a picture, as they are decided."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from comictool.core.errors import InputError, Stopped
from comictool.core.jobs import stop_signals
from comictool.core.typed import typed
from comictool.reid.calibration import Verdict, decide
from comictool.reid.scoring import Scorer, similarity
from comictool.reid.sorting.actions import Placement, Sorter, SortOptions, prepare_root, result_folders
from comictool.reid.sorting.journal import (
    Contents,
    Journal,
    Purpose,
    all_contents,
    disk_errors_told,
    holding,
    unfinished,
)
from comictool.reid.sorting.rules import Rules
from comictool.reid.sorting.undoing import settle
from comictool.reid.surroundings import NOTHING, Embed, Surroundings
from comictool.reid.types import Candidate, Decision, Lesson, Reference
from comictool.vectors.stream import EmbeddedBatch

STARTS_OVER = "with --no-resume the run starts over"


class References(Protocol):
    """References as they are used here: `references[i]` has the vector `vectors[i]`, (R, D) float32, unit rows."""

    @property
    def references(self) -> Sequence[Reference]:
        """The enrolled pictures."""

    @property
    def vectors(self) -> np.ndarray:
        """Their vectors."""


class Decider:
    """Decides on pictures batch by batch; what depends on the references alone is computed once.

    Args:
        enrolled: the references.
        rules: how to decide.
        refused: pictures of which somebody said whom they do not show. Such a picture is not given that name again;
            nor, if nobody knows whom it shows, is one that is more like it than like any reference of that character.
    """

    def __init__(
        self, enrolled: References, rules: Rules, refused: References | None = None, among: Surroundings = NOTHING
    ) -> None:
        self._references = enrolled.references
        self._enrolled_vectors = enrolled.vectors
        self._refused = refused
        self._among = among
        self._rules = rules
        labels = [reference.character for reference in enrolled.references]
        digests = [reference.digest for reference in enrolled.references]
        self._score = Scorer(enrolled.vectors, labels, rules.mode, metric=rules.metric)
        self._places: dict[str, list[int]] = {}
        for place, digest in enumerate(digests):
            self._places.setdefault(digest, []).append(place)

    def __call__(self, batch: EmbeddedBatch) -> list[Decision]:
        """One decision a picture, in their order.

        A picture whose content is that of a reference is of that character, with the score of a picture with itself.
        It is not compared with that reference (nor with its copies), unless the rules say so: its candidates are what
        the others say.
        """
        readable = [at for at, path in enumerate(batch.paths) if path not in batch.errors]
        verdicts: dict[int, Verdict] = {}
        if readable:
            digests = [batch.digests[at] for at in readable]
            vectors = batch.vectors[readable]
            scores = self._score(vectors, excluded=self._excluded(digests, vectors)).scaled(self._among.around(vectors))
            found = decide(scores, self._rules.threshold, margin=self._rules.margin, top=self._rules.top)
            known = map(self._known, digests, found)
            verdicts = dict(zip(readable, known, strict=True))
        return [
            _decision(path, batch.digests[at], verdicts.get(at), batch.errors.get(path, ""), self._references)
            for at, path in enumerate(batch.paths)
        ]

    def enrolled_as(self, digest: str) -> str | None:
        """The character that a picture of this content is a reference of; None where it is one of several."""
        names = {self._references[place].character for place in self._places.get(digest, ())}
        return names.pop() if len(names) == 1 else None

    def _known(self, digest: str, verdict: Verdict) -> Verdict:
        """The verdict on a picture that people picked as a reference out of the folder which they sort."""
        name = self.enrolled_as(digest)
        if name is None or self._rules.own_references:
            return verdict
        itself = 1.0 if self._rules.metric == "cosine" else 0.0
        return replace(verdict, status="ok", character=name, score=itself, margin=None)

    def _excluded(self, digests: Sequence[str], vectors: np.ndarray) -> np.ndarray | None:
        """(Q, R) bool: references that a picture is not compared with."""
        own, against = self._own(digests), self._against(digests, vectors)
        return against if own is None else own if against is None else own | against

    def _against(self, digests: Sequence[str], vectors: np.ndarray) -> np.ndarray | None:
        """(Q, R) bool: references of characters that the picture was refused to be, or is nearer to a refusal of."""
        if self._refused is None or not self._refused.references:
            return None
        labels = np.array([reference.character for reference in self._references], dtype=str)
        excluded = np.zeros((len(digests), len(labels)), bool)
        to_refused = similarity(vectors, self._refused.vectors, self._rules.metric)
        told = [(reference.character, reference.digest) for reference in self._refused.references]
        for name in sorted({character for character, _ in told}):
            own, said = labels == name, [at for at, (character, _) in enumerate(told) if character == name]
            if own.any():
                nearest = similarity(vectors, self._enrolled_vectors[own], self._rules.metric).max(axis=1)
                out = np.isin(digests, [told[at][1] for at in said])
                # One that has a name speaks for that already, as a reference.
                nameless = [at for at in said if told[at][1] not in self._places]
                if nameless:
                    out |= to_refused[:, nameless].max(axis=1) > nearest
                excluded[np.ix_(out, own)] = True
        return excluded if excluded.any() else None

    def _own(self, digests: Sequence[str]) -> np.ndarray | None:
        """(Q, R) bool: references that are the query itself; None when no query is a reference, as mostly."""
        if self._rules.own_references or self._places.keys().isdisjoint(digests):
            return None
        excluded = np.zeros((len(digests), len(self._references)), bool)
        for row, digest in enumerate(digests):
            excluded[row, self._places.get(digest, [])] = bool(digest)
        return excluded


def _decision(
    path: Path, digest: str, verdict: Verdict | None, error: str, references: Sequence[Reference]
) -> Decision:
    if verdict is None:
        return Decision(str(path), digest, "error", None, None, None, None, error=error)
    candidates = [
        Candidate(name, score, str(references[place].path) if place >= 0 else "")
        for name, score, place in verdict.ranked
    ]
    threshold = verdict.threshold if verdict.threshold is None or math.isfinite(verdict.threshold) else None
    return Decision(
        str(path), digest, verdict.status, verdict.character, verdict.score, threshold, verdict.margin, candidates
    )


@dataclass
class SortedPicture:
    """One picture, decided and perhaps put somewhere. `earlier`: by the run that this one resumes."""

    decision: Decision
    placed: Placement
    earlier: bool = False
    enrolled_as: str | None = None
    """The character that this very picture is a reference of."""

    def as_record(self) -> dict[str, Any]:
        """What is written on standard output and into the journal."""
        record = {**vars(self.decision), "candidates": [vars(candidate) for candidate in self.decision.candidates]}
        record["error"] = self.decision.error or (self.placed.error if self.placed.action == "failed" else "") or None
        unsure = self.decision.status in ("unknown", "ambiguous") and self.decision.candidates
        return record | {
            "guess": self.decision.candidates[0].character if unsure else None,
            "enrolled_as": self.enrolled_as,
            "action": self.placed.action,
            "destination": self.placed.destination,
        }


@dataclass(frozen=True)
class Again:
    """What makes a run one over the pictures that earlier runs filed in the same folder.

    Attributes:
        stamp: of what was asked.
        lesson: what a person taught before it.
        adopted: what they moved: before, now, digest, and the folders that they made.
        begun: called when the journal has the lesson, before anything is done: a gallery learns it.
        ended: called with where pictures were moved, by absolute paths, when all is done.
    """

    stamp: str
    lesson: Lesson
    adopted: Sequence[tuple[str, str, str, Sequence[str]]] = ()
    begun: Callable[[], None] = lambda: None
    ended: Callable[[dict[str, str]], None] = lambda moved: None


def classify(
    targets: Sequence[Path],
    enrolled: References,
    embed: Embed,
    rules: Rules,
    *,
    encoder_id: str,
    options: SortOptions | None = None,
    root: Path | None = None,
    bases: Sequence[Path] = (),
    dry_run: bool = False,
    resume: bool = True,
    tell: Callable[[], None] = lambda: None,
    refused: References | None = None,
    again: Again | None = None,
    among: Surroundings = NOTHING,
) -> Iterator[SortedPicture]:
    """Decide on every picture, and file it, in the order of `targets`; yields each as soon as that is done.

    Args:
        targets: pictures, from `find_pictures`; those that earlier runs put into `root` are passed over.
        enrolled: the references.
        embed: gives the vectors of files batch by batch, with an error for each that cannot be read.
        rules: how to decide.
        encoder_id: of the encoder and the way of reading.
        options: what happens to the files; needs `root`.
        root: the result folder. With it every run leaves a journal there, also with the action none.
        bases: the targets as the user named them, for `SortOptions.preserve_tree`.
        dry_run: say where files would go, write nothing.
        resume: resume the newest run in `root` when it did the same and was killed; its results are given again.
        tell: called when all is done, before the journal says so: a run that is killed before its results are told is
            resumed, and gives them once more.
        refused: see `Decider`.
        again: the targets are what earlier runs put into `root`.
        among: what scores are scaled by.

    Raises:
        Stopped: SIGINT or SIGTERM came; what was decided is done and in the journal.
        InputError, UsageError: a result folder that cannot be used, or characters that would share a folder.
            Also the disk is full or not writable: what was done is in the journal.
    """
    options, decider = options or SortOptions("none"), Decider(enrolled, rules, refused, among)
    folders = result_folders(sorted({r.character for r in enrolled.references}), options)
    if root is None:
        yield from _run(targets, embed, decider, Sorter(Path(), SortOptions("none"), folders), 0)
        tell()
        return
    absolute = [Path(os.path.abspath(base)) for base in bases]
    stamp = _stamp(enrolled, rules, encoder_id, options, absolute, targets if options.action != "move" else ())
    stamp, within = again.stamp if again else stamp, again is not None
    if dry_run:
        sorter = Sorter(root, options, folders, absolute, all_contents(root), within=within)
        yield from _run(_left(targets, sorter.ours), embed, decider, sorter, 0)
        tell()
        return
    with ExitStack() as stack:
        stack.enter_context(disk_errors_told(root, "the same command again"))
        made = prepare_root(root)
        stack.enter_context(holding(root))
        settle(root, stamp if resume else "")
        before = unfinished(root, stamp) if resume else None
        if before is not None:
            journal = Journal.go_on(before)
        else:
            undecided = [folder for folder in options.undecided.values() if folder]
            kept = among.to_text() if options.action == "move" else ""
            purpose = Purpose(undecided, again.lesson if again else None, surroundings=kept)
            journal = Journal.begin(root, stamp, made_root=made, purpose=purpose)
        stack.callback(journal.close)
        finished = before.finished_sources if before is not None else set()
        sorter = Sorter(root, options, folders, absolute, all_contents(root), journal, before, within)
        if again is not None:
            again.begun()
            for moved in again.adopted:
                sorter.adopt(*moved)
        fresh = _run(_left(targets, sorter.ours | finished), embed, decider, sorter, len(finished))
        went: dict[str, str] = {}
        for picture in _in_turn(_earlier_results(before), fresh) if before is not None else fresh:
            if again is not None and picture.placed.action == "move" and picture.placed.destination:
                went[os.path.abspath(picture.decision.path)] = os.path.abspath(root / picture.placed.destination)
            yield picture
        if again is not None:
            again.ended(went)
        tell()
        journal.finish()


def _run(
    targets: Sequence[Path], embed: Embed, decide_batch: Decider, sorter: Sorter, count: int
) -> Iterator[SortedPicture]:
    total = count + len(targets)
    with stop_signals() as stop:
        for batch in embed(targets):
            for decision in decide_batch(batch):
                # Decided by now, and filed at once: a stop never leaves a picture between two places.
                if stop.is_set():
                    raise Stopped(stop.number, done=count, total=total, noun="pictures")
                count += 1
                result = SortedPicture(
                    decision, Placement("none"), enrolled_as=decide_batch.enrolled_as(decision.digest)
                )
                if sorter.does_something:
                    result.placed = sorter.place(
                        Path(decision.path), decision.status, decision.character, decision.digest, result.as_record()
                    )
                yield result
        if stop.is_set() and count < total:
            raise Stopped(stop.number, done=count, total=total, noun="pictures")


def _stamp(
    enrolled: References,
    rules: Rules,
    encoder_id: str,
    options: SortOptions,
    bases: Sequence[Path],
    targets: Sequence[Path],
) -> str:
    """A hash of all that decides what a run does; of the targets only those that do not go away by it."""
    import hashlib

    references = [(r.character, str(r.path), r.digest) for r in enrolled.references]
    places = [[str(base) for base in bases], [os.path.abspath(target) for target in targets]]
    value = [encoder_id, references, rules.stamp(), asdict(options), places]
    return hashlib.blake2b(json.dumps(value, sort_keys=True, default=str).encode("utf-8"), digest_size=12).hexdigest()


def _left(targets: Sequence[Path], done: Set[str]) -> list[Path]:
    return [target for target in targets if os.path.abspath(target) not in done]


def _in_turn(
    earlier: Iterator[tuple[str, SortedPicture | None]], fresh: Iterator[SortedPicture]
) -> Iterator[SortedPicture]:
    """Earlier results with fresh ones where they had none, and after them: the order of a run that was not killed."""

    def until_failed() -> Iterator[SortedPicture]:
        for path, result in earlier:
            if result is None:
                again.append(path)
                return
            yield result

    again: list[str] = []
    yield from until_failed()
    for result in fresh:
        while again and again.pop() != os.path.abspath(result.decision.path):
            yield from until_failed()
        yield result
        yield from until_failed()
    while again and again.pop():
        yield from until_failed()


def _earlier_results(contents: Contents) -> Iterator[tuple[str, SortedPicture | None]]:
    """Absolute path and result of each picture of a run that was killed; None where its action failed: once more."""
    finished = contents.finished_sources
    adopted = {entry.number for entry in contents.entries if entry.adopted}
    for number, record in contents.records():
        if number in adopted:
            continue
        if number in contents.failed:
            if (path := os.path.abspath(str(record.get("path")))) not in finished:
                yield path, None
            continue
        try:
            action, destination = str(record.pop("action")), record.pop("destination")
            error, enrolled_as = record["error"] or "", record.pop("enrolled_as")
            record.pop("guess", None)
        except (KeyError, TypeError) as damage:
            raise InputError(f"{contents.path} is damaged", hint=STARTS_OVER) from damage
        decision = typed(Decision, {**record, "error": error}, f"{contents.path}, entry {number}")
        placed = Placement(action, destination, error)
        yield os.path.abspath(decision.path), SortedPicture(decision, placed, earlier=True, enrolled_as=enrolled_as)
