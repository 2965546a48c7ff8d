"""Reading weights without running code, and fitting a state dict to a model without guessing in silence."""

from __future__ import annotations

import hashlib
import re
import tarfile
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comictool.core.device import import_torch
from comictool.core.errors import InputError
from comictool.plugins.trust import hash_file

if TYPE_CHECKING:
    import torch

Tensors = dict[str, "torch.Tensor"]
MAX_DEPTH = 4  # how deep state dicts are looked for in a checkpoint
# Written in front of every name by data-parallel training, by compiling, and by the usual wrappers around a trunk.
WRAPPERS = ("module.", "_orig_mod.", "model.", "backbone.", "encoder.", "trunk.", "student.", "teacher.", "net.")


def verified_weights(path: Path, sha256: str, file: str) -> None:
    """Check a weights file against its manifest.

    Raises:
        InputError: the bytes are not those that the manifest promises.
    """
    found = hash_file(path)
    if found != sha256:
        raise InputError(
            f"{path} is not the file that {file} describes",
            cause=f"its sha256 begins {found[:16]}, the manifest says {sha256[:16]}",
            hint="fetch the plugin again, or export it again after changing the weights",
        )


def read_checkpoint(path: Path) -> Any:
    """The content of a weights file: nested dicts of tensors and plain values. No code in it is run.

    Raises:
        InputError: missing, damaged, or it holds Python objects (named, with the command that converts it).
    """
    if not path.is_file():
        raise InputError(f"weights file {path} does not exist")
    with path.open("rb") as stream:
        head = stream.read(9)
    # A safetensors file starts with an 8-byte length and the "{" of its header, whatever it is called.
    if path.suffix == ".safetensors" or head[8:9] == b"{":
        return _read_safetensors(path)
    return _read_torch(path)


def _read_safetensors(path: Path) -> Tensors:
    import_torch()
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise InputError(f"{path} is not a readable safetensors file", cause=str(error)) from error


def refuse_programs(path: Path) -> None:
    """Refuse what torch.load would hand to another loader than the one for weights.

    Raises:
        InputError: TorchScript (a program, which loading would set up), or the tar format of torch 0.1.
    """
    try:
        names = _zip_names(path)
        old = not names and tarfile.is_tarfile(path)
    except Exception as error:  # damaged archives make the standard library raise half a dozen types
        raise InputError(f"{path} is damaged, or no torch checkpoint", cause=_first_line(error)) from error
    if any(name.endswith("constants.pkl") or "/code/" in name for name in names):
        raise InputError(f"{path} is TorchScript: a program, not only weights")
    if old:
        raise InputError(f"{path} is in the format of torch 0.1, which is not read")


def _zip_names(path: Path) -> list[str]:
    if not zipfile.is_zipfile(path):
        return []
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def _read_torch(path: Path) -> Any:
    torch = import_torch()
    refuse_programs(path)
    import pickle

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an unusual pickle protocol; if it matters, an error follows
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        objects = unsafe_globals(path, str(error))
        if not objects:
            raise InputError(f"{path} is damaged, or no torch checkpoint", cause=_own_words(path, error)) from error
        raise InputError(
            f"{path} holds more than weights: it would run {', '.join(objects)}",
            cause="such a file can run any code when it is opened, so it was not opened",
            hint=f"keep only its weights, without running anything: comictool plugins convert {path}",
        ) from error
    except Exception as error:  # a damaged pickle can fail in any way at all
        raise InputError(f"{path} is damaged, or no torch checkpoint", cause=_first_line(error)) from error


def unsafe_globals(path: Path, message: str = "") -> list[str]:
    """The Python names that a torch checkpoint would look up besides those of plain tensors; found without running it.

    Args:
        path: the checkpoint.
        message: torch's refusal, which names one; all that is known for the format before torch 1.6.
    """
    torch = import_torch()
    names = re.findall(r"GLOBAL ([\w.]+)", message) + re.findall(r"[Uu]nsupported (?:class|global) ([\w.]+)", message)
    try:
        names += torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # only the zip format can be listed; whatever else is wrong is in `message` already
        return sorted(set(names))
    return sorted(set(names))


def _own_words(path: Path, error: Exception) -> str:
    """Why the weights-only loader stopped, without torch's advice to load the file with all rights."""
    with path.open("rb") as stream:
        head = stream.read(64).lstrip()
    if head.startswith(b"<"):
        return "it is a web page, perhaps saved in place of a download"
    if head.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer, not the file itself; fetch it with: git lfs pull"
    lines = [line.strip() for line in str(error).splitlines()]
    kept = [line for line in lines if line and not re.search(r"weights_only|weights only|torch\.", line, re.IGNORECASE)]
    return kept[0][:200] if kept else "torch finds no weights in it"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def state_dicts(checkpoint: Any, depth: int = MAX_DEPTH) -> dict[str, Tensors]:
    """Every state dict in a checkpoint by its dotted path, and at "" all of its tensors with dotted names.

    A file `{"trunk": {...}, "args": [500]}` gives `"trunk"` and, at "", `trunk.…`.
    """
    found: dict[str, Tensors] = {"": {}}
    _collect(checkpoint, "", "", found, depth)
    return {path: tensors for path, tensors in found.items() if tensors}


def _collect(value: Any, path: str, prefix: str, found: dict[str, Tensors], depth: int) -> None:
    torch = import_torch()
    if not isinstance(value, Mapping) or depth < 0:
        return
    for key, item in value.items():
        if not isinstance(key, str):
            continue
        if isinstance(item, torch.Tensor):
            found[""][prefix + key] = item.detach()
            if path:
                found.setdefault(path, {})[key] = item.detach()
        elif isinstance(item, Mapping):
            _collect(item, f"{path}.{key}" if path else key, f"{prefix}{key}.", found, depth - 1)


@dataclass(frozen=True)
class Fit:
    """How one state dict of a file fits a model: which part, behind which prefix, and what does not match."""

    part: str
    prefix: str
    tensors: Tensors = field(repr=False)
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    misshapen: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def faults(self) -> int:
        """Names that keep it from being loaded."""
        return len(self.missing) + len(self.unexpected) + len(self.misshapen)

    def note(self) -> str:
        """What was done that is not obvious, for the log."""
        notes = [f"took the part {self.part!r}"] if self.part else []
        notes += [f"removed the prefix {self.prefix!r}"] if self.prefix else []
        notes += [f"left out {_some(self.left_out)}"] if self.left_out else []
        return "; ".join(notes)


def fit_weights(
    model: torch.nn.Module, checkpoint: Any, source: str, *, classifiers: tuple[str, ...] = (), key: str = ""
) -> Fit:
    """Find the one state dict of a checkpoint that fits a model, and load it.

    All names and shapes of the model must be there behind one prefix (none, or wrappers such as `module.` and
    `backbone.`); names that have no place are refused, except those of the classifier that was taken off, and those
    outside the prefix. Buffers called `num_batches_tracked` may be missing: they do not enter inference.

    Args:
        model: where to load.
        checkpoint: from `read_checkpoint`.
        source: the file, for errors.
        classifiers: names of the layers that the model came without.
        key: take only this part.

    Raises:
        InputError: none fits (with what is missing, unexpected or of another shape), or more than one does.
    """
    expected = model.state_dict()
    parts = state_dicts(checkpoint)
    if key:
        parts = {key: parts[key]} if key in parts else {}
    fits = [
        _fit(expected, part, prefix, parts[part], classifiers) for part in parts for prefix in _prefixes(parts[part])
    ]
    if not fits:
        raise InputError(f"{source} holds no state dict" + (f" called {key!r}" if key else ""))
    good = _distinct([fit for fit in fits if fit.faults == 0])
    if len(good) > 1:
        names = [fit.part or fit.prefix.rstrip(".") or "the whole" for fit in good]
        raise InputError(
            f"{source} holds {len(good)} different sets of weights that fit: {', '.join(names)}",
            hint=f"choose one: comictool plugins convert {source} --key {names[-1]}",
        )
    if not good:
        raise _misfit(min(fits, key=lambda fit: (fit.faults, len(fit.prefix))), source)
    model.load_state_dict({name: good[0].tensors[name] for name in expected if name in good[0].tensors}, strict=False)
    return good[0]


def _prefixes(tensors: Tensors) -> list[str]:
    """No prefix, and every chain of known wrappers that some name starts with."""
    prefixes = {""}
    for name in tensors:
        prefix = ""
        while wrapper := next((w for w in WRAPPERS if name.startswith(w, len(prefix))), ""):
            prefix += wrapper
            prefixes.add(prefix)
    return sorted(prefixes)


def _fit(expected: Tensors, part: str, prefix: str, tensors: Tensors, classifiers: tuple[str, ...]) -> Fit:
    inside = {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    outside = [name for name in tensors if not name.startswith(prefix)]
    extra = [name for name in inside if name not in expected]
    heads = [name for name in extra if name.startswith(tuple(f"{layer}." for layer in classifiers))]
    return Fit(
        part=part,
        prefix=prefix,
        tensors=inside,
        missing=tuple(n for n in expected if n not in inside and not n.endswith("num_batches_tracked")),
        unexpected=tuple(name for name in extra if name not in heads),
        misshapen=tuple(
            f"{name} {list(inside[name].shape)} for {list(tensor.shape)}"
            for name, tensor in expected.items()
            if name in inside and inside[name].shape != tensor.shape
        ),
        left_out=tuple(outside + heads),
    )


def _distinct(fits: list[Fit]) -> list[Fit]:
    """Without those that are the very tensors of an earlier one seen through another path."""
    seen: dict[frozenset[int], Fit] = {}
    for fit in fits:
        seen.setdefault(frozenset(tensor.data_ptr() for tensor in fit.tensors.values()), fit)
    return list(seen.values())


def _misfit(fit: Fit, source: str) -> InputError:
    causes = [
        f"{len(names)} {what}: {_some(names)}"
        for what, names in (
            ("missing", fit.missing),
            ("unexpected", fit.unexpected),
            ("of another shape", fit.misshapen),
        )
        if names
    ]
    nearest = f" (nearest: {fit.note()})" if fit.part or fit.prefix else ""
    return InputError(
        f"the weights in {source} do not fit the architecture{nearest}",
        cause="; ".join(causes),
        hint="the file belongs to another architecture or size; name the one it was trained with",
    )


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def hash_tensors(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over names, types, shapes and values, in order of names: identifies weights that came without a file."""
    torch = import_torch()
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
