"""Damaged and forged folders: `python -m tests.bench.fuzzed --count 500 --seed 0`.

Each try changes one thing in one file of a store, corpus, pack or gallery (a value of JSON, a cell of SQLite or CSV,
some bytes) and runs a command on it. Whatever it makes of it, it must end with a sentence: exit code 5 ("unexpected,
please report it"), tracebacks and commands that hang are counted.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sqlite3
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from tests.bench.figures import arguments, figure
from tests.bench.kills import CASES, Bench, Case, import_everything, mast, shelf, unsorted

ODD: list[Any] = [
    None,
    "",
    "\0",
    "a\0b",
    "../x",
    "\udcff",
    -1,
    2**63,
    10**30,
    1e308,
    float("nan"),
    [],
    {},
    True,
    "9" * 50,
]
STORES = ("data import shelf -o corpus", "data panels corpus", "embed corpus -o one --plugin classic --shard 1/2")
PACKED = ("data export panels corpus", "data export characters corpus", "data split corpus --ratios .5,.25,.25")
WORLDS: dict[str, tuple[Case, tuple[str, ...]]] = {
    "store": (
        Case("data info corpus", (*STORES, "embed corpus -o two --plugin classic --shard 2/2"), shelf),
        (
            "merge one two -o all",
            "query one --id comic\\ 0/1",
            "query one --image shelf.jpg",
            "embed corpus -o one --shard 1/2",
        ),
    ),
    "corpus": (
        Case("data info corpus", (*PACKED, "data hdf5 corpus", "data normalize corpus"), mast),
        (
            "data info corpus",
            "data verify corpus",
            "data convert corpus out --to comix-coco",
            "data normalize corpus",
            "data normalize corpus --undo",
            "data split corpus",
            "data hdf5 corpus",
            "data filter corpus --min-frequency 2",
            "data metainfo corpus --split all",
            "data export characters corpus",
        ),
    ),
    "native": (
        Case("data info corpus", ("data import shelf -o corpus", "data panels corpus"), shelf),
        (
            "data info corpus",
            "data verify corpus",
            "data convert corpus out --to mast-csv",
            "data export panels corpus",
        ),
    ),
    "gallery": (
        Case("reid gallery info g", ("reid enroll refs -g g", "reid classify targets -g g -o sorted"), unsorted),
        ("reid classify targets -g g -o sorted", "reid gallery verify g", "reid enroll refs -g g", "reid undo sorted"),
    ),
}


def damage(file: Path, draw: random.Random) -> str:
    """Change one thing in a file; says what."""
    data = file.read_bytes()
    if data.startswith(b"SQLite format 3") and draw.random() < 0.8:
        return _cell(file, draw)
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    if file.suffix in (".json", ".jsonl") and draw.random() < 0.8:
        at = draw.randrange(len(lines)) if file.suffix == ".jsonl" else -1
        try:
            value = json.loads(lines[at] if at >= 0 else data)
        except ValueError:
            return "nothing"
        told, value = _changed(value, draw)
        text = json.dumps(value)
        if at >= 0:
            lines[at] = text
            text = "\n".join(lines)
        file.write_text(text, "utf-8", "surrogateescape", newline="")
        return told
    if file.suffix == ".csv" and draw.random() < 0.8:
        at = draw.randrange(len(lines))
        cells = lines[at].split(",")
        cells[draw.randrange(len(cells))] = told = str(draw.choice(ODD))
        lines[at] = ",".join(cells)
        file.write_text("\n".join(lines), "utf-8", "surrogateescape", newline="")
        return f"line {at}: {told!r}"
    changed = bytearray(data or b" ")
    start = draw.randrange(len(changed))
    changed[start : start + draw.choice([1, 1, 4, 30])] = draw.choice([b"\0", b"\xff", b"", b"[", os.urandom(4)])
    file.write_bytes(changed)
    return f"bytes at {start}"


def _changed(value: Any, draw: random.Random) -> tuple[str, Any]:
    """A JSON value with one value in it, or one key, replaced."""
    if isinstance(value, dict) and value and draw.random() < 0.9:
        key = draw.choice(list(value))
        if draw.random() < 0.1:
            return f"{key!r} renamed", {(k if k != key else "a\0b"): v for k, v in value.items()}
        told, inner = _changed(value[key], draw)
        return f"{key}.{told}", {**value, key: inner}
    if isinstance(value, list) and value and draw.random() < 0.9:
        at = draw.randrange(len(value))
        told, inner = _changed(value[at], draw)
        return f"{at}.{told}", [*value[:at], inner, *value[at + 1 :]]
    odd = draw.choice(ODD)
    return repr(odd), odd


def _cell(file: Path, draw: random.Random) -> str:
    base = sqlite3.connect(file)
    tables = [name for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    table = draw.choice(tables)
    columns = [row[1] for row in base.execute(f"PRAGMA table_info('{table}')")]
    column, odd = draw.choice(columns), draw.choice([o for o in ODD if isinstance(o, (str, int, float)) or o is None])
    try:
        row = draw.choice(base.execute(f"SELECT rowid FROM '{table}'").fetchall() or [(0,)])[0]
        base.execute(f"UPDATE '{table}' SET \"{column}\" = ? WHERE rowid = ?", (odd, row))
        base.commit()
    except (sqlite3.Error, OverflowError, UnicodeEncodeError) as error:
        return f"nothing: {error}"
    finally:
        base.close()
    return f"{table}.{column} of {row} = {odd!r}"


def attempt(bench: Bench, name: str, draw: random.Random) -> str:
    """One try: what went wrong, or empty."""
    commands = WORLDS[name][1]
    bench.fill(name)
    skipped = (".jpg", ".png", ".jpeg", ".cbz", ".lock")
    files = [f for f in sorted(bench.work.rglob("*")) if f.is_file() and not f.is_symlink() and f.suffix not in skipped]
    files = [f for f in files if ".config" not in f.parts and ".cache" not in f.parts]
    by_kind = sorted({f.suffix for f in files})
    kind = draw.choice(by_kind)
    file = draw.choice([f for f in files if f.suffix == kind])
    told, command = damage(file, draw), draw.choice(commands)
    ran = bench.run(command)
    if ran.code in (0, 1, 2, 3, 4, 10) and "unexpected" not in ran.err and "Traceback" not in ran.err:
        return ""
    return f"{command}: {file.relative_to(bench.work)}: {told}: {ran.code} {ran.err.strip()[-400:]}"


def main() -> None:
    """Run a campaign and print what it found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="")
    given = parser.parse_args(arguments())
    import_everything()
    draw, wrong, names = random.Random(given.seed), Counter[str](), [n for n in WORLDS if n.startswith(given.only)]
    with tempfile.TemporaryDirectory(prefix="comictool-fuzzed-") as folder:
        bench = Bench(Path(folder))
        for name in names:
            CASES[name] = WORLDS[name][0]
            bench.expected(name)
        for number in range(given.count):
            name = names[number % len(names)]
            if found := attempt(bench, name, draw):
                wrong[name] += 1
                print(name, found, flush=True)
    figure("Damaged stores, corpora, packs, galleries: not a sentence", f"{sum(wrong.values())} in {given.count}")


if __name__ == "__main__":
    main()
