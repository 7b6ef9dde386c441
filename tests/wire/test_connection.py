from __future__ import annotations

import asyncio

import pytest
from tests.wire.raw import WITHIN, Dial, dialled, echo, serving, until
from tests.wire.stage import Transport

from trunkline.wire.connection import Connection
from trunkline.wire.hall import Hall
from trunkline.wire.server import Limits, Reply, Request

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def post(body: bytes, *lines: bytes) -> bytes:
    extra = b"".join(line + b"\r\n" for line in lines)
    return b"POST /p HTTP/1.1\r\nHost: a\r\n%bContent-Length: %d\r\n\r\n%b" % (extra, len(body), body)


async def test_answers_to_pipelined_requests_come_in_order_one_at_a_time() -> None:
    running = 0

    async def slow_first(request: Request, reply: Reply) -> None:
        nonlocal running
        running += 1
        assert running == 1
        for _ in range(5 - int(request.path[1:])):
            await asyncio.sleep(0)
        running -= 1
        reply.send(200, b"", request.path.encode())

    async with dialled(slow_first) as dial:
        dial.write(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in range(5)))
        assert [(await dial.answer()).body for _ in range(5)] == [b"/%d" % n for n in range(5)]


async def test_a_request_that_comes_while_another_is_answered_waits_its_turn() -> None:
    turn = asyncio.Event()

    async def wait_at_first(request: Request, reply: Reply) -> None:
        if request.path == "/":
            await turn.wait()
        reply.send(200, b"", request.path.encode())

    async with serving(wait_at_first) as server:
        dial, other = await Dial.to(server.port), await Dial.to(server.port)
        dial.write(GET)
        other.write(b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n")
        await other.answer()
        dial.write(post(b"x")[:-1])
        other.write(b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n")
        await other.answer()
        turn.set()
        assert (await dial.answer()).body == b"/"
        dial.write(b"x")
        assert (await dial.answer()).body == b"/p"
        await dial.close()
        await other.close()


async def test_a_flood_of_pipelined_requests_is_bounded_and_those_taken_are_answered() -> None:
    async with dialled(echo, Limits(pipeline=4)) as dial:
        dial.write(GET * 1000)
        got = await dial.rest()
    assert 1 <= got.count(b"HTTP/1.1 200 OK") <= 5
    assert got.count(b"connection: close") == 1


@pytest.mark.parametrize("begun", [False, True])
async def test_a_client_that_leaves_cancels_the_handler(begun: bool) -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def wait(request: Request, reply: Reply) -> None:
        if begun:
            reply.start(200, b"")
            reply.write(b"x")
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with serving(wait) as server:
        dial = await Dial.to(server.port)
        dial.write(GET)
        async with asyncio.timeout(WITHIN):
            await started.wait()
            await dial.close()
            await cancelled.wait()
            await until(lambda: not server.connections)


async def test_a_handler_that_has_answered_may_finish_after_the_client_left() -> None:
    left, finished = asyncio.Event(), asyncio.Event()

    async def linger(request: Request, reply: Reply) -> None:
        reply.send(200, b"", b"")
        await left.wait()
        finished.set()

    async with serving(linger) as server:
        dial = await Dial.to(server.port)
        dial.write(GET)
        await dial.answer()
        await dial.close()
        async with asyncio.timeout(WITHIN):
            await until(lambda: not server.connections)
            left.set()
            await finished.wait()


async def test_a_slow_reader_pauses_the_producer_and_memory_stays_bounded() -> None:
    paused, resumed, cut_off = asyncio.Event(), asyncio.Event(), asyncio.Event()
    piece = b"x" * 65536
    written = 0

    async def produce(request: Request, reply: Reply) -> None:
        nonlocal written
        reply.watch(paused.set, resumed.set)
        reply.start(200, b"")
        while not reply.congested:
            reply.write(piece)
            written += len(piece)
            await asyncio.sleep(0)
        await reply.drained()
        assert not reply.congested
        reply.end()
        cut_off.set()

    async with serving(produce) as server:
        dial = await Dial.to(server.port)
        dial.write(GET)
        async with asyncio.timeout(WITHIN):
            await paused.wait()
            assert written < 32 * 1024 * 1024
            assert not resumed.is_set()
            assert not cut_off.is_set()
            assert len((await dial.answer()).body) == written
            assert resumed.is_set()
        await dial.close()


async def test_an_answer_that_nobody_reads_ends_in_a_cancelled_handler() -> None:
    cancelled = asyncio.Event()

    async def produce(request: Request, reply: Reply) -> None:
        reply.start(200, b"")
        try:
            while True:
                reply.write(b"x" * 65536)
                await reply.drained()
                await asyncio.sleep(0)
        finally:
            cancelled.set()

    async with serving(produce, Limits(stall_time=0.1)) as server:
        dial = await Dial.to(server.port)
        dial.writer.transport.pause_reading()  # type: ignore[attr-defined]
        dial.write(GET)
        async with asyncio.timeout(WITHIN):
            await cancelled.wait()
            await until(lambda: not server.connections)
        await dial.close()


async def test_a_client_that_reads_slowly_goes_on_for_as_long_as_it_reads() -> None:
    limits = Limits()
    connection, transport = Connection(Hall(echo, limits, asyncio.get_running_loop())), Transport()
    connection.connection_made(transport)
    transport.unsent = 3 * limits.write_buffer
    connection.pause_writing()
    for left in (2, 1):
        transport.unsent = left * limits.write_buffer
        connection.expire()
        assert not transport.ended
        assert connection.expires > asyncio.get_running_loop().time() + limits.stall_time / 2
    transport.unsent -= 1
    connection.expire()
    assert transport.ended


async def test_requests_of_a_client_that_reads_no_answers_stop_being_taken() -> None:
    answered = 0

    async def large(request: Request, reply: Reply) -> None:
        nonlocal answered
        answered += 1
        reply.send(200, b"", b"x" * 1_000_000)

    async with serving(large, Limits(stall_time=0.3)) as server:
        dial = await Dial.to(server.port)
        dial.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(200):
            dial.write(GET)
            await asyncio.sleep(0)
        await until(lambda: not server.connections)
        await dial.close()
    assert answered < 40


@pytest.mark.parametrize(
    ("limits", "sent", "status"),
    [
        (Limits(header_time=0.05), b"GET / HTTP/1.1\r\nHost: a", 408),
        (Limits(body_time=0.05), post(b"12345")[:-1], 408),
        (Limits(idle_time=0.05), b"", None),
        (Limits(idle_time=0.05), GET, 200),
    ],
)
async def test_a_silent_client_is_closed(limits: Limits, sent: bytes, status: int | None) -> None:
    async with dialled(echo, limits) as dial:
        dial.write(sent)
        if status is not None:
            assert (await dial.answer()).status == status
        assert await dial.rest() == b""


async def test_the_time_for_a_head_is_not_extended_by_dripping_it() -> None:
    async with dialled(echo, Limits(header_time=0.1)) as dial:
        dial.write(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        answer = asyncio.create_task(dial.answer())
        while not answer.done():
            dial.write(b"x")
            await asyncio.sleep(0.01)
        assert (await answer).status == 408
