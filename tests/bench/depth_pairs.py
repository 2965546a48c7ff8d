"""Which of two points on real panels is nearer: a plugin against "lower is nearer".

    COMICTOOL_TEST_DATA=folder python -m tests.bench.depth_pairs [PLUGIN] [--write]

The points are those of `depth_pairs`, looked at with the panel cut out. Pairs whose nearer point is higher are by
themselves, for "lower is nearer" is always wrong there and always right elsewhere.
"""

from __future__ import annotations

from comictool.depth.evaluate import PluginMaps, Said, evaluate
from comictool.plugins.load import EncoderSpec, load_model
from tests.bench.figures import arguments, between, figure, ratio
from tests.data import data


def main() -> None:
    """Print a row for all pairs, the two groups and their mean."""
    (name,) = arguments() or ["depth_small"]
    model = load_model(EncoderSpec(name), "depth")
    found = evaluate(data("depth_pairs"), Said(name, model=model, maps=PluginMaps(model)))
    for metric in found.metrics:
        if metric.name != "WHDR":
            ours = f"{ratio(metric.value)} {between(metric.low, metric.high)}, {metric.count} pairs"
            figure(f"depth of points, `{name}`: {metric.name}", ours, f"lower is nearer: {ratio(metric.chance)}")


if __name__ == "__main__":
    main()
