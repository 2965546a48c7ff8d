"""`comictool evaluate ...`: figures with chance and a 95 % interval beside each, as a table and as JSON.

What every command of the group shares is here: `FiguresFile`, the option that keeps the figures, and `tell_figures`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from comictool.cli.options import Seed, command
from comictool.cli.output import Format, Output
from comictool.core.errors import ExitCode

if TYPE_CHECKING:
    from comictool.measure.figures import Figure

COLUMNS = ["figure", "value", "low", "high", "chance", "beats_chance", "count"]

FiguresFile = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE", help="Also keep the figures as a JSON file.")
]


def tell_figures(out: Output, figures: Sequence[Figure], facts: Mapping[str, Any], file: Path | None = None) -> int:
    """Write an evaluation: a row for each figure, or in JSON one object of the facts and `figures`.

    Args:
        facts: what was measured: files, counts, settings, seed.
        file: also written as JSON.

    Returns:
        The exit code.
    """
    from comictool.measure.figures import as_document, write_figures

    if file is not None:
        write_figures(file, figures, facts)
    if out.format is Format.json:
        out.record(as_document(figures, facts))
    else:
        for name, value in facts.items():
            if not isinstance(value, (dict, list)):
                out.note(f"{name.replace('_', ' ')}: {value}")
        out.rows([figure.as_record() for figure in figures], COLUMNS)
        out.note("low and high: 95 % interval; chance: the best without looking at the vectors")
    if file is not None:
        out.note(f"figures: {file}")
    return ExitCode.DONE


@command
def features(
    bank: Annotated[Path, typer.Argument(metavar="BANK", help="Feature pack that probes are fitted on.")],
    queries: Annotated[
        Path | None, typer.Argument(metavar="[QUERIES]", help="Feature pack that is scored; without: the bank itself.")
    ] = None,
    labels: Annotated[
        str, typer.Option("--labels", metavar="identity|comic|FILE", help="FILE: a classification.json.")
    ] = "identity",
    apart: Annotated[
        str | None, typer.Option("--apart", metavar="panel|page|comic", help="Never both fitted and scored.")
    ] = None,
    neighbours: Annotated[
        list[int] | None, typer.Option("-k", "--neighbours", min=1, help="Of k-NN (repeatable) [10, 20, 100, 200].")
    ] = None,
    linear: Annotated[bool, typer.Option("--linear/--no-linear", help="Also a linear probe.")] = True,
    most: Annotated[int, typer.Option("--most", min=1, help="Queries of k-NN and retrieval at most.")] = 5000,
    token: Annotated[
        int | None, typer.Option("--token", min=0, help="For packs of several vectors a row: which; 0 is [CLS].")
    ] = None,
    seed: Seed = 0,
    file: FiguresFile = None,
    *,
    out: Output,
) -> int:  # fmt: skip
    """Measure what a feature pack holds: k-NN, linear probe, retrieval.

    One pack is bank and queries at once, each point answered by points of other pages (of other comics for classes of
    comics). Points are never both fitted and scored, so that noise scores chance.

    Example: comictool evaluate features features/val_features.hdf5 --labels identity
    """
    from comictool.features.probing import probe_pack
    from comictool.measure.probes import NEIGHBOURS

    ks = tuple(dict.fromkeys(neighbours or NEIGHBOURS))
    figures, facts = probe_pack(
        bank, queries, labels=labels, apart=apart, ks=ks, linear=linear, most=most, token=token, seed=seed
    )
    return tell_figures(out, figures, facts, file)
