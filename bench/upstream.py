"""The fake upstream of the paced streams: one event per chunk and write, 20 ms apart unless the request says otherwise.

Plain answers come from an nginx that returns a fixed body: nothing cheaper is at hand everywhere.
"""

from __future__ import annotations

import asyncio
import json
import sys

import msgspec
import uvloop
from bench.question import PACE, PIECES


class Asked(msgspec.Struct):
    """What the upstream reads of a request."""

    x_pace: float = PACE


def _framed(data: str, before: str = "") -> bytes:
    event = f"{before}data: {data}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(event), event)


def _event(choices: list[dict[str, object]], usage: dict[str, int] | None) -> bytes:
    chunk = {
        "id": "chatcmpl-123",
        "object": "chat.completion.chunk",
        "created": 1694268190,
        "model": "bench-2025-04-14",
        "system_fingerprint": "fp_44709d6fcb",
        "choices": choices,
        "usage": usage,
    }
    return _framed(json.dumps(chunk, separators=(",", ":")))


def _choice(delta: dict[str, str], finish: str | None = None) -> list[dict[str, object]]:
    return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
FRAMES = (
    HEAD + _event(_choice({"role": "assistant", "content": ""}), None),
    *(_event(_choice({"content": piece}), None) for piece in PIECES),
    _event(_choice({}, "stop"), None)
    + _event([], {"prompt_tokens": 82, "completion_tokens": len(PIECES), "total_tokens": 82 + len(PIECES)})
    + _framed("[DONE]")
    + b"0\r\n\r\n",
)


def _named(kind: str, **fields: object) -> bytes:
    return _framed(json.dumps({"type": kind, **fields}, separators=(",", ":")), f"event: {kind}\n")


MESSAGE: dict[str, object] = {
    "id": "msg_123",
    "type": "message",
    "role": "assistant",
    "model": "bench-20251001",
    "content": [],
    "stop_reason": None,
    "usage": {"input_tokens": 82, "output_tokens": 1},
}
MESSAGES = (
    HEAD
    + _named("message_start", message=MESSAGE)
    + _named("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    *(_named("content_block_delta", index=0, delta={"type": "text_delta", "text": piece}) for piece in PIECES),
    _named("content_block_stop", index=0)
    + _named("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": len(PIECES)})
    + _named("message_stop")
    + b"0\r\n\r\n",
)
"""The same stream as Anthropic tells it."""


class Paced(asyncio.Protocol):
    """One connection: writes frame after frame at fixed times after the request."""

    transport: asyncio.Transport

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._buffer = b""
        self._frames = FRAMES
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = transport  # type: ignore[assignment]  # a TCP server's transport is one

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio calls it so
        """Stop writing."""
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Answer once a request is whole."""
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(rest) >= length:
            self._buffer = rest[length:]
            pace = msgspec.json.decode(rest[:length], type=Asked).x_pace
            self._frames = MESSAGES if b"/messages" in head.partition(b"\r\n")[0] else FRAMES
            self._write(0, self._loop.time(), pace)

    def _write(self, place: int, start: float, pace: float) -> None:
        self.transport.write(self._frames[place])
        if place + 1 < len(self._frames):
            self._timer = self._loop.call_at(start + (place + 1) * pace, self._write, place + 1, start, pace)


async def serve(port: int) -> None:
    """Serve until the process ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Paced(loop), "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
