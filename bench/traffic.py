"""Mixed traffic at a steady rate: calls of every dialect, whole, streamed, refused, failing and left, each judged."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections import Counter
from typing import Literal, Self

import msgspec

QUESTION = [{"role": "user", "content": "What is the answer?"}]
LAST_WORD = b"-two."
KEPT = 16
"""Connections that are kept open at most, for the next call."""
PATIENCE = 30.0
"""Seconds after which a call counts as not answered."""
HONEST = frozenset({429, 502, 503, 504})
LEAVES_AFTER = 200
"""Bytes of the answer that a client reads which then hangs up."""
WRONG_KEY = "tl-" + "x" * 40

Dialect = Literal["chat", "messages", "gemini", "responses"]


class Kind(msgspec.Struct, frozen=True):
    """One kind of call.

    Attributes:
        share: how often it is made, beside the others' shares.
        dialect: in which it is asked.
        use_case: what it names as its model.
        expect: `whole`; `honest`, which is whole or an error that says so; `left`, where the client hangs up; or the
            status of a refusal.
    """

    share: int
    dialect: Dialect
    use_case: str
    expect: Literal["whole", "honest", "left"] | int = "whole"
    stream: bool = False

    @property
    def name(self) -> str:
        """By which it is counted."""
        return f"{self.dialect} to {self.use_case}{', streamed' * self.stream}"


ACROSS: tuple[tuple[Dialect, str], ...] = (
    ("chat", "claude"),
    ("chat", "gemini"),
    ("messages", "chat"),
    ("messages", "gemini"),
    ("gemini", "chat"),
    ("gemini", "claude"),
    ("responses", "chat"),
    ("responses", "claude"),
)
KINDS = (
    Kind(24, "chat", "chat"),
    Kind(16, "chat", "chat", stream=True),
    Kind(4, "messages", "claude", stream=True),
    *(Kind(2, dialect, use_case, stream=stream) for dialect, use_case in ACROSS for stream in (False, True)),
    Kind(6, "chat", "shaky"),
    Kind(4, "chat", "shaky", stream=True),
    Kind(2, "chat", "hopeless", "honest", stream=True),
    Kind(4, "chat", "slow", "left", stream=True),
    Kind(2, "messages", "slow", "left", stream=True),
    Kind(2, "chat", "nowhere", 404),
    Kind(2, "chat", "chat", 401),
)


class Answer(msgspec.Struct, frozen=True):
    """What came: `status` is 0 where the connection ended before the answer was whole."""

    status: int
    body: bytes


class Verdict(msgspec.Struct, frozen=True):
    """What became of one call: its kind, seconds to its end, and what was wrong, or nothing."""

    kind: Kind
    took: float
    wrong: str = ""


PATHS: dict[Dialect, str] = {
    "chat": "/v1/chat/completions",
    "messages": "/v1/messages",
    "responses": "/v1/responses",
}
END_MARKS: dict[Dialect, bytes] = {
    "chat": b"data: [DONE]",
    "messages": b"event: message_stop",
    "gemini": b'"finishReason":',
    "responses": b"event: response.completed",
}
ERROR_MARKS: dict[Dialect, bytes] = {
    "chat": b'data: {"error":',
    "messages": b"event: error",
    "gemini": b'{"error":',
    "responses": b"event: error",
}


def request(kind: Kind, key: str) -> bytes:
    """Return a whole request of this kind."""
    path = PATHS.get(kind.dialect, "")
    body: dict[str, object] = {"model": kind.use_case, "stream": kind.stream}
    if kind.dialect == "gemini":
        how = "streamGenerateContent?alt=sse" if kind.stream else "generateContent"
        path = f"/v1beta/models/{kind.use_case}:{how}"
        body = {"contents": [{"role": "user", "parts": [{"text": "What is the answer?"}]}]}
    elif kind.dialect == "responses":
        body["input"] = "What is the answer?"
    else:
        body |= {"messages": QUESTION, "max_tokens": 100}
    raw = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n"
    return f"{head}content-type: application/json\r\ncontent-length: {len(raw)}\r\n\r\n".encode() + raw


def judge(kind: Kind, answer: Answer) -> str:
    """Return what is wrong with an answer, or nothing."""
    said = f"{answer.status} {answer.body[-300:]!r}"
    if isinstance(kind.expect, int):
        return "" if answer.status == kind.expect else said
    if answer.status == 200 and LAST_WORD in answer.body:
        return "" if not kind.stream or END_MARKS[kind.dialect] in answer.body else said
    if kind.expect == "honest":
        refused = answer.status in HONEST and b'"message":' in answer.body
        told = answer.status == 200 and kind.stream and ERROR_MARKS[kind.dialect] in answer.body
        return "" if refused or told else said
    return said


class Traffic:
    """Calls at a steady rate for as long as the block lasts. Each begins at its time, whatever became of the others."""

    def __init__(self, port: int, key: str, rate: float, seed: int) -> None:
        self.verdicts: list[Verdict] = []
        self._port = port
        self._key = key
        self._rate = rate
        self._chance = random.Random(seed)  # noqa: S311 - a seeded draw is the point
        self._kept: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._calls: set[asyncio.Task[None]] = set()
        self._driving: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._driving = asyncio.create_task(self._drive())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._driving is not None:
            self._driving.cancel()
        await asyncio.gather(*self._calls)
        for kept in self._kept:
            kept[1].close()

    @property
    def counted(self) -> Counter[str]:
        """How many calls there were of each kind."""
        return Counter(one.kind.name for one in self.verdicts)

    async def _drive(self) -> None:
        began, number = time.monotonic(), 0
        while True:
            number += 1
            await asyncio.sleep(began + number / self._rate - time.monotonic())
            (kind,) = self._chance.choices(KINDS, [one.share for one in KINDS])
            call = asyncio.create_task(self._call(kind))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)

    async def _call(self, kind: Kind) -> None:
        began, wrong = time.monotonic(), ""
        try:
            async with asyncio.timeout(PATIENCE):
                wrong = await self._ask(kind)
        except TimeoutError:
            wrong = "not answered in time"
        except (OSError, EOFError, ValueError) as fault:
            wrong = f"{type(fault).__name__}: {fault}"
        self.verdicts.append(Verdict(kind, time.monotonic() - began, wrong))

    async def _ask(self, kind: Kind) -> str:
        reader, writer = await self._connection()
        keep = False
        try:
            writer.write(request(kind, self._key if kind.expect != 401 else WRONG_KEY))
            if kind.expect == "left":
                await reader.readexactly(LEAVES_AFTER)
                return ""
            answer, keep = await read(reader)
            return judge(kind, answer)
        finally:
            if keep and len(self._kept) < KEPT:
                self._kept.append((reader, writer))
            else:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._kept:
            kept = self._kept.pop()
            if not kept[0].at_eof():
                return kept
            kept[1].close()
        return await asyncio.open_connection("127.0.0.1", self._port)


async def read(reader: asyncio.StreamReader) -> tuple[Answer, bool]:
    """Read one answer; also return whether the connection may be used again.

    Raises:
        EOFError: it ended too soon.
    """
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status = int(head[9:12])
    body = b""
    if b"transfer-encoding: chunked" in head:
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readline()
    else:
        body = await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
    return Answer(status, body), b"connection: close" not in head
