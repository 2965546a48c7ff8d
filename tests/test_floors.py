"""Who may import whom. The map is in CONTRIBUTING.md; this test keeps it true."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import comictool

PACKAGE = Path(comictool.__file__).parent
CEILING = 600  # lines in one file

# Each room and the rooms it may stand on (itself always allowed). No arrow runs back up.
FLOORS: dict[str, set[str]] = {
    "core": set(),
    "corpus": {"core"},
    "plugins": {"core"},
    "measure": {"core"},
    "training": {"core", "measure", "report"},
    "search": {"core", "corpus", "plugins"},
    "report": {"core", "corpus", "plugins"},
    "library": {"core", "corpus", "plugins", "search", "report"},
    "reid": {"core", "corpus", "plugins", "report", "measure"},
    "features": {"core", "corpus", "plugins", "measure"},
    "asterx": {"core", "corpus", "plugins", "training", "measure", "report"},
    "elric": {"core", "corpus", "plugins", "training", "measure", "report"},
    "cli": {
        "core",
        "corpus",
        "plugins",
        "measure",
        "training",
        "search",
        "report",
        "library",
        "reid",
        "features",
        "asterx",
        "elric",
    },
}
LIGHT = ("cli", "core")  # rooms where nothing heavy is imported at module level
HEAVY = {
    "numpy", "torch", "torchvision", "timm", "PIL", "pandas", "h5py", "zarr", "scipy", "sklearn", "pydantic", "rich",
}  # fmt: skip


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
