"""Options of the `reid` commands: which encoder reads pictures how, and where its vectors are cached."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from comictool.cli.complete import plugin_names
from comictool.cli.options import BUNDLES, Loading
from comictool.core.errors import UsageError, near_matches

if TYPE_CHECKING:
    from comictool.plugins.load import EncoderSpec
    from comictool.reid.cache import EmbeddingCache
    from comictool.reid.gallery import Gallery

DEFAULT_PLUGIN = "classic_character"  # needs no weights
LEGACY_PLUGIN = "res18_single"
LEGACY_MODULE = "main"  # what --plugin-name was when it was not given

GalleryFolder = Annotated[Path, typer.Option("-g", "--gallery", help="A gallery folder.")]
OptionalGallery = Annotated[Path | None, typer.Option("-g", "--gallery", help="A gallery of `comictool reid enroll`.")]


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

    def spec(self, loading: Loading, gallery: Gallery | None = None) -> EncoderSpec:
        """The encoder that the user named, else that of the gallery, else the default.

        What is read as before is computed as before, in fp32, unless the user names another arithmetic.
        """
        from comictool.plugins.discovery import is_plugin

        if loading.precision == "auto" and self.reading(gallery)["legacy"]:
            loading = replace(loading, precision="fp32")

        if self.plugin is not None and self.plugin != LEGACY_MODULE:
            return loading.spec(self.plugin)
        # As in the program before: a --plugin-dir that is itself a plugin is the one to use.
        own = [folder for folder in loading.plugin_dirs if is_plugin(folder)]
        if own:
            return loading.spec(str(own[0].absolute()))
        if gallery is not None and gallery.identity:
            return gallery.spec(loading.spec(""))
        return loading.spec(LEGACY_PLUGIN if self.legacy else DEFAULT_PLUGIN)

    def reading(self, gallery: Gallery | None = None) -> dict[str, bool]:
        """`flip` and `legacy`; a gallery with references decides them.

        Raises:
            UsageError: the user asks for what the references of the gallery were not read with.
        """
        if gallery is not None and gallery.identity:
            for option, asked, has in (("--flip", self.flip, gallery.flip), ("--legacy", self.legacy, gallery.legacy)):
                if asked and not has:
                    raise UsageError(
                        f"{gallery.folder} was enrolled without {option}",
                        hint=f"enroll the references with {option} into another gallery",
                    )
            return {"flip": gallery.flip, "legacy": gallery.legacy}
        return {"flip": self.flip, "legacy": self.legacy}

    def work(self) -> dict[str, Any]:
        """`batch_size` and `jobs`."""
        return {"batch_size": self.batch_size, "jobs": self.jobs}

    @contextmanager
    def opened_cache(self) -> Iterator[EmbeddingCache | None]:
        """The cache of vectors, unless the user wants none."""
        from comictool.reid.cache import EmbeddingCache, default_cache

        if self.no_cache:
            yield None
            return
        with EmbeddingCache(self.cache / "reid.sqlite" if self.cache else default_cache()) as cache:
            yield cache


def vectors(
    plugin: Annotated[
        str | None,
        typer.Option(
            "--plugin", "--plugin-name", envvar="COMICTOOL_PLUGIN", autocompletion=plugin_names, show_default=False,
            help=f"A plugin's name or folder, or timm:NAME; else the gallery's, else {DEFAULT_PLUGIN}.",
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
) -> Vectors:  # fmt: skip
    """Options of every command that embeds pictures."""
    if cache is not None and no_cache:
        raise UsageError("--cache and --no-cache contradict each other")
    return Vectors(plugin, flip, legacy, cache, no_cache, batch_size, jobs or None)


BUNDLES[Vectors] = vectors


def parse_threshold(text: str | None, *, legacy: bool, refine: str = "none", far: float | None = None) -> float | str:
    """`auto`, `none`, or a number.

    Not given, it is `auto`, or `none` with --legacy, which knew no threshold, and with --refine, for which none can be
    fitted.

    Raises:
        UsageError: something else, or `auto` or `far` with a refinement.
    """
    from comictool.reid.refining import REFINEMENTS

    if refine not in REFINEMENTS:
        raise UsageError(f"--refine {refine!r}: it is {', '.join(REFINEMENTS)}", near=near_matches(refine, REFINEMENTS))
    if refine != "none" and (far is not None or (text or "").lower() == "auto"):
        raise UsageError(
            f"with --refine {refine} no threshold can be fitted",
            cause="what is taken from enrolled characters makes strangers look enrolled",
            hint="--threshold X, or leave --refine out",
        )
    if text is None:
        return "none" if legacy or refine != "none" else "auto"
    if text.lower() in ("auto", "none"):
        return text.lower()
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not -2 <= value <= 1:
        raise UsageError(f"--threshold {text!r}: it is auto, none, or a score from -2 to 1")
    return value


def parse_mode_option(text: str) -> str:
    """A scoring mode as the library spells it; `Any`, `Avg` and `Max` are the older spellings.

    Raises:
        UsageError: none of them.
    """
    if text.lower() == "auto":
        return "auto"
    from comictool.reid.scoring import parse_mode

    mode = parse_mode(text)
    return f"{mode.name}:{mode.count}" if mode.name == "knn" else mode.name
