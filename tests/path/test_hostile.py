"""The running product against hostile HTTP and hostile JSON: one answer to each, and no upstream sees any."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest
from tests.path.exchange import Exchange
from tests.path.raw import HELLO, ask
from tests.upstreams.scripted import Upstream
from tests.wire.hostile import Case, cases

PATHS = ("/v1/chat/completions", "/v1/models", "/healthz", "/nowhere")
NAMES = tuple(cases())
SHORT = 1_000
GOOD = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"


def told(port: int, *pieces: bytes) -> bytes:
    """Return all that is answered until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for piece in pieces:
                client.sendall(piece)
        except OSError:
            pass  # refused before all was sent
        answer = b""
        while got := client.recv(65_536):
            answer += got
        return answer


def check(case: Case, answer: bytes) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % case.status), answer
    assert b"\r\nconnection: close" in head
    assert b"\r\ncontent-length: %d\r\n" % len(body) in head
    error = json.loads(body)["error"]
    assert (error["code"], error["type"]) == (case.code, "invalid_request_error")


@pytest.mark.parametrize("name", NAMES)
def test_a_request_that_breaks_http_has_one_answer_everywhere(name: str, running: Exchange, vendor: Upstream) -> None:
    for path in PATHS:
        case = cases(path.encode())[name]
        sent = case.sent
        check(case, told(running.port, sent))
        behind = told(running.port, GOOD + sent)
        assert behind.startswith(b"HTTP/1.1 200 OK\r\n")
        check(case, behind[behind.index(b'{"status":"ok"}') + len(b'{"status":"ok"}') :])
        if len(sent) < SHORT:
            check(case, told(running.port, *(sent[at : at + 1] for at in range(len(sent)))))
    assert vendor.received == []


SHAPES: dict[str, Callable[[dict[str, Any]], object]] = {
    "/v1/messages": lambda body: (body["type"], body["error"]["type"]) == ("error", "invalid_request_error"),
    "/v1beta/models/chat:generateContent": lambda body: body["error"]["status"] and body["error"]["details"],
}
KNOWN = (
    "long target",
    "other expectation",
    "many headers",
    "endless header",
    "method of WebDAV",
    "version 2.0",
    "bare LF behind a header",
    "no Host",
    "space before the colon",
)


@pytest.mark.parametrize("path", SHAPES)
@pytest.mark.parametrize("name", KNOWN)
def test_what_breaks_http_behind_the_target_is_refused_in_the_dialect_of_its_path(
    name: str, path: str, running: Exchange
) -> None:
    case = cases(f"{path}?alt=".encode())[name]
    head, _, body = told(running.port, case.sent).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % case.status)
    assert SHAPES[path](json.loads(body)), body


DEEP = b"[" * 100_000
MESSAGES = b'"messages":[{"role":"user","content":"hi"}]'
JSON: dict[str, tuple[bytes, str]] = {
    "nested too deeply": (b'{"model":"chat","messages":' + DEEP + b"]" * 100_000 + b"}", "nested_too_deeply"),
    "nested too deeply without end": (b'{"model":"chat","messages":' + DEEP, "nested_too_deeply"),
    "objects nested too deeply": (b'{"model":"chat","messages":[],"x":' + b'{"a":' * 50_000, "nested_too_deeply"),
    "not UTF-8": (b'{"model":"chat","messages":[{"role":"user","content":"\xff\xfe"}]}', "malformed_request"),
    "UTF-8 that is cut": (b'{"model":"chat","messages":[{"role":"user","content":"\xe2\x82"}]}', "malformed_request"),
    "UTF-8 of a surrogate": (b'{"model":"chat","messages":[{"content":"\xed\xa0\x80"}]}', "malformed_request"),
    "overlong UTF-8": (b'{"model":"chat","messages":[{"content":"\xc0\xaf"}]}', "malformed_request"),
    "UTF-16": (json.dumps(HELLO).encode("utf-16"), "malformed_request"),
    "byte order mark": (b"\xef\xbb\xbf" + json.dumps(HELLO).encode(), "malformed_request"),
    "half a surrogate in the model": (b'{"model":"\\ud800",' + MESSAGES + b"}", "malformed_request"),
    "model twice": (b'{"model":"chat","model":"chat",' + MESSAGES + b"}", "duplicate_field"),
    "model twice, once escaped": (b'{"model":"chat","mod\\u0065l":"x",' + MESSAGES + b"}", "duplicate_field"),
    "messages twice": (b'{"model":"chat",' + MESSAGES + b', "messages" : []}', "duplicate_field"),
    "limit twice": (b'{"model":"chat","max_tokens":1,"max_tokens":9,' + MESSAGES + b"}", "duplicate_field"),
    "stream twice": (b'{"model":"chat","stream":true,"stream":false,' + MESSAGES + b"}", "duplicate_field"),
    "usage asked for twice": (
        b'{"model":"chat","stream":true,"stream_options":{"include_usage":true,"include_usage":false},'
        + MESSAGES
        + b"}",
        "duplicate_field",
    ),
    "NUL behind the JSON": (json.dumps(HELLO).encode() + b"\0", "malformed_request"),
    "JSON twice": (json.dumps(HELLO).encode() * 2, "malformed_request"),
    "control character in a string": (b'{"model":"chat","messages":["\n"]}', "malformed_request"),
    "NaN": (b'{"model":"chat","temperature":NaN,' + MESSAGES + b"}", "malformed_request"),
    "nothing": (b"", "malformed_request"),
    "no object": (b"[]", "invalid_type"),
    "messages as an object": (b'{"model":"chat","messages":{}}', "malformed_request"),
    "limit as a text": (b'{"model":"chat","max_tokens":"1",' + MESSAGES + b"}", "invalid_type"),
}


@pytest.mark.parametrize("name", JSON)
def test_a_body_that_breaks_json_is_refused(name: str, running: Exchange, key: str, vendor: Upstream) -> None:
    body, code = JSON[name]
    answer = ask(running.port, key, body)
    assert (answer.status, answer.error and answer.error["code"]) == (400, code)
    assert vendor.received == []
    assert ask(running.port, key, HELLO).status == 200


@pytest.mark.parametrize("fields", [{"max_tokens": 10**30}, {"max_tokens": -(10**30)}])
def test_numbers_beyond_all_bounds_break_nothing(fields: dict[str, Any], running: Exchange, key: str) -> None:
    assert ask(running.port, key, HELLO | fields).status in {200, 400}
    assert ask(running.port, key, HELLO).status == 200


@pytest.mark.parametrize("name", ["x-trunkline-data-class", "x-trunkline-end-customer", "x-request-id", "user-agent"])
def test_nothing_from_a_request_starts_a_line_of_the_answer(name: str, running: Exchange, key: str) -> None:
    value = "internal\u00e9%0d%0aset-cookie: a=b"
    answer = ask(running.port, key, HELLO, headers={name: value.encode("latin-1").decode("latin-1")})
    assert "set-cookie" not in answer.headers
    assert answer.status in {200, 400}


def test_a_model_name_with_line_ends_stays_in_the_body(running: Exchange, key: str) -> None:
    answer = ask(running.port, key, HELLO | {"model": "a\r\nset-cookie: a=b\r\n\r\n<html>"})
    assert answer.status == 404
    assert "set-cookie" not in answer.headers
    assert answer.whole
