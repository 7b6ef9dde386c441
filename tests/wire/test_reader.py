"""The request parser against anything: whole against cut, against llhttp alone, and flat in memory."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterable
from pathlib import Path

import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.wire.hostile import cases
from tests.wire.stage import Stage

from trunkline.wire.bodies import Chunks
from trunkline.wire.limits import Limits
from trunkline.wire.peer import Peer
from trunkline.wire.reader import Bodies, Reader
from trunkline.wire.request import Refused, Request
from trunkline.wire.server import Reply

SMALL = Limits(request_line=60, header_bytes=200, header_count=6, body=30, pipeline=1000)
PIECES = st.sampled_from(
    [
        b"GET /p HTTP/1.1\r\n",
        b"POST /p?q HTTP/1.1\r\n",
        b"POST http://a/p HTTP/1.1\r\n",
        b"OPTIONS * HTTP/1.0\r\n",
        b"GET / RTSP/1.0\r\n",
        b"GET  / HTTP/1.1\r\n",
        b"Host: a\r\n",
        b"Host: b\r\n",
        b"Content-Length: 3\r\n",
        b"Content-Length: 0\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"Connection: upgrade\r\nUpgrade: x\r\n",
        b"Expect: 100-continue\r\n",
        b"X:\r\n",
        b"X: y\r\n",
        b"X" * 50,
        b": y",
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"\r",
        b" ",
        b"\0",
        b"\xff",
        b"abc",
        b"3\r\nabc\r\n",
        b"0\r\n\r\n",
        b"1;a=b\r\nx\r\n",
        b"0\r\nX: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    ]
)
STREAMS = st.lists(PIECES, max_size=12).map(b"".join) | st.binary(max_size=80)
CHUNKED = b"POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
PLACES = st.lists(st.integers(0, 1000), max_size=6)
Outcome = tuple[list[tuple[str, str, str, dict[bytes, bytes], bytes, bool]], tuple[int, str, str] | None]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    marks = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(marks) if a < b]


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def read(pieces: Iterable[bytes]) -> Outcome:
    """Return the requests that these reads hold, and what refused the rest."""
    taken: list[Request] = []
    bodies = Bodies(10_000)
    reader = Reader(SMALL, bodies, Peer(""), taken.append)
    fault = None
    try:
        for piece in pieces:
            if not reader.over:
                reader.feed(piece)
    except Refused as refused:
        fault = (refused.status, refused.code, refused.message)
    assert bodies.held == reader.held >= sum(len(request.body) for request in taken)
    reader.drop()
    assert bodies.held == 0
    return [(r.method, r.path, r.version, r.headers, r.body, r.keep_alive) for r in taken], fault


@given(sent=STREAMS, places=PLACES)
def test_what_is_read_does_not_depend_on_how_it_was_cut(sent: bytes, places: list[int]) -> None:
    whole = read([sent])
    assert read(cut(sent, places)) == whole
    assert read(bytewise(sent)) == whole


class Lenient:
    """What llhttp alone makes of it."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self._body = b""

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self.bodies.append(self._body)
        self._body = b""


@given(sent=STREAMS | st.lists(PIECES, max_size=6).map(lambda more: CHUNKED + b"".join(more)))
@example(sent=CHUNKED + b'0001;a="\\"";b\r\na\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n')
def test_nothing_is_taken_that_the_parser_alone_would_frame_otherwise(sent: bytes) -> None:
    requests, _ = read([sent])
    if any(b"upgrade" in headers for *_, headers, _, _ in requests):
        return  # there the parser alone stops at the head
    lenient = Lenient()
    with contextlib.suppress(httptools.HttpParserError):
        httptools.HttpRequestParser(lenient).feed_data(sent)
    assert lenient.bodies[: len(requests)] == [body for *_, body, _ in requests]


SIZES = st.lists(st.integers(1, 12), max_size=6)


@given(sizes=SIZES, zeros=st.integers(0, 14), extension=st.sampled_from([b"", b";a", b';a="b;\\""', b";a=b;c"]))
def test_every_right_body_in_chunks_is_joined(sizes: list[int], zeros: int, extension: bytes) -> None:
    pieces = [bytes([65 + at]) * size for at, size in enumerate(sizes)]
    lines = [b"%b%x%b\r\n%b\r\n" % (b"0" * zeros, len(piece), extension, piece) for piece in pieces]
    sent = b"".join(lines) + b"0" * (zeros + 1) + extension + b"\r\nX: y\r\n\r\n"
    for reads in ([sent + b"rest"], bytewise(sent + b"rest")):
        chunks, body, taken = Chunks(Limits()), bytearray(), 0
        for piece in reads:
            taken += chunks.take(piece, 0, body) if not chunks.whole else 0
        assert chunks.whole
        assert (bytes(body), taken) == (b"".join(pieces), len(sent))


def resident() -> int:
    """The bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_hostile_clients_leave_nothing_in_memory() -> None:
    async def drop(request: Request, reply: Reply) -> None:
        reply.send(200, b"", b"")

    stage = Stage(drop, Limits())
    sent = [case.sent for case in cases().values()]
    cut_off = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"x" * 50_000

    async def play_all(rounds: int) -> None:
        for _ in range(rounds):
            for one in sent:
                await stage.play(one)
                await stage.play(one[:-1])
            await stage.play(cut_off)

    await play_all(3)
    before = resident()
    await play_all(20)
    assert resident() - before < 4 * 1024 * 1024


@pytest.mark.parametrize("piece", [1, 2, 7])
def test_a_body_in_tiny_pieces_costs_its_size_and_not_its_pieces(piece: int) -> None:
    taken: list[Request] = []
    size = 2_000_000
    reader = Reader(Limits(), Bodies(1 << 30), Peer(""), taken.append)
    reader.feed(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
    before = resident()
    for _ in range(size // piece - 1):
        reader.feed(b"x" * piece)
    assert resident() - before < 4 * size
    reader.feed(b"x" * (size - piece * (size // piece - 1)))
    assert len(taken[0].body) == size
