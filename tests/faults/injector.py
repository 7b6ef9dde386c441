"""A server that misbehaves below HTTP: in one way, at every connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from tests.path.exchange import free_port

TLS = Path(__file__).parents[1] / "wire" / "tls"
LINGER_ZERO = struct.pack("ii", 1, 0)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n"
BUSY = b'{"error":{"message":"Rate limit reached","type":"requests","param":null,"code":"rate_limit_exceeded"}}'
THROTTLED = b"HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\nretry-after: 0\r\n"
THROTTLED += b"connection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(BUSY), BUSY)
GARBAGE = bytes(range(128, 256)) * 8
DRIP = 0.1
"""Seconds between two bytes of a head that never ends."""


async def _silent(_transport: asyncio.Transport) -> None:
    """Take everything and never say a word."""
    await asyncio.Event().wait()


async def _reset(transport: asyncio.Transport) -> None:
    raw: socket.socket = transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
    transport.abort()


async def _garbage(transport: asyncio.Transport) -> None:
    transport.write(GARBAGE)
    await asyncio.Event().wait()


async def _half_close(transport: asyncio.Transport) -> None:
    """Say that nothing will come, and go on reading."""
    transport.write_eof()
    await asyncio.Event().wait()


async def _drip(transport: asyncio.Transport) -> None:
    for byte in HEAD:
        transport.write(bytes((byte,)))
        await asyncio.sleep(DRIP)


async def _garbage_behind_a_head(transport: asyncio.Transport) -> None:
    transport.write(HEAD + GARBAGE)
    await asyncio.Event().wait()


async def _drip_a_body(transport: asyncio.Transport) -> None:
    """Let bytes come all the time, and never an event."""
    transport.write(HEAD.replace(b"application/json", b"text/event-stream") + b"data: ")
    while True:
        transport.write(b"x")
        await asyncio.sleep(DRIP)


async def _storm(transport: asyncio.Transport) -> None:
    """Refuse everything, at once, for a rate."""
    transport.write(THROTTLED)
    transport.write_eof()


async def _half_a_body(transport: asyncio.Transport) -> None:
    transport.write(HEAD + b"{")
    await asyncio.Event().wait()


Misbehave = Callable[[asyncio.Transport], "asyncio.Future[None]"]
MODES: Mapping[str, object] = MappingProxyType(
    {
        "silent": _silent,
        "reset": _reset,
        "garbage": _garbage,
        "half-close": _half_close,
        "drip": _drip,
        "half-a-body": _half_a_body,
        "garbage-body": _garbage_behind_a_head,
        "drip-body": _drip_a_body,
        "storm": _storm,
    }
)
"""What happens once a request has come."""

ADDRESSES = ("refuse", "no-tls", "no-hand", "untrusted", "no-name")
"""Where it does not come so far: nobody listens, or speaks TLS, or ever answers its greeting; a certificate of an
authority that nobody trusts; a name that leads nowhere.
"""


class _Connection(asyncio.Protocol):
    def __init__(self, mode: str) -> None:
        self._mode = mode
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._task is None:
            misbehave = MODES[self._mode]
            assert callable(misbehave)
            self._task = asyncio.get_running_loop().create_task(misbehave(self._transport))

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._task is not None:
            self._task.cancel()


@contextlib.contextmanager
def misbehaving() -> Iterator[dict[str, str]]:
    """Serve every mode on a port of its own; yield base URLs by mode or kind of address."""
    urls = {"refuse": f"http://127.0.0.1:{free_port()}/v1", "no-name": "http://no-such-host.invalid/v1"}
    strange = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    strange.load_cert_chain(TLS / "server.pem", TLS / "server.key")
    ready = threading.Event()
    ends: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        servers = []
        for mode in MODES:
            server = await loop.create_server(lambda mode=mode: _Connection(mode), "127.0.0.1", 0)  # type: ignore[misc]
            servers.append(server)
            urls[mode] = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        urls["no-tls"] = urls["garbage"].replace("http:", "https:")
        urls["no-hand"] = urls["silent"].replace("http:", "https:")
        server = await loop.create_server(lambda: _Connection("garbage"), "127.0.0.1", 0, ssl=strange)
        servers.append(server)
        urls["untrusted"] = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        ends.append((loop, stop))
        ready.set()
        await stop.wait()
        for server in servers:
            server.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(10), "the injector did not start"
    try:
        yield urls
    finally:
        loop, stop = ends[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
