"""The metrics of a run: one JSON object a line, and TensorBoard's files when that package is installed."""

from __future__ import annotations

import importlib.util
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

NAME = "metrics.jsonl"


class MetricsLog:
    """Appends rows; a resumed run first cuts off what came after its checkpoint.

    Each row has `event` (step, validation, skipped, resumed), `step`, and numbers.

    Args:
        folder: of the run.
        keep_bytes: how much of an existing file belongs to the checkpoint; None keeps nothing.
        step: of the checkpoint.
        tensorboard: also write TensorBoard's files where the package is installed.
    """

    def __init__(self, folder: Path, *, keep_bytes: int | None = None, step: int = 0, tensorboard: bool = True) -> None:
        path = folder / NAME
        self._stream = open(path, "ab")  # noqa: SIM115 - as long as the run
        self._cut(path, keep_bytes or 0)
        self._board: Any = None
        if tensorboard and importlib.util.find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if step else None)

    def write(self, event: str, step: int, numbers: Mapping[str, Any]) -> None:
        """Append a row; it is with the operating system when this returns."""
        row = {"event": event, "step": step, **{name: _plain(value) for name, value in numbers.items()}}
        line = json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n"
        self._stream.write(line.encode("utf-8", "backslashreplace"))
        self._stream.flush()
        if self._board is not None:
            for name, value in numbers.items():
                if isinstance(value, int | float):
                    self._board.add_scalar(f"{event}/{name}", value, step)

    def sync(self) -> int:
        """Flush to the disk; the size in bytes, which a checkpoint notes."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        return self._stream.tell()

    def close(self) -> None:
        """Flush and close everything."""
        self._stream.close()
        if self._board is not None:
            self._board.close()

    def _cut(self, path: Path, size: int) -> None:
        data = path.read_bytes()[:size]
        whole = data.rfind(b"\n") + 1  # a file that was changed by hand may end anywhere
        self._stream.truncate(whole)
        self._stream.seek(0, os.SEEK_END)


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a metrics file; a line that a kill cut off is left out."""
    # Not splitlines(): a text may hold U+2028, which that takes for the end of a line and JSON does not.
    for line in path.read_text("utf-8", errors="replace").split("\n"):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            yield row


def _plain(value: Any) -> Any:
    """JSON has no infinities: they are written as texts."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
