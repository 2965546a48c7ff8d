"""Checkpoints of any origin to safetensors, without running what is in them.

A torch checkpoint is a pickle, and a pickle can name any function to be called. Here every name besides those of plain
tensors is replaced by an inert stand-in, so nothing is looked up and nothing is called; the tensors are kept.
"""

from __future__ import annotations

import os
import pickle
import tempfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from comictool.core.device import import_torch
from comictool.core.errors import InputError, UsageError
from comictool.plugins.trust import hash_file
from comictool.plugins.weights import named_tensors, part_of, read_checkpoint, refuse_programs

if TYPE_CHECKING:
    import torch

# The functions that rebuild plain tensors. torch.storage._load_from_bytes is not among them: it unpickles again.
REBUILDERS = {
    ("torch._utils", "_rebuild_tensor"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch", "Size"),
    ("torch", "UntypedStorage"),
    ("torch.storage", "UntypedStorage"),
}


@dataclass(frozen=True)
class Conversion:
    """What was written: the file, its hash, how many tensors, and the names of Python objects that were left behind;
    of a whole plugin also its title, which says what was assumed.
    """

    output: Path
    sha256: str
    tensors: int
    left_behind: tuple[str, ...]
    title: str = ""


def convert_checkpoint(source: Path, output: Path | None = None, *, key: str = "", force: bool = False) -> Conversion:
    """Keep only the tensors of a checkpoint, as safetensors with dotted names.

    Args:
        source: a torch checkpoint (any version's format), or a safetensors file.
        output: where to; beside the source with the suffix .safetensors by default.
        key: only this part of it, e.g. `teacher`; its name is removed from the tensors' names.
        force: replace an existing output.

    Raises:
        UsageError: the output exists, or would replace the source.
        InputError: missing, damaged, TorchScript (a program, not weights), no tensors, or no such part.
    """
    target = output if output is not None else source.with_suffix(".safetensors")
    if target.exists() and (not force or target.resolve() == source.resolve()):
        raise UsageError(f"{target} exists already", hint=f"comictool plugins convert {source} -o OTHER.safetensors")
    content, left_behind = _read_inert(source)
    tensors = part_of(named_tensors(content), key, source)
    write_beside(target, tensors)
    return Conversion(target, hash_file(target), len(tensors), left_behind)


def write_beside(target: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write a temporary file beside the target and rename it (safetensors wants a name, not an open file)."""
    from comictool.plugins.export import write_safetensors

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", suffix=".partial", dir=target.parent) as folder:
            write_safetensors(Path(folder, target.name), tensors)
            os.replace(Path(folder, target.name), target)
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror or error}") from error


def _read_inert(source: Path) -> tuple[Any, tuple[str, ...]]:
    """The checkpoint as plain dicts and tensors, and the names that were not looked up."""
    torch = import_torch()
    if not source.is_file():
        raise InputError(f"checkpoint {source} does not exist")
    with source.open("rb") as stream:
        if stream.read(9)[8:9] == b"{":
            return read_checkpoint(source), ()
    refuse_programs(source)
    names: set[str] = set()
    try:
        content = torch.load(source, map_location="cpu", weights_only=False, pickle_module=_inert_pickle(names))
    except Exception as error:  # a damaged pickle can fail in any way a hostile one can think of
        raise InputError(f"{source} is damaged, or no torch checkpoint", cause=str(error)[:200]) from error
    return _plain(content), tuple(sorted(names))


class Inert:
    """Stands in for an object of a class that was not looked up; takes whatever a pickle does to it."""

    state: Any = None  # of an object that is pickled without any, such as an empty Namespace

    def __init__(self, *_: Any, **__: Any) -> None:
        """Whatever it is made with is dropped."""

    def __new__(cls, *_: Any, **__: Any) -> Inert:
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        """Items of dict subclasses are dropped."""

    def append(self, item: Any) -> None:
        """Items of list subclasses are dropped."""

    def extend(self, items: Any) -> None:
        """Items of list subclasses are dropped."""

    def add(self, item: Any) -> None:
        """Items of set subclasses are dropped."""


def _inert_pickle(names: set[str]) -> ModuleType:
    """A module like `pickle` whose unpickler looks nothing up but the rebuilders of tensors."""
    torch = import_torch()

    class InertUnpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if (module, name) == ("collections", "OrderedDict"):
                return OrderedDict
            if module == "torch" and isinstance(vars(torch).get(name), torch.dtype):
                return vars(torch)[name]
            if (module, name) in REBUILDERS:
                if module == "torch._utils":
                    return getattr(torch._utils, name)
                return torch.Size if name == "Size" else torch.UntypedStorage
            names.add(f"{module}.{name}")
            return type(name.rpartition(".")[2] or "Inert", (Inert,), {"__slots__": ()})

    def load(stream: Any, **options: Any) -> Any:
        return InertUnpickler(stream, **options).load()

    stand_in = ModuleType("inert_pickle")
    vars(stand_in).update(vars(pickle))
    vars(stand_in).update(Unpickler=InertUnpickler, load=load)
    return stand_in


def _plain(value: Any, depth: int = 8) -> Any:
    """Dicts and tensors only; a whole pickled `nn.Module` becomes the dict of its parameters, buffers and children."""
    if depth < 0:
        return None
    if isinstance(value, Inert) and isinstance(value.state, dict):
        held = [value.state.get(place) for place in ("_parameters", "_buffers", "_modules")]
        return _plain({k: v for part in held if isinstance(part, Mapping) for k, v in part.items()}, depth)
    if isinstance(value, Mapping):
        return {key: _plain(item, depth - 1) for key, item in value.items()}
    return value
