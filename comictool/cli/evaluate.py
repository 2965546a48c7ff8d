"""`comictool evaluate ...`: metrics with chance and a 95 % interval beside each, as a table and as JSON.

What every command of the group shares is here: `MetricsFile`, the option that keeps the metrics, and `report_metrics`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from comictool.cli.features import After, Before, Heads
from comictool.cli.options import Device, Loading, Seed, command
from comictool.cli.output import Format, Output
from comictool.core.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from comictool.measure.metrics import Metric

COLUMNS = ["metric", "value", "low", "high", "chance", "beats_chance", "count"]

MetricsFile = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE", help="Also keep the metrics as a JSON file.")
]


def report_metrics(
    out: Output,
    metrics: Sequence[Metric],
    facts: Mapping[str, Any],
    file: Path | None = None,
    *,
    floors: Sequence[str] = (),
) -> int:
    """Write an evaluation: a row for each metric, or in JSON one object of the facts and `metrics`.

    Args:
        facts: what was measured: files, counts, settings, seed.
        file: also written as JSON.
        floors: names in the metrics' details `floors`, each a further column; chance is then the best of them.

    Returns:
        The exit code.
    """
    from comictool.measure.metrics import as_document, write_metrics

    if file is not None:
        write_metrics(file, metrics, facts)
    if out.format is Format.json:
        out.record(as_document(metrics, facts))
    else:
        for name, value in facts.items():
            if not isinstance(value, (dict, list)):
                out.note(f"{name.replace('_', ' ')}: {value}")
        rows = [{**metric.as_record(), **metric.details.get("floors", {})} for metric in metrics]
        out.rows(rows, [*COLUMNS, *floors])
        best = f"the best of {', '.join(floors)}" if floors else "the best without looking at the vectors"
        out.note(f"low and high: 95 % interval; chance: {best}")
    if file is not None:
        out.note(f"metrics: {file}")
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
    group_by: Annotated[
        str | None, typer.Option("--group-by", metavar="panel|page|comic", help="Never both fitted and scored.")
    ] = None,
    neighbours: Annotated[
        list[int] | None, typer.Option("-k", "--neighbours", min=1, help="Of k-NN (repeatable) [10, 20, 100, 200].")
    ] = None,
    linear: Annotated[bool, typer.Option("--linear/--no-linear", help="Also a linear probe.")] = True,
    max_queries: Annotated[int, typer.Option("--max-queries", min=1, help="Of k-NN and retrieval.")] = 5000,
    token: Annotated[
        int | None, typer.Option("--token", min=0, help="For packs of several vectors a row: which; 0 is [CLS].")
    ] = None,
    seed: Seed = 0,
    file: MetricsFile = None,
    *,
    out: Output,
) -> int:
    """Measure what a feature pack holds: k-NN, linear probe, retrieval.

    One pack is bank and queries at once, each point answered by points of other pages (of other comics for classes of
    comics). Points are never both fitted and scored, so that noise scores chance.

    Example: comictool evaluate features features/val_features.hdf5 --labels identity
    """
    from comictool.features.probing import probe_pack
    from comictool.measure.probes import NEIGHBOURS

    ks = tuple(dict.fromkeys(neighbours or NEIGHBOURS))
    metrics, facts = probe_pack(
        bank, queries, labels=labels, group_by=group_by, ks=ks, linear=linear, most=max_queries, token=token, seed=seed
    )
    return report_metrics(out, metrics, facts, file)


@command
def elric(
    data: Annotated[Path, typer.Argument(metavar="CORPUS", help="A corpus, a folder of character packs, or one pack.")],
    plugin: Annotated[
        list[str] | None, typer.Option("--plugin", help="Model to measure: runs/x/model, or any encoder (repeatable).")
    ] = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option("--baseline", metavar="PLUGIN", help="Measured too (repeatable) [classic_character]."),
    ] = None,
    no_model: Annotated[bool, typer.Option("--no-model", help="Only baselines.")] = False,
    untrained: Annotated[
        bool, typer.Option("--untrained/--no-untrained", help="Beside each model, the same without training.")
    ] = True,
    split: Annotated[str, typer.Option("--split", metavar="train|val|test|all", help="Who is asked about.")] = "test",
    bank: Annotated[
        str, typer.Option("--bank", metavar="SPLIT", help="Whom answers come from, where identities recur; '' is none.")
    ] = "train",
    neighbours: Annotated[int, typer.Option("-k", "--neighbours", min=1, help="Of k-NN.")] = 5,
    linear: Annotated[bool, typer.Option("--linear/--no-linear", help="Also a linear probe.")] = True,
    min_side: Annotated[int, typer.Option("--min-side", min=1, help="Least pixels on the shorter side.")] = 16,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the first characters.")] = None,
    seed: Seed = 0,
    file: MetricsFile = None,
    *,
    loading: Loading,
    out: Output,
) -> int:
    """Measure character vectors: identity, valence, arousal.

    Each character is asked about among those of its own comic on other pages, never among itself: k-NN, retrieval and
    a linear probe. Where a split by page lets identities recur, also from the bank alone. Valence and arousal are
    asked about within each identity. The untrained model and a plugin without weights stand beside.

    Example: comictool evaluate elric corpus --plugin runs/characters/model --split test
    """
    from comictool.datasets.splitting.folders import SPLITS
    from comictool.elric.evaluate import EvaluationOptions, evaluate_characters, gather, load_models
    from comictool.elric.sources import chosen_split, has_split
    from comictool.vectors.sources import ALL

    if not plugin and not no_model:
        raise UsageError("there is no model to measure", hint="--plugin runs/first/model, or --no-model")
    encoders = load_models(
        [] if no_model else [loading.spec(name) for name in plugin or []],
        [loading.spec(name) for name in (["classic_character"] if baseline is None else baseline)],
        untrained=untrained,
    )
    chosen = chosen_split(data, split)
    queries = gather(data, chosen, min_side, limit)
    if bank not in ("", *SPLITS):
        chosen_split(data, bank)  # says what there is
    wanted = chosen != ALL and bank not in ("", chosen) and has_split(data, bank)
    options = EvaluationOptions(neighbours, linear, True, min_side, seed)
    metrics, facts = evaluate_characters(
        encoders, queries, gather(data, bank, min_side, limit) if wanted else None, options
    )
    return report_metrics(out, metrics, {"corpus": str(data), "split": chosen, **facts, "seed": seed}, file)


@command
def reid(
    source: Annotated[
        Path, typer.Argument(metavar="CORPUS", help="Named characters: a corpus in any format, or the published files.")
    ],
    plugin: Annotated[
        str | None, typer.Option("--plugin", help="The encoder of faces and bodies; that of `reid` by default.")
    ] = None,
    split: Annotated[str, typer.Option("--split", metavar="train|val|test|all", help="Who is asked about.")] = "all",
    triplets: Annotated[
        list[Path] | None, typer.Option("--triplets", metavar="CSV", help="Published ones (repeatable); else drawn.")
    ] = None,
    seed: Seed = 0,
    file: MetricsFile = None,
    *,
    loading: Loading,
    out: Output,
) -> int:
    """Measure faces and bodies by the published protocols of identity.

    In-series: within every set of characters that are known to be different. Inter-series: one query of each among the
    references of all series. Triplets. Every row is of the same instances: face, body, both; then all by what they
    have. Chance is a random ranking; intervals are over series.

    Example: comictool evaluate reid corpus --plugin comic_small --json
    """
    from comictool.assigning.measured import evaluate_identities
    from comictool.identity.sources import open_instances
    from comictool.reid.reader import DEFAULT_PLUGIN
    from comictool.vectors.cache import EmbeddingCache, default_cache
    from comictool.vectors.stream import EmbeddingStream

    spec = loading.spec(plugin or DEFAULT_PLUGIN)
    with EmbeddingCache(default_cache()) as cache:
        stream = EmbeddingStream(spec, cache=cache)
        found = evaluate_identities(open_instances(source, split), stream, triplets=triplets or (), seed=seed)
    for line in found.problems:
        out.warn(line)
    facts = {"corpus": str(source), "split": split, "plugin": spec.name_or_path, **found.facts, "seed": seed}
    report_metrics(out, found.metrics, facts, file)
    return ExitCode.FINDINGS if found.problems else ExitCode.DONE


@command
def asterx(
    source: Annotated[
        Path, typer.Argument(metavar="FEATURES", help="Folder of panel features, as the model was trained on.")
    ],
    model: Annotated[
        Path | None, typer.Option("--model", metavar="RUN|PLUGIN|PT", help="Of `train asterx`, or a published .pt.")
    ] = None,
    no_model: Annotated[bool, typer.Option("--no-model", help="Only baselines.")] = False,
    split: Annotated[
        str, typer.Option("--split", metavar="train|val|test", help="Whose panels are hidden; training chose by val.")
    ] = "test",
    bank: Annotated[
        str, typer.Option("--bank", metavar="SPLIT", help="Which split class probes are fitted on.")
    ] = "train",
    candidates: Annotated[
        list[int] | None, typer.Option("--candidates", min=0, help="How many (repeatable), 0: all [200, 500, 1000, 0].")
    ] = None,
    sampling_key: Annotated[
        str, typer.Option("--sampling-key", metavar="KEY", help="What candidates must not have in common.")
    ] = "panel",
    negate_sampling: Annotated[
        bool, typer.Option("--negate-sampling", help="What candidates must have in common instead.")
    ] = False,
    keys: Annotated[
        Path | None, typer.Option("--keys", help="Corpus or folder with the tables of the sampling key.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", metavar="FILE", help="classification.json: also classes of comics.")
    ] = None,
    heads: Heads = 8,
    before: Before = 2,
    after: After = 2,
    device: Device = "auto",
    seed: Seed = 0,
    file: MetricsFile = None,
    *,
    out: Output,
) -> int:
    """Measure a sequence model: hidden panels, order, classes of comics.

    Held-out panels are hidden as in training and looked for among candidates; beside the model stand the mean of the
    panels around, a copy of the panel before, and chance. Order is asked for in both directions wherever a comic has
    both. Intervals are over comics.

    Example: comictool evaluate asterx features --model runs/asterx --split test --labels corpus/classification.json
    """
    from comictool.asterx.evaluate import SIZES, EvaluateOptions, evaluate
    from comictool.asterx.weights import load_sequence_model
    from comictool.asterx.windows import WindowShape
    from comictool.core.device import choose_device

    if (model is None) != no_model:
        raise UsageError("give either --model or --no-model")
    window = WindowShape(before, after)
    plugin = load_sequence_model(model, heads=heads, window=window) if model else None
    if plugin is not None:
        out.note(plugin.title)  # names what was assumed of a published checkpoint
    chosen = EvaluateOptions(
        split, bank, tuple(candidates or SIZES), sampling_key, negate_sampling, keys, labels, window, seed=seed
    )
    metrics, facts = evaluate(source, plugin, chosen=chosen, device=choose_device(device).name)
    return report_metrics(out, metrics, facts, file)


@command
def query(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="A store, or a library.")],
    most: Annotated[int, typer.Option("--max-queries", min=1, help="Questions of each kind.")] = 500,
    trust_plugin: Annotated[bool, typer.Option("--trust-plugin", help="Let the plugins run their own code.")] = False,
    device: Device = "auto",
    seed: Seed = 0,
    file: MetricsFile = None,
    *,
    out: Output,
) -> int:
    """Measure how well a store answers: words, pictures, what is around.

    Every question is about a panel of the store, so no labels are needed: its page by its picture, half of its words,
    words to picture and picture to words through the fusion of the store (among other books too), and five ways of
    picking a missing panel out of five, as in ComicsPAP. Intervals are over books. What a store cannot be asked is
    said under `not_asked`.

    Example: comictool evaluate query library/store --json
    """
    from comictool.features.store_queries import evaluate_store

    metrics, facts = evaluate_store(store, most=most, seed=seed, trust=trust_plugin, device=device)
    for line in facts["not_asked"]:
        out.note(f"not asked: {line}")
    return report_metrics(out, metrics, facts, file)
