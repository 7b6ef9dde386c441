from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import socket
import struct
from collections.abc import AsyncIterator, Callable

import pytest
from tests.wire.raw import WITHIN, Script, read_request, serving, until, upstream

from trunkline.errors import Broke, Garbled, Slow, Unreachable
from trunkline.wire.client import Origin, Pool, Times
from trunkline.wire.server import Reply, Request

GET = b"GET /v1 HTTP/1.1\r\nhost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
HELLO = OK + b"content-length: 5\r\n\r\nhello"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
PATIENT = Times(connect=WITHIN, first_byte=WITHIN, between=WITHIN, total=WITHIN)


def origin(port: int) -> Origin:
    return Origin("127.0.0.1", port, tls=False)


@contextlib.asynccontextmanager
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


async def test_requests_share_a_kept_connection() -> None:
    connections = 0

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await say(HELLO)(reader, writer)

    async with pool_to(count) as (pool, to):
        for _ in range(3):
            response = await pool.send(to, GET, PATIENT)
            assert (response.status, response.headers, response.delimited) == (200, {b"content-length": b"5"}, True)
            assert await response.read() == b"hello"
            assert pool.status() == {to: (0, 1)}
    assert connections == 1


async def test_the_connection_used_last_is_used_first() -> None:
    async def name(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = b"%05d" % writer.get_extra_info("peername")[1]
        await say(OK + b"content-length: 5\r\n\r\n" + port)(reader, writer)

    async with pool_to(name) as (pool, to):
        first, second = await asyncio.gather(ask(pool, to), ask(pool, to))
        assert first != second
        assert pool.status() == {to: (0, 2)}
        assert len({await ask(pool, to) for _ in range(5)}) == 1


@pytest.mark.parametrize("end", [close, reset])
async def test_a_kept_connection_that_closes_before_any_byte_is_replaced_once_unseen(
    end: Callable[[asyncio.StreamWriter], None],
) -> None:
    served = 0

    async def close_at_second(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        await read_request(reader)
        served += 1
        writer.write(HELLO)
        await read_request(reader)
        end(writer)

    async with pool_to(close_at_second) as (pool, to):
        for _ in range(3):
            assert await ask(pool, to) == b"hello"
    assert served == 3


async def test_a_fresh_connection_that_closes_before_any_byte_is_not_replaced() -> None:
    asked = 0

    async def close_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await read_request(reader)
        asked += 1

    async with pool_to(close_at_once) as (pool, to):
        with pytest.raises(Broke, match="before it answered") as caught:
            await ask(pool, to)
    assert caught.value.sent
    assert asked == 1


async def test_a_kept_connection_that_breaks_within_the_head_is_not_replaced() -> None:
    async def break_at_second(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(HELLO)
        await read_request(reader)
        writer.write(b"HTTP/1.1 2")

    async with pool_to(break_at_second) as (pool, to):
        await ask(pool, to)
        with pytest.raises(Broke):
            await ask(pool, to)


async def test_a_request_that_went_out_on_a_stale_connection_is_never_called_unsent() -> None:
    async def die_at_second(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(HELLO)
        await read_request(reader)
        server.close()
        writer.close()

    server = await asyncio.start_server(die_at_second, "127.0.0.1", 0)
    to = origin(server.sockets[0].getsockname()[1])
    pool = Pool()
    assert await ask(pool, to) == b"hello"
    with pytest.raises(Broke, match="no other could be made") as caught:
        await ask(pool, to)
    assert caught.value.sent
    await pool.close()


async def test_an_idle_connection_that_the_upstream_closes_leaves_the_pool() -> None:
    async with pool_to(say(HELLO, then=close)) as (pool, to):
        await ask(pool, to)
        await until(lambda: pool.status().get(to) in {None, (0, 0)})


async def test_an_idle_connection_closes_after_its_time() -> None:
    async with pool_to(say(HELLO), idle=0.05) as (pool, to):
        await ask(pool, to)
        await until(lambda: not pool.status())


async def test_no_more_connections_are_kept_than_allowed() -> None:
    async with pool_to(say(HELLO), per_origin_idle=1) as (pool, to):
        await asyncio.gather(*(ask(pool, to) for _ in range(3)))
        await until(lambda: pool.status() == {to: (0, 1)})


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
async def test_every_delimited_body_is_read_and_its_connection_kept(pieces: list[bytes], body: bytes) -> None:
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


@pytest.mark.parametrize("surplus", [b"more", HELLO])
async def test_a_connection_that_brings_more_than_its_answer_is_not_kept(surplus: bytes) -> None:
    async with pool_to(say(HELLO + surplus)) as (pool, to):
        for _ in range(2):
            assert await ask(pool, to) == b"hello"
            assert pool.status()[to][1] == 0


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


@pytest.mark.parametrize(
    ("pieces", "times", "phase"),
    [
        ([], Times(WITHIN, 0.05, WITHIN, WITHIN), "begin to answer"),
        ([b"HTTP/1.1 200"], Times(WITHIN, 0.05, WITHIN, WITHIN), "begin to answer"),
        ([CHUNKED], Times(WITHIN, WITHIN, 0.05, WITHIN), r"stopped sending for more than 0\.05 seconds"),
        ([CHUNKED, b"2\r\nhe\r\n"], Times(WITHIN, WITHIN, 0.05, WITHIN), "stopped sending"),
        ([CHUNKED, b"2\r\nhe\r\n"], Times(WITHIN, WITHIN, WITHIN, 0.05), "total"),
        ([], Times(WITHIN, WITHIN, WITHIN, 0.05), "total"),
    ],
)
async def test_every_phase_has_its_time(pieces: list[bytes], times: Times, phase: str) -> None:
    ended = asyncio.Event()

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for piece in pieces:
            writer.write(piece)
        assert await reader.read() == b""
        ended.set()

    async with pool_to(stall) as (pool, to):
        with pytest.raises(Slow, match=phase) as caught:
            await ask(pool, to, times)
        assert caught.value.sent
        async with asyncio.timeout(WITHIN):
            await ended.wait()


async def test_the_time_to_connect_is_bounded_and_nothing_counts_as_sent() -> None:
    # A listener with a full queue answers no further connection.
    with socket.socket() as listener, contextlib.ExitStack() as held:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for _ in range(4):
            filler = held.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(("127.0.0.1", port))
        pool = Pool()
        with pytest.raises(Slow, match="connected to in time") as caught:
            await pool.send(origin(port), GET, Times(0.05, WITHIN, WITHIN, WITHIN))
        assert not caught.value.sent
        assert pool.status() == {origin(port): (0, 0)}
        await pool.close()


async def test_a_refused_connection_is_unreachable_and_the_address_is_for_the_inside() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        pool = Pool()
        with pytest.raises(Unreachable, match="refused the connection") as caught:
            await ask(pool, origin(port))
        assert str(port) not in str(caught.value)
        assert str(port) in caught.value.inside
        assert not caught.value.sent
        await pool.close()


async def test_a_host_without_address_is_unreachable() -> None:
    pool = Pool()
    with pytest.raises(Unreachable):
        await ask(pool, Origin("nowhere.invalid", 80, tls=False))
    await pool.close()


@pytest.mark.parametrize("begin", [b"", CHUNKED, CHUNKED + b"2\r\nhe\r\n"])
@pytest.mark.parametrize("way", ["read", "relay"])
async def test_cancelling_closes_the_upstream_connection_at_once(begin: bytes, way: str) -> None:
    asked, ended = asyncio.Event(), asyncio.Event()

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(begin)
        asked.set()
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        ended.set()

    async with pool_to(stall) as (pool, to), asyncio.timeout(WITHIN):
        task = asyncio.create_task(ask(pool, to) if way == "read" else relayed(pool, to))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await ended.wait()
        await until(lambda: pool.status().get(to) in {None, (0, 0)})


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


async def test_the_sink_gets_each_read_at_once_and_what_it_raises_ends_the_relay() -> None:
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


async def test_closing_the_pool_breaks_what_is_under_way_and_refuses_the_rest() -> None:
    asked = asyncio.Event()

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        asked.set()
        await reader.read()

    async with pool_to(stall) as (pool, to):
        task = asyncio.create_task(ask(pool, to))
        await asked.wait()
        await pool.close()
        with pytest.raises(Broke):
            await task
        with pytest.raises(Unreachable):
            await ask(pool, to)


async def test_a_fault_that_nobody_waits_for_leaves_no_noise(caplog: pytest.LogCaptureFixture) -> None:
    async with pool_to(say(CHUNKED + b"xyz\r\n")) as (pool, to):
        response = await pool.send(to, GET, PATIENT)
        del response
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
