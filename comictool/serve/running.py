"""Listening, and telling the user where."""

from __future__ import annotations

import errno
import logging
import secrets
import socket
import threading
import webbrowser
from collections.abc import Callable
from urllib.parse import quote

import uvicorn

from comictool.core.errors import InputError, UsageError
from comictool.serve.app import Server, make_app
from comictool.serve.guard import is_local

LEAST_TOKEN = 16  # letters
MOST_CONNECTIONS = 512
MOST_HEADER_BYTES = 32 << 10
ANYWHERE = ("0.0.0.0", "::", "")


def token_for(host: str, token: str | None) -> str:
    """The token that a server needs: the one given, a new one for `new` or where other machines reach it, else none.

    Raises:
        UsageError: it is too short to be safe, or holds what a cookie cannot.
    """
    if token is None:
        return "" if is_local(host) else secrets.token_urlsafe(24)
    if token == "new":
        return secrets.token_urlsafe(24)
    if len(token) < LEAST_TOKEN or not all(c.isascii() and (c.isalnum() or c in "-._~") for c in token):
        raise UsageError(
            f"a token has {LEAST_TOKEN} or more letters, digits, '-', '.', '_' and '~'", hint="--token new makes one"
        )
    return token


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 is any that is free.

    Raises:
        InputError: the port is taken, or the host is not this machine's.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InputError(f"port {port} is in use", hint=f"--port {port + 1}, or --port 0 for any") from error
        raise InputError(f"cannot listen on {host} port {port}: {error.strerror or error}") from error


def address_of(host: str, port: int, token: str) -> str:
    """The address to open in a browser."""
    name = socket.gethostname() if host in ANYWHERE else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/" + (f"?token={quote(token)}" if token else "")


def serve(server: Server, listening: socket.socket, *, ready: Callable[[], None], open_browser: str = "") -> None:
    """Answer until a signal comes.

    Args:
        ready: called when the first request can come.
        open_browser: an address that is opened then.
    """
    config = uvicorn.Config(
        make_app(server),
        log_level="warning",
        access_log=False,  # addresses may hold a token
        server_header=False,
        http="h11",
        ws="none",
        lifespan="off",
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=3,
        h11_max_incomplete_event_size=MOST_HEADER_BYTES,
    )
    # What is counted once is counted before somebody waits for it.
    threading.Thread(target=server.shelf.comics, daemon=True).start()
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # else it tells of each damaged form that comes
    ready()
    if open_browser:
        threading.Timer(0.5, webbrowser.open, [open_browser]).start()
    try:
        uvicorn.Server(config).run(sockets=[listening])
    except KeyboardInterrupt:
        pass  # the usual way to end it
    finally:
        server.close()
        listening.close()
