from __future__ import annotations

import asyncio
import logging
import socket

import pytest
from tests.wire.raw import WITHIN, Dial, dialled, echo, serving

from trunkline.errors import Unstartable
from trunkline.wire.server import Limits, Reply, Request, Server

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def post(body: bytes, *lines: bytes) -> bytes:
    extra = b"".join(line + b"\r\n" for line in lines)
    return b"POST /p HTTP/1.1\r\nHost: a\r\n%bContent-Length: %d\r\n\r\n%b" % (extra, len(body), body)


async def test_a_request_arrives_whole_however_it_is_cut() -> None:
    seen: list[Request] = []

    async def keep(request: Request, reply: Reply) -> None:
        seen.append(request)
        reply.send(200, b"", b"")

    async with dialled(keep) as dial:
        request = b"POST /a%20b?x=1?y HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a:  2  \r\nContent-Length: 5\r\n\r\nhello"
        for byte in request:
            dial.write(bytes((byte,)))
            await dial.writer.drain()
        assert (await dial.answer()).status == 200
        dial.write(request)
        await dial.answer()
    for got in seen:
        assert (got.method, got.path, got.query, got.peer.address) == ("POST", "/a%20b", "x=1?y", "127.0.0.1")
        assert got.headers == {b"host": b"h", b"x-a": b"1, 2", b"content-length": b"5"}
        assert got.body == b"hello"
    assert len(seen) == 2


async def test_a_connection_is_kept_and_closed_as_the_client_says() -> None:
    async with dialled(echo) as dial:
        for body in (b"1", b"", b"3"):
            dial.write(post(body))
            answer = await dial.answer()
            assert answer.body == body
            assert b"connection" not in answer.headers
        dial.write(post(b"4", b"Connection: close"))
        assert (await dial.answer()).headers[b"connection"] == b"close"
        assert await dial.rest() == b""


async def test_chunked_bodies_are_joined_and_trailers_dropped() -> None:
    async def show(request: Request, reply: Reply) -> None:
        reply.send(200, b"", b"%b %d" % (request.body, len(request.headers)))

    async with dialled(show) as dial:
        head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        dial.write(head + b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n" + GET)
        assert (await dial.answer()).body == b"abcde 2"
        assert (await dial.answer()).body == b" 1"


async def test_a_client_that_expects_100_gets_it_once_before_the_body() -> None:
    async with dialled(echo) as dial:
        dial.write(post(b"12345", b"Expect: 100-continue")[:-5])
        assert (await dial.answer()).status == 100
        dial.write(b"123")
        dial.write(b"45")
        assert (await dial.answer()).body == b"12345"


async def test_a_body_that_is_announced_too_large_is_refused_before_it_is_sent() -> None:
    async with dialled(echo, Limits(body=10)) as dial:
        dial.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n")
        answer = await dial.answer()
        assert answer.status == 413
        assert b'"code":"request_too_large"' in answer.body
        assert await dial.rest() == b""


async def test_a_refusal_is_read_even_by_a_client_that_goes_on_sending() -> None:
    async with dialled(echo, Limits(body=1000)) as dial:
        dial.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000)
        assert (await dial.answer()).status == 413


async def test_head_gets_the_head_and_its_length_only() -> None:
    async def both(request: Request, reply: Reply) -> None:
        if request.path == "/pieces":
            reply.start(200, b"")
            reply.write(b"never seen")
            reply.end()
        else:
            reply.send(200, b"", b"hello")

    async with dialled(both) as dial:
        dial.write(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\nHEAD /pieces HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
        assert (await dial.answer(head_only=True)).headers[b"content-length"] == b"5"
        assert (await dial.answer(head_only=True)).headers[b"transfer-encoding"] == b"chunked"
        assert (await dial.answer()).body == b"hello"


async def test_an_answer_in_pieces_is_chunked_and_the_connection_kept() -> None:
    async def pieces(request: Request, reply: Reply) -> None:
        assert not reply.started
        reply.start(200, b"content-type: text/event-stream\r\n")
        assert reply.started
        for piece in (b"one", b"", b"two"):
            reply.write(piece)
            await asyncio.sleep(0)
        reply.end()
        reply.write(b"late")

    async with dialled(pieces) as dial:
        dial.write(GET + GET)
        for _ in range(2):
            answer = await dial.answer()
            assert answer.body == b"onetwo"
            assert answer.headers[b"content-type"] == b"text/event-stream"


async def test_http_1_0_gets_an_answer_in_pieces_ended_by_the_connection() -> None:
    async def pieces(request: Request, reply: Reply) -> None:
        reply.start(200, b"")
        reply.write(b"one")
        reply.end()

    async with dialled(pieces) as dial:
        dial.write(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        answer = await dial.answer()
        assert answer.body == b"one"
        assert answer.headers[b"connection"] == b"close"


@pytest.mark.parametrize("name", [b"Connection", b"Proxy-Connection"])
async def test_http_1_0_is_kept_where_it_asks_for_it(name: bytes) -> None:
    async with dialled(echo) as dial:
        dial.write(b"GET / HTTP/1.0\r\n%b: keep-alive\r\n\r\n" % name)
        assert (await dial.answer()).headers[b"connection"] == b"keep-alive"
        dial.write(b"GET / HTTP/1.0\r\n\r\n")
        assert (await dial.answer()).headers[b"connection"] == b"close"
        assert await dial.rest() == b""


async def test_the_wish_for_another_protocol_is_ignored() -> None:
    async with dialled(echo) as dial:
        dial.write(post(b"body", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: x") + GET)
        assert (await dial.answer()).body == b"body"
        assert (await dial.answer()).status == 200


async def test_an_aborted_answer_is_seen_as_cut() -> None:
    async def cut(request: Request, reply: Reply) -> None:
        reply.start(200, b"")
        reply.write(b"one")
        reply.abort()
        reply.write(b"two")

    async with dialled(cut) as dial:
        dial.write(GET)
        assert (await dial.rest()).endswith(b"\r\n\r\n3\r\none\r\n")
    async with dialled(cut) as dial:
        dial.write(b"GET / HTTP/1.0\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            await dial.rest()


async def test_a_handler_that_fails_is_logged_and_answered_with_500(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(request: Request, reply: Reply) -> None:
        if request.path == "/silent":
            return
        if request.path == "/begun":
            reply.start(200, b"")
            reply.write(b"x")
        raise LookupError(request.path)

    with caplog.at_level(logging.ERROR, "trunkline.wire"):
        async with dialled(fail) as dial:
            dial.write(GET + b"GET /silent HTTP/1.1\r\nHost: a\r\n\r\n" + b"GET /begun HTTP/1.1\r\nHost: a\r\n\r\n")
            for _ in range(2):
                answer = await dial.answer()
                assert answer.status == 500
                assert b'"code":"internal_error"' in answer.body
            assert (await dial.rest()).endswith(b"\r\n\r\n1\r\nx\r\n")
    assert len(caplog.records) == 3
    assert "LookupError: /begun" in caplog.text


async def test_nothing_is_answered_twice() -> None:
    async def twice(request: Request, reply: Reply) -> None:
        reply.send(200, b"", b"first")
        with pytest.raises(RuntimeError):
            reply.send(200, b"", b"second")
        with pytest.raises(RuntimeError):
            reply.start(200, b"")

    async with dialled(twice) as dial:
        dial.write(GET + GET)
        assert [(await dial.answer()).body for _ in range(2)] == [b"first", b"first"]


async def test_headers_that_hold_an_empty_line_are_never_written(caplog: pytest.LogCaptureFixture) -> None:
    async def split(request: Request, reply: Reply) -> None:
        reply.send(200, b"x: 1\r\n\r\n<script>\r\n", b"")

    async with dialled(split) as dial:
        dial.write(GET)
        assert (await dial.answer()).status == 500
    assert "headers must not hold an empty line" in caplog.text


async def test_closing_lets_running_requests_finish_and_drops_idle_connections() -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def wait(request: Request, reply: Reply) -> None:
        entered.set()
        await leave.wait()
        reply.send(200, b"", b"done")

    server = await Server.start(wait)
    port = server.port
    idle, busy = await Dial.to(port), await Dial.to(port)
    busy.write(GET)
    await entered.wait()
    closing = asyncio.create_task(server.close(WITHIN))
    assert await idle.rest() == b""
    with pytest.raises(ConnectionRefusedError):
        await Dial.to(port)
    leave.set()
    answer = await busy.answer()
    assert (answer.body, answer.headers[b"connection"]) == (b"done", b"close")
    await closing
    assert server.connections == 0
    await idle.close()
    await busy.close()


async def test_closing_cancels_what_outlasts_the_grace_and_waits_for_its_end() -> None:
    entered, settled = asyncio.Event(), asyncio.Event()

    async def wait(request: Request, reply: Reply) -> None:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            settled.set()

    server = await Server.start(wait)
    dial = await Dial.to(server.port)
    dial.write(GET)
    await entered.wait()
    await server.close(0.05)
    assert settled.is_set()
    assert (await dial.answer()).status == 503
    await dial.close()


async def test_a_port_in_use_is_named_with_what_to_do() -> None:
    async with serving(echo) as server:
        with pytest.raises(
            Unstartable, match=rf"port {server.port} is in use by another program; choose one with --port"
        ):
            await Server.start(echo, port=server.port)


async def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(Unstartable, match=r"192\.0\.2\.1 is no address of this machine"):
        await Server.start(echo, "192.0.2.1", 0)


async def test_a_bound_socket_can_be_served() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        server = await Server.start(echo, sock=sock)
        dial = await Dial.to(sock.getsockname()[1])
        dial.write(post(b"x"))
        assert (await dial.answer()).body == b"x"
        assert server.connections == 1
        await dial.close()
        await server.close(0)


async def test_packets_leave_at_once() -> None:
    async with serving(echo) as server:
        dial = await Dial.to(server.port)
        dial.write(post(b"x"))
        await dial.answer()
        (connection,) = server._hall.connections
        sock = connection.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        await dial.close()
