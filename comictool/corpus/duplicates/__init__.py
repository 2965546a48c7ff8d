"""Pages that occur twice, and comics that lie inside other comics. Nothing here deletes anything."""

from comictool.corpus.duplicates.finding import LinkSource, find_page_duplicates
from comictool.corpus.duplicates.prints import Prints
from comictool.corpus.duplicates.results import DuplicateReport, Link, read_comic_groups, write_report

__all__ = [
    "DuplicateReport",
    "Link",
    "LinkSource",
    "Prints",
    "find_page_duplicates",
    "read_comic_groups",
    "write_report",
]
