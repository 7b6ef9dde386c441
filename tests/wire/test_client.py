from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

import pytest
import uvloop
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
    until,
)

from trunkline.errors import Broke, Slow, Unreachable
from trunkline.wire.client import Origin, Pool, Times
from trunkline.wire.link import Link

CLOSE_WAIT = 8


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


@pytest.mark.parametrize("host", ["models..example", ".example", "m" * 64 + ".example"])
async def test_a_name_that_dns_cannot_have_is_an_upstream_that_cannot_be_reached(host: str) -> None:
    pool = Pool()
    with pytest.raises(Unreachable, match="host name has no address"):
        await pool.send(Origin(host, 80, False), GET, PATIENT)
    await pool.close()


async def test_a_caller_that_leaves_in_the_moment_of_connecting_leaves_no_connection_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with pool_to(say(HELLO)) as (pool, to):
        sending = asyncio.create_task(pool.send(to, GET, PATIENT))
        watch = pool.watch

        def leave(link: Link) -> None:
            watch(link)
            sending.cancel()

        monkeypatch.setattr(pool, "watch", leave)
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert pool.status() == {to: (0, 0)}
        async with asyncio.timeout(WITHIN):
            await pool.close()


async def test_a_body_given_by_itself_follows_its_head() -> None:
    body = b"x" * 300_000
    got: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            head = await reader.readuntil(b"\r\n\r\n")
            got.append(head + await reader.readexactly(len(body)))
            writer.write(OK + b"content-length: 0\r\n\r\n")

    head = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % len(body)
    async with pool_to(take) as (pool, to):
        for _ in range(2):
            assert await (await pool.send(to, head, PATIENT, body=body)).read() == b""
    assert got == [head + body] * 2


async def test_the_connection_used_last_is_used_first() -> None:
    async def name(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = b"%05d" % writer.get_extra_info("peername")[1]
        await say(OK + b"content-length: 5\r\n\r\n" + port)(reader, writer)

    async with pool_to(name) as (pool, to):
        first, second = await asyncio.gather(ask(pool, to), ask(pool, to))
        assert first != second
        assert pool.status() == {to: (0, 2)}
        assert len({await ask(pool, to) for _ in range(5)}) == 1


@pytest.mark.parametrize(
    ("said", "connections"),
    [
        (b"timeout=0", 3),
        (b"max=9, Timeout = 0", 3),
        (b"timeout=60, max=100", 1),
        (b"timeout=9999999999999", 1),
        (b"timeout=-1", 1),
        (b"timeout=", 1),
        (b"max=5", 1),
        (b"", 1),
    ],
)
async def test_a_connection_is_not_used_any_more_when_the_upstream_says_that_it_closes_it(
    said: bytes, connections: int
) -> None:
    ports: set[int] = set()

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ports.add(writer.get_extra_info("peername")[1])
        await say(OK + b"keep-alive: " + said + b"\r\ncontent-length: 0\r\n\r\n")(reader, writer)

    async with pool_to(note) as (pool, to):
        for _ in range(3):
            assert await ask(pool, to) == b""
        assert len(ports) == connections
        await until(lambda: pool.status().get(to, (0, 0))[0] == 0)


async def test_a_connection_that_the_upstream_closes_behind_a_stream_without_a_word_costs_no_call() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(CHUNKED + b"5\r\nhello\r\n0\r\n\r\n")
        with contextlib.suppress(asyncio.IncompleteReadError):
            await read_request(reader)
        writer.close()

    async with pool_to(hang_up) as (pool, to):
        assert [await ask(pool, to) for _ in range(3)] == [b"hello"] * 3


async def test_a_connection_that_brought_a_stream_is_used_again_when_it_has_rested(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ports: set[int] = set()

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ports.add(writer.get_extra_info("peername")[1])
        await say(CHUNKED + b"5\r\nhello\r\n0\r\n\r\n")(reader, writer)

    monkeypatch.setattr("trunkline.wire.client.RESTS", 0.0)
    async with pool_to(note) as (pool, to):
        assert [await ask(pool, to) for _ in range(3)] == [b"hello"] * 3
        assert pool.status() == {to: (0, 1)}
    assert len(ports) == 1


@pytest.mark.parametrize(("said", "lasts"), [(b"timeout=5, max=100", 4.0), (b"timeout=1", 0.5)])
async def test_a_kept_connection_is_left_some_time_before_the_upstream_closes_it(said: bytes, lasts: float) -> None:
    async with pool_to(say(OK + b"keep-alive: " + said + b"\r\ncontent-length: 0\r\n\r\n")) as (pool, to):
        assert await ask(pool, to) == b""
        (link,) = pool._lanes[to].idle
        assert link.lasts == lasts
        assert link.deadline <= asyncio.get_running_loop().time() + lasts


async def test_a_kept_connection_that_had_been_closed_before_the_request_came_is_replaced_unseen() -> None:
    served = 0

    async def close_behind(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        await read_request(reader)
        served += 1
        writer.write(HELLO)
        await hang_up.wait()

    hang_up = asyncio.Event()
    async with pool_to(close_behind) as (pool, to):
        assert await ask(pool, to) == b"hello"
        (link,) = pool._links
        link.transport.pause_reading()  # The news of the end is on its way, and the next request is faster.
        hang_up.set()
        sock = link.transport.get_extra_info("socket")
        await until(lambda: sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == CLOSE_WAIT)
        asking = asyncio.create_task(ask(pool, to))
        await asyncio.sleep(0)
        link.transport.resume_reading()
        assert await asking == b"hello"
    assert served == 2


@pytest.mark.parametrize("end", [close, reset])
async def test_a_kept_connection_whose_upstream_may_have_read_the_request_is_not_replaced(
    end: Callable[[asyncio.StreamWriter], None],
) -> None:
    asked = 0

    async def close_at_second(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await read_request(reader)
        asked += 1
        writer.write(HELLO)
        await read_request(reader)
        asked += 1
        end(writer)

    async with pool_to(close_at_second) as (pool, to):
        assert await ask(pool, to) == b"hello"
        with pytest.raises(Broke, match="before it answered") as caught:
            await ask(pool, to)
    assert caught.value.sent
    assert asked == 2


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


@pytest.mark.parametrize("surplus", [b"more", HELLO])
async def test_a_connection_that_brings_more_than_its_answer_is_not_kept(surplus: bytes) -> None:
    async with pool_to(say(HELLO + surplus)) as (pool, to):
        for _ in range(2):
            assert await ask(pool, to) == b"hello"
            assert pool.status()[to][1] == 0


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


async def test_a_name_is_looked_up_for_each_connection_so_that_one_that_is_found_again_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    if isinstance(loop, uvloop.Loop):
        pytest.skip("uvloop looks names up where no test can stand between")
    find, known = loop.getaddrinfo, [False]

    async def look_up(host: str, port: int, **more: int) -> object:
        if not known[0]:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return await find("127.0.0.1", port, **more)

    monkeypatch.setattr(loop, "getaddrinfo", look_up)
    async with pool_to(say(HELLO)) as (pool, to):
        there = Origin("provider.invalid", to.port, tls=False)
        for known[0], right in ((False, False), (True, True)):
            if right:
                assert await ask(pool, there) == b"hello"
            else:
                with pytest.raises(Unreachable):
                    await ask(pool, there)


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
