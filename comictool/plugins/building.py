"""Building a network for weights that somebody else wrote, so that the file decides how much memory is taken.

A manifest of 400 bytes can ask for a transformer of any size. So the network is first built on torch's meta device,
where tensors have shapes and no numbers (https://docs.pytorch.org/docs/stable/meta.html), and never larger than what
the file holds; only when names and shapes fit, and the numbers are sound, is memory taken for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from comictool.core.device import import_torch
from comictool.core.errors import InputError
from comictool.plugins.efficientnet_names import as_timm_names
from comictool.plugins.weights import Fit, Layout, MisfitError, Tensors, find_fit, named_tensors

if TYPE_CHECKING:
    import torch

M = TypeVar("M", bound="torch.nn.Module")
# Beyond what the file holds: buffers that are not saved, a classifier that is taken off again.
SPARE = 8
SPARE_NUMBERS = 16 << 20
Published = Callable[[dict[str, Any], Any], Mapping[str, Any]]  # (tensors, network) -> tensors, as timm's filters are
CHUNK = re.compile(r"(^|\.)blocks\.[0-9]+\.([0-9]+)\.")
NUMBERED = re.compile(r"([0-9]{1,3})\..+")
MOST_MODULES = 50_000  # the largest published vision models have some 5,000; each costs memory without any weights


def build_with_weights(
    make: Callable[[], M],
    checkpoint: Any,
    source: str,
    *,
    classifiers: tuple[str, ...] = (),
    published: Published | None = None,
) -> tuple[M, Fit]:
    """A network with the weights of a checkpoint in it.

    Args:
        make: builds the network; called twice.
        checkpoint: from `comictool.plugins.weights.read_checkpoint`.
        source: the file, for errors.
        classifiers: layers that published weights have and the network does not; a network may name more of them
            as its `left_out`.
        published: turns weights as they were published into the network's own names and shapes, where it can.

    Raises:
        InputError: no part of the checkpoint fits, the network is larger than what the file holds, or a number is not
            finite.
    """
    torch = import_torch()
    numbers = sum(tensor.numel() for tensor in named_tensors(checkpoint).values())
    with torch.device("meta"), _without_drawing(), _at_most(SPARE * numbers + SPARE_NUMBERS, source):
        outline = make()
    classifiers = (*classifiers, *getattr(outline, "left_out", ()))
    fit = fit_weights(outline, checkpoint, source, classifiers=classifiers, published=published)
    network = make()
    network.load_state_dict(fit.tensors, strict=False)  # `find_fit` was strict; classifiers have no place
    return network, fit


def _without_drawing() -> AbstractContextManager[Any]:
    """No random numbers for tensors that have none, in this thread: for them torch would import its compiler, which
    takes a second and 180 MB.
    """
    torch = import_torch()
    from torch.overrides import TorchFunctionMode

    drawing = {torch.Tensor.normal_, torch.Tensor.uniform_}

    class NotDrawn(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if function in drawing and args[0].is_meta:
                return args[0]
            return function(*args, **(kwargs or {}))

    return NotDrawn()


def fit_weights(
    network: torch.nn.Module,
    checkpoint: Any,
    source: str,
    *,
    classifiers: tuple[str, ...] = (),
    published: Published | None = None,
) -> Fit:
    """The weights of a checkpoint that fit a network; only the network's names and shapes count.

    Args and errors: see `build_with_weights`.
    """
    layouts = [
        Layout("took blocks out of chunks", _without_chunks),
        Layout("named numbered layers", _named(network)),
        Layout("named as timm does, not EfficientNet-PyTorch", partial(as_timm_names, network=network)),
    ]
    if published is not None:
        layouts.append(Layout("converted as its authors' code does", _guarded(published, network)))
    fit = find_fit(network.state_dict(), checkpoint, source, classifiers=classifiers, layouts=layouts)
    check_finite(fit.tensors, source)
    return fit


def _without_chunks(tensors: Tensors) -> Tensors:
    """`blocks.0.3.attn...` as `blocks.3.attn...`: DINOv2 trains in chunks, which count on
    (https://github.com/facebookresearch/dinov2, `block_chunks` in dinov2/models/vision_transformer.py).
    """
    renamed = {CHUNK.sub(r"\1blocks.\2.", name): tensor for name, tensor in tensors.items()}
    return renamed if len(renamed) == len(tensors) and renamed.keys() != tensors.keys() else {}


def _named(outline: torch.nn.Module) -> Callable[[Tensors], Tensors]:
    """`0.weight`, `4.0.conv1.weight` as `conv1.weight`, `layer1.0.conv1.weight`: a network that was taken apart as
    `nn.Sequential(*network.children())`, which is what lightly's examples train
    (https://docs.lightly.ai/self-supervised-learning/examples/models.html).
    """
    children = [name for name, _ in outline.named_children()]

    def convert(tensors: Tensors) -> Tensors:
        found = {name: NUMBERED.fullmatch(name) for name in tensors}
        places = {name: int(match[1]) for name, match in found.items() if match and int(match[1]) < len(children)}
        return {f"{children[place]}.{name.partition('.')[2]}": tensors[name] for name, place in places.items()}

    return convert


def _guarded(published: Published, outline: torch.nn.Module) -> Callable[[Tensors], Tensors]:
    """A conversion that somebody else wrote, for a file by a third: whatever it raises, the file is not of its kind."""

    def convert(tensors: Tensors) -> Tensors:
        try:
            return {name: t for name, t in published(dict(tensors), outline).items() if hasattr(t, "shape")}
        except Exception:
            return {}

    return convert


def check_finite(tensors: Mapping[str, torch.Tensor], source: str) -> None:
    """Refuse NaN and infinity, which no finished training wrote and every picture would get as its vector.

    Raises:
        InputError: names the first tensor that holds one.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise InputError(f"{source} holds numbers that are not finite: {name}")


@contextmanager
def _at_most(numbers: int, source: str) -> Iterator[None]:
    """Within the block no network may grow beyond `numbers` parameters, nor have an absurd number of parts."""
    from torch.nn.modules import module

    count = {"numbers": 0, "modules": 0}

    def parameter(owner: Any, name: str, value: Any) -> None:
        count["numbers"] += 0 if value is None else value.numel()
        check()

    def submodule(owner: Any, name: str, value: Any) -> None:
        count["modules"] += 1
        check()

    def check() -> None:
        if count["numbers"] > numbers or count["modules"] > MOST_MODULES:
            raise MisfitError(
                f"the weights in {source} do not fit the architecture",
                cause="the network that its arguments describe is far larger than what the file holds",
                hint="the file belongs to another architecture or size; name the one it was trained with",
            )

    hooks = [
        module.register_module_parameter_registration_hook(parameter),
        module.register_module_module_registration_hook(submodule),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
