"""A slice of what `python -m tests.bench.generated` runs: every page of a made comic is right or reported."""

from __future__ import annotations

import pytest
from PIL import Image

from tests.archives.made import GOOD, numbered_picture, read_number
from tests.bench.generated import makers, tried

SLICE = 40


@pytest.mark.parametrize("name", makers())
def test_every_page_is_right_or_reported(name: str) -> None:
    wrong = []
    for seed in range(SLICE):
        made, result, facts = tried(makers()[name], seed)
        if result not in GOOD:
            wrong.append(f"{name} {seed} ({made.kind}: {made.description}) {result}: {facts}")
    assert not wrong, "\n".join(wrong)


def test_numbers_can_be_read_back() -> None:
    for number in (0, 1, 77, 4095):
        assert read_number(numbered_picture(number)) == number
        assert read_number(numbered_picture(number, (1000, 1500)).convert("RGB").resize((501, 750))) == number
    assert read_number(Image.new("L", (64, 96), 255)) is None
