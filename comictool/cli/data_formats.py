"""`comictool data convert|info|verify`: other formats, and what a corpus holds."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from comictool.cli.data_steps import AnyCorpus
from comictool.cli.options import Force, command
from comictool.cli.output import Format, Output
from comictool.cli.reporting import tell
from comictool.core.errors import ExitCode
from comictool.core.jobs import JobOptions

FromFormat = Annotated[
    str | None, typer.Option("--from", metavar="FORMAT", help="Of the source, if it is not found out.")
]
PicturesFrom = Annotated[
    Path | None, typer.Option("--pictures-from", help="Where the pictures are, when not with the annotations.")
]


@command
def convert(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="A corpus, or a folder or file in any format.")],
    destination: Annotated[Path, typer.Argument(metavar="DST", help="Folder to write.")],
    to: Annotated[
        str,
        typer.Option(
            "--to", metavar="FORMAT",
            help="corpus, mast-csv, dataspec, dataspec-minimal, comix-coco, ai4va-coco, comic-sequence, kumiko, "
            "manga109-xml or comicinfo.",
        ),
    ],
    from_format: FromFormat = None,
    pictures_from: PicturesFrom = None,
    pictures: Annotated[
        str, typer.Option("--pictures", metavar="copy|link|none", help="What happens to the page pictures.")
    ] = "copy",
    force: Force = False,
    *,
    job: JobOptions,
    out: Output,
) -> int:  # fmt: skip
    """Write comics in another annotation format.

    Says what the format has no room for. Every format is read as well as written.

    Example: comictool data convert corpus coco --to comix-coco
    """
    from comictool.corpus.converting import convert

    done = convert(
        source, destination, to, source_format=from_format, source_pictures=pictures_from, pictures=pictures,
        force=force, options=job, progress=out.progress(),
    )  # fmt: skip
    for loss in done.losses:
        out.note(f"not kept: {loss}")
    facts = {"destination": str(destination), "format": done.format, **done.counts, "losses": done.losses}
    return tell(out, done.report, facts, [f"comictool data verify {destination}"])


@command
def info(corpus: AnyCorpus, from_format: FromFormat = None, pictures_from: PicturesFrom = None, *, out: Output) -> int:
    """Count what a corpus holds.

    Comics, pages, panels, characters, texts, page types, reading directions and sizes, also for each comic.

    Example: comictool data info corpus
    """
    from comictool.corpus.formats.registry import open_any
    from comictool.corpus.info import info

    facts = info(open_any(corpus, from_format, pictures_from))
    if out.format is Format.table:
        out.rows(facts["rows"], list(facts["rows"][0]) if facts["rows"] else [])
        for name, value in facts.items():
            if name != "rows" and value not in ({}, []):
                out.note(f"{name}: {value}")
    else:
        out.record(facts)
    return ExitCode.DONE


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

    Missing or unreadable pictures, boxes outside their page, duplicate ids, dangling references, leftovers.

    Exit code 1 when anything is found.

    Example: comictool data verify corpus --decode
    """
    from comictool.corpus.formats.registry import open_any
    from comictool.corpus.verifying import verify

    found = verify(open_any(corpus, from_format, pictures_from), decode=decode, jobs=jobs, progress=out.progress())
    if found or out.format is not Format.table:
        out.rows([asdict(finding) for finding in found], ["item", "kind", "detail"])
    out.note(f"{len(found)} findings" if found else "nothing is wrong")
    return ExitCode.FINDINGS if found else ExitCode.DONE
