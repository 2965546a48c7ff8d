"""A run from somebody else: its checkpoints run no code and what is damaged in them is one sentence."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch

from comictool.core.errors import InputError
from comictool.training.checkpoints import FORMAT, load_checkpoint, save_checkpoint


class Code:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.trace),)


def test_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    torch.save({"format": FORMAT, "task": Code(tmp_path / "ran")}, tmp_path / "last.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Code(tmp_path / "ran")))
    for name in ("last.pt", "plain.pt"):
        with pytest.raises(InputError, match=r"tampered|no checkpoint"):
            load_checkpoint(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_that_is_cut_off_is_one_sentence(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "last.pt", {"task": {"weight": torch.ones(100)}})
    sound = (tmp_path / "last.pt").read_bytes()
    for length in (0, 3, 100, len(sound) // 2, len(sound) - 1):
        (tmp_path / "last.pt").write_bytes(sound[:length])
        with pytest.raises(InputError):
            load_checkpoint(tmp_path / "last.pt")
