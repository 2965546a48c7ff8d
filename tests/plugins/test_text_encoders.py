"""Encoders of texts: the hashed one against its definition, MiniLM against the transformers library, files that lie."""

from __future__ import annotations

import importlib.util
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from comictool.core.errors import InputError, SetupError, UsageError
from comictool.plugins.check import check_plugin
from comictool.plugins.load import EncoderSpec, load_model
from comictool.plugins.text import hashed, minilm
from comictool.plugins.text.bert import BertEncoder, BertShape

SMALL = BertShape(words=40, positions=24, types=2, width=16, layers=2, heads=4, hidden=32)
WORDS = ["[PAD]", "[UNK]", "the", "cat", "ran", "home", "!"]


def small_model(folder: Path) -> Path:
    """A sentence model of the shape of MiniLM with random weights, as its files lie in a folder."""
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder.mkdir(parents=True)
    torch.manual_seed(3)
    save_file(BertEncoder(SMALL).state_dict(), folder / minilm.WEIGHTS)
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / minilm.TOKENIZER))
    (folder / minilm.CONFIG).write_text(json.dumps({"num_attention_heads": SMALL.heads}))
    return folder


def plugin(folder: Path, dimension: int = 16) -> Path:
    (folder / "plugin.toml").write_text(
        f'schema = 2\nid = "small"\nversion = "1"\ntitle = "t"\nkind = "text-encoder"\nlicence = "MIT"\n'
        f'[architecture]\nname = "minilm"\n[output.vector]\ndimension = {dimension}\n'
    )
    return folder


def test_hashed_keeps_its_promises_and_knows_spelling_in_any_script() -> None:
    assert [(r.name, r.detail) for r in check_plugin(EncoderSpec("hashed")) if not r.ok] == []
    encoder = load_model(EncoderSpec("hashed"), "text-encoder")
    assert encoder.needs_torch is False
    right, wrong_letters, case, other, japanese, part = encoder.embed_texts(
        [
            "Where is the lantern?",
            "Where is tne lantem?",
            "WHERE IS THE LANTERN",
            "We eat soup",
            "猫はどこですか",
            "猫はどこ",
        ]
    )
    assert right @ case > 0.999
    assert right @ wrong_letters > 0.5 > 0.25 > abs(right @ other)
    assert japanese @ part > 0.5
    assert np.array_equal(encoder.embed_texts(["", "?!"])[0], np.eye(384, dtype=np.float32)[0])


def test_hashed_vectors_stay_what_they_are() -> None:
    """Vectors in stores must not change with a release: what the first three pieces of a text add to."""
    pieces = hashed.weighted_pieces("Ab")
    assert list(pieces) == ["=ab", "<ab", "ab>", "<ab>"]
    assert pieces["=ab"] == pytest.approx(np.sqrt(2 * np.log(3)))
    assert hashed._places("=ab", 384) == ((63, 1.0), (23, -1.0))


@pytest.mark.parametrize("text", ["a" * 300_000, "\ud800 half", "\x00", "e\u0301" * 1000])
def test_strange_texts_have_vectors(text: str) -> None:
    (vector,) = load_model(EncoderSpec("hashed"), "text-encoder").embed_texts([text])
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_the_network_is_that_of_transformers() -> None:
    """Random weights, through their implementation and ours."""
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=SMALL.words, hidden_size=SMALL.width, num_hidden_layers=SMALL.layers,
        num_attention_heads=SMALL.heads, intermediate_size=SMALL.hidden, max_position_embeddings=SMALL.positions,
    )  # fmt: skip
    torch.manual_seed(1)
    theirs, ours = transformers.BertModel(config, add_pooling_layer=False).eval(), BertEncoder(SMALL).eval()
    ours.load_state_dict(theirs.state_dict(), strict=False)
    tokens = torch.randint(0, 40, (3, 9))
    mask = torch.arange(9)[None] < torch.tensor([9, 4, 1])[:, None]
    with torch.inference_mode():
        states = theirs(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
        mean = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        torch.testing.assert_close(ours(tokens, mask), mean / mean.norm(dim=1, keepdim=True), atol=1e-5, rtol=1e-4)


def test_a_model_in_a_folder(tmp_path: Path) -> None:
    folder = plugin(small_model(tmp_path / "small"))
    assert [(r.name, r.detail) for r in check_plugin(EncoderSpec(str(folder), device="cpu")) if not r.ok] == []
    own = load_model(EncoderSpec(str(folder), device="cpu"))
    elsewhere = plugin(tmp_path)
    other = load_model(EncoderSpec(str(elsewhere), weights=folder / minilm.WEIGHTS, device="cpu"))
    assert own.encoder_id == other.encoder_id
    vectors = own.embed_texts(["the cat ran home", "the", "home ran the cat !"])
    assert vectors[0] @ vectors[2] < 0.999  # places count
    np.testing.assert_allclose(other.embed_texts(["the"])[0], vectors[1], atol=1e-5)


def test_the_hub_cache_is_found_and_nothing_is_said_to_be_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(minilm, "find_spec", lambda name: None)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(SetupError, match="not on this machine") as refused:
        load_model(EncoderSpec("minilm", device="cpu"))
    assert "pip install" in refused.value.hint
    snapshot = small_model(tmp_path / "hub" / minilm.HUB_FOLDER / "snapshots" / "abc")
    assert minilm.find_files(EncoderSpec("minilm"), tmp_path).where == snapshot
    with pytest.raises(InputError, match="16 numbers, its manifest says 384"):
        load_model(EncoderSpec("minilm", device="cpu"))


@pytest.mark.parametrize(
    ("name", "content", "fact"),
    [
        (minilm.WEIGHTS, b"\xff" * 40, "damaged"),
        (minilm.TOKENIZER, b"{}", "tokenizer.json is damaged"),
        (minilm.CONFIG, b'{"num_attention_heads": 5}', "must divide 16"),
        (minilm.CONFIG, b"[" * 10_000, "config.json"),
    ],
)
def test_damaged_files_are_sentences(tmp_path: Path, name: str, content: bytes, fact: str) -> None:
    folder = plugin(small_model(tmp_path / "small"))
    (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=fact):
        load_model(EncoderSpec(str(folder), device="cpu"))


def test_an_archive_without_the_files_or_with_a_file_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as packed:
        packed.writestr(minilm.CONFIG, b"{}" + b" " * 100)
    files = minilm.Files(tmp_path / "model.zip", archive=True)
    with pytest.raises(InputError, match=r"holds no model\.safetensors"):
        files.read(minilm.WEIGHTS)
    monkeypatch.setitem(minilm.MOST_BYTES, minilm.CONFIG, 50)
    with pytest.raises(InputError, match="too many for one"):
        files.read(minilm.CONFIG)


@pytest.mark.skipif(importlib.util.find_spec(minilm.PACKAGE) is None, reason="needs comictool[text]")
def test_the_installed_model_knows_meaning() -> None:
    """Of the published model."""
    encoder = load_model(EncoderSpec("minilm", device="cpu"), "text-encoder")
    assert encoder.encoder_id.startswith("minilm@1+")
    same, close, far = encoder.embed_texts(["The boat sank.", "The ship went under.", "I would like some soup."])
    assert same @ close > 0.55 > 0.3 > same @ far


def test_weights_that_are_no_sentence_model(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not the folder of a sentence model"):
        load_model(EncoderSpec("minilm", weights=tmp_path / "x.safetensors"))
