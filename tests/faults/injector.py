"""A server that misbehaves below HTTP: in one way, at every connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from tests.path.exchange import free_port

LINGER_ZERO = struct.pack("ii", 1, 0)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n"
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
    }
)
"""Once a request has come, except `refuse` and `no-tls`, which are addresses: nobody listens, nobody speaks TLS."""


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
    """Serve every mode on a port of its own; yield base URLs by mode."""
    urls: dict[str, str] = {"refuse": f"http://127.0.0.1:{free_port()}/v1"}
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
