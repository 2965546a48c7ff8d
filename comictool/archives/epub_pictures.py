"""Which pictures a document of a book shows, in their order: walked as a browser builds the page.

What style sheets hide is not shown; backgrounds are pictures too. Pictures inside frames, objects and drawings count as
those of the document.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import cssselect2

from comictool.archives.epub_members import BookFiles
from comictool.archives.epub_styles import Patience, Rule, Styles, Value, compiled, is_for_screens, urls_of, word_of
from comictool.archives.markup import link_of, name_of
from comictool.archives.members import Member
from comictool.archives.svg_marks import marks_of
from comictool.core.errors import InputError

_DEEPEST = 200  # elements inside each other; what is deeper is no page
_MOST_NESTED = 4  # documents inside each other
_SILENT = {"head", "script", "style", "template", "title", "noembed", "datalist", "dialog"}


@dataclass(frozen=True)
class Shown:
    """A picture on a page.

    Attributes:
        name: of the member; of the document for an embedded picture or a drawing.
        member: the picture file; None for an embedded picture, a drawing, and a file that is not there.
        data: an embedded picture, as its `data:` address; empty otherwise.
        drawing: an element of SVG that has to be drawn; None otherwise.
        missing: why it is not there; empty otherwise.
        behind: it is the background of something that may hold other pictures.
    """

    name: str
    member: Member | None = None
    data: str = ""
    drawing: Any = None
    missing: str = ""
    behind: bool = False


@dataclass
class Look:
    """What was seen in a document.

    Attributes:
        shown: pictures in order, each file once.
        letters: of text that is shown.
        lettered: text over a picture is among it: placed by coordinates, or in front of a background.
        hidden: pictures that the style sheets hide.
        inside: pictures that are parts of drawings.
        problems: what else is wrong, one line each.
        sheets: the texts of its style sheets.
    """

    shown: list[Shown] = field(default_factory=list)
    letters: int = 0
    lettered: bool = False
    hidden: list[str] = field(default_factory=list)
    inside: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    sheets: list[str] = field(default_factory=list)


class Looker:
    """Looks at documents of one book; sheets that several of them use are read once."""

    def __init__(self, files: BookFiles) -> None:
        self._files = files
        self._rules: dict[str, list[Rule]] = {}
        self._patience = Patience()

    def look(self, member: Member, nested: int = 0) -> Look:
        """What a document or drawing of the book shows.

        Raises:
            InputError: it cannot be read.
        """
        root = self._files.document(member)
        walk = _Walk(self, self._files, member.name, nested)
        try:
            walk.start(root)
        except RecursionError as error:
            raise InputError("its elements lie too deep inside each other") from error
        return walk.look

    def rules(self, path: str, text: str, base: str) -> list[Rule]:
        """The compiled rules of a sheet; `path` is empty for one inside a document."""
        if path not in self._rules or not path:
            self._rules[path] = compiled(text, base, self.sheet, self._patience)
        return self._rules[path]

    def sheet(self, base: str, reference: str) -> tuple[str, str] | None:
        """Name and text of a sheet of the book; None when there is none."""
        member = self._files.find(base, reference)
        try:
            return (member.name, self._files.text(member)) if member else None
        except InputError:
            return None


class _Walk:
    """One document: a loop over its elements with what they inherit, in the order of the document."""

    def __init__(self, looker: Looker, files: BookFiles, name: str, nested: int) -> None:
        self.look = Look()
        self.looker, self.files, self.name, self.nested = looker, files, name, nested
        self.base = name
        self.styles = Styles()
        self._seen: set[str] = set()

    def start(self, root: Any) -> None:
        self._collect_sheets(root)
        wrapper = cssselect2.ElementWrapper.from_html_root(root)
        # Elements still to be seen, the next one last; a function is called when all inside an element is done.
        todo: list[Any] = [(wrapper, False, False, 0)]
        while todo:
            step = todo.pop()
            if callable(step):
                step()
                continue
            element, hidden, placed, depth = step
            if depth > _DEEPEST:
                raise InputError("its elements lie too deep inside each other")
            todo.extend(reversed(list(self._enter(element, hidden, placed, depth))))

    def _collect_sheets(self, root: Any) -> None:
        for element in root.iter():
            name = name_of(element)[1]
            if name == "base" and element.get("href"):
                self.base = next(self.files.paths(self.name, element.get("href") + "x"), self.name)
            if name == "style" and is_for_screens(element.get("media", "all")):
                self._add_sheet("", "".join(element.itertext()), self.name)
            elif name == "link" and element.get("href"):
                kinds = element.get("rel", "").lower().split()
                if "stylesheet" in kinds and "alternate" not in kinds and is_for_screens(element.get("media", "all")):
                    sheet = self.looker.sheet(self.base, element.get("href"))
                    if sheet:
                        self._add_sheet(*sheet, sheet[0])
                    else:
                        self.look.problems.append(f"its style sheet {element.get('href')} is not there")

    def _add_sheet(self, path: str, text: str, base: str) -> None:
        self.look.sheets.append(text)
        self.styles.add(self.looker.rules(path, text, base))

    def _enter(self, wrapper: Any, hidden: bool, placed: bool, depth: int) -> Iterator[Any]:
        """See one element; gives what is to be seen inside it."""
        element = wrapper.etree_element
        space, name = name_of(element)
        if name in _SILENT and space != "svg":
            return
        style = self.styles.of(wrapper)
        hidden = _is_hidden(element, style, hidden)
        placed = placed or word_of(style.get("position")) in ("absolute", "fixed")
        if name == "svg":
            yield from self._enter_svg(wrapper, hidden, placed, depth)
            return
        shown_before, letters_before = len(self.look.shown), self.look.letters
        self._text(element.text, hidden, placed)
        for key in ("before content", "content"):
            self._backgrounds(style.get(key), hidden, behind=False)
        behind = [*self._urls(style.get("background-image"))]
        if element.get("background") and name in ("body", "table", "td", "th", "tr"):
            behind.append((element.get("background"), self.base))
        for key in ("before background-image", "after background-image"):
            behind += self._urls(style.get(key))
        for url, base in behind:
            self._picture([url], base, hidden, behind=True)
        inside = self._content(element, name, hidden)

        def leave() -> None:
            if behind and self.look.letters > letters_before and all(s.behind for s in self.look.shown):
                self.look.lettered = True
            # The background of something that holds nothing else is a picture of its own, unless it is all there is.
            if behind and not len(element) and name not in ("html", "body"):
                self.look.shown[shown_before:] = [
                    Shown(s.name, s.member, s.data, s.drawing, s.missing) for s in self.look.shown[shown_before:]
                ]
            self._backgrounds(style.get("after content"), hidden, behind=False)

        if inside == "nothing":
            yield leave
            return
        children = list(wrapper.iter_children())
        if name == "switch":  # of EPUB 3: the default is for those who know no other case
            children = [c for c in children if name_of(c.etree_element)[1] == "default"] or children[:1]
        for child in children:
            yield child, hidden, placed, depth + 1
            if child.etree_element.tail:
                yield _Call(self._text, child.etree_element.tail, hidden, placed)
        if inside:
            yield _Call(self._fallback, inside, len(self.look.shown), hidden)
        yield leave

    def _content(self, element: Any, name: str, hidden: bool) -> str:
        """Take the picture that an element shows.

        Returns:
            `nothing` when its inside is not shown, the reference of what its inside stands in for, or an empty text.
        """
        get = element.get
        if name in ("img", "image"):  # browsers take the second for the first
            self._picture([*_sources(get("srcset"), get("src"))] or [link_of(element) or ""], self.base, hidden)
            return "nothing"
        if name == "picture":
            self._picture(list(_of_picture(element)), self.base, hidden)
            return "nothing"
        if name == "input" and get("type", "").lower() == "image":
            self._picture([get("src", "")], self.base, hidden)
        elif name == "video" and get("poster"):
            self._picture([get("poster")], self.base, hidden)
        elif name in ("embed", "iframe", "frame") and get("src"):
            self._embedded(get("src"), hidden)
            return "nothing"
        elif name == "object" and get("data"):
            member = self.files.find(self.base, get("data"))
            if get("data").startswith("data:image/") or (member and self.files.kind(member) != "other"):
                self._embedded(get("data"), hidden)
                return "nothing"
            return str(get("data"))
        return ""

    def _fallback(self, reference: str, shown: int, hidden: bool) -> None:
        if len(self.look.shown) == shown:
            self._picture([reference], self.base, hidden)

    def _embedded(self, reference: str, hidden: bool) -> None:
        member = self.files.find(self.base, reference)
        if member is None or self.files.kind(member) != "other":
            self._picture([reference], self.base, hidden)

    def _urls(self, value: Value | None) -> list[tuple[str, str]]:
        return [(url, value[1] or self.base) for url in urls_of(value[0])] if value else []

    def _backgrounds(self, value: Value | None, hidden: bool, *, behind: bool) -> None:
        for url, base in self._urls(value):
            self._picture([url], base, hidden, behind=behind)

    def _picture(self, references: list[str], base: str, hidden: bool, *, behind: bool = False) -> None:
        """Take the first of several references to one picture that leads somewhere."""
        references = [reference for reference in references if reference.strip()]
        for reference in references:
            if reference.strip().lower().startswith("data:"):
                self._show(Shown(self.name, data=reference.strip(), behind=behind), hidden)
                return
            member = self.files.find(base, reference)
            if member is not None:
                self._member(member, hidden, behind)
                return
        if references:
            outside = "//" in references[0]
            where = references[0] if outside else next(self.files.paths(base, references[0]), references[0])
            why = "lies outside of the book" if outside else "is not in the archive"
            self._show(Shown(where[:500], missing=f"named in {self.name}, but {why}", behind=behind), hidden)

    def _member(self, member: Member, hidden: bool, behind: bool) -> None:
        kind = self.files.kind(member)
        if kind in ("picture", "other"):
            self._show(Shown(member.name, member, behind=behind), hidden)
        elif self.nested >= _MOST_NESTED or member.name == self.name:
            self.look.problems.append(f"{member.name} holds documents inside each other without end")
        else:
            try:
                inner = self.looker.look(member, self.nested + 1)
            except InputError as error:
                self._show(Shown(member.name, missing=error.fact), hidden)
                return
            self.look.letters += inner.letters if kind == "document" and not hidden else 0
            for shown in inner.shown:
                self._show(Shown(shown.name, shown.member, shown.data, shown.drawing, shown.missing, behind), hidden)
            self.look.inside += inner.inside
            self.look.problems += inner.problems

    def _show(self, shown: Shown, hidden: bool) -> None:
        if hidden:
            self.look.hidden.append(shown.name)
        elif not (shown.member or shown.missing) or shown.name not in self._seen:
            # The same file twice on one page is one picture: readers zoom into it, or show it on either screen.
            self._seen.add(shown.name)
            self.look.shown.append(shown)

    def _text(self, text: str | None, hidden: bool, placed: bool) -> None:
        if text and not hidden:
            letters = sum(map(len, text.split()))
            self.look.letters += letters
            self.look.lettered = self.look.lettered or (placed and letters > 0)

    def _enter_svg(self, wrapper: Any, hidden: bool, placed: bool, depth: int) -> Iterator[Any]:
        """A drawing: its one picture when that is all there is to see, else the drawing as a whole."""
        marks = marks_of(wrapper, self.styles)
        self.look.letters += 0 if hidden else marks.letters
        if marks.is_one_picture:
            self._picture([marks.pictures[0]], self.base, hidden)
        elif marks.pictures or marks.painted:
            self._show(Shown(self.name, drawing=wrapper.etree_element), hidden)
            parts = (self.files.find(self.base, reference) for reference in marks.pictures)
            self.look.inside += [part.name for part in parts if part]
        for inner in marks.foreign:
            yield inner, hidden, placed, depth + 1


class _Call:
    """A call for later: functions made in a loop would all see its last values."""

    def __init__(self, function: Any, *values: Any) -> None:
        self._function, self._values = function, values

    def __call__(self) -> None:
        self._function(*self._values)


def _is_hidden(element: Any, style: dict[str, Value], inherited: bool) -> bool:
    if word_of(style.get("display")) == "none" or element.get("display") == "none" or element.get("hidden") is not None:
        return True
    visible = word_of(style.get("visibility")) or element.get("visibility", "")
    # What hides by its display stays hidden; only visibility can be taken back, which pages of comics do not do.
    return inherited or visible in ("hidden", "collapse")


def _sources(several: str | None, one: str | None) -> Iterator[str]:
    """The addresses of a picture in several sizes, the largest first."""
    sizes: list[tuple[float, str]] = [(1.0, one)] if one else []
    for part in _candidates(several or ""):
        words = part.split()
        number = words[1][:-1] if len(words) > 1 else "1"
        try:
            sizes.append((float(number), words[0]))
        except ValueError:
            sizes.append((1.0, words[0]))
    sizes.sort(key=lambda size: -size[0])
    yield from (address for _, address in sizes)


def _candidates(several: str) -> Iterable[str]:
    """The parts of a `srcset`: a comma ends one only before a blank or after a size, for addresses may hold commas."""
    part: list[str] = []
    for word in several.split():
        while word.startswith(",") and not part:
            word = word[1:]
        if word.endswith(","):
            yield " ".join([*part, word.rstrip(",")])
            part = []
        elif "," in word and part:
            size, _, following = word.partition(",")
            yield " ".join([*part, size])
            part = [following]
        elif word:
            part.append(word)
    if part:
        yield " ".join(part)


def _of_picture(element: Any) -> Iterator[str]:
    """The addresses of a `picture`: those without conditions first, and formats that few readers know last."""
    plain: list[str] = []
    conditional: list[str] = []
    rare: list[str] = []
    for child in element.iter():
        name = name_of(child)[1]
        if name == "img":
            plain += _sources(child.get("srcset"), child.get("src"))
        elif name == "source":
            found = list(_sources(child.get("srcset"), child.get("src")))
            unknown = child.get("type", "").lower() in ("image/jxl", "image/heic", "image/heif")
            (rare if unknown else conditional if child.get("media") else plain).extend(found)
    yield from (*plain, *conditional, *rare)
