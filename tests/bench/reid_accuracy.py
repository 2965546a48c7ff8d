"""Re-identification on labelled series: every option, open sets, clusters.

    COMICTOOL_TEST_DATA=FOLDER python -m tests.bench.reid_accuracy [--series FOLDER ...] [--classic]

Closed set: each crop asks the crops of its series that come from other pages. Nothing is fitted on labels; what is
fitted at all (means, covariances) is fitted on the crops that are ranked. Where an option must be chosen, the choice
made on one series is reported on the other. Open set: random halves of the characters are enrolled, thresholds are
fitted on their crops alone, and crops of the other half count as false acceptances. `--series` takes other folders of
`identity/picture` with an `index.json` that names `file`, `identity` and `page`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from comictool.measure.agreement import clustering_agreement
from comictool.measure.retrieval import Retrieval, retrieval
from comictool.plugins.known import parts_of
from comictool.plugins.load import EncoderSpec
from comictool.reid.clustering import METHODS, cluster
from comictool.reid.evaluation import (
    EXPAND,
    NEAR,
    PROTOTYPES,
    choose_mode,
    evaluate,
    open_set,
    page_mask,
    random_halves,
)
from comictool.reid.reranking import centred, k_reciprocal
from comictool.reid.scoring import similarity
from tests.bench.character_search import SERIES, Crops, embed_each, load_crops, load_series
from tests.bench.figures import arguments, figure, ratio
from tests.bench.page_search import colour_histogram, grey_picture
from tests.data import DATA

FARS = (0.01, 0.05, 0.1, 0.2)
HALVES = 100
Ranking = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Series:
    """One series of crops: `plain` vectors of the encoder, and `vectors` less what all have in common."""

    name: str
    crops: Crops
    plain: np.ndarray
    vectors: np.ndarray

    @property
    def mask(self) -> np.ndarray:
        """Pairs of one page."""
        return page_mask(self.crops.pages)


def plain(vectors: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Cosines."""
    return similarity(vectors, vectors)


def reranked(near: int, expand: int) -> Ranking:
    """Shared k-reciprocal neighbours."""
    return lambda vectors, mask: k_reciprocal(vectors, near=near, expand=expand, excluded=mask)


RANKINGS: Mapping[str, Ranking] = {
    "cosine": plain,
    "k-reciprocal 4, 2": reranked(4, 2),
    f"k-reciprocal {NEAR}, {EXPAND} (default)": reranked(NEAR, EXPAND),
    "k-reciprocal 10, 3": reranked(10, 3),
    "k-reciprocal 20, 6 (paper)": reranked(20, 6),
}


def found_by(series: Series, scores: np.ndarray) -> Retrieval:
    """Closed-set figures of a score matrix."""
    return retrieval(scores, series.crops.identities, series.crops.identities, series.mask)


def print_retrieval(series: Series, name: str, found: Retrieval) -> None:
    """One line of the first table."""
    print(
        f"{series.name:15} {name:32} {len(found.answered):4} {found.rank(1):7.3f} {found.macro_rank(1):6.3f} "
        f"{found.macro_rank(5):7.3f} {found.mean_precision:6.3f} {found.mean_at_r:6.3f}"
    )


def print_closed(every: list[Series]) -> None:
    """Rankings beside the floors, then each series with the option the others would have chosen by mAP."""
    print(f"{'series':15} {'ranking':32} {'n':>4} {'rank-1':>7} {'macro':>6} {'macro-5':>7} {'mAP':>6} {'mAP@R':>6}")
    table: dict[str, dict[str, Retrieval]] = {}
    for series in every:
        table[series.name] = {
            name: found_by(series, rank(series.vectors, series.mask)) for name, rank in RANKINGS.items()
        }
        print_retrieval(series, "cosine, common part left", found_by(series, plain(series.plain, series.mask)))
        for name, found in table[series.name].items():
            print_retrieval(series, name, found)
        for name, encoder in (("floor: colours 8x8x8", colour_histogram), ("floor: grey 24x24", grey_picture)):
            rows = embed_each(encoder, series.crops)
            print_retrieval(series, name, found_by(series, rows @ rows.T))
        rng = np.random.default_rng(0)
        chance = [found_by(series, rng.normal(size=series.mask.shape)) for _ in range(20)]
        macro, precision = np.mean([[run.macro_rank(1), run.mean_precision] for run in chance], axis=0)
        print(f"{series.name:15} {'chance':32} {len(chance[0].answered):4} {'':7} {macro:6.3f} {'':7} {precision:6.3f}")
    if len(every) > 1:
        print("\nchosen on the other series by macro rank-1 + mAP, reported here")
        for series in every:
            others = [table[other.name] for other in every if other.name != series.name]
            best = max(RANKINGS, key=lambda n: sum(o[n].macro_rank(1) + o[n].mean_precision for o in others))
            print_retrieval(series, best, table[series.name][best])
            default = table[series.name][f"k-reciprocal {NEAR}, {EXPAND} (default)"]
            figure(
                f"the same of {series.name}, re-ranked as `reid evaluate` does",
                f"{ratio(default.macro_rank(1))} / {ratio(default.mean_precision)}",
                f"cosine {ratio(table[series.name]['cosine'].macro_rank(1))}",
            )


def print_modes(every: list[Series]) -> None:
    """Naming by nearest, prototype or between, and what leaving out chooses on each series by itself."""
    print("\nmacro rank-1 of naming by all references of a character")
    for series in every:
        chosen, figures = choose_mode(
            series.vectors, series.crops.identities, series.crops.pages, (*PROTOTYPES, "avg", "knn:2", "knn:5")
        )
        row = "  ".join(f"{name} {value:.3f}" for name, value in figures.items())
        print(f"{series.name:15} {row}  (chosen: {chosen})")


def print_open_set(every: list[Series]) -> None:
    """False acceptance asked for and measured."""
    print(
        f"\nopen set, {HALVES} random halves enrolled, thresholds from the enrolled alone (centred: fitted on them too)"
    )
    print(
        f"{'series':15} {'scores':24} {'FAR asked':>9} {'measured':>9} {'of asked':>9} {'worst half':>10} "
        f"{'named right':>11}"
    )
    arms = (("max", False), ("max", True), ("centroid", False))
    for series in every:
        names, pages = series.crops.identities, series.crops.pages
        for mode, own in arms:
            for far in FARS:
                row = open_set(series.vectors, names, pages, far=far, mode=mode, halves=HALVES, per_character=own)
                label = mode + (", per character" if own else " (default)" if mode == "max" else "")
                print_rates(series.name, label, far, row.accepted, row.worst_half, row.detected)
        for far in FARS:
            rows = [centred_half(series, enrolled, far) for enrolled in random_halves(names, HALVES, 0)]
            accepted = np.array(rows)
            print_rates(series.name, "max, mean of enrolled", far, accepted.mean(), accepted.max(), float("nan"))
        best = evaluate(series.vectors, names, pages, centre=False, fars=FARS, halves=HALVES).figures
        cells = "  ".join(f"FAR {far:g}: {best[f'dir_at_far_{far:g}'].value:.3f}" for far in FARS)
        print(f"{series.name:15} named right with the threshold that sees the impostors (ceiling): {cells}")


def print_rates(series: str, label: str, far: float, accepted: float, worst: float, named: float) -> None:
    """One line of the open-set table."""
    right = f"{named:11.3f}" if named == named else f"{'':11}"
    print(f"{series:15} {label:24} {far:9.2f} {accepted:9.3f} {accepted / far:9.2f} {worst:10.3f} {right}")


def centred_half(series: Series, enrolled: np.ndarray, far: float) -> float:
    """False acceptance when only the enrolled are in the mean: why targets belong in it."""
    from comictool.reid.calibration import calibrate, decide
    from comictool.reid.scoring import same_group, score_characters

    names, pages = series.crops.identities, series.crops.pages
    vectors = centred(series.plain, series.plain[enrolled])
    own = vectors[enrolled]
    thresholds = calibrate(own, names[enrolled], far=far, excluded=page_mask(pages[enrolled]))
    apart = same_group(list(pages[~enrolled]), list(pages[enrolled]))
    scores = score_characters(vectors[~enrolled], own, names[enrolled], excluded=apart)
    return float(np.mean([verdict.status != "unknown" for verdict in decide(scores, thresholds)]))


def print_clusters(every: list[Series]) -> None:
    """Agreement of clusters made without references or labels."""
    print("\nclusters, cut chosen without labels")
    for series in every:
        cosine = plain(series.plain, series.mask)
        ways = {method: cluster(series.vectors, method=method) for method in METHODS}
        ways["average, plain cosines"] = cluster(series.vectors, similarities=cosine)
        for name, labels in ways.items():
            agreement = clustering_agreement(series.crops.identities.tolist(), labels)
            figures = "  ".join(f"{key.upper()} {value:.3f}" for key, value in agreement.items())
            print(f"{series.name:15} {name:24} {len(set(labels.tolist())):3} clusters  {figures}")


def print_pairs(every: list[Series]) -> None:
    """Verification of single pairs, with intervals."""
    print("\npairs of pictures")
    for series in every:
        found = evaluate(series.vectors, series.crops.identities, series.crops.pages, centre=False, halves=1).figures
        for name in ("eer", "fpr_at_fnr", "macro_rank1", "map"):
            share = found[name]
            print(f"{series.name:15} {name:12} {share.value:.3f} [{share.low:.3f}, {share.high:.3f}]")


def main() -> None:
    """Measure everything and print it."""
    named = [text for text in arguments() if not text.startswith("--")]
    spec = EncoderSpec("classic_character" if "--classic" in arguments() else "comic_small", device="cpu")
    if not named and DATA is None:
        raise SystemExit("COMICTOOL_TEST_DATA does not name the folder of test comics")
    encoder, parts, every = spec.load(), parts_of(spec), []
    for name in named or SERIES:
        crops = load_crops(Path(name)) if named else load_series(name)
        rows = encoder.embed(crops.images)
        every.append(Series(Path(name).name, crops, rows, centred(rows, rows, parts)))
    print_closed(every)
    print_modes(every)
    print_open_set(every)
    print_clusters(every)
    print_pairs(every)


if __name__ == "__main__":
    main()
