"""The cache of vectors: shared, killed, damaged."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from comictool.core.errors import ComicError, InputError
from comictool.vectors import cache as cache_module
from comictool.vectors.cache import EmbeddingCache


def unit(seed: int, dimension: int = 8) -> np.ndarray:
    vector = np.random.default_rng(seed).normal(size=dimension).astype(np.float32)
    return vector / np.linalg.norm(vector)


def test_vectors_come_back_bit_by_bit_under_their_own_key_only(tmp_path: Path) -> None:
    vectors = {f"{seed:04x}": unit(seed) for seed in range(1200)}  # more than one statement may name
    with EmbeddingCache(tmp_path / "c.sqlite") as cache:
        cache.keep("model@1", vectors)
        assert cache.vectors(vectors, "model@2") == {}
    with EmbeddingCache(tmp_path / "c.sqlite") as cache:
        found = cache.vectors([*vectors, "ffff"], "model@1")
    assert found.keys() == vectors.keys()
    assert all((found[digest] == vectors[digest]).all() for digest in vectors)


def test_a_changed_file_is_forgotten_an_unchanged_one_is_known(tmp_path: Path) -> None:
    file = tmp_path / "1.png"
    file.write_bytes(b"one")
    past = 1_600_000_000
    with EmbeddingCache(tmp_path / "c.sqlite") as cache, pytest.MonkeyPatch.context() as patch:
        assert cache_module.stamp_of(file) is None  # changed a moment ago: could change again within the same tick
        patch.setattr(cache_module, "SETTLED_SECONDS", -1.0)
        stamp = cache_module.stamp_of(file)
        assert stamp is not None
        cache.keep("model@1", {}, {file: (stamp, "d1")})
        assert cache.digests([file, tmp_path / "none.png"]) == {file: "d1"}
        file.write_bytes(b"two")
        os.utime(file, (past, past))
        assert cache.digests([file]) == {}


def test_a_damaged_cache_is_said_and_nothing_is_lost_silently(tmp_path: Path) -> None:
    file = tmp_path / "c.sqlite"
    file.write_bytes(b"no database at all, certainly not one of ours" * 100)
    with pytest.raises(ComicError, match=r"damaged|cannot be used"):
        EmbeddingCache(file)
    file.unlink()
    with EmbeddingCache(file) as cache:
        cache.keep("m", {"d": unit(1)})
    with sqlite3.connect(file) as base:
        base.execute("UPDATE vectors SET vector = ?", (np.full(8, np.nan, "<f4").tobytes(),))
    with EmbeddingCache(file) as cache, pytest.raises(InputError, match="no unit vector"):
        cache.vectors(["d"], "m")


def test_a_cache_of_another_version_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "c.sqlite") as base:
        base.execute("PRAGMA user_version = 99")
    with pytest.raises(InputError, match="version"):
        EmbeddingCache(tmp_path / "c.sqlite")


WRITER = """
    import sys
    from pathlib import Path
    import numpy as np
    from comictool.vectors.cache import EmbeddingCache
    with EmbeddingCache(Path(sys.argv[1])) as cache:
        for number in range(int(sys.argv[3])):
            vector = np.zeros(16, np.float32)
            vector[number % 16] = 1.0
            cache.keep("m", {f"{sys.argv[2]}-{number}": vector})
            print(number, flush=True)
"""


def writer(file: Path, name: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), str(file), name, str(count)], stdout=subprocess.PIPE, text=True
    )


def test_two_processes_may_write_at_once(tmp_path: Path) -> None:
    file = tmp_path / "c.sqlite"
    both = [writer(file, name, 200) for name in ("a", "b")]
    for process in both:
        process.communicate(timeout=120)
        assert process.returncode == 0
    with EmbeddingCache(file) as cache:
        names = [f"{name}-{number}" for name in ("a", "b") for number in range(200)]
        assert cache.vectors(names, "m").keys() == set(names)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_killed_writer_loses_nothing_that_it_had_committed(tmp_path: Path) -> None:
    file = tmp_path / "c.sqlite"
    process = writer(file, "a", 100_000)
    assert process.stdout is not None
    said = [int(process.stdout.readline()) for _ in range(50)]
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    with EmbeddingCache(file) as cache:
        assert len(cache.vectors([f"a-{number}" for number in said], "m")) == 50
        cache.keep("m", {"after": unit(3)})
