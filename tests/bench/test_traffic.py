"""Whether an answer of mixed traffic is one that was wanted."""

from __future__ import annotations

import asyncio

import pytest
from bench.traffic import KINDS, Answer, Kind, judge, read, request

WHOLE = b'data: {"text":"-two."}\n\ndata: [DONE]\n\n'
BROKEN = b'data: {"text":"forty"}\n\ndata: {"error":{"message":"it broke off"}}\n\n'
REFUSED = b'{"error":{"message":"no deployment could answer"}}'


@pytest.mark.parametrize(
    ("kind", "answer", "right"),
    [
        (Kind(1, "chat", "chat", stream=True), Answer(200, WHOLE), True),
        (Kind(1, "chat", "chat", stream=True), Answer(200, WHOLE.replace(b"[DONE]", b"")), False),
        (Kind(1, "chat", "chat", stream=True), Answer(200, BROKEN), False),
        (Kind(1, "chat", "chat"), Answer(200, b'{"content":"forty"}'), False),
        (Kind(1, "chat", "chat"), Answer(502, REFUSED), False),
        (Kind(1, "chat", "x", "honest", stream=True), Answer(502, REFUSED), True),
        (Kind(1, "chat", "x", "honest", stream=True), Answer(200, BROKEN), True),
        (Kind(1, "chat", "x", "honest", stream=True), Answer(200, b'data: {"text":"forty"}\n\n'), False),
        (Kind(1, "chat", "x", "honest", stream=True), Answer(500, REFUSED), False),
        (Kind(1, "chat", "nowhere", 404), Answer(404, b"{}"), True),
        (Kind(1, "chat", "nowhere", 404), Answer(503, b"{}"), False),
    ],
)
def test_an_answer_is_right_or_wrong(kind: Kind, answer: Answer, *, right: bool) -> None:
    assert (judge(kind, answer) == "") is right


@pytest.mark.parametrize(
    ("sent", "body", "kept"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi", True),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n3\r\n you\r\n0\r\n\r\n"[:-13], None, False),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n3\r\nyou\r\n0\r\n\r\n", b"hiyou", True),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", b"", False),
    ],
)
async def test_an_answer_is_read_to_its_end_or_not_at_all(sent: bytes, body: bytes | None, *, kept: bool) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(sent)
    reader.feed_eof()
    if body is None:
        with pytest.raises(EOFError):
            await read(reader)
    else:
        assert await read(reader) == (Answer(200, body), kept)


def test_every_dialect_is_asked_at_its_own_path_whole_and_streamed() -> None:
    paths = {(kind.dialect, kind.stream, request(kind, "k").split(b" ")[1]) for kind in KINDS}
    assert len({dialect for dialect, _, _ in paths}) == 4
    assert (b"/v1beta/models/chat:streamGenerateContent?alt=sse") in {path for _, _, path in paths}
