"""Manga109-style XML: one file for each book, pages with frame, face, body and text boxes; also CoMix's dialect of it.

```
annotations/<title>.xml     <book title><characters><character id name/></characters><pages><page index width height>
images/<title>/<nnn>.jpg      <frame id xmin ymin xmax ymax/> <face .. character/> <body .. character/> <text ..>
```
CoMix writes `panel`, `character`, `balloon`, `onomatopoeia` and `link_sbsc` elements with `points="x,y x,y ..."`; both
are read. Manga109's own form is written, with a few attributes that its readers pass over (order, kind, direction, of,
panel, speaker, score). The original data read from right to left, which is what is assumed when nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

from comictool.core.errors import InputError
from comictool.core.files import atomic_text
from comictool.corpus.comicinfo import parse_xml
from comictool.corpus.formats.boxes import extent
from comictool.corpus.formats.drafts import Draft, build_pages, checked_size
from comictool.corpus.formats.keeping import Holds
from comictool.corpus.formats.manga109_pages import element_box, fill_page
from comictool.corpus.formats.pictures import PictureFinder, comic_names
from comictool.corpus.formats.values import integer_of, read_bounded
from comictool.corpus.formats.view import ComicPages, ForeignCorpus, Problems
from comictool.corpus.formats.written import WrittenComic, first_bytes, suffix_of
from comictool.corpus.formats.xml_text import attribute, element_text, plain_xml
from comictool.corpus.records import DIRECTIONS, Box, PageRecord

NAME = "manga109-xml"
_SNIFFED = 20


def _keep(record: PageRecord) -> PageRecord:
    """A character's box is its body, or its face when that is all there is; text loses what XML cannot hold."""
    for person in record.characters:
        if person.body is None and person.face != person.box:
            person.body = person.box
        person.box = person.body or person.face or person.box
        person.identity = None if person.identity is None else plain_xml(person.identity)
    for text in record.texts:
        text.text = plain_xml(text.text)
    return record


HOLDS = Holds(
    page=frozenset({"direction"}),
    panels=frozenset({"order", "score"}),
    characters=frozenset({"panel", "face", "body", "identity", "score"}),
    texts=frozenset({"kind", "box", "panel", "speaker"}),
    text_boxes=True,
    direction="rtl",
    adjust=_keep,
)


def detect(folder: Path) -> bool:
    """Whether there are XML files of books."""
    return bool(_files(folder))


def read(source: Path, pictures: Path | None = None) -> ForeignCorpus:
    """Open XML books as a corpus; books that cannot be read are named among the problems.

    Raises:
        InputError: there is none that can be read.
    """
    root = source if source.is_dir() else source.parent
    problems, books, files = Problems(), dict[str, Any](), []
    for path in _files(source):
        try:
            element = _book(parse_xml(read_bounded(path)))
        except InputError as error:
            problems.add(path.name, error.fact)
            continue
        title = " ".join((element.get("title") or "").split()) or path.stem
        if title in books:
            problems.add(path.name, f"another file has the title {title[:60]!r} too; this one keeps its file name")
            title = path.stem
        books[title] = element
        files.append(path)
    if not books:
        raise InputError(f"{source} holds no XML file with a book that can be read")
    names = comic_names(books)
    titles = {name: title for title, name in names.items()}
    finder = PictureFinder(pictures or root)

    def build(comic: str) -> ComicPages:
        book = books[titles[comic]]
        named = {e.get("id", ""): e.get("name", "") for e in book.iterfind("characters/character")}
        drafts = [_draft(page, titles[comic], named, finder) for page in book.iterfind("pages/page")]
        return build_pages(comic, drafts, finder)

    facts = {name: {"title": title} for title, name in names.items() if title != name}
    return ForeignCorpus(
        root, format=NAME, comics=titles, build=build, facts=facts, pictures=pictures, problems=problems.lines(),
        annotation_files=files, direction="rtl",
    )  # fmt: skip


def picture_place(record: PageRecord) -> str:
    """`images/<comic>/<nnn>.<ext>`."""
    return f"images/{record.comic}/{record.page:03d}{suffix_of(record)}"


def write(comics: Iterable[WrittenComic], destination: Path, problems: Problems) -> None:
    """Write `annotations/<comic>.xml` for each comic."""
    for comic in comics:
        with atomic_text(destination / "annotations" / f"{comic.name}.xml") as stream:
            _write_book(stream, comic)


def _write_book(stream: TextIO, comic: WrittenComic) -> None:
    identities = sorted({c.identity for record in comic.pages for c in record.characters if c.identity is not None})
    keys = {identity: f"c{number:07x}" for number, identity in enumerate(identities, start=1)}
    stream.write(f'<?xml version="1.0" encoding="UTF-8"?>\n<book title={attribute(comic.name)}>\n<characters>\n')
    for identity, key in keys.items():
        stream.write(f'<character id="{key}" name={attribute(identity)}/>\n')
    stream.write("</characters>\n<pages>\n")
    number = 0

    def tag(name: str, box: Box, words: str | None, **said: Any) -> str:
        nonlocal number
        number += 1
        key = f"{number:08x}"
        plain = "".join(f' {k}="{v}"' for k, v in said.items() if v is not None)
        corners = "".join(f' {k}="{v}"' for k, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
        end = "/>" if words is None else f">{element_text(words)}</{name}>"
        stream.write(f'<{name} id="{key}"{corners}{plain}{end}\n')
        return key

    for record in comic.pages:
        size = f'width="{record.width}" height="{record.height}" direction="{record.direction}"'
        stream.write(f'<page index="{record.page}" {size}>\n')
        for panel in record.panels:
            tag("frame", panel.box, None, order=panel.order, score=_score(panel.score))
        people: dict[int, str] = {}
        for person in record.characters:
            who = None if person.identity is None else keys[person.identity]
            said: dict[str, Any] = {"character": who, "panel": person.panel, "score": _score(person.score)}
            if person.body is not None:
                people[person.id] = tag("body", person.body, None, **said)
                if person.face is not None:
                    tag("face", person.face, None, of=people[person.id], character=who)
            elif person.face is not None:
                people[person.id] = tag("face", person.face, None, of="none", **said)
        for text in record.texts:
            assert text.box is not None, "texts without a box are not kept"
            tag("text", text.box, text.text, kind=text.kind, panel=text.panel, speaker=people.get(text.speaker or 0))
        stream.write("</page>\n")
    stream.write("</pages>\n</book>\n")


def _score(score: float) -> float | None:
    return None if score == 1.0 else score


def _files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    found = []
    candidates = [*sorted(source.glob("*.xml")), *sorted(source.glob("annotations*/*.xml"))]
    for index, path in enumerate(candidates):
        if b"<book" in first_bytes(path) and path.is_file():
            found.append(path)
        if index >= _SNIFFED and not found:
            break
    return found


def _book(root: Any) -> Any:
    element = root if root.tag == "book" else root.find("book")
    if element is None:
        raise InputError("it has no <book> element")
    return element


def _draft(page: Any, title: str, named: dict[str, str], finder: PictureFinder) -> Draft:
    number = integer_of(page.get("index", page.get("id")))
    said = page.get("direction")
    boxes = [box for element in page if (box := element_box(element)) is not None]
    reference = f"{title}/{number if number is not None else 0:03d}.jpg"
    for ending in (".jpg", ".png", ".webp", ".jpeg", ".gif", ".avif"):
        if number is not None and finder.find(f"{title}/{number:03d}{ending}") is not None:
            reference = f"{title}/{number:03d}{ending}"
            break
    return Draft(
        number, reference, lambda record, problems: fill_page(record, page, named, problems),
        checked_size(integer_of(page.get("width")), integer_of(page.get("height"))), extent(boxes),
        said if said in DIRECTIONS else "rtl",
    )  # fmt: skip
