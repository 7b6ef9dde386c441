"""What a hostile or sloppy client may not send: each refused with its status, a JSON error, and a closed connection."""

from __future__ import annotations

import msgspec
import pytest
from tests.wire.raw import dialled, echo

from trunkline.wire.server import Limits

H = b"Host: a\r\n"
SMALL = Limits(request_line=100, header_bytes=1000, header_count=5, body=10)
REFUSED = {
    "two lengths": (400, b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx"),
    "two unequal lengths": (400, b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nx"),
    "list of lengths": (400, b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 1, 1\r\n\r\nx"),
    "signed length": (400, b"POST / HTTP/1.1\r\n" + H + b"Content-Length: +1\r\n\r\nx"),
    "negative length": (400, b"POST / HTTP/1.1\r\n" + H + b"Content-Length: -1\r\n\r\nx"),
    "hexadecimal length": (400, b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 0x1\r\n\r\nx"),
    "huge length": (400, b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 99999999999999999999\r\n\r\nx"),
    "length and coding": (
        400,
        b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "coding and length": (
        400,
        b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
    ),
    "unknown coding": (400, b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "coding not last": (400, b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    "twice chunked": (400, b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n"),
    "coding in 1.0": (400, b"POST / HTTP/1.0\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "bad chunk": (400, b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n"),
    "chunk too long": (400, b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n"),
    "chunks too large": (
        413,
        b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n" + b"4\r\nabcd\r\n" * 9,
    ),
    "endless chunk extension": (
        431,
        b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n4;" + b"a" * 2000,
    ),
    "length too large": (413, b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 11\r\n\r\n"),
    "no host": (400, b"GET / HTTP/1.1\r\n\r\n"),
    "empty host": (400, b"GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    "two hosts": (400, b"GET / HTTP/1.1\r\n" + H + H + b"\r\n"),
    "two keys": (400, b"GET / HTTP/1.1\r\n" + H + b"Authorization: a\r\nAuthorization: b\r\n\r\n"),
    "version 9.9": (400, b"GET / HTTP/9.9\r\n" + H + b"\r\n"),
    "version 2.0": (505, b"GET / HTTP/2.0\r\n" + H + b"\r\n"),
    "version 2.0, kept": (505, b"GET / HTTP/2.0\r\nProxy-Connection: keep-alive\r\n" + H + b"\r\n"),
    "version 0.9": (505, b"GET / HTTP/0.9\r\n" + H + b"\r\n"),
    "no version": (505, b"GET /\r\n\r\n"),
    "HTTP/2 preface": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "TLS": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "unknown method": (400, b"FOO / HTTP/1.1\r\n" + H + b"\r\n"),
    "other method": (501, b"MKCOL / HTTP/1.1\r\n" + H + b"\r\n"),
    "tunnel": (501, b"CONNECT a:1 HTTP/1.1\r\n" + H + b"\r\n"),
    "folded header": (400, b"GET / HTTP/1.1\r\n" + H + b"X: a\r\n b\r\n\r\n"),
    "space before colon": (400, b"GET / HTTP/1.1\r\n" + H + b"X : a\r\n\r\n"),
    "nul in header": (400, b"GET / HTTP/1.1\r\n" + H + b"X: a\0b\r\n\r\n"),
    "bare CR": (400, b"GET / HTTP/1.1\r\n" + H + b"X: a\rb\r\n\r\n"),
    "bare LF": (400, b"GET / HTTP/1.1\nHost: a\n\n"),
    "bytes above ASCII in target": (400, b"GET /\xc3\xa9 HTTP/1.1\r\n" + H + b"\r\n"),
    "fragment": (400, b"GET /a#b HTTP/1.1\r\n" + H + b"\r\n"),
    "target without slash": (400, b"GET a HTTP/1.1\r\n" + H + b"\r\n"),
    "long target": (414, b"GET /" + b"a" * 200 + b" HTTP/1.1\r\n" + H + b"\r\n"),
    "long head": (431, b"GET / HTTP/1.1\r\n" + H + b"X: " + b"a" * 2000 + b"\r\n\r\n"),
    "endless head": (431, b"GET / HTTP/1.1\r\n" + H + b"X: " + b"a" * 2000),
    "endless empty lines": (431, b"\r\n" * 2000),
    "many headers": (431, b"GET / HTTP/1.1\r\n" + H + b"".join(b"X%d: a\r\n" % n for n in range(5)) + b"\r\n"),
    "same header many times": (431, b"GET / HTTP/1.1\r\n" + H + b"X: a\r\n" * 5 + b"\r\n"),
    "other expectation": (417, b"POST / HTTP/1.1\r\n" + H + b"Expect: more\r\nContent-Length: 1\r\n\r\nx"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_request_that_breaks_the_rules_is_refused_and_the_connection_closed(name: str) -> None:
    status, sent = REFUSED[name]
    async with dialled(echo, SMALL) as dial:
        dial.write(sent)
        answer = await dial.answer()
        assert await dial.rest() == b""
    assert answer.status == status
    assert answer.headers[b"connection"] == b"close"
    error = msgspec.json.decode(answer.body)["error"]
    assert set(error) == {"message", "type", "code", "param"}
    assert error["type"] == "invalid_request_error"


async def test_a_bad_request_behind_good_ones_is_refused_in_its_turn() -> None:
    async with dialled(echo) as dial:
        dial.write(b"GET /1 HTTP/1.1\r\n" + H + b"\r\n" + b"GET /2 HTTP/1.1\r\n" + H + b"\r\n" + b"nonsense\r\n\r\n")
        assert [(await dial.answer()).status for _ in range(3)] == [200, 200, 400]
        assert await dial.rest() == b""


@pytest.mark.parametrize(
    ("target", "path"),
    [(b"http://h/a?b=c", b"/a"), (b"HTTP://h", b"/"), (b"/", b"/"), (b"/?a", b"/"), (b"//x", b"//x"), (b"*", b"*")],
)
async def test_every_form_of_target_gives_its_path(target: bytes, path: bytes) -> None:
    async with dialled(echo) as dial:
        dial.write(b"OPTIONS %b HTTP/1.1\r\n%b\r\n" % (target, H))
        assert (await dial.answer()).headers[b"x-path"] == path


async def test_a_head_of_just_the_allowed_size_passes_with_a_large_body_behind_it() -> None:
    async with dialled(echo, Limits(header_bytes=1000, body=100_000)) as dial:
        body = b"x" * 50_000
        dial.write(b"POST / HTTP/1.1\r\n" + H + b"X: " + b"a" * 900 + b"\r\nContent-Length: 50000\r\n\r\n" + body)
        assert (await dial.answer()).body == body
