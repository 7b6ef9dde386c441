"""An OpenAI-like upstream on plain asyncio sockets that does what its script says and writes down what it saw.

In a test's own loop: `async with Upstream() as upstream`. For tests without one, or longer than one:
`with in_thread() as upstream`. As a process: `python -m tests.upstreams.scripted --script '{"pace": 0.02}'` prints the
port, then a line of JSON for every request that ends.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Self

import msgspec
from tests.upstreams.answers import Answer, answer
from tests.upstreams.script import NORMAL, Script

LINGER_ZERO = struct.pack("ii", 1, 0)
REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}


@dataclass
class Received:
    """One request as it came, and what became of it. Times are `time.monotonic()` seconds.

    `events` counts the events (or whole bodies) handed to the socket; `finished` says that the script came to its end;
    `left_at` when the client went away before that; `over` is set when either has happened.
    """

    number: int
    connection: int
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    at: float
    events: int = 0
    written: int = 0
    finished: bool = False
    left_at: float | None = None
    over: threading.Event = field(default_factory=threading.Event)

    def header(self, name: str) -> str | None:
        """Return the first header of that name, or None."""
        return next((value for key, value in self.headers if key == name.lower()), None)

    async def wait(self, seconds: float = 10.0) -> bool:
        """Wait until the request is over, in whichever loop the caller lives; False after so many seconds."""
        return await asyncio.to_thread(self.over.wait, seconds)


class Upstream:
    """The scripted upstream. `play` queues scripts, one per request to come; `default` serves the others.

    `choose`, where set, is asked first and may return None. `received` holds every request in the order of arrival.
    """

    def __init__(self, default: Script = NORMAL, *, port: int = 0) -> None:
        self.default = default
        self.port = port
        self.received: list[Received] = []
        self.connections = 0
        self.choose: Callable[[Received], Script | None] = lambda _: None
        self.on_over: Callable[[Received], None] = lambda _: None
        self._queue: deque[Script] = deque()
        self._open: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._arrived = threading.Condition()

    @property
    def url(self) -> str:
        """The base URL that an estate gives as `url`."""
        return f"http://127.0.0.1:{self.port}/v1"

    def play(self, *scripts: Script) -> None:
        """Queue scripts for the requests to come, in order."""
        self._queue.extend(scripts)

    def reset(self) -> None:
        """Forget what was received and what was queued, and serve normal answers again."""
        self._queue.clear()
        self.received.clear()
        self.default = NORMAL
        self.choose = lambda _: None

    def script_for(self, received: Received) -> Script:
        """Return the script that serves this request."""
        if (chosen := self.choose(received)) is not None:
            return chosen
        return self._queue.popleft() if self._queue else self.default

    def note(self, received: Received) -> None:
        """Write a request down."""
        with self._arrived:
            self.received.append(received)
            self._arrived.notify_all()

    def wait_for(self, count: int, seconds: float = 10.0) -> bool:
        """Block until so many requests have come; False after so many seconds. Never from the upstream's own loop."""
        with self._arrived:
            return self._arrived.wait_for(lambda: len(self.received) >= count, seconds)

    def notice(self) -> None:
        """Wake who waits for something to happen here."""
        with self._arrived:
            self._arrived.notify_all()

    def wait_closed(self, seconds: float = 10.0) -> bool:
        """Block until no connection is open any more; False after so many seconds."""
        with self._arrived:
            return self._arrived.wait_for(lambda: not self._open, seconds)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self, self._open), "127.0.0.1", self.port
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is None:
            return
        self._server.close()
        tasks = [connection.end() for connection in tuple(self._open)]
        await asyncio.gather(*(task for task in tasks if task is not None), return_exceptions=True)
        await self._server.wait_closed()


class Connection(asyncio.Protocol):
    """One connection: reads requests, one at a time, and plays a script for each."""

    transport: asyncio.Transport

    def __init__(self, upstream: Upstream, peers: set[Connection]) -> None:
        self._upstream = upstream
        self._peers = peers
        self._buffer = b""
        self._task: asyncio.Task[None] | None = None
        self._current: Received | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._number = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._upstream.connections += 1
        self._number = self._upstream.connections
        self._peers.add(self)

    def data_received(self, data: bytes) -> None:
        """Gather bytes until a request is whole."""
        self._buffer += data
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the client left, when a script was still playing."""
        self._peers.discard(self)
        asyncio.get_running_loop().call_soon(self._upstream.notice)  # Only then is the socket closed.
        if self._current is not None and not self._current.finished:
            self._current.left_at = time.monotonic()
            self._conclude(self._current)
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        """Wait for a slow reader."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Go on."""
        self._writable.set()

    def end(self) -> asyncio.Task[None] | None:
        """Stop at once; return what still has to be awaited."""
        if self._task is not None:
            self._task.cancel()
        self.transport.abort()
        return self._task

    def _next(self) -> None:
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found or self._task is not None:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = tuple(
            (name.strip().lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)
        )
        length = int(dict(headers).get("content-length", "0"))
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        number = len(self._upstream.received) + 1
        received = Received(number, self._number, method, path, headers, rest[:length], time.monotonic())
        self._current = received
        script = self._upstream.script_for(received)
        self._task = asyncio.get_running_loop().create_task(self._play(script, received))
        self._upstream.note(received)

    async def _play(self, script: Script, received: Received) -> None:
        keep = await self._answer(script, received)
        received.finished = True
        self._conclude(received)
        self._task = self._current = None
        if script.reset and not keep:
            self._reset()
        elif not keep or script.close_after:
            self.transport.close()
        else:
            self._next()

    def _conclude(self, received: Received) -> None:
        received.over.set()
        self._upstream.on_over(received)

    def _reset(self) -> None:
        raw: socket.socket = self.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
        self.transport.abort()

    async def _answer(self, script: Script, received: Received) -> bool:
        """Play the script; return whether the connection may be kept."""
        if script.delay:
            await asyncio.sleep(script.delay)
        if script.drop:
            return False
        if script.hang == "head":
            await asyncio.Event().wait()
        if script.raw is not None:
            self.transport.write(script.raw)
            return False
        made = answer(script, received.path.partition("?")[0], received.body)
        framing = script.framing or ("chunked" if made.streamed else "length")
        self.transport.write(_head(script, made, framing))
        return await self._body(script, made, framing, received) and framing != "eof"

    async def _body(self, script: Script, made: Answer, framing: str, received: Received) -> bool:
        units = [_chunk(unit) if framing == "chunked" else unit for unit in made.units]
        if framing == "chunked":
            units.append(b"0\r\n\r\n")
        if script.write_size == 0:
            units = [b"".join(units)]
        for place, unit in enumerate(units):
            if place and script.pace:
                await asyncio.sleep(script.pace)
            if script.hang == "body" and (not made.streamed or place == script.hang_after):
                self.transport.write(b"" if made.streamed else unit[: len(unit) // 2])
                await asyncio.Event().wait()
            room = len(unit) if script.cut is None else script.cut - received.written
            await self._write(unit[: max(room, 0)], script.write_size or len(unit) or 1, received)
            if room < len(unit):
                return False
            received.events += place < len(made.units)
        return True

    async def _write(self, data: bytes, size: int, received: Received) -> None:
        for start in range(0, len(data), size):
            self.transport.write(data[start : start + size])
            received.written += len(data[start : start + size])
            await asyncio.sleep(0)
            await self._writable.wait()


def _head(script: Script, made: Answer, framing: str) -> bytes:
    lines = [f"HTTP/1.1 {made.status} {REASONS.get(made.status, 'Error')}", f"content-type: {made.content_type}"]
    lines += [f"{name}: {value}" for name, value in (("x-request-id", "req_upstream"), *script.headers)]
    if framing == "chunked":
        lines.append("transfer-encoding: chunked")
    elif framing == "length":
        lines.append(f"content-length: {sum(map(len, made.units))}")
    else:
        lines.append("connection: close")
    return "\r\n".join((*lines, "", "")).encode("latin-1")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@contextlib.contextmanager
def in_thread(default: Script = NORMAL) -> Iterator[Upstream]:
    """Run an upstream on a loop of its own in a thread."""
    upstream = Upstream(default)
    ready = threading.Event()
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        stop = asyncio.Event()
        async with upstream:
            loops.append((asyncio.get_running_loop(), stop))
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(10), "the scripted upstream did not start"
    try:
        yield upstream
    finally:
        loop, stop = loops[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


def main() -> None:
    """Serve as a process until end-of-file on standard input: the parent's death ends it, too."""
    options = argparse.ArgumentParser(prog="python -m tests.upstreams.scripted", description=main.__doc__)
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--script", default="{}", help="the default script, as JSON")
    given = options.parse_args()
    asyncio.run(_serve(msgspec.json.decode(given.script, type=Script), given.port))


async def _serve(script: Script, port: int) -> None:
    upstream = Upstream(script, port=port)
    upstream.on_over = _report
    async with upstream:
        print(upstream.port, flush=True)  # noqa: T201  the parent reads it
        await asyncio.to_thread(sys.stdin.read)


def _report(received: Received) -> None:
    facts = {
        "number": received.number,
        "path": received.path,
        "body": received.body.decode("utf-8", "replace"),
        "events": received.events,
        "finished": received.finished,
    }
    print(msgspec.json.encode(facts).decode(), flush=True)  # noqa: T201  the parent reads it


if __name__ == "__main__":
    main()
