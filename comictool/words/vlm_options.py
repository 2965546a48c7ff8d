"""What a user says of a vision-language model that reads pages, checked before anything is sent."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from comictool.core.errors import UsageError

KEYS = ("COMICTOOL_API_KEY", "OPENAI_API_KEY")  # of the environment, in this order
AT_ONCE = 8  # requests, unless -j says otherwise
TOKENS = 1_000_000  # what prices are given for
_LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class VlmOptions:
    """A service and how it is asked.

    Attributes:
        base_url: of an endpoint that speaks as OpenAI's does, such as `http://127.0.0.1:8000/v1`.
        model: its name there.
        price_in, price_out: dollars for a million tokens asked and answered; None when not known.
        max_cost: dollars that a run may spend.
        timeout: seconds for one request, from the first byte sent to the last received.
        attempts: requests for one page before it is given up.
        max_tokens: of one answer.
        max_side: pixels of the longer side of the picture that is sent.
        cache: folder of answers; the user's by default.
        backoff: seconds before the second attempt; doubled before each further one.
    """

    base_url: str = ""
    model: str = ""
    price_in: float | None = None
    price_out: float | None = None
    max_cost: float | None = None
    timeout: float = 180.0
    attempts: int = 6
    max_tokens: int = 8192
    max_side: int = 1600
    cache: Path | None = None
    backoff: float = 2.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if not self.base_url or not self.model:
            raise UsageError(
                "--engine vlm needs --base-url and --model",
                hint="--base-url http://127.0.0.1:8000/v1 --model NAME; the key comes from COMICTOOL_API_KEY",
            )
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise UsageError(
                f"--base-url {parts.scheme or self.base_url!r}: write it as https://HOST/v1, without a key"
            )
        if self.max_cost is not None and (self.price_in is None or self.price_out is None):
            raise UsageError("--max-cost needs --price-in and --price-out", hint="dollars for a million tokens")

    @property
    def address(self) -> str:
        """Where questions go."""
        return self.base_url.rstrip("/") + "/chat/completions"

    @property
    def host(self) -> str:
        """Host and port, for sentences."""
        return urlsplit(self.base_url).netloc

    def key(self) -> str:
        """The key of the service from the environment; empty when there is none.

        Raises:
            UsageError: it would travel in the clear to another machine, or it is none.
        """
        name = next((name for name in KEYS if os.environ.get(name)), "")
        parts = urlsplit(self.base_url)
        if name == "OPENAI_API_KEY" and parts.scheme == "http" and parts.hostname not in _LOCAL:
            raise UsageError(
                f"OPENAI_API_KEY would travel unencrypted to {self.host}",
                hint="https, or a key meant for that server in COMICTOOL_API_KEY",
            )
        key = os.environ[name].strip() if name else ""
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise UsageError(f"what {name} holds is no key: it has blanks, or letters that no key has")
        return key

    def cost(self, tokens_in: float, tokens_out: float) -> float | None:
        """Dollars for so many tokens; None without prices."""
        if self.price_in is None or self.price_out is None:
            return None
        return (tokens_in * self.price_in + tokens_out * self.price_out) / TOKENS
