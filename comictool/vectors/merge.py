"""Joining the partial stores of a sharded job into one, the same as one run would have made."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from comictool.core.errors import InputError, UsageError
from comictool.core.ledger import Ledger
from comictool.core.names import natural_key
from comictool.vectors.columns import ABSENT, Column, refuse_others
from comictool.vectors.job import refuse_other_corpus
from comictool.vectors.metadata import PageRow
from comictool.vectors.parts import work_folder
from comictool.vectors.publish import Blocks, joined, publish
from comictool.vectors.store import Head, Store, read_head, refuse_strangers


@dataclass(frozen=True)
class Merged:
    """What a merge published: rows by level, and the shards `(i, n)` of the corpus that were not among the parts."""

    counts: dict[str, int]
    missing: list[tuple[int, int]]


def merge_stores(parts: Sequence[Path], root: Path) -> Merged:
    """Join stores of the same encoders and corpus; what `root` held before is replaced.

    Raises:
        UsageError: no parts, or `root` among them.
        InputError: parts that do not go together, different versions of one page, or a damaged store.
    """
    if not parts:
        raise UsageError("nothing to merge", hint="comictool merge PART... -o STORE")
    if root.resolve() in {part.resolve() for part in parts}:
        raise UsageError(f"{root} is one of the parts; the result needs a folder of its own")
    with ExitStack() as stack:
        stores = [stack.enter_context(Store.open(part)) for part in parts]
        columns = _common(stores)
        corpus = stores[0].corpus
        if (root / "zarr.json").exists():
            refuse_other_corpus(root, read_head(root), corpus)
        else:
            refuse_strangers(root)
        with Ledger(work_folder(root), "store").writing():
            pages = list(_joined(stores))
            publish(
                root,
                Head(columns=columns).of_corpus(corpus, root),
                entries=(stores[number].metadata.entry(page) for number, page in pages),
                blocks={column.name: partial(_blocks, stores, pages, column) for column in columns},
                facts={comic: facts for store in stores for comic, facts in store.metadata.facts().items()},
            )
        with Store.open(root) as merged:
            return Merged(merged.counts, missing_shards([store.head.shard for store in stores]))


def missing_shards(present: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """What is missing to a whole: nothing when any one division `n` is complete, else the rest of the fullest."""
    indices: dict[int, set[int]] = {}
    for index, count in present:
        indices.setdefault(count, set()).add(index)
    rest = {count: [(i, count) for i in range(1, count + 1) if i not in have] for count, have in indices.items()}
    return min(rest.values(), key=lambda missing: len(missing) / missing[0][1] if missing else 0.0)


def _common(stores: Sequence[Store]) -> tuple[Column, ...]:
    """The columns of all parts; a part may lack some."""
    first = stores[0]
    columns: dict[str, tuple[Column, Store]] = {}
    for store in stores:
        if store.corpus.resolve() != first.corpus.resolve():
            raise InputError(
                f"{store.root} and {first.root} belong to different corpora", cause=f"{store.corpus} and {first.corpus}"
            )
        for column in store.head.columns:
            known, owner = columns.setdefault(column.name, (column, store))
            refuse_others(known, column, str(owner.root), f"{store.root} and {owner.root} do not go together")
    return tuple(replace(column, folder="", fingerprint="") for column, _ in columns.values())


def _joined(stores: Sequence[Store]) -> Iterator[tuple[int, PageRow]]:
    """The pages of all parts in natural order, each once, with the number of its store."""

    def pages(number: int) -> Iterator[tuple[tuple, int, PageRow]]:
        for page in stores[number].metadata.all_pages():
            yield (natural_key(page.comic), page.page, number), number, page

    last: tuple[int, PageRow] | None = None
    for _, number, page in heapq.merge(*(pages(n) for n in range(len(stores))), key=lambda found: found[0]):
        if last is not None and last[1].id == page.id:
            if last[1].fingerprint != page.fingerprint:
                raise InputError(
                    f"{page.id} is in {stores[last[0]].root} and {stores[number].root} in different versions",
                    hint="embed those shards again",
                )
            continue
        last = number, page
        yield number, page


def _blocks(stores: Sequence[Store], pages: Sequence[tuple[int, PageRow]], column: Column) -> Blocks:
    def rows(number: int, page: PageRow) -> tuple[np.ndarray, np.ndarray]:
        start, stop = page.range(column.level)
        if (found := stores[number].columns.get(column.name)) is None:
            empty = np.zeros(((stop - start) * len(column.views), column.dimension), np.float32)
            return empty, np.full(stop - start, ABSENT, np.uint8)
        return found.vectors(np.arange(start, stop)), found.states[start:stop]

    return joined(rows(number, page) for number, page in pages)
