"""Where an import may write: a corpus, or a folder that can become one without swallowing the user's own files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from comictool.archives.finding import find_comics, place_of
from comictool.core.errors import UsageError
from comictool.corpus.corpus import Corpus


def corpus_for(paths: Sequence[Path], root: Path, *, dry_run: bool = False) -> Corpus:
    """The corpus to import into, made when there is none; nothing is made when a path is wrong.

    Raises:
        UsageError: `root` is the folder that the comics lie in. As a corpus it would hold them and their pages in
            one heap, and could never be imported again.
        InputError: a path does not exist, or what is there is no corpus.
    """
    sources = find_comics(paths)  # a path that is not there is an error before a folder is made for it
    if not (root / "corpus.toml").is_file():
        here = root.resolve()
        named = {path.resolve() for path in paths} | {place_of(source).parent for source in sources}
        if here in named or here in {place_of(source) for source in sources}:
            raise UsageError(
                f"{root} is the folder of the comics; what is made of them needs one of its own",
                hint=f"-o {root / 'library'}",
            )
    return Corpus.create(root, dry_run=dry_run)
