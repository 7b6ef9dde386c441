"""The server against hostile HTTP, whole and cut at every byte, plain and behind a good request."""

from __future__ import annotations

import msgspec
import pytest
from tests.wire.hostile import Case, cases
from tests.wire.raw import dialled, echo
from tests.wire.stage import Stage

from trunkline.wire.request import Refused, body_of
from trunkline.wire.server import Limits, Reply, Request

SMALL = Limits(request_line=100, header_bytes=400, header_count=5, body=100)
CASES = cases(b"/p", SMALL)
GOOD = b"GET /good HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
FRAMED = b"POST /good HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
FRONTS = {"plain": b"", "pipelined": GOOD, "behind a body": GOOD.replace(b"GET", b"POST")[:-2], "behind chunks": FRAMED}
FRONTS["behind a body"] += b"Content-Length: 2\r\n\r\nhi"


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 80


async def only_good(request: Request, reply: Reply) -> None:
    assert request.path == "/good", "a refused request reached the handler"
    reply.send(200, b"", request.body)


def check(case: Case, written: bytes) -> None:
    head, _, body = written.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    assert status.startswith(b"HTTP/1.1 %d " % case.status)
    assert lines == [b"content-type: application/json", b"content-length: %d" % len(body), b"connection: close"]
    error = msgspec.json.decode(body)["error"]
    assert error == {"message": error["message"], "type": "invalid_request_error", "code": case.code, "param": None}


@pytest.mark.parametrize("name", CASES)
async def test_each_has_one_answer_however_it_is_cut_and_whatever_comes_before(name: str) -> None:
    case = CASES[name]
    stage = Stage(only_good, SMALL)
    known = set()

    def note(request: Request | None, refused: Refused) -> bytes:
        known.add(None if request is None else request.path)
        return body_of(refused.status, refused.code, refused.message)

    stage.hall.refusal_body = note
    answer, closed = await stage.play(case.sent)
    assert closed
    check(case, answer)
    for front in FRONTS.values():
        before, _ = await stage.play(front) if front else (b"", False)
        sent = front + case.sent
        assert await stage.play(sent) == (before + answer, True)
        assert await stage.play(*(sent[at : at + 1] for at in range(len(sent)))) == (before + answer, True)
        for at in range(1, min(len(sent), 1000)):
            assert await stage.play(sent[:at], sent[at:]) == (before + answer, True), at
    assert len(known) == 1, f"what is known of it depends on how it was cut: {known}"


@pytest.mark.parametrize("name", CASES)
async def test_each_is_answered_and_closed_on_a_socket(name: str) -> None:
    case = CASES[name]
    async with dialled(echo, SMALL) as dial:
        dial.write(case.sent)
        answer = await dial.answer()
        assert await dial.rest() == b""
    assert answer.status == case.status
    assert msgspec.json.decode(answer.body)["error"]["code"] == case.code


@pytest.mark.parametrize(
    ("sent", "path", "body"),
    [
        (b"\r\n\r\nGET /p HTTP/1.1\r\nHost: a\r\n\r\n", "/p", b""),
        (b"GET /p HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "/p", b""),
        (b"GET http://A/p?q HTTP/1.1\r\nHost: a\r\n\r\n", "/p", b""),
        (b"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", "/", b""),
        (b"GET /p HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "/p", b""),
        (b"GET /p HTTP/1.1\r\nX:\r\nHost: a\r\nY: \r\n\r\n", "/p", b""),
        (b"GET /p HTTP/1.1\r\nHost: a\r\nX: \xe9\t.\r\n\r\n", "/p", b""),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "*", b""),
        (b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: \t010 \r\n\r\n0123456789", "/p", b"0123456789"),
        (b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "/p", b""),
        (b"POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n00\r\n\r\n", "/p", b""),
        (
            CHUNKED + b'0A;a;b=c;d="e;\\"\xe9"\r\n\r\n23456\r\n9\r\n000;z\r\nX: \r\nY-Z: \xe9\r\n\r\n',
            "/p",
            b"\r\n23456\r\n9",
        ),
        (
            b"POST /p HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi",
            "/p",
            b"hi",
        ),
        (b"GET /p HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "/p", b""),
        (
            CHUNKED[:-2] + b"Connection: Upgrade\r\nUpgrade: x\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            "/p",
            b"hi",
        ),
    ],
)
async def test_what_is_unusual_but_right_arrives_whole_however_it_is_cut(sent: bytes, path: str, body: bytes) -> None:
    seen: list[tuple[str, bytes]] = []

    async def keep(request: Request, reply: Reply) -> None:
        seen.append((request.path, request.body))
        reply.send(200, b"", b"")

    stage = Stage(keep, SMALL)
    cuts = [(sent[:at], sent[at:]) for at in range(1, len(sent))]
    for reads in (sent,), tuple(sent[at : at + 1] for at in range(len(sent))), *cuts, (sent + GOOD,), (GOOD + sent,):
        seen.clear()
        written, closed = await stage.play(*reads)
        assert (path, body) in seen
        assert len(seen) == written.count(b"HTTP/1.1 200 OK\r\n") == 1 + (GOOD in b"".join(reads))
        assert not closed
