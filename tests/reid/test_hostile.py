"""Hostile configurations through the real command: nothing is written outside, and every refusal is a sentence.

A look at the whole folder before and after is one witness. The other is the interpreter itself, which reports every
file, folder and link that the program is about to write (`WATCH`), also outside that folder.
"""

from __future__ import annotations

import html
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.reid.drawings import drawing, save
from tests.reid.sorting.world import tree

# PEP 578. `open` comes with its flags; SQLite opens files by itself and tells of the connection. Command lines come as
# JSON and run one after the other, each as `main` would run it: starting a process for each takes twenty times as long.
WATCH = """
import contextlib, io, json, os, sys
from comictool.cli.app import run

ONE = {"os.mkdir", "os.rmdir", "os.remove", "os.truncate", "os.utime", "os.chmod", "sqlite3.connect"}
TWO = {"os.rename": (0, 1), "os.link": (1,), "os.symlink": (1,), "shutil.copyfile": (1,)}
touched = []

def watch(event, arguments):
    if event == "open":
        path, _, flags = arguments
        paths = [path] if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) else []
    else:
        paths = [arguments[0]] if event in ONE else [arguments[place] for place in TWO.get(event, ())]
    touched.extend(os.path.abspath(os.fsdecode(path)) for path in paths if not isinstance(path, int))

sys.addaudithook(watch)
told = []
for arguments in json.loads(sys.argv[1]):
    touched.clear()
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(arguments)
    told.append([code, out.getvalue(), err.getvalue(), list(touched)])
print(json.dumps(told))
"""


@dataclass
class Witnessed:
    """A run, and every path that it was about to write."""

    code: int
    out: str
    err: str
    written: list[str]

    def records(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.out.split("\n") if line]


@dataclass
class Place:
    """A user's folder with pictures in it, inside a larger one that is watched."""

    outer: Path

    @property
    def here(self) -> Path:
        return self.outer / "user" / "here"

    def run(self, *lines: list[str]) -> list[Witnessed]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("COMICTOOL_", "XDG_"))}
        environment |= {
            "HOME": str(self.outer / "user"),
            "TMPDIR": str(self.here / "temporary"),
            "COMICTOOL_CONFIG_DIR": str(self.here / "config"),
            "COMICTOOL_CACHE": str(self.here / "cache"),
            "COMICTOOL_PLUGIN": "classic_character",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        done = subprocess.run(
            [sys.executable, "-c", WATCH, json.dumps(lines)],
            capture_output=True,
            text=True,
            cwd=self.here,
            env=environment,
            timeout=240,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, done.stderr
        return [Witnessed(*told) for told in json.loads(done.stdout)]

    def outside(self, witnessed: Witnessed, *own: str) -> list[str]:
        """What was written elsewhere than where the user said: `own`, in his folder."""
        places = [str(self.here / name) for name in (*own, "cache", "config", "temporary")]
        left = [path for path in witnessed.written if not any(path == p or path.startswith(f"{p}/") for p in places)]
        # A folder that is there already is asked for, and a page is written beside its place first.
        return [p for p in left if p not in (os.devnull, str(self.here)) and not p.startswith(f"{self.here}/.report")]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """References of two characters, and three targets."""
    place = Place(tmp_path / "outer")
    for character in ("ann", "bob"):
        for number in (1, 2):
            save(place.here / "refs" / character / f"{number}.png", drawing(character, number))
    for number, character in enumerate(("ann", "bob", "ann")):
        save(place.here / "targets" / f"{number}.png", drawing(character, 10 + number))
    (place.here / "temporary").mkdir()
    return place


NAMES = {
    "parent": "../esc",
    "parents": "../../../../../../../../esc",
    "inside out": "a/../../esc",
    "backslashes": "..\\..\\esc",
    "absolute": "/comictool-hostile/esc",
    "drive": "C:\\comictool-hostile",
    "share": "\\\\server\\share\\esc",
    "dots": "..",
    "dot": ".",
    "home": "~",
    "device": "CON",
    "device with ending": "nul.txt",
    "stream": "name:stream",
    "long": "n" * 300,
    "long in bytes": "\N{CLOWN FACE}" * 150,
    "emoji": "\N{CLOWN FACE}\N{ZERO WIDTH JOINER}\N{DOG FACE}",
    "turned round": "\N{RIGHT-TO-LEFT OVERRIDE}gnp.esc",
    "separator": "line\N{LINE SEPARATOR}line",
    "trailing": "ends in dots. . .",
    "option": "-rf",
    "journal": ".reid",
    "page": "<script>alert(1)</script>\"'&",
    "percent": "%2e%2e%2fesc",
}


def test_no_name_of_a_character_leads_out(place: Place) -> None:
    """Defect 7, and everything like it: the picture lands one folder below the result, under a plain name."""
    for number, name in enumerate(NAMES.values()):
        config = json.dumps({name: "refs/ann", "bob": "refs/bob"})
        (place.here / f"{number}.json").write_text(config, "utf-8")
    before = tree(place.outer)
    runs = place.run(
        *(
            [
                "reid",
                "classify",
                "--enroll-config-fn",
                f"{number}.json",
                "--target-dir",
                "targets",
                "--mode",
                "Any",
                "--result-dir",
                f"sorted{number}",
                "--threshold",
                "none",
                "--format",
                "jsonl",
                "--report",
                f"report{number}.html",
            ]
            for number in range(len(NAMES))
        )
    )
    after = tree(place.outer)
    for number, (case, name) in enumerate(NAMES.items()):
        done, result = runs[number], f"user/here/sorted{number}"
        assert done.code == 0, (case, done.err)
        assert [record["character"] for record in done.records()] == [name, "bob", name], case
        assert place.outside(done, f"sorted{number}", f"report{number}.html") == [], case
        inside = [path.removeprefix(f"{result}/").split("/") for path in after if path.startswith(f"{result}/")]
        folders = {parts[0] for parts in inside} - {".reid"}
        assert len(folders) == 2, case
        assert all(len(folder.encode()) <= 255 for folder in folders), case
        assert all(len(parts) <= 2 for parts in inside), case
        page = (place.here / f"report{number}.html").read_text("utf-8")
        assert page.count("<script") == 1, "its own"
        assert html.escape(name) in page or len(name) > 100, case
    others = {path for path in after if not path.startswith(("user/here/sorted", "user/here/report"))}
    assert others - set(before) <= {
        "user/here/cache",
        "user/here/cache/reid.sqlite",
        "user/here/config",
        "user/here/config/journal.key",
    }
    assert all(after.get(path) == before[path] for path in before)
    assert not Path("/comictool-hostile").exists()


WRONG = {
    "twice": ('{"ann": "refs/ann", "ann": "refs/bob"}', "'ann' occurs twice"),
    "twice in pairs": ('[["ann", "refs/ann"], ["ann", "refs/bob"]]', "'ann' occurs twice"),
    "one folder for two": ('{"a/b": "refs/ann", "a\\\\b": "refs/bob"}', "would both be sorted into the folder"),
    "one but for case": ('{"Ann": "refs/ann", "ann": "refs/bob"}', "would both be sorted into the folder"),
    "one but for accents": ('{"\\u00e9": "refs/ann", "e\\u0301": "refs/bob"}', "would both be sorted into the folder"),
    "folder of the unknown": ('{"suggestions": "refs/ann"}', "--unknown suggestions"),
    "line break": ('{"a\\nb": "refs/ann"}', "control characters"),
    "escape sequence": ('{"a\\u001b[2Jb": "refs/ann"}', "control characters"),
    "half a character": ('{"a\\ud83d": "refs/ann"}', "no valid text"),
    "empty": ('{" ": "refs/ann"}', "is empty"),
    "number": ('{"ann": 1e400}', "not a text"),
    "nothing": ('{"ann": null}', "not a text"),
    "nobody's home": ('{"ann": "~nobody-of-this-name/refs"}', "'ann'"),
    "not there": ('{"ann": "refs/an"}', "does not exist"),
    "far": ('{"ann": "' + "../" * 3000 + 'refs"}', "'ann'"),
    "device": ('{"ann": "/dev/zero"}', "not a plain file"),
    "half a path": ('{"ann": "refs/\\ud83d"}', "'ann'"),
    "no pictures": ('{"ann": "temporary"}', "no pictures of 'ann'"),
    "deep": ("[" * 50_000, "not JSON"),
    "long number": ('{"ann": ' + "9" * 5000 + "}", "not JSON"),
    "cut off": ('{"ann": "refs', "not JSON"),
}


def test_a_wrong_configuration_is_a_sentence_and_changes_nothing(place: Place) -> None:
    for number, (text, _) in enumerate(WRONG.values()):
        (place.here / f"{number}.json").write_text(text, "utf-8")
    before = tree(place.outer)
    runs = place.run(
        *(
            [
                "reid",
                "classify",
                "--enroll-config-fn",
                f"{number}.json",
                "--target-dir",
                "targets",
                "--mode",
                "Any",
                "--result-dir",
                "sorted",
                "--threshold",
                "none",
            ]
            for number in range(len(WRONG))
        )
    )
    for done, (case, (_, said)) in zip(runs, WRONG.items(), strict=True):
        assert done.code in (2, 3), (case, done.err)
        assert done.out == "", case
        assert said in done.err, (case, done.err)
        assert "Traceback" not in done.err, case
        assert len(done.err) < 3000, case
        assert place.outside(done) == [], case
    after = tree(place.outer)
    assert set(after) - set(before) <= {"user/here/cache", "user/here/cache/reid.sqlite"}
    assert all(after.get(path) == before[path] for path in before)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no such device")
def test_a_file_without_end_is_no_configuration(place: Place) -> None:
    """`/dev/zero` says that it has no bytes, and gives as many as are asked for."""
    [done] = place.run(["reid", "classify", "targets", "--enroll-config", "/dev/zero"])
    assert (done.code, done.out) == (3, ""), done.err
    assert "/dev/zero has more than" in done.err


def test_links_in_the_result_folder_lead_nowhere(place: Place) -> None:
    """Somebody put a link where a character's folder goes: its pictures stay, the link's target is not touched."""
    (place.here / "sorted").mkdir()
    (place.outer / "elsewhere").mkdir()
    (place.here / "sorted" / "ann").symlink_to(place.outer / "elsewhere")
    (place.here / "refs.json").write_text('{"ann": "refs/ann", "bob": "refs/bob"}')
    [done] = place.run(
        [
            "reid",
            "classify",
            "targets",
            "--enroll-config",
            "refs.json",
            "-o",
            "sorted",
            "--threshold",
            "none",
            "--format",
            "jsonl",
        ]
    )
    assert done.code == 1
    assert [record["action"] for record in done.records()] == ["failed", "copy", "failed"]
    assert "leads out of the result folder" in done.err
    assert place.outside(done, "sorted") == []
    assert list((place.outer / "elsewhere").iterdir()) == []


def test_a_gallery_keeps_odd_names_as_names(place: Place) -> None:
    """Enrolled, listed and sorted by: names are labels in a gallery too."""
    names = [NAMES[case] for case in ("parent", "absolute", "device", "long", "emoji", "separator")]
    for number, name in enumerate(names):
        save(place.here / "refs" / f"odd{number}" / "1.png", drawing(name, 1))
    (place.here / "refs.json").write_text(json.dumps({name: f"refs/odd{n}" for n, name in enumerate(names)}), "utf-8")
    before = tree(place.outer)
    runs = place.run(
        ["reid", "enroll", "refs.json", "-g", "gallery"],
        ["reid", "gallery", "list", "gallery", "--format", "jsonl"],
        ["reid", "classify", "targets", "-g", "gallery", "-o", "sorted", "--threshold", "none"],
    )
    for done in runs:
        assert done.code == 0, done.err
        assert place.outside(done, "gallery", "sorted") == []
    assert {record["character"] for record in runs[1].records()} == set(names)
    after = tree(place.outer)
    assert {path.split("/")[2] for path in set(after) - set(before)} <= {"gallery", "cache", "config", "sorted"}
    assert all(path.count("/") <= 4 for path in after if path.startswith("user/here/sorted"))
