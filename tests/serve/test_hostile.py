"""Hostile requests: no answer is a failure, and none holds a byte from outside of the library."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from comictool.serve.app import Server, make_app
from tests.serve.hostile import SECRET, ask, requests, wrong

COUNT, SEED = 1_400, 12  # ten thousand are asked by the bench `serving`


def test_no_failure_and_no_byte_from_outside(server: Server, library: Path) -> None:
    (library.parent / "secret.txt").write_bytes(SECRET)
    app = make_app(server)
    pictures = [(library / f"page_images/b/page-{n}.png").read_bytes() for n in (1, 2)]
    statuses: Counter[int] = Counter()

    async def all_of_them() -> None:
        for request in requests(COUNT, SEED, pictures):
            answer = await ask(app, request)
            assert not wrong(answer), (wrong(answer), request)
            statuses[answer.status] += 1

    asyncio.run(all_of_them())
    assert {200, 400, 404, 405, 414, 421} <= set(statuses), statuses  # they reach all kinds of answers


def test_a_link_out_of_the_library_is_not_followed(server: Server, library: Path) -> None:
    picture = library / "page_images/b/page-5.png"
    kept = picture.read_bytes()
    outside = library.parent / "outside.png"
    outside.write_bytes(kept)
    picture.unlink()
    picture.symlink_to(outside)
    try:
        from tests.serve.hostile import Request

        for size in (b"small", b"medium"):
            answer = asyncio.run(ask(make_app(server), Request("GET", b"/pictures/" + size + b"/b/5")))
            assert answer.status in (400, 404)
            assert not wrong(answer)
    finally:
        picture.unlink()
        picture.write_bytes(kept)
