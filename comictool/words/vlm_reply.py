"""What a model wrote, to a page: JSON found in it, mended where it is broken, and checked against the two forms.

Models put fences or a sentence around it, leave commas too many or too few, forget to escape a quotation mark, and
stop in the middle. `json-repair` (MIT, the extra `vlm`) mends all of these; what it makes must still be a page.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from comictool.core.errors import InputError
from comictool.formats.vlm_json import ToldPage, told_page

MOST_LETTERS = 400_000  # of an answer; 8,192 tokens are 40,000
DEEPEST = 40  # brackets within each other; a page has 5. Mending takes a time with the square of it
_FENCE = re.compile(r"^\s*```[a-zA-Z]*\s*\n?|\n?\s*```\s*$")


@dataclass(frozen=True)
class Mended:
    """A page as JSON and as what it tells; whether it had to be mended, and whether its end is missing."""

    value: dict[str, Any]
    page: ToldPage
    mended: bool
    cut: bool


def read_reply(text: str, where: str = "the answer") -> Mended:
    """The page in an answer.

    Raises:
        InputError: empty, no JSON that can be mended, or no page.
    """
    plain = _FENCE.sub("", text).strip()
    if not plain:
        raise InputError(f"{where} is empty")
    if len(plain) > MOST_LETTERS:
        raise InputError(f"{where} has more than {MOST_LETTERS:,} letters")
    try:
        value, mended, cut = json.loads(plain), False, False
    except (ValueError, RecursionError):
        value, mended, cut = _mend(plain, where), True, plain[-1] not in "}]"
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    elif isinstance(value, list) and value and all(isinstance(v, dict) and "panels" not in v for v in value):
        value = {"panels": value}  # the panels alone
    return Mended(value, told_page(value, where), mended, cut)


def _mend(text: str, where: str) -> Any:
    begin = min((at for bracket in "{[" if (at := text.find(bracket)) >= 0), default=-1)
    if begin < 0:
        raise InputError(f"{where} holds no JSON")
    text, depth = text[begin:], 0
    for letter in text:
        depth += (letter in "{[") - (letter in "}]")
        if depth > DEEPEST:
            raise InputError(f"{where} is nested too deeply")
    try:
        from json_repair import repair_json
    except ImportError:
        raise InputError(
            f"{where} is broken JSON", hint="pip install 'comictool[vlm]' brings what mends most of it"
        ) from None
    try:
        return repair_json(text, return_objects=True, skip_json_loads=True)
    except (ValueError, RecursionError, IndexError, TypeError) as error:
        raise InputError(f"{where} is broken JSON that cannot be mended", cause=str(error)[:200]) from error
