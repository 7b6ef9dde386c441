"""What a hostile or sloppy client may send, and the exact answer to each: a status, a code, and a closed connection."""

from __future__ import annotations

from typing import NamedTuple

from trunkline.wire.server import Limits


class Case(NamedTuple):
    status: int
    code: str
    sent: bytes


BAD = "bad_request"
VERSION = "http_version_not_supported"
HEADERS = "headers_too_large"
BODY = "request_too_large"


def cases(path: bytes = b"/", limits: Limits | None = None) -> dict[str, Case]:
    """Return all of them, for one path and the server's limits."""
    limits = limits or Limits()
    made: dict[str, Case] = {}
    for part in (_lines, _targets, _heads, _lengths, _chunks):
        made |= part(path, b"Host: a\r\n")
    return made | _bounds(path, b"Host: a\r\n", limits)


def _lines(path: bytes, host: bytes) -> dict[str, Case]:
    """Request lines."""

    def line(text: bytes) -> bytes:
        return text.replace(b"/", path, 1) + b"\r\n" + host + b"\r\n"

    return {
        "RTSP/1.0": Case(505, VERSION, line(b"GET / ").replace(b" \r\n", b" RTSP/1.0\r\n", 1)),
        "RTSP/1.1": Case(505, VERSION, b"OPTIONS " + path + b" RTSP/1.1\r\n" + host + b"\r\n"),
        "RTSP's own method": Case(505, VERSION, b"DESCRIBE rtsp://a/b RTSP/1.0\r\n" + host + b"\r\n"),
        "ICE/1.0": Case(505, VERSION, b"SOURCE " + path + b" ICE/1.0\r\n" + host + b"\r\n"),
        "ICE with another method": Case(400, BAD, b"GET " + path + b" ICE/1.0\r\n" + host + b"\r\n"),
        "version 0.9": Case(505, VERSION, b"GET " + path + b" HTTP/0.9\r\n" + host + b"\r\n"),
        "version 2.0": Case(505, VERSION, b"GET " + path + b" HTTP/2.0\r\n" + host + b"\r\n"),
        "version 2.0, kept": Case(
            505, VERSION, b"GET " + path + b" HTTP/2.0\r\nProxy-Connection: keep-alive\r\n" + host + b"\r\n"
        ),
        "version 1.2": Case(400, BAD, b"GET " + path + b" HTTP/1.2\r\n" + host + b"\r\n"),
        "version 9.9": Case(400, BAD, b"GET " + path + b" HTTP/9.9\r\n" + host + b"\r\n"),
        "version 1.10": Case(400, BAD, b"GET " + path + b" HTTP/1.10\r\n" + host + b"\r\n"),
        "version 01.1": Case(400, BAD, b"GET " + path + b" HTTP/01.1\r\n" + host + b"\r\n"),
        "version in small letters": Case(400, BAD, b"GET " + path + b" http/1.1\r\n" + host + b"\r\n"),
        "no version": Case(505, VERSION, b"GET " + path + b"\r\n\r\n"),
        "space behind the version": Case(400, BAD, b"GET " + path + b" HTTP/1.1 \r\n" + host + b"\r\n"),
        "two spaces before the target": Case(400, BAD, b"GET  " + path + b" HTTP/1.1\r\n" + host + b"\r\n"),
        "two spaces behind the target": Case(400, BAD, b"GET " + path + b"  HTTP/1.1\r\n" + host + b"\r\n"),
        "tab before the target": Case(400, BAD, b"GET\t" + path + b" HTTP/1.1\r\n" + host + b"\r\n"),
        "tab behind the target": Case(400, BAD, b"GET " + path + b"\tHTTP/1.1\r\n" + host + b"\r\n"),
        "space before the method": Case(400, BAD, b" GET " + path + b" HTTP/1.1\r\n" + host + b"\r\n"),
        "bare LF before the line": Case(400, BAD, b"\nGET " + path + b" HTTP/1.1\r\n" + host + b"\r\n"),
        "bare CR before the line": Case(400, BAD, b"\rGET " + path + b" HTTP/1.1\r\n" + host + b"\r\n"),
        "bare LF behind the line": Case(400, BAD, b"GET " + path + b" HTTP/1.1\n" + host + b"\r\n"),
        "method in small letters": Case(400, BAD, b"get " + path + b" HTTP/1.1\r\n" + host + b"\r\n"),
        "unknown method": Case(400, BAD, b"FOO " + path + b" HTTP/1.1\r\n" + host + b"\r\n"),
        "method of WebDAV": Case(501, "method_not_implemented", b"MKCOL " + path + b" HTTP/1.1\r\n" + host + b"\r\n"),
        "TRACE": Case(501, "method_not_implemented", b"TRACE " + path + b" HTTP/1.1\r\n" + host + b"\r\n"),
        "tunnel": Case(501, "method_not_implemented", b"CONNECT a:1 HTTP/1.1\r\n" + host + b"\r\n"),
        "HTTP/2 preface": Case(400, BAD, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        "TLS": Case(400, BAD, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        "no HTTP at all": Case(400, BAD, b"EHLO a\r\n"),
    }


def _targets(path: bytes, host: bytes) -> dict[str, Case]:
    def target(text: bytes, method: bytes = b"GET") -> Case:
        return Case(400, BAD, method + b" " + text + b" HTTP/1.1\r\n" + host + b"\r\n")

    return {
        "absolute form for another host": target(b"http://b" + path),
        "absolute form for another port": target(b"http://a:81" + path),
        "absolute form with a user": target(b"http://u@a" + path),
        "absolute form of another scheme": target(b"ftp://a" + path),
        "absolute form without a host": target(b"http://" + path),
        "absolute form without Host in 1.0": Case(400, BAD, b"GET http://a" + path + b" HTTP/1.0\r\n\r\n"),
        "authority form": target(b"a:80"),
        "asterisk for another method": target(b"*"),
        "fragment": target(path + b"#b"),
        "no slash": target(b"a"),
        "bytes above ASCII in the target": target(path + b"\xc3\xa9"),
        "NUL in the target": target(path + b"\0"),
        "DEL in the target": target(path + b"\x7f"),
        "control character in the target": target(path + b"\x01"),
    }


def _heads(path: bytes, host: bytes) -> dict[str, Case]:
    start = b"GET " + path + b" HTTP/1.1\r\n"

    def head(lines: bytes) -> Case:
        return Case(400, BAD, start + lines + b"\r\n")

    return {
        "no Host": head(b""),
        "no Host but others": head(b"X: y\r\n"),
        "empty Host": head(b"Host:\r\n"),
        "two Hosts": head(host + b"Host: b\r\n"),
        "the same Host twice": head(host + host),
        "two Hosts in 1.0": Case(400, BAD, b"GET " + path + b" HTTP/1.0\r\n" + host + host + b"\r\n"),
        "list of Hosts": head(b"Host: a, b\r\n"),
        "Host with a space": head(b"Host: a b\r\n"),
        "Host with a path": head(b"Host: a/b\r\n"),
        "Host with a user": head(b"Host: u@a\r\n"),
        "Host with a long port": head(b"Host: a:123456\r\n"),
        "Host with a bad port": head(b"Host: a:b\r\n"),
        "Host with a bad address": head(b"Host: [::1\r\n"),
        "bad Host in 1.0": Case(400, BAD, b"GET " + path + b" HTTP/1.0\r\nHost: a b\r\n\r\n"),
        "two keys": head(host + b"Authorization: a\r\nAuthorization: b\r\n"),
        "space before the colon": head(host + b"X : a\r\n"),
        "tab before the colon": head(host + b"X\t: a\r\n"),
        "space before Host's colon": head(b"Host : a\r\n"),
        "space in a name": head(host + b"X Y: a\r\n"),
        "space before the first header": head(b" X: a\r\n" + host),
        "no colon": head(host + b"X\r\n"),
        "no name": head(host + b": x\r\n"),
        "byte above ASCII in a name": head(host + b"X\xff: a\r\n"),
        "NUL in a name": head(host + b"X\0: a\r\n"),
        "bracket in a name": head(host + b"X(: a\r\n"),
        "NUL in a value": head(host + b"X: a\0b\r\n"),
        "CR in a value": head(host + b"X: a\rb\r\n"),
        "CR at a value's end": head(host + b"X: a\r\r\n"),
        "control character in a value": head(host + b"X: a\x01b\r\n"),
        "vertical tab in a value": head(host + b"X: a\x0bb\r\n"),
        "DEL in a value": head(host + b"X: a\x7fb\r\n"),
        "bare LF behind a header": head(b"Host: a\nX: b\r\n"),
        "bare LF behind the head": Case(400, BAD, start + host + b"\n"),
        "bare LFs throughout": Case(400, BAD, (start + host).replace(b"\r", b"") + b"\n"),
        "CR without LF behind the head": Case(400, BAD, start + host + b"\rX"),
        "folded header": head(host + b"X: a\r\n b\r\n"),
        "folded with a tab": head(host + b"X: a\r\n\tb\r\n"),
        "folded from the start": head(host + b"X:\r\n b\r\n"),
        "folded Host": head(b"Host:\r\n a\r\n"),
        "other expectation": Case(
            417,
            "expectation_failed",
            b"POST " + path + b" HTTP/1.1\r\n" + host + b"Expect: more\r\nContent-Length: 1\r\n\r\nx",
        ),
    }


def _lengths(path: bytes, host: bytes) -> dict[str, Case]:
    start = b"POST " + path + b" HTTP/1.1\r\n" + host

    def framed(lines: bytes, body: bytes = b"x") -> Case:
        return Case(400, BAD, start + lines + b"\r\n" + body)

    chunked = b"Transfer-Encoding: chunked\r\n"
    none = b"0\r\n\r\n"
    return {
        "two lengths": framed(b"Content-Length: 1\r\nContent-Length: 1\r\n"),
        "two unequal lengths": framed(b"Content-Length: 1\r\nContent-Length: 2\r\n"),
        "second length behind a space": framed(b"Content-Length: 1\r\nContent-Length : 2\r\n"),
        "list of lengths": framed(b"Content-Length: 1, 1\r\n"),
        "signed length": framed(b"Content-Length: +1\r\n"),
        "negative length": framed(b"Content-Length: -1\r\n"),
        "hexadecimal length": framed(b"Content-Length: 0x1\r\n"),
        "length with letters": framed(b"Content-Length: 1a\r\n"),
        "length with an underscore": framed(b"Content-Length: 1_0\r\n"),
        "length with an exponent": framed(b"Content-Length: 1e1\r\n"),
        "length with a fraction": framed(b"Content-Length: 1.0\r\n"),
        "length with a space": framed(b"Content-Length: 1 1\r\n"),
        "empty length": framed(b"Content-Length:\r\n"),
        "length beyond 64 bits": framed(b"Content-Length: 99999999999999999999\r\n"),
        "length, then coding": framed(b"Content-Length: 1\r\n" + chunked, none),
        "coding, then length": framed(chunked + b"Content-Length: 1\r\n", none),
        "unknown coding": framed(b"Transfer-Encoding: xchunked\r\n", none),
        "identity": framed(b"Transfer-Encoding: identity\r\n"),
        "two codings": framed(b"Transfer-Encoding: gzip, chunked\r\n", none),
        "chunked not last": framed(b"Transfer-Encoding: chunked, gzip\r\n", none),
        "chunked listed behind nothing": framed(b"Transfer-Encoding: ,chunked\r\n", none),
        "chunked listed before nothing": framed(b"Transfer-Encoding: chunked,\r\n", none),
        "chunked with a parameter": framed(b"Transfer-Encoding: chunked;q=1\r\n", none),
        "chunked in quotes": framed(b'Transfer-Encoding: "chunked"\r\n', none),
        "chunked behind a vertical tab": framed(b"Transfer-Encoding: \x0bchunked\r\n", none),
        "chunked behind a space in the name": framed(b"Transfer-Encoding : chunked\r\n", none),
        "chunked twice": framed(chunked + chunked, none),
        "empty coding": framed(b"Transfer-Encoding:\r\n", none),
        "coding in 1.0": Case(400, BAD, b"POST " + path + b" HTTP/1.0\r\n" + host + chunked + b"\r\n" + none),
    }


def _chunks(path: bytes, host: bytes) -> dict[str, Case]:
    start = b"POST " + path + b" HTTP/1.1\r\n" + host + b"Transfer-Encoding: chunked\r\n\r\n"

    def chunks(text: bytes) -> Case:
        return Case(400, BAD, start + text)

    rest = b"\r\na\r\n0\r\n\r\n"
    return {
        "signed chunk": chunks(b"+1" + rest),
        "negative chunk": chunks(b"-1" + rest),
        "0x before a chunk's size": chunks(b"0x1" + rest),
        "no chunk size": chunks(rest),
        "letters as a chunk's size": chunks(b"xyz" + rest),
        "underscore in a chunk's size": chunks(b"1_0" + rest),
        "space before a chunk's size": chunks(b" 1" + rest),
        "space behind a chunk's size": chunks(b"1 " + rest),
        "tab behind a chunk's size": chunks(b"1\t" + rest),
        "chunk size of 17 digits": chunks(b"1" * 17 + rest),
        "chunk size of 17 digits, mostly zeros": chunks(b"0" * 16 + b"1" + rest),
        "chunk longer than its size": chunks(b"1\r\nab\r\n0\r\n\r\n"),
        "chunk shorter than its size": chunks(b"4\r\nab\r\n0\r\n\r\n"),
        "bare LF behind a chunk's size": chunks(b"1\na\r\n0\r\n\r\n"),
        "bare LF behind a chunk": chunks(b"1\r\na\n0\r\n\r\n"),
        "nothing behind a chunk": chunks(b"1\r\na0\r\n\r\n"),
        "bare LF behind the last chunk": chunks(b"0\n\r\n"),
        "bare LF behind the trailers": chunks(b"0\r\n\n"),
        "CR without LF behind a chunk's size": chunks(b"1\ra"),
        "extension without a name": chunks(b"1;" + rest),
        "extension with a space": chunks(b"1; a" + rest),
        "extension with NUL": chunks(b"1;\0" + rest),
        "extension with LF": chunks(b"1;a\nb" + rest),
        "extension with CR": chunks(b"1;a\rb" + rest),
        "extension with an open quote": chunks(b'1;a="b' + rest),
        "long extension": chunks(b"1;" + b"a" * 300 + rest),
        "endless extension": chunks(b"1;" + b"a" * 300),
        "many extensions": chunks((b"1;" + b"a" * 200 + b"\r\na\r\n") * 30),
        "trailer without a colon": chunks(b"0\r\nX\r\n\r\n"),
        "trailer with a space before the colon": chunks(b"0\r\nX : y\r\n\r\n"),
        "trailer with NUL": chunks(b"0\r\nX: \0\r\n\r\n"),
        "trailer behind a bare LF": chunks(b"0\r\nX: y\nZ: y\r\n\r\n"),
        "folded trailer": chunks(b"0\r\nX: y\r\n z\r\n\r\n"),
        "length as a trailer": chunks(b"0\r\nContent-Length: 5\r\n\r\n"),
        "coding as a trailer": chunks(b"0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        "Host as a trailer": chunks(b"0\r\nHost: b\r\n\r\n"),
    }


def _bounds(path: bytes, host: bytes, limits: Limits) -> dict[str, Case]:
    start = b"GET " + path + b" HTTP/1.1\r\n" + host
    post = b"POST " + path + b" HTTP/1.1\r\n" + host
    chunked = post + b"Transfer-Encoding: chunked\r\n\r\n"
    count, most = limits.header_count, limits.header_bytes
    return {
        "long target": Case(
            414, "uri_too_long", b"GET " + path + b"a" * limits.request_line + b" HTTP/1.1\r\n" + host + b"\r\n"
        ),
        "many headers": Case(431, HEADERS, start + b"".join(b"X%d: a\r\n" % n for n in range(count)) + b"\r\n"),
        "the same header many times": Case(431, HEADERS, start + b"X: a\r\n" * (count + 2) + b"\r\n"),
        "long header": Case(431, HEADERS, start + b"X: " + b"a" * most + b"\r\n\r\n"),
        "endless header": Case(431, HEADERS, start + b"X: " + b"a" * most),
        "endless name": Case(431, HEADERS, start + b"a" * most),
        "endless target": Case(431, HEADERS, b"GET " + path + b"a" * most),
        "endless empty lines": Case(431, HEADERS, b"\r\n" * most),
        "endless trailers": Case(431, HEADERS, chunked + b"0\r\n" + b"X: y\r\n" * (most // 4)),
        "endless trailer": Case(431, HEADERS, chunked + b"0\r\nX: " + b"a" * most),
        "length too large": Case(413, BODY, post + b"Content-Length: %d\r\n\r\n" % (limits.body + 1)),
        "length of 64 bits": Case(413, BODY, post + b"Content-Length: 18446744073709551615\r\n\r\n"),
        "chunk too large": Case(413, BODY, chunked + b"%x\r\n" % (limits.body + 1)),
        "chunk of 64 bits": Case(413, BODY, chunked + b"FFFFFFFFFFFFFFFF\r\n"),
        "chunks too large": Case(413, BODY, chunked + b"4\r\nabcd\r\n" + b"%x\r\n" % limits.body),
    }
