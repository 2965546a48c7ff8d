"""The program with the synthetic recipe as a command: `python -m tests.training.program train synthetic -o RUN`."""

from __future__ import annotations

from pathlib import Path

from comictool.cli import app, options, output, table, train, training_options


@options.command
def synthetic(output: train.RunFolder, *, run: training_options.Training, out: output.Output) -> int:
    """Train the recipe of the tests."""
    return train.train_recipe("synthetic", {}, Path(output), run, out, [])


training_options.RECIPES["synthetic"] = "tests.training.synthetic:RECIPE"
train.synthetic = synthetic  # type: ignore[attr-defined]
group = table.COMMANDS["train"]
assert isinstance(group, table.Group)
group.commands["synthetic"] = table.Command("train:synthetic", "Train the recipe of the tests.")

if __name__ == "__main__":
    app.main()
