"""`comictool reid fit` and `reid assign` as a user types them."""

from __future__ import annotations

import pytest

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
    missing = comictool("reid", "assign", drawn, "--sheet")
    assert missing.code == 2
    assert "-o" in missing.err
