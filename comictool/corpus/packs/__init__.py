"""Packing folders of crops into one file a split, and reading such files."""

from comictool.corpus.packs.packing import LAYOUTS, pack_corpus, pack_folder
from comictool.corpus.packs.reading import Pack

__all__ = ["LAYOUTS", "Pack", "pack_corpus", "pack_folder"]
