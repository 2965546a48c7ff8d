"""Who may import whom. The map is in CONTRIBUTING.md; this test keeps it true."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import comictool
from comictool.cli.table import COMMANDS, Command, Group

PACKAGE = Path(comictool.__file__).parent
CEILING = 600  # lines in one file

# Each room and the rooms it may stand on (itself always allowed). No arrow runs back up.
FLOORS: dict[str, set[str]] = {
    "core": set(),
    "archives": {"core"},
    "corpus": {"core", "archives"},
    "panels": {"core", "corpus"},
    "words": {"core", "corpus", "formats", "plugins"},
    "formats": {"core", "archives", "corpus"},
    "drawn": {"core", "corpus", "formats"},
    "datasets": {"core", "archives", "corpus", "formats"},
    "duplicates": {"core", "corpus"},
    "plugins": {"core"},
    "measure": {"core"},
    "report": {"core"},
    "training": {"core", "report"},
    "vectors": {"core", "corpus", "datasets", "formats", "plugins"},
    "search": {"core", "corpus", "duplicates", "measure", "panels", "plugins", "vectors"},
    "reid": {"core", "corpus", "plugins", "report", "measure", "vectors"},
    "assigning": {"core", "corpus", "formats", "identity", "measure", "plugins", "reid", "report", "vectors"},
    "features": {"core", "datasets", "plugins", "measure", "vectors"},
    "selfsup": {"core", "plugins", "training", "vectors"},
    "identity": {"core", "corpus", "datasets", "formats", "measure", "plugins", "selfsup", "training", "vectors"},
    "fusion": {"core", "plugins", "training", "vectors"},
    "asterx": {"core", "datasets", "plugins", "training", "measure", "vectors"},
    "elric": {"core", "corpus", "datasets", "formats", "plugins", "selfsup", "training", "measure", "vectors"},
    "depth": {
        "archives",
        "core",
        "corpus",
        "datasets",
        "drawn",
        "formats",
        "measure",
        "panels",
        "plugins",
        "report",
        "selfsup",
        "training",
        "vectors",
    },
    "library": {
        "core",
        "archives",
        "corpus",
        "panels",
        "drawn",
        "duplicates",
        "plugins",
        "search",
        "vectors",
        "report",
        "words",
    },
    "serve": {"core", "corpus", "formats", "plugins", "report", "search", "vectors"},
}
FLOORS["cli"] = set(FLOORS)
ENTRIES = {"comictool.__main__", "comictool.cli.reference"}  # started from outside, with `python -m`
LIGHT = ("cli", "core")  # rooms where nothing heavy is imported at module level
HEAVY = {
    "numpy",
    "torch",
    "torchvision",
    "timm",
    "PIL",
    "pandas",
    "h5py",
    "zarr",
    "scipy",
    "sklearn",
    "pydantic",
    "rich",
    "starlette",
    "uvicorn",
    "jinja2",
}


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imports(file: Path, *, module_level: bool) -> set[str]:
    """Full names of what a file imports; at module level only, or anywhere."""
    tree = ast.parse(file.read_text("utf-8"))
    nodes = _outside_functions(tree) if module_level else list(ast.walk(tree))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            found.add(node.module or "")
    return found


def _outside_functions(tree: ast.Module) -> list[ast.AST]:
    nodes: list[ast.AST] = []
    stack: list[ast.AST] = list(tree.body)
    while stack:
        node = stack.pop()
        nodes.append(node)
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not typing_only:
            stack.extend(ast.iter_child_nodes(node))
    return nodes


@pytest.mark.parametrize("file", sources(), ids=lambda f: str(f.relative_to(PACKAGE)))
def test_no_arrow_runs_up(file: Path) -> None:
    parts = file.relative_to(PACKAGE).parts
    if len(parts) == 1:
        return  # __init__ and __main__
    room = parts[0]
    assert room in FLOORS, f"the room {room} is not on the map"
    for name in imports(file, module_level=False):
        if name.startswith("comictool."):
            other = name.split(".")[1]
            assert other == room or other in FLOORS[room], f"{room} may not import {other} ({file.name}: {name})"


def test_every_arrow_is_used() -> None:
    allowed = {(room, other) for room, others in FLOORS.items() if room != "cli" for other in others}
    drawn = {
        (file.relative_to(PACKAGE).parts[0], name.split(".")[1])
        for file in sources()
        for name in imports(file, module_level=False)
        if name.startswith("comictool.")
    }
    assert not allowed - drawn, "FLOORS allows what nobody needs"


def test_every_module_is_used_by_another() -> None:
    """What only its own test imports is dead. It also counts to be named: by the command table, or in a text that is
    the full name of the module or of its package (`"comictool.elric.train:RECIPE"`).
    """
    used = {f"comictool.cli.{target.split(':')[0]}" for target in _targets(Group("", COMMANDS))} | ENTRIES
    for file in sources():
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom):
                used.update([str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)])
            elif isinstance(node, ast.Constant) and str(node.value).startswith("comictool."):
                name = str(node.value).split(":")[0]
                used.update(
                    [name, *(f"{name}.{file.stem}" for file in PACKAGE.parent.glob(name.replace(".", "/") + "/*.py"))]
                )
    modules = {".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts) for file in sources()}
    assert not {module for module in modules - used if not module.endswith(".__init__")}


def _targets(group: Group) -> list[str]:
    return [
        target
        for entry in group.commands.values()
        for target in ([entry.target] if isinstance(entry, Command) else _targets(entry))
    ]


@pytest.mark.parametrize("file", sorted(PACKAGE.glob("*/**/__init__.py")), ids=lambda f: str(f.relative_to(PACKAGE)))
def test_the_face_of_a_room_is_a_docstring(file: Path) -> None:
    body = ast.parse(file.read_text("utf-8")).body
    assert all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body), (
        "names are imported from where they are defined"
    )


@pytest.mark.parametrize("file", [f for f in sources() if f.relative_to(PACKAGE).parts[0] in LIGHT], ids=str)
def test_light_rooms_import_nothing_heavy_at_module_level(file: Path) -> None:
    heavy = {name.split(".")[0] for name in imports(file, module_level=True)} & HEAVY
    assert not heavy, f"{file.name} imports {heavy} at module level"


def test_every_room_on_the_map_is_described() -> None:
    contributing = (PACKAGE.parent / "CONTRIBUTING.md").read_text("utf-8")
    rooms = {p.name for p in PACKAGE.iterdir() if p.is_dir() and (p / "__init__.py").exists()}
    missing = [room for room in sorted(rooms) if f"{room}/" not in contributing]
    assert not missing, f"CONTRIBUTING.md does not mention {missing}"


def test_no_file_passes_the_ceiling() -> None:
    tests = PACKAGE.parent / "tests"
    lengths = {str(file): len(file.read_text("utf-8").splitlines()) for file in [*sources(), *tests.rglob("*.py")]}
    long = {file: length for file, length in lengths.items() if length > CEILING}
    assert not long
