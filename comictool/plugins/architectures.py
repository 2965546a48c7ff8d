"""Built-in architectures by name: what a manifest without code can ask for.

A function registered under a public name builds the model; importing this module imports none of them.

    classic            numpy descriptors, no weights, no torch
    resnet18_linear    ResNet-18 trunk + linear 512 -> `dimension`; see `resnet18_linear` for the names of its weights
    dino_vit           vision transformer in DINO's layout, any size; what `train elric` exports
    instance           one of the others with a fusion of face and body and a linear head; what `train reid` exports
    timm:NAME          any timm architecture without its classifier, pooled features; names of its weights are timm's
    joined             several plugins or architectures as one: `comictool.plugins.joined`
    python             model.py in the plugin directory (runs only with trust)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from comictool.core.errors import InputError, UsageError, near_matches
from comictool.plugins.manifest import MAX_DIMENSION, Manifest
from comictool.plugins.names import TIMM

if TYPE_CHECKING:
    import torch

    from comictool.plugins.encoder import Encoder

Builder = TypeVar("Builder", bound=Callable[..., Any])


@dataclass(frozen=True)
class Architecture:
    """A registered architecture.

    Attributes:
        name: as manifests spell it.
        build: for those that need torch `(**arguments) -> torch.nn.Module` mapping (N, 3, H, W) to (N, D);
            for light ones `(manifest, **arguments) -> Encoder`.
        needs_torch: takes weights, and torch to run them.
        classifiers: layers that published weights have and the model does not.
        published: see `comictool.plugins.building.build_with_weights`.
        sizes: the arguments that fit some weights, where they can be read off them but for the number of heads (0:
            the usual one).
    """

    name: str
    build: Callable[..., Any]
    needs_torch: bool
    classifiers: tuple[str, ...] = ()
    published: Callable[[dict[str, Any], Any], Mapping[str, Any]] | None = None
    sizes: Callable[[Mapping[str, Any], int], dict[str, Any]] | None = None


_REGISTRY: dict[str, Architecture] = {}


def architecture(
    name: str,
    *,
    needs_torch: bool = True,
    classifiers: tuple[str, ...] = (),
    published: Callable[[dict[str, Any], Any], Mapping[str, Any]] | None = None,
    sizes: Callable[[Mapping[str, Any], int], dict[str, Any]] | None = None,
) -> Callable[[Builder], Builder]:
    """Register a builder under a public name.

    Raises:
        ValueError: the name is taken (a mistake in the program, not of a user).
    """

    def register(build: Builder) -> Builder:
        if name in _REGISTRY:
            raise ValueError(f"architecture {name!r} is registered twice: {_REGISTRY[name].build} and {build}")
        _REGISTRY[name] = Architecture(name, build, needs_torch, classifiers, published, sizes)
        return build

    return register


def architecture_names() -> list[str]:
    """The registered names, sorted; `timm:NAME` and `python` are understood besides."""
    return sorted(_REGISTRY)


def find_architecture(name: str) -> Architecture:
    """A built-in architecture.

    Raises:
        UsageError: nearly right; the corrected spelling is in the hint.
        InputError: unknown, with the nearest names.
    """
    if name in _REGISTRY:
        return _REGISTRY[name]
    if name.startswith(TIMM) and name[len(TIMM) :] in _REGISTRY:
        raise UsageError(f"{name!r} is our own architecture, not timm's", hint=f"write it as {name[len(TIMM) :]}")
    if name.startswith(TIMM):
        from comictool.plugins.timm_models import timm_architecture

        return timm_architecture(name[len(TIMM) :])
    plain = name.lower().replace("-", "_")
    if plain in _REGISTRY:
        raise UsageError(f"there is no architecture {name!r}", hint=f"write it as {plain}")
    raise InputError(
        f"there is no architecture {name!r}",
        hint=f"built in: {', '.join(architecture_names())}; timm's are written {TIMM}{name}",
        near=near_matches(name, architecture_names()),
    )


def call_builder(found: Architecture, arguments: Mapping[str, Any], *first: Any) -> Any:
    """Build, with wrong arguments turned into a sentence.

    Raises:
        InputError: the architecture does not take these arguments.
    """
    try:
        return found.build(*first, **arguments)
    except (TypeError, ValueError, AssertionError, KeyError, AttributeError, RuntimeError, IndexError) as error:
        problem = f"does not take these arguments: {dict(arguments)}" if arguments else "cannot be built"
        raise InputError(f"architecture {found.name} {problem}", cause=str(error)[:300]) from error


@architecture("classic", needs_torch=False)
def classic(manifest: Manifest, **arguments: Any) -> Encoder:
    """Colour layout, gradient and structure descriptors in numpy."""
    from comictool.plugins.classic.encoder import ClassicEncoder
    from comictool.plugins.light_encoder import LightEncoder

    return LightEncoder(ClassicEncoder(**arguments), manifest)


@architecture("resnet18_linear")
def resnet18_linear(dimension: int = 500) -> torch.nn.Module:
    """ResNet-18 without its classifier, then one linear layer.

    Names of the weights: `trunk.conv1.weight`, `trunk.bn1.…`, `trunk.layer1.0.conv1.weight` … as torchvision names
    them, then `embedder.1.weight` (dimension, 512) and `embedder.1.bias` (dimension). Index 0 of the embedder is a
    place for dropout that has no weights; a checkpoint of the form {"trunk": {...}, "embedder": {...}} fits as it is.
    """
    from comictool.core.device import import_torch

    import_torch()
    from comictool.plugins.resnet18 import ResNet18Linear

    if not 1 <= dimension <= MAX_DIMENSION:
        raise ValueError(f"dimension {dimension} is outside 1 .. {MAX_DIMENSION}")
    return ResNet18Linear(dimension)


def _dino_sizes(tensors: Mapping[str, Any], heads: int) -> dict[str, Any]:
    from comictool.plugins.dino_vit import shape_of

    return asdict(shape_of(tensors, heads))


@architecture("dino_vit", classifiers=("head",), sizes=_dino_sizes)
def dino_vit(
    size: str = "",
    width: int = 0,
    depth: int = 0,
    heads: int = 0,
    patch_size: int = 16,
    image_size: int = 224,
    mlp_ratio: float = 4.0,
) -> torch.nn.Module:
    """A vision transformer in DINO's layout without its head; arguments and names of weights: `plugins.dino_vit`."""
    from comictool.core.device import import_torch

    import_torch()
    from comictool.plugins.dino_vit import DinoViT, vit_shape

    if not 0 <= width <= MAX_DIMENSION:
        raise ValueError(f"width {width} is outside 1 .. {MAX_DIMENSION}")
    return DinoViT(
        vit_shape(
            size,
            width=width,
            depth=depth,
            heads=heads,
            patch_size=patch_size,
            image_size=image_size,
            mlp_ratio=mlp_ratio,
        )
    )


def _original_names(tensors: dict[str, Any], network: Any) -> Mapping[str, Any]:
    from comictool.plugins.instance_network import without_original_names

    return without_original_names(tensors, network)


@architecture("instance", published=_original_names)
def instance(
    backbone: str = "timm:resnet50",
    features: int = 2048,
    dimension: int = 256,
    fusion: str = "sum",
    tokens: bool = False,
    neck: int = 0,
    half: str = "body",
    arguments: Mapping[str, Any] | None = None,
) -> torch.nn.Module:
    """What `train reid` exports: another architecture as backbone, which takes `arguments`, a fusion of face and body,
    and a linear head; see `plugins.instance_network`. One picture is the `half` that is named.
    """
    from comictool.core.device import import_torch

    import_torch()
    from comictool.plugins.instance_network import InstanceNetwork

    if backbone == "instance" or not (found := find_architecture(backbone)).needs_torch:
        raise ValueError(f"{backbone} is no backbone")
    if not (1 <= features <= MAX_DIMENSION and max(dimension, neck) <= MAX_DIMENSION and min(dimension, neck) >= 0):
        raise ValueError(f"features {features}, dimension {dimension}, neck {neck}: at most {MAX_DIMENSION}")
    network = call_builder(found, arguments or {})
    return InstanceNetwork(network, features, dimension=dimension, fusion=fusion, tokens=tokens, neck=neck, half=half)
