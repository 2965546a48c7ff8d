"""Stores that are not what they say: `data verify` finds numbers that changed on disk and pages that changed since."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from comictool.core.errors import InputError
from comictool.core.jobs import JobOptions
from comictool.datasets.splitting.split import SplitOptions, split_dataset
from comictool.plugins.load import EncoderSpec
from comictool.vectors.job import EmbedOptions, embed
from comictool.vectors.stream import encoder_key
from comictool.vectors.verifying import verify_stores
from tests.vectors.fakes import ask, embed_corpus, fake, make_corpus

ONE = JobOptions(jobs=1)


@pytest.mark.parametrize("name", ["vectors", "state"])
def test_a_bit_that_fell_over_is_found(tmp_path: Path, name: str) -> None:
    """6.10: chunks carry no checksum, and queries of damaged vectors gave NaN with exit 0."""
    corpus, root = make_corpus(tmp_path / "corpus", {"a": 5, "b": 5}), tmp_path / "store"
    embed_corpus(corpus, fake(), root, options=ONE)
    assert not list(verify_stores(corpus.root))
    for file in sorted(root.glob(f"contents-*/panels/image/{name}/c/**/0")):
        if file.is_file():
            data = bytearray(file.read_bytes())
            data[-1] ^= 2
            file.write_bytes(data)
    (found,) = verify_stores(corpus.root)
    assert (found.item, found.kind) == ("../store", "vectors")
    assert found.detail.startswith("panel/image")
    embed_corpus(corpus, fake(), root, options=JobOptions(jobs=1, resume="never"))  # what the finding says
    assert not list(verify_stores(corpus.root))


def test_vectors_that_are_no_numbers_never_answer(tmp_path: Path) -> None:
    """6.10."""
    corpus, root = make_corpus(tmp_path / "corpus", {"a": 5, "b": 5}), tmp_path / "store"
    embed_corpus(corpus, fake(), root, options=ONE)
    for file in root.glob("contents-*/pages/image/vectors/c/**/0"):
        if file.is_file():
            file.write_bytes(b"\xff" * file.stat().st_size)
    with pytest.raises(InputError, match="damaged"):
        ask(root, id="a/2", level="page", k=3)


def test_what_changed_since_is_named(tmp_path: Path) -> None:
    """F2: `data verify` says which stores are stale, and why."""
    corpus, root = make_corpus(tmp_path / "corpus", {"a": 5, "b": 5, "c": 5}), corpus_store(tmp_path)
    split_dataset(corpus, split=SplitOptions(ratios=(1, 0, 1), level="panels", seed=0))
    embed_corpus(corpus, fake(), root, options=ONE)
    assert not list(verify_stores(corpus.root))
    split_dataset(corpus, split=SplitOptions(ratios=(1, 0, 0), level="panels"))
    (moved,) = verify_stores(corpus.root)
    assert (moved.item, moved.kind) == ("store", "stale")
    assert "is in another split now" in moved.detail
    picture = corpus.image_path(corpus.pages("a")[0])
    Image.new("RGB", Image.open(picture).size, (9, 120, 40)).save(picture)
    (corpus.root / "annotations" / "pages" / "b.jsonl").unlink()
    found = {finding.detail.partition(": the command")[0] for finding in verify_stores(corpus.root)}
    assert "a/1 is another picture or has other boxes now" in found
    assert "b/1 is not in the corpus any more, and 4 more" in found
    embed_corpus(corpus, fake(), root, options=ONE)
    assert not list(verify_stores(corpus.root))


def corpus_store(folder: Path) -> Path:
    """A store that lies in its corpus."""
    return folder / "corpus" / "store"


def test_each_precision_that_is_asked_for_is_kept_apart(tmp_path: Path) -> None:
    """F7: vectors in bf16 were kept under an explicit fp32; here all pairs, and the other names of one."""
    torch = pytest.importorskip("torch")
    assert torch
    spec = {p: EncoderSpec("timm:test_vit?random", device="cpu", precision=p) for p in ("auto", "fp32", "bf16", "fp16")}
    corpus = make_corpus(tmp_path / "corpus", {"a": 2})
    embed(corpus, spec["bf16"], tmp_path / "store", EmbedOptions(("panel",)), options=ONE)
    with pytest.raises(InputError, match="was made with other settings"):
        embed(corpus, spec["fp32"], tmp_path / "store", EmbedOptions(("panel",)), options=ONE)
    keys = {encoder_key(EncoderSpec("classic", precision=p)) for p in spec}
    assert len(keys) == 1  # without torch there is nothing to choose
    again = EncoderSpec("timm:test_vit?random", device="cpu", precision="bfloat16")
    assert embed(corpus, again, tmp_path / "store", EmbedOptions(("panel",)), options=ONE).skipped
