"""comictool: a toolkit for people who study, keep or draw comics.

    import comictool as ct

    library = ct.open("library")            # a corpus, library, store, or annotations in a foreign format
    for page in library.pages():
        picture = library.picture(page)     # (height, width, 3) uint8

The functions are those that the commands call; docs/python.md shows them. A name is imported when it is first used, so
that `import comictool` itself costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from comictool import metrics as metrics
    from comictool.api import Opened as Opened
    from comictool.api import draw as draw
    from comictool.api import embed as embed
    from comictool.api import find_panels as find_panels
    from comictool.api import import_comics as import_comics
    from comictool.api import open as open
    from comictool.api import query as query
    from comictool.api import undo as undo
    from comictool.assigning.job import AssignOptions as AssignOptions
    from comictool.assigning.job import assign_identities as assign_identities
    from comictool.core.errors import ComicError as ComicError
    from comictool.core.jobs import JobOptions as JobOptions
    from comictool.core.progress import Heartbeat as Heartbeat
    from comictool.corpus.corpus import Corpus as Corpus
    from comictool.corpus.importing.options import ImportOptions as ImportOptions
    from comictool.corpus.records import Character as Character
    from comictool.corpus.records import PageRecord as PageRecord
    from comictool.corpus.records import Panel as Panel
    from comictool.corpus.records import Text as Text
    from comictool.plugins.discovery import list_plugins as list_plugins
    from comictool.plugins.load import EncoderSpec as EncoderSpec
    from comictool.plugins.load import load_plugin as load_plugin
    from comictool.reid.configuration import read_config as read_config
    from comictool.reid.enrolled import calibrate_gallery as calibrate_gallery
    from comictool.reid.gallery import Gallery as Gallery
    from comictool.reid.grouping import group_pictures as group_pictures
    from comictool.reid.measured import evaluate_labelled as evaluate_labelled
    from comictool.reid.reader import PictureReader as PictureReader
    from comictool.reid.reader import compare_pictures as compare_pictures
    from comictool.reid.sorting.actions import SortOptions as SortOptions
    from comictool.reid.sorting.group_filing import name_group as name_group
    from comictool.reid.sorting.learning import learn as learn
    from comictool.reid.sorting.sort import SortResult as SortResult
    from comictool.reid.sorting.sort import sort_pictures as sort_pictures
    from comictool.training.api import train as train

__version__ = "0.1.0"

# Where each name is; the imports above say the same to type checkers and editors (tests/test_api.py compares).
_PLACES = {
    "api": "Opened draw embed find_panels import_comics open query undo",
    "assigning.job": "AssignOptions assign_identities",
    "core.errors": "ComicError",
    "core.jobs": "JobOptions",
    "core.progress": "Heartbeat",
    "corpus.corpus": "Corpus",
    "corpus.importing.options": "ImportOptions",
    "corpus.records": "Character PageRecord Panel Text",
    "plugins.discovery": "list_plugins",
    "plugins.load": "EncoderSpec load_plugin",
    "reid.configuration": "read_config",
    "reid.enrolled": "calibrate_gallery",
    "reid.gallery": "Gallery",
    "reid.grouping": "group_pictures",
    "reid.measured": "evaluate_labelled",
    "reid.reader": "PictureReader compare_pictures",
    "reid.sorting.actions": "SortOptions",
    "reid.sorting.group_filing": "name_group",
    "reid.sorting.learning": "learn",
    "reid.sorting.sort": "SortResult sort_pictures",
    "training.api": "train",
}
_MODULE_OF = {name: module for module, names in _PLACES.items() for name in names.split()}

__all__ = [
    "AssignOptions",
    "Character",
    "ComicError",
    "Corpus",
    "EncoderSpec",
    "Gallery",
    "Heartbeat",
    "ImportOptions",
    "JobOptions",
    "Opened",
    "PageRecord",
    "Panel",
    "PictureReader",
    "SortOptions",
    "SortResult",
    "Text",
    "__version__",
    "assign_identities",
    "calibrate_gallery",
    "compare_pictures",
    "draw",
    "embed",
    "evaluate_labelled",
    "find_panels",
    "group_pictures",
    "import_comics",
    "learn",
    "list_plugins",
    "load_plugin",
    "metrics",
    "name_group",
    "open",
    "query",
    "read_config",
    "sort_pictures",
    "train",
    "undo",
]


def __getattr__(name: str) -> Any:
    """Import a name where it is first used."""
    if name == "metrics":
        return import_module("comictool.metrics")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'comictool' has no attribute {name!r}")
    value = getattr(import_module(f"comictool.{_MODULE_OF[name]}"), name)
    globals()[name] = value  # the next time it is found at once
    return value


def __dir__() -> list[str]:
    return __all__
