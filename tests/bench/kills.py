"""Kills and signals: `python -m tests.bench.kills --count 2000 --seed 0 [--only reid] [--verbose]`.

Each try copies a small world, starts one command in it, stops it at a drawn moment, runs the same command again to its
end, and compares every file (and, where it is promised, standard output) with what an undisturbed run leaves. Counted
are files lost, left over and different, output that differs, runs that cannot be resumed, and tracebacks.

A command runs in a child forked from this process, which has imported everything: a try takes about 0.1 s. The moment
is a number of things done to the disk (from Python's audit events: opened for writing, renamed, removed, linked...),
at which the child signals itself before the next is done; or a time, for what happens in between. `fresh` tries start
Python anew, count imports too, and interrupt those.
"""

from __future__ import annotations

import argparse
import atexit
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

from tests.bench.figures import figure
from tests.formats import mast_fixture
from tests.reid.drawings import cast, drawing, save

ROOT = Path(__file__).parents[2]
# Tries of each kind in a hundred. `two` is a second Ctrl-C a few moments after the first, `stop` SIGSTOP and SIGCONT.
KINDS = {"kill": 50, "kill at a time": 20, "SIGTERM": 8, "SIGINT": 8, "two": 6, "stop": 4, "fresh": 4}
# Locks and ledgers keep what happened; caches keep what was computed; names of the rest are compared, and contents.
UNCOMPARED = re.compile(r"(\.cache|\.config)(/.*)?")
NAMES_ONLY = re.compile(r"(.*/)?(\.jobs|\.work|\.reid)/.*|(.*/)?\.lock|.*\.lock")
# Of stores: how many times contents were begun, and what depends on the times of the pages' files.
DRAWN = re.compile(rb"(?<=contents-)\d{6}|\"digest\": \"\w+\"|\d+ \d{19}(?= )|'[0-9a-f]{24}'")
LONGEST = 60.0  # seconds for one run


@dataclass(frozen=True)
class Case:
    """A command in the world that the commands before it leave.

    Attributes:
        command: without `comictool`.
        before: commands of the world, after `make`.
        make: fills the empty folder.
        told: a run again prints what an undisturbed run prints.
    """

    command: str
    before: tuple[str, ...] = ()
    make: Callable[[Path], object] = lambda root: None
    told: bool = False


def characters(root: Path) -> None:
    """References of three characters; targets of them, of somebody else, with equal names; and files in their way."""
    cast(root / "refs", count=3)
    cast(root / "more", characters=("dan",), count=2)
    for number in range(10):
        name = ("ann", "bob", "cat", "zoe")[number % 4]
        save(root / f"targets/{number % 5}/{number % 3}.png", drawing(name, number + 9))
    (root / "targets/spoilt.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (root / "sorted/ann").mkdir(parents=True)
    (root / "sorted/ann/0.png").write_text("mine")


def unsorted(root: Path) -> None:
    """The same, without the result folder."""
    characters(root)
    shutil.rmtree(root / "sorted")


def shelf(root: Path) -> None:
    """Three comic files of four pages, white with two dark panels."""
    from tests.archives.comic_files import make_tar, make_zip, picture

    (root / "shelf").mkdir()
    for number in range(3):
        members = {f"{page}.jpg": picture(10 * number + page, size=(120, 160)) for page in range(4)}
        (make_tar if number == 1 else make_zip)(root / "shelf" / f"comic {number}.cbz", members)


def mast(root: Path) -> None:
    """Four annotated comics with every trap of names."""
    mast_fixture.write_mast(root / "corpus", [mast_fixture.PLAIN, mast_fixture.QUOTED, mast_fixture.ALIKE_A])


# A network would be forked with its threads, and would wait for them for ever.
EYES = "--plugin classic_character"
SORT = f"reid classify targets --enroll-config refs --threshold .9 {EYES}"
EXPORT = ("data export panels corpus", "data export characters corpus")
SPLIT, PACK = "data split corpus --ratios .5,.25,.25", "data hdf5 corpus"
IMPORT, NORMALIZE = "data import shelf -o corpus", "data normalize corpus"
EMBED = "embed corpus --plugin classic -o"
CASES = {
    "import": Case(IMPORT, make=shelf),
    "import -j 2": Case(f"{IMPORT} -j 2", make=shelf),
    "panels": Case("data panels corpus", (IMPORT,), shelf),
    "index": Case("index shelf -o library --plugin classic", make=shelf),
    "embed": Case(f"{EMBED} store", (IMPORT, "data panels corpus"), shelf),
    "merge": Case("merge one two -o store", (IMPORT, f"{EMBED} one --shard 1/2", f"{EMBED} two --shard 2/2"), shelf),
    "dedupe": Case("data dedupe corpus -o found.json --sheet sheet.html", (IMPORT,), shelf),
    "draw": Case("data draw -n 2 --comic-pages 1 --width 300 --height 400 --seed 1 -o drawn"),
    "convert": Case("data convert corpus out --to comix-coco", make=mast),
    "convert to corpus": Case("data convert corpus out --to corpus", make=mast),
    "export panels": Case(EXPORT[0], make=mast),
    "export characters": Case(EXPORT[1], make=mast),
    "normalize": Case(NORMALIZE, (*EXPORT, SPLIT, PACK), mast, told=True),
    "normalize --undo": Case(f"{NORMALIZE} --undo", (*EXPORT, SPLIT, PACK, NORMALIZE), mast, told=True),
    "split": Case(SPLIT, EXPORT, mast),
    "hdf5": Case(PACK, (*EXPORT, SPLIT), mast),
    "filter": Case("data filter corpus --min-frequency 2", (*EXPORT, SPLIT, PACK), mast),
    "metainfo": Case("data metainfo corpus --split all --bins 3", EXPORT, mast),
    "features": Case("features backbone corpus --plugin classic -o features", (*EXPORT, SPLIT), mast),
    "enroll": Case(f"reid enroll refs -g gallery {EYES}", make=unsorted, told=True),
    "enroll more": Case(
        f"reid enroll more -g gallery {EYES} --remove ann --prune --json",
        (f"reid enroll refs -g gallery {EYES}",),
        unsorted,
        told=True,
    ),
    "calibrate": Case(
        "reid calibrate -g gallery --json", (f"reid enroll refs -g gallery {EYES}",), unsorted, told=True
    ),
    "gallery merge": Case(
        "reid gallery merge one two -g both",
        (f"reid enroll refs -g one {EYES}", f"reid enroll more -g two {EYES}"),
        unsorted,
        told=True,
    ),
    "cluster": Case(f"reid cluster targets {EYES} --sheet groups.html", make=unsorted, told=True),
    "classify copy": Case(f"{SORT} -o sorted", make=unsorted, told=True),
    "classify copy over": Case(f"{SORT} -o sorted --on-clash overwrite --json", make=characters, told=True),
    "classify move": Case(f"{SORT} -o sorted --action move --format jsonl", make=unsorted, told=True),
    "classify move over": Case(f"{SORT} -o sorted --action move --on-clash overwrite", make=characters, told=True),
    "classify symlink": Case(f"{SORT} -o sorted --action symlink --report page.html", make=characters, told=True),
    "classify hardlink": Case(f"{SORT} -o sorted --action hardlink --format csv", make=unsorted, told=True),
    "undo copy": Case("reid undo sorted", (f"{SORT} -o sorted",), unsorted, told=True),
    "undo move": Case("reid undo sorted --json", (f"{SORT} -o sorted --action move",), unsorted, told=True),
    "undo move over": Case(
        "reid undo sorted", (f"{SORT} -o sorted --action move --on-clash overwrite",), characters, told=True
    ),
    "undo symlink": Case("reid undo sorted", (f"{SORT} -o sorted --action symlink",), characters, told=True),
}


@dataclass
class Ended:
    """How a run ended: exit code (minus a signal that killed it) and what it printed."""

    code: int
    out: str
    err: str
    moments: int = 0


@dataclass
class Tally:
    """Findings of a campaign, by what went wrong; a try may have several."""

    tries: int = 0
    stopped: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)


class Bench:
    """Worlds in a folder: templates, made once, and the one place where commands run, since some files name it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.work = folder, folder / "work"
        self._expected: dict[str, tuple[dict[str, str], Ended, float]] = {}

    def expected(self, name: str) -> tuple[dict[str, str], Ended, float]:
        """Files, answer and seconds of an undisturbed run."""
        if name not in self._expected:
            case = CASES[name]
            shutil.rmtree(self.work, ignore_errors=True)
            self.work.mkdir()
            case.make(self.work)
            for command in case.before:
                ran = self.run(command)
                assert ran.code in (0, 1), (command, ran)
            shutil.rmtree(self.work / ".cache", ignore_errors=True)
            shutil.copytree(self.work, self.folder / name, symlinks=True)
            begin = time.monotonic()
            ran = self.run(case.command)
            needed = time.monotonic() - begin
            assert ran.code in (0, 1), (case.command, ran)
            self._expected[name] = state(self.work), ran, needed
        return self._expected[name]

    def fill(self, name: str) -> None:
        """Put the world of a case in place."""
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.folder / name, self.work, symlinks=True)

    def run(self, command: str, strike: Strike | None = None) -> Ended:
        """Run a command in the world, stopped as told."""
        environment = {
            "COMICTOOL_CACHE": str(self.work / ".cache"),
            "COMICTOOL_CONFIG_DIR": str(self.work / ".config"),
            "COMICTOOL_JOBS": "1",
        }
        strike = strike or Strike()
        streams = [open(self.folder / name, "w+b") for name in ("out", "err", "moments")]  # noqa: SIM115
        if strike.fresh:
            wrapper = f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom comictool.__main__ import main\n"
            wrapper += "from tests.bench import kill_me; import signal, os\n"
            wrapper += "signal.signal(signal.SIGINT, lambda *_: os._exit(130))\n"  # as `main` begins
            wrapper += f"kill_me.at({[*map(int, strike.numbers)]}, {strike.moments!r}, imports=True); main()"
            self._fresh = subprocess.Popen(  # kept: an object that goes would ask for the status
                [sys.executable, "-c", wrapper, *shlex.split(command)],
                cwd=self.work,
                env=os.environ | environment,
                stdout=streams[0],
                stderr=streams[1],
            )
            child = self._fresh.pid
        else:
            child = os.fork()
            if child == 0:
                self._be(command, environment, strike, streams)
        status = strike.wait(child)
        texts = []
        for stream in streams:
            stream.seek(0)
            texts.append(stream.read().decode("utf-8", "replace"))
            stream.close()
        code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        return Ended(code, texts[0], texts[1], int(texts[2] or 0))

    def _be(self, command: str, environment: dict[str, str], strike: Strike, streams: list) -> None:  # type: ignore[type-arg]
        """The child: the program with this command line, as `python -m comictool` is."""
        from comictool.__main__ import main
        from tests.bench import kill_me

        atexit._clear()  # what the parent has to tidy up is not the child's
        os.chdir(self.work)
        os.environ.update(environment)
        os.dup2(streams[0].fileno(), 1)
        os.dup2(streams[1].fileno(), 2)
        sys.stdout, sys.stderr = (open(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))  # noqa: SIM115
        sys.argv = ["comictool", *shlex.split(command)]
        kill_me.at(strike.numbers, strike.moments, counted=streams[2].fileno())
        try:
            main()
        finally:
            os._exit(99)  # never reached by a program that ends as it should

    def attempt(self, name: str, kind: str, draw: random.Random) -> tuple[list[str], bool]:
        """One try: what went wrong, and whether the command was stopped at all."""
        case = CASES[name]
        files, whole, needed = self.expected(name)
        self.fill(name)
        strike = Strike.drawn(kind, whole.moments, needed, draw)
        runs = [self.run(case.command, strike)]

        def done() -> bool:
            """Killed when all was done and told: a person who sees the whole answer does not ask again."""
            return case.told and runs[-1].out == whole.out and state(self.work) == files

        stopped = runs[0].code != whole.code
        if stopped and draw.random() < 0.3 and not done():  # once more, anywhere
            runs.append(self.run(case.command, Strike.drawn("kill", whole.moments, needed, draw)))
        if runs[-1].code != whole.code and not done():
            runs.append(self.run(case.command))
        last, wrong = runs[-1], list[str]()
        if last.code != whole.code and not done():
            wrong.append(f"not resumed: {last.code} {last.err.strip()[-300:]}")
        elif case.told and last.out != whole.out:
            wrong.append(f"output differs: {first_difference(whole.out, last.out)} {last.err[-200:]}")
        now = state(self.work)
        wrong += [f"lost: {path}" for path in sorted(files.keys() - now.keys())]
        wrong += [f"left over: {path}" for path in sorted(now.keys() - files.keys())]
        wrong += [f"different: {path}" for path in sorted(files.keys() & now.keys()) if files[path] != now[path]]
        for ran in runs:
            wrong += [f"traceback: {ran.err.strip()[-1500:]}"] if "Traceback" in ran.err else []
            wrong += [f"unexpected: {ran.err.strip()[-300:]}"] if "unexpected" in ran.err or ran.code == 99 else []
        if kind in ("SIGINT", "two", "fresh") and runs[0].code not in (0, 1, 130):
            wrong.append(f"exit code of Ctrl-C: {runs[0].code} {runs[0].err.strip()[-300:]}")
        how = f"{strike.numbers} {strike.moments} {strike.after:.3f} {[ran.code for ran in runs]} {last.err[-200:]!r}"
        return [f"{text}   [{how}]" for text in wrong], stopped


@dataclass(frozen=True)
class Strike:
    """What stops a run: signals it sends itself at moments, or one that it is sent after a time."""

    numbers: tuple[int, ...] = ()
    moments: tuple[int, ...] = ()
    after: float = 0.0
    number: int = 0
    fresh: bool = False

    @classmethod
    def drawn(cls, kind: str, moments: int, needed: float, draw: random.Random) -> Strike:
        """A strike of a kind, at a moment of an undisturbed run."""
        at = draw.randrange(max(moments, 1))
        if kind == "kill":
            return cls((9,), (at,))
        if kind in ("SIGTERM", "SIGINT"):
            return cls((int(signal.Signals[kind]),), (at,))
        if kind == "two":
            return cls((2, 2), (at, at + draw.randrange(1, 6)))
        if kind == "fresh":
            first = draw.randrange(600 + moments)  # about what is imported
            return cls((2, 2), (first, first + draw.randrange(1, 40)), fresh=True)
        return cls(number=signal.SIGSTOP if kind == "stop" else signal.SIGKILL, after=draw.random() * needed)

    def wait(self, child: int) -> int:
        """Wait for the child, and strike when it is time; gives its status."""
        if self.number:
            time.sleep(self.after)
            os.kill(child, self.number)
            if self.number == signal.SIGSTOP:
                time.sleep(0.02)
                os.kill(child, signal.SIGCONT)
        end = time.monotonic() + LONGEST
        while time.monotonic() < end:
            found, status = os.waitpid(child, os.WNOHANG)
            if found:
                return status
            time.sleep(0.002)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return 98 << 8  # it hung


def state(root: Path) -> dict[str, str]:
    """Every path in the world that counts, with its kind and content."""
    found = {}
    for where, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = Path(where, name)
            relative = re.sub(r"contents-\d{6}", "contents", path.relative_to(root).as_posix())
            if UNCOMPARED.fullmatch(relative):
                continue
            if path.is_symlink():
                found[relative] = f"link to {os.readlink(path)}"
            elif path.is_dir():
                found[relative] = "folder"
            elif NAMES_ONLY.fullmatch(relative):
                found[relative] = "file"
            else:
                found[relative] = blake2b(_content(path), digest_size=8).hexdigest()
    return found


def _content(path: Path) -> bytes:
    data = path.read_bytes()
    if data.startswith(b"SQLite format 3"):
        import sqlite3

        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as base:
            data = "\n".join(base.iterdump()).encode()
    elif path.name != "zarr.json":
        return data
    return DRAWN.sub(b"", data)


def first_difference(one: str, other: str) -> str:
    """The first line in which two texts differ."""
    left, right = one.splitlines(), other.splitlines()
    for number, (a, b) in enumerate(zip(left, right, strict=False), start=1):
        if a != b:
            return f"line {number}: {a[:200]!r} became {b[:200]!r}"
    return f"{len(left)} lines became {len(right)}: {[*left, *right][min(len(left), len(right)) :][:2]}"


def import_everything() -> None:
    """All of the package that does not need torch, so that children need not."""
    import comictool

    heavy = ("comictool.training", "comictool.asterx", "comictool.elric", "comictool.selfsup", "comictool.shipped")
    for module in walk_packages(comictool.__path__, "comictool."):
        if not module.name.startswith(heavy) and not module.name.endswith("__main__"):
            import_module(module.name)


def campaign(bench: Bench, names: list[str], count: int, seed: int) -> Iterator[tuple[str, str, list[str], bool]]:
    """Tries over the cases in turn: case, kind, what went wrong, whether it was stopped."""
    draw = random.Random(seed)
    kinds = [kind for kind, share in KINDS.items() for _ in range(share)]
    for number in range(count):
        name, kind = names[number % len(names)], draw.choice(kinds)
        wrong, stopped = bench.attempt(name, kind, draw)
        yield name, kind, wrong, stopped


def main() -> None:
    """Run a campaign and print what it found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="cases whose names begin so, with commas between")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    os.environ.update({"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"})
    import_everything()
    names = [name for name in CASES if name.startswith(tuple(given.only.split(",")))]
    tallies = {name: Tally() for name in names}
    with tempfile.TemporaryDirectory(prefix="comictool-kills-") as folder:
        for name, kind, wrong, stopped in campaign(Bench(Path(folder)), names, given.count, given.seed):
            tally = tallies[name]
            tally.tries += 1
            tally.stopped += stopped
            tally.wrong.update({text.partition(":")[0] for text in wrong})
            tally.examples += [f"{kind}: {text}" for text in wrong[:3]]
            if given.verbose and wrong:
                print(name, json.dumps(tally.examples[-1]), flush=True)
    print(f"{'command':<20} tries  stopped  wrong")
    for name, tally in tallies.items():
        print(f"{name:<20} {tally.tries:5}  {tally.stopped:7}  {dict(tally.wrong) or 0}")
        for example in tally.examples[:3]:
            print(f"    {example}")
    tries, stopped = (sum(getattr(tally, what) for tally in tallies.values()) for what in ("tries", "stopped"))
    wrong_tries = sum(sum(tally.wrong.values()) for tally in tallies.values())
    figure("Kills and signals: lost, left over, different, tracebacks", f"{wrong_tries} in {tries} ({stopped} stopped)")


if __name__ == "__main__":
    main()
