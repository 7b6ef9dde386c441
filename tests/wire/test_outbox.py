from __future__ import annotations

import asyncio

import pytest
from tests.wire.raw import GET, HELLO, dialled
from tests.wire.stage import Stage, Transport

from trunkline.wire.connection import Connection
from trunkline.wire.outbox import Outbox
from trunkline.wire.server import Limits, Reply, Request


@pytest.fixture
def order() -> list[str]:
    return []


class Noted(Transport):
    def __init__(self, name: str, order: list[str]) -> None:
        super().__init__()
        self._name = name
        self._order = order

    def write(self, data: bytes | bytearray | memoryview) -> None:
        super().write(data)
        self._order.append(self._name)


def outbox_of(order: list[str], busy: int) -> Outbox:
    outbox = Outbox()
    outbox.before = lambda: order.append("before")
    outbox.busy = busy
    return outbox


def test_what_is_alone_leaves_at_once(order: list[str]) -> None:
    outbox = outbox_of(order, busy=1)
    outbox.put(Noted("one", order), b"x")
    assert not outbox.rouse()
    assert order == ["one"]


async def test_what_several_have_to_write_leaves_in_order_at_the_end_of_the_turn(order: list[str]) -> None:
    outbox = outbox_of(order, busy=2)
    one, two = Noted("one", order), Noted("two", order)
    outbox.put(one, b"a")
    outbox.put(two, b"b")
    outbox.put(one, b"c")
    assert order == []
    await asyncio.sleep(0)
    assert order == ["before", "one", "two", "one"]
    assert one.written == b"ac"
    await asyncio.sleep(0)
    assert order == ["before", "one", "two", "one"]


async def test_what_waits_goes_before_what_leaves_at_once(order: list[str]) -> None:
    outbox = outbox_of(order, busy=2)
    one = Noted("one", order)
    outbox.put(one, b"a")
    outbox.busy = 1
    outbox.put(one, b"b")
    assert (one.written, order) == (b"ab", ["before", "one", "one"])


async def test_a_peer_that_left_meanwhile_keeps_nobody_from_being_written_to(order: list[str]) -> None:
    outbox = outbox_of(order, busy=2)
    gone, here = Noted("gone", order), Noted("here", order)
    outbox.put(gone, b"a")
    outbox.put(here, b"b")
    gone.abort()
    await asyncio.sleep(0)
    assert order == ["before", "here"]


@pytest.mark.parametrize("last", [b"GET / HTTP/1.0\r\nhost: a\r\n\r\n", b"BAD\r\n\r\n"])
async def test_answers_that_wait_leave_before_the_connection_closes(last: bytes) -> None:
    async def hello(_: Request, reply: Reply) -> None:
        await asyncio.sleep(0)
        reply.send(200, b"", HELLO)

    async with dialled(hello) as one, dialled(hello) as other:
        for _ in range(20):
            other.write(GET)
        one.write(3 * GET + last)
        got = await one.rest()
        assert got.count(HELLO) == 3 + last.startswith(b"GET")


async def test_a_client_that_leaves_before_its_request_is_begun_does_not_count_as_busy() -> None:
    async def hello(_: Request, reply: Reply) -> None:
        reply.send(200, b"", HELLO)

    hall = Stage(hello, Limits()).hall
    connection = Connection(hall)
    connection.connection_made(Transport())
    connection.data_received(GET)
    connection.connection_lost(None)
    for _ in range(3):
        await asyncio.sleep(0)
    assert hall.outbox.busy == 0
