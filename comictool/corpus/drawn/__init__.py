"""Procedural comics: seeded, fully labelled pages for demo, tests and training."""

from comictool.corpus.drawn.cbz import pack_cbz
from comictool.corpus.drawn.corpus import draw_corpus
from comictool.corpus.drawn.page import DrawnPage, draw_page
from comictool.corpus.drawn.plan import comic_plan

__all__ = ["DrawnPage", "comic_plan", "draw_corpus", "draw_page", "pack_cbz"]
