"""What `import comictool` offers, where the functions of the rooms are put together or take plain strings as paths.

Each is what a command calls. They raise `ComicError` with the command's sentence, print nothing, and show progress only
to a `Progress` that they are given. The names that `comictool` offers are in `comictool/__init__.py`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from comictool.core.errors import InputError
from comictool.core.images import decode_array
from comictool.corpus.records import Box, Character, PageRecord, Panel, Text

if TYPE_CHECKING:
    from comictool.core.jobs import JobOptions, JobReport
    from comictool.core.progress import Progress
    from comictool.corpus.importing.options import ImportOptions
    from comictool.corpus.views import CorpusView
    from comictool.plugins.encoder import Encoder
    from comictool.plugins.load import EncoderSpec
    from comictool.reid.sorting.undoing import Undone
    from comictool.search.query import Hit

AnyPath = str | os.PathLike[str]


@dataclass(frozen=True)
class Opened:
    """What `open` found: comics with their page records, vectors, or both.

    Attributes:
        root: the folder or file.
        kind: `library`, `corpus`, `store`, `feature packs`, or the title of a foreign annotation format.
        view: the comics; None for vectors alone.
        store: where the vectors are that `query` searches; None without.
    """

    root: Path
    kind: str
    view: CorpusView | None
    store: Path | None

    def __repr__(self) -> str:
        comics = f" of {len(self.view.comics())} comics" if self.view is not None else ""
        return f"<{self.kind}{comics} at {self.root}{', with vectors' if self.store and self.view else ''}>"

    @property
    def comics(self) -> list[str]:
        """The names of all comics, in natural order."""
        return self._view().comics()

    def pages(self, comic: str | None = None) -> Iterator[PageRecord]:
        """The page records of one comic, or of all; one comic in memory at a time.

        Raises:
            InputError: no such comic, a damaged record, or a store alone.
        """
        view = self._view()
        for name in view.comics() if comic is None else [comic]:
            yield from view.pages(name)

    def picture(self, page: PageRecord) -> np.ndarray:
        """The picture of a page: (height, width, 3) uint8 RGB, upright.

        Raises:
            InputError: it is gone, damaged or too large.
        """
        return decode_array(self._view().picture(page))

    def crop(self, page: PageRecord, part: Panel | Character | Text | Box) -> np.ndarray:
        """The part of a page's picture in a box: (height, width, 3) uint8 RGB; what lies beyond the page is white."""
        from comictool.vectors.reading import cut

        box = part if isinstance(part, tuple | list) else part.box
        if box is None:
            raise InputError(f"{page.id}: this text has no box")
        return cut(self.picture(page), (box[0], box[1], box[2], box[3]))

    def query(self, **asked: Any) -> list[Hit]:
        """The most similar panels or pages; arguments as for `comictool.query`.

        Raises:
            InputError: there are no vectors.
        """
        if self.store is None:
            raise InputError(f"{self.root} has no vectors", hint=f"comictool embed {self.root} -o {self.root}/store")
        return query(self.store, **asked)

    def _view(self) -> CorpusView:
        if self.view is None:
            raise InputError(f"{self.root} holds vectors alone ({self.kind})", hint="open the corpus they were made of")
        return self.view


def open(path: AnyPath) -> Opened:
    """Open a corpus, a library, a store of vectors, feature packs, or annotations in a foreign format.

    Raises:
        InputError: nothing there, or it looks like none of these.
    """
    from comictool.formats.registry import detect_format, open_any
    from comictool.vectors.store import store_at
    from comictool.vectors.tables import pack_files

    root = Path(path)
    place = store_at(root)
    store = place if (place / "zarr.json").is_file() else None
    if (root / "corpus.toml").is_file():
        return Opened(root, "library" if store else "corpus", open_any(root), store)
    if store is not None:
        return Opened(root, "store", None, store)
    if pack_files(root):
        return Opened(root, "feature packs", None, root)
    view = open_any(root)
    found = detect_format(root)
    return Opened(root, found.title if found is not None else "corpus", view, None)


def find_panels(image: np.ndarray | AnyPath, direction: str = "ltr", order: str = "auto") -> list[Panel]:
    """The panels of one page, found without weights, in reading order.

    Args:
        image: (height, width, 3) uint8 RGB, or a picture file.
        direction: ltr, rtl or ttb.
        order: rows or columns first; auto: rows, except on 4-koma pages.

    Raises:
        InputError: the file cannot be read.
        ValueError: an array of another shape or type, or an unknown direction or order.
    """
    from comictool.panels.detect import detect_panels

    return detect_panels(image if isinstance(image, np.ndarray) else decode_array(Path(image)), direction, order)


def import_comics(
    comics: AnyPath | Sequence[AnyPath],
    corpus: AnyPath,
    chosen: ImportOptions | None = None,
    *,
    panels: bool = True,
    options: JobOptions | None = None,
    progress: Progress | None = None,
) -> list[JobReport]:
    """Import comic files into a corpus (made when there is none), and find their panels.

    Args:
        comics: comic files, image folders, or trees of them.
        corpus: the folder of the corpus.
        chosen: reading direction, password and the rest: `ImportOptions(direction="rtl")`.
        panels: also find panels.

    Returns:
        one report of each step; bad files and pages are `problems` in it.

    Raises:
        InputError: a path does not exist, or there are no comics.
    """
    from comictool.corpus.importing.destination import corpus_for
    from comictool.corpus.importing.job import import_comics as run
    from comictool.corpus.importing.options import ImportOptions
    from comictool.panels.job import detect_corpus

    paths, root = _paths(comics), Path(corpus)
    opened = corpus_for(paths, root)
    chosen = chosen or ImportOptions()
    reports = [run(paths, opened, chosen, options=options, progress=progress)]
    if panels:
        reports.append(detect_corpus(opened, direction=chosen.direction, options=options, progress=progress))
    return reports


def draw(
    corpus: AnyPath,
    pages: int = 20,
    *,
    seed: int = 0,
    style: str | None = None,
    story: bool = False,
    layout: str | None = None,
    options: JobOptions | None = None,
    progress: Progress | None = None,
) -> JobReport:
    """Draw comics with labels into a corpus; see `comictool.drawn.corpus.draw_corpus`."""
    from comictool.drawn.corpus import draw_corpus

    return draw_corpus(
        Path(corpus), pages, seed=seed, style=style, story=story, layout=layout, options=options, progress=progress
    )


def embed(
    corpus: AnyPath,
    store: AnyPath,
    plugin: str | EncoderSpec | None = None,
    *,
    levels: Sequence[str] = ("page", "panel"),
    options: JobOptions | None = None,
    progress: Progress | None = None,
) -> JobReport:
    """Turn pages, panels or characters of a corpus into vectors; what did not change keeps those it has.

    Args:
        corpus: a folder.
        store: the folder of the vectors; made when there is none.
        plugin: a plugin's name or folder, `timm:NAME`, or an `EncoderSpec` with weights, device and trust; None:
            `classic`, or `comic_small` where only characters get vectors.
        levels: page, panel, character.

    Raises:
        InputError: no corpus, or a store of another encoder.
        UsageError: no such plugin or level.
    """
    from comictool.formats.registry import open_native
    from comictool.plugins.load import EncoderSpec
    from comictool.vectors.job import EmbedOptions, default_plugin
    from comictool.vectors.job import embed as run

    plugin = plugin or default_plugin(levels)
    spec = EncoderSpec(plugin) if isinstance(plugin, str) else plugin
    chosen = EmbedOptions(levels=tuple(levels))
    return run(open_native(Path(corpus)), spec, Path(store), chosen, options=options, progress=progress)


def query(
    place: AnyPath,
    *,
    image: AnyPath | None = None,
    id: str | None = None,
    text: str | None = None,
    k: int = 10,
    level: str | None = None,
    columns: Sequence[tuple[str, float]] = (),
    comic: str | None = None,
    group_by: str | None = None,
    encoder: Encoder | None = None,
    semantic: str | None = None,
    weights: Mapping[str, float] | None = None,
    filters: Sequence[str] = (),
    exact: bool = False,
    offset: int = 0,
    exclude_same_comic: bool = False,
    duplicates: AnyPath | None = None,
    ann: bool = False,
) -> list[Hit]:
    """The pages, panels or characters most like a picture or an id, or that say some words; best first.

    Args:
        place: a store, a library with one inside, or feature packs.
        image, id, text, semantic: one or several of them: a picture file, `comic/page[/panel[/identity]]`, words that
            are said, words that are meant (column `text`).
        k: how many answers.
        level: page, panel or character, or comic for the best answer of each under its name.
        columns: modalities with their weights, such as `[("image", 0.7), ("sequence", 0.3)]`; image by default.
        comic: only comics whose name matches this shell pattern.
        group_by: `comic`: only the best answer of each comic; `duplicates`: only the best of pages that show the same.
        encoder: used for `image` instead of loading the store's own.
        weights: of several questions, such as `{"image": 0.7, "text": 0.3}`; 1 by default.
        filters: conditions on answers, such as `["type=story", "panels>=4"]` (`comictool.search.filters`).
        exact: no answers in which words are only alike, or lack; vectors are compared with every row.
        ann: use the index of vectors also where the column is small or the index misses more than usual.
        offset: how many of the best are left out, for the next page of answers.
        exclude_same_comic: leave out the comic of `id`.
        duplicates: the report of `data dedupe` for `group_by`; `duplicates.json` in the corpus by default.

    Raises:
        UsageError: contradicting or missing arguments.
        InputError: no such id (with near ones), an unreadable picture, a damaged store.
    """
    from comictool.search.query import Query
    from comictool.search.query import query as run
    from comictool.vectors.collection import open_collection

    asked = Query(
        image=Path(image) if image is not None else None,
        id=id,
        text=text,
        k=k,
        level=level,
        columns=tuple(columns),
        comic_glob=comic,
        exclude_same_comic=exclude_same_comic,
        group_by=group_by,
        exact=exact,
        offset=offset,
        semantic=semantic,
        weights=tuple((weights or {}).items()),
        filters=(filters,) if isinstance(filters, str) else tuple(filters),
        duplicates=Path(duplicates) if duplicates is not None else None,
        ann=ann,
    )
    with open_collection(Path(place)) as opened:
        return run(opened, asked, encoder=encoder)


def undo(result_dir: AnyPath) -> Undone:
    """Take back the newest run of `sort_pictures` in a result folder; what was changed since is in `kept`.

    Raises:
        InputError: nothing was sorted there, or the journal is damaged.
    """
    from comictool.reid.sorting.undoing import undo as run

    return run(Path(result_dir))


def _paths(paths: AnyPath | Sequence[AnyPath]) -> list[Path]:
    return [Path(paths)] if isinstance(paths, str | os.PathLike) else [Path(path) for path in paths]
