"""What the package of an EPUB says: order, what is missing, protection, facts; comics and books of prose."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from comictool.archives.finding import find_comics
from comictool.archives.opening import open_comic
from comictool.core.errors import InputError
from tests.archives.books import CONTAINER_XML, book, numbers, xhtml
from tests.archives.comic_files import make_zip, opened, picture
from tests.archives.made import numbered, read_number


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    """4A.1: pictures, documents of the spine and files of the manifest; their pages leave holes."""
    documents = {"a.xhtml": xhtml('<img src="gone.jpg"/>'), "b.xhtml": xhtml('<img src="1.jpg"/>')}
    path = book(
        tmp_path / "a.epub",
        documents,
        {"1.jpg": 1},
        items='<item id="c" href="lost.xhtml" media-type="application/xhtml+xml"/><item id="f" href="a.otf"/>',
        references='<itemref idref="a.xhtml"/><itemref idref="b.xhtml"/><itemref idref="c"/><itemref idref="nobody"/>',
    )
    with open_comic(path) as comic:
        told = []
        for member in comic.members:
            try:
                assert read_number(opened(comic.read(member))) == 1
                told.append("")
            except InputError as error:
                told.append(f"{member.name}: {error.fact}")
        assert told == [
            "OEBPS/gone.jpg: named in OEBPS/a.xhtml, but is not in the archive",
            "",
            "OEBPS/lost.xhtml: named in the spine, but it is not in the archive",
            "nobody: the spine names it (place 4), but the manifest does not",
        ]
        assert comic.problems == ["OEBPS/a.otf: named in the package, but it is not in the archive"]


def test_pages_that_do_not_arrive_are_told(tmp_path: Path) -> None:
    documents = {
        "a.xhtml": xhtml('<img src="1.jpg"/>'),
        "b.xhtml": xhtml("<p>Colophon</p>"),
        "c.xhtml": xhtml('<img style="display:none" src="2.jpg"/>'),
        "d.xhtml": xhtml('<img src="3.jpg"/><p style="position: absolute; top: 9px">Bang</p>'),
        "e.xhtml": xhtml(" "),
        "f.xhtml": xhtml('<div style="background: url(5.jpg)"><p>Bang</p></div>'),
    }
    pictures = {f"{n}.jpg": n for n in (1, 2, 3, 4, 5)}
    with open_comic(book(tmp_path / "a.epub", documents, pictures)) as comic:
        assert comic.problems == [
            "OEBPS/b.xhtml: a page of letters only (8), which is not drawn",
            "OEBPS/c.xhtml: no page, for its style sheets hide OEBPS/2.jpg",
            "OEBPS/d.xhtml: letters that are placed on its picture are not drawn",
            "OEBPS/f.xhtml: letters that are placed on its picture are not drawn",
            "1 picture(s) that no page of the spine shows: OEBPS/4.jpg",
        ]


def test_contents_and_covers_are_no_pages(tmp_path: Path) -> None:
    documents = {
        "n.xhtml": xhtml("<nav>One</nav>"),
        "t.xhtml": xhtml("<p>Contents</p>"),
        "a.xhtml": xhtml('<img src="1.jpg"/>'),
    }
    path = book(
        tmp_path / "a.epub",
        documents,
        {"1.jpg": 1, "old.jpg": 2},
        metadata='<meta name="cover" content="old.jpg"/>',
        items='<item id="n" href="n.xhtml" properties="nav" media-type="application/xhtml+xml"/>'
        '<item id="new" href="new.jpg" properties="cover-image" media-type="image/jpeg"/>',
        references='<itemref idref="n"/><itemref idref="t.xhtml"/><itemref idref="a.xhtml" linear="no"/>',
        guide='<guide><reference type="toc" href="t.xhtml"/></guide>',
        more={"OEBPS/new.jpg": numbered(3)},
    )
    assert numbers(path) == [1]


@pytest.mark.parametrize("folder", ["", "My Book.epub/", "a/b/"])
@pytest.mark.parametrize("way", ["whole", "no mimetype", "no container file", "backslashes"])
def test_packed_in_odd_ways(folder: str, way: str, tmp_path: Path) -> None:
    """4A.1: in a folder, without the files in front."""
    documents = {"b.xhtml": xhtml('<img src="x/2.jpg"/>'), "a.xhtml": xhtml('<img src="/OEBPS/x/1.jpg"/>')}
    if way == "no container file":
        documents["a.xhtml"] = xhtml('<img src="x/1.jpg"/>')
    path = book(tmp_path / "a.epub", documents, {"x/1.jpg": 1, "x/2.jpg": 2})
    with zipfile.ZipFile(path) as archive:
        members = {folder + name: archive.read(name) for name in archive.namelist()}
    if way == "no container file":
        del members[folder + "META-INF/container.xml"]
    if way == "backslashes":
        members = {name.replace("/", "\\"): data for name, data in members.items()}
    members["__MACOSX/META-INF/container.xml"] = b"junk"
    assert numbers(make_zip(tmp_path / "b.epub", members)) == [2, 1]


def test_the_first_rendition_that_can_be_read(tmp_path: Path) -> None:
    documents = {"b.xhtml": xhtml('<img src="2.jpg"/>'), "a.xhtml": xhtml('<img src="1.jpg"/>')}
    gone = '<rootfiles><rootfile full-path="gone.opf" media-type="application/oebps-package+xml"/>'
    table = CONTAINER_XML.replace("<rootfiles>", gone)
    assert numbers(book(tmp_path / "a.epub", documents, {"1.jpg": 1, "2.jpg": 2}, container=table), problems=1) == [
        2,
        1,
    ]


COVER = '<meta name="cover" content="cover.jpg"/>'
PROTECTED = {
    "META-INF/license.lcpl": "Readium LCP",
    "META-INF/rights.xml": "Adobe",
    "META-INF/sinf.xml": "Apple FairPlay",
    "META-INF/x": "encryption.xml",
}
ENCRYPTION = (
    '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><e:EncryptedData '
    'xmlns:e="http://www.w3.org/2001/04/xmlenc#"><e:EncryptionMethod Algorithm="{}"/><e:CipherData>'
    '<e:CipherReference URI="OEBPS/{}"/></e:CipherData></e:EncryptedData></encryption>'
)


@pytest.mark.parametrize("file", PROTECTED)
@pytest.mark.parametrize("sealed", ["a.xhtml", "1.jpg", "book.opf"])
def test_protected_books_are_named_so(file: str, sealed: str, tmp_path: Path) -> None:
    """4A.1: LCP was called a text book."""
    more = {
        file: b"<x/>",
        "META-INF/encryption.xml": ENCRYPTION.format("http://www.w3.org/2001/04/xmlenc#aes256-cbc", sealed).encode(),
    }
    path = book(tmp_path / "a.epub", {"a.xhtml": xhtml('<img src="1.jpg"/>')}, {"1.jpg": 1}, more=more)
    with pytest.raises(InputError, match=f"protected against copying.*{PROTECTED[file]}"), open_comic(path):
        pass


def test_scrambled_fonts_protect_nothing(tmp_path: Path) -> None:
    more = {
        "META-INF/rights.xml": b"<x/>",
        "META-INF/encryption.xml": ENCRYPTION.format("http://www.idpf.org/2008/embedding", "1.jpg").encode(),
    }
    path = book(tmp_path / "a.epub", {"a.xhtml": xhtml('<img src="1.jpg"/>')}, {"1.jpg": 1}, more=more)
    assert numbers(path) == [1]


def test_facts_of_the_package(tmp_path: Path) -> None:
    """4G.29, 6.11: series and place in it, people by their roles, date; the direction of the spine."""
    metadata = (
        '<dc:title id="t">Part</dc:title><dc:title id="m">Whole</dc:title><dc:language>ja</dc:language>'
        '<meta refines="#t" property="title-type">subtitle</meta><meta refines="#m" property="title-type">main</meta>'
        '<dc:creator opf:role="aut">A. Writer</dc:creator><dc:creator id="c">B. Artist</dc:creator>'
        '<meta refines="#c" property="role">ill</meta><dc:contributor opf:role="trl">C. Word</dc:contributor>'
        "<dc:publisher>House</dc:publisher><dc:date opf:event='modification'>2020</dc:date>"
        "<dc:date>1957-04-02</dc:date>"
        "<dc:description>&lt;p>Of cats.&lt;/p></dc:description>"
        "<dc:subject>Cats</dc:subject><dc:subject>Art</dc:subject>"
        '<meta property="belongs-to-collection" id="s">Saga</meta><meta refines="#s" property="group-position">3</meta>'
    )
    documents = {"a.xhtml": xhtml('<img src="1.jpg"/>')}
    spine = 'page-progression-direction="rtl"'
    info = {"ComicInfo.xml": b"<ComicInfo><Title>T</Title><Manga>Unknown</Manga></ComicInfo>"}
    path = book(tmp_path / "a.epub", documents, {"1.jpg": 1}, metadata=metadata, spine=spine, more=info)
    with open_comic(path) as comic:
        assert comic.comic_info is not None
        assert comic.comic_info.direction == "rtl"
        assert comic.comic_info.facts == {
            "title": "T",
            "language": "ja",
            "writer": "A. Writer",
            "penciller": "B. Artist",
            "translator": "C. Word",
            "publisher": "House",
            "year": "1957",
            "month": "4",
            "day": "2",
            "summary": "Of cats.",
            "genre": "Cats, Art",
            "series": "Saga",
            "number": "3",
        }
    calibre = metadata + '<meta name="calibre:series" content="Cal"/><meta name="calibre:series_index" content="2.0"/>'
    with open_comic(book(tmp_path / "b.epub", documents, {"1.jpg": 1}, metadata=calibre)) as comic:
        assert comic.comic_info is not None
        facts = comic.comic_info.facts
        assert (facts["title"], facts["series"], facts["number"]) == ("Whole", "Cal", "2")


def test_long_transcripts_are_no_prose(tmp_path: Path) -> None:
    """4A.1: 2,000 letters a page, each with a full page picture."""
    documents = {f"{9 - n}.xhtml": xhtml(f'<img src="{n}.jpg"/><p>{"words " * 400}</p>') for n in (1, 2, 3)}
    assert numbers(book(tmp_path / "a.epub", documents, {f"{n}.jpg": n for n in (1, 2, 3)})) == [1, 2, 3]


@pytest.mark.parametrize("ornament", [True, False])
def test_prose_is_refused_unless_asked_for(ornament: bool, tmp_path: Path) -> None:
    """4A.1: the same ornament at every chapter makes no comic."""
    shown = '<img src="1.jpg"/>' if ornament else ""
    documents = {f"{n}.xhtml": xhtml(f"{shown}<p>{'It was a dark night. ' * 400}</p>") for n in range(4)}
    documents["x.xhtml"] = xhtml('<img src="2.jpg"/>')
    path = book(tmp_path / "a.epub", documents, {"1.jpg": 1, "2.jpg": 2})
    with pytest.raises(InputError, match="a text book") as refused, open_comic(path):
        pass
    assert "--text-books" in refused.value.hint
    assert numbers(path, text_books=True) == ([1, 1, 1, 1, 2] if ornament else [2])


def test_damaged_package_falls_back_to_name_order(tmp_path: Path) -> None:
    members = {"META-INF/container.xml": b"<container", "b.jpg": picture(2), "a.jpg": picture(1)}
    with open_comic(make_zip(tmp_path / "a.epub", members)) as comic:
        assert [member.name for member in comic.members] == ["a.jpg", "b.jpg"]
        assert "its pictures are taken in the order of their names" in comic.problems[0]


def test_a_package_file_that_only_describes_a_comic(tmp_path: Path) -> None:
    package = b'<package xmlns="http://www.idpf.org/2007/opf"><metadata/><guide/></package>'
    with open_comic(make_zip(tmp_path / "a.cbz", {"metadata.opf": package, "1.jpg": picture(1)})) as comic:
        assert (comic.kind, len(comic.members), comic.problems) == ("zip", 1, [])


def test_small_faults_of_a_package_are_mended(tmp_path: Path) -> None:
    documents = {"b.xhtml": xhtml('<img src="2.jpg"/>'), "a.xhtml": xhtml('<img src="1.jpg"/>')}
    metadata = "<dc:title>Tom & Jerry &eacute;</dc:title>"
    with open_comic(book(tmp_path / "a.epub", documents, {"1.jpg": 1, "2.jpg": 2}, metadata=metadata)) as comic:
        assert [member.name for member in comic.members] == ["OEBPS/2.jpg", "OEBPS/1.jpg"]
        assert comic.comic_info is not None
        assert comic.comic_info.facts["title"] == "Tom & Jerry é"


def test_substitutes_for_foreign_documents(tmp_path: Path) -> None:
    """A picture in the spine, and documents of kinds that nobody shows, with and without a substitute."""
    path = book(
        tmp_path / "a.epub",
        {},
        {"1.jpg": 1, "2.jpg": 2},
        items='<item id="x" href="x.pdf" media-type="application/pdf" fallback="2.jpg"/>'
        '<item id="y" href="y.pdf" media-type="application/pdf"/>',
        references='<itemref idref="x"/><itemref idref="1.jpg"/><itemref idref="y"/>',
        more={"OEBPS/x.pdf": b"%PDF-", "OEBPS/y.pdf": b"%PDF-"},
    )
    assert numbers(path) == [2, 1, -1]


def test_pictures_on_the_net_are_told(tmp_path: Path) -> None:
    documents = {"a.xhtml": xhtml('<img src="https://host.example/1.jpg"/>'), "b.xhtml": xhtml('<img src="1.jpg"/>')}
    with open_comic(book(tmp_path / "a.epub", documents, {"1.jpg": 1})) as comic:
        with pytest.raises(InputError, match="lies outside of the book"):
            comic.read(comic.members[0])
        assert comic.members[0].name == "https://host.example/1.jpg"


def test_the_end_of_a_book_may_be_cut_off(tmp_path: Path) -> None:
    """What is left of a download that broke comes in the order of the spine, the rest is told."""
    documents = {f"{9 - n}.xhtml": xhtml(f'<img src="img/{n}.jpg"/>') for n in range(1, 6)}
    path = book(
        tmp_path / "a.epub",
        documents,
        {"img/5.jpg": 5},
        more={f"OEBPS/img/{n}.jpg": numbered(n) for n in range(4, 0, -1)},
    )
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"OEBPS/img/1.jpg", 500) + 40])
    assert numbers(path, problems=None) == [-1, 2, 3, 4, 5]


def test_a_book_that_is_not_packed(tmp_path: Path) -> None:
    """4A.1: as some systems keep books; found as one comic, in the order of its spine."""
    documents = {"b.xhtml": xhtml('<img src="img/2.jpg"/>'), "a.xhtml": xhtml('<img src="img/1.jpg"/>')}
    path = book(tmp_path / "a.epub", documents, {"img/1.jpg": 1, "img/2.jpg": 2, "cover.jpg": 3}, metadata=COVER)
    shelf = tmp_path / "shelf"
    with zipfile.ZipFile(path) as archive:
        archive.extractall(shelf / "Book.epub")
    (source,) = find_comics([shelf])
    assert (source.path, source.kind) == (shelf / "Book.epub", "folder")
    assert numbers(source.path) == [2, 1]
