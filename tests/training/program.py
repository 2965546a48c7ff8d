"""The program with the synthetic recipe as a command: `python -m tests.training.program train synthetic -o RUN`."""

from __future__ import annotations

from comictool.cli import app
from comictool.training.declaration import RECIPES

RECIPES["synthetic"] = "tests.training.synthetic:RECIPE"

if __name__ == "__main__":
    app.main()
