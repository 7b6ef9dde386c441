from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable

import pytest
from tests.wire.raw import (
    CHUNKED,
    GET,
    HELLO,
    OK,
    PATIENT,
    WITHIN,
    ask,
    close,
    origin,
    pool_to,
    read_request,
    relayed,
    reset,
    say,
    serving,
    until,
)

from trunkline.errors import Broke, Garbled
from trunkline.wire.client import Pool
from trunkline.wire.server import Reply, Request


@pytest.mark.parametrize(
    ("pieces", "body"),
    [
        ([OK + b"content-length: 0\r\n\r\n"], b""),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], b""),
        ([CHUNKED, b"2\r\nhe\r\n", b"3\r\nllo\r\n", b"0\r\n\r\n"], b"hello"),
        ([CHUNKED + b"5;x=y\r\nhello\r\n0\r\ntrailer: 1\r\n\r\n"], b"hello"),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\n", HELLO], b"hello"),
    ],
)
async def test_every_delimited_body_is_read_and_its_connection_kept(
    pieces: list[bytes], body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.wire.client.RESTS", 0.0)
    async with pool_to(say(*pieces)) as (pool, to):
        assert await ask(pool, to) == body
        assert await relayed(pool, to) == body
        response = await pool.send(to, GET, PATIENT)
        assert response.delimited
        assert b"trailer" not in response.headers
        assert b"link" not in response.headers
        await response.read()
        assert pool.status() == {to: (0, 1)}


@pytest.mark.parametrize("head", [OK + b"\r\n", b"HTTP/1.0 200 OK\r\n\r\n"])
async def test_a_body_that_only_the_closing_connection_ends_is_marked(head: bytes) -> None:
    async with pool_to(say(head, b"hel", b"lo", then=close)) as (pool, to):
        response = await pool.send(to, GET, PATIENT)
        assert not response.delimited
        assert await response.read() == b"hello"
        assert await relayed(pool, to) == b"hello"


async def test_an_answer_to_head_has_no_body() -> None:
    async with pool_to(say(OK + b"content-length: 5\r\n\r\n")) as (pool, to):
        response = await pool.send(to, GET.replace(b"GET", b"HEAD"), PATIENT, method_is_head=True)
        assert response.headers == {b"content-length": b"5"}
        assert await response.read() == b""


@pytest.mark.parametrize("end", [close, reset])
@pytest.mark.parametrize(
    "pieces",
    [
        [OK + b"content-length: 6\r\n\r\nhello"],
        [OK + b"content-length: 6\r\n\r\n"],
        [CHUNKED],
        [CHUNKED, b"5\r\nhel"],
        [CHUNKED, b"5\r\nhello\r\n"],
        [CHUNKED, b"5\r\nhello\r\n0\r\n"],
    ],
)
async def test_a_body_that_is_cut_is_never_taken_for_whole(
    pieces: list[bytes], end: Callable[[asyncio.StreamWriter], None]
) -> None:
    async with pool_to(say(*pieces, then=end)) as (pool, to):
        with pytest.raises(Broke):
            await ask(pool, to)
        with pytest.raises(Broke):
            await relayed(pool, to)


async def test_a_reset_of_a_body_without_length_is_no_end() -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK + b"\r\nhello")
        await seen.wait()
        reset(writer)

    seen = asyncio.Event()
    async with pool_to(play) as (pool, to):
        response = await pool.send(to, GET, PATIENT)
        seen.set()
        with pytest.raises(Broke):
            await response.read()


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        OK + b"content-length: x\r\n\r\n",
        OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\nxx",
        OK + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        OK + b"x: " + b"a" * 300_000,
        CHUNKED + b"xyz\r\n",
        CHUNKED + b"5\r\nhello\r\n0\r\nx: " + b"a" * 600_000,
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    ],
)
async def test_an_answer_that_breaks_http_is_garbled(answer: bytes) -> None:
    async with pool_to(say(answer)) as (pool, to):
        with pytest.raises(Garbled):
            await ask(pool, to)
        await until(lambda: pool.status().get(to) in {None, (0, 0)})


async def test_a_body_beyond_the_limit_is_refused() -> None:
    async with pool_to(say(OK + b"content-length: 3000000\r\n\r\n" + b"x" * 3_000_000)) as (pool, to):
        response = await pool.send(to, GET, PATIENT)
        with pytest.raises(Garbled, match="larger than 1000000 bytes"):
            await response.read(1_000_000)
        assert len(await ask(pool, to)) == 3_000_000


async def test_a_body_that_nobody_reads_is_not_taken_in() -> None:
    full = asyncio.Event()

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK + b"content-length: 50000000\r\n\r\n")
        sent = 0
        while sent < 50_000_000:
            writer.write(b"x" * 500_000)
            sent += 500_000
            full.set()
            await writer.drain()

    async with pool_to(flood) as (pool, to):
        response = await pool.send(to, GET, PATIENT)
        await until(lambda: response._full)
        assert response._size < 2_000_000
        assert len(await response.read()) == 50_000_000


async def test_an_answer_that_is_given_up_closes_its_connection_and_a_whole_one_keeps_it() -> None:
    async with pool_to(say(CHUNKED + b"2\r\nhe\r\n")) as (pool, to):
        response = await pool.send(to, GET, PATIENT)
        response.close()
        with pytest.raises(Broke, match="given up"):
            await response.read()
    async with pool_to(say(HELLO)) as (pool, to):
        response = await pool.send(to, GET, PATIENT)
        assert await response.read() == b"hello"
        response.close()
        assert pool.status() == {to: (0, 1)}


async def test_the_sink_gets_each_read_at_once_and_what_it_raises_ends_the_relay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trunkline.wire.client.RESTS", 0.0)
    got: list[bytes] = []
    step = asyncio.Event()

    async def pieces(request: Request, reply: Reply) -> None:
        reply.start(200, b"")
        for piece in (b"a", b"b", b"c"):
            reply.write(piece)
            reply.write(piece)
            await step.wait()
            step.clear()
        reply.end()

    def sink(data: bytes) -> None:
        got.append(data)
        step.set()
        if data == b"cc" and request == 1:
            raise LookupError("enough")

    async with serving(pieces) as server, asyncio.timeout(WITHIN):
        pool = Pool()
        to = origin(server.port)
        request = 0
        await (await pool.send(to, GET, PATIENT)).relay(sink)
        assert got == [b"aa", b"bb", b"cc"]
        request = 1
        with pytest.raises(LookupError, match="enough"):
            await (await pool.send(to, GET, PATIENT)).relay(sink)
        await until(lambda: not server.connections)
        await pool.close()


async def test_a_paused_answer_is_not_read_nor_timed_until_it_is_resumed() -> None:
    got = 0
    paused = asyncio.Event()
    size = 20_000_000

    def sink(data: bytes) -> None:
        nonlocal got
        got += len(data)
        if not paused.is_set():
            response.pause()
            paused.set()

    async with pool_to(say(OK + b"content-length: %d\r\n\r\n" % size, b"x" * size)) as (pool, to):
        async with asyncio.timeout(WITHIN):
            response = await pool.send(to, GET, PATIENT)
            relaying = asyncio.create_task(response.relay(sink))
            await paused.wait()
            before = got
            (link,) = pool._links
            assert link.deadline == math.inf
            for _ in range(20):
                await asyncio.sleep(0)
            assert got == before < size
            response.resume()
            await relaying
        assert got == size


async def test_a_fault_that_nobody_waits_for_leaves_no_noise(caplog: pytest.LogCaptureFixture) -> None:
    async with pool_to(say(CHUNKED + b"xyz\r\n")) as (pool, to):
        response = await pool.send(to, GET, PATIENT)
        del response
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
