"""The store is away: killed, hung, slow, or without room. Calls go on; when it is back all is in it, once."""

from __future__ import annotations

import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.path.exchange import Exchange, deployment, estate, exchange
from tests.path.raw import ask
from tests.path.test_budgets import ANSWER, COST, HELLO, budget, stands
from tests.postgres.server import Server
from tests.upstreams.scripted import Upstream

CALLS = 12


def declared(vendor: Upstream) -> dict[str, object]:
    made = estate({"gpt": deployment(vendor.url)}, {"chat": [["gpt"]]})
    made["use_cases"]["chat"]["keeps"] = {}
    return made


def call(running: Exchange, key: str, count: int = CALLS) -> None:
    with openai.OpenAI(api_key=key, base_url=running.url, max_retries=0, timeout=20) as sdk:
        for _ in range(count):
            sdk.chat.completions.create(model="chat", messages=[{"role": "user", "content": "Hi"}])


def converse(running: Exchange, key: str, before: str, *, away: bool) -> None:
    """What needs kept turns is refused while they cannot be had; what does not is answered, and says it is not kept."""
    with openai.OpenAI(api_key=key, base_url=running.url, max_retries=0, timeout=20) as sdk:
        fresh: Any = sdk.responses.create(model="chat", input="Hi")
        assert fresh.store is not away
        needs = (
            lambda: sdk.responses.create(model="chat", input="Go on", previous_response_id=before),
            lambda: sdk.responses.retrieve(before),
            lambda: sdk.responses.input_items.list(before),
        )
        for need in needs:
            if not away:
                need()
                continue
            with pytest.raises(openai.InternalServerError) as caught:
                need()
            assert (caught.value.status_code, caught.value.code) == (503, "store_unavailable")


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
        self._delay = 0.0
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def hang(self) -> None:
        self._flowing.clear()

    def slow_down(self, seconds: float) -> None:
        """Hold up each message, either way, for so long."""
        self._delay = seconds

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
                time.sleep(self._delay)
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
        with openai.OpenAI(api_key=key, base_url=running.url, max_retries=0, timeout=20) as sdk:
            kept = sdk.responses.create(model="chat", input="Hi").id
        for _ in range(2):
            before = len(vendor.received)
            server.kill()
            try:
                call(running, key)
                assert within(20, lambda: gauge(running, "trunkline_store_away") == 1)
                status, body = running.get("/readyz")
                assert status == 200
                assert "store" in body
                converse(running, key, kept, away=True)
            finally:
                server.start()
            assert len(vendor.received) == before + CALLS + 1
        converse(running, key, kept, away=False)
        assert within(30, lambda: calls_in(running) == 3 * CALLS + 5)
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


SLOW = 1.0
"""Seconds for which each message to and from a slow Postgres is held up."""


def test_no_call_waits_for_a_store_that_is_slow(server: Server, tmp_path: Path, vendor: Upstream) -> None:
    with server.connect() as connection:
        connection.execute("CREATE DATABASE slow")
    made = declared(vendor) | {"budgets": [budget(100, "month", unit="acme")]}
    with (
        proxied(server) as proxy,
        exchange(tmp_path, made, "--no-engine", TRUNKLINE_STORE=server.url("slow", proxy.port)) as running,
    ):
        key = running.key("finance")
        assert ask(running.port, key, HELLO).status == 200  # From now on the worker has something in hand.
        proxy.slow_down(SLOW)
        began = time.monotonic()
        for _ in range(CALLS):
            assert ask(running.port, key, HELLO).status == 200
        assert time.monotonic() - began < CALLS * SLOW
        proxy.slow_down(0)
        assert within(40, lambda: calls_in(running) == CALLS + 1)
        assert running.rows("ledger", "verify") == []


def test_under_a_hard_budget_calls_go_on_within_what_is_leased_and_are_then_told_503_and_why(
    server: Server, tmp_path: Path, vendor: Upstream
) -> None:
    with server.connect() as connection:
        connection.execute("CREATE DATABASE leased")
    vendor.default = ANSWER
    limit = COST * 1_000
    made = declared(vendor) | {"budgets": [budget(limit, unit="acme")]}
    with exchange(tmp_path, made, "--no-engine", TRUNKLINE_STORE=server.url("leased")) as running:
        key = running.key("finance")
        for _ in range(3):
            assert ask(running.port, key, HELLO).status == 200
        server.kill()
        try:
            answers = [ask(running.port, key, HELLO)]
            while answers[-1].status == 200:
                answers.append(ask(running.port, key, HELLO))
        finally:
            server.start()
        refused = answers[-1]
        assert len(answers) > 1
        assert (refused.status, refused.json["error"]["code"]) == (503, "store_unavailable")
        assert int(refused.headers["retry-after"]) > 0
        assert "cannot be reached" in refused.json["error"]["message"]
        sent = 3 + len(answers) - 1
        assert len(vendor.received) == sent  # What is refused was not sent.
        assert within(30, lambda: ask(running.port, key, HELLO).status == 200)
        assert within(30, lambda: calls_in(running) == sent + 1)
        assert within(10, lambda: stands(running, "unit:acme/month")["spent"] == float(COST * (sent + 1)))
        assert running.rows("ledger", "verify") == []


LITTLE_ROOM = 48 << 10
"""Bytes of a file for which there is room: enough for the journal, not for the store."""


def room(running: Exchange, size: int) -> None:
    """Let the exchange make no file longer than this: the system then refuses its writes, as on a full disk."""
    _, hard = resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (size, hard))


def test_with_a_full_disk_calls_go_on_while_the_journal_has_room_then_nothing_is_sent_and_nothing_is_lost(
    tmp_path: Path, vendor: Upstream
) -> None:
    vendor.default = ANSWER
    made = declared(vendor) | {"budgets": [budget(100, "month", unit="acme")]}
    with exchange(tmp_path, made) as running:
        key = running.key("finance")
        assert ask(running.port, key, HELLO).status == 200
        room(running, LITTLE_ROOM)
        answered = 1

        def is_away() -> bool:
            nonlocal answered
            assert ask(running.port, key, HELLO).status == 200
            answered += 1
            return gauge(running, "trunkline_store_away") == 1

        assert within(20, is_away)
        room(running, 1)
        refused = ask(running.port, key, HELLO)
        assert refused.status == 503
        assert "retry-after" in refused.headers
        assert len(vendor.received) == answered
        room(running, resource.RLIM_INFINITY)
        assert within(20, lambda: ask(running.port, key, HELLO).status == 200)
        answered = len(vendor.received)
        assert within(30, lambda: calls_in(running) == answered)
        assert within(10, lambda: gauge(running, "trunkline_store_away") == 0)
        assert running.rows("ledger", "verify") == []
        assert stands(running, "unit:acme/month")["spent"] == float(COST * answered)
