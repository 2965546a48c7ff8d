"""A real SIGKILL in the middle of a real import, over and over, then a run to the end."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.corpus.importing.job import import_comics
from tests.archives.comic_files import make_tar, make_zip, picture, tree

PROGRAM = """
import sys
from pathlib import Path
from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.corpus.importing.job import import_comics
from tests.bench import kill_me
if __name__ == "__main__":
    kill_me.at([9], [int(sys.argv[3])])
    import_comics([Path(sys.argv[1])], Corpus.create(Path(sys.argv[2]), name="c"), options=JobOptions(jobs=1))
"""
MOMENTS = (4, 33, 60, 17, 90, 51)  # of what a run does to the disk; there are some 700, and each run goes on


def test_sigkill_and_run_again(tmp_path: Path) -> None:
    """Point 10: killed by the clock, a loaded machine killed nothing; the child kills itself where it is inside."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    for n in range(30):
        members = {f"{m}.jpg": picture(100 * n + m, size=(300, 450)) for m in range(12)}
        (make_tar if n % 3 else make_zip)(shelf / f"comic {n}.cbz", members, "w:gz" if n % 3 else 0)  # type: ignore[operator]
    whole = Corpus.create(tmp_path / "whole", name="c")
    import_comics([shelf], whole, options=JobOptions(jobs=1))
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    for moment in MOMENTS:
        ran = subprocess.run(
            [sys.executable, str(program), str(shelf), str(tmp_path / "broken"), str(moment)], check=False
        )
        assert ran.returncode == -signal.SIGKILL
    broken = Corpus.create(tmp_path / "broken", name="c")
    report = import_comics([shelf], broken, options=JobOptions(jobs=1))
    assert report.failed == 0
    assert tree(broken.root) == tree(whole.root)
    assert not list(broken.root.rglob("staging*"))
    assert not list(broken.root.rglob("*.partial"))
