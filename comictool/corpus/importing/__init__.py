"""Comic files and folders into page pictures and page records (`data import`)."""

from comictool.corpus.importing.job import import_comics

__all__ = ["import_comics"]
