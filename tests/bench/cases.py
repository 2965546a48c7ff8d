"""Odd inputs and their right values: `python -m tests.bench.cases [FOLDER] [--only TEXT]`.

A folder holds `cases.json` (name, kind, files, what is odd, the command, the right result) and a folder of files for
each case; scripts in `hostile_folders` come in addition. Without FOLDER it is `cases` of the test data. Every case runs
on a copy of its files, in a process of its own with a time limit. Prints what came out of each; 1 when one is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.bench.figures import arguments, figure
from tests.data import DATA

ROOT = Path(__file__).parents[2]
SECONDS = 180.0  # a case takes one to five
UNPACKERS = {"unar", "lsar", "bsdtar", "7z", "7za", "7zr", "7zz", "unrar", "unzip"}


@dataclass(frozen=True)
class Case:
    """An odd input, as `cases.json` has it, and the folder of its files."""

    name: str
    kind: str
    files: list[str]
    description: str
    right: str | dict[str, Any]
    command: str
    folder: Path


@dataclass
class Outcome:
    """What a case gave.

    Attributes:
        code: exit status; -9 when it was stopped after the time limit.
        out, err: the streams.
        folder: the copy of the files, in which the command ran.
        corpus: the folder that took the place of OUT; it need not have been made.
        findings: sentences about what is wrong, of those who look for themselves.
    """

    code: int
    out: str
    err: str
    folder: Path
    corpus: Path
    findings: list[str] = field(default_factory=list)

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """The page records of the corpus."""
        files = sorted((self.corpus / "annotations" / "pages").glob("*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]

    @cached_property
    def comics(self) -> dict[str, dict[str, Any]]:
        """The facts of each comic."""
        files = sorted((self.corpus / "annotations" / "comics").glob("*.json"))
        return {file.stem: json.loads(file.read_text("utf-8")) for file in files}

    @cached_property
    def problems(self) -> list[str]:
        """What was told to be wrong: of the report where it is JSON, else the lines on standard error."""
        try:
            reported = [problem["reason"] for problem in json.loads(self.out)["problems"]]
        except (ValueError, KeyError, TypeError):
            reported = []
        told = self.err.split("try next:")[0].splitlines()
        return [line.strip() for line in [*reported, *told] if line.strip()]


def read_cases(folder: Path) -> list[Case]:
    """The cases of a folder, those of its hostile scripts last."""
    wanted = [name for name in Case.__dataclass_fields__ if name != "folder"]
    listed = json.loads((folder / "cases.json").read_text("utf-8"))
    cases = [Case(**{key: case[key] for key in wanted}, folder=folder / case["name"]) for case in listed]
    for script in sorted((folder / "hostile_folders").glob("*.sh")):
        what = script.read_text("utf-8").splitlines()[1].lstrip("# ")
        right = "nothing outside changes"
        cases.append(Case(script.stem, "hostile", [script.name], what, right, f"bash {script.name}", script.parent))
    return cases


def run_case(case: Case, scratch: Path) -> Outcome:
    """Run the command of a case in an empty folder, on a copy of its files."""
    folder, out = scratch / "case", scratch / "out"
    shutil.copytree(case.folder, folder, symlinks=True)
    if case.kind == "checkpoints":
        from tests.bench.case_checkpoints import compare_checkpoints

        return compare_checkpoints(case, folder, out, environment(case, scratch))
    first = folder / case.files[0]
    places = {"FILE": first, "FOLDER": first if first.is_dir() else folder, "OUT": out}
    command = re.sub(r"\b(FILE|FOLDER|OUT)\b", lambda found: shlex.quote(str(places[found[0]])), case.command)
    outcome = run(command, folder, out, environment(case, scratch))
    if case.kind == "hostile":
        changed = [file.read_text("utf-8") for file in sorted(scratch.glob("changed.*"))]
        outcome.findings = [text.strip() for text in changed if text.strip()]
        if not changed:
            outcome.findings = ["the script did not call comictool"]
    return outcome


def run(command: str, folder: Path, out: Path, variables: Mapping[str, str]) -> Outcome:
    """Run a command line of the shell; all its processes end with it."""
    process = subprocess.Popen(
        ["bash", "-c", command],
        cwd=folder,
        env=dict(variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    try:
        stdout, stderr = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        stdout, stderr = process.communicate()
        stderr += f"\nstopped after {SECONDS:.0f} s"
    return Outcome(process.returncode, stdout, stderr, folder, out)


def environment(case: Case, scratch: Path) -> dict[str, str]:
    """Variables for a case: the program of this checkout first, settings of its own, and only the tools it may have."""
    tools = scratch / "tools"
    tools.mkdir()
    program = shutil.which("comictool", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        raise SystemExit("comictool is not installed beside this Python")
    # Hostile scripts only print what they see, so what lies outside is compared before and after each call of theirs
    look = f"find {shlex.quote(str(scratch))} '(' -path '*victim*' -o -iname '*pwned*' ')' -type f -exec sha1sum {{}} +"
    log = shlex.quote(str(scratch / "changed."))
    watched = (
        f'#!/bin/bash\nbefore=$({look} | sort)\n{shlex.quote(program)} "$@"\ncode=$?\n'
        f'diff <(echo "$before") <(echo "$({look} | sort)") > {log}$$\nexit $code\n'
    )
    script = f'#!/bin/bash\nexec {shlex.quote(program)} "$@"\n'
    (tools / "comictool").write_text(watched if case.kind == "hostile" else script, "utf-8")
    (tools / "comictool").chmod(0o755)
    path = [str(tools), str(Path(sys.executable).parent), *os.get_exec_path()]
    missing = set(re.findall(r"no (\w+) on PATH", case.description))
    if re.search(r"with \w+ alone", case.description):
        missing |= UNPACKERS
    if missing:
        path = [str(tools)]
        for file in (file for folder in os.get_exec_path() if os.path.isdir(folder) for file in os.scandir(folder)):
            if file.name not in missing and not os.path.lexists(tools / file.name):
                (tools / file.name).symlink_to(file.path)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("COMICTOOL_")}
    return kept | {
        "PATH": os.pathsep.join(path),
        "PYTHONPATH": str(ROOT),
        "COMICTOOL_CONFIG_DIR": str(scratch / "config"),
        "TMPDIR": str(scratch),
        "CT": str(tools / "comictool"),
        "OMP_NUM_THREADS": "1",
    }


def verdict(case: Case) -> tuple[list[str], str]:
    """What is wrong with the result of a case (nothing when it is right), and what came out, in short."""
    from tests.bench.case_checks import faults, summary

    with tempfile.TemporaryDirectory() as scratch:
        outcome = run_case(case, Path(scratch))
        return faults(case, outcome), summary(case, outcome).replace(f"{outcome.folder}/", "")


def main() -> int:
    """Print the table; 3 when there is no folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=DATA and DATA / "cases")
    parser.add_argument("--only", default="", help="cases whose name or kind has this text")
    asked = parser.parse_args(arguments())
    if asked.folder is None or not (asked.folder / "cases.json").is_file():
        print("no folder with a cases.json; COMICTOOL_TEST_DATA does not name one either", file=sys.stderr)
        return 3
    cases = [case for case in read_cases(asked.folder) if asked.only in f"{case.name} {case.kind}"]
    wrong = 0
    print("| case | kind | right? | what came out |\n| --- | --- | --- | --- |")
    for case in cases:
        found, came_out = verdict(case)
        wrong += bool(found)
        cells = [case.name, case.kind, "NO" if found else "yes", "; ".join([*found, came_out])]
        print(f"| {' | '.join(cell.replace('|', '/').replace(chr(10), ' ') for cell in cells)} |", flush=True)
    figure("Files and folders that other people reported: right", f"{len(cases) - wrong} of {len(cases)}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
