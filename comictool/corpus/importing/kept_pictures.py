"""Whether the pictures of an imported comic are still what was imported, without reading them."""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from comictool.core.errors import InputError
from comictool.core.files import state_of
from comictool.corpus.corpus import Corpus
from comictool.corpus.page_pictures import BY_REFERENCE, KEPT, picture_digest


def pictures_state(folder: Path) -> str:
    """A hash of the names, sizes and times of change of the page pictures in a comic's folder; `""` without any."""
    try:
        with os.scandir(folder) as scan:
            states = sorted(
                f"{entry.name}\0{state_of(entry.stat())}" for entry in scan if entry.name.startswith("page-")
            )
    except OSError:
        return ""  # whatever is wrong with it, it is not as it was
    text = "\n".join(states).encode("utf-8", "surrogateescape")
    return blake2b(text, digest_size=12).hexdigest() if states else ""


def times_of(folder: Path) -> dict[str, int]:
    """When each page picture in a comic's folder was last changed, in nanoseconds, by its name."""
    if not folder.is_dir():
        return {}
    with os.scandir(folder) as scan:
        return {entry.name: entry.stat().st_mtime_ns for entry in scan if entry.name.startswith("page-")}


def give_times_back(folder: Path, times: object) -> None:
    """Let pictures that were only copied have the times that they had, so that no later step takes them for changed.

    Called once their content was looked at. Where times cannot be set, later steps look at the pictures themselves.

    Args:
        times: what `times_of` gave, out of a file that anybody may have written.
    """
    now = times_of(folder)
    with suppress(OSError, OverflowError):
        for name, time in times.items() if isinstance(times, dict) else ():
            if isinstance(time, int) and now.get(name, time) != time:
                os.utime(folder / name, ns=(time, time), follow_symlinks=False)


def pictures_are_sound(corpus: Corpus, comic: str) -> bool:
    """Whether every picture that the records of a comic name has the content that was imported; reads them all."""
    try:
        for record in corpus.pages(comic):
            if record.extra.get(KEPT) == BY_REFERENCE:
                continue  # its comic file tells
            path = corpus.image_path(record)
            known = record.extra.get("digest")
            if known is not None and picture_digest(path.read_bytes()) != known:
                return False
            if known is None and not path.is_file():
                return False
    except (InputError, OSError):
        return False
    return True
