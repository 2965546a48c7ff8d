"""Comics of a corpus as CBZ files with ComicInfo.xml: what a collector's library looks like, from drawn pages."""

from __future__ import annotations

import zipfile
from pathlib import Path

from comictool.core.errors import InputError
from comictool.core.files import atomic_file
from comictool.core.names import safe_component
from comictool.corpus.corpus import Corpus
from comictool.formats.comicinfo_writing import comic_info_xml

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date that a ZIP can hold; a real one would change the bytes


def pack_cbz(corpus: Corpus, folder: Path) -> list[Path]:
    """Pack every comic of a corpus as `<comic>.cbz`. The same corpus gives the same bytes.

    Pages are named without leading zeros, so that they come in order only when sorted as people count, and stored in
    the order of a plain sort, which is the wrong one.

    Args:
        corpus: with page pictures and comic facts.
        folder: made when there is none.

    Returns:
        The files, in the order of the comics.

    Raises:
        InputError: a page's picture is missing.
    """
    files = []
    for comic in corpus.comics():
        records = corpus.pages(comic)
        facts = corpus.comic_facts(comic)
        direction = str(facts.get("direction", records[0].direction if records else "ltr"))
        pages = {f"page{r.page}{Path(r.image).suffix}": corpus.image_path(r) for r in records}
        path = folder / f"{safe_component(comic)}.cbz"
        with atomic_file(path) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(_entry("ComicInfo.xml"), comic_info_xml(facts, records, direction))
            for name, file in sorted(pages.items()):
                if not file.is_file():
                    raise InputError(f"{comic}: the picture {file} is missing")
                archive.writestr(_entry(name), file.read_bytes())
        files.append(path)
    return files


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.create_system = 3  # Unix, whatever the machine
    entry.external_attr = 0o644 << 16
    return entry
