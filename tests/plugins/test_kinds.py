"""Kinds of plugins: each loads from a code plugin, each keeps its promises or is told on, and a new one is a row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest

from comictool.core.errors import InputError, UsageError
from comictool.plugins.check import check_plugin
from comictool.plugins.discovery import list_plugins
from comictool.plugins.kinds import KINDS, Kind, named
from comictool.plugins.load import EncoderSpec, load_model
from comictool.plugins.manifest import VECTOR, Inputs, OutputSpec, write_manifest
from comictool.plugins.protocols import Model
from tests.plugins.makers import code_plugin, manifest

BUILD = "import numpy as np\n\ndef build_plugin(manifest, directory, device):\n    return Model()\n\nclass Model:\n"
CODE = {  # method: good, and what each broken answer is told
    "text-encoder": (
        "    def embed_texts(self, texts):\n        return np.array([[len(t), 1, 2, 3] for t in texts], float)\n",
        {"return np.array([[len(t), 1, 2, 3] for t in texts], float)": ("return np.ones((1, 5))", "numbers [1, 5]")},
    ),
    "sequence": (
        "    def encode(self, vectors):\n        return vectors[:, :4]\n",
        {"vectors[:, :4]": ("vectors[:, :4] * np.inf", "not finite")},
    ),
    "fusion": (
        "    def fuse(self, columns):\n        return sum(np.nan_to_num(c[:, :4]) for c in columns.values())\n",
        {"np.nan_to_num(c[:, :4])": ("c[:, :4]", "finite")},
    ),
    "detector": (
        "    def detect(self, images):\n        return [([[0, 0, i.shape[1], 5]], [.5], ['panel']) for i in images]\n",
        {
            "'panel'": ("'cat'", "the class 'cat', not one of panel"),
            "i.shape[1], 5": ("i.shape[1] + 1, 5", "outside its picture"),
            "[.5]": ("[1.5]", "scores outside"),
            "for i in images": ("for i in images[1:]", "answers, not one for each of"),
        },
    ),
    "depth": (
        "    def depth(self, images):\n        return [i.mean(2) for i in images]\n",
        {"i.mean(2)": ("i.mean(2).T[1:]", "a map"), "[i.mean(2) for i in images]": ("3", "0 answers")},
    ),
    "ocr": (
        "    def read(self, images):\n        return [[((0, 0, 5, 5), 'text', .9)] for i in images]\n",
        {"'text'": ("7", "no text"), "(0, 0, 5, 5)": ("(5, 0, 5, 5)", "empty"), "((0,": ("1/0, ((0,", "failed")},
    ),
}
BROKEN = [(kind, *pair) for kind, (_, wrong) in CODE.items() for pair in wrong.items()]


def plugin(folder: Path, kind: str, code: str) -> EncoderSpec:
    outputs = {
        name: OutputSpec(4 if form == "vector" else 0, form, classes=("panel",) if form == "boxes" else ())
        for name, form in KINDS[kind].outputs.items()
    }
    reads = {"panel/image": "a@1", "panel/text": "b@1"} if KINDS[kind].reads else {}
    code_plugin(folder, BUILD + code, kind=kind, output=outputs, input=Inputs(), threshold={}, reads=reads)
    return EncoderSpec(str(folder), trust=True, device="cpu")


@pytest.mark.parametrize("kind", CODE)
def test_each_kind_loads_from_code_and_keeps_its_promises(tmp_path: Path, kind: str) -> None:
    spec = plugin(tmp_path / "p", kind, CODE[kind][0])
    assert [(r.name, r.detail) for r in check_plugin(spec) if not r.ok] == []
    assert isinstance(named(KINDS[kind].protocol), type)
    (summary,) = [found for found in list_plugins([tmp_path]) if found.where == "--plugin-dir"]
    assert (summary.kind, summary.problem) == (kind, "")
    with pytest.raises(UsageError, match=f"is an? {kind}, not an encoder"):
        spec.load()


@pytest.mark.parametrize(("kind", "good", "change"), BROKEN)
def test_a_broken_answer_is_a_sentence(tmp_path: Path, kind: str, good: str, change: tuple[str, str]) -> None:
    assert good in CODE[kind][0]
    spec = plugin(tmp_path / "p", kind, CODE[kind][0].replace(good, change[0]))
    failed = [result.detail for result in check_plugin(spec) if not result.ok]
    assert failed
    assert change[1] in failed[0]


def test_code_of_every_kind_needs_trust(tmp_path: Path) -> None:
    plugin(tmp_path / "p", "depth", CODE["depth"][0])
    with pytest.raises(UsageError, match="code"):
        load_model(EncoderSpec(str(tmp_path / "p")))


def test_an_architecture_of_no_kind_is_refused(tmp_path: Path) -> None:
    made = manifest(kind="sequence", architecture="dino_vit", input=Inputs(), output={VECTOR: OutputSpec(4)})
    write_manifest(tmp_path, made)
    with pytest.raises(InputError, match="no sequence has the architecture dino_vit") as refusal:
        load_model(EncoderSpec(str(tmp_path)))
    assert refusal.value.hint == "known: asterx, python"


# A toy kind, as CONTRIBUTING describes it: pictures to one number each.


class InkMeter(Model, Protocol):
    def ink(self, images: Sequence[np.ndarray]) -> list[float]:
        """N pictures (H, W, 3) uint8 to N shares in 0..1."""
        ...


def inks(manifest: object, inputs: list[np.ndarray], answer: object) -> list[float]:
    """One number in 0..1 for each picture."""
    shares = [float(share) for share in answer]  # type: ignore[attr-defined]
    if len(shares) != len(inputs) or not all(0 <= share <= 1 for share in shares):
        raise InputError(f"{shares} are not {len(inputs)} shares")
    return shares


INK = Kind(
    name="ink",
    does="pictures to the share of dark pixels",
    protocol="tests.plugins.test_kinds:InkMeter",
    method="ink",
    outputs={"share": "map"},
    accepts="tests.plugins.test_kinds:inks",
    trial="comictool.plugins.answers:pictures",
)
INK_CODE = "    def ink(self, images):\n        return [(i < 128).mean() for i in images]\n"


def test_a_new_kind_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "ink", INK)
    spec = plugin(tmp_path / "p", "ink", INK_CODE)
    black = np.zeros((4, 5, 3), np.uint8)
    assert load_model(spec, "ink").ink([black, 255 - black]) == [1.0, 0.0]
    assert all(result.ok for result in check_plugin(spec))
    assert "ink" in [found.kind for found in list_plugins([tmp_path])]
