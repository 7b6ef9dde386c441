"""The store is away: killed, hung, or without room. Calls go on; when it is back all is in it, once."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import openai
import pytest
from tests.path.exchange import Exchange, deployment, estate, exchange
from tests.postgres.server import Server
from tests.upstreams.scripted import Upstream

CALLS = 12


def declared(vendor: Upstream) -> dict[str, object]:
    return estate({"gpt": deployment(vendor.url)}, {"chat": [["gpt"]]})


def call(running: Exchange, key: str, count: int = CALLS) -> None:
    with openai.OpenAI(api_key=key, base_url=running.url, max_retries=0, timeout=20) as sdk:
        for _ in range(count):
            sdk.chat.completions.create(model="chat", messages=[{"role": "user", "content": "Hi"}])


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


def calls_in(running: Exchange) -> int:
    rows = running.rows("ledger", "sum", "--by", "unit")
    return int(rows[0]["calls"]) if rows else 0


def gauge(running: Exchange, name: str) -> float:
    (line,) = [line for line in running.get("/metrics")[1].splitlines() if line.startswith(name + " ")]
    return float(line.split()[1])


class Proxy:
    """Passes TCP on to a port, until told to hang: then nothing moves, and nobody is told."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._flowing = threading.Event()
        self._flowing.set()
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def hang(self) -> None:
        self._flowing.clear()

    def flow(self) -> None:
        self._flowing.set()

    def close(self) -> None:
        self._flowing.set()
        for end in (self._listener, *self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                self._ends += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, of: socket.socket, to: socket.socket) -> None:
        with suppress(OSError):
            while data := of.recv(1 << 16):
                self._flowing.wait()
                to.sendall(data)
            to.shutdown(socket.SHUT_WR)


@contextmanager
def proxied(server: Server) -> Iterator[Proxy]:
    proxy = Proxy(server.port)
    try:
        yield proxy
    finally:
        proxy.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A Postgres of this module's own, for it is killed."""
    with Server.make() as server:
        yield server


def test_calls_go_on_while_postgres_is_dead_and_are_in_the_ledger_once_it_is_back(
    server: Server, tmp_path: Path, vendor: Upstream
) -> None:
    with exchange(tmp_path, declared(vendor), "--no-engine", TRUNKLINE_STORE=server.url()) as running:
        key = running.key("finance")
        call(running, key)
        for _ in range(2):
            before = len(vendor.received)
            server.kill()
            try:
                call(running, key)
                assert within(20, lambda: gauge(running, "trunkline_store_away") == 1)
                status, body = running.get("/readyz")
                assert status == 200
                assert "store" in body
            finally:
                server.start()
            assert len(vendor.received) == before + CALLS
        assert within(30, lambda: calls_in(running) == 3 * CALLS)
        assert within(10, lambda: gauge(running, "trunkline_store_away") == 0)
        assert running.rows("ledger", "verify") == []
        assert running.key("marketing")  # Changes are heard again, too.


def test_calls_go_on_while_the_way_to_postgres_hangs_and_are_in_the_ledger_afterwards(
    server: Server, tmp_path: Path, vendor: Upstream
) -> None:
    with server.connect() as connection:
        connection.execute("CREATE DATABASE hanging")
    with (
        proxied(server) as proxy,
        exchange(
            tmp_path, declared(vendor), "--no-engine", TRUNKLINE_STORE=server.url("hanging", proxy.port)
        ) as running,
    ):
        key = running.key("finance")
        call(running, key)
        proxy.hang()
        try:
            call(running, key)
            call(running, key)
        finally:
            proxy.flow()
        assert within(40, lambda: calls_in(running) == 3 * CALLS)
        assert running.rows("ledger", "verify") == []


@pytest.mark.slow
def test_an_exchange_stops_in_good_time_while_the_way_to_postgres_hangs(
    server: Server, tmp_path: Path, vendor: Upstream
) -> None:
    with server.connect() as connection:
        connection.execute("CREATE DATABASE stopping")
    url = server.url("stopping")
    with proxied(server) as proxy:
        through = server.url("stopping", proxy.port)
        with exchange(tmp_path, declared(vendor), "--no-engine", TRUNKLINE_STORE=through) as running:
            key = running.key("finance")
            call(running, key, 1)
            proxy.hang()
            call(running, key)
            running.process.terminate()
            assert running.process.wait(60) == 0
    with exchange(tmp_path, declared(vendor), "--no-engine", TRUNKLINE_STORE=url) as again:
        assert calls_in(again) == CALLS + 1
        assert again.rows("ledger", "verify") == []
