"""Answering queries from feature packs: panels or characters most like one of them, or like a picture.

Packs are what the methods exchange (`features backbone`, `features asterx`) and hold no more than fits in memory, so a
query is one product. Whose vectors they are says `features.json` beside them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from comictool.core.errors import InputError, UsageError, near_matches
from comictool.corpus.names import natural_key

if TYPE_CHECKING:
    from comictool.plugins.encoder import Encoder

PACKS, SEQUENCES = "*_features.hdf5", "*_sequence_features.hdf5"
SHORTEST = 1e-12  # a row of zeros is like nothing


@dataclass(frozen=True)
class PackHit:
    """One answer. `score` is the cosine, -1..1; `identity` is empty for panels; `image`: the exported crop."""

    rank: int
    id: str
    score: float
    comic: str
    page: int
    panel: int
    identity: str
    split: str
    image: Path | None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON and tables."""
        return {**asdict(self), "image": str(self.image) if self.image else None}


@dataclass(frozen=True)
class Rows:
    """All vectors of the packs: (N, D) float32, and for each its comic, its name, and the pack it is from."""

    vectors: np.ndarray
    comics: list[str]
    names: list[str]
    files: list[Path]

    def id(self, row: int) -> str:
        """`comic/page/panel` or `comic/page/panel/identity`."""
        return "/".join([self.comics[row], *self.names[row].split("_", 2)])


def pack_files(root: Path) -> list[Path]:
    """The packs that a path names: a pack, or those of a folder but for the ones in sequence; [] for anything else."""
    if root.is_file():
        return [root] if root.suffix in (".hdf5", ".h5") else []
    if not root.is_dir() or (root / "zarr.json").is_file():
        return []
    own = set(root.glob(PACKS)) - set(root.glob(SEQUENCES))
    return sorted(own or root.glob(SEQUENCES))


def query_packs(
    root: Path, *, image: Path | None = None, id: str | None = None, k: int = 10, comic_glob: str | None = None,
    exclude_same_comic: bool = False, group_by: str | None = None, encoder: Encoder | None = None,
    trust: bool = False, device: str = "auto",
) -> list[PackHit]:  # fmt: skip
    """The k nearest panels or characters by cosine, best first; equal scores in natural order of identifiers.

    Args:
        root: a folder of packs, or one pack.
        image: a picture to look for; embedded by the encoder that `features.json` remembers.
        id: `comic/page/panel`, with `/identity` for a character; never among its own answers.
        comic_glob: only comics whose name matches this shell pattern.
        exclude_same_comic: leave out the comic of `id`.
        group_by: `comic`: only the best answer of each comic.
        encoder: used for `image` instead of loading the one remembered.
        trust: let the plugin run its own code this once.
        device: where a torch encoder runs.

    Raises:
        UsageError: contradicting or missing options.
        InputError: no such identifier (with near ones) or comic, an unreadable picture, vectors that no encoder of
            pictures made, packs that are damaged or do not go together.
    """
    if (image is None) == (id is None):
        raise UsageError("a query needs one of a picture and an id", hint="--image FILE, or --id comic/page/panel")
    if k < 1:
        raise UsageError(f"{k} answers: ask for 1 or more")
    if group_by not in (None, "comic"):
        raise UsageError(f"answers can be grouped by comic, not by {group_by!r}")
    if exclude_same_comic and id is None:
        raise UsageError("--exclude-same-comic needs --id: a picture is of no comic")
    rows, head = read_rows(root), read_head(root)
    asked = None if id is None else find_row(rows, id)
    if asked is not None:
        question = rows.vectors[asked]
    else:
        assert image is not None
        question = _embedded(root, image, head, encoder, rows.vectors.shape[1], trust=trust, device=device)
    left = np.array([comic_glob is None or fnmatchcase(comic, comic_glob) for comic in rows.comics], bool)
    if not left.any():
        raise InputError(f"no comic in {root} matches {comic_glob!r}", near=near_matches(str(comic_glob), rows.comics))
    if asked is not None:
        left[asked] = False
        if exclude_same_comic:
            left &= np.array([comic != rows.comics[asked] for comic in rows.comics], bool)
    scores = cosines(rows.vectors, question)
    order = sorted(np.flatnonzero(left).tolist(), key=lambda row: (-scores[row], natural_key(rows.id(row))))
    if group_by == "comic":
        first: dict[str, int] = {}
        for row in order:
            first.setdefault(rows.comics[row], row)
        order = list(first.values())
    return [_hit(rows, row, rank, float(scores[row]), head) for rank, row in enumerate(order[:k], start=1)]


def cosines(vectors: np.ndarray, question: np.ndarray) -> np.ndarray:
    """(N,) float64 cosines of (N, D) rows with a (D,) vector; 0 for rows of zeros."""
    wide, one = vectors.astype(np.float64), question.astype(np.float64)
    # Not a matrix product: BLAS may add up equal rows in another order at another place.
    lengths = np.sqrt((wide * wide).sum(axis=1)) * max(float(np.sqrt((one * one).sum())), SHORTEST)
    scores: np.ndarray = (wide * one).sum(axis=1) / np.maximum(lengths, SHORTEST)
    return scores


def read_rows(root: Path) -> Rows:
    """The vectors of all packs of a path.

    Raises:
        InputError: there are none, or they differ in dimension or encoder.
    """
    from comictool.corpus.packs.features import FeaturePack

    files = pack_files(root)
    packs = [FeaturePack(file, token=0) for file in files]
    packs = [pack for pack in packs if len(pack)]
    if not packs:
        raise InputError(f"{root} holds no vectors", hint="comictool features backbone CORPUS --plugin P -o FOLDER")
    for pack in packs[1:]:
        made, other = (one.attributes.get("identity") for one in (packs[0], pack))
        if pack.dimension != packs[0].dimension or made != other:
            raise InputError(
                f"{packs[0].file.name} and {pack.file.name} are of different encoders",
                cause=f"{packs[0].dimension} numbers by {made}, {pack.dimension} by {other}", hint="name one pack",
            )  # fmt: skip
    parts = [pack.stacked() for pack in packs]
    return Rows(
        np.concatenate([part.vectors for part in parts]),
        [part.comics[number] for part in parts for number in part.comic_of_row()],
        [name for part in parts for name in part.names],
        [pack.file for pack, part in zip(packs, parts, strict=True) for _ in part.names],
    )


def read_head(root: Path) -> dict[str, Any]:
    """What `features.json` beside the packs says; {} where there is none, as with published packs."""
    from comictool.corpus.packs.features import HEAD

    file = (root.parent if root.is_file() else root) / HEAD
    try:
        head = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file} is damaged", hint="write the features again") from error
    if not isinstance(head, dict):
        raise InputError(f"{file} is damaged", hint="write the features again")
    return head


def find_row(rows: Rows, id: str) -> int:
    """The row of an identifier.

    Raises:
        InputError: none; with near ones.
    """
    known = [rows.id(row) for row in range(len(rows.names))]
    if id in known:
        return known.index(id)
    near = [name for name in known if name.startswith(f"{id}/")][:3] or near_matches(id, known)
    shape = "comic/page/panel/identity" if known[0].count("/") == 3 else "comic/page/panel"
    raise InputError(f"{id!r} is not in the packs", near=near, hint=f"write it as {shape}")


def crop_of(root: Path, id: str) -> Path | None:
    """The exported crop of an identifier in the packs, when it is there; raises as `find_row`."""
    rows = read_rows(root)
    row = find_row(rows, id)
    return _crop(read_head(root), rows.comics[row], rows.names[row])


def _embedded(
    root: Path, image: Path, head: Mapping[str, Any], encoder: Encoder | None, dimension: int, *, trust: bool,
    device: str,
) -> np.ndarray:  # fmt: skip
    from comictool.core.images import decode_array
    from comictool.plugins.load import EncoderSpec, load_encoder

    made = head.get("identity")
    if encoder is None:
        remembered = head.get("encoder")
        if root.match(SEQUENCES) or not isinstance(remembered, dict):
            raise InputError(
                f"{root} does not say which encoder of pictures made it",
                cause="vectors of panels in their sequence have none" if root.match(SEQUENCES) else "",
                hint="ask by --id" if root.match(SEQUENCES) else "name it with --plugin, or ask by --id",
            )
        # Trust and device are the user's to give: what a file remembers runs no code.
        encoder = load_encoder(EncoderSpec.recalled(remembered, given=EncoderSpec("", trust=trust, device=device)))
    if encoder.dimension != dimension or (made is not None and encoder.identity != made):
        maker = made or f"an encoder of {dimension} numbers"
        raise InputError(
            f"{root} was made by {maker}, the plugin found is {encoder.identity}",
            cause="vectors of different encoders cannot be compared", hint="name the right one with --plugin",
        )  # fmt: skip
    try:
        picture = decode_array(image)
    except InputError as error:
        raise InputError(f"{image}: {error.fact}", cause=error.cause, hint=error.hint) from error
    vectors: np.ndarray = encoder.embed([picture])  # cosines ask for no lengths, so this does for raw vectors too
    return vectors[0]


def _hit(rows: Rows, row: int, rank: int, score: float, head: Mapping[str, Any]) -> PackHit:
    page, panel, identity = [*rows.names[row].split("_", 2), "", ""][:3]
    numbers = [int(text) if text.isascii() and text.isdigit() else 0 for text in (page, panel)]
    split = rows.files[row].name.split("_", 1)[0]
    image = _crop(head, rows.comics[row], rows.names[row])
    return PackHit(rank, rows.id(row), score, rows.comics[row], numbers[0], numbers[1], identity, split, image)


def _crop(head: Mapping[str, Any], comic: str, name: str) -> Path | None:
    """The exported crop of a row in the corpus that the features are of, when it is there."""
    source, level = head.get("source"), head.get("level")
    if not isinstance(source, str) or "\0" in source or level not in ("panel", "character"):
        return None
    if {"/", "\\", "\0"} & {*name, *comic} or comic in ("", ".", ".."):
        return None  # an index may say anything
    for ending in ("jpg", "png", "webp"):
        file = Path(source) / f"{level}_images" / comic / f"{name}.{ending}"
        if file.is_file():
            return file
    return None
