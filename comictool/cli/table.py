"""Every command of the tool: where its function is and what it does in one line.

Help, completion and "did you mean" are answered from this table alone; a command's module is imported only when
that command is run or its own options are asked for. A test compares each summary with the function's docstring.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """`target` reads `module:function`, relative to `comictool.cli`."""

    target: str
    summary: str
    section: str = "Commands"


@dataclass(frozen=True)
class Group:
    """A group of commands, such as `data`."""

    summary: str
    commands: dict[str, Command]
    section: str = "Commands"


START, LIBRARY, MODELS, CARE = "Start here", "Build and search a library", "Models", "Care"

COMMANDS: dict[str, Command | Group] = {
    "index": Command("index:index", "Make comics searchable: import, find panels, embed, in one go.", START),
    "demo": Command("demo:demo", "Draw a small comic library, index it, search it, and write a report page.", START),
    "data": Group(
        "Work on a corpus: import comics, find panels, draw labelled pages.",
        {
            "import": Command("data:import_", "Read comic files and folders into a corpus."),
            "panels": Command("data:panels", "Find the panels of every page and their reading order."),
            "draw": Command("data:draw", "Draw procedural comics with exact labels into a corpus."),
        },
        LIBRARY,
    ),
    "embed": Command("embed:embed", "Turn panels and pages of a corpus into vectors.", LIBRARY),
    "merge": Command("embed:merge", "Join the stores that `embed --shard` wrote.", LIBRARY),
    "query": Command("query:query", "Find the panels or pages most like a picture or an id.", LIBRARY),
    "plugins": Group(
        "List, inspect, check and trust model plugins.",
        {
            "list": Command("plugins:list_", "List the plugins that can be used by name."),
            "show": Command("plugins:show", "Show what a plugin's manifest says."),
            "check": Command("plugins:check", "Prove that a plugin loads and answers as it should."),
            "convert": Command("plugins:convert", "Turn a checkpoint into safetensors without running anything in it."),
            "trust": Command("plugins:trust", "Allow the code in a plugin directory to run, as it is now."),
        },
        MODELS,
    ),
    "doctor": Command("doctor:doctor", "Say what this machine has, what is missing, and how to get it.", CARE),
}
