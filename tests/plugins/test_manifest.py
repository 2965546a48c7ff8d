"""plugin.toml: read strictly, written back alike, hostile values named by file and key."""

from __future__ import annotations

import string
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comictool.core.errors import InputError
from comictool.plugins.kinds import KINDS, Kind
from comictool.plugins.manifest import (
    INTERPOLATIONS,
    MANIFEST_LIMIT,
    METRICS,
    RESIZE_MODES,
    VECTOR,
    Inputs,
    InputSpec,
    Manifest,
    OutputSpec,
    TextSpec,
    ThresholdSpec,
    WeightsSpec,
    format_manifest,
    parse_manifest,
    read_manifest,
    write_manifest,
)
from tests.plugins.makers import manifest

SHA = "0123456789abcdef" * 4
GOOD = format_manifest(manifest(weights=WeightsSpec("model.safetensors", SHA)))

texts = st.text(min_size=1, max_size=60).filter(lambda text: text.isprintable() and text.strip())
unit = st.floats(0, 1)
triples = st.tuples(unit, unit, unit)
plain = st.recursive(
    st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20).filter(str.isprintable),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=4,
)
manifests = st.builds(
    Manifest,
    id=st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True),
    version=st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,3}(rc1)?", fullmatch=True),
    title=texts,
    kind=st.just("encoder"),
    licence=texts,
    architecture=st.sampled_from(["classic", "timm:resnet18", "timm:vit_tiny.tag_in1k", "python", "resnet18_linear"]),
    arguments=st.dictionaries(st.text(string.ascii_letters + " .\"'\\é", max_size=8), plain, max_size=4),
    input=st.just(Inputs())
    | st.builds(
        InputSpec,
        size=st.tuples(st.integers(1, 4096), st.integers(1, 4096)),
        resize=st.sampled_from(RESIZE_MODES),
        interpolation=st.sampled_from(INTERPOLATIONS),
        mean=triples,
        std=st.tuples(*[st.floats(1e-3, 10)] * 3),
        alpha_background=st.tuples(*[st.integers(0, 255)] * 3),
    ).map(Inputs),
    output=st.builds(OutputSpec, st.integers(1, 65536), normalised=st.booleans(), metric=st.sampled_from(METRICS)).map(
        lambda vector: {VECTOR: vector, "attention": OutputSpec(form="map", unit="share")}
    ),
    threshold=st.dictionaries(
        st.sampled_from(METRICS), st.builds(ThresholdSpec, st.floats(-100, 100), texts, st.none() | unit), max_size=2
    ),
    weights=st.none() | st.builds(WeightsSpec, st.sampled_from(["model.safetensors", "sub/w.pt"]), st.just(SHA)),
    minimum_tool=st.sampled_from(["", "0.1", "1.2.3"]),
)


@given(manifests)
def test_what_is_written_reads_back_equal(made: Manifest) -> None:
    text = format_manifest(made)
    assert parse_manifest(text, "plugin.toml") == made
    assert format_manifest(parse_manifest(text, "plugin.toml")) == text


def test_a_file_on_disk_reads_back_equal(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"x")
    made = manifest(weights=WeightsSpec("model.safetensors", SHA), arguments={"drop_rate": 0.5, "layers": [1, 2]})
    write_manifest(tmp_path, made)
    assert read_manifest(tmp_path) == made


def test_one_number_is_a_square_and_the_rest_has_defaults() -> None:
    text = GOOD.replace("size = [64, 64]", "size = 96").replace('resize = "squash"\n', "")
    spec = parse_manifest(text, "p").image
    assert spec == InputSpec(size=(96, 96))


def test_the_input_hash_changes_with_every_value() -> None:
    base = InputSpec()
    others = [
        replace(base, size=(224, 225)),
        replace(base, resize="pad"),
        replace(base, interpolation="bicubic"),
        replace(base, mean=(0.5, 0.5, 0.5)),
        replace(base, std=(0.5, 0.5, 0.5)),
        replace(base, alpha_background=(0, 0, 0)),
    ]
    assert len({spec.digest() for spec in [base, *others]}) == 7


def edit(old: str, new: str) -> str:
    assert old in GOOD, old
    return GOOD.replace(old, new)


HOSTILE = {
    "schema missing": (edit("schema = 2\n", ""), "schema is missing"),
    "schema of the future": (edit("schema = 2", "schema = 3"), "schema must be 2"),
    "schema true": (edit("schema = 2", "schema = true"), "schema must be 2"),
    "id with slash": (edit('id = "tiny"', 'id = "../tiny"'), "id must be"),
    "id not text": (edit('id = "tiny"', "id = 7"), "id must be text"),
    "empty title": (edit('"A tiny encoder"', '" "'), "title must be"),
    "control characters": (edit('"A tiny encoder"', '"A \\u001b[31m"'), "title must be"),
    "direction override": (edit('"A tiny encoder"', '"A \\u202e"'), "title must be"),
    "long title": (edit('"A tiny encoder"', '"' + "a" * 300 + '"'), "title must be"),
    "unknown kind": (edit('"encoder"', '"encodr"'), "kind must be one of"),
    "unknown key": (edit("licence =", "license ="), "license is not a known key"),
    "unknown key in a table": (edit("mean =", "means ="), "input.image.means is not a known key"),
    "unknown table": (GOOD + "\n[extra]\nx = 1\n", "extra is not a known key"),
    "architecture as text": (
        'schema=2\nid="a"\nversion="1"\ntitle="t"\nkind="encoder"\nlicence="MIT"\narchitecture="x"',
        "architecture must be a table",
    ),
    "architecture from a hub": (edit("timm:test_resnet", "timm:hf-hub:a/b"), "architecture.name must be"),
    "arguments with a date": (
        edit("[input.image]", "[architecture.arguments]\nx = 2020-01-01\n[input.image]"),
        "architecture.arguments.x must be",
    ),
    "arguments not finite": (
        edit("[input.image]", "[architecture.arguments]\nx = nan\n[input.image]"),
        "architecture.arguments.x must be",
    ),
    "size zero": (edit("[64, 64]", "[0, 64]"), "input.image.size[0] must be"),
    "size absurd": (edit("[64, 64]", "1000000000"), "input.image.size[0] must be"),
    "size a boolean": (edit("[64, 64]", "true"), "input.image.size must be"),
    "size a fraction": (edit("[64, 64]", "64.0"), "input.image.size must be"),
    "size of three": (edit("[64, 64]", "[1, 2, 3]"), "input.image.size must be"),
    "resize unknown": (edit('"squash"', '"sqash"'), "input.image.resize must be one of"),
    "mean of two": (edit("[0.485, 0.456, 0.406]", "[0.1, 0.2]"), "input.image.mean must be a list of 3"),
    "mean infinite": (edit("[0.485, 0.456, 0.406]", "[inf, 0, 0]"), "input.image.mean[0] must be"),
    "std zero": (edit("[0.229, 0.224, 0.225]", "[0, 1, 1]"), "input.image.std[0] must be from"),
    "background out of range": (edit("[255, 255, 255]", "[256, 0, 0]"), "input.image.alpha_background[0] must be"),
    "background not whole": (edit("[255, 255, 255]", "[0.5, 0, 0]"), "input.image.alpha_background[0] must be"),
    "dimension absurd": (edit("dimension = 96", "dimension = 99999999"), "output.vector.dimension must be"),
    "dimension missing": (edit("dimension = 96\n", ""), "output.vector.dimension is missing"),
    "normalised not a flag": (
        edit("dimension = 96", 'dimension = 96\nnormalised = "yes"'),
        "output.vector.normalised must be true",
    ),
    "threshold not finite": (edit("value = 0.5", "value = inf"), "threshold.cosine.value must be"),
    "threshold without reason": (edit('fitted = "made up for tests"\n', ""), "threshold.cosine.fitted is missing"),
    "weights above": (edit('"model.safetensors"', '"../model.safetensors"'), "weights.file must be a plain relative"),
    "weights absolute": (edit('"model.safetensors"', '"/etc/model.pt"'), "weights.file must be a plain relative"),
    "weights on a drive": (edit('"model.safetensors"', '"C:model.pt"'), "weights.file must be a plain relative"),
    "weights with backslash": (edit('"model.safetensors"', "'..\\model.pt'"), "weights.file must be a plain relative"),
    "weights odd suffix": (edit('"model.safetensors"', '"model.pkl"'), "weights.file must be a file ending in"),
    "weights hash short": (edit(SHA, "abc"), "weights.sha256 must be 64"),
    "table as number": ("threshold = 3\n" + GOOD[: GOOD.index("[threshold.cosine]")], "threshold must be a table"),
    "threshold of no metric": (edit("[threshold.cosine]", "[threshold.l1]"), "threshold.l1 is not a metric"),
    "arguments at the top": ("arguments = {}\n" + GOOD, "arguments is not a known key"),
    "reads of an encoder": (GOOD + '[reads]\n"panel/image" = "x"\n', "[reads] is not for an encoder"),
    "texts for an encoder": (GOOD + "[input.text]\nlength = 9\n", "[input.text] is not for an encoder"),
    "vector of another form": (edit('form = "vector"', 'form = "map"'), "output.vector.form must be"),
    "not TOML": ("schema = = 1", "not valid TOML"),
    "deep nesting": ("x = " + "[" * 20000, "not valid TOML"),
    "huge number": ("schema = " + "9" * 10000, "not valid TOML"),
}


@pytest.mark.parametrize(("text", "expected"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_value_is_refused_by_file_and_key(text: str, expected: str) -> None:
    with pytest.raises(InputError) as refusal:
        parse_manifest(text, "some/plugin.toml")
    assert "some/plugin.toml" in refusal.value.fact
    assert expected in refusal.value.fact
    assert len(refusal.value.fact) < 400


@given(st.data())
def test_no_text_at_all_makes_it_raise_anything_else(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(GOOD)))
    end = data.draw(st.integers(start, min(len(GOOD), start + 30)))
    middle = data.draw(st.text(max_size=12) | st.sampled_from(["= [", "nan", "1e999", "[a.b]", "\n", "2020-01-01"]))
    try:
        made = parse_manifest(GOOD[:start] + middle + GOOD[end:], "p")
    except InputError:
        return
    assert parse_manifest(format_manifest(made), "p") == made


def test_wrong_names_get_their_nearest_neighbours() -> None:
    for text, near in (
        (edit("mean =", "means ="), "mean"),
        (edit("licence =", "license ="), "licence"),
        (edit('"squash"', '"sqash"'), "squash"),
    ):
        with pytest.raises(InputError) as refusal:
            parse_manifest(text, "p")
        assert refusal.value.near == [near]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_each_kind_has_its_tables(kind: Kind) -> None:
    """All that a kind may say reads back; without its outputs it is refused."""
    output = {name: OutputSpec(4 if form == "vector" else 0, form) for name, form in kind.outputs.items()}
    made = manifest(
        kind=kind.name,
        input=Inputs(InputSpec() if "image" in kind.inputs else None, TextSpec(9) if "text" in kind.inputs else None),
        reads={"panel/image": "classic@1+none+own"} if kind.reads else {},
        output=output,
    )
    assert parse_manifest(format_manifest(made), "p") == made
    with pytest.raises(InputError, match=r"\[output\.[a-z]+\] is missing"):
        parse_manifest(format_manifest(replace(made, output={})), "p")


def test_weights_must_be_plain_files_inside(tmp_path: Path) -> None:
    outside = tmp_path / "outside.safetensors"
    outside.write_bytes(b"secret")
    plugin = tmp_path / "plugin"
    plugin.mkdir()
    (plugin / "plugin.toml").write_text(GOOD)
    with pytest.raises(InputError, match="does not exist"):
        read_manifest(plugin)
    (plugin / "model.safetensors").symlink_to(outside)
    with pytest.raises(InputError, match="symbolic link"):
        read_manifest(plugin)
    (plugin / "model.safetensors").unlink()
    (plugin / "model.safetensors").mkdir()
    with pytest.raises(InputError, match="does not exist"):
        read_manifest(plugin)
    (plugin / "plugin.toml").write_text(edit('"model.safetensors"', '"sub/model.safetensors"'))
    (plugin / "sub").symlink_to(tmp_path)
    with pytest.raises(InputError, match="symbolic link"):
        read_manifest(plugin)


def test_unreadable_manifests(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no plugin\.toml"):
        read_manifest(tmp_path)
    file = tmp_path / "plugin.toml"
    file.write_bytes(b"title = '\xff'")
    with pytest.raises(InputError, match="not valid TOML"):
        read_manifest(tmp_path)
    file.write_text("#" * (MANIFEST_LIMIT + 1))
    with pytest.raises(InputError, match="more than"):
        read_manifest(tmp_path)


def test_what_the_schema_refuses_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        write_manifest(tmp_path, manifest(title="two\nlines"))
    assert list(tmp_path.iterdir()) == []


def test_the_documentation_has_the_schema() -> None:
    import comictool.plugins.manifest as module

    schema = str(module.__doc__).partition("Standard library only.")[0].strip()
    assert schema in (Path(__file__).parents[2] / "docs" / "plugins.md").read_text()
