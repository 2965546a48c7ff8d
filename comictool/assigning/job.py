"""`reid assign`: identities over comics, written into their records or beside them.

A comic is one item, since its clusters need all of its pages: `corpus.annotating` finds page by page. What holds there
holds here: workers embed, one commit a comic, shards, a ledger, a note of the run in each record, problems by item.
What somebody has named stays, binds the clusters, and names them; what an earlier run named is named anew.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comictool.assigning.evidence import Calibration
from comictool.assigning.instances import Instance, instances_of, pictures_of, vectors_of
from comictool.assigning.naming import NOBODY
from comictool.assigning.scopes import SCOPES, Gallery, Identified, identify
from comictool.assigning.solving import METHODS
from comictool.core.errors import ComicError, UsageError, near_matches
from comictool.core.files import write_json
from comictool.core.jobs import Done, Item, JobOptions, JobReport, Problem, run_job
from comictool.core.progress import Progress
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import PageRecord
from comictool.corpus.views import CorpusView
from comictool.formats.saving import outgoing_names
from comictool.vectors.sources import fingerprint
from comictool.vectors.stream import EmbeddedPicture, EmbedPictures

if TYPE_CHECKING:
    from comictool.plugins.load import EncoderSpec

JOB = "assign"
OURS = "assigned"  # of a character: the name that this stage gave; another identity beside it is somebody's own
IDENTITIES = "identities"


@dataclass(frozen=True)
class AssignOptions:
    """How identities are found.

    Attributes:
        method: `constrained`, or `average`, the published baseline, which knows no panels and no names.
        scope: what identities hold in: `comic`, `page`, or `sequence`, four panels.
        stream: page after page, as one reads; see `streaming`. Needs a calibration.
        calibration: what distances mean; None: the cut is chosen without labels.
        distance: of the baseline; None: that of the calibration, or the published .82.
        nobody: price of an instance that is no character of the gallery.
        blind: look at no names that somebody gave, and write into no records: to see how well it does.

    Raises:
        UsageError: an unknown method or scope, or options that do not go together.
    """

    method: str = "constrained"
    scope: str = "comic"
    stream: bool = False
    calibration: Calibration | None = None
    distance: float | None = None
    nobody: float = NOBODY
    blind: bool = False

    def __post_init__(self) -> None:
        for what, value, known in (("method", self.method, METHODS), ("scope", self.scope, SCOPES)):
            if value not in known:
                raise UsageError(f"{what} {value!r}: it is {', '.join(known)}", near=near_matches(value, known))
        if self.stream and (self.calibration is None or self.method != "constrained" or self.scope != "comic"):
            raise UsageError(
                "a stream needs a calibration, and has no other method or scope",
                hint="comictool reid fit CORPUS -o calibration.json",
            )

    def settings(self) -> dict[str, Any]:
        """What decides the result."""
        return {**asdict(self), "calibration": asdict(self.calibration) if self.calibration else None}


def assign_identities(
    view: CorpusView,
    spec: EncoderSpec,
    chosen: AssignOptions | None = None,
    *,
    output: Path | None = None,
    gallery: Gallery | None = None,
    overlays: bool = False,
    batch_size: int | None = None,
    options: JobOptions | None = None,
    progress: Progress | None = None,
) -> JobReport:
    """Say who is who in every comic.

    Args:
        view: a corpus; the records of a native one take the identities over.
        spec: the encoder of faces and bodies.
        output: a folder for `identities/<comic>.json`, the comic-sequence files of the whole, and overlays; needed for
            other layouts than the native one, which are never written into.
        gallery: whose characters give their names.
        overlays: also draw every page with its identities, into `output/pages`.

    Returns:
        totals: instances, identities, named, pending. Its problems name conflicts, and what could not be read.

    Raises:
        UsageError: nowhere to write to.
        InputError: a calibration or a gallery of another encoder.
        Stopped: after a signal; the same call continues.
    """
    chosen, options = chosen or AssignOptions(), options or JobOptions()
    native = view if isinstance(view, Corpus) and not chosen.blind else None
    if output is None and (native is None or overlays):
        raise UsageError("identities need a folder to be written to", hint="-o FOLDER")
    work = EmbedPictures(spec, batch_size=batch_size)
    encoder_id = _encoder_id(spec)
    if chosen.calibration is not None:
        chosen.calibration.check(encoder_id)
    if gallery is not None:
        gallery.check(encoder_id)
    unreadable = list[Problem]()
    files = outgoing_names(view.comics())
    items = [item for comic in files if (item := _item(view, comic, chosen.blind, unreadable)) is not None]
    commit = _Commit(view, native, output, files, chosen, gallery, overlays, encoder_id)
    report = run_job(
        JOB,
        items,
        work,
        commit,
        ledger_folder=native.jobs_folder() if native is not None and output is None else _jobs(output),
        settings={
            "encoder": encoder_id,
            **chosen.settings(),
            "gallery": gallery.digest if gallery else "",
            "overlays": overlays,
        },
        options=options,
        workers=work.workers,
        progress=progress,
        present=commit.present,
    )
    report.problems += unreadable
    report.failed += len(unreadable)
    if output is not None and not options.dry_run:
        report.problems += _sequences(view, output, {item.key: files[item.key] for item in items})
    return report


def _jobs(output: Path | None) -> Path:
    assert output is not None
    return output / ".jobs"


def _encoder_id(spec: EncoderSpec) -> str:
    from comictool.vectors.stream import encoder_key

    return encoder_key(spec)


def own_names(records: Sequence[PageRecord], instances: Sequence[Instance], *, blind: bool) -> list[str | None]:
    """What somebody else than this stage has named, by instance; of nobody when blind."""
    if blind:
        return [None] * len(instances)
    ours = {(record.page, person.id): person.extra.get(OURS) for record in records for person in record.characters}
    return [None if i.identity == ours.get((i.page, i.character)) else i.identity for i in instances]


def _item(view: CorpusView, comic: str, blind: bool, unreadable: list[Problem]) -> Item | None:
    """A comic; None when its records cannot be read or nobody is in it."""
    try:
        read = view.read(comic)
    except (ComicError, OSError) as error:
        unreadable.append(Problem(comic, error.fact if isinstance(error, ComicError) else str(error)))
        return None
    records = sorted(read.pages, key=lambda record: record.page)
    instances = instances_of(records)
    if not instances:
        return None
    pictures = pictures_of(view, records, instances)
    names = own_names(records, instances, blind=blind)
    told = [[*_place(instance), name] for instance, name in zip(instances, names, strict=True)]
    digest = blake2b(json.dumps([told, [fingerprint(p) for p in pictures]]).encode(), digest_size=16)
    return Item(comic, digest.hexdigest(), pictures)


def _place(instance: Instance) -> tuple[Any, ...]:
    return (instance.page, instance.panel, instance.character, instance.face, instance.body)


@dataclass
class _Commit:
    """Clusters a comic whose pictures are embedded, and writes what came out."""

    view: CorpusView
    native: Corpus | None
    output: Path | None
    files: Mapping[str, str]
    chosen: AssignOptions
    gallery: Gallery | None
    overlays: bool
    encoder_id: str

    def __call__(self, item: Item, embedded: Sequence[EmbeddedPicture]) -> Done:
        records = sorted(self.view.read(item.key).pages, key=lambda record: record.page)
        instances = instances_of(records)
        problems = [
            Problem(picture.name, line)
            for picture, each in zip(item.payload, embedded, strict=True)
            for line in each.problems
        ]
        vectors = vectors_of(instances, embedded)
        given = own_names(records, instances, blind=self.chosen.blind)
        found = identify(instances, vectors, given, self.chosen, self.gallery)
        named = {(i.page, i.character): name for i, name in zip(instances, found.names, strict=True)}
        if self.output is not None:
            write_json(self._file(item.key), _rows(instances, found))
        if self.native is not None:
            self._take_over(item.key, records, named, item.fingerprint)
        if self.overlays and self.output is not None:
            from comictool.assigning.overlay import draw_pages

            folder = self.output / "pages" / self.files[item.key]
            problems += draw_pages(self.view, records, instances, found.names, folder)
        counts = Counter(instances=len(instances), identities=len(set(found.names) - {None}), pending=found.pending)
        counts["named"] = sum(name is not None and not name.startswith(found.prefix) for name in found.names)
        return Done(dict(counts), [*problems, *found.conflicts])

    def present(self, item: Item, summary: dict[str, Any]) -> bool:
        """Whether records and files still say it."""
        if self.output is not None and not self._file(item.key).is_file():
            return False
        if self.native is None:
            return True
        notes = [run for record in self.native.pages(item.key) for run in record.runs if run.get("stage") == JOB]
        return bool(notes) and all(run.get("of") == item.fingerprint for run in notes)

    def _file(self, comic: str) -> Path:
        assert self.output is not None
        return self.output / IDENTITIES / f"{self.files[comic]}.json"

    def _take_over(
        self, comic: str, records: list[PageRecord], named: Mapping[tuple[int, int], str | None], fingerprint: str
    ) -> None:
        assert self.native is not None
        for record in records:
            for person in record.characters:
                name, before = named.get((record.page, person.id)), person.extra.get(OURS)
                if person.identity in (None, before):  # nobody else has named it
                    person.identity = name
                    person.extra.pop(OURS, None)
                    if name is not None:
                        person.extra[OURS] = name
            record.record_run(JOB, model=self.encoder_id, method=self.chosen.method, of=fingerprint)
        self.native.write_pages(comic, records)


def _rows(instances: Sequence[Instance], found: Identified) -> dict[str, Any]:
    return {
        "instances": [
            {
                "page": i.page,
                "panel": i.panel,
                "character": i.character,
                "identity": name,
                **{kind: list(box) for kind in ("face", "body") if (box := getattr(i, kind)) is not None},
            }
            for i, name in zip(instances, found.names, strict=True)
        ],
        "conflicts": [{"item": problem.key, "reason": problem.message} for problem in found.conflicts],
    }


def _sequences(view: CorpusView, output: Path, names: Mapping[str, str]) -> list[Problem]:
    """The comic-sequence files of everything that is assigned by now."""
    from comictool.assigning.identified import IdentifiedView
    from comictool.formats.registry import format_named
    from comictool.formats.saving import save_annotations

    files = {comic: output / IDENTITIES / f"{name}.json" for comic, name in names.items()}
    there = {comic: names[comic] for comic, file in files.items() if file.is_file()}
    if not there:
        return []
    identified = IdentifiedView(view, files)
    saved = save_annotations(identified, there, output, format_named("comic-sequence"), placed=False)
    return saved.problems
