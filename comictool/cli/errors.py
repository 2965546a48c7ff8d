"""The one place where an exception becomes what the user reads, and an exit code."""

from __future__ import annotations

import errno
import shlex
import sys
from collections.abc import Sequence

from comictool.core.errors import ComicError, ExitCode, Stopped

_SYSTEM = {
    errno.ENOSPC: ("no space left on the device", "free some space, then run the same command again: it continues"),
    errno.EDQUOT: ("the disk quota is used up", "free some space, then run the same command again: it continues"),
    errno.EROFS: ("the file system is read-only", "choose another place with -o"),
    errno.EACCES: ("permission denied", "change its permissions, or write elsewhere with -o"),
    errno.EPERM: ("operation not permitted", "change its permissions, or write elsewhere with -o"),
    errno.EMFILE: ("too many open files", "raise the limit with `ulimit -n 4096`"),
}


def explain(error: BaseException, *, debug: bool, arguments: Sequence[str] = ()) -> int:
    """Report an error on standard error (fact, cause, near matches, next command) and give the exit code."""
    if debug:
        import traceback

        traceback.print_exception(error)
    lines, code = _sentences(error, arguments)
    for line in lines:
        print(line, file=sys.stderr)  # noqa: T201 - there may be no output object yet
    if code == ExitCode.BUG and not debug:
        print("Run it again with --debug for the traceback, and please report it.", file=sys.stderr)  # noqa: T201
    return int(code)


def _sentences(error: BaseException, arguments: Sequence[str]) -> tuple[list[str], int]:
    if isinstance(error, Stopped):
        again = shlex.join(["comictool", *arguments])
        return [error.fact, f"  to resume: {again}"], error.exit_code
    if isinstance(error, ComicError):
        lines = [f"error: {error.fact}"]
        if error.cause:
            lines.append(f"  because: {error.cause}")
        if error.near:
            lines.append(f"  did you mean: {', '.join(error.near)}")
        if error.hint:
            lines.append(f"  try: {error.hint}")
        return lines, error.exit_code
    if isinstance(error, KeyboardInterrupt) or type(error).__name__ == "Abort":
        return ["interrupted"], ExitCode.INTERRUPTED
    if type(error).__module__.startswith("typer."):
        return _usage(error), ExitCode.USAGE
    if isinstance(error, BrokenPipeError):
        return [], ExitCode.FINDINGS  # whoever read our output has closed it
    if isinstance(error, OSError):
        fact, hint = _SYSTEM.get(error.errno or 0, (error.strerror or str(error), ""))
        where = f": {error.filename}" if error.filename else ""
        return [f"error: {fact}{where}", *([f"  try: {hint}"] if hint else [])], ExitCode.INPUT
    if isinstance(error, UnicodeEncodeError) and error.encoding == "utf-8":
        return [f"error: a name is not valid UTF-8: {error.object!r:.200}"], ExitCode.INPUT
    if isinstance(error, ValueError) and "null byte" in str(error):
        return ["error: a name holds a zero byte, which no file can have"], ExitCode.INPUT
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return ["error: out of memory", "  try: a smaller --batch-size, or fewer --jobs"], ExitCode.ENVIRONMENT
    if isinstance(error, ModuleNotFoundError) and error.name:
        return [f"error: the package {error.name!r} is not installed", "  try: comictool doctor"], ExitCode.ENVIRONMENT
    return [f"error: unexpected {type(error).__name__}: {error}"], ExitCode.BUG


def _usage(error: BaseException) -> list[str]:
    """A parser error: its sentence, near options, and where the help is."""
    from comictool.core.errors import near_matches

    message = getattr(error, "message", str(error)).rstrip(".")
    context = getattr(error, "ctx", None)
    lines = []
    near: list[str] = []
    wrong = getattr(error, "option_name", None)
    if wrong and context is not None:
        known = [o for p in context.command.get_params(context) for o in p.opts if o.startswith("--")]
        near = near_matches(wrong, known)
        lines.append(f"error: there is no option {wrong}")
    else:
        formatted = error.format_message() if hasattr(error, "format_message") else message
        lines.append(f"error: {formatted[:1].lower()}{formatted[1:].rstrip('.')}")
    if near:
        lines.append(f"  did you mean: {', '.join(near)}")
    if context is not None:
        lines.append(f"  try: {context.command_path} --help")
    return lines
