"""A chat service on 127.0.0.1 that misbehaves as told: for each request the next of a list of ways, then well."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PAGE = {
    "overall_summary": "a test",
    "panels": [
        {
            "panel_number": 1,
            "box_2d": [0, 0, 1000, 500],
            "description": "left",
            "text_content": [
                {"label": "dialogue", "speaker": "A", "text": "Left words", "box_2d": [100, 50, 200, 400]}
            ],
        },
        {
            "panel_number": 2,
            "box_2d": [0, 500, 1000, 1000],
            "description": "right",
            "text_content": [
                {"label": "caption", "speaker": "", "text": "Right words", "box_2d": [100, 600, 200, 900]}
            ],
        },
    ],
}
GOOD = json.dumps(PAGE)


def completion(text: Any, finish: str = "stop") -> bytes:
    """A chat completion with a text."""
    usage = {"prompt_tokens": 1000, "completion_tokens": 500}
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": finish}
    return json.dumps({"choices": [choice], "usage": usage}).encode()


class Service:
    """Answers; `ways` are taken from the front, and `charged` counts answers by the picture that was asked about.

    Attributes:
        log: a file with a line for every answer that would be charged, for services in a process of their own.
    """

    def __init__(self, ways: list[str] | None = None, log: Path | None = None, delay: float = 0.0) -> None:
        self.ways = list(ways or [])
        self.choose: Callable[[int], str] | None = None
        self.requests = 0
        self.charged: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.at_once = self.most_at_once = 0
        self.delay = delay
        self._log = log
        self._lock = threading.Lock()
        self._hang = threading.Event()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with service._lock:
                    service.requests += 1
                    number = service.requests
                    service.at_once += 1
                    service.most_at_once = max(service.most_at_once, service.at_once)
                    way = service.ways.pop(0) if service.ways else service.choose(number) if service.choose else "good"
                    service.bodies.append(body)
                    service.keys.append(self.headers.get("Authorization"))
                try:
                    time.sleep(service.delay)
                    service.answer(self, way, body)
                except (BrokenPipeError, ConnectionResetError):
                    pass
                finally:
                    with service._lock:
                        service.at_once -= 1

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    @contextmanager
    def running(self) -> Iterator[Service]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._hang.set()
            self._server.shutdown()
            self._server.server_close()

    def serve(self) -> None:
        self._server.serve_forever()

    def answer(self, handler: BaseHTTPRequestHandler, way: str, body: dict[str, Any]) -> None:
        def send(status: int, data: bytes, **headers: str) -> None:
            handler.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                handler.send_header(name.replace("_", "-"), value)
            handler.end_headers()
            handler.wfile.write(data)

        if way in ("429", "500", "401", "400"):
            message = f"no, {handler.headers.get('Authorization')}"
            extra = {"Retry_After": "7"} if way == "429" else {}
            send(int(way), json.dumps({"error": {"message": message}}).encode(), **extra)
        elif way == "no json mode" and "response_format" in body:
            send(400, b'{"error": {"message": "response_format is not supported"}}')
        elif way == "hang":
            self._hang.wait(20)
        elif way == "drip":
            handler.send_response(200)
            handler.end_headers()
            while not self._hang.wait(0.05):
                handler.wfile.write(b" ")
        elif way == "redirect":
            send(307, b"", Location="http://127.0.0.2:9/steal")
        elif way == "broken":
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
            handler.wfile.write(b'{"choices"')
            handler.close_connection = True
        elif way == "huge":
            handler.send_response(200)
            handler.end_headers()
            for _ in range(6):
                handler.wfile.write(b" " * (1 << 20))
        elif way == "not a completion":
            send(200, b"<html>welcome</html>")
        else:
            picture = hashlib.sha256(base64.b64decode(_picture(body))).hexdigest()
            with self._lock:
                self.charged[picture] += 1
                if self._log is not None:
                    with self._log.open("a", encoding="utf-8") as stream:
                        stream.write(picture + "\n")
            texts = {
                "fenced": completion(f"```json\n{GOOD}\n```"),
                "commas": completion(GOOD.replace("}]}", "},],}").replace('"left"', '"he said "left" there"')),
                "cut": completion(GOOD[: GOOD.index("Right")], "length"),
                "empty": completion(""),
                "null": completion(None),
                "prose": completion("I am sorry, I cannot read comics."),
                "wrong schema": completion(json.dumps({"panels": [{"speakers": "A"}]})),
                "parts": completion([{"type": "text", "text": GOOD}]),
                "nested": completion("{" * 50_000),
            }
            send(200, texts.get(way, completion(GOOD)))


def _picture(body: dict[str, Any]) -> str:
    parts = body["messages"][0]["content"]
    url = next(part["image_url"]["url"] for part in parts if part["type"] == "image_url")
    return str(url.partition(",")[2])


if __name__ == "__main__":  # a process of its own: log file, then the seconds that an answer takes
    served = Service(log=Path(sys.argv[1]), delay=float(sys.argv[2]))
    served.choose = lambda number: "500" if number % 10 in (1, 4, 8) else "good"
    sys.stdout.write(f"{served.url}\n")
    sys.stdout.flush()
    served.serve()
