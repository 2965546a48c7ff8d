"""Command by setting: does a change redo what was done with another value?

    python -m tests.bench.settings [COMMAND...]

Each row is run: the command, then the same with the setting changed, over the same output; and beside it the changed
command alone, in a fresh place. `redone`: the first ends as the second, which is not what was there. `added`: it has
all of the second, beside what was there. `refused`: a sentence, and nothing has changed. `kept`: the setting decides
nothing, and what was there stayed. Anything else is WRONG.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from comictool.cli.app import run as run_command
from comictool.core.errors import ExitCode
from comictool.vectors.store import Store

REDONE, ADDED, REFUSED, KEPT = "redone", "added", "refused", "kept"
UNTRAINED = "timm:test_vit?random"  # the smallest network that there is
# Of other runs, not of what they made: ledgers, locks, command lines, machines, times.
LEFT_OUT = {
    ".jobs",
    ".work",
    "env.json",
    "command.txt",
    ".lock",
    "tensorboard",
    "sheets",
    "config.toml",
    "checkpoints",
    ".reid",
}
MARKS = {"contents", "rows", "tool", "column"}  # attributes of packs that name the writing, not the numbers


@dataclass(frozen=True)
class Row:
    """A setting of a command.

    Attributes:
        command: with all that both runs have in common.
        before, after: the options of the first and of the second run.
        expect: one of the words above.
    """

    command: str
    before: str
    after: str
    expect: str = REDONE

    @property
    def name(self) -> str:
        """The row's name in tables and tests."""
        return f"{' '.join(word for word in self.command.split()[:3] if word.isalpha())}: {self.after or '(left out)'}"


def _rows(command: str, *settings: str, before: str = "", expect: str = REDONE) -> list[Row]:
    return [Row(command, before, after, expect) for after in settings]


EMBED = f"embed corpus -o store --device cpu --level panel --plugin {UNTRAINED}"
BACKBONE = f"features backbone corpus -o made --device cpu --plugin {UNTRAINED}"
ASTERX = "train asterx features -o run --preset tiny --device cpu --precision fp32"
ENROLL = "reid enroll corpus/character_images -g new --no-cache"
CLASSIFY = "reid classify corpus/panel_images -g gallery -o sorted --action copy --no-cache"
CLUSTER = "reid cluster corpus/character_images -o groups --action copy --no-cache"
ELRIC = "train elric corpus -o run --preset tiny --device cpu --precision fp32 --set training.batch_size=4"
TABLE = [
    *_rows("data import comics -o new", "--direction rtl"),
    *_rows("data import comics -o new", "-j 2", expect=KEPT),
    *_rows("data panels bare", "--direction rtl", "--order columns"),
    *_rows("data panels bare", "-j 2", expect=KEPT),
    *_rows("data draw -o new -n 2 --width 300 --height 400", "--story"),
    *_rows("data draw -o new -n 2 --width 300 --height 400", "--seed 2", expect=ADDED),
    Row("data draw -o new -n 2", "--width 300 --height 400", "--width 320 --height 400"),
    *_rows("data draw -o new -n 2 --width 300 --height 400", "-j 2", expect=KEPT),
    *_rows("data export panels corpus", "--quality 50"),
    *_rows("data export panels corpus", "-j 2", expect=KEPT),
    *_rows(
        "data export characters corpus", "--quality 50", "--square", "--scale 1.5", "--part faces", "--unidentified"
    ),
    *_rows("data split corpus", "--seed 4", "--ratios 1,0,1", "--by page", "--link copy"),
    *_rows("data hdf5 corpus", "--layout blob"),
    *_rows("data hdf5 corpus", "-j 2", expect=KEPT),
    *_rows("data metainfo corpus", "--bins 7"),
    *_rows(EMBED, "--precision fp32", "--precision bf16", "--storage float32", expect=REFUSED),
    Row(EMBED, "--precision fp32", "--precision bf16", REFUSED),
    Row("embed corpus -o store --level panel", "--plugin classic", "--plugin classic_character", REFUSED),
    Row("embed corpus -o store --plugin classic", "--level panel", "--level panel --level page"),
    *_rows("embed corpus -o store --level panel --plugin classic", "--batch-size 3", "-j 2", expect=KEPT),
    *_rows(BACKBONE, "--precision fp32", "--precision bf16", expect=REFUSED),
    Row(BACKBONE, "--storage float32", "--storage float16", REFUSED),
    Row(BACKBONE, "--level panel", "--level character", REFUSED),
    *_rows(f"{BACKBONE} --level character", "--part faces", "--unidentified", expect=REFUSED),
    *_rows(BACKBONE, "--raw", expect=REFUSED),
    *_rows(BACKBONE, "--batch-size 3", "-j 2", expect=KEPT),
    *_rows(
        "features asterx features --model model -o made --device cpu", "--token centre", "--unmasked", "--windows one"
    ),
    *_rows("features asterx features --model model -o made --device cpu", "--legacy-shape"),
    *_rows("features asterx features --model model -o made --device cpu", "--batch-size 3", expect=KEPT),
    Row(ASTERX, "--max-steps 1", "--max-steps 2"),
    *_rows(f"{ASTERX} --max-steps 1", "--seed 9", "--before 1", "--noise .1", "--weights model", expect=REFUSED),
    Row(f"{ASTERX} --max-steps 1 --batch-size 4", "", "--batch-size 2", REFUSED),
    Row(f"{ASTERX} --max-steps 1".replace("--precision fp32", ""), "--precision fp32", "--precision bf16", REFUSED),
    *_rows(f"{ASTERX} --max-steps 1", "-j 1", expect=KEPT),
    *_rows(f"{ELRIC} --max-steps 1", "--seed 9", "--set crops.local_count=1", expect=REFUSED),
    Row(ELRIC, "--max-steps 1", "--max-steps 2"),
    Row("data import comics -o new", "--keep copy", "--keep reference"),
    Row("data import comics -o new", "--keep reference", "--keep copy"),
    *_rows("index comics -o new", "--direction rtl", "--keep reference"),
    Row("index comics -o new", "", "--plugin classic_character", REFUSED),
    *_rows("index comics -o new", "-j 2", expect=KEPT),
    Row("data convert corpus made --to dataspec", "--pictures copy", "--pictures link", KEPT),
    Row("data convert corpus made", "--to dataspec", "--to kumiko", ADDED),
    *_rows("data convert corpus made --to dataspec", "-j 2", expect=KEPT),
    *_rows("data dedupe corpus -o found.json", "--method exact", "--threshold .3"),
    *_rows("data dedupe corpus -o found.json", "-j 2", expect=KEPT),
    Row("data classes corpus", "--column title", "--column direction"),
    *_rows(ENROLL, "--flip", "--plugin classic", expect=REFUSED),
    *_rows(ENROLL, "-j 2", expect=KEPT),
    *_rows(f"{ENROLL} --plugin classic_character", "--batch-size 3", expect=KEPT),  # a network rounds by batch
    *_rows("reid calibrate -g gallery --no-cache", "--far .3", "--mode avg", "--per-character"),
    *_rows(CLASSIFY, "--threshold none", "--mode centroid --threshold none", "--unknown unknown"),
    *_rows(CLASSIFY, "-j 2", expect=KEPT),
    *_rows(CLUSTER, "--groups 2", "--threshold .9"),
    *_rows(CLUSTER, "-j 2", expect=KEPT),
]


def outcome(row: Row, base: Path, work: Path) -> str:
    """What becomes of a row: one of the words above, or `WRONG: ...`.

    Args:
        base: from `make_base`; copied.
        work: a folder that is emptied.
    """
    fresh(base, work)
    first = call(work, row.command, row.before)
    if first not in (ExitCode.DONE, ExitCode.FINDINGS):
        return f"WRONG: the first run ended with {first}"
    there = contents(work)
    code = call(work, row.command, row.after)
    found = contents(work)
    if code in (ExitCode.USAGE, ExitCode.INPUT):
        return REFUSED if found == there else "WRONG: refused, and something has changed"
    fresh(base, work)
    call(work, row.command, row.after)
    alone = contents(work)
    if found != alone and found != there and alone.items() <= found.items() and there.items() <= found.items():
        return ADDED
    if found != alone:
        return "WRONG: not what the changed command alone makes" + (" (skipped)" if found == there else "")
    return KEPT if found == there else REDONE


def fresh(base: Path, work: Path) -> None:
    """Put the beginning of every row back."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(base, work, symlinks=True)


def call(work: Path, command: str, options: str) -> int:
    """Run the program in this process, in a folder."""
    before = Path.cwd()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        os.chdir(work)
        try:
            return int(run_command([*command.split(), *options.split(), "-q"]) or 0)
        finally:
            os.chdir(before)


def make_base(folder: Path) -> Path:
    """A drawn corpus with crops and a split, comic files, features of panels, and a sequence model."""
    folder.mkdir(parents=True)
    draw = "data draw -o corpus -n 6 --comic-pages 2 --width 400 --height 560 --seed 1"
    call(folder, draw, "")
    records = sorted((folder / "corpus" / "annotations" / "pages").glob("*.jsonl"))[0]
    pages = [json.loads(line) for line in records.read_text("utf-8").splitlines()]
    for page in pages:
        for character in page["characters"][:1]:
            character["identity"] = None  # somebody whom nobody named
    records.write_text("".join(json.dumps(page) + "\n" for page in pages), "utf-8")
    for command in (
        "data export panels corpus",
        "data export characters corpus",
        "data split corpus --ratios 1,0,1",
        "features backbone corpus -o features --plugin classic --level panel",
        "train asterx features -o trained --preset tiny --max-steps 1 --device cpu",
        "reid enroll corpus/character_images -g gallery --no-cache",
    ):
        code = call(folder, command, "")
        if code not in (ExitCode.DONE, ExitCode.FINDINGS):
            raise RuntimeError(f"{command} ended with {code}")
    shutil.move(folder / "trained" / "model", folder / "model")
    shutil.rmtree(folder / "trained")
    (folder / "comics").mkdir()
    for comic in sorted((folder / "corpus" / "page_images").iterdir()):
        with zipfile.ZipFile(folder / "comics" / f"{comic.name}.cbz", "w") as archive:
            for page in sorted(comic.iterdir()):
                archive.write(page, page.name)
    call(folder, "data import comics -o bare", "")
    return folder


def contents(work: Path) -> dict[str, str]:
    """What lies in a folder, by file: digests of what decides, without marks of the run that wrote it."""
    found = {}
    for folder, names, files in os.walk(work):
        place = Path(folder)
        names[:] = sorted(name for name in names if name not in LEFT_OUT)
        if (place / "zarr.json").is_file():
            names.clear()
            found[str(place.relative_to(work))] = _digest(_store(place))
            files = [name for name in files if name.endswith(".hdf5")]
        for name in files:
            if name not in LEFT_OUT:
                file = place / name
                parts = _pack(file) if name.endswith(".hdf5") else _plain(file)
                found[str(file.relative_to(work))] = _digest(parts)
    return found


def _digest(parts: Iterator[bytes]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _store(folder: Path) -> Iterator[bytes]:
    with Store.open(folder) as store:
        for page in store.metadata.all_pages():
            yield f"{page.id} {page.split}".encode()
        for name, opened in sorted(store.columns.items()):
            yield json.dumps([name, opened.column.deciding(), opened.column.fingerprint], sort_keys=True).encode()


def _pack(file: Path) -> Iterator[bytes]:
    with h5py.File(file) as pack:
        parts: list[bytes] = []

        def visit(name: str, item: Any) -> None:
            marks = {key: str(value) for key, value in item.attrs.items() if key not in MARKS}
            parts.append(json.dumps([name, marks], sort_keys=True).encode())
            if isinstance(item, h5py.Dataset):
                values = item[()]
                rows = values if values.dtype == object else [values]
                parts.extend(np.asarray(value).tobytes() if not isinstance(value, bytes) else value for value in rows)

        pack.visititems(visit)
    yield from parts


def _plain(file: Path) -> Iterator[bytes]:
    if file.is_symlink():
        yield os.readlink(file).encode()
    elif file.name == "metrics.jsonl":
        for line in file.read_text("utf-8").splitlines():
            row = json.loads(line)
            if row["event"] != "resumed":
                yield json.dumps({k: v for k, v in row.items() if k not in ("seconds", "waited")}).encode()
    else:
        yield file.read_bytes()


@cache
def shared_base() -> Path:
    """The base of this process."""
    folder = Path(tempfile.mkdtemp(prefix="settings-"))
    return make_base(folder / "base")


def main(words: Sequence[str]) -> int:
    """Print the table; 1 when a row is not as expected."""
    wanted = " ".join(words)
    base, wrong = shared_base(), 0
    print("| command | first | then | |\n|---|---|---|---|")
    try:
        for row in TABLE:
            if row.command.startswith(wanted):
                found = outcome(row, base, base.parent / "work")
                wrong += found != row.expect
                expected = "" if found == row.expect else f" (expected: {row.expect})"
                print(f"| {row.command} | {row.before} | {row.after} | {found}{expected} |", flush=True)
    finally:
        shutil.rmtree(base.parent, ignore_errors=True)
    print(f"{wrong} rows are not as expected")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
