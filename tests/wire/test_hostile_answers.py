"""The client's end against upstreams that break HTTP: whole and cut at every byte, never relayed as whole."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.raw import CHUNKED, OK, PATIENT
from tests.wire.stage import Transport

from trunkline.errors import Broke, Garbled, UpstreamFault
from trunkline.wire.link import HEAD_MOST, Link
from trunkline.wire.outbox import Outbox

REST = b"\r\nhello\r\n0\r\n\r\n"
LENGTH = b"content-length: 5\r\n"
GARBLED = {
    "RTSP": b"RTSP/1.0 200 OK\r\n" + LENGTH + b"\r\nhello",
    "ICE": b"ICE/1.0 200 OK\r\n" + LENGTH + b"\r\nhello",
    "SHOUTcast": b"ICY 200 OK\r\n" + LENGTH + b"\r\nhello",
    "version 2.0": b"HTTP/2.0 200 OK\r\n" + LENGTH + b"\r\nhello",
    "version 0.9": b"HTTP/0.9 200 OK\r\n" + LENGTH + b"\r\nhello",
    "version 1.2": b"HTTP/1.2 200 OK\r\n" + LENGTH + b"\r\nhello",
    "no HTTP": b"220 smtp ready\r\n",
    "HTML": b"<html></html>\r\n\r\n",
    "empty line first": b"\r\n" + OK + LENGTH + b"\r\nhello",
    "bare LF first": b"\n" + OK + LENGTH + b"\r\nhello",
    "status of four digits": b"HTTP/1.1 2000 OK\r\n" + LENGTH + b"\r\nhello",
    "status below 100": b"HTTP/1.1 099 OK\r\n" + LENGTH + b"\r\nhello",
    "status above 599": b"HTTP/1.1 600 OK\r\n" + LENGTH + b"\r\nhello",
    "status in letters": b"HTTP/1.1 abc OK\r\n" + LENGTH + b"\r\nhello",
    "two spaces": b"HTTP/1.1  200 OK\r\n" + LENGTH + b"\r\nhello",
    "bare LF behind the status": b"HTTP/1.1 200 OK\n" + LENGTH + b"\r\nhello",
    "CR in the reason": b"HTTP/1.1 200 O\rK\r\n" + LENGTH + b"\r\nhello",
    "switching protocols": b"HTTP/1.1 101 S\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    "two lengths": OK + LENGTH + LENGTH + b"\r\nhello",
    "two unequal lengths": OK + LENGTH + b"content-length: 6\r\n\r\nhello!",
    "list of lengths": OK + b"content-length: 5, 5\r\n\r\nhello",
    "signed length": OK + b"content-length: +5\r\n\r\nhello",
    "negative length": OK + b"content-length: -5\r\n\r\nhello",
    "hexadecimal length": OK + b"content-length: 0x5\r\n\r\nhello",
    "empty length": OK + b"content-length:\r\n\r\nhello",
    "length, then coding": OK + LENGTH + b"transfer-encoding: chunked\r\n\r\n5" + REST,
    "coding, then length": CHUNKED[:-2] + LENGTH + b"\r\n5" + REST,
    "other coding": OK + b"transfer-encoding: gzip\r\n\r\nhello",
    "two codings": OK + b"transfer-encoding: gzip, chunked\r\n\r\n5" + REST,
    "chunked not last": OK + b"transfer-encoding: chunked, gzip\r\n\r\n5" + REST,
    "chunked twice": CHUNKED[:-2] + CHUNKED[len(OK) :] + b"5" + REST,
    "misspelt coding": OK + b"transfer-encoding: xchunked\r\n\r\n5" + REST,
    "coding in 1.0": b"HTTP/1.0" + CHUNKED[8:] + b"5" + REST,
    "space before a colon": OK + b"x : y\r\n" + LENGTH + b"\r\nhello",
    "space before the length's colon": OK + b"content-length : 5\r\n\r\nhello",
    "folded header": OK + b"x: y\r\n z\r\n" + LENGTH + b"\r\nhello",
    "space before the first header": OK + b" x: y\r\n" + LENGTH + b"\r\nhello",
    "no colon": OK + b"x\r\n" + LENGTH + b"\r\nhello",
    "NUL in a value": OK + b"x: y\0\r\n" + LENGTH + b"\r\nhello",
    "CR in a value": OK + b"x: y\rz\r\n" + LENGTH + b"\r\nhello",
    "bare LF in the head": OK + b"x: y\n" + LENGTH + b"\r\nhello",
    "one header without end": OK + b"x: y\r\n" * 102 + LENGTH + b"\r\nhello",
    "signed chunk": CHUNKED + b"+5" + REST,
    "0x before a chunk's size": CHUNKED + b"0x5" + REST,
    "letters as a chunk's size": CHUNKED + b"hello" + REST,
    "space behind a chunk's size": CHUNKED + b"5 " + REST,
    "chunk size beyond 64 bits": CHUNKED + b"f" * 17 + REST,
    "chunk longer than its size": CHUNKED + b"4" + REST,
    "bare LF behind a chunk's size": CHUNKED + b"5\nhello\r\n0\r\n\r\n",
    "bare LF behind a chunk": CHUNKED + b"5\r\nhello\n0\r\n\r\n",
    "bare LF behind the last chunk": CHUNKED + b"5\r\nhello\r\n0\n\r\n",
    "extension with NUL": CHUNKED + b"5;\0" + REST,
    "length as a trailer": CHUNKED + b"5\r\nhello\r\n0\r\ncontent-length: 5\r\n\r\n",
    "trailer without a colon": CHUNKED + b"5\r\nhello\r\n0\r\nx\r\n\r\n",
}


class Lane:
    """Takes note of what becomes of the one connection."""

    def __init__(self) -> None:
        self.kept = False
        self.outbox = Outbox()

    def opened(self, link: Link) -> None:
        pass

    def lost(self, link: Link) -> None:
        pass

    def release(self, link: Link, *, keep: bool) -> None:
        self.kept = keep


async def heard(*reads: bytes) -> tuple[bytes, str, bool]:
    """Return what the relay got of an answer that comes in these reads, how it ended, and whether its link is kept."""
    loop = asyncio.get_running_loop()
    lane, transport, got = Lane(), Transport(), bytearray()
    link = Link(cast("Any", lane), loop)
    link.connection_made(transport)
    asked = asyncio.ensure_future(link.ask(b"", b"", PATIENT, loop.time() + 60, head_only=False))

    async def relay() -> str:
        try:
            await (await asked).relay(got.extend)
        except UpstreamFault as fault:
            return f"{type(fault).__name__}: {fault}"
        return "whole"

    relaying = loop.create_task(relay())
    await asyncio.sleep(0)
    for read in reads:
        if transport.ended or (relaying.done() and relaying.result() == "whole"):
            break
        link.data_received(read)
        for _ in range(3):
            await asyncio.sleep(0)
    link.connection_lost(None)
    return bytes(got), await relaying, lane.kept


def bytewise(data: bytes) -> tuple[bytes, ...]:
    return tuple(data[at : at + 1] for at in range(len(data)))


@pytest.mark.parametrize("name", GARBLED)
async def test_an_answer_that_breaks_http_is_garbled_however_it_is_cut(name: str) -> None:
    sent = GARBLED[name]
    whole = await heard(sent)
    assert whole[1].startswith("Garbled: ")
    assert not whole[2]
    assert b"hello".startswith(whole[0])
    assert await heard(*bytewise(sent)) == whole
    for at in range(1, len(sent)):
        assert await heard(sent[:at], sent[at:]) == whole, at


async def test_a_head_without_end_is_garbled() -> None:
    piece = b"a" * 1000
    got, end, kept = await heard(OK + b"x: ", *([piece] * (HEAD_MOST // 1000 + 1)))
    assert (got, end[:8], kept) == (b"", Garbled.__name__ + ":", False)


PIECES = st.sampled_from(
    [
        OK,
        b"HTTP/1.0 200 OK\r\n",
        b"HTTP/1.1 100 C\r\n\r\n",
        b"HTTP/1.1 204 No\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b"x: y\r\n",
        LENGTH,
        b"content-length: 0\r\n",
        b"transfer-encoding: chunked\r\n",
        b"connection: close\r\n",
        b"upgrade: x\r\n",
        b"\r\nhello",
        b"5\r\nhello\r\n",
        b"0\r\n\r\n",
        b"5;a=b",
        b"hello",
        b"\xff",
    ]
)
ANSWERS = st.lists(PIECES, max_size=10).map(b"".join) | st.builds(
    lambda more: CHUNKED + b"".join(more), st.lists(PIECES, max_size=6)
)


@given(sent=ANSWERS | st.binary(max_size=60), places=st.lists(st.integers(0, 300), max_size=6))
async def test_what_becomes_of_an_answer_does_not_depend_on_how_it_was_cut(sent: bytes, places: list[int]) -> None:
    marks = [0, *sorted(place % (len(sent) + 1) for place in places), len(sent)]
    cut = [sent[a:b] for a, b in itertools.pairwise(marks) if a < b]
    got, end, _ = await heard(sent)
    assert (await heard(*cut))[:2] == (got, end)
    assert (await heard(*bytewise(sent)))[:2] == (got, end)
    assert end == "whole" or end.split(":")[0] in {Garbled.__name__, Broke.__name__}
