"""How well a store answers: panels found by their words, by their picture, and picked out of five from what is around.

Every question is about a panel that the store has, so that the right answer is known on any corpus without labels. The
five ways of picking are in the manner of ComicsPAP (Vivoli and others 2025); candidates are drawn with a seed, those of
one question from one book wherever it is large enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from comictool.core.errors import ComicError, InputError
from comictool.core.seeds import derive_seed
from comictool.measure.chance import random_rank, random_reciprocal
from comictool.measure.gain import gain_of_one
from comictool.measure.metrics import Metric, share, statistic
from comictool.plugins.load import EncoderSpec, load_model
from comictool.vectors.derived import columns_of_rows
from comictool.vectors.store import Store, store_at

CHOICES = 5
CONTEXT = 2  # panels before and after the one that is asked for
LEAST_WORDS = 4
BLOCK = 64  # queries at once
TIE = 1e-6  # float32 products of equal rows differ by less
PANEL_COLUMNS = ("panel/image", "panel/text", "panel/layout")


@dataclass
class _Panels:
    """The panels of a store with their vectors (NaN where absent), and how to embed words and fuse columns."""

    ids: list[str]
    comics: np.ndarray
    pages: np.ndarray
    columns: dict[str, np.ndarray]
    texts: dict[int, str]
    words: Any = None
    fusion: Any = None
    skipped: list[str] = field(default_factory=list)

    def has(self, name: str) -> np.ndarray:
        """(N,) bool: which have a vector of a column."""
        none = np.zeros(len(self.ids), bool)
        found: np.ndarray = ~np.isnan(self.columns[name][:, 0]) if name in self.columns else none
        return found

    def shown(self, rows: np.ndarray, *names: str) -> np.ndarray:
        """(n, W): fused from some columns alone."""
        given = {name: self.columns[name][rows] for name in names if name in self.columns}
        vectors: np.ndarray = self.fusion.fuse(given)
        return vectors


def evaluate_store(
    source: Path, *, most: int = 500, seed: int = 0, trust: bool = False, device: str = "auto"
) -> tuple[list[Metric], dict[str, Any]]:
    """Metrics of a store, with chance and intervals over books.

    Args:
        source: a store or a library.
        most: questions of each kind, drawn with the seed.
        trust, device: of the plugins that the store remembers.

    Returns:
        The metrics, and facts: counts, plugins, and what was not asked and why.

    Raises:
        InputError: no store, or no panel with a vector.
    """
    with Store.open(store_at(source)) as store:
        panels = _read(store, trust, device)
        metrics: list[Metric] = []
        random = np.random.default_rng(derive_seed(seed, "queries"))
        metrics += _panel_to_page(store, panels, most, random)
        metrics += _by_words(panels, most, random)
        metrics += _across(panels, most, random)
        metrics += _picking(panels, most, random)
        facts = {
            "store": str(source),
            "panels": len(panels.ids),
            "comics": len(set(panels.comics.tolist())),
            "columns": {name: opened.column.encoder_id for name, opened in store.columns.items()},
            "not_asked": panels.skipped,
            "seed": seed,
        }
    return metrics, facts


def _read(store: Store, trust: bool, device: str) -> _Panels:
    there = [name for name in PANEL_COLUMNS if name in store.columns]
    if not there or not store.counts["panel"]:
        raise InputError(f"{store.root} has no vectors of panels", hint=f"comictool embed CORPUS -o {store.root}")
    rows = np.arange(store.counts["panel"])
    ids, pages = [], []
    for name, page, _ in store.metadata.all_crops("panel"):
        ids.append(name)
        pages.append(page)
    comics = np.array([name.rsplit("/", 2)[0] for name in ids], dtype=str)
    texts = dict(store.metadata.texts("panel", 0, len(rows)))
    found = _Panels(ids, comics, np.array(pages), columns_of_rows(store, there, rows), texts)

    def remembered(name: str, kind: str) -> Any:
        if name not in store.columns:
            found.skipped.append(f"no column {name}")
            return None
        given = EncoderSpec("", trust=trust, device=device)
        try:
            model = load_model(EncoderSpec.recalled(store.columns[name].column.encoder, given=given), kind)
        except ComicError as error:
            found.skipped.append(f"{name}: {error.fact}")
            return None
        if model.encoder_id != store.columns[name].column.encoder_id:
            found.skipped.append(f"{name} was made by another version of its plugin, {model.encoder_id}")
            return None
        return model

    found.words = remembered("panel/text", "text-encoder")
    found.fusion = remembered("panel/fused", "fusion")
    return found


def _some(rows: np.ndarray, most: int, random: np.random.Generator) -> np.ndarray:
    return np.sort(random.permutation(rows)[:most])


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _ranked(
    name: str,
    queries: np.ndarray,
    gallery: np.ndarray,
    own: np.ndarray,
    groups: np.ndarray,
    comics: np.ndarray | None = None,
) -> list[Metric]:
    """recall@1, recall@10, MRR and nDCG@10 of queries whose row `own` of the gallery is right.

    Args:
        groups: (Q,) the book of each query.
        comics: (G,) of the gallery: then only candidates of other books, and the right one, count.
    """
    before, tied, sizes = (np.zeros(len(queries)) for _ in range(3))
    gallery, queries = _unit(gallery), _unit(queries)
    for start in range(0, len(queries), BLOCK):
        part = slice(start, min(start + BLOCK, len(queries)))
        scores = queries[part] @ gallery.T
        right = scores[np.arange(len(scores)), own[part]][:, None]
        counts = np.ones(scores.shape, bool) if comics is None else comics[None] != groups[part][:, None]
        counts[np.arange(len(scores)), own[part]] = True
        before[part] = ((scores > right + TIE) & counts).sum(axis=1)
        tied[part] = ((np.abs(scores - right) <= TIE) & counts).sum(axis=1)
        sizes[part] = counts.sum(axis=1)
    ones = np.ones(len(queries), np.int64)
    before, tied = before.astype(np.int64), tied.astype(np.int64)
    found = []
    for k in (1, 10):
        chance = float(np.minimum(1.0, k / sizes).mean())
        found.append(share(f"{name}, recall@{k}", random_rank(tied, ones, k - before), chance, groups=groups))
    reciprocal, gain = random_reciprocal(tied, ones, before), gain_of_one(before, tied)
    whole, first = sizes.astype(np.int64), np.zeros(len(queries), np.int64)
    by_chance = float(np.mean(random_reciprocal(whole, ones, first))), float(np.mean(gain_of_one(first, whole)))
    for what, values, level in zip(("MRR", "nDCG@10"), (reciprocal, gain), by_chance, strict=True):
        found.append(_mean(f"{name}, {what}", values, level, groups))
    return found


def _mean(name: str, values: np.ndarray, chance: float, groups: np.ndarray) -> Metric:
    return statistic(name, len(values), lambda rows: float(values[rows].mean()), chance, groups=groups)


def _panel_to_page(store: Store, panels: _Panels, most: int, random: np.random.Generator) -> list[Metric]:
    """image -> image: the page that a panel is on, by the nearest of its views."""
    page, panel = store.columns.get("page/image"), store.columns.get("panel/image")
    if page is None or panel is None or page.column.encoder_id != panel.column.encoder_id:
        panels.skipped.append("panel to page: no columns page/image and panel/image of one encoder")
        return []
    there = np.flatnonzero(page.present)
    place = np.full(len(page.present), -1)
    place[there] = np.arange(len(there))
    rows = np.flatnonzero(panels.has("panel/image") & (place[panels.pages] >= 0))
    rows = _some(rows, most, random)
    if len(there) < 2 or not len(rows):
        return []
    views = len(page.column.views)
    vectors = _unit(page.vectors(there).astype(np.float32)).reshape(len(there), views, -1)
    queries = _unit(panels.columns["panel/image"][rows])
    # The nearest view decides; as one vector a page in the space of the questions: scores are their own vectors.
    scores = np.stack([(vectors @ query).max(axis=1) for query in queries])
    return _from_scores("panel -> its page by picture", scores, place[panels.pages[rows]], panels.comics[rows])


def _from_scores(name: str, scores: np.ndarray, own: np.ndarray, groups: np.ndarray) -> list[Metric]:
    right = scores[np.arange(len(scores)), own][:, None]
    before = (scores > right + TIE).sum(axis=1)
    tied = (np.abs(scores - right) <= TIE).sum(axis=1)
    ones, size = np.ones(len(scores), np.int64), scores.shape[1]
    return [
        share(f"{name}, recall@{k}", random_rank(tied, ones, k - before), min(1.0, k / size), groups=groups)
        for k in (1, 10)
    ]


def _half_of(text: str, random: np.random.Generator) -> str:
    """What somebody remembers of it: half of the words, one after the other."""
    words = text.split()
    count = max(2, len(words) // 2)
    start = int(random.integers(len(words) - count + 1))
    return " ".join(words[start : start + count])


def _by_words(panels: _Panels, most: int, random: np.random.Generator) -> list[Metric]:
    """text -> panel: half of a panel's words, among the words of all panels and among all fused vectors."""
    if panels.words is None:
        return []
    long = [row for row, text in panels.texts.items() if len(text.split()) >= LEAST_WORDS]
    having = panels.has("panel/text")
    rows = _some(np.array([row for row in long if having[row]], np.int64), most, random)
    if len(rows) < 2:
        panels.skipped.append(f"words: fewer than two panels have {LEAST_WORDS} words")
        return []
    asked = panels.words.embed_texts([_half_of(panels.texts[int(row)], random) for row in rows])
    there = np.flatnonzero(panels.has("panel/text"))
    own = np.searchsorted(there, rows)
    groups = panels.comics[rows]
    found = _ranked("half its words -> panel, words", asked, panels.columns["panel/text"][there], own, groups)
    if panels.fusion is not None:
        every = np.flatnonzero(np.logical_or.reduce([panels.has(name) for name in panels.columns]))
        fused = panels.shown(every, *panels.columns)
        own = np.searchsorted(every, rows)
        queries = panels.fusion.fuse({"panel/text": asked})
        found += _ranked("half its words -> panel, fused", queries, fused, own, groups)
    return found


def _across(panels: _Panels, most: int, random: np.random.Generator) -> list[Metric]:
    """text -> picture and picture -> text: what is asked for is hidden from the vector that is asked with."""
    if panels.fusion is None:
        panels.skipped.append("words to picture and back: no fusion")
        return []
    rows = np.flatnonzero(panels.has("panel/image") & panels.has("panel/text"))
    if len(rows) < 2:
        panels.skipped.append("words to picture and back: fewer than two panels have both")
        return []
    words, rest = panels.shown(rows, "panel/text"), panels.shown(rows, "panel/image", "panel/layout")
    picture = panels.shown(rows, "panel/image")
    asked = _some(np.arange(len(rows)), most, random)
    groups, comics = panels.comics[rows[asked]], panels.comics[rows]
    found = []
    for name, queries, gallery in (("words -> picture", words, rest), ("picture -> words", picture, words)):
        found += _ranked(name, queries[asked], gallery, asked, groups)
        if len(set(comics.tolist())) > 1:
            found += _ranked(f"{name}, among other books", queries[asked], gallery, asked, groups, comics)
    return found


def _picking(panels: _Panels, most: int, random: np.random.Generator) -> list[Metric]:
    """Five ways of picking the panel that is missing."""
    runs = list(_sequences(panels))
    everything = tuple(panels.columns)
    found: list[Metric] = []
    vectors = _context_vectors(panels)
    found += _pick("sequence filling", panels, runs, everything, vectors, most, random)
    if "panel/image" in panels.columns:
        image = {"panel/image": panels.columns["panel/image"]}
        found += _pick("visual closure", panels, runs, ("panel/image",), image, most, random)
    if "panel/text" in panels.columns:
        text = {"panel/text": panels.columns["panel/text"]}
        found += _pick("text closure", panels, runs, ("panel/text",), text, most, random)
    if panels.fusion is None:
        panels.skipped.append("character coherence and caption relevance: no fusion")
        return found
    both = np.flatnonzero(panels.has("panel/image") & panels.has("panel/text"))
    if len(both) < CHOICES:
        panels.skipped.append("character coherence and caption relevance: too few panels have picture and words")
        return found
    place = np.full(len(panels.ids), -1)
    place[both] = np.arange(len(both))
    words, rest = panels.shown(both, "panel/text"), panels.shown(both, "panel/image", "panel/layout")
    right, groups = list[float](), list[str]()
    for one, two in pairwise(both):
        if panels.pages[one] == panels.pages[two]:
            a, b = place[one], place[two]
            straight = words[a] @ rest[a] + words[b] @ rest[b]
            crossed = words[a] @ rest[b] + words[b] @ rest[a]
            right.append(0.5 if abs(straight - crossed) <= TIE else float(straight > crossed))
            groups.append(panels.comics[one])
    if right:
        chosen = _some(np.arange(len(right)), most, random)
        answers = np.array(right)[chosen]
        found.append(share("character coherence (2)", answers, 0.5, groups=np.array(groups)[chosen]))
    picked, groups = [], []
    for row in _some(both, most, random):
        candidates = _candidates(panels, int(row), both, [int(row)], random)
        if len(candidates) == CHOICES:
            picked.append(_best(rest[place[candidates]] @ words[place[row]]))
            groups.append(panels.comics[row])
    if picked:
        found.append(share("caption relevance (5)", np.array(picked), 1 / CHOICES, groups=np.array(groups)))
    return found


def _context_vectors(panels: _Panels) -> dict[str, np.ndarray]:
    """What stands for a whole panel: its fused vector, else its columns side by side."""
    if panels.fusion is None:
        return dict(panels.columns)
    rows = np.flatnonzero(np.logical_or.reduce([panels.has(name) for name in panels.columns]))
    fused = np.full((len(panels.ids), panels.fusion.manifest.output["vector"].dimension), np.nan, np.float32)
    fused[rows] = panels.shown(rows, *panels.columns)
    return {"fused": fused}


def _sequences(panels: _Panels) -> Iterator[np.ndarray]:
    """Neighbouring panels of one book: `CONTEXT`, the one that is asked for, `CONTEXT`."""
    for middle in range(CONTEXT, len(panels.ids) - CONTEXT):
        rows = np.arange(middle - CONTEXT, middle + CONTEXT + 1)
        if (panels.comics[rows] == panels.comics[middle]).all():
            yield rows


def _candidates(
    panels: _Panels, row: int, allowed: np.ndarray, without: Sequence[int], random: np.random.Generator
) -> np.ndarray:
    """The right panel first, then others of its book; of any book where that is too small."""
    others = allowed[~np.isin(allowed, without)]
    own = others[panels.comics[others] == panels.comics[row]]
    pool = own if len(own) >= CHOICES - 1 else others
    return np.array([row, *random.permutation(pool)[: CHOICES - 1]], np.int64)


def _best(scores: np.ndarray) -> float:
    """How likely the first of some is picked: 1, 0, or a share where it ties."""
    top = scores >= scores.max() - TIE
    return float(top[0]) / float(top.sum())


def _pick(
    name: str,
    panels: _Panels,
    runs: Sequence[np.ndarray],
    asked: Sequence[str],
    vectors: dict[str, np.ndarray],
    most: int,
    random: np.random.Generator,
) -> list[Metric]:
    """Which of five stands in the middle: the one most like the mean of the panels around, column by column."""
    allowed = np.flatnonzero(np.logical_or.reduce([panels.has(column) for column in asked]))
    middles = [number for number, rows in enumerate(runs) if rows[CONTEXT] in allowed]
    picked, groups = [], []
    for number in _some(np.array(middles, np.int64), most, random):
        rows = runs[number]
        candidates = _candidates(panels, int(rows[CONTEXT]), allowed, rows.tolist(), random)
        around = np.delete(rows, CONTEXT)
        scores, votes = np.zeros(CHOICES), 0
        for matrix in vectors.values():
            seen = matrix[around][~np.isnan(matrix[around][:, 0])]
            if len(seen) and len(candidates) == CHOICES:
                scores += np.nan_to_num(_unit(matrix[candidates]) @ _unit(_unit(seen).mean(axis=0)))
                votes += 1
        if votes:
            picked.append(_best(scores))
            groups.append(panels.comics[rows[CONTEXT]])
    if not picked:
        panels.skipped.append(f"{name}: no five panels in a row, or too few candidates")
        return []
    return [share(f"{name} ({CHOICES})", np.array(picked), 1 / CHOICES, groups=np.array(groups))]
