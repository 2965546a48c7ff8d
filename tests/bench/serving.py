"""How soon `comictool serve` shows first results when several people ask at once, and what hostile requests do to it.

    python -m tests.bench.serving [PANELS]

The library has made-up vectors of 384 numbers and sentences of made-up words; the server runs in a process of its own
and is asked over connections that stay open, as browsers do: half of the questions are words, half "more like this",
each another one. The floor is the same function without a server, one question after the other in one process. The aim
is 0.15 s for 95 of 100. Hostile requests are those of tests/serve/hostile.py, asked in this process.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from urllib.parse import urlencode

import numpy as np

from comictool.core.jobs import JobOptions
from comictool.search.query import Query, query
from comictool.serve.app import Served, Server, make_app, most_body
from comictool.serve.asking import A_PAGE
from comictool.serve.guard import Rules
from comictool.vectors.collection import open_collection
from tests.bench.figures import arguments, figure
from tests.bench.synthetic_store import PAGES_A_COMIC, PANELS_A_PAGE, make_store
from tests.serve.hostile import SECRET, ask, requests, wrong
from tests.vectors.fakes import FakeEncoder, embed_corpus, fake, make_corpus

CLIENTS, EACH, DIMENSION = 8, 40, 384
HOSTILE, SEED = 10_000, 2026
VOCABULARY = 30_000
SYLLABLES = ("ba", "ko", "ri", "nu", "ma", "te", "lo", "shi", "per", "gan", "dol", "fi", "es", "tra", "um", "vel")


def word(number: int) -> str:
    """A made-up word, the same for the same number."""
    told = ""
    while number or not told:
        number, rest = divmod(number, len(SYLLABLES))
        told += SYLLABLES[rest]
    return told


@cache
def shares() -> np.ndarray:
    """How much of a text the first n words of the vocabulary make, by Zipf's law: the first alone 9 %, like "the"."""
    each = 1 / np.arange(1, VOCABULARY + 1)
    found: np.ndarray = np.cumsum(each) / each.sum()
    return found


def sentence(panel: int) -> str:
    """What is said in a panel: eight words."""
    ranks = np.searchsorted(shares(), np.random.default_rng([2, panel]).random(8))
    return " ".join(word(int(rank)) for rank in ranks)


def questions(panels: int) -> list[dict[str, str]]:
    """Words of a panel as people type them, or a panel.

    A third of the words is two of a panel, which may be common ones; else a common word alone, a phrase, one of two,
    one less another, a typing error, and half of what is said.
    """
    chance = random.Random(SEED)
    found = []
    for number in range(CLIENTS * EACH):
        panel = chance.randrange(panels)
        if number % 2:
            found.append({"q": _typed(sentence(panel).split(), number // 2 % 9, chance)})
            continue
        page, place = divmod(panel, PANELS_A_PAGE)
        comic, page = divmod(page, PAGES_A_COMIC)
        found.append({"like": f"comic {comic:05d}/{page + 1}/{place + 1}"})
    return found


def _typed(said: list[str], kind: int, chance: random.Random) -> str:
    one, other = chance.sample(said, 2)
    if kind == 0:
        return word(1 + chance.randrange(8))  # in up to every third panel
    if kind == 1:
        start = chance.randrange(len(said) - 1)
        return f'"{said[start]} {said[start + 1]}"'
    if kind == 2:
        return f"{one} OR {other}"
    if kind == 3:
        return f"{one} -{word(3)}" if one != word(3) else one
    if kind == 4:
        longest = max(said, key=len)
        place = chance.randrange(len(longest) - 1)
        return f"{longest[:place]}{longest[place + 1]}{longest[place]}{longest[place + 2 :]}"
    return " ".join(said[:4]) if kind == 5 else f"{one} {other}"


def client(port: int, asked: list[dict[str, str]]) -> list[float]:
    """Seconds of each question, one after the other over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    seconds = []
    for parameters in asked:
        start = time.perf_counter()
        connection.request("GET", f"/?{urlencode(parameters)}")
        answer = connection.getresponse()
        body = answer.read()
        seconds.append(time.perf_counter() - start)
        assert answer.status == 200, body[:400]
        assert b'class="tile"' in body, parameters
    return seconds


def cpu_of(process: int) -> float:
    """Seconds of processor time that a process has had (Linux)."""
    told = Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")


def at(share: float, seconds: list[float]) -> float:
    """A percentile, in milliseconds."""
    return float(np.quantile(seconds, share)) * 1000


def first_results(panels: int, folder: Path) -> None:
    """Build, serve, ask."""
    began = time.perf_counter()
    make_store(folder / "store", panels, DIMENSION, texts=sentence)
    print(f"{panels:,} panels written in {time.perf_counter() - began:.0f} s")
    asked = questions(panels)
    alone = []
    with open_collection(folder / "store") as place:
        for parameters in asked[: 2 * EACH]:
            began = time.perf_counter()
            query(place, Query(text=parameters.get("q"), id=parameters.get("like"), k=A_PAGE))
            alone.append(time.perf_counter() - began)
    command = [sys.executable, "-m", "comictool", "serve", str(folder / "store"), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().strip().rstrip("/").rpartition(":")[2])
        began = time.perf_counter()
        client(port, asked[:1])
        print(f"first answer {time.perf_counter() - began:.2f} s after the start")
        for number in range(4):  # each thread opens the library for itself
            client(port, asked[number : number + 8])
        with ThreadPoolExecutor(CLIENTS) as pool:
            began, cpu = time.perf_counter(), cpu_of(process.pid)
            parts = list(pool.map(lambda n: client(port, asked[n::CLIENTS]), range(CLIENTS)))
            took, cpu = time.perf_counter() - began, cpu_of(process.pid) - cpu
        process.terminate()
    seconds = [one for part in parts for one in part]
    words = [s for n, part in enumerate(parts) for s, a in zip(part, asked[n::CLIENTS], strict=True) if "q" in a]
    a_question = cpu / len(seconds) * 1000
    print(
        f"words: p95 {at(0.95, words):.0f} ms; {len(seconds) / took:.0f} answers a second, {cpu / took:.2f} cores busy"
    )
    figure(
        f"`serve`, {panels:,} panels, {CLIENTS} people at once: first results, median / p95",
        f"{statistics.median(seconds) * 1000:.0f} / {at(0.95, seconds):.0f} ms, {a_question:.0f} ms of a core each",
        f"the query alone, one at a time {statistics.median(alone) * 1000:.0f} / {at(0.95, alone):.0f} ms",
    )


def hostile(folder: Path) -> None:
    """Ask what nobody honest asks."""
    corpus = make_corpus(folder / "lib", {"b": 6, "odd 'name'": 3})
    embed_corpus(corpus, fake(), folder / "lib/store", options=JobOptions(jobs=1))
    (folder / "secret.txt").write_bytes(SECRET)
    pictures = [file.read_bytes() for file in sorted((folder / "lib/page_images/b").iterdir())]
    server = Server(
        Served(folder / "lib", Rules("127.0.0.1", "", most_body(), 8080), lambda: FakeEncoder("fake@1+none+own", False))
    )
    app, kinds, bad = make_app(server), Counter[int](), []

    async def all_of_them() -> None:
        for request in requests(HOSTILE, SEED, pictures):
            answer = await ask(app, request)
            kinds[answer.status] += 1
            if why := wrong(answer):
                bad.append((why, request))

    began = time.perf_counter()
    asyncio.run(all_of_them())
    server.close()
    print(f"{HOSTILE:,} hostile requests in {time.perf_counter() - began:.0f} s: {dict(sorted(kinds.items()))}")
    for why, request in bad[:5]:
        print(why, request)
    failures, leaks = sum(n for status, n in kinds.items() if status >= 500), len(bad)
    figure(
        f"`serve`, {HOSTILE:,} hostile requests (paths, sizes, encodings, damaged pictures): failures, wrong answers",
        f"{failures}, {leaks}",
        f"{kinds[200]:,} were answered, the rest refused",
    )


def main() -> None:
    panels = int(arguments()[0]) if arguments() else 100_000
    with tempfile.TemporaryDirectory() as folder:
        hostile(Path(folder))
        first_results(panels, Path(folder))


if __name__ == "__main__":
    main()
