"""How much memory the running product takes for clients that are many, or slow."""

from __future__ import annotations

import json
import os
import resource
import selectors
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.path.exchange import Exchange, deployment, estate, exchange
from tests.path.raw import HELLO, ask
from tests.upstreams.script import Script
from tests.upstreams.scripted import Upstream

MB = 1024 * 1024
STREAMS = 2_000
PATIENT = {"connect": 10, "first_byte": 60, "between": 60, "total": 120}
SHAPES: dict[str, Callable[[dict[str, Any], int], bool]] = {
    "/v1/chat/completions": lambda body, _: body["error"]["type"] == "invalid_request_error",
    "/v1/messages": lambda body, _: body["type"] == "error" and "type" in body["error"],
    "/v1beta/models/chat:generateContent": lambda body, status: body["error"]["code"] == status,
    "/nowhere": lambda body, _: body["error"]["type"] == "invalid_request_error",
}
STREAM = json.dumps(HELLO | {"stream": True}).encode()


@pytest.fixture(scope="module", autouse=True)
def _many_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 3 * STREAMS:
        pytest.skip(f"this process may open {hard} files only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory, vendor_of_module: Upstream) -> Iterator[Exchange]:
    """An exchange that waits long for its upstream."""
    declared = estate({"gpt": deployment(vendor_of_module.url, timeouts=PATIENT)}, {"chat": [["gpt"]]})
    with exchange(tmp_path_factory.mktemp("patient"), declared) as running:
        yield running


@pytest.fixture(scope="module")
def secret(patient: Exchange) -> str:
    return patient.key("finance")


def resident(running: Exchange) -> int:
    """The bytes of memory that the exchange has."""
    return int(Path(f"/proc/{running.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def post(secret: str, body: bytes, length: int | None = None) -> bytes:
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
    head += f"authorization: Bearer {secret}\r\ncontent-length: {len(body) if length is None else length}\r\n\r\n"
    return head.encode() + body


def dial(running: Exchange, stack: ExitStack, sent: bytes, *, buffer: int | None = None) -> socket.socket:
    client = stack.enter_context(socket.socket())
    if buffer is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    client.settimeout(30)
    client.connect(("127.0.0.1", running.port))
    client.sendall(sent)
    return client


def until(reached: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < end, f"not within 30 s: {what}"
        time.sleep(0.02)


def test_two_thousand_open_streams_fit_in_memory_and_leave_it(patient: Exchange, secret: str, vendor: Upstream) -> None:
    vendor.default = Script(hang="body")
    with ExitStack() as stack:
        clients = [dial(patient, stack, post(secret, STREAM)) for _ in range(STREAMS)]
        with selectors.DefaultSelector() as waiting:
            for client in clients:
                waiting.register(client, selectors.EVENT_READ)
            while waiting.get_map():
                ready = waiting.select(30)
                assert ready, f"{len(waiting.get_map())} streams have not begun"
                for key, _ in ready:
                    client = next(c for c in (key.fileobj,) if isinstance(c, socket.socket))
                    assert client.recv(65_536).startswith(b"HTTP/1.1 200 OK\r\n")
                    waiting.unregister(client)
        assert len([one for one in vendor.received if one.left_at is None]) == STREAMS
        assert resident(patient) < 200 * MB
        vendor.default = Script()
        assert ask(patient.port, secret, HELLO).status == 200
    until(lambda: all(one.finished or one.left_at is not None for one in vendor.received), "the upstreams are stopped")
    before = resident(patient)
    for _ in range(50):
        assert ask(patient.port, secret, HELLO).status == 200
    assert resident(patient) - before < 10 * MB


def test_clients_that_do_not_read_pause_the_upstream_and_take_no_memory(
    patient: Exchange, secret: str, vendor: Upstream
) -> None:
    many, pieces, size = 6, 8_000, 10_000  # More than the system buffers by itself: up to 32 MB of each.
    vendor.default = Script(pieces=("x" * size,) * pieces)
    before = resident(patient)
    with ExitStack() as stack:
        clients = [dial(patient, stack, post(secret, STREAM), buffer=16_384) for _ in range(many)]
        assert vendor.wait_for(many)
        written = [-1]

        def stalled() -> bool:
            time.sleep(0.3)
            last, written[0] = written[0], sum(one.written for one in vendor.received)
            return written[0] == last

        until(stalled, "all upstreams wait")
        assert not any(one.finished for one in vendor.received)
        assert written[0] < many * pieces * size
        assert resident(patient) - before < 40 * MB
        text = bytearray()
        while not text.endswith(b"0\r\n\r\n"):
            got = clients[0].recv(1 << 20)
            assert got
            text += got
        assert text.count(b"x" * size) == pieces
        assert b"data: [DONE]" in text


def test_clients_that_write_slowly_hold_what_they_have_sent_and_nobody_else_up(
    patient: Exchange, secret: str, vendor: Upstream
) -> None:
    many, size = 300, 64 * 1024
    before = resident(patient)
    with ExitStack() as stack:
        slow = [dial(patient, stack, post(secret, b" " * size, length=20 * MB)) for _ in range(many)]
        assert ask(patient.port, secret, HELLO).status == 200
        for client in slow:
            client.sendall(b" ")
        assert ask(patient.port, secret, HELLO).status == 200
        assert resident(patient) - before < 3 * many * size
    assert len(vendor.received) == 2


def test_the_bounds_are_the_operator_s(tmp_path: Path, vendor: Upstream) -> None:
    declared = estate(
        {"gpt": deployment(vendor.url)},
        {"chat": [["gpt"]], "small": [["gpt"]]},
    )
    declared["use_cases"]["small"]["parameters"] = {"max_request_bytes": 500}
    with exchange(
        tmp_path,
        declared,
        TRUNKLINE_BODY_LIMIT="2kB",
        TRUNKLINE_CONNECTIONS_PER_ADDRESS="3",
        TRUNKLINE_HEADER_TIME="0.3",
        TRUNKLINE_IDLE_TIME="0.4",
    ) as running:
        secret = running.key("finance")
        long = HELLO | {"user": "x" * 600}
        assert ask(running.port, secret, long).status == 200
        refused = ask(running.port, secret, long | {"model": "small"})
        assert (refused.status, refused.error and refused.error["code"]) == (413, "request_too_large")
        with ExitStack() as stack:
            begun = dial(running, stack, post(secret, b"", length=2_001))  # the body is never sent
            assert begun.recv(65_536).startswith(b"HTTP/1.1 413 ")
        assert len(vendor.received) == 1
        for path, shape in SHAPES.items():
            head = f"POST {path} HTTP/1.1\r\nhost: a\r\n"
            for framing, first, status in (
                (f"content-length: {2_001}", b"", 413),
                ("transfer-encoding: chunked", b"7d1\r\n", 413),
                ("transfer-encoding: chunked", b"zz\r\n", 400),
            ):
                with ExitStack() as stack:
                    client = dial(running, stack, f"{head}{framing}\r\n\r\n".encode() + first)
                    answer = client.recv(65_536)
                    assert answer.startswith(b"HTTP/1.1 %d " % status), answer
                    assert shape(json.loads(answer.partition(b"\r\n\r\n")[2]), status), answer
        with ExitStack() as stack:
            slow = dial(running, stack, b"GET / HTTP/1.1\r\n")
            idle = dial(running, stack, b"")
            assert slow.recv(65_536).startswith(b"HTTP/1.1 408 ")
            assert idle.recv(65_536) == b""
        with ExitStack() as stack:
            many = [dial(running, stack, b"") for _ in range(4)]
            assert many[3].recv(65_536).startswith(b"HTTP/1.1 503 ")
