"""A real SIGKILL at random moments of a real import, over and over, then a run to the end."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.corpus.importing import import_comics
from tests.corpus.comic_files import make_tar, make_zip, picture, tree

PROGRAM = """
import sys
from pathlib import Path
from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.corpus.importing import import_comics
if __name__ == "__main__":
    import_comics([Path(sys.argv[1])], Corpus.create(Path(sys.argv[2]), name="c"), options=JobOptions(jobs=1))
"""


def test_sigkill_and_run_again(tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    for n in range(30):
        members = {f"{m}.jpg": picture(100 * n + m, size=(300, 450)) for m in range(12)}
        (make_tar if n % 3 else make_zip)(shelf / f"comic {n}.cbz", members, "w:gz" if n % 3 else 0)  # type: ignore[operator]
    whole = Corpus.create(tmp_path / "whole", name="c")
    begin = time.monotonic()
    import_comics([shelf], whole, options=JobOptions(jobs=1))
    needed = time.monotonic() - begin
    chance = random.Random(7)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    killed = 0
    for _ in range(6):
        process = subprocess.Popen([sys.executable, str(program), str(shelf), str(tmp_path / "broken")])
        try:
            process.wait(0.3 + chance.random() * needed / 2)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
    assert killed
    broken = Corpus.create(tmp_path / "broken", name="c")
    report = import_comics([shelf], broken, options=JobOptions(jobs=1))
    assert report.failed == 0
    assert tree(broken.root) == tree(whole.root)
    assert not list(broken.root.rglob("staging*"))
    assert not list(broken.root.rglob("*.partial"))
