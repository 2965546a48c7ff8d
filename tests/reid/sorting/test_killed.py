"""SIGKILL of real processes at drawn moments: resumed the same, undone exactly, one batch repeated at most."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from comictool.reid.sorting.undoing import undo
from comictool.vectors.stream import CHUNK
from tests.reid.drawings import cast, drawing, save
from tests.reid.sorting.world import World, tree

ROOT = Path(__file__).parents[3]
Told = tuple[str, str, str | None]


def _sort(world: World, options: dict[str, str], resume: bool, told: Connection) -> None:
    for result in world.stream(resume=resume, **options):
        told.send((result.decision.path, result.placed.action, result.placed.destination))


def sort(world: World, options: dict[str, str], *, resume: bool = False, kill_after: int = -1) -> list[Told]:
    """What a process says that sorts, and is killed when it has said so much."""
    context = multiprocessing.get_context("fork")  # starting Python anew thirty times takes long
    ours, theirs = context.Pipe(duplex=False)
    run = context.Process(target=_sort, args=(world, options, resume, theirs))
    run.start()
    theirs.close()
    said: list[Told] = []
    try:
        while True:
            said.append(ours.recv())
            if len(said) == kill_after:
                run.kill()
    except EOFError:
        run.join()
    return said


@pytest.mark.parametrize("clash", ["rename", "overwrite"])
@pytest.mark.parametrize("action", ["copy", "move", "symlink", "hardlink"])
def test_sigkill_is_resumed_and_undone(world: World, action: str, clash: str) -> None:
    draw, options = random.Random(f"{action} {clash}"), {"action": action, "on_clash": clash}
    for number in range(150):  # few names: most clash with another picture of the run
        world.target(f"many/{number}/{number % 7}.png", f"hero 1 villain .{number:03d}1")
    for number in range(3):  # and these with what was there before
        (world.result / "hero").mkdir(parents=True, exist_ok=True)
        (world.result / f"hero/{number}.png").write_text("mine")
    before = tree(world.root)
    texts = {file.read_text() for file in world.targets.rglob("*.png") if file.name != "spoilt.png"}
    whole = sort(world, options)
    assert texts <= {f.read_text() for f in world.result.rglob("*.png")}, "no picture of the run took another's place"
    undo(world.result)
    assert tree(world.root) == before
    for place in sorted(draw.sample(range(1, len(whole)), 3)):
        sort(world, options, resume=True, kill_after=place)
    assert sort(world, options, resume=True) == whole
    assert texts <= {f.read_text() for f in world.result.rglob("*.png")}
    assert undo(world.result).kept == {}
    assert tree(world.root) == before


@pytest.mark.parametrize("action", ["copy", "move"])
def test_sigkill_amid_copying_leaves_half_a_file_which_goes(
    world: World, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    before = tree(world.root)
    real = shutil.copyfile

    def dying(source: Path, staged: Path) -> None:
        if source.name == "two.png":
            Path(staged).write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
        real(source, staged)

    def other_disk(source: Path, target: Path) -> None:
        if source.parent != target.parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        os.replace(source, target)

    options = {"action": action}
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", dying)
        patch.setattr(os, "rename", other_disk)
        assert len(sort(world, options)) == 2
    assert [file.name for file in world.result.rglob("*.partial")] == [".comictool-3.partial"]
    again = sort(world, options, resume=True)
    assert len(again) == 5
    assert not list(world.result.rglob("*.partial"))
    undo(world.result)
    assert tree(world.root) == before
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", dying)
        patch.setattr(os, "rename", other_disk)
        sort(world, options)
    undo(world.result)
    assert tree(world.root) == before


def test_sigkill_between_copying_to_another_disk_and_removing_moves_in_the_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(world.root)

    def other_disk(source: Path, target: Path) -> None:
        if source.parent != target.parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        os.replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", other_disk)
        patch.setattr(Path, "unlink", lambda self, missing_ok=False: os.kill(os.getpid(), signal.SIGKILL))
        assert sort(world, {"action": "move"}) == []
    assert (world.targets / "a/one.png").exists()
    assert (world.result / "hero/one.png").exists()
    assert len(sort(world, {"action": "move"}, resume=True)) == 5
    assert not (world.targets / "a/one.png").exists()
    assert undo(world.result).kept == {}
    assert tree(world.root) == before


COUNTING = {
    "plugin.toml": """
schema = 2
id = "counting"
version = "1"
title = "Mean colours; notes every picture that it embeds"
kind = "encoder"
licence = "MIT"
minimum_tool = "0.1"
[architecture]
name = "python"
[output.vector]
dimension = 48
normalised = true
metric = "cosine"
""",
    "model.py": """
import hashlib, os, time
import numpy as np

class Encoder:
    def embed(self, images):
        rows = []
        for image in images:
            with open(os.environ["COUNTED"], "a") as stream:
                stream.write(hashlib.sha256(image.tobytes()).hexdigest() + "\\n")
            time.sleep(0.001)
            rows.append((image[:48, :48].reshape(4, 12, 4, 12, 3).mean(axis=(1, 3)) - 128).reshape(-1))
        with open(os.environ["COUNTED"]) as stream:
            if sum(1 for line in stream) >= int(os.environ["UNTIL"]):
                time.sleep(600)  # here it is killed, however slow whoever kills is
        return np.stack(rows)

def build_encoder(manifest, directory, device):
    return Encoder()
""",
}


@pytest.mark.slow
def test_a_killed_command_repeats_one_batch_at_most(tmp_path: Path) -> None:
    """Show 5: whatever was in a batch that is finished is never embedded again; records and files end the same."""
    for name, text in COUNTING.items():
        (tmp_path / "counting").mkdir(exist_ok=True)
        (tmp_path / "counting" / name).write_text(text)
    cast(tmp_path / "refs")
    count = 5 * CHUNK
    for number in range(count):
        save(tmp_path / f"targets/{number % 9}/{number}.png", drawing(("ann", "bob", "cat")[number % 3], number + 9))
    counted = tmp_path / "counted"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COMICTOOL_")}
    environment |= {"COUNTED": str(counted), "PYTHONPATH": str(ROOT), "COMICTOOL_CONFIG_DIR": str(tmp_path / "config")}

    def start(result: str, *arguments: str, until: int = 1 << 30) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-m",
            "comictool",
            "reid",
            "classify",
            "targets",
            "--enroll-config",
            "refs",
            "--plugin",
            "./counting",
            "--trust-plugin",
            "--threshold",
            "0.5",
            "-o",
            result,
            "--cache",
            f"cache-{result}",
            "--format",
            "jsonl",
            "-q",
            *arguments,
        ]
        with open(tmp_path / "lines", "wb") as lines:
            return subprocess.Popen(command, cwd=tmp_path, env=environment | {"UNTIL": str(until)}, stdout=lines)

    def embedded() -> list[str]:
        return counted.read_text().split() if counted.exists() else []

    assert start("whole").wait() == 0
    whole = (tmp_path / "lines").read_bytes()
    assert len(whole.splitlines()) == count
    assert len(embedded()) == len(set(embedded())), "an undisturbed run embeds nothing twice"
    counted.unlink()
    draw = random.Random(5)
    moments = sorted(draw.sample(range(CHUNK // 2, count), 2))
    for moment in moments:
        run = start("killed", "--resume", until=moment)
        while len(embedded()) < moment:
            time.sleep(0.002)
            assert run.poll() is None
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
        # Nothing was printed that the whole run does not say, in its order; the last line may be cut off.
        assert whole.startswith((tmp_path / "lines").read_bytes())
    assert start("killed", "--resume").wait() == 0
    assert (tmp_path / "lines").read_bytes() == whole
    repeated = len(embedded()) - len(set(embedded()))
    assert repeated <= len(moments) * CHUNK
    assert {p: f[1] for p, f in tree(tmp_path / "killed").items() if ".reid" not in p} == {
        p: f[1] for p, f in tree(tmp_path / "whole").items() if ".reid" not in p
    }
    assert json.loads(whole.splitlines()[0])["action"] == "copy"
