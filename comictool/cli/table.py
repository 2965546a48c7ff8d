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
    commands: dict[str, Command | Group]
    section: str = "Commands"
    carried: tuple[str, ...] = ()
    """Options with a value that may also stand before the command's name; they are handed to the command."""


TRAINING = "Make training sets"
START, LIBRARY, MODELS, CARE = "Start here", "Build and search a library", "Models", "Care"

COMMANDS: dict[str, Command | Group] = {
    "index": Command("index:index", "Make comics searchable: import, find panels, embed, in one go.", START),
    "demo": Command("demo:demo", "Draw a small comic library, index it, search it, and write a report page.", START),
    "data": Group(
        "Work on a corpus: import, panels, formats, training sets.",
        {
            "import": Command("data:import_", "Read comic files and folders into a corpus."),
            "panels": Command("data:panels", "Find the panels of every page and their reading order."),
            "draw": Command("data:draw", "Draw procedural comics with exact labels into a corpus."),
            "info": Command(
                "data_formats:info",
                "Count what a corpus holds.",
            ),
            "verify": Command(
                "data_formats:verify",
                "Find what is wrong in a corpus.",
            ),
            "dedupe": Command("data_reports:dedupe", "Find pages that occur twice, and comics inside other comics."),
            "convert": Command("data_formats:convert", "Write comics in another annotation format.", TRAINING),
            "export": Group(
                "Cut panels or characters out of the pages.",
                {
                    "panels": Command("data_steps:export_panels", "Cut every panel from its page."),
                    "characters": Command(
                        "data_steps:export_characters",
                        "Cut every character from its page, and write the index.",
                    ),
                },
                TRAINING,
            ),
            "normalize": Command(
                "data_steps:normalize",
                "Give comics safe, plain names everywhere.",
                TRAINING,
            ),
            "split": Command(
                "data_steps:split",
                "Split comics into train, val and test.",
                TRAINING,
            ),
            "hdf5": Command(
                "data_steps:hdf5", "Pack the pictures of each split into an HDF5 file with its index.", TRAINING
            ),
            "filter": Command(
                "data_steps:filter_",
                "Take rare identities or poor instances out.",
                TRAINING,
            ),
            "metainfo": Command(
                "data_reports:metainfo",
                "Measure exported panels: size, colour, and their bins.",
                TRAINING,
            ),
            "classes": Command(
                "data_reports:classes", "Write the comic-level labels of a column as classification.json.", TRAINING
            ),
        },
        LIBRARY,
    ),
    "embed": Command("embed:embed", "Turn panels and pages of a corpus into vectors.", LIBRARY),
    "merge": Command("embed:merge", "Join the stores that `embed --shard` wrote.", LIBRARY),
    "query": Command(
        "query:query", "Find the panels or pages most like a picture or an id, or that say some words.", LIBRARY
    ),
    "reid": Group(
        "Tell which character is drawn, by reference pictures.",
        {
            "similarity": Command("reid:similarity", "Say how alike the characters of two or more pictures are."),
            "enroll": Command("reid_gallery:enroll", "Add reference pictures of characters to a gallery."),
            "gallery": Group(
                "Look into a gallery, check it, join several.",
                {
                    "info": Command(
                        "reid_gallery:gallery_info",
                        "Count what a gallery holds, and how far its characters are apart.",
                    ),
                    "list": Command("reid_gallery:gallery_list", "List every reference of a gallery."),
                    "verify": Command("reid_gallery:gallery_verify", "Find what is wrong in a gallery."),
                    "merge": Command("reid_gallery:gallery_merge", "Add the references of other galleries to one."),
                },
            ),
            "calibrate": Command("reid_gallery:calibrate", "Fit the score from which a picture is given a name."),
            "classify": Command(
                "reid:classify", "Say which enrolled character each picture shows, and sort the files."
            ),
            "undo": Command("reid:undo", "Take back what `reid classify` did with files."),
            "cluster": Command("reid_gallery:cluster", "Group pictures by character, without references."),
            "evaluate": Command(
                "reid_gallery:evaluate",
                "Measure how well characters are told apart, on labelled pictures.",
            ),
        },
        LIBRARY,
        carried=("--plugin-dir", "--plugin-name", "--plugin", "--gpu"),
    ),
    "features": Group(
        "Turn panels and characters into the vectors that methods train on.",
        {
            "backbone": Command(
                "features:backbone", "Turn every panel or character into the vector of a frozen encoder."
            ),
            "asterx": Command(
                "features:asterx", "Turn every panel into the vector of its context, by a trained ASTERX."
            ),
        },
        MODELS,
    ),
    "train": Group(
        "Train a model; a stopped run goes on by itself.",
        {
            "asterx": Command("train:asterx", "Train ASTERX: what a panel means, from its neighbours."),
            "elric": Command("train:elric", "Train ELRIC: character vectors, with the context of their panels."),
        },
        MODELS,
    ),
    "config": Group(
        "Look at settings.",
        {
            "show": Command(
                "config:show", "Show every setting of a recipe or of a run, and where its value comes from."
            ),
        },
        MODELS,
    ),
    "evaluate": Group(
        "Measure features and trained models, beside chance.",
        {
            "features": Command(
                "evaluate:features", "Measure what a feature pack holds: k-NN, linear probe, retrieval."
            ),
            "asterx": Command("evaluate:asterx", "Measure a sequence model: hidden panels, order, classes of comics."),
            "elric": Command("evaluate:elric", "Measure character vectors: identity, valence, arousal."),
        },
        MODELS,
    ),
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
