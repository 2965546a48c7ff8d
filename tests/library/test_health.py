from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from comictool.library import health
from comictool.library.health import as_record, examine


def test_this_machine_is_fit(tmp_path: Path) -> None:
    record = as_record(examine(tmp_path))
    assert set(record) == {"ok", "version", "checks"}
    names = [check["name"] for check in record["checks"]]
    assert {"python", "torch", "torch import", "gpu", "rar extractor", "7z extractor", "plugin classic", "disk"} <= set(
        names
    )
    assert [check for check in record["checks"] if check["status"] == "failed" and check["name"] != "disk"] == []


def test_a_torchvision_of_another_build_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object, **named: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 1, "", "RuntimeError: operator torchvision::nms does not exist\n")

    monkeypatch.setattr(health.subprocess, "run", broken)
    check = next(check for check in examine(tmp_path) if check.name == "torch import")
    assert check.status == "failed"
    assert "different builds" in check.detail
    assert "pip install" in check.fix


def test_a_missing_package_is_named_with_the_way_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "REQUIRED", ("typer", "no-such-package"))
    failed = [check for check in examine(tmp_path) if check.status == "failed" and check.name == "no-such-package"]
    assert failed[0].fix == "pip install no-such-package"


def test_text_engines_are_named_or_the_way_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from comictool.words import rapid, tesseract

    monkeypatch.setattr(rapid, "missing", lambda: "rapidocr not installed")
    monkeypatch.setattr(tesseract, "missing", lambda: "")
    monkeypatch.setattr(tesseract, "facts", lambda: "5.3.0, eng")
    first, second = health._engines()
    assert (first.status, first.fix) == ("optional", "pip install 'comictool[ocr]'")
    assert (second.name, second.status, second.detail) == ("text engine tesseract", "ok", "5.3.0, eng")


def test_extractors_are_named_or_the_way_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from comictool.archives import external

    monkeypatch.setattr(external, "extractors", lambda: {"unar": "/usr/bin/unar", "bsdtar": None, "py7zr": None})
    rar, seven = health._extractors()
    assert (rar.status, rar.detail) == ("ok", "unar (/usr/bin/unar)")
    assert (seven.status, seven.fix) == ("optional", "pip install 'comictool[7z]'")
