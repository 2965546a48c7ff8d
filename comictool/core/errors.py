"""The errors that a user can cause or fix, and the exit code of each.

Library code raises these and never prints or exits; `comictool.cli.errors` turns them into sentences.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every command (see CONTRIBUTING.md)."""

    DONE = 0
    FINDINGS = 1  # done, but some items failed or something was found
    USAGE = 2
    INPUT = 3
    ENVIRONMENT = 4
    BUG = 5
    INTERRUPTED = 130
    TERMINATED = 143


class ComicError(Exception):
    """A failure with a plain explanation.

    Args:
        fact: one sentence with the offending value.
        cause: why, when the fact does not say it.
        hint: the next command or action, ready to type.
        near: names close to one that was not found.
    """

    exit_code = ExitCode.INPUT

    def __init__(self, fact: str, *, cause: str = "", hint: str = "", near: Iterable[str] = ()) -> None:
        super().__init__(fact)
        self.fact = fact
        self.cause = cause
        self.hint = hint
        self.near = list(near)


class UsageError(ComicError):
    """The command line or a configuration asks for something that cannot be."""

    exit_code = ExitCode.USAGE


class InputError(ComicError):
    """A file, folder or name is missing, unreadable or damaged."""

    exit_code = ExitCode.INPUT


class SetupError(ComicError):
    """A device, optional package or external program is missing."""

    exit_code = ExitCode.ENVIRONMENT


class Stopped(ComicError):
    """A signal asked to stop; everything finished so far is on disk, and the same command resumes."""

    def __init__(self, signal_number: int, *, done: int, total: int | None, noun: str = "items") -> None:
        name = {2: "interrupted", 15: "terminated"}.get(signal_number, f"stopped by signal {signal_number}")
        of = f" of {total}" if total is not None else ""
        super().__init__(f"{name}: {done}{of} {noun} are finished and saved")
        self.exit_code = ExitCode.TERMINATED if signal_number == 15 else ExitCode.INTERRUPTED


def near_matches(wrong: str, known: Iterable[str], limit: int = 3, cutoff: float = 0.5) -> list[str]:
    """The known names most like a wrong one, best first."""
    return difflib.get_close_matches(wrong, list(known), n=limit, cutoff=cutoff)
