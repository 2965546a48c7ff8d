"""Comic files of every kind: what they are by content, which pages they hold in which order, and bounded reads."""

from __future__ import annotations

from comictool.corpus.archives.external import extractors
from comictool.corpus.archives.finding import ComicSource, find_comics
from comictool.corpus.archives.limits import Limits
from comictool.corpus.archives.members import Member
from comictool.corpus.archives.opening import ComicArchive, open_comic

__all__ = ["ComicArchive", "ComicSource", "Limits", "Member", "extractors", "find_comics", "open_comic"]
