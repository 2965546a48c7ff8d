"""Naming pictures by enrolled references, and sorting them: a stream of records, one a picture, as they are decided."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from comictool.core.errors import InputError, Stopped
from comictool.core.jobs import stop_signals
from comictool.reid.actions import Filed, Filer, Filing, filed_before, prepare_root, result_folders
from comictool.reid.calibration import Thresholds, Verdict, decide
from comictool.reid.embedding import EmbeddedBatch
from comictool.reid.journal import Contents, Journal, all_contents, holding, unfinished
from comictool.reid.scoring import same_group, score_characters
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
    """

    mode: str = "max"
    metric: str = "cosine"
    threshold: Thresholds | float | None = None
    margin: float = 0.0
    top: int = 5
    own_references: bool = False

    def stamp(self) -> dict[str, Any]:
        """Plain values that decide the result."""
        threshold = self.threshold.to_json() if isinstance(self.threshold, Thresholds) else self.threshold
        return {"mode": self.mode, "metric": self.metric, "threshold": threshold, "margin": self.margin,
                "top": self.top, "own": self.own_references}  # fmt: skip


def decide_batch(batch: EmbeddedBatch, enrolled: Enrolled, rules: Rules) -> list[Decision]:
    """Decide on the pictures of one batch, in their order.

    A picture whose content is that of a reference is not compared with that reference (nor with its copies), unless
    the rules say so.
    """
    readable = [at for at, path in enumerate(batch.paths) if path not in batch.errors]
    verdicts: dict[int, Verdict] = {}
    if readable:
        excluded = None
        digests = [batch.digests[at] for at in readable]
        enrolled_digests = [reference.digest for reference in enrolled.references]
        # Mostly none is a reference; comparing every pair of hashes would then cost more than scoring.
        if not rules.own_references and not set(enrolled_digests).isdisjoint(digests):
            excluded = same_group(digests, enrolled_digests)
        labels = [reference.character for reference in enrolled.references]
        scores = score_characters(
            batch.vectors[readable], enrolled.vectors, labels, rules.mode, excluded=excluded, metric=rules.metric
        )
        found = decide(scores, rules.threshold, margin=rules.margin, top=rules.top)
        verdicts = dict(zip(readable, found, strict=True))
    return [
        _decision(path, batch.digests[at], verdicts.get(at), batch.errors.get(path, ""), enrolled.references)
        for at, path in enumerate(batch.paths)
    ]


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
        record = asdict(self.decision)
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
        OSError: the disk is full.
    """
    filing = filing or Filing()
    folders = result_folders(sorted({r.character for r in enrolled.references}), filing)
    if root is None:
        yield from _run(targets, enrolled, embed, rules, Filer(Path(), Filing("none"), folders), 0)
        return
    stamp = _stamp(enrolled, rules, identity, filing, targets if filing.action != "move" else ())
    absolute = [Path(os.path.abspath(base)) for base in bases]
    if dry_run:
        earlier = all_contents(root)
        filer = Filer(root, filing, folders, absolute, earlier)
        yield from _run(_not_ours(targets, earlier, root), enrolled, embed, rules, filer, 0)
        return
    made = prepare_root(root)
    with ExitStack() as stack:
        stack.enter_context(holding(root))
        before = unfinished(root, stamp) if resume else None
        finished: set[str] = set()
        count = 0
        earlier = all_contents(root)
        if before is not None:
            half_done = settle(root, before)
            for result in _earlier_results(before, half_done):
                finished.add(os.path.abspath(result.decision.path))
                count += 1
                yield result
            journal = Journal.go_on(before)
            if half_done is not None:
                journal.fail(half_done, "half done when the run was stopped, and taken back")
                earlier = all_contents(root)
        else:
            journal = Journal.begin(root, stamp, made_root=made)
        complete = False
        try:
            left = [t for t in _not_ours(targets, earlier, root) if os.path.abspath(t) not in finished]
            filer = Filer(root, filing, folders, absolute, earlier, journal)
            yield from _run(left, enrolled, embed, rules, filer, count)
            complete = True
        finally:
            journal.close(finished=complete)


def _run(
    targets: Sequence[Path], enrolled: Enrolled, embed: Embed, rules: Rules, filer: Filer, count: int
) -> Iterator[Result]:
    total = count + len(targets)
    owners = {reference.digest: reference.character for reference in enrolled.references}
    with stop_signals() as stop:
        for batch in embed(targets):
            for decision in decide_batch(batch, enrolled, rules):
                # Decided by now, and filed at once: a stop never leaves a picture between two places.
                if stop.is_set():
                    raise Stopped(stop.number, done=count, total=total)
                count += 1
                result = Result(decision, Filed("none"), enrolled_as=owners.get(decision.digest))
                result.filed = filer.file(
                    Path(decision.path), decision.status, decision.character, decision.digest, result.as_record()
                )
                yield result
        if stop.is_set() and count < total:
            raise Stopped(stop.number, done=count, total=total)


def _stamp(enrolled: Enrolled, rules: Rules, identity: str, filing: Filing, targets: Sequence[Path]) -> str:
    """A hash of all that decides what a run does; of the targets only those that do not go away by it."""
    references = [(r.character, str(r.path), r.digest) for r in enrolled.references]
    value = [identity, references, rules.stamp(), asdict(filing), [os.path.abspath(t) for t in targets]]
    return hashlib.blake2b(json.dumps(value, sort_keys=True, default=str).encode("utf-8"), digest_size=12).hexdigest()


def _not_ours(targets: Sequence[Path], earlier: Sequence[Contents], root: Path) -> list[Path]:
    ours = filed_before(earlier, root)
    return [target for target in targets if os.path.abspath(target) not in ours]


def _earlier_results(contents: Contents, half_done: int | None) -> Iterator[Result]:
    for entry in contents.entries:
        if entry.number in contents.failed or entry.number == half_done:
            continue
        record = dict(entry.record)
        try:
            action, destination = str(record.pop("action")), record.pop("destination")
            error, enrolled_as = record["error"] or "", record.pop("enrolled_as")
            record["candidates"] = [Candidate(**candidate) for candidate in record["candidates"]]
            decision = Decision(**{**record, "error": error})
        except (KeyError, TypeError) as damage:
            raise InputError(f"{contents.path} is damaged", hint="leave --resume out to begin anew") from damage
        yield Result(decision, Filed(action, destination, error), earlier=True, enrolled_as=enrolled_as)
