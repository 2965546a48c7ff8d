"""Manga109-style XML: one file for each book, pages with frame, face, body and text boxes; also CoMix's dialect of it.

```
annotations/<title>.xml     <book title><characters><character id name/></characters><pages><page index width height>
images/<title>/<nnn>.jpg      <frame id xmin ymin xmax ymax/> <face .. character/> <body .. character/> <text ..>
```
What others published on Manga109 lies in folders beside it (`manga109_books` says what counts): COO's `<onomatopoeia
id x0 y0 x1 y1 ...>` and the links between the parts of one (`<onomatopoeia_link1 link0 link1/>`), Manga109Dialog's
`<speaker_to_text text_id speaker_id/>`. CoMix writes `panel`, `character`, `balloon`, `onomatopoeia` and `link_sbsc`
elements with `points="x,y x,y ..."`. All are read. Manga109's own form is written, with COO's and Dialog's elements and
a few attributes that its readers pass over (order, kind, direction, of, panel, speaker, score, points). The original
data read from right to left, which is what is assumed when nothing is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TextIO

from comictool.core.errors import InputError
from comictool.core.files import atomic_text
from comictool.core.xml_text import attribute, element_text, plain_xml
from comictool.corpus.records import DIRECTIONS, Box, PageRecord
from comictool.formats.boxes import extent
from comictool.formats.drafts import Draft, build_pages, checked_size
from comictool.formats.keeping import Capabilities
from comictool.formats.manga109_books import book_files, read_books
from comictool.formats.manga109_pages import element_box, fill_page
from comictool.formats.pictures import PictureFinder, comic_names
from comictool.formats.values import integer_of
from comictool.formats.view import ComicPages, ForeignCorpus, Problems
from comictool.formats.written import WrittenComic, suffix_of

NAME = "manga109-xml"


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


CAPABILITIES = Capabilities(
    page=frozenset({"direction"}),
    panels=frozenset({"order", "score", "polygon"}),
    characters=frozenset({"panel", "face", "body", "identity", "score"}),
    texts=frozenset({"kind", "box", "panel", "speaker", "speakers", "polygon", "continues"}),
    text_boxes=True,
    direction="rtl",
    adjust=_keep,
)


def detect(folder: Path) -> bool:
    """Whether there are XML files of books."""
    return bool(book_files(folder))


def read(source: Path, pictures: Path | None = None) -> ForeignCorpus:
    """Open XML books as a corpus; books that cannot be read are named among the problems.

    Raises:
        InputError: there is none that can be read.
    """
    root = source if source.is_dir() else source.parent
    problems, files, notes = Problems(), book_files(source), list[str]()
    books = read_books(files, root, problems, notes)
    if not books:
        raise InputError(f"{source} holds no XML file with a book that can be read")
    names = comic_names(books)
    titles = {name: title for title, name in names.items()}
    finder = PictureFinder(source, pictures)

    def build(comic: str) -> ComicPages:
        book = books[titles[comic]]
        named = {e.get("id", ""): e.get("name", "") for e in book.iterfind("characters/character")}
        drafts = [_draft(page, titles[comic], named, finder) for page in book.iterfind("pages/page")]
        return build_pages(comic, drafts, finder)

    facts = {name: {"title": title} for title, name in names.items() if title != name}
    return ForeignCorpus(
        root,
        format=NAME,
        comics=titles,
        build=build,
        facts=facts,
        finder=finder,
        problems=problems.found(),
        notes=notes,
        annotation_files=files,
        direction="rtl",
    )


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

    def tag(name: str, corners: dict[str, int], words: str | None, **said: Any) -> str:
        nonlocal number
        number += 1
        key = f"{number:08x}"
        plain = "".join(f' {k}="{v}"' for k, v in {**corners, **said}.items() if v is not None)
        end = "/>" if words is None else f">{element_text(words)}</{name}>"
        stream.write(f'<{name} id="{key}"{plain}{end}\n')
        return key

    for record in comic.pages:
        size = f'width="{record.width}" height="{record.height}" direction="{record.direction}"'
        stream.write(f'<page index="{record.page}" {size}>\n')
        for panel in record.panels:
            shape = panel.polygon and " ".join(f"{x},{y}" for x, y in panel.polygon)
            tag("frame", _corners(panel.box), None, order=panel.order, score=_score(panel.score), points=shape)
        people: dict[int, str] = {}
        for person in record.characters:
            who = None if person.identity is None else keys[person.identity]
            said: dict[str, Any] = {"character": who, "panel": person.panel, "score": _score(person.score)}
            if person.body is not None:
                people[person.id] = tag("body", _corners(person.body), None, **said)
                if person.face is not None:
                    tag("face", _corners(person.face), None, of=people[person.id], character=who)
            elif person.face is not None:
                people[person.id] = tag("face", _corners(person.face), None, of="none", **said)
        _write_texts(record, tag, people)
        stream.write("</page>\n")
    stream.write("</pages>\n</book>\n")


def _write_texts(record: PageRecord, tag: Callable[..., str], people: dict[int, str]) -> None:
    """Lettering with an outline as COO has it; links between parts, and speakers beyond the first, after all texts."""
    texts: dict[int, str] = {}
    for text in record.texts:
        assert text.box is not None, "texts without a box are not kept"
        said = {"kind": text.kind, "panel": text.panel, "speaker": people.get(text.speaker or 0)}
        if text.polygon is None:
            texts[text.id] = tag("text", _corners(text.box), text.text, **said)
        else:
            shape = {f"{axis}{n}": point[k] for n, point in enumerate(text.polygon) for k, axis in enumerate("xy")}
            texts[text.id] = tag("onomatopoeia", shape, text.text, **said)
    for text in record.texts:
        if text.continues in texts:
            tag("onomatopoeia_link1", {}, None, link0=texts[text.continues], link1=texts[text.id])
        for speaker in text.speakers:
            if speaker in people:
                tag("speaker_to_text", {}, None, text_id=texts[text.id], speaker_id=people[speaker])


def _corners(box: Box) -> dict[str, int]:
    return dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))


def _score(score: float) -> float | None:
    return None if score == 1.0 else score


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
        number,
        reference,
        lambda record, problems: fill_page(record, page, named, problems),
        checked_size(integer_of(page.get("width")), integer_of(page.get("height"))),
        extent(boxes),
        said if said in DIRECTIONS else "rtl",
    )
