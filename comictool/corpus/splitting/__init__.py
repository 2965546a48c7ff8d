"""Train, val and test: who goes where, and the folders that follow (`data split`)."""

from comictool.corpus.splitting.folders import LEVELS, LINKS, SPLITS, read_manifest, refresh_split
from comictool.corpus.splitting.split import SplitOptions, SplitReport, Unit, assign, decide, split_dataset

__all__ = [
    "LEVELS",
    "LINKS",
    "SPLITS",
    "SplitOptions",
    "SplitReport",
    "Unit",
    "assign",
    "decide",
    "read_manifest",
    "refresh_split",
    "split_dataset",
]
