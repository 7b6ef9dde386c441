"""Both ends of a socket as bytes, so that tests see what is really on the wire."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple, Self

from trunkline.wire.client import Origin, Pool, Times
from trunkline.wire.server import Handler, Limits, Reply, Request, Server

WITHIN = 10.0
"""Seconds after which a test that waits has failed."""

GET = b"GET /v1 HTTP/1.1\r\nhost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
HELLO = OK + b"content-length: 5\r\n\r\nhello"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
PATIENT = Times(connect=WITHIN, first_byte=WITHIN, between=WITHIN, total=WITHIN)
Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Answer(NamedTuple):
    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Dial:
    """A client that writes bytes and reads answers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, port: int, *, limit: int = 2**16) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=limit))

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self, *, head_only: bool = False) -> Answer:
        """Read one answer; chunks are joined."""
        async with asyncio.timeout(WITHIN):
            head = await self.reader.readuntil(b"\r\n\r\n")
            first, *lines = head[:-4].split(b"\r\n")
            pairs = (line.partition(b": ") for line in lines)
            headers = {name.lower(): value for name, _, value in pairs}
            status = int(first.split()[1])
            body = b""
            if head_only or status < 200 or status == 204:
                pass
            elif headers.get(b"transfer-encoding") == b"chunked":
                while size := int(await self.reader.readuntil(b"\r\n"), 16):
                    body += (await self.reader.readexactly(size + 2))[:-2]
                assert await self.reader.readexactly(2) == b"\r\n"
            elif b"content-length" in headers:
                body = await self.reader.readexactly(int(headers[b"content-length"]))
            else:
                body = await self.reader.read()
            return Answer(status, headers, body)

    async def rest(self) -> bytes:
        """Read until the server closes."""
        async with asyncio.timeout(WITHIN):
            return await self.reader.read()

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


@asynccontextmanager
async def serving(handler: Handler, limits: Limits | None = None) -> AsyncIterator[Server]:
    server = await Server.start(handler, limits=limits)
    try:
        yield server
    finally:
        await server.close(0)


@asynccontextmanager
async def dialled(handler: Handler, limits: Limits | None = None) -> AsyncIterator[Dial]:
    """A server, and one connection to it."""
    async with serving(handler, limits) as server:
        dial = await Dial.to(server.port)
        try:
            yield dial
        finally:
            await dial.close()


@asynccontextmanager
async def upstream(script: Script, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Run `script` for every connection; yields the port."""
    running: set[asyncio.Task[None]] = set()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            await script(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client has left, or the test is over
        finally:
            running.discard(task)
            writer.close()

    server = await asyncio.start_server(play, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)


async def until(reached: Callable[[], bool]) -> None:
    """Let the loop turn until something that nobody signals has come about."""
    async with asyncio.timeout(WITHIN):
        while not reached():  # noqa: ASYNC110 - a count has no event to wait for
            await asyncio.sleep(0.002)


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Read one request with its Content-Length body."""
    head = await reader.readuntil(b"\r\n\r\n")
    size = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            size = int(line[15:])
    return head + await reader.readexactly(size)


async def echo(request: Request, reply: Reply) -> None:
    reply.send(200, b"x-path: " + request.path.encode() + b"\r\n", request.body)


def origin(port: int) -> Origin:
    return Origin("127.0.0.1", port, tls=False)


@asynccontextmanager
async def pool_to(script: Script, **options: float) -> AsyncIterator[tuple[Pool, Origin]]:
    async with upstream(script) as port:
        pool = Pool(**options)  # type: ignore[arg-type]
        try:
            yield pool, origin(port)
        finally:
            await pool.close()


def say(*pieces: bytes, then: Callable[[asyncio.StreamWriter], None] | None = None) -> Script:
    """An upstream that answers every request with the same pieces, and then closes, stays or does `then`."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            if then is not None:
                then(writer)
                return

    return script


def close(writer: asyncio.StreamWriter) -> None:
    writer.close()


def reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def ask(pool: Pool, to: Origin, times: Times = PATIENT) -> bytes:
    async with asyncio.timeout(WITHIN):
        return await (await pool.send(to, GET, times)).read()


async def relayed(pool: Pool, to: Origin) -> bytes:
    got: list[bytes] = []
    async with asyncio.timeout(WITHIN):
        await (await pool.send(to, GET, PATIENT)).relay(got.append)
    return b"".join(got)
