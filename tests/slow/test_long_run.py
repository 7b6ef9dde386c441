"""Memory over a long life: many requests, connections that come and go, refusals and streams leave nothing behind."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest
from tests.path.exchange import Exchange, deployment, estate, exchange
from tests.path.raw import HELLO
from tests.upstreams.scripted import Upstream, in_thread

ROUNDS = 6
REQUESTS = 4_000  # in each round
CONNECTIONS = 600
STREAMS = 60
KB = 1024


def resident(running: Exchange) -> int:
    return int(Path(f"/proc/{running.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def message(key: str, body: bytes) -> bytes:
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def read_answer(client: socket.socket) -> bytes:
    """Return the body of a whole answer, framed by its length or in chunks."""
    got = b""
    while True:
        got += (piece := client.recv(1 << 16))
        assert piece, got
        head, found, body = got.partition(b"\r\n\r\n")
        if not found:
            continue
        if b"chunked" in head:
            if body.endswith(b"0\r\n\r\n"):
                return body
        elif len(body) == int(head.split(b"content-length: ")[1].split(b"\r\n")[0]):
            return body


def one_round(running: Exchange, key: str, vendor: Upstream) -> None:
    plain, stream = (json.dumps(HELLO | {"stream": streamed}).encode() for streamed in (False, True))
    with socket.create_connection(("127.0.0.1", running.port), timeout=30) as kept:
        for _ in range(REQUESTS):
            kept.sendall(message(key, plain))
            assert b'"usage"' in read_answer(kept)
        for _ in range(STREAMS):
            kept.sendall(message(key, stream))
            assert b"[DONE]" in read_answer(kept)
    refused = (b"GET / HTTP/9.9\r\n\r\n", message("tl-wrong", plain), message(key, b"{"), b"POST /v1/chat")
    for number in range(CONNECTIONS):
        with socket.create_connection(("127.0.0.1", running.port), timeout=30) as passing:
            passing.sendall(refused[number % len(refused)])
            if number % len(refused) != len(refused) - 1:
                assert passing.recv(1 << 16).startswith(b"HTTP/1.1 ")
    vendor.received.clear()


@pytest.mark.slow
def test_memory_is_flat_over_a_long_life(tmp_path: Path) -> None:
    with (
        in_thread() as vendor,
        exchange(tmp_path, estate({"gpt": deployment(vendor.url)}, {"chat": [["gpt"]]})) as running,
    ):
        key = running.key("finance")
        for _ in range(2):
            one_round(running, key, vendor)
        sizes = [resident(running)]
        for _ in range(ROUNDS):
            one_round(running, key, vendor)
            sizes.append(resident(running))
    grown = sizes[-1] - sizes[0]
    assert grown < ROUNDS * REQUESTS * 0.1 * KB, [size // KB for size in sizes]
