"""comictool: a toolkit for people who study, keep or draw comics."""

__version__ = "0.1.0"
