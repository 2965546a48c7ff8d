"""Comic files and folders into page pictures and page records (`data import`)."""

from comictool.corpus.importing.destination import corpus_for
from comictool.corpus.importing.job import import_comics

__all__ = ["corpus_for", "import_comics"]
