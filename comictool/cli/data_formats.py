"""`comictool data convert|info|verify`: other formats, and what a corpus holds."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from comictool.cli.data_steps import AnyCorpus
from comictool.cli.options import Force, FromFormat, PicturesFrom, command
from comictool.cli.output import Format, Output
from comictool.cli.reporting import report_job
from comictool.core.errors import ExitCode
from comictool.core.jobs import JobOptions


@command
def convert(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="A corpus, or a folder or file in any format.")],
    destination: Annotated[Path, typer.Argument(metavar="DST", help="Folder to write.")],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="FORMAT",
            help="corpus, mast-csv, dataspec, dataspec-minimal, comix-coco, ai4va-coco, comic-sequence, kumiko, "
            "manga109-xml or comicinfo.",
        ),
    ],
    from_format: FromFormat = None,
    pictures_from: PicturesFrom = None,
    texts: Annotated[
        Path | None,
        typer.Option(
            "--texts", help="JSON that a vision-language model told of the pages: a file, or a folder of them."
        ),
    ] = None,
    pictures: Annotated[
        str, typer.Option("--pictures", metavar="copy|link|none", help="What happens to the page pictures.")
    ] = "copy",
    force: Force = False,
    *,
    job: JobOptions,
    out: Output,
) -> int:
    """Write comics in another annotation format.

    Says what the format has no room for. Every format is read as well as written. With --texts the words that a model
    told, panel by panel, are put on the panels that a detector found; `data filter --aligned` lists where that is sure.

    Example: comictool data convert corpus coco --to comix-coco

    Example: comictool data convert detections.json spec --to dataspec --texts vlm_json
    """
    from comictool.formats.converting import convert

    done = convert(
        source,
        destination,
        to,
        source_format=from_format,
        source_pictures=pictures_from,
        texts=texts,
        pictures=pictures,
        force=force,
        options=job,
        progress=out.progress(),
    )
    code = report_job(
        out,
        done.report,
        {
            "destination": str(destination),
            "format": done.format,
            **done.counts,
            "read": dict(done.read),
            "losses": [asdict(loss) for loss in done.losses],
            "notes": done.notes,
        },
        [f"comictool data verify {destination}"],
    )
    for note in done.notes:
        out.note(note)
    for loss in done.losses:
        out.note(f"not kept: {loss}")
    return code


@command
def info(corpus: AnyCorpus, from_format: FromFormat = None, pictures_from: PicturesFrom = None, *, out: Output) -> int:
    """Count what a corpus holds.

    Comics, pages, panels, characters, texts, page types, reading directions and sizes, also for each comic; words and
    letters a page, and how many pages have none. Exit code 1 when something of the annotations could not be made
    sense of.

    Example: comictool data info corpus
    """
    from comictool.datasets.info import info
    from comictool.formats.registry import open_any

    facts = info(open_any(corpus, from_format, pictures_from))
    rows, problems = facts["rows"], facts["problems"]
    if out.format is Format.json:
        out.record(facts)
    else:
        columns = list(rows[0]) if rows else []
        if out.format is Format.table:  # what says nothing of any comic only makes the table wide
            empty = ("", 0)
            columns = [c for c in columns if any(row[c] not in empty and row[c] != row["comic"] for row in rows)]
            columns = ["comic", *columns]
        out.rows(rows, columns)
        for name, value in facts.items():
            if name not in ("rows", "problems") and value not in ({}, []):
                out.note(f"{name}: {value}")
    for problem in problems:
        out.note(f"{problem['item']}: {problem['reason']}")
    return ExitCode.FINDINGS if problems else ExitCode.DONE


@command
def verify(
    corpus: AnyCorpus,
    from_format: FromFormat = None,
    pictures_from: PicturesFrom = None,
    decode: Annotated[bool, typer.Option("--decode", help="Decode every picture whole, not only its header.")] = False,
    jobs: Annotated[int, typer.Option("-j", "--jobs", min=0, help="Threads; 0 is one for each core.")] = 0,
    *,
    out: Output,
) -> int:
    """Find what is wrong in a corpus.

    Missing or unreadable pictures, boxes outside their page, duplicate ids, dangling references, leftovers; packs of
    an older split, and stores in the corpus or beside it whose vectors are stale or damaged.

    Exit code 1 when anything is found.

    Example: comictool data verify corpus --decode
    """
    from comictool.datasets.verifying.checking_corpus import verify
    from comictool.formats.registry import open_any
    from comictool.vectors.verifying import verify_stores

    found = verify(open_any(corpus, from_format, pictures_from), decode=decode, jobs=jobs, progress=out.progress())
    found += verify_stores(corpus)
    if found or out.format is not Format.table:
        out.rows([asdict(finding) for finding in found], ["item", "kind", "detail"])
    out.note(f"{len(found)} findings" if found else "nothing is wrong")
    return ExitCode.FINDINGS if found else ExitCode.DONE
