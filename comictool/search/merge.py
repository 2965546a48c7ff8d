"""Joining the partial stores of a sharded job into one, the same as one run would have made."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from comictool.core.errors import InputError, UsageError
from comictool.core.ledger import Ledger
from comictool.corpus.names import natural_key
from comictool.search.embed import check_fits
from comictool.search.parts import work_folder
from comictool.search.publish import Located, Published, publish
from comictool.search.sources import StoreSource
from comictool.search.store import Store, StoreHead, StoreSettings, write_head


@dataclass(frozen=True)
class Merged:
    """What a merge published, and the shards `(i, n)` of the corpus that were not among the parts."""

    published: Published
    missing: list[tuple[int, int]]


def merge_stores(parts: Sequence[Path], root: Path) -> Merged:
    """Join stores of the same encoder and corpus; what `root` held before is replaced.

    Raises:
        UsageError: no parts, or `root` among them.
        InputError: parts that do not go together, different vectors of one page, or a damaged store.
    """
    if not parts:
        raise UsageError("nothing to merge", hint="comictool merge PART... -o STORE")
    if root.resolve() in {part.resolve() for part in parts}:
        raise UsageError(f"{root} is one of the parts; the result needs a folder of its own")
    with ExitStack() as stack:
        stores = [stack.enter_context(Store.open(part)) for part in parts]
        settings = _common(stores, root)
        check_fits(root, settings)
        with Ledger(work_folder(root), "store").writing():
            check_fits(root, settings)
            if not (root / "zarr.json").exists():
                write_head(root, StoreHead(settings))
            sources = [StoreSource(store) for store in stores]
            published = publish(root, StoreHead(settings), _joined(stores), lambda name: sources[int(name)])
        return Merged(published, missing_shards([store.settings.shard for store in stores]))


def missing_shards(present: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """What is missing to a whole: nothing when any one division `n` is complete, else the rest of the fullest."""
    indices: dict[int, set[int]] = {}
    for index, count in present:
        indices.setdefault(count, set()).add(index)
    rest = {count: [(i, count) for i in range(1, count + 1) if i not in have] for count, have in indices.items()}
    return min(rest.values(), key=lambda missing: len(missing) / missing[0][1] if missing else 0.0)


def _common(stores: Sequence[Store], root: Path) -> StoreSettings:
    """The settings of all parts, as they read from the new store."""
    first = stores[0]
    for store in stores[1:]:
        for name, value in first.settings.deciding().items():
            if store.settings.deciding()[name] != value:
                raise InputError(
                    f"{store.root} and {first.root} do not go together: their {name} differ",
                    cause=f"{str(store.settings.deciding()[name])[:80]} and {str(value)[:80]}",
                )
        if store.corpus_folder().resolve() != first.corpus_folder().resolve():
            raise InputError(
                f"{store.root} and {first.root} belong to different corpora",
                cause=f"{store.corpus_folder()} and {first.corpus_folder()}",
            )
    corpus = first.corpus_folder().resolve()
    try:
        nearby = os.path.relpath(corpus, root.resolve())
    except ValueError:  # different drives
        nearby = ""
    return replace(first.settings, corpus=str(corpus), corpus_nearby=nearby, shard=(1, 1))


def _joined(stores: Sequence[Store]) -> Iterator[Located]:
    """The pages of all parts in natural order, each once."""

    def pages(number: int) -> Iterator[tuple[tuple, Located]]:
        for entry in stores[number].metadata.entries():
            yield (natural_key(entry.comic), entry.page, number), Located(entry, str(number), entry.row)

    last: Located | None = None
    for _, found in heapq.merge(*(pages(number) for number in range(len(stores))), key=lambda pair: pair[0]):
        if last is not None and last.entry.id == found.entry.id:
            if last.entry.fingerprint != found.entry.fingerprint:
                places = f"{stores[int(last.source)].root} and {stores[int(found.source)].root}"
                raise InputError(
                    f"{found.entry.id} is in {places} in different versions", hint="embed those shards again"
                )
            continue
        last = found
        yield found
