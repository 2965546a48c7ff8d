from __future__ import annotations

from pathlib import Path

import pytest

from comictool.reid import reader
from comictool.reid.sorting.signing import user_key
from tests.cli.conftest import comictool as comictool  # the program, for tests of a defect as a user meets it
from tests.reid.sorting.world import World


@pytest.fixture(autouse=True)
def light_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default encoder starts torch, which is not what is tested here."""
    monkeypatch.setattr(reader, "DEFAULT_PLUGIN", "classic_character")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """One reference of each of two characters, and targets of every status."""
    user_key()  # made before a test counts what is renamed and linked
    world = World(tmp_path)
    world.enrol("hero", "hero 1 stranger .05")
    world.enrol("villain", "villain 1 stranger .05")
    world.target("a/one.png", "hero 1 villain .1")
    world.target("b/one.png", "hero 1 villain .2")
    world.target("c/deep/er/two.png", "villain 1 hero .1")
    world.target("nobody.png", "stranger 1 hero .2")
    world.target("spoilt.png", "bad")
    return world
