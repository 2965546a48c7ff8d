"""Running the Python of one trusted plugin directory under a private package name.

Nothing is put on `sys.path`. The directory becomes a package with a name of its own, so that `from . import layers`
works inside it, two plugins with equal module names coexist, and no plugin can shadow a module of anybody else.
Source is compiled from the very bytes that were hashed; compiled files (`__pycache__`) are neither read nor written.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from comictool.core.errors import ComicError, InputError
from comictool.plugins.trust import Fingerprint

PREFIX = "_comictool_plugin_"


class _PrivateLoader(importlib.machinery.SourceFileLoader):
    """Compiles a source file whose bytes have the trusted hash."""

    def __init__(self, fullname: str, path: str, sha256: str, namespace: Mapping[str, Any]) -> None:
        super().__init__(fullname, path)
        self._sha256 = sha256
        self._namespace = namespace

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_data(self.path)
        if hashlib.sha256(source).hexdigest() != self._sha256:
            raise ImportError(f"{self.path} changed after it was checked")
        return self.source_to_code(source, self.path)

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__.update(self._namespace)
        super().exec_module(module)


class _PrivateFinder(importlib.abc.MetaPathFinder):
    """Finds the modules of one private package in its directory, and nothing else."""

    def __init__(self, package: str, directory: Path, files: Mapping[str, str], namespace: Mapping[str, Any]) -> None:
        self.package = package
        self.namespace = dict(namespace)
        self._directory = directory
        self._files = files

    def holds(self, name: str) -> bool:
        """Whether the directory has a module or package of this top-level name."""
        folder = f"{name}/"
        return any(file == f"{name}.py" or (file.startswith(folder) and file.endswith(".py")) for file in self._files)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not fullname.startswith(f"{self.package}."):
            return None
        stem = fullname[len(self.package) + 1 :].replace(".", "/")
        for name, search in ((f"{stem}/__init__.py", []), (f"{stem}.py", None)):
            if name in self._files:
                location = str(self._directory / name)
                loader = _PrivateLoader(fullname, location, self._files[name], self.namespace)
                return importlib.util.spec_from_file_location(
                    fullname, location, loader=loader, submodule_search_locations=search
                )
        if any(name.startswith(f"{stem}/") and name.endswith(".py") for name in self._files):
            return importlib.machinery.ModuleSpec(fullname, None, is_package=True)  # a folder without __init__.py
        return None


def load_private_module(
    directory: Path, module: str, files: Fingerprint, *, stand_ins: Mapping[str, str] | None = None
) -> ModuleType:
    """Run `module`.py of a plugin directory and give its module. Loading the same bytes again gives the same module.

    Args:
        directory: the plugin; trust was checked by the caller.
        module: without `.py`.
        files: the fingerprint that was checked.
        stand_ins: for older plugins only: modules of ours that stand in for absolute names they import, e.g.
            {"lib": "comictool.plugins.legacy_lib"}. With it (even empty) absolute imports of siblings work too.

    Raises:
        InputError: the plugin's code raises, whatever it raises.
    """
    where = directory.resolve()
    package = PREFIX + hashlib.sha256(f"{where}\0{files.digest}".encode()).hexdigest()[:16]
    fullname = f"{package}.{module}"
    if fullname in sys.modules:
        return sys.modules[fullname]
    if package not in sys.modules:
        finder = _PrivateFinder(package, where, files.files, {})
        if stand_ins is not None:
            finder.namespace["__builtins__"] = _builtins_with_siblings(finder, stand_ins)
        root = ModuleType(package, f"The plugin in {where}")
        root.__path__ = []
        sys.modules[package] = root
        sys.meta_path.append(finder)
    search_path = list(sys.path)
    try:
        return importlib.import_module(fullname)
    except ComicError:
        raise
    except (Exception, SystemExit) as error:
        for name in [name for name in sys.modules if name.startswith(f"{package}.")]:
            del sys.modules[name]
        raise InputError(
            f"plugin {directory}: {module}.py failed: {type(error).__name__}: {error}", hint="--debug shows where"
        ) from error
    finally:
        sys.path[:] = search_path  # older plugins append their own directory, which would leak their modules to others


def _builtins_with_siblings(finder: _PrivateFinder, stand_ins: Mapping[str, str]) -> dict[str, Any]:
    """Builtins whose `__import__` looks among the siblings first; only the plugin's own modules see it."""
    ordinary = builtins.__import__

    def import_sibling_first(
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        top, _, rest = name.partition(".")
        private = f"{finder.package}.{top}" if finder.holds(top) else stand_ins.get(top)
        if level or private is None:
            return ordinary(name, globals, locals, fromlist or (), level)
        module = importlib.import_module(f"{private}.{rest}" if rest else private)
        if not fromlist:
            return sys.modules[private]
        for attribute in fromlist:
            if attribute != "*" and not hasattr(module, attribute) and hasattr(module, "__path__"):
                importlib.import_module(f"{module.__name__}.{attribute}")
        return module

    return {**vars(builtins), "__import__": import_sibling_first}
