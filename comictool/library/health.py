"""What this machine has: the checks that `comictool doctor` prints.

Each check is one fact with a verdict: `ok`, `optional` (missing, but only some things need it) or `failed`.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from comictool import __version__
from comictool.core.children import python_command, safe_environment
from comictool.core.workers import cores

REQUIRED = (
    "typer",
    "rich",
    "torch",
    "torchvision",
    "timm",
    "pytorch-metric-learning",
    "numpy",
    "scipy",
    "scikit-learn",
    "pandas",
    "pillow",
    "h5py",
    "zarr",
    "safetensors",
    "pypdfium2",
    "rarfile",
    "defusedxml",
    "anyascii",
)
OPTIONAL = {
    "py7zr": "comictool[7z]: reading cb7 without bsdtar",
    "usearch": "comictool[ann]: searching millions of vectors by an index",
    "uvicorn": "comictool[serve]: a library in the browser",
}
LEAST_DISK = 2 * 1024**3  # a library of a thousand comics needs far more; below this even the demo may fail


@dataclass
class Check:
    """One fact about the machine; `fix` is what to type when it is not ok."""

    name: str
    status: str
    detail: str
    fix: str = ""


def examine(folder: Path) -> list[Check]:
    """All checks, in the order a person would ask; `folder` is where results would be written."""
    checks: list[Check] = []
    for group in (_system, _packages, _torch, _extractors, _engines, _plugins, _pictures, lambda: _place(folder)):
        checks.extend(_guarded(group))
    return checks


def as_record(checks: list[Check]) -> dict[str, Any]:
    """The documented JSON of `doctor --json`: `ok`, `version`, and `checks` with name, status, detail, fix."""
    return {
        "ok": all(check.status != "failed" for check in checks),
        "version": __version__,
        "checks": [asdict(check) for check in checks],
    }


def _guarded(group: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    try:
        yield from group()
    except Exception as error:  # a broken package may raise anything at import; that is just what doctor reports
        yield Check(getattr(group, "__name__", "check").strip("_"), "failed", f"{type(error).__name__}: {error}")


def _system() -> Iterator[Check]:
    yield Check("comictool", "ok", __version__)
    version = platform.python_version()
    good = sys.version_info >= (3, 11)
    yield Check(
        "python", "ok" if good else "failed", f"{version} ({sys.executable})", "" if good else "install Python 3.11"
    )
    yield Check("system", "ok", f"{platform.platform()}, {cores()} cores{_memory()}")


def _memory() -> str:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):  # not every system says
        return ""
    return f", {total / 1024**3:.0f} GiB memory"


def _packages() -> Iterator[Check]:
    for name in REQUIRED:
        try:
            yield Check(name, "ok", importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Check(name, "failed", "not installed", f"pip install {name}")
    for name, use in OPTIONAL.items():
        try:
            yield Check(name, "ok", importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Check(name, "optional", f"not installed ({use})", f"pip install {name}")


def _torch() -> Iterator[Check]:
    # In a process of its own: a broken pair of builds can take the interpreter down, and it costs seconds.
    code = (
        "import torch, json; import torchvision; "
        "print(json.dumps([torch.__version__, torchvision.__version__, torch.cuda.is_available(), "
        "[torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())], torch.version.cuda, "
        "bool(getattr(torch.backends, 'mps', None) and torch.backends.mps.is_available())]))"
    )
    if importlib.util.find_spec("torch") is None:
        return
    try:
        run = subprocess.run(
            [*python_command(), "-c", code],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=safe_environment(),
        )
    except subprocess.TimeoutExpired:
        yield Check("torch import", "failed", "importing torch and torchvision took more than two minutes")
        return
    if run.returncode != 0:
        reason = (run.stderr.strip().splitlines() or ["no message"])[-1]
        mismatch = "torchvision::nms" in reason
        fix = "pip install --force-reinstall torch torchvision  (both from the same index, both CUDA or both CPU)"
        detail = "torch and torchvision are of different builds: " + reason if mismatch else reason
        yield Check("torch import", "failed", detail, fix)
        return
    import json

    torch_version, vision_version, cuda, devices, cuda_version, mps = json.loads(run.stdout.strip().splitlines()[-1])
    yield Check("torch import", "ok", f"torch {torch_version} and torchvision {vision_version} fit together")
    if cuda:
        yield Check("gpu", "ok", f"{', '.join(devices)} (CUDA {cuda_version})")
    elif mps:
        yield Check("gpu", "ok", "Apple GPU (mps)")
    else:
        yield Check("gpu", "optional", "none; everything works on the processor")


def _extractors() -> Iterator[Check]:
    from comictool.archives.external import extractors

    found = extractors()
    for kind, tools, fix in (
        ("rar", ("unar", "bsdtar"), "apt install unar"),
        ("7z", ("bsdtar", "py7zr"), "pip install 'comictool[7z]'"),
    ):
        there = [f"{tool} ({found[tool]})" for tool in tools if found.get(tool)]
        if there:
            yield Check(f"{kind} extractor", "ok", ", ".join(there))
        else:
            yield Check(f"{kind} extractor", "optional", f"none: {kind} archives cannot be read", fix)


def _engines() -> Iterator[Check]:
    from comictool.words.engines import shipped

    for engine in shipped():
        name = f"text engine {engine.name}"
        if engine.missing:
            yield Check(name, "optional", f"{engine.missing}: words cannot be read by it", engine.install)
        else:
            yield Check(name, "ok", engine.facts())


def _plugins() -> Iterator[Check]:
    from comictool.plugins.discovery import list_plugins

    for plugin in list_plugins([]):
        if plugin.problem:
            yield Check(f"plugin {plugin.name}", "failed", plugin.problem, f"comictool plugins show {plugin.name}")
        else:
            yield Check(f"plugin {plugin.name}", "ok", str(plugin.where))


def _pictures() -> Iterator[Check]:
    from PIL import features

    for name in ("jpg", "webp", "avif"):
        there = features.check(name)
        detail = f"read by Pillow {importlib.metadata.version('pillow')}" if there else "not in this build of Pillow"
        yield Check(f"{name} pictures", "ok" if there else "optional", detail, "" if there else "pip install -U pillow")
    yield Check("jpeg xl pictures", "optional", "not read: convert them to PNG or JPEG first")


def _place(folder: Path) -> Iterator[Check]:
    free = shutil.disk_usage(folder).free
    enough = free >= LEAST_DISK
    yield Check(
        "disk",
        "ok" if enough else "failed",
        f"{free / 1024**3:.1f} GiB free in {folder}",
        "" if enough else "free some space",
    )
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
        yield Check("write access", "ok", str(folder))
    except OSError as error:
        yield Check("write access", "failed", f"{folder}: {error.strerror}", "choose another folder with -o")
