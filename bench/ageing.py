"""A long run: many requests, connections that come and go, and streams; the memory before and after."""

from __future__ import annotations

import socket

import msgspec
from bench.gateways import Gateway

from bench import cpu, load

CONNECTIONS = 64
ROUND = 3  # seconds of plain requests, over and over
BATCH = 200  # connections opened one after the other, then closed together
STREAMS = 16


class Aged(msgspec.Struct, frozen=True):
    """The bytes of memory once warm and at the end, and what lay between."""

    warm: int
    old: int
    requests: int
    connections: int
    streams: int


def age(gateway: Gateway, requests: int, connections: int) -> Aged:
    """Ask `requests` plain requests at least, open and close so many connections, and stream beside."""
    load.plain(gateway, CONNECTIONS, ROUND)
    load.streamed(gateway, STREAMS, 1)
    warm, asked, opened, streams = cpu.resident(gateway.pid), 0, 0, 0
    while asked < requests or opened < connections:
        if asked < requests:
            asked += int(load.plain(gateway, CONNECTIONS, ROUND).done)
        if opened < connections:
            opened += come_and_go(gateway.plain)
        load.streamed(gateway, STREAMS, 1)
        streams += STREAMS
    return Aged(warm, cpu.resident(gateway.pid), asked, opened, streams)


def come_and_go(port: int) -> int:
    """Open connections, send half a request on every other one, and close them all; return how many."""
    opened = [socket.create_connection(("127.0.0.1", port)) for _ in range(BATCH)]
    for number, one in enumerate(opened):
        if number % 2:
            one.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\nxx")
        one.close()
    return len(opened)
