"""What all clients of a server may have together."""

from __future__ import annotations

import asyncio

import pytest
from tests.wire.raw import GET, WITHIN, Dial, echo, serving, until

from trunkline.wire.server import Limits, Reply, Request


async def refused(port: int) -> bytes:
    dial = await Dial.to(port)
    answer = await dial.answer()
    assert (answer.status, answer.headers[b"retry-after"], answer.headers[b"connection"]) == (503, b"1", b"close")
    assert await dial.rest() == b""
    await dial.close()
    return answer.body


@pytest.mark.parametrize("limits", [Limits(connections=3), Limits(connections_per_address=3)])
async def test_one_connection_too_many_is_told_so_and_a_place_that_is_left_is_taken(limits: Limits) -> None:
    async with serving(echo, limits) as server:
        dials = [await Dial.to(server.port) for _ in range(3)]
        for dial in dials:
            dial.write(GET)
            assert (await dial.answer()).status == 200
        assert b'"code":"overloaded"' in await refused(server.port)
        await dials.pop().close()
        await until(lambda: server.connections == 2)
        dials.append(await Dial.to(server.port))
        dials[-1].write(GET)
        assert (await dials[-1].answer()).status == 200
        for dial in dials:
            dial.write(GET)
            assert (await dial.answer()).status == 200
            await dial.close()


async def test_a_flood_of_connections_is_cut_off_and_forgotten() -> None:
    async with serving(echo, Limits(connections=2)) as server:
        kept = [await Dial.to(server.port) for _ in range(2)]
        flood = [await Dial.to(server.port) for _ in range(200)]
        await until(lambda: server.connections <= 2 + 64)
        for dial in flood:
            await dial.close()
        await until(lambda: server.connections == 2)
        for dial in kept:
            dial.write(GET)
            assert (await dial.answer()).status == 200
            await dial.close()
        await until(lambda: not server._hall._by_address)


async def test_bodies_beyond_what_all_may_have_are_refused_until_there_is_room() -> None:
    turn = asyncio.Event()
    entered = asyncio.Semaphore(0)

    async def wait(request: Request, reply: Reply) -> None:
        entered.release()
        await turn.wait()
        reply.send(200, b"", b"%d" % len(request.body))

    def post(size: int) -> bytes:
        return b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (size, b"x" * size)

    async with serving(wait, Limits(bodies=1000)) as server:
        busy, reading = await Dial.to(server.port), await Dial.to(server.port)
        busy.write(post(600))
        reading.write(post(300)[:-1])
        async with asyncio.timeout(WITHIN):
            await entered.acquire()
        await until(lambda: server._hall.bodies.held == 899)
        third = await Dial.to(server.port)
        third.write(post(200))
        answer = await third.answer()
        assert (answer.status, answer.headers[b"retry-after"]) == (503, b"1")
        assert b'"code":"overloaded"' in answer.body
        await third.close()
        turn.set()
        assert (await busy.answer()).body == b"600"
        reading.write(b"x")
        assert (await reading.answer()).body == b"300"
        fourth = await Dial.to(server.port)
        fourth.write(post(900))
        assert (await fourth.answer()).body == b"900"
        await reading.close()
        busy.write(post(100) + post(100)[:-50])
        assert (await busy.answer()).body == b"100"
        await busy.close()
        await fourth.close()
        await until(lambda: server._hall.bodies.held == 0)


async def test_what_a_busy_client_sends_ahead_counts_too() -> None:
    entered, turn = asyncio.Event(), asyncio.Event()

    async def wait(request: Request, reply: Reply) -> None:
        entered.set()
        await turn.wait()
        reply.send(200, b"", b"")

    async with serving(wait, Limits(bodies=100_000)) as server:
        dial = await Dial.to(server.port)
        dial.write(GET)
        async with asyncio.timeout(WITHIN):
            await entered.wait()
        dial.write(GET * 2_000)
        await until(lambda: server._hall.bodies.held > 0)
        turn.set()
        assert (await dial.answer()).status == 200
        await dial.close()
        await until(lambda: server._hall.bodies.held == 0)


@pytest.mark.parametrize(("open_files", "connections"), [(1024, 448), (100, 1), (10**6, 16_384)])
def test_fewer_connections_are_taken_where_fewer_files_may_be_open(open_files: int, connections: int) -> None:
    limits = Limits().within(open_files)
    assert limits.connections == connections
    assert limits.connections_per_address <= connections
