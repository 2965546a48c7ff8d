"""Odd inputs with right values, a fast part of what `python -m tests.bench.cases` runs; see `faults.md`."""

from __future__ import annotations

import pytest

from tests.bench.cases import Case, read_cases, verdict
from tests.data import DATA, needs_data

# These start torch, or the detector in every worker; the bench runs them
SLOW = {"checkpoints", "ties", "panels"}

CASES = [case for case in read_cases(DATA / "cases") if case.kind not in SLOW] if DATA else []


@needs_data
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_right_value_comes_out(case: Case) -> None:
    found, came_out = verdict(case)
    assert not found, came_out
