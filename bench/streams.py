"""A client of many paced streams that checks each for wholeness: `python -m bench.streams PORT MODEL KEY ...`.

It prints one line of JSON. With `--hold` it opens the streams, prints how many have begun, and keeps them open until
its standard input ends.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

import httptools
import msgspec
import uvloop
from bench.question import PACE, PIECES, request

END = b"0\r\n\r\n"


class Tally(msgspec.Struct):
    """What came of the streams. `chunks` counts the events that reached the client; `first` is in milliseconds.

    `off` says by how many milliseconds two neighbouring chunks were nearer or farther than the upstream's pace.
    """

    streams: int = 0
    broken: int = 0
    chunks: int = 0
    first: list[float] = []
    off: list[float] = []
    fault: str = ""


class Reader(asyncio.Protocol):
    """One connection that asks for one stream after the other."""

    transport: asyncio.Transport

    def __init__(self, began: Callable[[], None]) -> None:
        self._began = began
        self._parts: list[bytes] = []
        self._over: asyncio.Future[bytes] | None = None
        self.times: list[float] = []
        self.sizes: list[int] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = transport  # type: ignore[assignment]  # a TCP client's transport is one

    def ask(self, raw: bytes) -> asyncio.Future[bytes]:
        """Send a request; the future gives all bytes of its answer."""
        self._parts, self.times, self.sizes = [], [], []
        self._over = asyncio.get_running_loop().create_future()
        self.transport.write(raw)
        return self._over

    def data_received(self, data: bytes) -> None:
        """Gather; looking into it waits until the stream is over."""
        self.times.append(time.perf_counter())
        self.sizes.append(len(data))
        if not self._parts:
            self._began()
        self._parts.append(data)
        # A last frame may come cut: look at the last two reads.
        if b"".join(self._parts[-2:]).endswith(END) or b"text/event-stream" not in self._parts[0]:
            self._conclude()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio calls it so
        """Hand over what there is."""
        self._conclude()

    def _conclude(self) -> None:
        if self._over is not None and not self._over.done():
            self._over.set_result(b"".join(self._parts))


class _Parsed:
    def __init__(self) -> None:
        self.body = bytearray()
        self.whole = False

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.whole = True


def fault_of(raw: bytes) -> tuple[str, int]:
    """Return what is wrong with an answer (empty when it is whole) and how many events it had."""
    parsed = _Parsed()
    parser = httptools.HttpResponseParser(parsed)
    try:
        parser.feed_data(raw)
    except httptools.HttpParserError as error:
        return f"not HTTP: {error}: {raw[:200]!r}", 0
    if not parsed.whole or parser.get_status_code() != 200:
        return f"not a whole 200: {raw[:400]!r}", 0
    events = [event for event in bytes(parsed.body).split(b"\n\n") if event.startswith(b"data: ")]
    if not events or events[-1] != b"data: [DONE]":
        return "no [DONE]", len(events)
    chunks = [json.loads(event[6:]) for event in events[:-1]]
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])
    if text != "".join(PIECES):
        return f"another text: {text[:200]!r}", len(events)
    if not chunks[-1].get("usage"):
        return "no usage", len(events)
    return "", len(events)


def deviations(raw: bytes, times: Sequence[float], sizes: Sequence[int]) -> list[float]:
    """Return how far, in milliseconds, each two neighbouring pieces of text lay from their pace.

    Args:
        raw: all bytes of a whole answer.
        times: when each read came, in seconds.
        sizes: the bytes of each read.
    """
    ends = list(accumulate(sizes))
    places = [raw.find(piece.encode()) for piece in PIECES]
    came = [times[bisect_right(ends, place)] for place in places if place >= 0]
    return [abs(after - before - PACE) * 1000 for before, after in pairwise(came)]


async def run(options: argparse.Namespace) -> Tally:
    """Run `streams` connections at once, `rounds` streams on each, their starts spread over one pace."""
    loop = asyncio.get_running_loop()
    tally = Tally()
    raw = request(options.model, options.key, stream=True)
    answers: list[tuple[bytes, list[float], list[int]]] = []

    async def client(number: int) -> None:
        _, reader = await loop.create_connection(lambda: Reader(lambda: None), "127.0.0.1", options.port)
        await asyncio.sleep(PACE * number / options.streams)
        for _ in range(options.rounds):
            asked = time.perf_counter()  # the loop's own time is as old as its turn
            answer = await reader.ask(raw)
            answers.append((answer, reader.times, reader.sizes))
            if not answer.endswith(END):
                return
            tally.first.append((reader.times[0] - asked) * 1000)
        reader.transport.close()

    await asyncio.gather(*(client(number) for number in range(options.streams)))
    for answer, times, sizes in answers:  # now that it keeps no other stream waiting
        fault, events = fault_of(answer)
        tally.streams += 1
        tally.chunks += events
        if fault:
            tally.broken += 1
            tally.fault = fault
        else:
            tally.off += deviations(answer, times, sizes)
    return tally


async def hold(options: argparse.Namespace) -> int:
    """Open the streams, and return how many have begun once all have or 20 seconds have passed."""
    loop = asyncio.get_running_loop()
    raw = request(options.model, options.key, stream=True, pace=options.pace)
    begun = 0
    all_begun = asyncio.Event()

    def began() -> None:
        nonlocal begun
        begun += 1
        if begun == options.streams:
            all_begun.set()

    for _ in range(options.streams):
        _, reader = await loop.create_connection(lambda: Reader(began), "127.0.0.1", options.port)
        reader.ask(raw)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(all_begun.wait(), 20)
    print(json.dumps({"begun": begun}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    return begun


def main() -> None:
    """Run as a process of its own, so that it can stand on another core than the gateway."""
    options = argparse.ArgumentParser()
    options.add_argument("port", type=int)
    options.add_argument("model")
    options.add_argument("key")
    options.add_argument("--streams", type=int, default=16)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--hold", action="store_true")
    options.add_argument("--pace", type=float, default=PACE)
    given = options.parse_args()
    if given.hold:
        uvloop.run(hold(given))
    else:
        print(msgspec.json.encode(uvloop.run(run(given))).decode(), flush=True)


if __name__ == "__main__":
    main()
