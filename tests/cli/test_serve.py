"""`comictool serve` in a process: it says where it listens, answers, and ends with Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra `serve` is not installed")

from comictool.cli.app import run
from comictool.core.jobs import JobOptions
from tests.cli.conftest import Run
from tests.vectors.fakes import embed_corpus, fake, make_corpus


def test_from_start_to_end(tmp_path: Path) -> None:
    embed_corpus(make_corpus(tmp_path / "lib", {"a": 1}), fake(), tmp_path / "lib/store", options=JobOptions(jobs=1))
    command = [sys.executable, "-m", "comictool", "serve", str(tmp_path / "lib"), "--port", "0", "--token", "new"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        base, _, token = address.partition("/?token=")
        assert base.startswith("http://127.0.0.1:")
        ask = urllib.request.Request(f"{base}/api/comics", headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(ask, timeout=20) as answer:
            assert answer.status == 200
            assert answer.headers["server"] is None
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_what_cannot_be_served(comictool: Run, tmp_path: Path) -> None:
    nothing = comictool("serve", tmp_path)
    assert (nothing.code, nothing.out) == (3, "")
    assert "is not a store" in nothing.err
    assert comictool("serve", tmp_path, "--token", "short").code == 2


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert run(["serve", str(tmp_path)]) == 4
    assert "try: pip install 'comictool[serve]'" in capsys.readouterr().err
