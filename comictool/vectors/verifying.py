"""What of a store is not (any more) what it says: vectors that changed on disk, pages that changed in the corpus."""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

from comictool.core.errors import InputError
from comictool.core.typed import typed
from comictool.datasets.exporting.characters import CharacterOptions
from comictool.datasets.verifying.checking_pages import Finding
from comictool.vectors.columns import WHOLE
from comictool.vectors.pages import open_place
from comictool.vectors.pictures import CHARACTER, PAGE
from comictool.vectors.plan import make_plan
from comictool.vectors.sources import Wanted
from comictool.vectors.store import Store, read_head

BLOCK_ROWS = 4096
IMAGE = "image"


def verify_stores(corpus: Path) -> Iterator[Finding]:
    """Findings about every store in the folder of a corpus, or beside it, that is of this corpus.

    Kinds: `stale` (pages whose vectors are of other pictures, boxes or splits than the corpus has now), `vectors`
    (numbers that are not those that were written), `record` (the store cannot be read).
    """
    for folder in sorted({file.parent for file in (*corpus.glob("*/zarr.json"), *corpus.parent.glob("*/zarr.json"))}):
        item = os.path.relpath(folder, corpus)
        try:
            read_head(folder)
        except InputError:
            continue  # a folder of zarr's of somebody else, perhaps
        try:
            with Store.open(folder) as store:
                if store.corpus.resolve() != corpus.resolve():
                    continue
                for name in damaged_columns(store):
                    message = f"{name}: the vectors are not those that were written; embed with --resume never"
                    yield Finding(item, "vectors", message)
                yield from (Finding(item, "stale", reason) for reason in stale_pages(store))
        except InputError as error:
            yield Finding(item, "record", error.fact)


def damaged_columns(store: Store) -> Iterator[str]:
    """The columns whose numbers do not give the digest that was taken when they were written: chunks have none."""
    for name, opened in store.columns.items():
        digest = blake2b(digest_size=12)
        for _, rows in opened.rows.blocks(0, len(opened.states) * len(opened.column.views), BLOCK_ROWS):
            digest.update(rows.tobytes())
        digest.update(opened.states.tobytes())
        if opened.column.fingerprint and digest.hexdigest() != opened.column.fingerprint:
            yield name


def stale_pages(store: Store) -> Iterator[str]:
    """A sentence for each way in which pages of the corpus are others than when they were embedded."""
    columns = {column.level: column for column in store.head.columns if column.modality == IMAGE}
    if not columns or store.head.shard != (1, 1):
        return
    cutting = CharacterOptions()
    if CHARACTER in columns and "cutting" in columns[CHARACTER].settings:
        cutting = typed(CharacterOptions, columns[CHARACTER].settings["cutting"], f"the store is damaged: {store.root}")
    views = columns[PAGE].views if PAGE in columns else (WHOLE,)
    place = open_place(store.corpus)
    plan = make_plan(place, Wanted(tuple(columns), views, cutting), columns, store)
    known = {page.id: page.split for page in store.metadata.all_pages()}
    present = {page.id for page in plan.pages}
    again = "the command that made the store brings it up to date"
    for reason, pages in (
        ("is not in the corpus any more", [page for page in known if page not in present]),
        ("is another picture or has other boxes now", [p.id for p in plan.pages if p.id in known and p.work]),
        ("has no vectors yet", [p.id for p in plan.pages if p.id not in known]),
        (
            "is in another split now",
            [p.id for p in plan.pages if p.id in known and not p.work and p.split != known[p.id]],
        ),
    ):
        if pages:
            yield f"{pages[0]} {reason}" + (f", and {len(pages) - 1} more" if len(pages) > 1 else "") + f": {again}"
