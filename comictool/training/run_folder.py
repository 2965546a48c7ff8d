"""The folder of a run: what it was started with, what it wrote, and whether a run may resume in it.

RUN/
  config.toml      every setting with its origin
  command.txt      the command lines, one for each start
  env.json         machine, versions, data facts, sizes
  metrics.jsonl    one row a step and a validation
  checkpoints/     last.pt (to resume from), best.pt (by the recipe's metric)
  model/           plugin directory of the best; model-last/ of the end, when that is another
  sheets/          curves.png, curves.html
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

import comictool
from comictool.core.errors import InputError, UsageError
from comictool.core.files import write_json, write_text
from comictool.core.ledger import lock_file
from comictool.training.checkpoints import load_checkpoint
from comictool.training.config import flatten_tables

# Settings that may change when a run resumes: they do not touch what is computed.
NEUTRAL = {"training.workers", "training.checkpoint_every", "training.non_finite"}
# Settings that say how long a run goes. Where they give it more steps, it goes on: its schedules are functions of the
# step and the total, and span the new total from there on.
LENGTH = {"training.epochs", "training.max_steps", "training.patience"}


class RunFolder:
    """Paths and rules of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.toml"
        self.command = path / "command.txt"
        self.environment = path / "env.json"
        self.last = path / "checkpoints" / "last.pt"
        self.best = path / "checkpoints" / "best.pt"
        self.model = path / "model"
        self.last_model = path / "model-last"
        self.sheets = path / "sheets"

    def checkpoint(self, resume: str) -> dict[str, Any] | None:
        """The state to resume from; None to start.

        Args:
            resume: auto resumes when there is something, never starts over, must refuses to start.

        Raises:
            UsageError: the folder holds something else than a run.
            InputError: nothing to resume with `must`, or a damaged checkpoint.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"{self.path} is a file, not the folder of a run")
        if self.path.is_dir() and not self.config.exists() and any(p.name[0] != "." for p in self.path.iterdir()):
            raise UsageError(
                f"{self.path} holds other things than a run", hint="choose a new folder with -o; nothing is overwritten"
            )
        if self.last.exists() and resume != "never":
            return load_checkpoint(self.last)
        if resume == "must":
            raise InputError(f"nothing to resume: {self.last} does not exist", hint="leave --resume out to begin")
        return None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run: a second process that trains into it would mix two runs.

        Raises:
            InputError: another process holds it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with open(self.path / ".lock", "ab") as lock:
            if not lock_file(lock):
                raise InputError(
                    f"another comictool is already training in {self.path}",
                    hint="wait for it, or stop it: with more --epochs the same command goes on from there",
                )
            yield

    def check_still_new(self) -> None:
        """After waiting for the lock of a folder that did not exist.

        Raises:
            InputError: meanwhile another process has trained in it.
        """
        if self.config.exists():
            raise InputError(
                f"another comictool has just begun a run in {self.path}", hint="the same command again resumes it"
            )

    def note_command(self, command: str, *, again: bool) -> None:
        """Write the command line down; a continued run adds its own below."""
        before = self.command.read_text("utf-8", errors="replace") if again and self.command.exists() else ""
        write_text(self.command, f"{before}{command}\n")

    def note_environment(self, facts: Mapping[str, Any]) -> None:
        """Write env.json: versions of everything that decides a result, and the facts given."""
        write_json(
            self.environment,
            {
                "comictool": comictool.__version__,
                "python": platform.python_version(),
                "torch": torch.__version__,
                "platform": platform.platform(),
                "processor": platform.processor() or platform.machine(),
                "threads": torch.get_num_threads(),
                **facts,
            },
        )


def check_same_settings(before: Mapping[str, Any], config: Mapping[str, Any], name: str) -> None:
    """Refuse to continue a run as another one.

    Args:
        before: the checkpoint, with `recipe` and `config` as they were.
        config: nested tables of the configuration now.
        name: of the recipe now.

    Raises:
        UsageError: another recipe or other settings; the differing keys are named with both values.
    """
    if before["recipe"] != name:
        raise UsageError(f"the run is of the recipe {before['recipe']}, not {name}", hint="choose another -o")
    old, new = flatten_tables(before["config"]), flatten_tables(config)
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key) and key not in NEUTRAL | LENGTH]
    if keys:
        shown = ", ".join(f"{key} (was {old.get(key)!r}, now {new.get(key)!r})" for key in keys[:8])
        more = f" and {len(keys) - 8} more" if len(keys) > 8 else ""
        raise UsageError(
            f"the run was begun with other settings: {shown}{more}",
            hint="give the same ones (-c RUN/config.toml does), another -o, or --resume never to start over",
        )


def check_same_data(before: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Refuse to continue a run on other data: `facts` of the checkpoint and of now are compared.

    Raises:
        InputError: they differ; what differs is named.
    """
    # Through JSON, as env.json has them: a tuple and a list are the same fact.
    was, now = (json.loads(json.dumps(dict(value), default=str)) for value in (before["facts"], facts))
    changed = [key for key in {**was, **now} if was.get(key) != now.get(key)]
    if changed:
        shown = ", ".join(f"{key} (was {was.get(key)!r:.60}, now {now.get(key)!r:.60})" for key in changed[:5])
        raise InputError(
            f"the data is not what the run was begun with: {shown}",
            hint="train into another -o, or --resume never to start over",
        )


def started_by(arguments: list[str] | None = None) -> str:
    """This process's command line, as a shell takes it."""
    import shlex

    return shlex.join(["comictool", *(sys.argv[1:] if arguments is None else arguments)])
