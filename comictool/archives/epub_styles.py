"""What the style sheets of a book say about its elements, as far as it decides which pictures a page shows."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import cssselect2
import tinycss2

from comictool.archives.markup import SVG, XHTML
from comictool.core.errors import InputError

# The properties that are asked for; rules without one of them are passed over.
_ASKED = {
    "background",
    "background-image",
    "content",
    "display",
    "fill",
    "fill-opacity",
    "opacity",
    "position",
    "stroke",
    "visibility",
}
_MOST_RULES = 2_000  # of one document, among those that count; publishers' sheets have some 300 rules in all
_TABLET = {"width": 768, "height": 1024}  # CSS pixels
_DEEPEST_IMPORT = 4
_MOST_STEPS = 6  # parts of a selector: each may be a loop over all elements around
_SECONDS = 5.0  # of a processor, for asking all elements of a book; a publisher's book of 200 pages takes under one

Value = tuple[list[Any], str]  # the tokens of a value, and the file that they stand in; that is empty for an attribute
Rule = tuple[Any, str, Value, bool]  # selector, property, value, whether it is important
Imported = Callable[[str, str], tuple[str, str] | None]  # base and reference of a sheet to its name and text


class Patience:
    """Counts the time that selectors take, for a few forged ones could take hours."""

    def __init__(self) -> None:
        self._spent = 0.0

    def guard(self, test: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """The same test, which raises InputError once all tests together have taken too long."""

        def guarded(element: Any) -> Any:
            if self._spent > _SECONDS:
                raise InputError(f"style sheets that take longer than {_SECONDS:.0f} s")
            begin = time.process_time()
            try:
                return test(element)
            finally:
                self._spent += time.process_time() - begin

        return guarded


class Styles:
    """The rules that hold for one document, put in with `add`, in the order of the document."""

    def __init__(self) -> None:
        self._matcher = cssselect2.Matcher()
        self._count = 0

    def add(self, rules: list[Rule]) -> None:
        """Take the rules of a sheet, as `compiled` gives them."""
        for selector, name, value, important in rules[: _MOST_RULES - self._count]:
            self._matcher.add_selector(selector, (name, value, important))
        self._count += len(rules)

    def of(self, element: cssselect2.ElementWrapper) -> dict[str, Value]:
        """The values that an element has, each by the strongest rule; `before content` is that of `::before`."""
        found: dict[str, tuple[tuple[Any, ...], Value]] = {}
        if self._count:
            for specificity, order, pseudo, (name, value, important) in self._matcher.match(element):
                if pseudo is None or pseudo in ("before", "after"):
                    _put(found, f"{pseudo} {name}" if pseudo else name, (important, specificity, order), value)
        inline = element.etree_element.get("style")
        if inline:
            for name, tokens, important in _declarations(tinycss2.parse_blocks_contents(inline)):
                _put(found, name, (important, (9, 9, 9), 0), (tokens, ""))
        return {name: value for name, (_, value) in found.items()}


def compiled(text: str, base: str, imported: Imported, patience: Patience, depth: int = 0) -> list[Rule]:
    """The rules of a sheet that decide something here; `base` is the file that it stands in."""
    rules = tinycss2.parse_stylesheet(text, skip_comments=True, skip_whitespace=True)
    found = list(_compiled(rules, base, imported, patience, depth, {"svg": SVG, "xhtml": XHTML}))
    if not depth:
        for selector in {id(selector): selector for selector, *_ in found}.values():
            selector.test = patience.guard(selector.test)
    return found


def _compiled(
    rules: list[Any], base: str, imported: Imported, patience: Patience, depth: int, namespaces: dict[str | None, str]
) -> Iterator[Rule]:
    for rule in rules:
        keyword = rule.at_keyword.lower() if rule.type == "at-rule" else ""
        if rule.type == "qualified-rule":
            yield from _compiled_rule(rule, base, namespaces)
        elif keyword == "import" and depth < _DEEPEST_IMPORT:
            found = next(urls_of(rule.prelude, strings=True), None)
            media = [token for token in rule.prelude if token.type not in ("url", "string", "function")]
            sheet = imported(base, found) if found and is_for_screens(tinycss2.serialize(media)) else None
            if sheet:
                yield from compiled(sheet[1], sheet[0], imported, patience, depth + 1)
        elif keyword == "namespace":
            prefix = next((token.value for token in rule.prelude if token.type == "ident"), None)
            namespaces[prefix] = next(urls_of(rule.prelude, strings=True), "")
        elif rule.type == "at-rule" and rule.content is not None and _holds_here(keyword, rule.prelude):
            inner = tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True)
            yield from _compiled(inner, base, imported, patience, depth, namespaces)


def _compiled_rule(rule: Any, base: str, namespaces: dict[str | None, str]) -> Iterator[Rule]:
    asked = list(_declarations(tinycss2.parse_blocks_contents(rule.content)))
    if not asked or any(len(part.split()) > _MOST_STEPS for part in tinycss2.serialize(rule.prelude).split(",")):
        return
    try:
        selectors = cssselect2.compile_selector_list(rule.prelude, namespaces)
    except (cssselect2.SelectorError, RecursionError):
        return  # of a later standard, or for states such as :hover
    for selector in selectors:
        for name, tokens, important in asked:
            yield selector, name, (tokens, base), important


def _holds_here(keyword: str, condition: list[Any]) -> bool:
    return keyword in ("supports", "layer") or (keyword == "media" and is_for_screens(tinycss2.serialize(condition)))


def _put(found: dict[str, Any], name: str, rank: tuple[Any, ...], value: Value) -> None:
    if name not in found or found[name][0] <= rank:
        found[name] = (rank, value)


def _declarations(content: list[Any]) -> Iterator[tuple[str, list[Any], bool]]:
    for declaration in content:
        if declaration.type == "declaration" and declaration.lower_name in _ASKED:
            name = "background-image" if declaration.lower_name == "background" else declaration.lower_name
            yield name, declaration.value, declaration.important


def is_for_screens(media: str) -> bool:
    """Whether a list of media queries holds on a tablet held upright, for which fixed pages are mostly made."""
    return any(_holds(query) for query in media.lower().split(","))


def _holds(query: str) -> bool:
    features = re.findall(r"\(([^()]*)\)", query)
    words = re.sub(r"\([^()]*\)", " ", query).split()
    kinds = [word for word in words if word not in ("not", "only", "and")]
    holds = all(kind in ("all", "screen") for kind in kinds) and all(map(_has, features))
    return holds != (words[:1] == ["not"])


def _has(feature: str) -> bool:
    name, _, value = (part.strip() for part in feature.partition(":"))
    if name in ("orientation", "hover", "scripting", "color"):
        return (name, value) in (("orientation", "portrait"), ("hover", "none"), ("scripting", "none"), ("color", ""))
    bound, _, side = name.rpartition("-")
    found = re.fullmatch(r"([\d.]+)(px|em|rem|)", value)
    if side not in _TABLET or not found or bound not in ("min", "max", "min-device", "max-device"):
        return False  # not known: then the query does not hold, as the standard has it
    asked = float(found[1]) * (16 if found[2].endswith("em") else 1)
    return _TABLET[side] >= asked if bound.startswith("min") else _TABLET[side] <= asked


def urls_of(tokens: list[Any], *, strings: bool = False) -> Iterator[str]:
    """The addresses in a value, in order; those of a choice (`image-set`) only up to the first."""
    for token in tokens:
        if token.type == "url" or (strings and token.type == "string"):
            yield token.value
        elif token.type == "function" and token.lower_name == "url":
            yield from (inner.value for inner in token.arguments if inner.type == "string")
        elif token.type == "function" and token.lower_name in ("image-set", "-webkit-image-set", "image"):
            yield from list(urls_of(token.arguments, strings=True))[:1]


def word_of(value: Value | None) -> str:
    """A value that is one word or number, in lower case; empty otherwise."""
    if value is None:
        return ""
    tokens = [token for token in value[0] if token.type not in ("whitespace", "comment")]
    return tinycss2.serialize(tokens).strip().lower() if len(tokens) == 1 else ""
