"""Reading weights without running code, and fitting a state dict to a model without guessing in silence."""

from __future__ import annotations

import hashlib
import re
import shlex
import tarfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comictool.core.device import import_torch
from comictool.core.errors import InputError, near_matches
from comictool.plugins.trust import hash_file

if TYPE_CHECKING:
    import torch

Tensors = dict[str, "torch.Tensor"]
MOST_WORDS = 6  # of a prefix
MAX_DEPTH = 4  # how deep state dicts are looked for in a checkpoint
# What torch writes into names when a part of a network is compiled, sharded or recomputed.
WRAPPED = re.compile(r"(?<![^.])(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
# What only pretraining uses: masks (DINOv2, iBOT, SimMIM, BEiT, MAE), the decoder of MAE and SimMIM, the queue of MoCo,
# what SimCLR, SwAV, BYOL and DINOv2 put behind the network.
PRETRAINING = re.compile(
    r"mask_token|masked_embed|queue(_ptr)?|decoder_pos_embed|(decoder_(embed|blocks|norm|pred)|decoder)\..*"
    r"|(projection_head|prototypes|projector|predictor|dino_head|ibot_head)\..*"
)
# Of two networks that a file holds under these words, the first is the one that its authors evaluate: MoCo's query
# encoder, the teacher of DINO and its kin, the student of lightly's examples, BYOL's online network, the target encoder
# of I-JEPA, the average of timm. A momentum copy stands behind its original.
EVALUATED = (
    ("encoder_q", "encoder_k"),
    ("base_encoder", "momentum_encoder"),
    ("teacher", "student"),
    ("student_backbone", "teacher_backbone"),
    ("online_network", "target_network"),
    ("online_encoder", "target_encoder"),
    ("backbone", "backbone_momentum"),
    ("target_encoder", "encoder"),
    ("state_dict_ema", "state_dict"),
    ("model_ema", "model"),
)
LEAST_SHARE = 4  # a prefix stands before at least one in so many of the network's names
MOST_LAYOUTS = 32  # prefixes behind which another layout is looked for


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


def named_tensors(checkpoint: Any) -> Tensors:
    """Every tensor of a checkpoint by its dotted name: `{"state_dict": {"conv.weight": t}}` has one of the name
    `state_dict.conv.weight`.

    Raises:
        InputError: a tensor is larger, by its strides, than what the file holds of it.
    """
    found: Tensors = {}
    _collect(checkpoint, "", found, MAX_DEPTH)
    return found


def _collect(value: Any, prefix: str, found: Tensors, depth: int) -> None:
    torch = import_torch()
    if not isinstance(value, Mapping) or depth < 0:
        return
    for key, item in value.items():
        if not isinstance(key, str):
            continue
        if isinstance(item, torch.Tensor) and item.layout is torch.strided:
            # A stride of 0 repeats a few numbers: some bytes in a file would become any size in a model.
            if item.numel() * item.element_size() > item.untyped_storage().nbytes():
                raise InputError(f"the weights are damaged: {prefix}{key} is larger than what the file holds of it")
            found[prefix + key] = item.detach()
        elif isinstance(item, Mapping):
            _collect(item, f"{prefix}{key}.", found, depth - 1)


def part_of(tensors: Tensors, key: str, source: Path | str) -> Tensors:
    """The tensors below a dotted name, `state_dict.module.encoder_q` for example, without it; "" is all of them.

    Raises:
        InputError: no tensors, or none below this name.
    """
    if not tensors:
        raise InputError(f"{source} holds no tensors")
    if not key:
        return tensors
    inside = {name.removeprefix(f"{key}."): t for name, t in tensors.items() if name.startswith(f"{key}.")}
    if not inside:
        tops = sorted({name.split(".")[0] for name in tensors})
        raise InputError(
            f"{source} has no part {key!r}", hint=f"it has: {', '.join(tops[:12])}", near=near_matches(key, tops)
        )
    return inside


@dataclass(frozen=True)
class Fit:
    """How the tensors behind one prefix of a file fit a model, and what does not match."""

    prefix: str
    tensors: Tensors = field(repr=False)
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    misshapen: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    layout: str = ""
    beside: tuple[str, ...] = ()

    @property
    def faults(self) -> int:
        """Names that keep it from being loaded."""
        return len(self.missing) + len(self.unexpected) + len(self.misshapen)

    @property
    def key(self) -> str:
        """The dotted name in front of its tensors in the file, as `--key` takes it."""
        return self.prefix.rstrip(".")

    def note(self) -> str:
        """What was done that is not obvious, for the log."""
        notes = [f"removed the prefix {self.prefix!r}"] if self.prefix else []
        notes += [f"not {' or '.join(self.beside)}, which would fit too"] if self.beside else []
        notes += [self.layout] if self.layout else []
        notes += [f"left out {_some(self.left_out)}"] if self.left_out else []
        return "; ".join(notes)


class MisfitError(InputError):
    """The weights of a file belong to another network."""


@dataclass(frozen=True)
class Layout:
    """Another way in which weights of the same network are published: what is done (for the log), and the doing."""

    done: str
    convert: Callable[[Tensors], Tensors]


def find_fit(
    expected: Tensors,
    checkpoint: Any,
    source: str,
    *,
    classifiers: tuple[str, ...] = (),
    layouts: Sequence[Layout] = (),
) -> Fit:
    """Find the tensors of a checkpoint that fit a model.

    All names and shapes of the model must be there behind one prefix (none, `module.`, `encoder_q.`,
    `student_backbone.`, ...); names that have no place are refused, except those of the classifier that was taken
    off, those that only pretraining uses, and those outside the prefix. Buffers called `num_batches_tracked` may be
    missing: they do not enter inference. Of several networks that fit, the one that such files are published for is
    taken (`EVALUATED`), and the note says so.

    Args:
        expected: the model's own state dict; only names and shapes count.
        checkpoint: from `read_checkpoint`.
        source: the file, for errors.
        classifiers: names of the layers that the model came without.
        layouts: tried in this order when nothing fits as it is.

    Raises:
        InputError: none fits (with what is missing, unexpected or of another shape), or several that differ do.
    """
    tensors = {WRAPPED.sub("", name): tensor for name, tensor in named_tensors(checkpoint).items()}
    if not tensors:
        raise InputError(f"{source} holds no tensors")
    nearest: list[Fit] = []
    for layout in (None, *layouts):
        fits = list(_fits(expected, tensors, layout, classifiers))
        good = _evaluated(_distinct(expected, [fit for fit in fits if fit.faults == 0]))
        if len(good) > 1:
            names = [fit.key or "the whole" for fit in good]
            raise InputError(
                f"{source} holds {len(good)} different sets of weights that fit: {', '.join(names)}",
                hint=f"choose one: comictool plugins convert {shlex.quote(source)} --key {names[-1]}",
            )
        if good:
            return replace(good[0], tensors={n: good[0].tensors[n] for n in expected if n in good[0].tensors})
        nearest = nearest or fits
    raise _misfit(min(nearest, key=lambda fit: (fit.faults, len(fit.prefix))), len(expected), source)


def _fits(expected: Tensors, tensors: Tensors, layout: Layout | None, classifiers: tuple[str, ...]) -> Iterator[Fit]:
    if layout is None:
        for prefix in _prefixes(expected, tensors):
            yield _fit(expected, prefix, tensors, classifiers)
        return
    for above in _common_beginnings(tensors, len(expected)):
        inside = {name.removeprefix(above): t for name, t in tensors.items() if name.startswith(above)}
        if converted := layout.convert(inside):
            fit = _fit(expected, "", converted, classifiers)
            outside = tuple(name for name in tensors if not name.startswith(above))
            yield replace(fit, prefix=above, layout=layout.done, left_out=outside + fit.left_out)


def _common_beginnings(tensors: Tensors, wanted: int) -> list[str]:
    """Nothing, and the dotted words that begin as many names as a good share of a model with `wanted` names has."""
    words = (name.split(".")[:-1][:MOST_WORDS] for name in tensors)
    found = Counter(".".join(some[:count]) + "." for some in words for count in range(1, len(some) + 1))
    return ["", *(above for above, count in found.most_common(MOST_LAYOUTS) if count * LEAST_SHARE >= wanted)]


def _prefixes(expected: Tensors, tensors: Tensors) -> list[str]:
    """Nothing, and all that stands before a good share of the model's own names."""
    deepest = max((name.count(".") for name in expected), default=0) + 1
    found: Counter[str] = Counter()
    for name in tensors:
        words = name.rsplit(".", deepest)
        for start in range(1, len(words)):
            own = ".".join(words[start:])
            if own in expected:
                found[name.removesuffix(own)] += 1
    return ["", *sorted(prefix for prefix, count in found.items() if count * LEAST_SHARE >= len(expected))]


def _fit(expected: Tensors, prefix: str, tensors: Tensors, classifiers: tuple[str, ...]) -> Fit:
    inside = {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    outside = [name for name in tensors if not name.startswith(prefix)]
    extra = [name for name in inside if name not in expected]
    layers = tuple(f"{layer}." for layer in classifiers)
    needless = [name for name in extra if name.startswith(layers) or PRETRAINING.fullmatch(name)]
    return Fit(
        prefix=prefix,
        tensors=inside,
        missing=tuple(n for n in expected if n not in inside and not n.endswith("num_batches_tracked")),
        unexpected=tuple(name for name in extra if name not in needless),
        misshapen=tuple(
            f"{name} {list(inside[name].shape)} for {list(tensor.shape)}"
            for name, tensor in expected.items()
            if name in inside and inside[name].shape != tensor.shape
        ),
        left_out=tuple(outside + needless),
    )


def _distinct(expected: Tensors, fits: Sequence[Fit]) -> list[Fit]:
    """Without those that give the model the same numbers as an earlier one: a path to the same tensors, or a copy."""
    found: list[Fit] = []
    for fit in fits:
        if not any(_equal(expected, fit.tensors, other.tensors) for other in found):
            found.append(fit)
    return found


def _evaluated(fits: Sequence[Fit]) -> list[Fit]:
    """Without those beside which stands the network that its authors evaluate."""
    words = [set(fit.prefix.split(".")) for fit in fits]
    lesser = [any(b in own and a not in own and any(a in w for w in words) for a, b in EVALUATED) for own in words]
    beside = tuple(fit.key for fit, less in zip(fits, lesser, strict=True) if less)
    return [replace(fit, beside=beside) for fit, less in zip(fits, lesser, strict=True) if not less]


def _equal(names: Iterable[str], some: Tensors, others: Tensors) -> bool:
    pairs = ((some.get(name), others.get(name)) for name in names)
    return all(a is b or (a is not None and b is not None and _same(a, b)) for a, b in pairs)


def _same(some: torch.Tensor, other: torch.Tensor) -> bool:
    if some.data_ptr() == other.data_ptr():
        return True  # of NaN too, which is refused after this, by its own name
    return some.dtype == other.dtype and import_torch().equal(some, other)


def _misfit(fit: Fit, wanted: int, source: str) -> MisfitError:
    causes = [
        f"{len(names)} {what}: {_some(names)}"
        for what, names in (
            ("missing", fit.missing),
            ("unexpected", fit.unexpected),
            ("of another shape", fit.misshapen),
        )
        if names
    ]
    hint = "the file belongs to another architecture or size; name the one it was trained with"
    if len(fit.missing) * LEAST_SHARE > wanted * (LEAST_SHARE - 1):
        hint = "its names are those of another architecture, or of another layout of this one"
    elif not fit.missing and not fit.misshapen:
        hint = "the file holds more than this architecture; one that has those layers too may fit"
    nearest = f" (nearest: {fit.note()})" if fit.prefix else ""
    return MisfitError(
        f"the weights in {source} do not fit the architecture{nearest}", cause="; ".join(causes), hint=hint
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
