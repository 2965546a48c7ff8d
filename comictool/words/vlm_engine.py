"""`data text --engine vlm`: a vision-language model tells each page panel by panel, through an OpenAI-like service.

A page is asked for until there is an answer that is a page, or the attempts are used up: after "too many requests",
errors of the server, silence, broken connections, empty answers, and answers that are no page. What was answered is
kept (`vlm_cache`), so nothing is charged twice. The words go on the panels that the corpus has (`corpus.told_texts`);
descriptions stay apart from them.
"""

from __future__ import annotations

import base64
import random
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from hashlib import blake2b
from io import BytesIO
from typing import TYPE_CHECKING, Any

from comictool.core.errors import InputError
from comictool.core.names import safe_component
from comictool.corpus.records import PageRecord, Text
from comictool.corpus.told_texts import BOX_SOURCE, take_over
from comictool.formats.vlm_json import ToldPage, told_page
from comictool.words.engines import EngineOptions, Reading
from comictool.words.vlm_cache import MOST_KEPT, AnswerCache, Attempt, default_folder
from comictool.words.vlm_http import Answer, BadRequest, Failed, Refused, ask
from comictool.words.vlm_options import AT_ONCE, VlmOptions
from comictool.words.vlm_reply import Mended, read_reply

if TYPE_CHECKING:
    import numpy as np

PROMPT_VERSION = "panels-1"
PROMPT = """\
You transcribe a comic page. Go through its panels in reading order ({direction}) and answer with one JSON object only:
{{"overall_summary": "one sentence",
 "panels": [{{"panel_number": 1, "box_2d": [ymin, xmin, ymax, xmax], "description": "one sentence on what is shown",
   "text_content": [{{"label": "dialogue|thought|caption|sfx", "speaker": "name or empty",
     "text": "the exact lettering", "box_2d": [ymin, xmin, ymax, xmax]}}],
   "characters": [{{"name": "name or what they look like", "box_2d": [ymin, xmin, ymax, xmax]}}]}}]}}
All boxes run from 0 to 1000 over the whole picture. Copy the lettering letter by letter, in its own language and
spelling, one entry for each balloon, caption or sound effect, in reading order; translate nothing and invent nothing.
A panel without lettering has an empty text_content. A page without panels is one panel."""
DIRECTIONS = {"ltr": "left to right", "rtl": "right to left, as in manga", "ttb": "one strip from top to bottom"}
TOLD = "vlm_told"  # a found record's extra fact, from the worker to the merge
QUALITY = 90  # of the JPEG that is sent
MOST_BACKOFF = 60.0  # seconds
# Of 8,341 answers about single pages by a hosted model; what a first estimate is made from.
USUAL = Attempt(0.0, "ok", 5.0, 3457, 2499)


def make_reading(options: EngineOptions) -> Reading:
    """The engine made ready; nothing is sent yet.

    Raises:
        UsageError: no service or model is named, or its key would travel in the clear.
    """
    if options.vlm is None:
        VlmOptions()  # says what it needs
    service = options.vlm or VlmOptions()
    return Reading(
        f"vlm:{service.model}",
        f"{service.model} {PROMPT_VERSION}",
        VlmReader(service),
        {"max_side": service.max_side},
        "threads",
        merge=partial(merge, model=service.model),
        chunk=1,
        at_once=AT_ONCE,
        free=False,
    )


class VlmReader:
    """Asks for pages; for several threads at once.

    Args:
        options: the service.
        pause: waits so many seconds; another one in tests.
    """

    def __init__(self, options: VlmOptions, pause: Callable[[float], None] = time.sleep) -> None:
        self.options = options
        self.cache = cache_of(options)
        self.spent = 0.0
        self.charged = 0  # requests that were answered in this run
        self._key = options.key()
        self._pause = pause
        self._lock = threading.Lock()
        self._not_before = 0.0  # of time.monotonic(): when the service asked everybody to wait
        self._refused: Refused | None = None
        self._plain = False  # the service knows no JSON mode

    def __str__(self) -> str:
        spent = "" if self.options.price_in is None and not self.spent else f", ${self.spent:.4f} spent"
        return f"{self.charged:,} answers of {self.options.model}{spent}"

    def __call__(self, picture: np.ndarray, asked: Any) -> dict[str, Any]:
        """A page picture, (H, W, 3) uint8 RGB, to its texts, without panels, and the page as it was told.

        Raises:
            InputError: no attempt came to a page, or the money is spent.
            Refused: the service will not answer; all further pages are given up at once.
        """
        direction = asked.get("direction", "ltr") if isinstance(asked, Mapping) else "ltr"
        key = key_of(picture, direction, self.options)
        page = self.cache.answer(key)
        if page is None:
            with self.cache.asking(key):
                page = self.cache.answer(key)  # another thread, process or copy of the page was quicker
                if page is None:
                    page = self._asked(key, picture, direction)
                    self.cache.keep(key, page)
        told = told_page(page, "the answer")
        texts = [Text(n, said.text, said.kind) for n, said in enumerate(_said(told), start=1)]
        return {"texts": texts, "extra": {TOLD: page}}

    def _asked(self, key: str, picture: np.ndarray, direction: str) -> dict[str, Any]:
        body = _body(picture, direction, self.options)
        reason, partial_page = "", None
        for number in range(1, self.options.attempts + 1):
            try:
                mended = self._attempt(key, body)
            except BadRequest as error:
                if "response_format" not in body:
                    raise InputError(f"{self.options.host}: {error.fact}") from error
                self._plain, reason, wait = True, error.fact, 0.0
            except Failed as error:
                reason, wait = error.fact, self._wait(number) if error.wait is None else 0.0
                if error.wait is not None:  # all of us, then
                    with self._lock:
                        self._not_before = max(self._not_before, time.monotonic() + error.wait)
            else:
                if not mended.cut:
                    return mended.value
                reason, wait = "the answer is cut off", 0.0
                if partial_page is None or mended.page.texts > told_page(partial_page, "").texts:
                    partial_page = {**mended.value, "cut": True}
            if number < self.options.attempts and wait:
                self._pause(wait)
        if partial_page is not None:
            return partial_page  # as far as it goes; better than no words
        raise InputError(f"{self.options.attempts} attempts came to nothing, the last: {reason}")

    def _attempt(self, key: str, body: dict[str, Any]) -> Mended:
        """One request, and its line in the ledger; raises Failed also for an answer that is no page."""
        if self._plain:
            body.pop("response_format", None)
        self._wait_for_all()
        self._check_money(key)
        begin, now = time.monotonic(), time.time()
        answer = None
        try:
            answer = ask(self.options.address, self._key, body, self.options.timeout)
            mended = read_reply(answer.text)
            mended = Mended(
                mended.value, mended.page, mended.mended, mended.cut or (mended.mended and not answer.complete)
            )
        except (Failed, Refused, InputError) as error:
            self._note(key, error.fact, now, begin, answer)
            if isinstance(error, Refused):
                self._refused = error
            raise error if isinstance(error, Failed | Refused) else Failed(error.fact, wait=None) from error
        self._note(key, "cut" if mended.cut else "ok", now, begin, answer)
        return mended

    def _note(self, key: str, outcome: str, now: float, begin: float, answer: Answer | None) -> None:
        seconds = round(time.monotonic() - begin, 3)
        if answer is None:
            self.cache.note(key, Attempt(now, outcome, seconds))
            return
        cost = answer.cost if answer.cost is not None else self.options.cost(answer.tokens_in, answer.tokens_out)
        with self._lock:
            self.spent += cost or 0.0
            self.charged += 1
        unused = "" if outcome == "ok" else answer.text[:MOST_KEPT]
        self.cache.note(key, Attempt(now, outcome, seconds, answer.tokens_in, answer.tokens_out, cost, unused))

    def _check_money(self, key: str) -> None:
        if self._refused is not None:
            raise Refused(self._refused.fact)
        most = self.options.max_cost
        if most is not None and self.spent >= most:
            raise InputError(f"not asked for: ${self.spent:.4f} are spent, --max-cost is ${most:g}")

    def _wait(self, number: int) -> float:
        seconds = min(MOST_BACKOFF, self.options.backoff * 2 ** (number - 1))
        return seconds * random.uniform(0.5, 1.0)  # so that threads that failed together do not come back together

    def _wait_for_all(self) -> None:
        with self._lock:
            left = self._not_before - time.monotonic()
        if left > 0:
            self._pause(left)


def merge(record: PageRecord, found: PageRecord, *, model: str) -> None:
    """Take over what was told of a page: its words on the panels that the record has now."""
    told = told_page(found.extra.get(TOLD), "the answer")
    record.texts = [drawn for text in record.texts if (drawn := _drawn(text)) is not None]
    take_over(record, told.panels, source=f"vlm:{model}", summary=told.summary, model=model)
    order = {panel.id: panel.order for panel in record.panels}
    record.texts.sort(key=lambda text: order.get(text.panel or 0, len(order) + 1))
    for number, text in enumerate(record.texts, start=1):
        text.id = number


def _drawn(text: Text) -> Text | None:
    """The box of a text that a detector drew, without the words that an earlier run put into it."""
    if BOX_SOURCE in text.extra:
        text.text, text.source = "", str(text.extra.pop(BOX_SOURCE))
    return text if text.box is not None and not text.text else None


def key_of(picture: np.ndarray, direction: str, options: VlmOptions) -> str:
    """What an answer is kept under: pixels, model, prompt, and how the picture is sent."""
    said = [options.model, PROMPT_VERSION, direction, options.max_side, QUALITY, picture.shape]
    digest = blake2b(repr(said).encode(), digest_size=20)
    digest.update(picture.tobytes())
    return digest.hexdigest()


def cache_of(options: VlmOptions) -> AnswerCache:
    """The answers of a model."""
    return AnswerCache((options.cache or default_folder()) / safe_component(options.model.replace("/", "_")))


def _said(told: ToldPage) -> list[Any]:
    return [said for panel in told.panels for said in panel.texts]


def _body(picture: np.ndarray, direction: str, options: VlmOptions) -> dict[str, Any]:
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((options.max_side, options.max_side), Image.Resampling.LANCZOS)
    stream = BytesIO()
    image.save(stream, "JPEG", quality=QUALITY)
    address = "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
    content = [
        {"type": "text", "text": PROMPT.format(direction=DIRECTIONS[direction])},
        {"type": "image_url", "image_url": {"url": address}},
    ]
    return {
        "model": options.model,
        "messages": [{"role": "user", "content": content}],
        "max_tokens": options.max_tokens,
        "temperature": 0,
        "response_format": {"type": "json_object"},
    }
