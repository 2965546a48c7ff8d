"""`comictool reid fit` and `reid assign` as a user types them."""

from __future__ import annotations

import json

import pytest

from comictool.cli.app import run
from tests.assigning.test_job import drawn  # noqa: F401


@pytest.mark.usefixtures("drawn")
def test_from_named_comics_to_drawn_pages(comictool, drawn, tmp_path) -> None:  # noqa: F811
    cache = {"COMICTOOL_CACHE": str(tmp_path / "cache")}
    fitted = comictool("reid", "fit", drawn, "-o", "calibration.json", "--json", **cache).json()
    assert fitted["ami_constrained"] == pytest.approx(1.0)
    ran = comictool(
        "reid",
        "assign",
        drawn,
        "--calibration",
        "calibration.json",
        "-o",
        "out",
        "--blind",
        "--sheet",
        "-j",
        1,
        "--json",
        **cache,
    )
    assert ran.code == 0, ran.err
    assert (ran.json()["instances"], ran.json()["identities"]) == (12, 6)
    assert (tmp_path / "out" / "identities.html").is_file()
    assert (tmp_path / "out" / "all_sequences.json").is_file()


def test_an_evaluation_is_printed_and_kept(drawn, tmp_path, capsys, monkeypatch) -> None:  # noqa: F811
    """In this process: what it imports takes longer than what it does."""
    monkeypatch.setenv("COMICTOOL_CACHE", str(tmp_path / "cache"))
    assert (
        run(
            [
                "evaluate",
                "reid",
                str(drawn),
                "-o",
                str(tmp_path / "found.json"),
                "--plugin",
                "classic_character",
                "--json",
                "-q",
            ]
        )
        == 0
    )
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "found.json").read_text("utf-8"))
    assert (printed["instances"], printed["identities"]) == (12, 6)
    rows = {row["metric"]: row for row in printed["metrics"]}
    assert {"face, in-series P@1", "body, inter-series MAP@R", "face and body, triplets AUROC"} <= set(rows)
    assert all(row["low"] <= row["value"] <= row["high"] and row["chance"] is not None for row in rows.values())
