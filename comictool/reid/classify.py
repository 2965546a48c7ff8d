"""Naming pictures by enrolled references, and sorting them: a stream of records, one a picture, as they are decided."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from comictool.core.errors import InputError, Stopped, UsageError
from comictool.core.jobs import stop_signals
from comictool.reid.actions import Filed, Filer, Filing, prepare_root, result_folders
from comictool.reid.calibration import Thresholds, Verdict, decide
from comictool.reid.embedding import EmbeddedBatch
from comictool.reid.journal import Contents, Journal, all_contents, disk_errors_told, holding, unfinished
from comictool.reid.refining import Refinement
from comictool.reid.scoring import Scorer
from comictool.reid.types import Candidate, Decision, Reference
from comictool.reid.undoing import settle

Embed = Callable[[Sequence[Path]], Iterable[EmbeddedBatch]]


class Enrolled(Protocol):
    """References as they are used here: `references[i]` has the vector `vectors[i]`, (R, D) float32, unit rows."""

    @property
    def references(self) -> Sequence[Reference]:
        """The enrolled pictures."""

    @property
    def vectors(self) -> np.ndarray:
        """Their vectors."""


@dataclass(frozen=True)
class Rules:
    """How pictures are decided.

    Attributes:
        mode: max, avg, centroid or knn:K; see `comictool.reid.scoring.parse_mode`.
        metric: cosine or legacy.
        threshold: fitted ones, one number, or None to name every picture.
        margin: a winner that leads by less is ambiguous.
        top: candidates listed for each picture.
        own_references: let a picture that is a reference itself match itself.
        refine: none, whiten or join; see `comictool.reid.refining`. Thresholds that were fitted need none.
    """

    mode: str = "max"
    metric: str = "cosine"
    threshold: Thresholds | float | None = None
    margin: float = 0.0
    top: int = 5
    own_references: bool = False
    refine: str = "none"

    def __post_init__(self) -> None:
        if self.refine != "none" and isinstance(self.threshold, Thresholds):
            raise UsageError(
                f"there is no threshold for vectors refined by {self.refine}",
                cause="thresholds are fitted to plain cosines, and would not keep the false acceptance rate",
                hint="--threshold X or none with --refine, or auto without it",
            )

    def stamp(self) -> dict[str, Any]:
        """Plain values that decide the result."""
        threshold = self.threshold.to_json() if isinstance(self.threshold, Thresholds) else self.threshold
        return {"mode": self.mode, "metric": self.metric, "threshold": threshold, "margin": self.margin,
                "top": self.top, "own": self.own_references, "refine": self.refine}  # fmt: skip


class Decider:
    """Decides on pictures batch by batch; what depends on the references alone is computed once.

    Args:
        enrolled: the references.
        rules: how to decide.
    """

    def __init__(self, enrolled: Enrolled, rules: Rules) -> None:
        self._references = enrolled.references
        self._rules = rules
        labels = [reference.character for reference in enrolled.references]
        digests = [reference.digest for reference in enrolled.references]
        self._refine = Refinement(rules.refine, enrolled.vectors, digests)
        self._score = Scorer(self._refine.references, labels, rules.mode, metric=rules.metric)
        self._places: dict[str, list[int]] = {}
        for place, digest in enumerate(digests):
            self._places.setdefault(digest, []).append(place)

    def __call__(self, batch: EmbeddedBatch) -> list[Decision]:
        """One decision a picture, in their order.

        A picture whose content is that of a reference is not compared with that reference (nor with its copies),
        unless the rules say so.
        """
        readable = [at for at, path in enumerate(batch.paths) if path not in batch.errors]
        verdicts: dict[int, Verdict] = {}
        if readable:
            digests = [batch.digests[at] for at in readable]
            scores = self._score(self._refine(batch.vectors[readable], digests), excluded=self._own(digests))
            found = decide(scores, self._rules.threshold, margin=self._rules.margin, top=self._rules.top)
            verdicts = dict(zip(readable, found, strict=True))
        return [
            _decision(path, batch.digests[at], verdicts.get(at), batch.errors.get(path, ""), self._references)
            for at, path in enumerate(batch.paths)
        ]

    def enrolled_as(self, digest: str) -> str | None:
        """The character that a picture of this content is a reference of; of several the last."""
        places = self._places.get(digest)
        return self._references[places[-1]].character if places else None

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
class Result:
    """One picture, decided and perhaps filed. `earlier`: by the run that this one goes on with."""

    decision: Decision
    filed: Filed
    earlier: bool = False
    enrolled_as: str | None = None
    """The character that this very picture is a reference of."""

    def as_record(self) -> dict[str, Any]:
        """What is written on standard output and into the journal."""
        record = {**vars(self.decision), "candidates": [vars(candidate) for candidate in self.decision.candidates]}
        record["error"] = self.decision.error or (self.filed.error if self.filed.action == "failed" else "") or None
        return record | {
            "enrolled_as": self.enrolled_as, "action": self.filed.action, "destination": self.filed.destination,
        }  # fmt: skip


def classify(
    targets: Sequence[Path],
    enrolled: Enrolled,
    embed: Embed,
    rules: Rules,
    *,
    identity: str,
    filing: Filing | None = None,
    root: Path | None = None,
    bases: Sequence[Path] = (),
    dry_run: bool = False,
    resume: bool = False,
) -> Iterator[Result]:
    """Decide on every picture, and file it, in the order of `targets`; yields each as soon as that is done.

    Args:
        targets: pictures, from `find_pictures`; those that earlier runs put into `root` are passed over.
        enrolled: the references.
        embed: gives the vectors of files batch by batch, with an error for each that cannot be read.
        rules: how to decide.
        identity: of the encoder and the way of reading.
        filing: what happens to the files; needs `root`.
        root: the result folder. With it every run leaves a journal there, also with the action none.
        bases: the targets as the user named them, for `Filing.preserve_tree`.
        dry_run: say where files would go, write nothing.
        resume: go on with the newest run in `root` when it did the same and was killed; its results come first.

    Raises:
        Stopped: SIGINT or SIGTERM came; what was decided is done and in the journal.
        InputError, UsageError: a result folder that cannot be used, or characters that would share a folder.
            Also the disk is full or not writable: what was done is in the journal.
    """
    filing = filing or Filing()
    folders = result_folders(sorted({r.character for r in enrolled.references}), filing)
    if root is None:
        yield from _run(targets, enrolled, embed, rules, Filer(Path(), Filing("none"), folders), 0)
        return
    stamp = _stamp(enrolled, rules, identity, filing, targets if filing.action != "move" else ())
    absolute = [Path(os.path.abspath(base)) for base in bases]
    if dry_run:
        filer = Filer(root, filing, folders, absolute, all_contents(root))
        yield from _run(_left(targets, filer.ours), enrolled, embed, rules, filer, 0)
        return
    with ExitStack() as stack:
        stack.enter_context(disk_errors_told(root, "the same command with --resume"))
        made = prepare_root(root)
        stack.enter_context(holding(root))
        before = unfinished(root, stamp) if resume else None
        finished: set[str] = set()
        if before is not None:
            half_done = settle(root, before)
            if half_done is not None:
                before.failed[half_done] = "half done when the run was stopped, and taken back"
            for result in _earlier_results(before):
                finished.add(os.path.abspath(result.decision.path))
                yield result
            journal = Journal.go_on(before)
            if half_done is not None:
                journal.fail(half_done, before.failed[half_done])
        else:
            journal = Journal.begin(root, stamp, made_root=made)
        complete = False
        try:
            filer = Filer(root, filing, folders, absolute, all_contents(root), journal, going_on=before)
            left = _left(targets, filer.ours | finished)
            yield from _run(left, enrolled, embed, rules, filer, len(finished))
            complete = True
        finally:
            journal.close(finished=complete)


def _run(
    targets: Sequence[Path], enrolled: Enrolled, embed: Embed, rules: Rules, filer: Filer, count: int
) -> Iterator[Result]:
    total = count + len(targets)
    decide_batch = Decider(enrolled, rules)
    option = "--resume" if filer.journal is not None else ""  # without a journal the cache alone remembers
    with stop_signals() as stop:
        for batch in embed(targets):
            for decision in decide_batch(batch):
                # Decided by now, and filed at once: a stop never leaves a picture between two places.
                if stop.is_set():
                    raise Stopped(stop.number, done=count, total=total, noun="pictures", option=option)
                count += 1
                result = Result(decision, Filed("none"), enrolled_as=decide_batch.enrolled_as(decision.digest))
                if filer.does_something:
                    result.filed = filer.file(
                        Path(decision.path), decision.status, decision.character, decision.digest, result.as_record()
                    )
                yield result
        if stop.is_set() and count < total:
            raise Stopped(stop.number, done=count, total=total, noun="pictures", option=option)


def _stamp(enrolled: Enrolled, rules: Rules, identity: str, filing: Filing, targets: Sequence[Path]) -> str:
    """A hash of all that decides what a run does; of the targets only those that do not go away by it."""
    import hashlib

    references = [(r.character, str(r.path), r.digest) for r in enrolled.references]
    value = [identity, references, rules.stamp(), asdict(filing), [os.path.abspath(t) for t in targets]]
    return hashlib.blake2b(json.dumps(value, sort_keys=True, default=str).encode("utf-8"), digest_size=12).hexdigest()


def _left(targets: Sequence[Path], done: Set[str]) -> list[Path]:
    return [target for target in targets if os.path.abspath(target) not in done]


def _earlier_results(contents: Contents) -> Iterator[Result]:
    for number, record in contents.records():
        if number in contents.failed:
            continue
        try:
            action, destination = str(record.pop("action")), record.pop("destination")
            error, enrolled_as = record["error"] or "", record.pop("enrolled_as")
            record["candidates"] = [Candidate(**candidate) for candidate in record["candidates"]]
            decision = Decision(**{**record, "error": error})
        except (KeyError, TypeError) as damage:
            raise InputError(f"{contents.path} is damaged", hint="leave --resume out to begin anew") from damage
        yield Result(decision, Filed(action, destination, error), earlier=True, enrolled_as=enrolled_as)
