"""Shared options, each defined once, and `command`, which gives them to a command by the type of a parameter.

A command that takes `out: Output` gets `--format --json --quiet --verbose --debug`; one that takes
`job: JobOptions` gets `--jobs --shard --resume --limit --dry-run`; one that takes `loading: Loading` gets the
plugin-loading and device options; one that takes `chosen: ImportOptions` gets those of importing. The command's body
sees only the finished object.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from comictool.plugins.load import EncoderSpec

from comictool.cli.complete import plugin_names
from comictool.cli.output import Format, Output
from comictool.core.errors import UsageError
from comictool.core.jobs import JobOptions
from comictool.corpus.importing.options import ImportOptions
from comictool.words.vlm_options import VlmOptions

OutputFolder = Annotated[Path, typer.Option("-o", "--output", help="Folder to write; made if it is not there.")]
Force = Annotated[bool, typer.Option("-f", "--force", help="Replace what is there.")]
DryRun = Annotated[bool, typer.Option("-n", "--dry-run", help="Only say what would be done.")]
PluginName = Annotated[
    str,
    typer.Option(
        "--plugin",
        envvar="COMICTOOL_PLUGIN",
        autocompletion=plugin_names,
        help="A plugin's name or folder, or timm:NAME for any timm model.",
    ),
]
PluginFolders = Annotated[list[Path] | None, typer.Option("--plugin-dir", help="More folders of plugins (repeatable).")]
Weights = Annotated[
    Path | None, typer.Option("--weights", help="Weights file of a timm model, or of a plugin without weights.")
]
Device = Annotated[
    str, typer.Option("--device", envvar="COMICTOOL_DEVICE", metavar="auto|cpu|cuda[:N]|mps", help="Where to compute.")
]
FromFormat = Annotated[
    str | None, typer.Option("--from", metavar="FORMAT", help="Of the source, if it is not found out.")
]
PicturesFrom = Annotated[
    Path | None, typer.Option("--pictures-from", help="Where the pictures are, when not with the annotations.")
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same result.")]


Direction = Annotated[
    str | None, typer.Option("--direction", metavar="ltr|rtl|ttb", help="Reading direction; else what the comic says.")
]


def check_device(device: str) -> str:
    """A device as given, its spelling checked: encoders that need no device would never look at it.

    Raises:
        UsageError: nothing like a device.
    """
    from comictool.core.device import spelling

    spelling(device or "auto")
    return device or "auto"


def output(
    format: Annotated[
        Format, typer.Option("--format", envvar="COMICTOOL_FORMAT", help="How results are written.")
    ] = Format.table,
    json: Annotated[bool, typer.Option("--json", help="Short for --format json.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only results and errors.")] = False,
    verbose: Annotated[int, typer.Option("-v", "--verbose", count=True, help="Say more; twice for all.")] = 0,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> Output:
    """Options of every command. `--debug` is read by `main`, which sees the error."""
    return Output(Format.json if json else format, quiet=quiet, verbose=verbose)


Jobs = Annotated[
    int, typer.Option("-j", "--jobs", min=0, envvar="COMICTOOL_JOBS", help="Workers; 0 is one for each core.")
]
Resume = Annotated[
    str,
    typer.Option(
        "--resume",
        metavar="auto|never|must",
        help="auto: skip what is finished and unchanged; never: do all again; must: refuse to start over.",
    ),
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Only the first items.")]
Shard = Annotated[str, typer.Option("--shard", metavar="I/N", help="Do only the I-th of N parts (array jobs).")]


def job(
    jobs: Jobs = 0, shard: Shard = "1/1", resume: Resume = "auto", limit: Limit = None, dry_run: DryRun = False
) -> JobOptions:
    """Options of every command that maps over items."""
    return JobOptions(jobs=jobs, shard=parse_shard(shard), resume=resume, limit=limit, dry_run=dry_run)


def importing(
    direction: Direction = None,
    password: Annotated[
        str | None, typer.Option("--password", envvar="COMICTOOL_PASSWORD", help="For encrypted archives.")
    ] = None,
    text_books: Annotated[
        bool, typer.Option("--text-books", help="Take the pictures of books of prose, which are refused otherwise.")
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove comics whose files are gone from the folders given (not unmounted).")
    ] = False,
    keep: Annotated[
        str | None,
        typer.Option(
            "--keep", metavar="copy|reference", help="Copy pages, or read them in the comic files. Else as it was made."
        ),
    ] = None,
) -> ImportOptions:
    """Options of every command that imports comics."""
    return ImportOptions(direction, password, text_books, prune, keep)


class WholeJob(JobOptions):
    """Options of a command whose steps share one place, so that it cannot be parted."""


def whole_job(jobs: Jobs = 0, resume: Resume = "auto", limit: Limit = None, dry_run: DryRun = False) -> JobOptions:
    """The options of `WholeJob`."""
    return JobOptions(jobs=jobs, resume=resume, limit=limit, dry_run=dry_run)


@dataclass(frozen=True)
class Loading:
    """Where models are looked for, what they may do, and on which device they compute."""

    plugin_dirs: tuple[Path, ...]
    trust: bool
    weights: Path | None
    download: bool
    device: str
    precision: str
    offline: bool = False

    def spec(self, plugin: str) -> EncoderSpec:
        """What the loader takes for a plugin of this name."""
        from comictool.plugins.load import EncoderSpec

        return EncoderSpec(
            plugin, self.plugin_dirs, self.trust, self.device, self.weights, self.precision, self.download
        )


def loading(
    plugin_dir: PluginFolders = None,
    trust_plugin: Annotated[bool, typer.Option("--trust-plugin", help="Let the plugin's own code run.")] = False,
    weights: Weights = None,
    download: Annotated[
        bool, typer.Option("--download", help="Allow fetching pretrained weights; nothing is fetched without it.")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", envvar="COMICTOOL_OFFLINE", help="Forbid the network, whatever else is said.")
    ] = False,
    device: Device = "auto",
    gpu: Annotated[int | None, typer.Option("--gpu", help="GPU number; negative means CPU.")] = None,
    precision: Annotated[
        str, typer.Option("--precision", metavar="auto|fp32|bf16|fp16", help="Arithmetic of torch models.")
    ] = "auto",
) -> Loading:
    """Options of every command that uses a model."""
    if download and offline:
        raise UsageError("--download and --offline contradict each other")
    if gpu is not None:
        if device != "auto":
            raise UsageError(f"--device {device} and --gpu {gpu} both say where to compute", hint="give one of the two")
        device = "cpu" if gpu < 0 else f"cuda:{gpu}"
    from comictool.core.device import PRECISIONS

    if precision not in PRECISIONS:
        raise UsageError(f"--precision {precision!r}: it is {', '.join(PRECISIONS)}")
    device = check_device(device)
    return Loading(tuple(plugin_dir or ()), trust_plugin, weights, download, device, precision, offline)


def service(
    base_url: Annotated[
        str,
        typer.Option("--base-url", envvar="COMICTOOL_BASE_URL", help="Of an OpenAI-compatible service (--engine vlm)."),
    ] = "",
    model: Annotated[
        str, typer.Option("--model", envvar="COMICTOOL_MODEL", help="Its vision-language model (--engine vlm).")
    ] = "",
    price_in: Annotated[
        float | None, typer.Option("--price-in", min=0, help="Dollars for a million tokens asked (--engine vlm).")
    ] = None,
    price_out: Annotated[
        float | None, typer.Option("--price-out", min=0, help="Dollars for a million tokens answered (--engine vlm).")
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option("--max-cost", min=0, help="Dollars that a run may spend (--engine vlm).")
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", min=1, help="Seconds for one request (--engine vlm).")
    ] = VlmOptions.timeout,
    attempts: Annotated[
        int, typer.Option("--attempts", min=1, max=20, help="Requests for one page (--engine vlm).")
    ] = VlmOptions.attempts,
) -> VlmOptions | None:
    """Options of a command that may ask a vision-language model; None when none is named."""
    if not base_url and not model:
        return None
    return VlmOptions(base_url, model, price_in, price_out, max_cost, timeout, attempts)


BUNDLES: dict[Any, Callable[..., Any]] = {
    Output: output,
    JobOptions: job,
    WholeJob: whole_job,
    Loading: loading,
    ImportOptions: importing,
    VlmOptions: service,
}


def command(function: Callable[..., int | None]) -> Callable[..., int | None]:
    """Give a command the options of each bundle among its parameters' types."""
    own = inspect.signature(function, eval_str=True).parameters
    bundles = {name: BUNDLES[p.annotation] for name, p in own.items() if p.annotation in BUNDLES}
    parameters = [p for name, p in own.items() if name not in bundles]
    takes: dict[str, list[str]] = {}
    for name, bundle in bundles.items():
        added = inspect.signature(bundle, eval_str=True).parameters
        takes[name] = list(added)
        parameters += [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in added.values()]

    @functools.wraps(function)
    def with_bundles(**values: Any) -> int | None:
        finished = {
            name: bundle(**{option: values.pop(option) for option in takes[name]}) for name, bundle in bundles.items()
        }
        return function(**values, **finished)

    del with_bundles.__wrapped__  # Typer would otherwise look through to the bare signature
    with_bundles.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    )
    with_bundles.__annotations__ = {p.name: p.annotation for p in parameters}
    return with_bundles


def parse_shard(text: str) -> tuple[int, int]:
    """`2/8` to `(2, 8)`.

    Raises:
        UsageError: another form, or a number out of range.
    """
    match = re.fullmatch(r"\s*(\d{1,6})\s*/\s*(\d{1,6})\s*", text)
    if not match:
        raise UsageError(f"--shard {text!r}: write it as I/N, for example 2/8")
    index, count = int(match[1]), int(match[2])
    if not 1 <= index <= count:
        raise UsageError(f"--shard {text}: the first number must be from 1 to {count}")
    return index, count
