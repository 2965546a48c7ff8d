"""Vectors of files: right, cached, resumable, and bad pictures cost only themselves."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comictool.core.images import decode_array
from comictool.plugins.encoder import Encoder
from comictool.plugins.known import known_encoder_id
from comictool.plugins.load import EncoderSpec, load_plugin
from comictool.vectors import cache as cache_module
from comictool.vectors import stream as stream_module
from comictool.vectors.cache import EmbeddingCache
from comictool.vectors.files import find_pictures
from comictool.vectors.stream import EmbeddingStream, embed_files, encoder_key
from tests.reid.drawings import cast, drawing, save

SPEC = EncoderSpec("classic_character")
PICTURE = EncoderSpec("classic")


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as unchanged however new they are."""
    monkeypatch.setattr(cache_module, "SETTLED_SECONDS", -3600.0)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_plugin("classic_character")


def test_vectors_are_those_of_the_encoder_in_the_order_of_the_files(tmp_path: Path, encoder: Encoder) -> None:
    paths = find_pictures([cast(tmp_path)])[::-1]
    done = embed_files(paths, SPEC, jobs=1, batch_size=5)
    expected = encoder.embed([decode_array(path) for path in paths])
    np.testing.assert_array_equal(done.vectors, expected)
    assert done.ok.all()
    assert done.computed == len(paths)
    assert all(len(digest) == 40 for digest in done.digests)


def test_workers_give_the_same_bits_and_chunks_come_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "FEW", 1)
    monkeypatch.setattr(stream_module, "CHUNK", 5)
    paths = find_pictures([cast(tmp_path)])
    bad = tmp_path / "bob" / "2.png"
    bad.write_bytes(b"no picture")
    alone = embed_files(paths, SPEC, jobs=1)
    starts = []
    rows = []
    for start, some, vectors, digests, errors in EmbeddingStream(SPEC, jobs=2).batches(paths):
        assert some == paths[start : start + 5]
        assert len(digests) == len(vectors) == len(some)
        assert set(errors) == {bad} & set(some)
        starts.append(start)
        rows.append(vectors)
    assert starts == [0, 5, 10]
    np.testing.assert_array_equal(np.concatenate(rows), alone.vectors)


def test_a_second_run_reads_and_decodes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settled: None) -> None:
    paths = find_pictures([cast(tmp_path / "in")])
    with EmbeddingCache(tmp_path / "c.sqlite") as cache:
        first = embed_files(paths, SPEC, cache=cache)

        def refuse(path: Path) -> bytes:
            raise AssertionError(f"{path} was read again")

        monkeypatch.setattr(stream_module, "read_bytes", refuse)
        monkeypatch.setattr("comictool.vectors.reading.read_bytes", refuse)
        second = embed_files(paths, SPEC, cache=cache)
    np.testing.assert_array_equal(first.vectors, second.vectors)
    assert second.computed == 0
    assert second.digests == first.digests


def test_only_what_changed_is_computed_again_whatever_it_is_called(tmp_path: Path, settled: None) -> None:
    folder = cast(tmp_path / "in")
    with EmbeddingCache(tmp_path / "c.sqlite") as cache:
        before = embed_files(find_pictures([folder]), SPEC, cache=cache)
        save(folder / "ann" / "1.png", drawing("new", 1))
        (folder / "bob").rename(folder / "robert")
        paths = find_pictures([folder])
        after = embed_files(paths, SPEC, cache=cache)
        assert after.computed == 1
        np.testing.assert_array_equal(after.vectors, embed_files(paths, SPEC).vectors)
        assert embed_files(paths, SPEC, cache=cache, flip=True).computed == len(paths)
        assert embed_files(paths, PICTURE, cache=cache).computed == len(paths)
    assert len(before.paths) == len(paths)


def test_the_same_content_is_decoded_once(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        save(tmp_path / f"{name}.png", drawing("ann", 1))
    (tmp_path / "d.png").write_bytes(b"broken")
    (tmp_path / "e.png").write_bytes(b"broken")
    with EmbeddingCache(tmp_path / "c.sqlite") as cache:
        done = embed_files(find_pictures([tmp_path]), SPEC, cache=cache)
    assert done.computed == 1
    assert done.ok.tolist() == [True, True, True, False, False]
    assert (done.vectors[0] == done.vectors[2]).all()


def test_bad_pictures_are_named_and_the_others_go_on(tmp_path: Path) -> None:
    good = save(tmp_path / "good.png", drawing("ann", 1, 200))
    (tmp_path / "cut.png").write_bytes(good.read_bytes()[:2000])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.webp").write_text("no picture")
    (tmp_path / "folder.png").mkdir()
    gone = tmp_path / "gone.png"
    paths = [*find_pictures([tmp_path]), tmp_path / "folder.png", gone]
    done = embed_files(paths, SPEC)
    assert set(done.errors) == set(paths) - {good}
    assert (done.vectors[done.ok] != 0).any()
    assert (done.vectors[~done.ok] == 0).all()
    assert done.vectors.shape == (len(paths), 713)


def test_exif_turns_and_paper_shows_through_unless_read_as_before(tmp_path: Path) -> None:
    plain = drawing("ann", 1)
    upright = save(tmp_path / "upright.png", plain)
    turned = tmp_path / "turned.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    Image.fromarray(np.ascontiguousarray(np.rot90(plain))).save(turned, exif=exif)
    clear = tmp_path / "clear.png"
    Image.fromarray(np.dstack([plain, np.zeros(plain.shape[:2], np.uint8)])).save(clear)
    white = save(tmp_path / "white.png", np.full_like(plain, 255))
    vectors = embed_files([upright, turned, clear, white], PICTURE).vectors
    np.testing.assert_array_equal(vectors[0], vectors[1])
    np.testing.assert_array_equal(vectors[2], vectors[3])
    before = embed_files([upright, turned, clear, white], PICTURE, legacy=True).vectors
    np.testing.assert_array_equal(before[0], before[2])
    assert not (before[0] == before[1]).all()


def test_a_flipped_mean_does_not_tell_a_picture_from_its_mirror_image(tmp_path: Path) -> None:
    image = drawing("ann", 3)
    paths = [save(tmp_path / "a.png", image), save(tmp_path / "b.png", np.ascontiguousarray(image[:, ::-1]))]
    plain = embed_files(paths, PICTURE).vectors
    flipped = embed_files(paths, PICTURE, flip=True).vectors
    assert flipped[0] @ flipped[1] > 1 - 1e-6
    assert plain[0] @ plain[1] < flipped[0] @ flipped[1] - 1e-4
    np.testing.assert_allclose(np.linalg.norm(flipped, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("name", ["classic", "classic_character"])
def test_the_identity_is_known_before_loading(name: str) -> None:
    assert known_encoder_id(EncoderSpec(name)) == load_plugin(name).encoder_id
    assert encoder_key(EncoderSpec(name), flip=True) == load_plugin(name).encoder_id + "|flip"


def test_nothing_to_do_is_done(tmp_path: Path) -> None:
    assert embed_files([], SPEC).vectors.shape[0] == 0


KILLED = """
    import sys
    from pathlib import Path
    from comictool.plugins.load import EncoderSpec
    from comictool.vectors import stream as embedding
    from comictool.vectors.cache import EmbeddingCache
    from comictool.vectors.files import find_pictures
    embedding.CHUNK = 4
    with EmbeddingCache(Path(sys.argv[2])) as cache:
        stream = embedding.EmbeddingStream(EncoderSpec("classic"), cache=cache)
        for batch in stream.batches(find_pictures([Path(sys.argv[1])])):
            print(batch.start, flush=True)
            if batch.start == 8:
                import os, signal
                os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_kill_costs_no_batch_that_was_handed_over(tmp_path: Path) -> None:
    folder = cast(tmp_path / "in", ("ann", "bob", "cat", "dan"), 5)
    script = textwrap.dedent(KILLED)
    killed = subprocess.run([sys.executable, "-c", script, str(folder), str(tmp_path / "c.sqlite")], check=False)
    assert killed.returncode == -9
    with EmbeddingCache(tmp_path / "c.sqlite") as cache:
        assert embed_files(find_pictures([folder]), PICTURE, cache=cache).computed == 20 - 12


def test_torch_is_not_imported_when_everything_is_cached(tmp_path: Path) -> None:
    """With ResNet-18 and weights given: their file's hash tells the identity."""
    pytest.importorskip("torch")
    from tests.reid.older_weights import write_mdl

    weights = write_mdl(tmp_path / "old.mdl")
    folder = cast(tmp_path / "in", count=1)
    script = textwrap.dedent("""
        import sys
        from pathlib import Path
        from comictool.plugins.load import EncoderSpec
        from comictool.vectors.cache import EmbeddingCache
        from comictool.vectors.stream import embed_files
        from comictool.vectors.files import find_pictures
        spec = EncoderSpec("res18_single", weights=Path(sys.argv[3]), device="cpu")
        with EmbeddingCache(Path(sys.argv[2])) as cache:
            done = embed_files(find_pictures([Path(sys.argv[1])]), spec, cache=cache)
        print(done.computed, done.vectors.shape[1], "torch" in sys.modules)
    """)
    command = [sys.executable, "-c", script, str(folder), str(tmp_path / "c.sqlite"), str(weights)]
    said = [subprocess.run(command, check=True, capture_output=True, text=True).stdout.split() for _ in range(2)]
    assert said == [["3", "500", "True"], ["0", "500", "False"]]


def test_an_unchanged_run_imports_and_reads_next_to_nothing(tmp_path: Path) -> None:
    """Nothing that takes longer to import than such a run needs, no picture read, no threads of BLAS."""
    for folder in ("refs/a", "refs/b", "in"):
        cast(tmp_path / folder, count=2)
    script = textwrap.dedent("""
        import os, sys, time
        from pathlib import Path
        now, read_bytes, opened = time.time, Path.read_bytes, []
        time.time = lambda: now() + 60  # files changed a moment ago would be read again
        Path.read_bytes = lambda path: opened.append(path) or read_bytes(path)
        from comictool.cli.app import run
        code = run(sys.argv[1:])
        heavy = ("torch", "PIL", "concurrent.futures", "multiprocessing", "numpy.ma", "zarr", "rich")
        threads = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1
        pictures = [path.name for path in opened if path.suffix != ".toml"]
        print(code, [name for name in heavy if name in sys.modules], len(pictures), threads, file=sys.stderr)
    """)
    arguments = ["reid", "classify", "in", "--enroll-config", "refs", "--cache", "cache", "-q", "--format", "jsonl"]
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    first, second = (
        subprocess.run(
            [sys.executable, "-c", script, *arguments],
            check=True,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
        )
        for _ in range(2)
    )
    assert first.stdout == second.stdout
    assert first.stdout.count("\n") == 6
    assert second.stderr == "0 [] 0 1\n"
