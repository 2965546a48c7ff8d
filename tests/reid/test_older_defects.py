"""Every defect of the first program of this kind, by its number there, and the tests that fail where it comes back.

`TESTS` is the list. What no other file tests is tested here: the documented command lines themselves, and numbers 5,
15, 19, 20, 22 and 23 as a user meets them.
"""

from __future__ import annotations

import ast
import builtins
import json
import pickle
import threading
import zlib
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from PIL import Image

from comictool.cli.app import run
from comictool.core import images
from comictool.measure import metrics
from comictool.plugins.load import EncoderSpec, load_plugin
from comictool.reid.evaluation import evaluate
from comictool.vectors.files import find_pictures
from comictool.vectors.stream import EmbeddingStream, embed_files
from tests.cli.conftest import Run
from tests.reid.drawings import cast, drawing, save

TESTS = {
    0: (  # the documented command never worked
        "reid/test_older_defects.py::test_the_documented_commands_decide_as_the_formula_says",
        "reid/test_older_defects.py::test_the_documented_command_runs_in_a_process",
        "cli/test_reid.py::test_the_older_command_lines_work",
    ),
    1: (  # no unknown class, no threshold
        "reid/sorting/test_classify.py::test_every_picture_gets_one_record",
        "cli/test_reid.py::test_from_a_gallery_with_report_and_undo",
    ),
    2: (  # references embedded again on every run
        "reid/test_gallery.py::test_enrolling_again_computes_nothing_and_changes_nothing",
        "cli/test_reid.py::test_from_a_gallery_with_report_and_undo",
    ),
    3: (  # no cache, nothing incremental, no resume
        "vectors/test_stream.py::test_a_second_run_reads_and_decodes_nothing",
        "vectors/test_stream.py::test_only_what_changed_is_computed_again_whatever_it_is_called",
        "cli/test_reid.py::test_a_killed_run_is_resumed_and_undone",
    ),
    4: (  # one unreadable file aborts everything
        "vectors/test_stream.py::test_bad_pictures_are_named_and_the_others_go_on",
        "cli/test_reid.py::test_the_older_command_lines_work",
    ),
    5: ("reid/test_older_defects.py::test_a_doubtful_picture_is_decided_without_asking",),
    6: (  # equal base names overwrite each other
        "reid/sorting/test_actions.py::test_every_status_has_its_folder_and_equal_names_both_survive",
        "reid/sorting/test_actions.py::test_a_file_in_the_way",
    ),
    7: (  # a character named ../esc
        "reid/test_hostile.py::test_no_name_of_a_character_leads_out",
        "reid/sorting/test_actions.py::test_no_character_leaves_the_result_folder",
    ),
    8: ("vectors/test_files.py::test_brackets_and_stars_in_folder_names_mean_themselves",),
    9: (  # duplicate keys collapse
        "reid/test_configuration.py::test_what_is_wrong_is_said",
        "reid/test_hostile.py::test_a_wrong_configuration_is_a_sentence_and_changes_nothing",
    ),
    10: ("cli/test_reid.py::test_what_is_missing_or_wrong_is_a_usage_error_before_any_work",),
    11: ("cli/test_reid.py::test_what_is_missing_or_wrong_is_a_usage_error_before_any_work",),
    12: (  # scores thrown away
        "reid/sorting/test_classify.py::test_every_picture_gets_one_record",
        "cli/test_reid.py::test_from_a_gallery_with_report_and_undo",
    ),
    13: (  # copy only; times and permissions lost; no dry run, undo or clash policy
        "reid/sorting/test_actions.py::test_copies_keep_times_and_permissions",
        "reid/sorting/test_actions.py::test_each_action_and_its_undo",
        "reid/sorting/test_actions.py::test_a_dry_run_writes_nothing_and_says_the_same",
        "reid/sorting/test_actions.py::test_a_file_in_the_way",
        "reid/sorting/test_journal.py::test_a_kill_at_any_moment_is_undone_and_resumed",
    ),
    14: (  # order of the file system, ties by the order of the JSON
        "vectors/test_files.py::test_any_depth_and_every_ending_in_natural_order",
        "reid/test_scoring.py::test_ties_go_to_the_first_name_and_the_first_reference",
        "reid/test_older_defects.py::test_the_order_of_the_configuration_decides_nothing",
    ),
    15: (  # serial decoding, fixed batch, everything kept, no mixed precision
        "reid/test_older_defects.py::test_decoding_is_shared_batches_are_as_asked_and_nothing_piles_up",
        "plugins/test_load.py::test_bf16_is_near_fp32_and_is_not_part_of_its_id",
    ),
    16: ("reid/sorting/test_classify.py::test_a_reference_among_the_targets_keeps_its_name_and_does_not_match_itself",),
    17: ("reid/test_scoring.py::test_the_older_avg_is_the_mean_of_scores_and_not_the_score_of_the_mean",),
    18: (  # clustering not exposed, and broken
        "cli/test_reid.py::test_clusters_and_figures",
        "reid/test_clustering.py::test_without_links_it_is_average_linkage",
    ),
    19: (  # a main.py found earlier shadows the plugin's; two plugins share a module
        "reid/test_older_defects.py::test_no_other_main_shadows_that_of_a_plugin",
        "plugins/test_code_plugins.py::test_two_plugins_with_equal_module_names_coexist",
    ),
    20: (  # unrestricted unpickling, code with full rights
        "reid/test_older_defects.py::test_neither_weights_nor_a_plugin_run_code_unasked",
        "plugins/test_weights.py::test_code_in_a_checkpoint_is_refused_and_never_runs",
        "plugins/test_code_plugins.py::test_nothing_runs_without_trust",
    ),
    21: (  # exit codes; progress and results on one stream
        "cli/test_reid.py::test_from_a_gallery_with_report_and_undo",
        "cli/test_reid.py::test_what_is_missing_or_wrong_is_a_usage_error_before_any_work",
        "reid/test_older_defects.py::test_the_documented_command_runs_in_a_process",
    ),
    22: (  # labels in 8 bits; each picture a pair with itself
        "reid/test_older_defects.py::test_more_than_256_characters_are_told_apart",
        "reid/test_older_defects.py::test_no_picture_is_a_pair_with_itself",
    ),
    23: (  # EXIF ignored, alpha dropped, everything squashed
        "reid/test_older_defects.py::test_pictures_count_as_they_are_seen",
        "vectors/test_stream.py::test_exif_turns_and_paper_shows_through_unless_read_as_before",
        "plugins/test_preparation.py::test_pad_keeps_everything_and_fills_with_the_background",
    ),
}


def test_every_number_has_tests_that_exist() -> None:
    assert list(TESTS) == list(range(24))
    folder = Path(__file__).parents[1]
    named = {name for names in TESTS.values() for name in names}
    known = set()
    for file in {name.partition("::")[0] for name in named}:
        tree = ast.parse((folder / file).read_text("utf-8"))
        known |= {f"{file}::{node.name}" for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert named <= known


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the original weights converted, references, their configuration, and targets."""
    pytest.importorskip("torch")
    from tests.reid.older_weights import write_mdl

    folder = tmp_path_factory.mktemp("older")
    weights = write_mdl(folder / "res18_0222.mdl")
    plugin = folder / "plugins" / "res18_single"
    assert run(["plugins", "convert", str(weights), "--for", "res18_single", "-o", str(plugin), "-q"]) == 0
    cast(folder / "refs", ("ann", "bob", "cat"), 3)
    for character in ("ann", "bob", "cat"):
        for number in range(10, 13):
            save(folder / "targets" / f"{character}{number}.png", drawing(character, number))
    (folder / "refs.json").write_text(json.dumps({name: f"refs/{name}" for name in ("cat", "ann", "bob")}))
    return folder


@pytest.fixture(scope="module")
def distances(older: Path) -> dict[str, np.ndarray]:
    """Of each character (R, T): minus the distance of every reference to every target, by the older way."""
    from tests.reid.older_weights import older_model, older_vectors

    model = older_model()
    vectors = older_vectors(model, sorted((older / "targets").iterdir())).astype(np.float64)
    found = {}
    for character in ("ann", "bob", "cat"):
        references = older_vectors(model, sorted((older / "refs" / character).iterdir())).astype(np.float64)
        found[character] = -np.linalg.norm(references[:, None] - vectors[None], axis=2)
    return found


@pytest.mark.parametrize("mode", ["Any", "Max", "Avg"])
def test_the_documented_commands_decide_as_the_formula_says(
    older: Path,
    distances: dict[str, np.ndarray],
    tmp_path: Path,
    mode: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Number 0: the README's words; every target goes where minus the L2 distance of unit vectors puts it."""
    monkeypatch.chdir(older)
    monkeypatch.setenv("COMICTOOL_CACHE", str(older / "cache"))
    capsys.readouterr()
    code = run(
        [
            "reid",
            "--plugin-dir",
            "plugins/res18_single",
            "--gpu",
            "-1",
            "classify",
            "--enroll-config-fn",
            "refs.json",
            "--target-dir",
            "targets",
            "--mode",
            mode,
            "--result-dir",
            str(tmp_path / "out"),
            "--legacy",
            "--format",
            "jsonl",
        ]
    )
    told = capsys.readouterr()
    assert code == 0, told.err
    targets = sorted((older / "targets").iterdir())
    reduce = np.mean if mode == "Avg" else np.max
    expected = np.array([reduce(scores, axis=0) for scores in distances.values()])
    records = [json.loads(line) for line in told.out.splitlines()]
    assert [Path(record["path"]).name for record in records] == [target.name for target in targets]
    for record, scores in zip(records, expected.T, strict=True):
        assert record["character"] == ("ann", "bob", "cat")[int(scores.argmax())]
        assert record["score"] == pytest.approx(scores.max(), abs=1e-5)
        assert (tmp_path / "out" / record["destination"]).read_bytes() == Path(record["path"]).read_bytes()


def test_the_documented_command_runs_in_a_process(comictool: Run, older: Path) -> None:
    """Numbers 0 and 21: a bare number on standard output, nothing else there."""
    ran = comictool(
        "reid",
        "--plugin-dir",
        "plugins/res18_single",
        "--gpu",
        "-1",
        "similarity",
        "--files",
        "targets/ann10.png",
        "targets/bob10.png",
        "--legacy",
        cwd=older,
    )
    assert ran.code == 0, ran.err
    assert -2 <= float(ran.out) < 0
    assert len(ran.out.splitlines()) == 1


def test_a_doubtful_picture_is_decided_without_asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Number 5: the handler waited for a key and returned nothing. Here: a vector or an error, and no question."""

    def asked(*_: object) -> NoReturn:
        raise AssertionError("a question was asked")

    monkeypatch.setattr(builtins, "input", asked)
    monkeypatch.setattr("sys.stdin", None)
    plain = drawing("ann", 1)
    Image.fromarray(plain).save(tmp_path / "exif.jpg", exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff\x00")
    Image.fromarray(plain).convert("P").save(tmp_path / "palette.png", transparency=bytes(range(200)))
    bomb = tmp_path / "bomb.png"
    Image.fromarray(plain).save(bomb)
    header = bytearray(bomb.read_bytes())
    header[16:24] = (30_000).to_bytes(4, "big") + (30_000).to_bytes(4, "big")
    header[29:33] = zlib.crc32(header[12:29]).to_bytes(4, "big")
    bomb.write_bytes(bytes(header))
    done = embed_files(find_pictures([tmp_path]), EncoderSpec("classic_character"), jobs=1)
    assert [path.name for path in done.errors] == ["bomb.png"]
    assert "pixels" in done.errors[bomb]
    assert [path.name for path, ok in zip(done.paths, done.ok, strict=True) if ok] == ["exif.jpg", "palette.png"]


def test_the_order_of_the_configuration_decides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Number 14: two characters with the very same reference; the first name wins, whichever is written first."""
    monkeypatch.chdir(tmp_path)
    for character in ("ann", "bob"):
        save(Path("refs") / character / "1.png", drawing("ann", 1))
    save(Path("targets/1.png"), drawing("ann", 2))
    told = []
    for names in (("ann", "bob"), ("bob", "ann")):
        Path("refs.json").write_text(json.dumps({name: f"refs/{name}" for name in names}))
        arguments = ["classify", "targets", "--enroll-config", "refs.json", "--threshold", "none", "--no-cache"]
        assert run(["reid", *arguments, "--format", "jsonl"]) == 0
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]
    assert json.loads(told[0])["character"] == "ann"


def test_decoding_is_shared_batches_are_as_asked_and_nothing_piles_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Number 15: pictures are decoded by several threads, not the main one; 640 of them are never all at hand."""
    pytest.importorskip("torch")
    from comictool.plugins.export import export_plugin
    from comictool.plugins.torch_encoder import TorchEncoder
    from tests.plugins.makers import manifest, tiny_state

    export_plugin(tmp_path / "tiny", manifest(), tiny_state())
    paths = [save(tmp_path / "in" / f"{number}.png", drawing("ann", number, 16)) for number in range(640)]
    threads: list[int] = []
    batches: list[int] = []
    opened, embedded = images.open_picture, TorchEncoder.embed

    def opening(*arguments: Any, **options: Any) -> Any:
        threads.append(threading.get_ident())
        return opened(*arguments, **options)

    def embedding(self: TorchEncoder, pictures: Any) -> Any:
        batches.append(len(pictures))
        return embedded(self, pictures)

    monkeypatch.setattr(images, "open_picture", opening)
    monkeypatch.setattr(TorchEncoder, "embed", embedding)
    spec = EncoderSpec(str(tmp_path / "tiny"), device="cpu")
    stream = EmbeddingStream(spec, batch_size=24, jobs=3).batches(paths)
    first = next(stream)
    at_hand = len(threads)
    rest = list(stream)
    assert len(threads) == len(paths) == len(first.paths) + sum(len(batch.paths) for batch in rest)
    assert at_hand < len(paths)
    assert threading.get_ident() not in threads
    assert len(set(threads)) > 1
    assert max(batches) == 24
    assert all(type(batch.vectors) is np.ndarray for batch in (first, *rest))  # on no device


LEGACY = """
import torch
from parts import AXIS
print("the plugin's own", AXIS)

class MainModule:
    def __init__(self, device):
        self._get_embedding = lambda files: torch.eye(3)[[AXIS]].repeat(len(files), 1)
"""


def test_no_other_main_shadows_that_of_a_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Number 19: modules called main, parts and lib lie first on the path; each plugin of two still gets its own."""
    pytest.importorskip("torch")
    from tests.plugins.makers import legacy_plugin, pictures

    trap = tmp_path / "here"
    trap.mkdir()
    for name in ("main", "parts", "model", "lib"):
        (trap / f"{name}.py").write_text("raise SystemExit('shadowed')")
    monkeypatch.chdir(trap)
    monkeypatch.syspath_prepend(str(trap))
    for axis in (0, 2):
        plugin = legacy_plugin(tmp_path / f"plugin{axis}", LEGACY, parts=f"AXIS = {axis}")
        encoder = load_plugin(str(plugin), trust=True, device="cpu")
        assert encoder.embed(pictures(2)).argmax(axis=1).tolist() == [axis, axis]
    assert "shadowed" not in capsys.readouterr().out


class _Payload:
    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.proof), "w")


def test_neither_weights_nor_a_plugin_run_code_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Number 20: a checkpoint with a payload and a plugin with code are refused by name; neither runs."""
    pytest.importorskip("torch")
    from tests.plugins.makers import legacy_plugin

    monkeypatch.chdir(tmp_path)
    picture = save(tmp_path / "a.png", drawing("ann", 1))
    proof = tmp_path / "proof"
    (tmp_path / "evil.mdl").write_bytes(pickle.dumps({"trunk": _Payload(proof), "embedder": {}, "args": [500]}, 2))
    legacy_plugin(tmp_path / "plugin", f"open({str(proof)!r}, 'w')\nclass MainModule: ...\n")
    similarity = ["similarity", str(picture), str(picture), "--no-cache"]
    for arguments in (
        ["reid", *similarity, "--plugin", "res18_single", "--weights", "evil.mdl"],
        ["reid", "--plugin-dir", "plugin", *similarity],
        ["plugins", "convert", "evil.mdl", "--for", "res18_single", "-o", "made"],
    ):
        code = run(arguments)
        told = capsys.readouterr()
        assert (code in (2, 3), told.out) == (True, ""), told.err
        assert "weights_only" not in told.err
        assert not proof.exists()


@pytest.fixture
def no_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals take most of the time, and nothing here asks for them."""
    monkeypatch.setattr(metrics, "bootstrap", lambda *_, **__: (0.0, 1.0))


def test_more_than_256_characters_are_told_apart(no_intervals: None) -> None:
    """Number 22: 300 characters; the nearest of the first 44 is one that has the same number in 8 bits."""
    random = np.random.default_rng(7)
    vectors = random.normal(size=(600, 96))
    names = np.repeat(np.arange(300), 2)
    for character in range(300):
        rows = slice(2 * character, 2 * character + 2)
        if character < 256:
            spread = 4.0 if character < 44 else 0.1
            vectors[rows] = random.normal(size=96) + spread * random.normal(size=(2, 96))
        else:
            vectors[rows] = vectors[2 * (character - 256) : 2 * (character - 256) + 2]
            vectors[rows] += 0.01 * random.normal(size=(2, 96))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = evaluate(vectors.astype(np.float32), names.astype(str), rerank=False, halves=1)
    assert (found.characters, found.answered) == (300, 600)
    assert found.figures["rank1"].value == pytest.approx(212 / 300)


def test_no_picture_is_a_pair_with_itself(no_intervals: None) -> None:
    """Number 22: for vectors that say nothing the error rate is a half; with each picture its own pair, a third."""
    random = np.random.default_rng(8)
    vectors = random.normal(size=(400, 64))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = evaluate(vectors.astype(np.float32), np.repeat(np.arange(100), 4).astype(str), rerank=False, halves=1)
    assert found.figures["eer"].value == pytest.approx(0.5, abs=0.05)


def test_pictures_count_as_they_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Number 23: turned by EXIF or cut out on a colour nobody sees, it is the same picture; squashed it is not."""
    monkeypatch.chdir(tmp_path)
    plain = np.concatenate([drawing("ann", 1), np.full((24, 48, 3), 255, np.uint8)])
    save(Path("plain.png"), plain)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    Image.fromarray(np.ascontiguousarray(np.rot90(plain))).save("turned.png", exif=exif)
    hidden = np.dstack([plain, np.full(plain.shape[:2], 255, np.uint8)])
    hidden[48:] = (90, 0, 60, 0)
    Image.fromarray(hidden).save("cut_out.png")
    Image.fromarray(plain).resize((48, 48)).save("squashed.png")
    files = ["plain.png", "turned.png", "cut_out.png", "squashed.png"]
    assert run(["reid", "similarity", *files, "--no-cache", "--format", "jsonl"]) == 0
    scores = [json.loads(line)["score"] for line in capsys.readouterr().out.splitlines()]
    assert scores[:2] == [1, 1]
    assert scores[2] < 0.999
