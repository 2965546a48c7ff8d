"""One question to a service that speaks as OpenAI's chat completions do, over HTTP by the standard library.

https://platform.openai.com/docs/api-reference/chat. Answers are bounded in size and time, redirects are not followed
(the key would go along), and nothing that is said about a failure holds the key.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from comictool.core.errors import ComicError

MOST_BYTES = 4 << 20  # of an answer; 8,192 tokens are 40 kB
MOST_WAIT = 300.0  # seconds that a server may ask for
_PIECE = 1 << 16
_REFUSALS = (401, 402, 403, 404, 405)  # no key, no money, no right, no such model or place


class Refused(ComicError):
    """The service will not answer any question like this: no right to, no such model, not the service at all."""


class Failed(ComicError):
    """This attempt came to nothing; another may do.

    Attributes:
        wait: seconds that the server asked to wait; None when it did not.
    """

    def __init__(self, fact: str, *, wait: float | None = None) -> None:
        super().__init__(fact)
        self.wait = wait


class BadRequest(Failed):
    """The service says that this question is wrong (HTTP 400, 413, 422...)."""


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        text: what the model wrote.
        complete: it came to its end by itself, and was not cut at the limit of tokens.
        tokens_in, tokens_out: that the service counted; 0 when it does not say.
        cost: dollars that the service says it took; None when it does not say.
    """

    text: str
    complete: bool
    tokens_in: int
    tokens_out: int
    cost: float | None = None


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> None:
        raise Refused(
            f"{req.host} sends elsewhere (HTTP {code}); redirects are not followed, for the key would go along"
        )


def ask(address: str, key: str, body: dict[str, Any], timeout: float) -> Answer:
    """Ask once.

    Raises:
        Failed: HTTP 408, 409, 429 or 5xx, no answer in time, a broken connection, an empty or unreadable answer.
        Refused: HTTP 401 to 405, or a redirect.
        BadRequest: any other answer.
    """
    headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "comictool"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(address, json.dumps(body).encode(), headers, method="POST")
    end = time.monotonic() + timeout
    try:
        with urllib.request.build_opener(_NoRedirects).open(request, timeout=timeout) as response:
            data = _read(response, end)
    except urllib.error.HTTPError as error:
        with error:
            raise _of_status(error, key) from None
    except TimeoutError:
        raise Failed(f"no answer within {timeout:g} s") from None
    except urllib.error.URLError as error:
        raise Failed(_timed_out(error.reason, timeout) or f"no connection: {_plain(error.reason, key)}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Failed(f"the connection broke: {_plain(error, key)}") from None
    return _answer(data)


def _read(response: Any, end: float) -> bytes:
    """The whole body; a server that sends a byte now and then does not hold us beyond the time."""
    data = bytearray()
    while piece := response.read1(_PIECE):
        data += piece
        if len(data) > MOST_BYTES:
            raise Failed(f"an answer of more than {MOST_BYTES:,} bytes")
        if time.monotonic() > end:
            raise TimeoutError
    return bytes(data)


def _timed_out(reason: Any, timeout: float) -> str:
    return f"no answer within {timeout:g} s" if isinstance(reason, TimeoutError) else ""


def _plain(reason: Any, key: str) -> str:
    said = " ".join(str(getattr(reason, "strerror", None) or reason or type(reason).__name__).split())[:200]
    return said.replace(key, "(key)") if key else said


def _of_status(error: urllib.error.HTTPError, key: str) -> ComicError:
    try:
        said = error.read(2000).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException, ValueError):
        said = ""
    fact = f"HTTP {error.code}: {_plain(_message(said) or error.reason, key)}"
    if error.code in (408, 409, 425, 429) or error.code >= 500:
        return Failed(fact, wait=_wait(error.headers.get("Retry-After")))
    return Refused(fact) if error.code in _REFUSALS else BadRequest(fact)


def _message(text: str) -> str:
    try:
        value = json.loads(text)["error"]
        return str(value["message"] if isinstance(value, dict) else value)
    except (ValueError, KeyError, TypeError, RecursionError):
        return text


def _wait(header: str | None) -> float | None:
    """`Retry-After` in seconds, from a number or a date; bounded."""
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return min(MOST_WAIT, max(0.0, seconds)) if seconds == seconds else None


def _answer(data: bytes) -> Answer:
    try:
        value = json.loads(data)
        choice = value["choices"][0]
        content = choice["message"]["content"]
        if isinstance(content, list):
            content = "".join(part["text"] for part in content if part.get("type") == "text")
        text = content if isinstance(content, str) else ""
        usage = value.get("usage") or {}
        counts = [_count(usage.get(name)) for name in ("prompt_tokens", "completion_tokens")]
        cost = usage.get("cost")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        raise Failed("the answer is no chat completion") from None
    dollars = float(cost) if isinstance(cost, int | float) and 0 <= cost < 1e6 else None
    return Answer(text, choice.get("finish_reason") not in ("length", "max_tokens"), counts[0], counts[1], dollars)


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 10**9 else 0
