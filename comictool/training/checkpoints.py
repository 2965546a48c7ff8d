"""Checkpoints: whole or absent, safe to load, and complete, so that a resumed run is the run.

A checkpoint holds tensors, numbers, texts, lists and dicts only: it loads with `weights_only=True`, so a file from
elsewhere cannot run anything.
"""

from __future__ import annotations

import pickle
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from comictool.core.errors import InputError
from comictool.core.files import atomic_file

FORMAT = 2


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write a checkpoint beside its place, flush it to the disk, then rename.

    Raises:
        OSError: the disk refuses; an older checkpoint of that name is unharmed.
    """
    with atomic_file(path, durable=True) as stream:
        torch.save({"format": FORMAT, **state}, stream)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint into CPU memory.

    Raises:
        InputError: missing, damaged, of another program or version, or with objects that only running code could make.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} is no checkpoint of this program, or one that was tampered with", cause=_first_line(error)
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged or no checkpoint", cause=_first_line(error)) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        found = state.get("format") if isinstance(state, dict) else type(state).__name__
        raise InputError(f"{path} has the format {found!r}; this version reads {FORMAT}")
    return state


@contextmanager
def unpacking(path: Path) -> Iterator[None]:
    """Within the block the content of a checkpoint is taken over; what is missing or of another shape is reported.

    Raises:
        InputError: it was written by another version of this program, or changed.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} does not fit: another version of this program wrote it, or it was changed",
            cause=f"{type(error).__name__}: {_first_line(error)}",
            hint="train into another -o, or --resume never to start over",
        ) from error


def random_state(device: torch.device) -> dict[str, Any]:
    """Where the global generators of Python, numpy and torch stand in this process."""
    version, internal, gauss = random.getstate()
    _, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    state: dict[str, Any] = {
        "python": [version, list(internal), gauss],
        "numpy": [torch.from_numpy(np.asarray(keys).astype(np.int64)), int(position), int(has_gauss), float(cached)],
        "torch": torch.get_rng_state(),
    }
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        state["mps"] = torch.mps.get_rng_state()
    return state


def restore_random_state(state: Mapping[str, Any], device: torch.device) -> None:
    """Put the generators back to where `random_state` found them; one for another device is left out."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
    elif device.type == "mps" and "mps" in state:
        torch.mps.set_rng_state(state["mps"])


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).partition("\n")[0][:300]
