"""Sorting a folder of pictures by a few references, and one round of corrections: how much of it is right?

    COMICTOOL_TEST_DATA=FOLDER python -m tests.bench.reid_sorting [--series NAME ...] [--draws N] [--encoder PLUGIN]
        [--far RATE]

Of each series, 5 and 10 pictures a character are drawn as references (from different pages where there are enough), for
the characters with three more at least; one of four or more such characters is left out and stands for strangers, with
those that have too few. All other pictures lie in one folder under names that say nothing. Then, with no option:

    comictool reid classify targets --enroll-config refs -o sorted --report sorted.html
    comictool reid enroll refs -g gallery
    comictool reid learn sorted -g gallery --corrections corrections.json

The person who corrects is simulated: of the 20 pictures that the report puts first they say whom each shows, or, of
strangers, that it is not the one guessed. Shares are of the pictures of enrolled characters, strangers counted apart;
intervals draw pictures with all that became of them in the draws (95 %). Chance gives all the commonest name.
`alarming_tales` is the series on which options were chosen; the others are reported only.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from comictool.core.images import decode_array
from comictool.measure.intervals import bootstrap
from comictool.plugins.load import EncoderSpec
from comictool.reid.configuration import read_config
from comictool.reid.gallery import Gallery
from comictool.reid.reader import PictureReader
from comictool.reid.sorting.actions import SortOptions
from comictool.reid.sorting.learning import prepare_learning
from comictool.reid.sorting.sort import sort_pictures
from comictool.reid.sorting.worth import FIRST, guess_of, worth_first
from comictool.reid.types import Decision
from tests.bench.figures import arguments, between, figure, ratio
from tests.data import DATA

SERIES = ("alarming_tales", "peppercarrot", "blackjack_manga")
REFERENCES = (5, 10)
LEFT = 3  # pictures of a character beside its references, at the least


@dataclass(frozen=True)
class Pictures:
    """Files of a series with whom they show and the page that they are from."""

    files: list[Path]
    names: np.ndarray
    pages: np.ndarray


@dataclass(frozen=True)
class Outcome:
    """What became of each picture that was to be sorted.

    Attributes:
        picture: its place in the series.
        known: whether its character is enrolled.
        named, right: whether it was given a name, and whether the best guess is right.
        corrected: whether the person decided on it.
        chance: right by the commonest name.
    """

    picture: np.ndarray
    known: np.ndarray
    named: np.ndarray
    right: np.ndarray
    corrected: np.ndarray
    chance: float


def pictures_of(series: str, folder: Path) -> Pictures:
    """The labelled crops of a series; heads are cut out of their pages into `folder`."""
    assert DATA is not None
    if (DATA / "characters" / series).is_dir():
        entries = json.loads((DATA / "characters" / series / "index.json").read_text("utf-8"))
        files = [DATA / "characters" / series / entry["file"] for entry in entries]
        columns = [[str(entry[key]) for entry in entries] for key in ("identity", "page")]
        return Pictures(files, *map(np.array, columns))
    files, names, pages = [], [], []
    for page, facts in json.loads((DATA / series / "annotations.json").read_text("utf-8"))["pages"].items():
        for face in facts.get("faces", ()):
            if face.get("identity"):
                x0, y0, x1, y1 = face["box"]
                files.append(folder / f"{len(files)}.png")
                Image.fromarray(decode_array(DATA / series / page)[y0:y1, x0:x1]).save(files[-1])
                names.append(face["identity"])
                pages.append(page)
    return Pictures(files, np.array(names), np.array(pages))


def drawn_references(pictures: Pictures, each: int, seed: int) -> list[int]:
    """Places of the references of a draw; its characters are those that have any."""
    rng = np.random.default_rng([seed, each])
    names, counts = np.unique(pictures.names, return_counts=True)
    able = [name for name, count in zip(names, counts, strict=True) if count >= each + LEFT]
    if len(able) > 3:
        able.remove(able[rng.integers(len(able))])
    chosen: list[int] = []
    for name in able:
        first, more, seen = list[int](), list[int](), set[str]()
        for place in rng.permutation(np.flatnonzero(pictures.names == name)).tolist():
            (more if pictures.pages[place] in seen else first).append(place)
            seen.add(pictures.pages[place])
        chosen += (first + more)[:each]
    return sorted(chosen)


def play(
    pictures: Pictures, each: int, seed: int, folder: Path, reader: PictureReader, far: float | None
) -> tuple[Outcome, Outcome]:
    """One draw: after sorting, and after one round of corrections."""
    chosen = drawn_references(pictures, each, seed)
    enrolled = sorted(set(pictures.names[chosen].tolist()))
    for place in chosen:
        put(pictures.files[place], folder / "refs" / pictures.names[place] / f"{place}.png")
    rest = [place for place in range(len(pictures.files)) if place not in chosen]
    number = dict(zip(np.random.default_rng(seed).permutation(len(rest)).tolist(), rest, strict=True))
    for name, place in number.items():
        put(pictures.files[place], folder / "targets" / f"{name:04d}.png")
    result = sort_pictures(folder / "targets", folder / "refs", folder / "sorted", SortOptions(far=far), reader=reader)
    decisions = [picture.decision for picture in result.pictures]
    before = outcome(pictures, number, decisions, enrolled, set())
    asked = worth_first(decisions)[:FIRST]
    answers = [answer(decision, pictures.names[number[place_of(decision)]], enrolled) for decision in asked]
    file = {"kind": "comictool reid corrections", "version": 1, "corrections": [one for one in answers if one]}
    (folder / "corrections.json").write_text(json.dumps(file))
    Gallery.create(folder / "gallery").enroll(read_config(folder / "refs"), reader)
    ticked = folder / "corrections.json"
    run = prepare_learning(folder / "sorted", folder / "gallery", ticked, SortOptions(far=far), reader=reader)
    learned = [picture.decision for picture in run]
    corrected = {place_of(decision) for decision in asked}
    return before, outcome(pictures, number, learned, enrolled, corrected)


def put(source: Path, target: Path) -> None:
    """Copy a picture, with its folder made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def place_of(decision: Decision) -> int:
    """The number that is the picture's file name."""
    return int(Path(decision.path).stem[:4])


def answer(decision: Decision, truth: str, enrolled: list[str]) -> dict[str, object] | None:
    """What the person says of a picture."""
    if truth in enrolled:
        return {"digest": decision.digest, "path": decision.path, "character": str(truth)}
    guess = guess_of(decision)
    return {"digest": decision.digest, "path": decision.path, "refused": [guess]} if guess else None


def outcome(
    pictures: Pictures, number: dict[int, int], decisions: list[Decision], enrolled: list[str], corrected: set[int]
) -> Outcome:
    """Compare decisions with the truth."""
    places = np.array([number[place_of(decision)] for decision in decisions])
    truth = pictures.names[places]
    known = np.isin(truth, enrolled)
    guesses = np.array([guess_of(decision) for decision in decisions])
    return Outcome(
        places,
        known,
        np.array([decision.status == "ok" for decision in decisions]),
        guesses == truth,
        np.array([place_of(decision) in corrected for decision in decisions]),
        max(float((truth[known] == name).mean()) for name in enrolled),
    )


def share(outcomes: list[Outcome], kind: str) -> tuple[float, tuple[float, float]]:
    """A share over all draws, and its interval."""
    which = np.concatenate([of_kind(one, kind)[0] for one in outcomes])
    values = np.concatenate([of_kind(one, kind)[1] for one in outcomes])[which].astype(float)
    groups = np.concatenate([one.picture for one in outcomes])[which].astype(str)
    if not len(values):
        return float("nan"), (float("nan"), float("nan"))
    return float(values.mean()), bootstrap(len(values), lambda chosen: float(values[chosen].mean()), groups=groups)


def of_kind(one: Outcome, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Which pictures count, and whether each is so."""
    kinds = {
        "named right": (one.known, one.named & one.right),
        "named wrong": (one.known, one.named & ~one.right),
        "unknown": (one.known, ~one.named),
        "guess": (one.known, one.right),
        "guess of the rest": (one.known & ~one.corrected, one.right),
        "strangers named": (~one.known, one.named),
    }
    return kinds[kind]


def tell(series: str, each: int, when: str, outcomes: list[Outcome], rival: str) -> None:
    """A row of figures."""
    named = " / ".join(ratio(share(outcomes, kind)[0]) for kind in ("named right", "named wrong", "unknown"))
    guess, interval = share(outcomes, "guess")
    wrong = between(*share(outcomes, "named wrong")[1])
    strangers = ratio(share(outcomes, "strangers named")[0])
    figure(
        f"sorting {series}, {each} references a character, {when}: best guess right; named right / wrong / unknown",
        f"{ratio(guess)} {between(*interval)}; {named}, wrong {wrong}",
        f"{rival}; strangers named {strangers}",
    )


def draws(
    series: str, each: int, count: int, reader: PictureReader, far: float | None
) -> Iterator[tuple[Outcome, Outcome]]:
    """All draws of a series."""
    with tempfile.TemporaryDirectory() as crops:
        pictures = pictures_of(series, Path(crops))
        for seed in range(count):
            with tempfile.TemporaryDirectory() as folder:
                yield play(pictures, each, seed, Path(folder), reader, far)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--series", nargs="*", default=SERIES)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--encoder", default="", help="a plugin; else the default")
    parser.add_argument("--far", type=float, help="false acceptance rate; else the default")
    options = parser.parse_args(arguments())
    if DATA is None:
        raise SystemExit("COMICTOOL_TEST_DATA does not name the folder of test comics")
    with tempfile.TemporaryDirectory() as cache:
        reader = PictureReader(EncoderSpec(options.encoder), cache=Path(cache), jobs=1)
        for series in options.series:
            for each in REFERENCES:
                found = list(draws(series, each, options.draws, reader, options.far))
                chance = ratio(float(np.mean([before.chance for before, _ in found])))
                tell(series, each, "as sorted", [before for before, _ in found], f"chance {chance}")
                after = [later for _, later in found]
                rest = ratio(share(after, "guess of the rest")[0])
                tell(series, each, f"after {FIRST} corrections", after, f"of those not corrected {rest}")


if __name__ == "__main__":
    main()
