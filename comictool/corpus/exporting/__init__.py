"""Cutting panels and characters out of pages, and the index that the training recipes read."""

from comictool.corpus.exporting.characters import FACE_SCALE, CharacterOptions, export_characters
from comictool.corpus.exporting.crops import CropOptions
from comictool.corpus.exporting.panels import export_panels
from comictool.corpus.views import CorpusView

__all__ = ["FACE_SCALE", "CharacterOptions", "CorpusView", "CropOptions", "export_characters", "export_panels"]
