"""Options of the `reid` commands: which encoder reads pictures how, and where its vectors are cached."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from comictool.cli.complete import plugin_names
from comictool.cli.options import BUNDLES, Loading
from comictool.core.errors import UsageError, near_matches

if TYPE_CHECKING:
    from comictool.cli.output import Output
    from comictool.reid.reader import PictureReader

GalleryFolder = Annotated[Path, typer.Option("-g", "--gallery", help="A gallery folder.")]
OptionalGallery = Annotated[Path | None, typer.Option("-g", "--gallery", help="A gallery of `comictool reid enroll`.")]

UNKNOWN = ("suggestions", "unknown", "leave")
Unknown = Annotated[
    str | None,
    typer.Option("--unknown", metavar="|".join(UNKNOWN), help="Where pictures without a name go [suggestions]."),
]

MODES = "max|avg|centroid|mixed|knn:K|auto"
Mode = Annotated[str, typer.Option("--mode", metavar=MODES, help="How references make one score.")]
ChosenMode = Annotated[
    str | None, typer.Option("--mode", metavar=MODES, help="How references make one score; else chosen by them.")
]

Action = Annotated[
    str | None,
    typer.Option(
        "--action",
        metavar="none|copy|move|symlink|hardlink",
        help="What happens to the files; copy where there is a folder for them, else none.",
    ),
]
OnClash = Annotated[str, typer.Option("--on-clash", metavar="rename|skip|overwrite", help="When a file has the place.")]
Margin = Annotated[
    float | None, typer.Option("--margin", min=0, help="Ambiguous when the winner leads by less; else fitted.")
]
Threshold = Annotated[
    str | None, typer.Option("--threshold", metavar="auto|none|X", help="Least score for a name; else unknown.")
]
Far = Annotated[float | None, typer.Option("--far", help="With auto: share of impostors that may be given a name.")]
TopK = Annotated[int, typer.Option("--top-k", min=1, help="Candidates in each record.")]
Report = Annotated[Path | None, typer.Option("--report", help="Also write an HTML page to look through.")]
Resume = Annotated[
    bool, typer.Option("--resume/--no-resume", help="Resume a run that was stopped, and tell the whole of it.")
]


@dataclass(frozen=True)
class Vectors:
    """How pictures become vectors."""

    plugin: str | None
    flip: bool
    legacy: bool
    cache: Path | None
    no_cache: bool
    batch_size: int | None
    jobs: int | None

    def reader(self, loading: Loading, out: Output) -> PictureReader:
        """The same as the library takes it, with the encoder and progress."""
        from comictool.reid.reader import PictureReader

        return PictureReader(
            loading.spec(self.plugin or ""),
            self.flip,
            self.legacy,
            self.cache,
            cached=not self.no_cache,
            batch_size=self.batch_size,
            jobs=self.jobs,
            progress=out.progress(),
        )


def vectors(
    plugin: Annotated[
        str | None,
        typer.Option(
            "--plugin",
            "--plugin-name",
            envvar="COMICTOOL_PLUGIN",
            autocompletion=plugin_names,
            show_default=False,
            help="A plugin's name or folder, or timm:NAME; else the gallery's, else comic_small.",
        ),
    ] = None,
    flip: Annotated[bool, typer.Option("--flip", help="Average each picture with its mirror image.")] = False,
    legacy: Annotated[
        bool, typer.Option("--legacy", help="Read and score as character-reid did: minus the L2 distance.")
    ] = False,
    cache: Annotated[Path | None, typer.Option("--cache", metavar="FOLDER", help="Where vectors are cached.")] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Neither read nor write cached vectors.")] = False,
    batch_size: Annotated[int | None, typer.Option("--batch-size", min=1, help="Pictures at once.")] = None,
    jobs: Annotated[
        int, typer.Option("-j", "--jobs", min=0, envvar="COMICTOOL_JOBS", help="Workers; 0 is one for each core.")
    ] = 0,
) -> Vectors:
    """Options of every command that embeds pictures."""
    if cache is not None and no_cache:
        raise UsageError("--cache and --no-cache contradict each other")
    return Vectors(plugin, flip, legacy, cache, no_cache, batch_size, jobs or None)


BUNDLES[Vectors] = vectors


def parse_threshold(text: str | None) -> float | str | None:
    """`auto`, `none`, or a number; None when it was not given.

    Raises:
        UsageError: something else.
    """
    if text is None or text.lower() in ("auto", "none"):
        return text.lower() if text is not None else None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not -2 <= value <= 1:
        raise UsageError(f"--threshold {text!r}: it is auto, none, or a score from -2 to 1")
    return value


def undecided_folders(
    unknown: str | None, unknown_dir: str | None = None, ambiguous_dir: str | None = None
) -> tuple[str | None, str | None]:
    """What `SortOptions` takes for unknown and for ambiguous pictures: folders, empty to leave them, None to suggest.

    Raises:
        UsageError: no such choice, or one that contradicts a folder.
    """
    if unknown not in (None, *UNKNOWN):
        raise UsageError(f"--unknown {unknown!r}: it is {', '.join(UNKNOWN)}", near=near_matches(str(unknown), UNKNOWN))
    if unknown not in (None, "unknown") and unknown_dir:
        raise UsageError(f"--unknown {unknown} and --unknown-dir {unknown_dir} contradict each other")
    if unknown_dir is not None or unknown == "unknown":
        return (UNKNOWN[1] if unknown_dir is None else unknown_dir), ambiguous_dir
    if unknown == "leave":
        return "", ambiguous_dir or ""
    return None, ambiguous_dir
