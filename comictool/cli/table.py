"""Every command of the tool: where its function is and what it does in one line.

Help, completion and "did you mean" are answered from this table alone; a command's module is imported only when
that command is run or its own options are asked for. A test compares each summary with the function's docstring. The
commands of `train` come from the table of recipes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    commands: Mapping[str, Command | Group]
    section: str = "Commands"
    carried: tuple[str, ...] = ()
    """Options with a value that may also stand before the command's name; they are handed to the command."""


class RecipeCommands(Mapping[str, Command | Group]):
    """One command a recipe; a recipe's declaration is imported when its summary is asked for."""

    def __getitem__(self, name: str) -> Command:
        from comictool.training.declaration import RECIPES, find_recipe

        if name not in RECIPES:
            raise KeyError(name)
        return Command(f"train:{name}", find_recipe(name).summary)

    def __iter__(self) -> Iterator[str]:
        from comictool.training.declaration import RECIPES

        return iter(RECIPES)

    def __len__(self) -> int:
        return sum(1 for _ in self)


TRAINING = "Make training sets"
START, LIBRARY, MODELS, CARE = "Start here", "Build and search a library", "Models", "Care"

COMMANDS: dict[str, Command | Group] = {
    "index": Command("index:index", "Make comics searchable: import, panels, words, vectors, in one go.", START),
    "demo": Command("demo:demo", "Draw a small comic library, index it, search it, and write a report page.", START),
    "data": Group(
        "Work on a corpus: import, panels, formats, training sets.",
        {
            "import": Command("data:import_", "Read comic files and folders into a corpus."),
            "panels": Command("data:panels", "Find the panels of every page and their reading order."),
            "text": Command("data_text:text", "Read the words of every page."),
            "draw": Command("data:draw", "Draw procedural comics with exact labels into a corpus."),
            "info": Command("data_formats:info", "Count what a corpus holds."),
            "verify": Command("data_formats:verify", "Find what is wrong in a corpus."),
            "dedupe": Command("data_reports:dedupe", "Find duplicate pages, and comics inside collected editions."),
            "convert": Command("data_formats:convert", "Write comics in another annotation format.", TRAINING),
            "export": Group(
                "Cut panels or characters out of the pages.",
                {
                    "panels": Command("data_steps:export_panels", "Cut every panel from its page."),
                    "characters": Command(
                        "data_steps:export_characters", "Cut every character from its page, and write the index."
                    ),
                },
                TRAINING,
            ),
            "normalize": Command("data_steps:normalize", "Normalise the names of comics everywhere.", TRAINING),
            "split": Command("data_steps:split", "Split comics into train, val and test.", TRAINING),
            "hdf5": Command(
                "data_steps:hdf5", "Pack the pictures of each split into an HDF5 file with its index.", TRAINING
            ),
            "filter": Command("data_steps:filter_", "Filter rare identities and low-quality instances.", TRAINING),
            "metainfo": Command(
                "data_reports:metainfo", "Measure exported panels: size, colour, and their bins.", TRAINING
            ),
            "classes": Command(
                "data_reports:classes", "Write the comic-level labels of a column as classification.json.", TRAINING
            ),
        },
        LIBRARY,
    ),
    "embed": Command("embed:embed", "Turn pages, panels and characters of a corpus into vectors.", LIBRARY),
    "merge": Command("embed:merge", "Join the stores that `embed --shard` wrote.", LIBRARY),
    "query": Command(
        "query:query",
        "Find the panels, pages or characters most like a picture or an id, or that say some words.",
        LIBRARY,
    ),
    "serve": Command("serve:serve", "Search and read a library in the browser.", LIBRARY),
    "reid": Group(
        "Re-identify characters by reference pictures.",
        {
            "similarity": Command("reid:similarity", "Score character similarity of two or more pictures."),
            "enroll": Command("reid_gallery:enroll", "Add reference pictures of characters to a gallery."),
            "gallery": Group(
                "Look into a gallery, check it, join several.",
                {
                    "info": Command(
                        "reid_gallery:gallery_info", "Count what a gallery holds, and how far its characters are apart."
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
            "learn": Command(
                "reid_learn:learn", "Learn from what a person corrected in sorted pictures, and sort the rest anew."
            ),
            "undo": Command(
                "reid:undo", "Take back the last `reid classify`, `learn`, `cluster` or `name` of a folder."
            ),
            "cluster": Command("reid_groups:cluster", "Group pictures by character, without references."),
            "name": Command("reid_groups:name", "Name a group of pictures."),
            "assign": Command("reid_identities:assign", "Say who is who in every comic, without references."),
            "fit": Command("reid_identities:fit", "Fit what distances mean for `reid assign`."),
            "evaluate": Command(
                "reid_gallery:evaluate", "Measure how well characters are re-identified, on labelled pictures."
            ),
        },
        LIBRARY,
        carried=("--plugin-dir", "--plugin-name", "--plugin", "--gpu"),
    ),
    "depth": Group(
        "Say how far things are on pages, and measure it.",
        {
            "predict": Command(
                "depth:predict", "Say how far things are on pages, panel by panel, and for every segment."
            ),
            "evaluate": Command("depth:evaluate", "Measure predicted depth, with floors and intervals beside."),
        },
        MODELS,
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
    "train": Group("Train a model; a stopped run resumes.", RecipeCommands(), MODELS),
    "config": Group(
        "Look at settings.",
        {"show": Command("config:show", "Show every setting of a recipe or of a run, and where its value comes from.")},
        MODELS,
    ),
    "evaluate": Group(
        "Measure features and trained models, with chance levels.",
        {
            "features": Command(
                "evaluate:features", "Measure what a feature pack holds: k-NN, linear probe, retrieval."
            ),
            "asterx": Command("evaluate:asterx", "Measure a sequence model: hidden panels, order, classes of comics."),
            "reid": Command("evaluate:reid", "Measure faces and bodies by the published protocols of identity."),
            "elric": Command("evaluate:elric", "Measure character vectors: identity, valence, arousal."),
            "query": Command("evaluate:query", "Measure how well a store answers: words, pictures, what is around."),
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

# What people type for a command: other tools' names of the same thing.
OTHER_WORDS = {
    "query": "search find lookup similar ask grep",
    "serve": "web browser gui server view read open browse",
    "index": "update add scan build library refresh sync",
    "info": "list ls show stats count summary describe",
    "verify": "check validate lint fsck",
    "dedupe": "duplicates dedup dups unique",
    "panels": "detect segment frames",
    "text": "ocr words read transcribe lettering balloons",
    "convert": "transform translate",
    "import": "read load unpack extract ingest",
    "classify": "sort label identify recognise recognize tag",
    "enroll": "reference references",
    "learn": "accept correct confirm teach",
    "embed": "encode vectorise vectorize vectors embeddings",
    "doctor": "diagnose health status",
    "undo": "revert restore",
}
SLIP = 0.7  # likeness (difflib) of a slip: "qurey" has .8, "update" and "data" have .6
