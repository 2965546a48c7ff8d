"""Made comics in ZIP, TAR, 7z, RAR and folders; see `made`. Names, storage and damage are drawn independently."""

from __future__ import annotations

import io
import os
import random
import tarfile
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import py7zr
from PIL import Image

from tests.archives.made import Made, numbered, read_number
from tests.archives.odd_files import UTF8, Entry, Stored, unicode_path, write_rar, write_zip

STATES = ("whole", "odd", "odd", "damaged")
FORMATS = {"jpg": "JPEG", "png": "PNG", "gif": "GIF", "bmp": "BMP", "webp": "WEBP", "tif": "TIFF"}
JUNK = {
    "Thumbs.db": b"x",
    "__MACOSX/._1.jpg": b"x",
    ".DS_Store": b"x",
    "notes.txt": b"x",
    "a.nfo": b"x",
    "b.xml": b"<x/>",
}
# Which unflagged encodings can hold the names of a scheme, and are what its writers use.
ENCODINGS = {"japanese": ["cp932"], "chinese": ["gb18030"], "korean": ["cp949"], "french": ["cp437", "cp850", "cp1252"]}


@dataclass
class _Book:
    """A comic in the making: members in the right order, and what of it may be reported."""

    random: random.Random
    names: list[str]
    numbers: list[int]
    language: str = ""
    data: dict[str, bytes] = field(default_factory=dict)
    others: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    twice: dict[str, bytes] = field(default_factory=dict)
    may_be_reported: set[int] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)

    def members(self) -> list[tuple[str, bytes]]:
        """All but the links, in the order of the archive; the earlier one of two names first."""
        files = [*self.data.items(), *self.others.items()]
        self.random.shuffle(files)
        return [*self.twice.items(), *files]


def make(seed: int, folder: Path) -> Made:
    """A comic for a seed."""
    chance = random.Random(seed)
    kind, state = chance.choice(list(WRITERS)), chance.choice(STATES)
    names, language, scheme = _names(chance, chance.randint(1, 14))
    book = _Book(chance, names, chance.sample(range(4096), len(names)), language, notes=[scheme])
    image = "PNG" if state == "damaged" else "JPEG"  # a PNG knows of every changed byte, whatever it lies in
    book.data = {name: numbered(number, kind=image) for name, number in zip(names, book.numbers, strict=True)}
    if state == "odd":
        for change in chance.sample(ODD, chance.randint(1, 3)):
            change(book, kind)
    path = WRITERS[kind](book, folder, state)
    if state == "damaged":
        book.may_be_reported |= set(book.numbers)
        _damage(chance, path, book)
    return Made(
        path,
        f"{kind} {state}",
        book.numbers,
        frozenset(book.may_be_reported),
        ", ".join(book.notes),
        doubtful_order=state == "damaged",
    )


def _names(chance: random.Random, count: int) -> tuple[list[str], str, str]:
    """Names of pages in the right order, the language they are in, and how they are made."""
    first = chance.choice([0, 1, 8, 97])
    numbers = range(first, first + count)
    per = chance.randint(1, 5)
    places = [(n // per + 1, n % per + 1) for n in range(count)]  # chapter and page
    kanji = "〇一二三四五六七八九"

    def written(number: int) -> str:
        tens, ones = divmod(number, 10)
        return ("" if not tens else ("" if tens == 1 else kanji[tens]) + "十") + (
            kanji[ones] if ones or not tens else ""
        )

    def wide(number: int) -> str:
        return "".join(chr(0xFF10 + int(digit)) for digit in str(number))

    schemes: dict[str, tuple[str, list[str]]] = {
        "plain numbers": ("", [f"{n}.jpg" for n in numbers]),
        "padded numbers": ("", [f"x - {n:03}.jpg" for n in numbers]),
        "mixed padding": ("", [f"v{'0' * chance.randint(0, 1)}1 p{n:0{chance.randint(1, 3)}}.jpg" for n in numbers]),
        "chapters": ("", [f"Vol 1/Ch {c}/{p:02}.jpg" for c, p in places]),
        "chapters with covers": ("", [f"Ch {c}/{'cover' if p == 1 else p}.jpg" for c, p in places]),
        "cover": ("", [*["cover.jpg"][:count], *(f"Chapter {c}/{p}.jpg" for c, p in places[: count - 1])]),
        "cases": ("", [f"{chance.choice(['Page', 'page', 'PAGE'])} {n}.JPG" for n in numbers]),
        "french": ("french", [f"Épisode {c}/planche {p} à l'été.jpg" for c, p in places]),
        "full-width": ("japanese", [f"第{wide(c)}話/ページ{wide(p)}.jpg" for c, p in places]),
        "kanji": ("japanese", [f"ソード表 第{written(c)}話/{p}頁.jpg" for c, p in places]),
        "parts": ("japanese", [f"物語 {'上中下'[n]}巻.jpg" for n in range(min(3, count))]),
        "chinese": ("chinese", [f"第{written(c)}话/封面的故事 {p}.jpg" for c, p in places]),
        "korean": ("korean", [f"제{c}화/만화 이야기 {p}.jpg" for c, p in places]),
    }
    scheme = chance.choice(list(schemes))
    language, names = schemes[scheme]
    return names, language, scheme


def _add_junk(book: _Book, kind: str) -> None:
    book.others |= JUNK
    book.notes.append("junk")


def _drop_endings(book: _Book, kind: str) -> None:
    name = book.random.choice(book.names)
    plain = name.rpartition(".")[0] + book.random.choice(["", ".jpg_large"])
    if name in book.data and "cover" not in name and _rename(book, name, plain):
        book.notes.append(f"{plain!r} has no telling ending")


def _other_formats(book: _Book, kind: str) -> None:
    for name in list(book.data):
        ending = book.random.choice(list(FORMATS))
        number = read_number(Image.open(io.BytesIO(book.data[name])))
        if name.casefold().endswith(".jpg") and number is not None and _rename(book, name, name[:-3] + ending):
            book.data[name[:-3] + ending] = numbered(number, kind=FORMATS[ending])
    book.notes.append("formats")


def _add_inner(book: _Book, kind: str) -> None:
    if kind != "folder":
        book.others["extra/inner.cbz"] = b"PK\x05\x06" + bytes(18)
        book.notes.append("a comic inside")


def _add_drawing(book: _Book, kind: str) -> None:
    number = next(n for n in range(4096) if n not in book.numbers)
    last = sorted(book.names)[-1].rpartition("/")[0]
    book.others[f"{last}/zz.{book.random.choice(['svg', 'psd'])}".lstrip("/")] = b"<svg/>"
    book.numbers.append(number)
    book.may_be_reported.add(number)
    book.notes.append(f"a drawing that stands for page {number}")


def _add_links(book: _Book, kind: str) -> None:
    if kind not in ("7z", "folder") and not book.language:  # so that `zzz` is the last name
        target = book.random.choice(book.names)
        book.links["zzz/link.jpg"] = f"../{target}"
        book.numbers.append(book.numbers[book.names.index(target)])
        book.notes.append("a link to a page")


def _add_twice(book: _Book, kind: str) -> None:
    name = book.random.choice(book.names)
    if kind != "folder" and name in book.data:
        number = next(n for n in range(4095, 0, -1) if n not in book.numbers)
        book.twice[name] = numbered(number)
        book.numbers.insert(0, number)
        book.names.insert(0, name)
        book.may_be_reported.add(number)
        book.notes.append("two members of one name")


def _mix_normal_forms(book: _Book, kind: str) -> None:
    forms = ["NFD"] if kind == "folder" else ["NFC", "NFD"]  # two folders of one name are two comics
    for name in list(book.names):
        if name in book.data:
            _rename(book, name, unicodedata.normalize(book.random.choice(forms), name))
    book.notes.append("NFC and NFD")


ODD: list[Callable[[_Book, str], None]] = [
    _add_junk,
    _drop_endings,
    _other_formats,
    _add_inner,
    _add_drawing,
    _add_links,
]
ODD += [_add_twice, _mix_normal_forms]


def _rename(book: _Book, old: str, new: str) -> bool:
    if new == old or new in book.data or old in book.twice or any(old in to for to in book.links.values()):
        return False
    book.data[new] = book.data.pop(old)
    book.names[book.names.index(old)] = new
    return True


def _zip(book: _Book, folder: Path, state: str) -> Path:
    encoding, way = "utf-8", "flag"
    if state == "odd" and "NFC and NFD" not in book.notes:
        way = book.random.choice(["flag", "no flag", "unicode path", "legacy"])
        if way == "legacy":
            encoding = book.random.choice(ENCODINGS.get(book.language, ["utf-8"]))
    book.notes.append(f"{way} {encoding}")
    entries = []
    files = [(name, data, 0) for name, data in book.members()]
    for name, data, mode in [*files, *((name, to.encode(), 0o120777) for name, to in book.links.items())]:
        raw = name.encode(encoding)
        plain = f"{len(entries):04}.jpg".encode() if way == "unicode path" else raw
        extra = unicode_path(name, plain) if way == "unicode path" else b""
        entry = Entry(
            plain, data, UTF8 if way == "flag" else 0, extra=extra, method=book.random.choice([0, 8]), mode=mode
        )
        if state == "odd" and book.random.random() < 0.3:
            entry.local = raw.replace(b"/", b"\\").upper() if raw.isascii() else b"x"
        entries.append(entry)
    path = write_zip(folder / "book.cbz", entries)
    return _behind_a_program(path, book, state)


def _behind_a_program(path: Path, book: _Book, state: str) -> Path:
    if state == "odd" and book.random.random() < 0.2:
        path.write_bytes(b"MZ" + bytes(book.random.randrange(3000)) + path.read_bytes())
        book.notes.append("behind a program")
    return path


def _tar(book: _Book, folder: Path, mode: str) -> Path:
    legacy = book.language == "japanese" and book.random.random() < 0.3 and "NFC and NFD" not in book.notes
    how = {"encoding": "cp932", "format": tarfile.GNU_FORMAT} if legacy else {}
    with tarfile.open(folder / "book.cbt", mode, **how) as archive:  # type: ignore[call-overload]
        for name, data in book.members():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, target in book.links.items():
            info = tarfile.TarInfo(name)
            hard = book.random.random() < 0.5
            info.type, info.linkname = (tarfile.LNKTYPE, target[3:]) if hard else (tarfile.SYMTYPE, target)
            archive.addfile(info)
    return folder / "book.cbt"


def _seven_zip(book: _Book, folder: Path, state: str) -> Path:
    with py7zr.SevenZipFile(folder / "book.cb7", "w") as archive:
        for name, data in book.members():
            archive.writestr(data, name)
    return folder / "book.cb7"


def _rar_members(book: _Book) -> list[Stored]:
    files = [Stored(name, data) for name, data in book.members()]
    kinds = {name: book.random.choice([1, 4, 5]) for name in book.links}
    links = [Stored(n, target=to if kinds[n] == 1 else to[3:], kind=kinds[n]) for n, to in book.links.items()]
    return files + links


def _rar(book: _Book, folder: Path, state: str) -> Path:
    return _behind_a_program(write_rar(folder / "book.cbr", _rar_members(book))[0], book, state)


def _rar_parts(book: _Book, folder: Path, state: str) -> Path:
    shelf = folder / "shelf"
    shelf.mkdir()
    parts = write_rar(shelf / "book.rar", _rar_members(book), 1500)
    if state == "damaged" and len(parts) > 1:
        book.random.choice(parts).unlink()
        book.notes.append("a part is missing")
    return shelf


def _folder(book: _Book, folder: Path, state: str) -> Path:
    for name, data in book.members():
        (folder / "book" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "book" / name).write_bytes(data)
    if state == "damaged":
        lost = book.random.choice(sorted(book.data))
        (folder / "book" / lost).unlink()
        os.symlink("nowhere", folder / "book" / lost)
        book.notes.append("a dead link")
    return folder / "book"


WRITERS: dict[str, Callable[[_Book, Path, str], Path]] = {
    "zip": _zip,
    "tar": lambda book, folder, state: _tar(book, folder, "w"),
    "tar.gz": lambda book, folder, state: _tar(book, folder, "w:gz"),
    "7z": _seven_zip,
    "rar": _rar,
    "rar parts": _rar_parts,
    "folder": _folder,
}


def _damage(chance: random.Random, path: Path, book: _Book) -> None:
    """Cut a file off, or change some of its bytes; one of the pages of a folder, else the archive."""
    if path.is_dir():
        path = chance.choice(sorted(file for file in path.rglob("*") if file.is_file()) or [path])
        if path.is_dir():
            return
    whole = bytearray(path.read_bytes())
    if chance.random() < 0.5:
        del whole[chance.randrange(len(whole)) :]
        book.notes.append(f"cut off after {len(whole)}")
    else:
        places = [chance.randrange(len(whole)) for _ in range(chance.choice([1, 1, 3, 10]))]
        for place in places:
            whole[place] ^= 1 << chance.randrange(8)
        book.notes.append(f"changed at {places}")
    path.write_bytes(whole)
